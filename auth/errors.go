package auth

import "errors"

// ErrUnauthenticated: the credentials of a request are not good. The error is a *TokenError.
var ErrUnauthenticated = errors.New("auth: not authenticated")

// ErrCannotTell is what a Func or a Resource policy returns, wrapped or not, when it could
// not find out whether to allow: a store is down, say. Neither such an error nor one of a
// context that ended denies: the decision is undecided, whatever Not, All and Any make of it, so
// that nobody is let in by a failure.
var ErrCannotTell = errors.New("auth: cannot tell")

// TokenError says why credentials were refused. It matches ErrUnauthenticated.
type TokenError struct {
	// Reason is for the caller. It holds no secret, and of the token a few claims at most.
	Reason string
	// Malformed says that the request is wrong, not the token: several tokens, or none
	// where one is announced. It is answered by 400, as RFC 6750 section 3.1 says.
	Malformed bool
	// Cause is for the log, and may be nil.
	Cause error
}

// Error implements error.
func (e *TokenError) Error() string { return "auth: " + e.Reason }

// Unwrap returns ErrUnauthenticated and the cause.
func (e *TokenError) Unwrap() []error {
	if e.Cause == nil {
		return []error{ErrUnauthenticated}
	}
	return []error{ErrUnauthenticated, e.Cause}
}

func isUnauthenticated(err error) bool { return errors.Is(err, ErrUnauthenticated) }
