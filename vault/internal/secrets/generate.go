package secrets

import (
	"context"
	"crypto/rand"
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/perdure/perdure/vault/internal/model"
)

// The bounds of generated values, in characters.
const (
	MaxGenerated = 1024
	MaxAlphabet  = 256
)

// Alphabets of generated values.
const (
	Digits       = "0123456789"
	Hexadecimal  = "0123456789abcdef"
	Letters      = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	Alphanumeric = Letters + Digits
	// Base64URL is that of RFC 4648, section 5: what can stand in a URL as it is.
	Base64URL = Alphanumeric + "-_"
	// Readable leaves out what is taken for one another: 0 O, 1 I l.
	Readable = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
	// Printable is all of ASCII that can be seen.
	Printable = Alphanumeric + "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
)

var alphabets = map[string]string{
	"digits": Digits, "hex": Hexadecimal, "letters": Letters, "alphanumeric": Alphanumeric,
	"base64url": Base64URL, "readable": Readable, "printable": Printable,
}

// Alphabet returns the alphabet of a name: "digits", "hex", "letters", "alphanumeric", "base64url", "readable", "printable".
func Alphabet(name string) (alphabet string, ok bool) {
	alphabet, ok = alphabets[name]
	return alphabet, ok
}

// Generator says what random value to make.
type Generator struct {
	// Length is how many characters it has, 1 to MaxGenerated. 22 of Alphanumeric are as hard to guess as a key of 128 bits.
	Length int
	// Alphabet has the characters, 2 to MaxAlphabet, each once; Alphanumeric when it is empty.
	Alphabet string
}

// value returns a random value: each character is as likely as any other.
func (g Generator) value() (string, error) {
	if g.Length < 1 || g.Length > MaxGenerated {
		return "", &model.FieldError{Field: "length", Detail: fmt.Sprintf("want 1 to %d", MaxGenerated)}
	}
	if g.Alphabet == "" {
		g.Alphabet = Alphanumeric
	}
	letters, err := lettersOf(g.Alphabet)
	if err != nil {
		return "", err
	}
	// Bytes from bound on are thrown away: with them the first letters would come up more often.
	bound := 256 - 256%len(letters)
	out := make([]rune, 0, g.Length)
	var random [256]byte
	defer clear(random[:])
	for {
		_, _ = rand.Read(random[:]) // never fails
		for _, b := range random {
			if int(b) >= bound {
				continue
			}
			if out = append(out, letters[int(b)%len(letters)]); len(out) == g.Length {
				return string(out), nil
			}
		}
	}
}

func lettersOf(alphabet string) ([]rune, error) {
	bad := func(detail string) error { return &model.FieldError{Field: "alphabet", Detail: detail} }
	if !utf8.ValidString(alphabet) {
		return nil, bad("it is not UTF-8")
	}
	if n := utf8.RuneCountInString(alphabet); n < 2 || n > MaxAlphabet {
		return nil, bad(fmt.Sprintf("want 2 to %d characters", MaxAlphabet))
	}
	seen := map[rune]bool{}
	for _, r := range alphabet {
		switch {
		case !unicode.IsPrint(r):
			return nil, bad("a character of it cannot be seen")
		case seen[r]:
			return nil, bad(fmt.Sprintf("%q is there twice", r))
		}
		seen[r] = true
	}
	return []rune(alphabet), nil
}

// Generate is Set with a random value. The right is model.OpSet, and the value is not returned: who made it does not get to know
// it without the right to Get it.
func (s *Service) Generate(ctx context.Context, by model.Caller, id model.ID, g Generator, c model.Change) (*model.Secret, error) {
	value, err := g.value() // before the unit, which may run several times
	if err != nil {
		return nil, err
	}
	return s.set(ctx, by, id, model.SetSecret{Value: value, Change: c}, "generated")
}
