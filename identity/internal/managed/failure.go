package managed

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// failure is an answer of the loopback endpoint that has no token.
type failure struct {
	status int
	// message is for the caller, and for the audit log.
	message string
	// identity is the object id of whom it is about; empty while that is not known.
	identity string
}

// fail makes a failure.
func fail(status int, message string) *failure { return &failure{status: status, message: message} }

// write answers in the shape of the protocol.
func (f *failure) write(w http.ResponseWriter) {
	if f.status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "5")
	}
	writeJSON(w, f.status, map[string]any{"statusCode": f.status, "message": f.message})
}

// writeJSON answers by a JSON document.
func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"statusCode":500,"message":"the request could not be handled"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // who went away does not hear it
}

const (
	// maxFailures may follow each other at once.
	maxFailures = 20
	// forgiveEvery is the time after which one more is allowed.
	forgiveEvery = 3 * time.Second
)

// failures bounds how many failed requests are looked into and written to the audit log. A secret cannot be
// guessed, so this keeps the log from being flooded; requests that succeed are not held up by those that fail.
type failures struct {
	now func() time.Time

	mu    sync.Mutex
	spent int
	since time.Time
}

// allow reports whether one more is below the bound.
func (f *failures) allow() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	if forgiven := int(now.Sub(f.since) / forgiveEvery); forgiven > 0 || f.since.IsZero() || now.Before(f.since) {
		f.spent, f.since = max(0, f.spent-forgiven), now
	}
	if f.spent >= maxFailures {
		return false
	}
	f.spent++
	return true
}
