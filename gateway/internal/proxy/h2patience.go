package proxy

import (
	"net/http"
	"sync"
	"time"
)

// patience is with a client that takes nothing of what is written. The window of a stream may be closed for ever, and its connection
// be alive nevertheless.
type patience struct {
	mu    sync.Mutex
	timer *time.Timer
	w     http.ResponseWriter // nil while nothing is written
	until time.Duration       // by the monotonic clock
}

// begin is called before something is written, with how long that may take; not above 0 is for ever.
func (p *patience) begin(w http.ResponseWriter, limit time.Duration) {
	if limit <= 0 {
		return
	}
	p.mu.Lock()
	p.w, p.until = w, monotonic()+limit
	p.mu.Unlock()
	if p.timer == nil {
		p.timer = time.AfterFunc(limit, p.lost)
		return
	}
	p.timer.Reset(limit)
}

// end is called after it was written.
func (p *patience) end() {
	if p.timer == nil {
		return
	}
	p.timer.Stop()
	p.mu.Lock()
	p.w = nil
	p.mu.Unlock()
}

// lost resets the stream.
func (p *patience) lost() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.w != nil && monotonic() >= p.until { // else it is late, and something else is being written
		_ = http.NewResponseController(p.w).SetWriteDeadline(past) // it is HTTP/2's, which can
	}
}

var past = time.Unix(1, 0)

// writeLimit is how long a client may take for what is written.
func (s *Server) writeLimit() time.Duration {
	if limit := s.options.Timeouts.Write; limit != 0 {
		return limit
	}
	return defaultWrite
}

const defaultWrite = 30 * time.Second // h1's
