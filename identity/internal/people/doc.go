// Package people is the part of the provider that people see: they sign up, sign in and out, prove
// an address, choose a new password, and look after their account. It keeps their credentials and
// sessions.
//
// # Who tries too often
//
// Attempts are counted by account and network, by network, and by account. After a few wrong ones
// the next has to wait, longer each time, up to an hour. Who guesses from elsewhere does not lock the
// owner out: an account's count over all networks slows down only networks from which
// the account has not been signed in to within 90 days, and by a minute at most. The price is that an attacker with many networks has
// one guess a minute at one account, some 1,400 a day: hopeless against a password that passes the
// policy. An attacker in the owner's own network can make the owner wait; a passkey, which
// nobody guesses, is not counted.
//
// Whether an account exists, is waiting or has another password is not told apart, in text or by the
// work that is done. Two leaks remain: a username that is taken is said to be, because usernames are chosen,
// and without mail the page for signing up cannot say "look into your mail" for an address that is
// taken.
package people
