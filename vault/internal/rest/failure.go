package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/vault/internal/model"
)

// failure is an answer that says why not.
type failure struct {
	status        int
	code, message string
	inner         string // the code of the inner error; empty for none
	challenge     string
	retry         bool  // it may work in a second
	busy          bool  // by what others ask for: nothing for the log
	cause         error // for the log
}

// Error implements error.
func (f *failure) Error() string {
	text := strconv.Itoa(f.status) + " " + f.code + ": " + f.message
	if f.cause != nil {
		text += ": " + f.cause.Error()
	}
	return text
}

func fail(status int, code, format string, args ...any) *failure {
	message := fmt.Sprintf(format, args...)
	if len(message) > maxMessage { // what was sent stands in it
		message = strings.ToValidUTF8(message[:maxMessage], "") + "…"
	}
	return &failure{status: status, code: code, message: message}
}

const maxMessage = 600 // bytes

// badParameter is the answer to a request that cannot be.
func badParameter(format string, args ...any) *failure {
	return fail(http.StatusBadRequest, "BadParameter", format, args...)
}

// notSupported is the answer to what Azure has and the vault has not.
func notSupported(format string, args ...any) *failure {
	return fail(http.StatusBadRequest, "NotSupported", format, args...)
}

// forbidden is the answer to what may not be done, with the code that says why.
func forbidden(inner, format string, args ...any) *failure {
	f := fail(http.StatusForbidden, "Forbidden", format, args...)
	f.inner = inner
	return f
}

// shape is how an error is written.
type errorShape struct {
	Error struct {
		Code    string      `json:"code"`
		Message string      `json:"message"`
		Inner   *innerShape `json:"innererror,omitempty"`
	} `json:"error"`
}

type innerShape struct {
	Code string `json:"code"`
}

func (f *failure) write(w http.ResponseWriter) {
	var s errorShape
	s.Error.Code, s.Error.Message = f.code, f.message
	if f.inner != "" {
		s.Error.Inner = &innerShape{f.inner}
	}
	if f.challenge != "" {
		w.Header().Set("WWW-Authenticate", f.challenge)
	}
	if f.retry {
		w.Header().Set("Retry-After", "1")
	}
	writeJSON(w, f.status, s)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil { // a shape that has no JSON form is a fault of this package
		status, text = http.StatusInternalServerError, []byte(`{"error":{"code":"InternalError","message":"The answer cannot be written."}}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text) // the client is gone: nobody is left to tell
}

// explain makes an answer of an error of a service. What is not meant for the caller becomes a 500 or a 503.
func explain(c *call, e *endpoint, err error) *failure {
	if f := (*failure)(nil); errors.As(err, &f) {
		return f
	}
	switch {
	case errors.Is(err, unit.ErrConflict):
		return &failure{status: http.StatusServiceUnavailable, code: "ServiceUnavailable", message: "Others change the same all the time; try again.", retry: true, cause: err}
	case errors.Is(err, unit.ErrTooLarge):
		return fail(http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "The request changes too much at once.")
	case e == nil:
		return internal(err)
	}
	// thing is what the request is about, in the middle of a sentence; kind begins the codes of what the item is like.
	thing, kind := strings.ToLower(e.what), e.what
	name := c.args["name"]
	field := (*model.FieldError)(nil)
	switch {
	case errors.Is(err, model.ErrNotFound):
		return notFound(c, e, name)
	case errors.Is(err, model.ErrForbidden):
		return forbidden("ForbiddenByRbac", "Caller is not authorized to perform action on resource: %s of %s.", e.verb, thing)
	case errors.Is(err, model.ErrDeleted):
		f := fail(http.StatusConflict, "Conflict", "%s %s is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the %s can only be recovered or purged.", e.what, name, thing)
		f.inner = "ObjectIsDeletedButRecoverable"
		return f
	case errors.Is(err, model.ErrExists):
		return fail(http.StatusConflict, "Conflict", "%s", conflict(e, thing, name))
	case errors.Is(err, model.ErrProtected):
		return forbidden("", "Operation \"purge\" is not allowed because purge protection is enabled for this vault. The vault purges the %s itself when the retention period has passed.", thing)
	case errors.Is(err, model.ErrManaged):
		return forbidden(kind+"ManagedByKeyVault", "Operation %q is not allowed on this %s, since it is associated with a certificate. Perform the operation on the corresponding certificate.", e.verb, thing)
	case errors.Is(err, model.ErrDisabled):
		return forbidden(kind+"Disabled", "Operation %s is not allowed on a disabled %s.", e.verb, thing)
	case errors.Is(err, model.ErrNotYetValid):
		return forbidden(kind+"NotYetValid", "Operation %s is not allowed on a %s that is not yet valid.", e.verb, thing)
	case errors.Is(err, model.ErrExpired):
		return forbidden(kind+"Expired", "Operation %s is not allowed on an expired %s.", e.verb, thing)
	case errors.Is(err, model.ErrOperation):
		if c.alg == "" {
			return forbidden("KeyOperationForbidden", "Operation %s is not permitted on this key.", e.verb)
		}
		return forbidden("KeyOperationForbidden", "Operation %s is not permitted on this key: it is not in its key_ops, or %.40q is no algorithm for a key of its type and size.", e.verb, c.alg)
	case errors.As(err, &field):
		return badParameter("Property %s has an invalid value: %s.", field.Field, strings.TrimSuffix(field.Detail, "."))
	case errors.Is(err, model.ErrInvalid):
		return badParameter("The request is not valid.")
	case errors.Is(err, model.ErrCiphertext):
		return badParameter("The value cannot be decrypted: it was changed, or was not encrypted with this key and these parameters.")
	case errors.Is(err, model.ErrTooMany):
		return fail(http.StatusConflict, "Conflict", "The %s has as many versions as it may have, or the vault as many of its kind.", thing)
	}
	return internal(err)
}

func internal(cause error) *failure {
	return &failure{
		status: http.StatusInternalServerError, code: "InternalError", cause: cause,
		message: "It could not be done; the log of the vault says why.",
	}
}

// notFound is the answer when there is no such thing.
func notFound(c *call, e *endpoint, name string) *failure {
	status, code := http.StatusNotFound, e.what+"NotFound"
	switch {
	case e.what == "Contacts":
		return fail(status, code, "Contacts not found")
	case e.what == "CertificateIssuer":
		return fail(status, code, "Issuer not found")
	case e.what == "PendingCertificate":
		return fail(status, code, "Pending certificate not found: %s", name)
	case strings.HasPrefix(e.path, "deleted"):
		return fail(status, code, "Deleted %s not found: %s", e.what, name)
	}
	if version := c.args["version"]; version != "" {
		name += "/" + version
	}
	return fail(status, code, "A %s with (name/id) %s was not found in this key vault. If you recently deleted this %s you may be able to recover it using the correct recovery command.",
		strings.ToLower(e.what), name, strings.ToLower(e.what))
}

// conflict says what is in the way.
func conflict(e *endpoint, thing, name string) string {
	switch {
	case e.verb == "restore":
		return "There is a " + thing + " of the name already, or one that was deleted and can be recovered."
	case e.what == "Certificate", e.what == "PendingCertificate":
		return "A new key vault certificate can not be created or imported while a pending key vault certificate's status is inProgress, or while a key or a secret that is no certificate's has the name " + name + "."
	}
	return "The name " + name + " is in use."
}
