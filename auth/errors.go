package auth

import "errors"

// ErrUnauthenticated: the credentials of a request are not good. The error is a *TokenError.
var ErrUnauthenticated = errors.New("auth: not authenticated")

// TokenError says why credentials were refused. It matches ErrUnauthenticated.
type TokenError struct {
	// Reason is for the caller: it holds nothing that the caller has not sent.
	Reason string
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
