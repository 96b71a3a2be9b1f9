package oidc

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// The error codes of RFC 6749 and its relatives.
const (
	invalidRequest          = "invalid_request"
	invalidClient           = "invalid_client"
	invalidGrant            = "invalid_grant"
	invalidScope            = "invalid_scope"
	invalidTarget           = "invalid_target"
	invalidToken            = "invalid_token"
	insufficientScope       = "insufficient_scope"
	unauthorizedClient      = "unauthorized_client"
	unsupportedGrantType    = "unsupported_grant_type"
	unsupportedResponseType = "unsupported_response_type"
	accessDenied            = "access_denied"
	serverError             = "server_error"
	loginRequired           = "login_required"
	consentRequired         = "consent_required"
	authorizationPending    = "authorization_pending"
	slowDown                = "slow_down"
	expiredToken            = "expired_token"
)

// refusal is an error for the client. Its description holds nothing that the client may not know.
type refusal struct {
	code, description string
	status            int
}

func (r *refusal) Error() string { return r.code + ": " + r.description }

// refuse makes a refusal with the status that RFC 6749 section 5.2 and RFC 6750 section 3.1 give the
// code.
func refuse(code, format string, args ...any) *refusal {
	status := http.StatusBadRequest
	switch code {
	case invalidClient, invalidToken:
		status = http.StatusUnauthorized
	case insufficientScope:
		status = http.StatusForbidden
	case serverError:
		status = http.StatusInternalServerError
	}
	return &refusal{code: code, description: fmt.Sprintf(format, args...), status: status}
}

// asLibrary turns an error into one of the library's; what is no refusal is a failure of ours, of which
// the client learns nothing.
func asLibrary(err error) error {
	var r *refusal
	if !errors.As(err, &r) {
		r = refuse(serverError, "the request could not be handled")
	}
	e := &oidc.Error{Description: r.description}
	setCode(&e.ErrorType, r.code)
	return op.NewStatusError(e, r.status)
}

// setCode sets a field whose type the library does not export.
func setCode[T ~string](field *T, code string) { *field = T(code) }
