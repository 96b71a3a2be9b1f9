package password

import (
	"strings"
	"unicode"
)

// common are words that most of the passwords begin or end with which attackers try first. A list of leaked
// passwords knows more; this is what nobody may have without one.
var common = map[string]bool{
	"password": true, "passwort": true, "passw": true, "passphrase": true, "mypassword": true, "thepassword": true, "newpassword": true,
	"qwerty": true, "qwertyuiop": true, "qwertz": true, "qwertzuiop": true, "azerty": true, "azertyuiop": true, "asdfghjkl": true, "qwertyqwerty": true,
	"letmein": true, "letmeinnow": true, "welcome": true, "welcometo": true, "iloveyou": true, "iloveyouso": true, "changeme": true,
	"changeit": true, "changethis": true, "admin": true, "administrator": true, "superadmin": true, "superuser": true, "root": true, "rootroot": true,
	"secret": true, "topsecret": true, "supersecret": true, "default": true, "guest": true, "master": true, "login": true, "test": true, "testtest": true,
	"testing": true, "monkey": true, "dragon": true, "sunshine": true, "princess": true, "football": true, "baseball": true, "superman": true,
	"batman": true, "trustno": true, "whatever": true, "computer": true, "internet": true, "abc": true, "abcd": true, "abcdef": true, "abcdefghij": true,
}

// lookalikes are the characters that stand for letters in words that were made to look harder.
var lookalikes = strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s", "!", "i")

// isCommon reports whether a password in lower case is a common word with digits and signs around it, the
// same twice, or a row of digits.
func isCommon(lower string) bool {
	plain := strings.Join(strings.Fields(lower), "")
	for _, word := range []string{strings.TrimFunc(plain, notLetter), strings.TrimFunc(lookalikes.Replace(strings.TrimRightFunc(plain, notLetter)), notLetter)} {
		if common[word] || len(word)%2 == 0 && word[:len(word)/2] == word[len(word)/2:] && common[word[:len(word)/2]] {
			return true
		}
	}
	return isRow(plain)
}

func notLetter(r rune) bool { return !unicode.IsLetter(r) }

// isRow reports whether a text is digits that go up or down one by one, such as 1234567890.
func isRow(text string) bool {
	for _, step := range []byte{1, 9} {
		row := true
		for i := 0; i < len(text) && row; i++ {
			row = text[i] >= '0' && text[i] <= '9' && (i == 0 || (text[i]-'0') == (text[i-1]-'0'+step)%10)
		}
		if row {
			return true
		}
	}
	return false
}
