// Package factor keeps what users sign in with besides passwords: passkeys, one-time codes of an
// authenticator app, and recovery codes.
//
// Its functions work in the unit of work of their context. That a user exists and may change
// the own factors is for the caller to know.
package factor

import "errors"

var (
	// ErrWrong: the code or the answer of the authenticator is not right.
	ErrWrong = errors.New("the factor is wrong")
	// ErrReplay: the code was right, but has been used.
	ErrReplay = errors.New("the code has been used")
	// ErrCloned: a passkey's counter went backwards, so there may be two of it.
	ErrCloned = errors.New("the passkey's counter went backwards: it may have been copied")
	// ErrTooMany: a user has no room for another one.
	ErrTooMany = errors.New("there are too many already")
)

// Sealer encrypts and authenticates for a purpose.
type Sealer interface {
	Seal(purpose string, plain []byte) ([]byte, error)
	Open(purpose string, sealed []byte) ([]byte, error)
}
