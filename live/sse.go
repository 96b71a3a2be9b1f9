package live

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

// accept begins the answer by the protocol that the request asks for; false if it is
// answered already.
func (s *Server) accept(w http.ResponseWriter, r *http.Request) (transport, bool) {
	if isWebSocket(r) {
		return s.acceptWebSocket(w, r)
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // a proxy that collects answers would hold the events back
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil, false
	}
	return &events{w: w, control: http.NewResponseController(w), done: r.Context().Done(), timeout: s.endpoint.writeTimeout}, true
}

// events is a connection by server-sent events.
type events struct {
	w       http.ResponseWriter
	control *http.ResponseController
	done    <-chan struct{}
	timeout time.Duration
}

func (t *events) gone() <-chan struct{} { return t.done }

func (t *events) send(event, id string, changes []json.RawMessage) error {
	b := append(make([]byte, 0, 512), "event: "...)
	b = append(b, event...)
	switch {
	case id != "":
		b = append(append(b, "\nid: "...), id...)
	case event == "reset":
		b = append(b, "\nid"...) // forgets the last one
	}
	b = append(b, "\ndata: "...)
	if changes == nil {
		b = append(b, "{}"...)
	} else {
		b = appendList(b, changes)
	}
	return t.write(append(b, "\n\n"...))
}

// beat sends a comment, and the id without an event: browsers remember it.
func (t *events) beat(id string) error {
	b := []byte(":\n")
	if id != "" {
		b = append(append(append(b, "id: "...), id...), '\n')
	}
	return t.write(append(b, '\n'))
}

func (t *events) close(why error) {
	switch {
	case errors.Is(why, errSlow):
		_ = t.send("slow", "", nil) // it is disconnected with and without
	case errors.Is(why, errEnd):
		_ = t.send("end", "", nil)
	}
}

// write sends bytes at once.
func (t *events) write(b []byte) error {
	err := t.control.SetWriteDeadline(time.Now().Add(t.timeout))
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := t.w.Write(b); err != nil {
		return err
	}
	return t.control.Flush()
}

// appendList appends a JSON array.
func appendList(b []byte, values []json.RawMessage) []byte {
	b = append(b, '[')
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, bytes.TrimSpace(v)...)
	}
	return append(b, ']')
}
