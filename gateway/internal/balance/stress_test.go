package balance_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure/gateway/internal/balance"
)

// mortal is a server that can die and return at the same address.
type mortal struct {
	t       *testing.T
	name    string
	address string
	server  *http.Server
	done    chan struct{}
}

func (m *mortal) rise() {
	if m.address == "" {
		m.address = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", m.address)
	if err != nil {
		m.t.Errorf("the server cannot return: %v", err)
		return
	}
	m.address = l.Addr().String()
	m.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, m.name+" "+r.URL.Path)
	})}
	m.done = make(chan struct{})
	go func() {
		defer close(m.done)
		_ = m.server.Serve(l) // ends by Close
	}()
}

func (m *mortal) die() {
	m.server.Close()
	<-m.done
}

// Servers die and return under load: each request is answered by one of those that live, and what was asked. All the
// while the configuration is loaded again and again.
func TestServersDieAndReturn(t *testing.T) {
	t.Parallel()
	var mortals []*mortal
	var addresses []string
	for _, name := range []string{"a", "b", "c"} {
		m := &mortal{t: t, name: name}
		m.rise()
		t.Cleanup(func() { m.die() })
		mortals, addresses = append(mortals, m), append(addresses, m.address)
	}
	more := "  healthchecks: {active: {healthy: {interval: 1, successes: 1}, unhealthy: {interval: 1, tcp_failures: 1}}, passive: {unhealthy: {tcp_failures: 1}}}\n"
	w := newWorld(t, upstream(more, addresses...), nil)
	w.Start(t.Context())
	url := w.gateway(t)

	var asked, wrong atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var all sync.WaitGroup
	cl := client(t)
	for range 4 {
		all.Go(func() {
			for ctx.Err() == nil {
				r, err := cl.Get(url + "/path")
				if err != nil {
					wrong.Add(1)
					t.Errorf("no answer: %v", err)
					return
				}
				body, err := io.ReadAll(r.Body)
				r.Body.Close()
				if err != nil || r.StatusCode != http.StatusOK || len(body) != 7 || string(body[1:]) != " /path" {
					wrong.Add(1)
					t.Errorf("answered is %d %q, %v", r.StatusCode, body, err)
					return
				}
				asked.Add(1)
			}
		})
	}
	passed := func(n int64) { // that many requests later
		for until := asked.Load() + n; asked.Load() < until && wrong.Load() == 0; {
			if _, body := get(t, cl, url+"/path"); len(body) != 7 {
				t.Errorf("answered is %q", body)
				return
			}
		}
	}
	for round := range 6 {
		m := mortals[round%len(mortals)]
		passed(20)
		m.die()
		passed(20)
		m.rise()
		w.clock.Advance(10 * time.Minute) // checks, and whatever is due
		if again, problems := w.Build(w.config); again == nil {
			t.Error(problems)
		} else {
			again.Commit()
		}
	}
	cancel()
	all.Wait()
	w.checked(t)
	w.advance(t, time.Minute)
	for address, h := range w.health() {
		if h.Health != balance.Healthy {
			t.Errorf("%s is %+v in the end", address, h)
		}
	}
	if asked.Load() < 200 {
		t.Errorf("%d requests were answered", asked.Load())
	}
}
