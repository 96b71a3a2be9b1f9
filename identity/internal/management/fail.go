package management

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/internal/unit"
)

// failure is an answer that says why not, in Auth0's shape.
type failure struct {
	Status  int    `json:"statusCode"`
	Text    string `json:"error"`
	Message string `json:"message"`
	Code    string `json:"errorCode,omitempty"`
}

// Error implements error.
func (f *failure) Error() string { return strconv.Itoa(f.Status) + " " + f.Message }

func fail(status int, code, format string, args ...any) *failure {
	message := fmt.Sprintf(format, args...)
	if len(message) > maxMessage { // what was sent stands in it
		message = strings.ToValidUTF8(message[:maxMessage], "") + "…"
	}
	return &failure{Status: status, Text: http.StatusText(status), Code: code, Message: message}
}

const maxMessage = 500 // bytes

// invalid is the answer to a body that says something that cannot be.
func invalid(format string, args ...any) *failure {
	return fail(http.StatusBadRequest, "invalid_body", "Payload validation error: "+format, args...)
}

// invalidQuery is the answer to a parameter that says something that cannot be.
func invalidQuery(format string, args ...any) *failure {
	return fail(http.StatusBadRequest, "invalid_query_string", "Query validation error: "+format, args...)
}

// missing is the answer when there is no such thing.
func missing(noun string) *failure {
	return fail(http.StatusNotFound, "inexistent_"+noun, "The %s does not exist.", noun)
}

func (f *failure) write(w http.ResponseWriter) {
	if f.Status == http.StatusUnauthorized {
		challenge := `Bearer realm="api/v2"`
		if f.Code != "" {
			challenge += `, error="` + f.Code + `"`
		}
		w.Header().Set("WWW-Authenticate", challenge)
	}
	writeJSON(w, f.Status, f)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil { // a shape that has no JSON form is a fault of this package
		status, text = http.StatusInternalServerError, []byte(`{"statusCode":500,"error":"Internal Server Error","message":"The answer cannot be written."}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(text) // the client is gone: nobody is left to tell
}

// ofQuery are the fields that come from parameters, not from bodies.
var ofQuery = []string{"page", "per_page", "take", "from", "sort", "q"}

// explain makes an answer of an error. What is not meant for the caller becomes a 500 or a 503.
func explain(err error) *failure {
	var f *failure
	var field *directory.FieldError
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &field):
		name, _, _ := strings.Cut(field.Field, "[")
		if slices.Contains(ofQuery, name) {
			return invalidQuery("%s: %s", field.Field, field.Detail)
		}
		return invalid("%q: %s", field.Field, field.Detail)
	case errors.Is(err, directory.ErrInvalid):
		return invalid("%v", err)
	case errors.Is(err, directory.ErrExists):
		return fail(http.StatusConflict, "conflict", "%s", sentence(err))
	case errors.Is(err, directory.ErrInUse):
		return fail(http.StatusConflict, "in_use", "%s", sentence(err))
	case errors.Is(err, directory.ErrSystem):
		return fail(http.StatusForbidden, "operation_not_supported", "%s", sentence(err))
	case errors.Is(err, directory.ErrNotFound):
		return fail(http.StatusNotFound, "not_found", "It does not exist.")
	case errors.Is(err, unit.ErrConflict):
		return fail(http.StatusServiceUnavailable, "conflicting_changes", "Others change the same all the time; try again.")
	case errors.Is(err, unit.ErrTooLarge):
		return fail(http.StatusRequestEntityTooLarge, "payload_too_large", "The request changes too much at once.")
	}
	return fail(http.StatusInternalServerError, "internal_error", "It could not be done; the log of the provider says why.")
}

// sentence writes an error of directory, whose texts are made for callers.
func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}
