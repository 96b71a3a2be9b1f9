package mail

import (
	"errors"
	"fmt"
)

// The errors of this package. Compare with errors.Is. Their texts hold no password and no part
// of a message's body.
var (
	// ErrPermanent: trying again with the same message does not help: the server refuses it
	// (5xx), or it is invalid.
	ErrPermanent = errors.New("mail: permanent failure")
	// ErrInvalid: a message cannot be sent as it is. Such errors match ErrPermanent too.
	ErrInvalid = errors.New("mail: invalid message")
	// ErrConfig: a sender cannot be made as its configuration says; the text names the field.
	ErrConfig = errors.New("mail: configuration")
)

// fieldError is an ErrInvalid that names the field.
type fieldError struct{ field, why string }

func (e *fieldError) Error() string { return fmt.Sprintf("%v: %s %s", ErrInvalid, e.field, e.why) }

func (e *fieldError) Is(target error) bool { return target == ErrInvalid || target == ErrPermanent }

// serverError is what a server answered.
type serverError struct {
	server, stage string
	code          int // 0: none
	text          string
	permanent     bool
}

func (e *serverError) Error() string {
	if e.code == 0 {
		return fmt.Sprintf("mail: %s: %s: %s", e.server, e.stage, e.text)
	}
	return fmt.Sprintf("mail: %s: %s: %d %q", e.server, e.stage, e.code, e.text)
}

func (e *serverError) Is(target error) bool { return e.permanent && target == ErrPermanent }
