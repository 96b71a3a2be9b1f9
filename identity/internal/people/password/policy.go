package password

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
)

// MaxBytes bounds a password, so that hashing it has a bound.
const MaxBytes = 256

// DefaultMinLength is how many characters a password has at least.
const DefaultMinLength = 10

// The faults of a password. Their texts are for the user.
var (
	ErrTooShort   = errors.New("the password is too short")
	ErrTooLong    = fmt.Errorf("the password has more than %d bytes", MaxBytes)
	ErrCharacters = errors.New("the password has characters that cannot be typed everywhere")
	ErrGuessable  = errors.New("the password is too close to your name or address")
	ErrSimple     = errors.New("the password repeats too few characters")
	ErrCommon     = errors.New("the password is one of those that are tried first")
	ErrBreached   = errors.New("the password is in lists of leaked passwords")
)

// Normalize returns the form of a password that is hashed, so that it is the same from every
// keyboard: the OpaqueString profile of PRECIS (RFC 8265), which composes characters (NFC) and makes
// spaces one kind of space.
func Normalize(password string) (string, error) {
	if len(password) > MaxBytes {
		return "", ErrTooLong
	}
	if password == "" {
		return "", ErrTooShort
	}
	if !utf8.ValidString(password) {
		return "", ErrCharacters
	}
	p, err := precis.OpaqueString.String(password)
	if err != nil {
		return "", ErrCharacters
	}
	if len(p) > MaxBytes {
		return "", ErrTooLong
	}
	return p, nil
}

// Policy says which passwords are good enough. There are no rules on kinds of characters: they
// make passwords worse (NIST SP 800-63B section 3.1.1.2).
type Policy struct {
	// MinLength is in characters; 0 takes DefaultMinLength.
	MinLength int
	// Breached has the passwords that are known to have leaked; nil knows none.
	Breached *BreachedList
}

// Check reports what is wrong with a new password that Normalize has returned. Personal are
// what others know of the user: addresses, names.
func (p Policy) Check(password string, personal ...string) error {
	least := p.MinLength
	if least <= 0 {
		least = DefaultMinLength
	}
	if utf8.RuneCountInString(password) < least {
		return fmt.Errorf("%w: it needs at least %d characters", ErrTooShort, least)
	}
	if distinct(password) < 4 {
		return ErrSimple
	}
	lower := strings.ToLower(password)
	for _, known := range personal {
		known = strings.ToLower(strings.TrimSpace(known))
		local, _, _ := strings.Cut(known, "@")
		if isCloseTo(lower, known) || isCloseTo(lower, local) {
			return ErrGuessable
		}
	}
	if p.Breached != nil {
		found, err := p.Breached.Has(password)
		if err != nil {
			return err
		}
		if found {
			return ErrBreached
		}
	}
	if isCommon(lower) {
		return ErrCommon
	}
	return nil
}

func distinct(s string) int {
	seen := map[rune]bool{}
	for _, r := range s {
		seen[r] = true
	}
	return len(seen)
}

// isCloseTo reports whether a password is a known word, perhaps with a few characters around it.
func isCloseTo(password, word string) bool {
	if utf8.RuneCountInString(word) < 4 || !strings.Contains(password, word) {
		return false
	}
	return utf8.RuneCountInString(password)-utf8.RuneCountInString(word) < 4
}
