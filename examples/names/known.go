package main

// known are the names that makeNames chooses from. One that stands here more often comes
// more often.
var known = []Name{
	"Ada", "Ada", "Ada", "Alan", "Alan", "Alonzo", "Anita", "Barbara", "Barbara", "Bjarne", "Brian", "Butler",
	"Charles", "Claude", "Claude", "Dana", "David", "Dennis", "Dennis", "Donald", "Donald", "Dorothy", "Edsger",
	"Edsger", "Edith", "Evelyn", "Fei-Fei", "Fernando", "Frances", "Fred", "George", "Gordon", "Grace", "Grace",
	"Grace", "Guido", "Hal", "Hedy", "Ivan", "Jean", "Joan", "John", "John", "Judea", "Karen", "Katherine",
	"Katherine", "Ken", "Ken", "Ken", "Kristen", "Leonard", "Leslie", "Leslie", "Linus", "Lynn", "Manuel",
	"Margaret", "Margaret", "Marvin", "Mary", "Maurice", "Niklaus", "Ole-Johan", "Peter", "Radia", "Ravi",
	"Richard", "Rob", "Rob", "Robert", "Robin", "Rosalind", "Ruchi", "Shafi", "Silvio", "Sophie", "Stephanie",
	"Tim", "Tim", "Tony", "Vinton", "Whitfield", "Yvonne", "Zhang",
}
