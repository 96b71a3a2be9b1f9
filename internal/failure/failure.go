// Package failure says which problem (RFC 9457) answers a request that failed with an error.
package failure

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/perdure/perdure/internal/engine"
	"github.com/perdure/perdure/internal/problem"
	"github.com/perdure/perdure/internal/resource"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/unit"
)

// retryAfter is when a request refused for want of a commit may come again.
const retryAfter = time.Second

// Problem returns the problem that answers err. The second result is true when the
// caller is not told the cause: then it belongs into the log under id, which the
// answer carries as the member "id".
func Problem(err error, id string) (p *problem.Error, hidden bool) {
	var (
		own      *problem.Error
		tooLarge *http.MaxBytesError
	)
	switch {
	case errors.As(err, &own):
		if own.Status < 400 || own.Status > 599 {
			break
		}
		return own, false
	case errors.As(err, &tooLarge):
		return problem.TooLarge(tooLarge.Limit), false
	case errors.Is(err, resource.ErrNotFound), errors.Is(err, engine.ErrNotFound):
		return &problem.Error{Status: http.StatusNotFound, Detail: "What the request names does not exist.", Cause: err}, false
	case errors.Is(err, engine.ErrEnded):
		return &problem.Error{Status: http.StatusConflict, Detail: "What the request is meant for has ended.", Cause: err}, false
	case errors.Is(err, engine.ErrExists):
		return &problem.Error{Status: http.StatusConflict, Detail: "It exists already, and was started differently.", Cause: err}, false
	case errors.Is(err, resource.ErrExists):
		return &problem.Error{Status: http.StatusConflict, Detail: "What the request would make exists already.", Cause: err}, false
	case errors.Is(err, resource.ErrChanged):
		return &problem.Error{Status: http.StatusPreconditionFailed, Detail: "Somebody has changed it meanwhile.", Cause: err}, false
	case errors.Is(err, unit.ErrConflict):
		return &problem.Error{
			Status:     http.StatusServiceUnavailable,
			Detail:     "Others kept changing what this request works on. Nothing was done; try again.",
			RetryAfter: retryAfter, Cause: err,
		}, false
	case errors.Is(err, store.ErrOutcomeUnknown):
		return &problem.Error{
			Status: http.StatusInternalServerError, Title: "Outcome unknown",
			Detail:     "The request may or may not have been carried out.",
			Extensions: map[string]any{"id": id}, Cause: err,
		}, true
	case errors.Is(err, context.DeadlineExceeded):
		return &problem.Error{
			Status: http.StatusGatewayTimeout, Detail: "The request took too long.",
			Extensions: map[string]any{"id": id}, Cause: err,
		}, true
	}
	return &problem.Error{
		Status:     http.StatusInternalServerError,
		Detail:     "The request failed. The log has the cause under this id.",
		Extensions: map[string]any{"id": id}, Cause: err,
	}, true
}
