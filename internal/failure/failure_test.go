package failure_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/engine"
	"github.com/perdure/perdure/internal/failure"
	"github.com/perdure/perdure/internal/problem"
	"github.com/perdure/perdure/internal/resource"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/unit"
)

func TestProblem(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err    error
		status int
		retry  time.Duration
		hidden bool
	}{
		"own":              {problem.New(418, "x"), 418, 0, false},
		"own, status 200":  {problem.New(200, "x"), 500, 0, true},
		"absent":           {resource.ErrNotFound, 404, 0, false},
		"no instance":      {engine.ErrNotFound, 404, 0, false},
		"instance ended":   {engine.ErrEnded, 409, 0, false},
		"instance exists":  {engine.ErrExists, 409, 0, false},
		"resource exists":  {resource.ErrExists, 409, 0, false},
		"resource changed": {resource.ErrChanged, 412, 0, false},
		"conflict":         {fmt.Errorf("%w: %w", unit.ErrConflict, store.ErrConflict), 503, time.Second, false},
		"body too large":   {&http.MaxBytesError{Limit: 5}, 413, 0, false},
		"own over another": {&problem.Error{Status: 409, Cause: resource.ErrNotFound}, 409, 0, false},
		"outcome unknown":  {store.ErrOutcomeUnknown, 500, 0, true},
		"too slow":         {context.DeadlineExceeded, 504, 0, true},
		"anything":         {errors.New("secret"), 500, 0, true},
	} {
		p, hidden := failure.Problem(fmt.Errorf("secret: %w", tt.err), "the-id")
		if p.Status != tt.status || hidden != tt.hidden || p.RetryAfter != tt.retry {
			t.Errorf("%s: got %d, hidden %v, retry %v", name, p.Status, hidden, p.RetryAfter)
		}
		if !errors.Is(p, tt.err) && p.Cause != nil {
			t.Errorf("%s: the cause is lost", name)
		}
		body, err := json.Marshal(p)
		if err != nil || strings.Contains(string(body), "secret") || hidden != strings.Contains(string(body), "the-id") {
			t.Errorf("%s: document %s, %v", name, body, err)
		}
	}
}
