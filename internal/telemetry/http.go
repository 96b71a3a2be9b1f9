package telemetry

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
)

// Handler returns next with a span and a measurement for each request. Route is the
// pattern that requests match, such as "GET /orders/{id}". A trace that the caller has
// begun goes on.
func (t *Telemetry) Handler(route string, next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	path := route[strings.LastIndexByte(route, ' ')+1:]
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		headers := map[string]string{}
		for _, name := range propagator.Fields() {
			if v := r.Header.Get(name); v != "" {
				headers[name] = v
			}
		}
		ctx, end := t.Begin(r.Context(), Request, route, headers,
			attribute.String("http.request.method", r.Method), attribute.String("http.route", path))
		answer, begun := &answer{ResponseWriter: w}, time.Now()
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

// answer notes the status.
type answer struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK { // others are followed by the real one
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// ReadFrom implements io.ReaderFrom, so that a file goes from the disk to the connection
// without a copy.
func (a *answer) ReadFrom(r io.Reader) (int64, error) { return io.Copy(a.ResponseWriter, r) }

// Unwrap lets http.ResponseController reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// err is the error of a span: a fault of the server.
func (a *answer) err() error {
	if a.status >= http.StatusInternalServerError {
		return fmt.Errorf("%w: %d", errStatus, a.status)
	}
	return nil
}

var errStatus = errors.New("answered")
