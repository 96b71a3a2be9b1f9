package httpapi

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// How long the rest of a body that was refused is taken in.
const (
	lingerTime  = 5 * time.Second
	lingerBytes = 256 << 20
	// passOver is how long a body may be that is read before a refusal, so that the
	// connection can be kept.
	passOver = 64 << 10
)

// refuseUnread lets answer refuse a request whose body may not have been read.
func refuseUnread(w http.ResponseWriter, r *http.Request, answer func()) {
	switch {
	case r.Body == nil, r.Body == http.NoBody:
		answer()
	case r.ContentLength < 0, r.ContentLength > passOver, r.Header.Get("Expect") != "":
		refuseBody(w, r, answer)
	default:
		if b, ok := r.Body.(*pacedBody); ok {
			b.endBy(time.Now().Add(lingerTime))
		}
		if _, err := io.CopyN(io.Discard, r.Body, r.ContentLength+1); !errors.Is(err, io.EOF) {
			w.Header().Set("Connection", "close") // the rest of it is not the next request
		}
		answer()
	}
}

// refuseBody answers at once without the body, and then passes over what is still
// sent of it. Many clients read the answer only when they have sent everything: to close
// the connection before would show them a broken connection instead (RFC 9112, 9.6).
func refuseBody(w http.ResponseWriter, r *http.Request, answer func()) {
	control := http.NewResponseController(w)
	waits := r.Header.Get("Expect") != "" // such a client sends nothing before it is asked to
	duplex := !waits && control.EnableFullDuplex() == nil
	w.Header().Set("Connection", "close") // else the server waits for the body before it answers
	answer()
	if !duplex {
		return
	}
	if control.Flush() != nil || control.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	if b, ok := r.Body.(*pacedBody); ok {
		b.endBy(time.Now().Add(lingerTime))
	}
	_, _ = io.CopyN(io.Discard, r.Body, lingerBytes) // answered already: its end changes nothing
}
