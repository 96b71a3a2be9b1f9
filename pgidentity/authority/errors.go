package authority

import (
	"errors"
	"fmt"

	"github.com/perdure/perdure/table"
)

// The errors. Compare with errors.Is; the text names what it is about, and never has a secret.
var (
	// ErrNotFound: there is no such server, grant or lease.
	ErrNotFound = table.ErrNotFound
	// ErrExists: there is one already.
	ErrExists = table.ErrExists
	// ErrInvalid: a value is not allowed. The error is a *FieldError.
	ErrInvalid = errors.New("invalid")
	// ErrForbidden: the identity has no right on the server, or the server does not exist; which of both is not told.
	ErrForbidden = errors.New("no rights on a database server of this name")
	// ErrInUse: something else still needs it.
	ErrInUse = errors.New("in use")
	// ErrTooMany: a bound is reached.
	ErrTooMany = errors.New("too many")
	// ErrDatabase: the database server cannot be reached or refused a statement; the text says which.
	ErrDatabase = errors.New("database server")

	// errForeignRole: PostgreSQL has a role of this name that is not Perdure's.
	errForeignRole = errors.New("the server has a role of this name that was made by somebody else")
)

// FieldError says what is wrong with a value, and what would be right. It matches ErrInvalid.
type FieldError struct {
	// Field is the name of the value in JSON.
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
