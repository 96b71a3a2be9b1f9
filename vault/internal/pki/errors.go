package pki

import (
	"errors"
	"fmt"

	"github.com/perdure/perdure/vault/internal/model"
)

// The errors of this package; those about a policy are *model.FieldError. Compare with errors.Is. No text has a key or a
// password in it.
var (
	// ErrKey: a key is of a kind or size that certificates here do not have, or does not belong to the certificate.
	ErrKey = errors.New("pki: key")
	// ErrRequest: a certificate request is malformed or not signed by its own key.
	ErrRequest = errors.New("pki: certificate request")
	// ErrAuthority: a certificate cannot sign what is asked for: it is no authority, its time is not now, or the limits
	// of its chain (names, length, usages) forbid it.
	ErrAuthority = errors.New("pki: authority")
	// ErrChain: certificates do not vouch for each other.
	ErrChain = errors.New("pki: chain")
	// ErrEncoding: PEM or PKCS #12 that cannot be read. The text says the mend.
	ErrEncoding = errors.New("pki: encoding")
	// ErrPassword: the password does not open the file.
	ErrPassword = errors.New("pki: wrong password")
)

// invalid returns a *model.FieldError.
func invalid(field, format string, args ...any) error {
	return &model.FieldError{Field: field, Detail: fmt.Sprintf(format, args...)}
}
