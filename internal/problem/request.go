package problem

import (
	"fmt"
	"net/http"
)

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
