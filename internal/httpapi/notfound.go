package httpapi

import (
	"fmt"
	"net/http"

	"github.com/perdure/perdure/internal/problem"
)

// Problems serves mux; where no pattern fits a request, the answer is a problem
// like all others, with 404, or 405 and the header Allow.
func Problems(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		probe := &probe{header: http.Header{}}
		h.ServeHTTP(probe, r)
		switch probe.status {
		case http.StatusNotFound:
			problem.New(http.StatusNotFound, fmt.Sprintf("Nothing is at %s.", r.URL.Path)).Write(w)
		case http.StatusMethodNotAllowed:
			allow := probe.header.Get("Allow")
			w.Header().Set("Allow", allow)
			problem.New(http.StatusMethodNotAllowed, fmt.Sprintf("%s takes %s.", r.URL.Path, allow)).Write(w)
		default: // a redirect to the clean path
			mux.ServeHTTP(w, r)
		}
	})
}

// probe takes note of an answer without sending it.
type probe struct {
	header http.Header
	status int
}

// Header implements http.ResponseWriter.
func (p *probe) Header() http.Header { return p.header }

// Write implements http.ResponseWriter.
func (p *probe) Write(b []byte) (int, error) {
	p.WriteHeader(http.StatusOK)
	return len(b), nil
}

// WriteHeader implements http.ResponseWriter.
func (p *probe) WriteHeader(status int) {
	if p.status == 0 {
		p.status = status
	}
}
