package problem

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/perdure/perdure/internal/engine"
	"github.com/perdure/perdure/internal/resource"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/unit"
)

// retryAfter is when a request refused for want of a commit may come again.
const retryAfter = time.Second

// Of returns the problem that answers err. The second result is true when the
// caller is not told the cause: then it belongs into the log under id, which the
// answer carries as the member "id".
func Of(err error, id string) (p *Error, hidden bool) {
	var (
		own      *Error
		tooLarge *http.MaxBytesError
	)
	switch {
	case errors.As(err, &own):
		if own.Status < 400 || own.Status > 599 {
			break
		}
		return own, false
	case errors.As(err, &tooLarge):
		return TooLarge(tooLarge.Limit), false
	case errors.Is(err, resource.ErrNotFound), errors.Is(err, engine.ErrNotFound):
		return &Error{Status: http.StatusNotFound, Detail: "What the request names does not exist.", Cause: err}, false
	case errors.Is(err, engine.ErrEnded):
		return &Error{Status: http.StatusConflict, Detail: "What the request is meant for has ended.", Cause: err}, false
	case errors.Is(err, engine.ErrExists):
		return &Error{Status: http.StatusConflict, Detail: "It exists already, and was started differently.", Cause: err}, false
	case errors.Is(err, resource.ErrExists):
		return &Error{Status: http.StatusConflict, Detail: "What the request would make exists already.", Cause: err}, false
	case errors.Is(err, resource.ErrChanged):
		return &Error{Status: http.StatusPreconditionFailed, Detail: "Somebody has changed it meanwhile.", Cause: err}, false
	case errors.Is(err, unit.ErrConflict):
		return &Error{
			Status:     http.StatusServiceUnavailable,
			Detail:     "Others kept changing what this request works on. Nothing was done; try again.",
			RetryAfter: retryAfter, Cause: err,
		}, false
	case errors.Is(err, store.ErrOutcomeUnknown):
		return &Error{
			Status: http.StatusInternalServerError, Title: "Outcome unknown",
			Detail:     "The request may or may not have been carried out.",
			Extensions: map[string]any{"id": id}, Cause: err,
		}, true
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{
			Status: http.StatusGatewayTimeout, Detail: "The request took too long.",
			Extensions: map[string]any{"id": id}, Cause: err,
		}, true
	}
	return &Error{
		Status:     http.StatusInternalServerError,
		Detail:     "The request failed. The log has the cause under this id.",
		Extensions: map[string]any{"id": id}, Cause: err,
	}, true
}

// TooLarge is the answer to a body of more than limit bytes.
func TooLarge(limit int64) *Error {
	return &Error{
		Status:     http.StatusRequestEntityTooLarge,
		Detail:     fmt.Sprintf("The body may have at most %s.", size(limit)),
		Extensions: map[string]any{"limit": limit},
	}
}

// size writes a number of bytes for people.
func size(n int64) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}

// Invalid is the answer to a request that cannot be understood: 400, with one
// entry per fault in the member "errors".
func Invalid(faults ...Fault) *Error {
	e := &Error{Status: http.StatusBadRequest, Title: "Invalid request", Extensions: map[string]any{"errors": faults}}
	for i, f := range faults {
		if i > 0 {
			e.Detail += "; "
		}
		e.Detail += f.String()
	}
	return e
}

// Fault is one thing wrong with a request.
type Fault struct {
	// In is the part of the request: "path", "query", "header", "cookie",
	// "form" or "body".
	In string `json:"in"`
	// Name is the parameter, or the place in the body such as "order.id".
	Name string `json:"name,omitempty"`
	// Detail says what is wrong.
	Detail string `json:"detail"`
}

// String writes the fault in one line.
func (f Fault) String() string {
	if f.Name == "" {
		return f.In + ": " + f.Detail
	}
	return fmt.Sprintf("%s %q: %s", f.In, f.Name, f.Detail)
}
