package httpapi

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

// How slowly a body may come.
const (
	// bodyGrace is how long a sender may be silent, and how long it may be slower than
	// minBodyRate.
	bodyGrace = 30 * time.Second
	// minBodyRate is how many bytes of a body have to come each second.
	minBodyRate = 1 << 10
)

// Pace ends the reading of bodies that come too slowly, so that a few senders cannot hold
// many connections. The time in which nothing is read does not count.
func Pace(next http.Handler) http.Handler { return pace(next, bodyGrace, minBodyRate) }

// pace is Pace with a grace and a rate in bytes per second.
func pace(next http.Handler, grace time.Duration, rate int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			body := &pacedBody{ReadCloser: r.Body, control: http.NewResponseController(w), grace: grace, rate: rate}
			r.Body = body
			// The server reads what a handler has left before it answers.
			defer body.leave()
		}
		next.ServeHTTP(w, r)
	})
}

// pacedBody is a body with a deadline for each read.
type pacedBody struct {
	io.ReadCloser
	control *http.ResponseController
	grace   time.Duration
	rate    int64
	read    int64
	waited  time.Duration
	end     time.Time // of all reading, unless zero
	ended   bool      // everything was read
}

// Read implements io.Reader. It fails with os.ErrDeadlineExceeded.
func (b *pacedBody) Read(p []byte) (int, error) {
	begun := time.Now()
	earned := time.Duration(b.read/b.rate) * time.Second
	deadline := begun.Add(min(b.grace, b.grace+earned-b.waited))
	if !b.end.IsZero() && b.end.Before(deadline) {
		deadline = b.end
	}
	if err := b.control.SetReadDeadline(deadline); errors.Is(err, http.ErrNotSupported) {
		return b.ReadCloser.Read(p) // no connection: a test
	} else if err != nil {
		return 0, err
	}
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	b.waited += time.Since(begun)
	if errors.Is(err, io.EOF) {
		b.ended = true
		// The server listens on for the client to leave, which has no deadline.
		if reset := b.control.SetReadDeadline(time.Time{}); reset != nil {
			return n, reset
		}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		b.end = begun // nothing more is waited for
	}
	return n, err
}

// leave bounds the reading of what is left.
func (b *pacedBody) leave() {
	if !b.ended {
		_ = b.control.SetReadDeadline(time.Now().Add(min(b.grace, lingerTime))) // where it cannot be set there is no connection
	}
}

// endBy bounds all further reading.
func (b *pacedBody) endBy(t time.Time) { b.end = t }
