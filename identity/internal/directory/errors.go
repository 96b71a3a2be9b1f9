package directory

import (
	"errors"
	"fmt"

	"github.com/perdure/perdure/table"
)

// The errors of the rules. Compare with errors.Is; the text names what it is about.
var (
	// ErrNotFound: there is no such user, role, API and so on.
	ErrNotFound = table.ErrNotFound
	// ErrExists: another one has the name, address or identifier.
	ErrExists = table.ErrExists
	// ErrInvalid: a value is not allowed. The error is a *FieldError.
	ErrInvalid = errors.New("invalid")
	// ErrInUse: something else still needs it.
	ErrInUse = errors.New("in use")
	// ErrSystem: Perdure itself needs it as it is.
	ErrSystem = errors.New("belongs to the system")
)

// FieldError says what is wrong with a value, and what would be right. It matches ErrInvalid.
type FieldError struct {
	// Field is the name of the value in JSON, such as "callbacks[2]".
	Field string
	// Detail says what is wrong and how to mend it.
	Detail string
}

// Error implements error.
func (e *FieldError) Error() string { return e.Field + ": " + e.Detail }

// Is makes errors.Is(err, ErrInvalid) true.
func (e *FieldError) Is(target error) bool { return target == ErrInvalid }

// invalid returns a *FieldError.
func invalid(field, format string, args ...any) error {
	return &FieldError{Field: field, Detail: fmt.Sprintf(format, args...)}
}
