package httpapi

import (
	"io"
	"net/http"
	"time"

	"github.com/perdure/perdure/internal/problem"
)

// How long the rest of a body that was refused is taken in.
const (
	lingerTime  = 5 * time.Second
	lingerBytes = 256 << 20
)

// refuseBody answers at once that a body is too large, and then passes over what is still
// sent of it. Many clients read the answer only when they have sent everything: to close
// the connection before would show them a broken connection instead (RFC 9112, 9.6).
func refuseBody(w http.ResponseWriter, r *http.Request, p *problem.Error) {
	control := http.NewResponseController(w)
	waits := r.Header.Get("Expect") != "" // such a client sends nothing before it is asked to
	if waits || control.EnableFullDuplex() != nil {
		p.Write(w)
		return
	}
	w.Header().Set("Connection", "close")
	p.Write(w)
	if control.Flush() != nil || control.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	if b, ok := r.Body.(*pacedBody); ok {
		b.endBy(time.Now().Add(lingerTime))
	}
	_, _ = io.CopyN(io.Discard, r.Body, lingerBytes) // answered already: its end changes nothing
}
