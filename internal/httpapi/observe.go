package httpapi

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/perdure/perdure/internal/telemetry"
)

// observed returns next with a span and a measurement for each request. Route is the
// pattern that requests match, such as "GET /orders/{id}". A trace that the caller has
// begun goes on.
func observed(t *telemetry.Telemetry, route string, next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	path := route[strings.LastIndexByte(route, ' ')+1:]
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, end := t.Begin(r.Context(), telemetry.Request, route, telemetry.HeadersOf(r.Header.Get),
			attribute.String("http.request.method", r.Method), attribute.String("http.route", path))
		answer, begun := &observedAnswer{ResponseWriter: w}, time.Now()
		defer func() {
			status := answer.status
			if status == 0 {
				status = http.StatusOK
			}
			t.Answered(ctx, r.Method, path, status, time.Since(begun))
			end(answer.err())
		}()
		next.ServeHTTP(answer, r.WithContext(ctx))
	})
}

// observedAnswer notes the status.
type observedAnswer struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (a *observedAnswer) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK { // others are followed by the real one
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// ReadFrom implements io.ReaderFrom, so that a file goes from the disk to the connection
// without a copy.
func (a *observedAnswer) ReadFrom(r io.Reader) (int64, error) { return io.Copy(a.ResponseWriter, r) }

// Unwrap lets http.ResponseController reach the connection.
func (a *observedAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// err is the error of a span: a fault of the server.
func (a *observedAnswer) err() error {
	if a.status >= http.StatusInternalServerError {
		return fmt.Errorf("%w: %d", errStatus, a.status)
	}
	return nil
}

var errStatus = errors.New("answered")
