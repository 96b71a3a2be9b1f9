package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// breaking is an upstream in this process that breaks off in the middle of answers: connections are reset, or end early.
type breaking struct {
	net.Listener
	seen func(method, id string)
	open atomic.Int64
}

func newBreaking(t *testing.T, seen func(method, id string)) *breaking {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &breaking{Listener: l, seen: seen}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			b.open.Add(1)
			all.Go(func() {
				defer b.open.Add(-1)
				b.serve(nc.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait() // the gateway has stopped, and closed its connections
	})
	return b
}

func (b *breaking) serve(nc *net.TCPConn) {
	defer func() { _ = nc.Close() }()
	r := bufio.NewReader(nc)
	for {
		request, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		id := request.URL.Path[strings.LastIndexByte(request.URL.Path, '/')+1:]
		b.seen(request.Method, id)
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return
		}
		n, _ := strconv.Atoi(request.URL.Query().Get("n"))
		answer := pattern(id, n)
		if request.Method != http.MethodGet {
			answer = []byte(taken(id, body))
		}
		head, kind := "HTTP/1.1 200 OK\r\nX-Id: "+id+"\r\n", rand.IntN(8)
		if kind == 7 { // nothing at all
			if rand.IntN(2) == 0 {
				_ = nc.SetLinger(0)
			}
			return
		}
		cut := rand.IntN(len(answer) + 1)
		switch kind {
		case 0, 1, 2: // right
			_, err = fmt.Fprintf(nc, "%sContent-Length: %d\r\n\r\n%s", head, len(answer), answer)
		case 3: // right, to the end of the connection
			_, _ = fmt.Fprintf(nc, "%sConnection: close\r\n\r\n%s", head, answer)
			return
		case 4:
			_, _ = fmt.Fprintf(nc, "%sContent-Length: %d\r\n\r\n%s", head, len(answer)+1, answer[:cut])
		case 5:
			_, _ = fmt.Fprintf(nc, "%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s", head, len(answer)+1, answer[:cut])
		case 6:
			_, _ = io.WriteString(nc, head[:rand.IntN(len(head))])
		}
		if err != nil {
			return
		}
		if kind > 3 {
			if rand.IntN(2) == 0 {
				_ = nc.SetLinger(0)
			}
			return
		}
	}
}

// ledger has what arrived at upstreams.
type ledger struct {
	mu      sync.Mutex
	arrived map[string]int
}

func (l *ledger) add(method, id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.arrived[method+" "+id]++
}

// Upstreams die and return under load. Every answer is the whole one to that request, or says that there is none, or the connection
// breaks; no POST arrives twice; and in the end nothing is left over.
func TestAbuseUpstreams(t *testing.T) {
	t.Parallel()
	for _, checks := range []struct{ name, text string }{
		{"passive", "{passive: {unhealthy: {tcp_failures: 2, timeouts: 2, http_failures: 5}, healthy: {successes: 1}}}"},
		{"active", "{active: {type: tcp, healthy: {interval: 0.1, successes: 1}, unhealthy: {interval: 0.1, tcp_failures: 1, timeouts: 1}}, passive: {unhealthy: {tcp_failures: 1}}}"},
		{"none", "{}"},
	} {
		t.Run(checks.name, func(t *testing.T) {
			t.Parallel()
			tryUpstreams(t, checks.text)
		})
	}
}

// upstreamsUnderTest are two processes that are killed, and two that break off.
type upstreamsUnderTest struct {
	t         *testing.T
	seen      string
	processes []*process
	addresses []string
}

// revive starts the i-th process, at its address.
func (u *upstreamsUnderTest) revive(i int) {
	for range 50 {
		p, err := run("upstream", "PERDURE_GATEWAY_ADDRESS="+u.addresses[i], fmt.Sprintf("PERDURE_GATEWAY_SEEN=%s-%d", u.seen, i))
		if err != nil {
			u.t.Error(err)
			return
		}
		address, err := p.line()
		if err != nil { // a connection to itself has taken the port for a moment
			p.kill()
			continue
		}
		u.addresses[i], u.processes[i] = address, p
		return
	}
	u.t.Errorf("the upstream at %s does not start", u.addresses[i])
}

func tryUpstreams(t *testing.T, checks string) {
	book := &ledger{arrived: map[string]int{}}
	up := &upstreamsUnderTest{t: t, seen: filepath.Join(t.TempDir(), "seen"), processes: make([]*process, 2), addresses: []string{"127.0.0.1:0", "127.0.0.1:0"}}
	t.Cleanup(func() {
		for _, p := range up.processes {
			if p != nil {
				p.kill()
			}
		}
	})
	for i := range up.processes {
		if up.revive(i); t.Failed() {
			return
		}
	}
	b1, b2 := newBreaking(t, book.add), newBreaking(t, book.add)
	var targets strings.Builder
	for _, address := range append(up.addresses[:2:2], b1.Addr().String(), b2.Addr().String()) {
		fmt.Fprintf(&targets, "  - {target: %q, weight: 10}\n", address)
	}
	g := open(t, `
_format_version: "3.0"
upstreams:
- name: several
  algorithm: round-robin
  healthchecks: `+checks+`
  targets:
`+targets.String()+`
services:
- {name: up, host: several, protocol: http, retries: 3, connect_timeout: 2000, read_timeout: 5000, routes: [{name: all, paths: [/], strip_path: false}]}
`)
	end := time.Now().Add(soak(t, time.Second))
	var clients sync.WaitGroup
	var right, refused, broken atomic.Int64
	secure := g.client(true)
	for i := range 6 {
		clients.Go(func() {
			x := &asker{t: t, g: g, h2: secure}
			defer x.close()
			for n := 0; time.Now().Before(end) && !t.Failed(); n++ {
				switch x.ask(fmt.Sprintf("%d-%d", i, n), n, i == 5) {
				case 0:
					broken.Add(1)
				case http.StatusOK:
					right.Add(1)
				default:
					refused.Add(1)
				}
			}
		})
	}
	kills := 0
	for time.Now().Before(end) && !t.Failed() {
		i := kills % 2
		<-time.After(time.Duration(rand.IntN(200)) * time.Millisecond)
		up.processes[i].kill()
		<-time.After(time.Duration(rand.IntN(200)) * time.Millisecond)
		up.revive(i)
		kills++
	}
	clients.Wait()
	t.Logf("%d kills: %d right, %d answered by an error, %d broken off", kills, right.Load(), refused.Load(), broken.Load())
	if right.Load() == 0 || kills == 0 {
		t.Errorf("%d answers were right, %d kills", right.Load(), kills)
	}
	for i := range up.processes {
		text, err := os.ReadFile(fmt.Sprintf("%s-%d", up.seen, i))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if method, id, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
				book.add(method, id)
			}
		}
	}
	for what, n := range book.arrived {
		if n > 1 && strings.HasPrefix(what, "POST ") {
			t.Errorf("%s arrived %d times", what, n)
		}
		if n > 8 {
			t.Errorf("%s arrived %d times, with 3 retries", what, n)
		}
	}
	if err := g.Stop(t.Context()); err != nil { // it may be stopped twice
		t.Error(err)
	}
	for deadline := time.Now().Add(5 * time.Second); b1.open.Load()+b2.open.Load() > 0; <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("%d connections are still open", b1.open.Load()+b2.open.Load())
			break
		}
	}
}

// asker sends requests of all kinds, on a connection as long as it lasts.
type asker struct {
	t    *testing.T
	g    *front
	h2   *http.Client
	wire *wire
}

func (a *asker) close() {
	if a.wire != nil {
		_ = a.wire.Close()
		a.wire = nil
	}
}

// ask sends one and returns the status, 0 if the connection broke. What is taken for an answer is checked.
func (a *asker) ask(id string, n int, h2 bool) int {
	method, path, body, want := http.MethodGet, fmt.Sprintf("/r/%s?n=%d", id, n%5*n%40_000), "", ""
	switch n % 4 {
	case 0:
		want = string(pattern(id, n%5*n%40_000))
	case 1:
		path += "&framing=chunked"
		want = string(pattern(id, n%5*n%40_000))
	case 2, 3:
		method, path, body = http.MethodPost, "/e/"+id, string(pattern(id, n%3*n%50_000))
		if n%8 > 3 {
			method = http.MethodPut
		}
		want = taken(id, []byte(body))
	}
	var r *http.Response
	var got []byte
	var err error
	if h2 {
		r, got, err = a.byHTTP2(method, path, body)
	} else {
		r, got, err = a.byHTTP1(method, path, body, n%3 == 0)
	}
	switch {
	case err != nil:
		a.close()
		return 0
	case r.StatusCode == http.StatusOK && (string(got) != want || r.Header.Get("X-Id") != id):
		a.t.Errorf("%s %s was answered %s %.80q of %d bytes, want %.80q of %d", method, path, r.Header.Get("X-Id"), got, len(got), want, len(want))
	case r.StatusCode != http.StatusOK && r.StatusCode < 500:
		a.t.Errorf("%s %s was answered %d %.80q", method, path, r.StatusCode, got)
	}
	if r.Close {
		a.close()
	}
	return r.StatusCode
}

func (a *asker) byHTTP1(method, path, body string, chunked bool) (*http.Response, []byte, error) {
	if a.wire == nil {
		c, err := dial(a.g.plain, time.Hour)
		if err != nil {
			return nil, nil, err
		}
		a.wire = c
	}
	head := []string{method + " " + path + " HTTP/1.1", "Host: a"}
	switch {
	case body != "" && chunked:
		head, body = append(head, "Transfer-Encoding: chunked"), fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	case body != "" || method == http.MethodPost:
		head = append(head, "Content-Length: "+strconv.Itoa(len(body)))
	}
	sent := make(chan struct{})
	go func(c *wire) { // the answer may come before the body is sent
		defer close(sent)
		_, _ = io.WriteString(c, lines(head...)+body)
	}(a.wire)
	r, got, err := a.wire.response(method)
	if err != nil || r.Close {
		a.close()
	}
	<-sent
	return r, got, err
}

func (a *asker) byHTTP2(method, path, body string) (*http.Response, []byte, error) {
	request, err := http.NewRequestWithContext(a.t.Context(), method, "https://"+a.g.secure+path, struct{ io.Reader }{strings.NewReader(body)})
	if err != nil {
		return nil, nil, err
	}
	if method == http.MethodGet {
		request.Body = nil
	}
	r, err := a.h2.Do(request)
	if err != nil {
		return nil, nil, err
	}
	got, err := io.ReadAll(r.Body)
	_ = r.Body.Close()
	return r, got, err
}
