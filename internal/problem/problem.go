// Package problem answers failed HTTP requests with problem details (RFC 9457).
//
// An Error is what user code returns to choose the answer. What other errors become,
// package httpapi decides.
package problem

import (
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"time"
)

// ContentType is the media type of problem details.
const ContentType = "application/problem+json"

// Error is a problem detail (RFC 9457) and an error: returned by a function, it
// is the answer to the request.
type Error struct {
	// Status is the HTTP status, 400 to 599.
	Status int
	// Type is a URI that identifies the kind of problem. Empty stands for
	// "about:blank": the status says it all.
	Type string
	// Title is a short name of the kind of problem. Empty stands for the
	// status's own text.
	Title string
	// Detail explains this occurrence to the caller.
	Detail string
	// Instance is a URI that identifies this occurrence.
	Instance string
	// Extensions are further members of the document. A member named like one
	// of the standard's is ignored.
	Extensions map[string]any
	// RetryAfter, if positive, is sent as the Retry-After header, rounded up
	// to seconds.
	RetryAfter time.Duration
	// Cause is kept for errors.Is and for logs; the caller never sees it.
	Cause error
}

// New returns a problem with the given status and an explanation for the caller.
func New(status int, detail string) *Error {
	return &Error{Status: status, Detail: detail}
}

// Error returns the title and the detail.
func (e *Error) Error() string {
	if e.Detail == "" {
		return e.title()
	}
	return e.title() + ": " + e.Detail
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

func (e *Error) title() string {
	if e.Title != "" {
		return e.Title
	}
	if text := http.StatusText(e.Status); text != "" {
		return text
	}
	return "Status " + strconv.Itoa(e.Status)
}

// MarshalJSON writes the document: the standard's members and the extensions.
func (e *Error) MarshalJSON() ([]byte, error) {
	doc := map[string]any{}
	maps.Copy(doc, e.Extensions)
	for _, m := range []struct{ name, value string }{
		{"type", e.Type}, {"title", e.title()}, {"detail", e.Detail}, {"instance", e.Instance},
	} {
		delete(doc, m.name)
		if m.value != "" {
			doc[m.name] = m.value
		}
	}
	doc["status"] = e.Status
	return json.Marshal(doc)
}

// Write sends the problem as the answer to a request.
func (e *Error) Write(w http.ResponseWriter) {
	body, err := json.Marshal(e)
	if err != nil { // an extension that has no JSON form
		bare := *e
		bare.Extensions = nil
		body, _ = json.Marshal(&bare)
	}
	h := w.Header()
	h.Set("Content-Type", ContentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	if e.RetryAfter > 0 {
		seconds := (e.RetryAfter + time.Second - 1) / time.Second
		h.Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
	}
	w.WriteHeader(e.Status)
	_, _ = w.Write(body) // the client is gone: nobody is left to tell
}
