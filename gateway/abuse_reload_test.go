package gateway_test

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure/gateway"
)

// versions makes declarations: each other than the one before, with the same routes that the load uses in all of them.
type versions struct {
	t       *testing.T
	targets []string // URLs
	pairs   [2][2]string
	n       int
}

// next is the next version, and whether it has an error.
func (v *versions) next() (text string, broken bool) {
	v.n++
	n := v.n
	if n%7 == 3 {
		return [...]string{
			"_format_version: \"3.0\"\nservices:\n- name: up\n  ho", "{", "",
			"_format_version: \"3.0\"\nroutes:\n- {name: all, paths: [\"~/(\"]}\n",
			"_format_version: \"3.0\"\nplugins:\n- {name: rate-limitin, config: {minute: 1}}\n",
		}[n/7%5], true
	}
	var b strings.Builder
	b.WriteString("_format_version: \"3.0\"\nupstreams:\n- name: several\n")
	fmt.Fprintf(&b, "  algorithm: %s\n  targets:\n", [...]string{"round-robin", "least-connections", "latency"}[n%3])
	for i, url := range v.targets {
		weight := 1 + rand.IntN(100)
		if i > 0 && rand.IntN(3) == 0 {
			continue // gone for a while
		}
		fmt.Fprintf(&b, "  - {target: %q, weight: %d}\n", strings.TrimPrefix(url, "http://"), weight)
	}
	b.WriteString("services:\n- name: up\n  host: several\n")
	fmt.Fprintf(&b, "  read_timeout: %d\n  routes:\n", 50_000+n)
	b.WriteString("  - {name: all, paths: [/r, /e, /stream, /echo], strip_path: false}\n")
	b.WriteString("  - name: limited\n    paths: [/limited]\n    strip_path: false\n    plugins:\n    - {name: rate-limiting, config: {hour: 50, policy: local, limit_by: service}}\n")
	for i := range rand.IntN(30) {
		fmt.Fprintf(&b, "  - {name: other-%d, paths: [/other/%d, \"~/other/%d/[a-z]+$\"], plugins: [{name: key-auth}, {name: cors}]}\n", i, rand.IntN(100), i)
	}
	fmt.Fprintf(&b, "  - {name: gone, paths: [/gone], plugins: [{name: request-termination, config: {status_code: 410, message: \"%d\"}}]}\n", n)
	b.WriteString("plugins:\n")
	if n%2 == 0 {
		fmt.Fprintf(&b, "- {name: correlation-id, config: {header_name: X-Correlation, generator: uuid}}\n- {name: response-transformer, config: {add: {headers: [\"X-Version:%d\"]}}}\n", n)
	}
	fmt.Fprintf(&b, "- {name: request-transformer, config: {add: {headers: [\"X-Version:%d\"]}}}\n", n)
	pair := v.pairs[n%2]
	indent := func(text string) string { return strings.ReplaceAll("\n"+strings.TrimSpace(text), "\n", "\n    ") }
	fmt.Fprintf(&b, "certificates:\n- id: 00000000-0000-4000-8000-00000000000%d\n  cert: |%s\n  key: |%s\n  snis: [{name: changing.test}]\n", n%2, indent(pair[0]), indent(pair[1]))
	return b.String(), false
}

// streaming is an upstream with streams besides answers.
func streaming(t *testing.T) string {
	mux := http.NewServeMux()
	mux.Handle("/", answers(func(string, string) {}))
	mux.HandleFunc("GET /limited", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /stream/{id}", func(w http.ResponseWriter, r *http.Request) { // server-sent events until the client leaves
		w.Header().Set("Content-Type", "text/event-stream")
		for i := 0; ; i++ {
			if _, err := fmt.Fprintf(w, "data: %s %d\n\n", r.PathValue("id"), i); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) { // as a stream of gRPC: what comes is answered as it comes
		w.Header().Set("Content-Type", "application/grpc")
		_ = http.NewResponseController(w).EnableFullDuplex()
		w.WriteHeader(http.StatusOK) // before anything has come
		_ = http.NewResponseController(w).Flush()
		part := make([]byte, 1024)
		for {
			n, err := r.Body.Read(part)
			_, _ = w.Write(part[:n])
			_ = http.NewResponseController(w).Flush()
			if err != nil {
				w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
				return
			}
		}
	})
	mux.HandleFunc("GET /echo", func(w http.ResponseWriter, r *http.Request) { // WebSocket, of which the frames are the test's
		nc, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = nc.Close() }()
		_, _ = io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(nc, buffered)
	})
	return serve(t, mux)
}

// The files change every 100 ms under load, with mistakes now and then: no request fails on what is in all of them, streams go on,
// counters are kept, and handshakes succeed.
func TestAbuseReload(t *testing.T) {
	t.Parallel()
	v := &versions{t: t, targets: []string{streaming(t), streaming(t), streaming(t)}}
	changing := x509.NewCertPool()
	for i := range v.pairs {
		pair := issue(t, "changing.test")
		v.pairs[i][0], v.pairs[i][1] = pemOf(t, pair)
		changing.AddCert(pair.Leaf)
	}
	first, _ := v.next()
	g := open(t, first, func(o *gateway.Options) { o.RecentRequests = time.Minute })
	done := make(chan struct{})
	going := func() bool {
		select {
		case <-done:
			return false
		default:
			return true
		}
	}
	var all sync.WaitGroup
	var requests, handshakes atomic.Int64
	plain, secure := g.newStreams(t, going), g.client(true)
	for _, f := range plain {
		all.Go(f)
	}
	for i := range 4 {
		all.Go(func() {
			a := &asker{t: t, g: g, h2: secure}
			defer a.close()
			for n := 0; going() && !t.Failed(); n++ {
				if status := a.ask(fmt.Sprintf("%d-%d", i, n), n, i == 3); status != http.StatusOK {
					t.Errorf("request %d of client %d was answered %d", n, i, status)
				}
				requests.Add(1)
			}
		})
	}
	all.Go(func() { // a new handshake each time
		for going() && !t.Failed() {
			c, err := tls.Dial("tcp", g.secure, &tls.Config{RootCAs: changing, ServerName: "changing.test"})
			if err != nil {
				t.Errorf("handshake: %v", err)
				return
			}
			w := &wire{c, bufio.NewReader(c)}
			if _, body, err := w.ask(http.MethodGet, lines("GET /r/tls?n=10 HTTP/1.1", "Host: changing.test")); err != nil || string(body) != string(pattern("tls", 10)) {
				t.Errorf("after a handshake: %q, %v", body, err)
			}
			_ = c.Close()
			handshakes.Add(1)
		}
	})
	allowed, refused := 0, 0
	reload := func() {
		text, broken := v.next()
		write(t, g.file, text)
		w := httptest.NewRecorder()
		g.Administration().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/reload", nil))
		var state gateway.Reload
		if err := json.Unmarshal(w.Body.Bytes(), &state); err != nil || state.OK == broken {
			t.Errorf("version %d, broken %v: %v, %+v\n%s", v.n, broken, err, state, text)
		}
		for range 10 {
			switch status, _, _ := g.get("/limited"); status {
			case http.StatusOK:
				allowed++
			case http.StatusTooManyRequests:
				refused++
			default:
				t.Errorf("/limited: %d", status)
			}
		}
	}
	hour := time.Now().Hour()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	begun := time.Now()
	var slowest time.Duration
	for (time.Since(begun) < soak(t, time.Second) || refused == 0 || v.n < 11) && !t.Failed() { // on a slow machine until all was tried
		<-tick.C
		at := time.Now()
		reload()
		slowest = max(slowest, time.Since(at))
	}
	close(done)
	all.Wait()
	t.Logf("%d versions, %d requests and %d handshakes meanwhile; the slowest reload with its ten requests took %v; of the limited %d passed and %d were refused",
		v.n, requests.Load(), handshakes.Load(), slowest, allowed, refused)
	if time.Now().Hour() == hour && allowed != 50 {
		t.Errorf("%d requests passed a limit of 50 an hour", allowed)
	}
	if requests.Load() == 0 || handshakes.Load() == 0 || refused == 0 {
		t.Error("nothing was tried")
	}
}

// newStreams are streams that go on while going, and are then checked.
func (f *front) newStreams(t *testing.T, going func() bool) []func() {
	t.Helper()
	return []func(){
		func() { f.events(t, going) },
		func() { f.webSocket(t, going) },
		func() { f.duplex(t, going) },
		func() { f.slowUpload(t, going) },
		func() { f.slowDownload(t, going) },
	}
}

// events reads server-sent events: none is missing.
func (f *front) events(t *testing.T, going func() bool) {
	c, err := dial(f.plain, time.Hour)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, lines("GET /stream/a HTTP/1.1", "Host: a")); err != nil {
		t.Error(err)
	}
	r, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Errorf("events: %v", err)
		return
	}
	events := bufio.NewReader(r.Body)
	for i := 0; going(); i++ {
		text, err := events.ReadString('\n')
		if want := fmt.Sprintf("data: a %d\n", i); err != nil || text != want {
			t.Errorf("event %q, %v, want %q", text, err, want)
			return
		}
		_, _ = events.ReadString('\n')
	}
}

// webSocket sends and is sent the same back.
func (f *front) webSocket(t *testing.T, going func() bool) {
	c, err := dial(f.plain, time.Hour)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = c.Close() }()
	if r, _, err := c.ask(http.MethodGet, lines("GET /echo HTTP/1.1", "Host: a", "Connection: Upgrade", "Upgrade: websocket")); err != nil || r.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("WebSocket: %v, %v", r, err)
		return
	}
	for i := 0; going(); i++ {
		message := pattern(fmt.Sprintf("message-%d", i), 1+i*37%20_000)
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			_, _ = c.Write(message)
		}()
		got := make([]byte, len(message))
		_, err := io.ReadFull(c.r, got)
		if <-sent; err != nil || string(got) != string(message) {
			t.Errorf("message %d: %v, %.60q", i, err, got)
			return
		}
	}
}

// duplex is a stream both ways on HTTP/2, with trailers.
func (f *front) duplex(t *testing.T, going func() bool) {
	out, in := io.Pipe()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+f.secure+"/echo", out)
	if err != nil {
		t.Error(err)
		return
	}
	r, err := f.client(true).Do(request)
	if err != nil {
		t.Errorf("duplex: %v", err)
		return
	}
	defer func() { _ = r.Body.Close() }()
	defer func() { _ = in.Close() }()
	for i := 0; going(); i++ {
		message := pattern(fmt.Sprintf("message-%d", i), 1+i*7%900)
		if _, err := in.Write(message); err != nil {
			t.Errorf("duplex: %v", err)
			return
		}
		got := make([]byte, len(message))
		if _, err := io.ReadFull(r.Body, got); err != nil || string(got) != string(message) {
			t.Errorf("duplex message %d: %v, %.60q", i, err, got)
			return
		}
		<-time.After(time.Millisecond)
	}
	_ = in.Close()
	if rest, err := io.ReadAll(r.Body); err != nil || len(rest) > 0 || r.Trailer.Get("Grpc-Status") != "0" {
		t.Errorf("the end of duplex: %q, %v, %v", rest, err, r.Trailer)
	}
}

// slowUpload sends a body for as long as it goes.
func (f *front) slowUpload(t *testing.T, going func() bool) {
	c, err := dial(f.plain, time.Hour)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, lines("POST /e/slow HTTP/1.1", "Host: a", "Transfer-Encoding: chunked")); err != nil {
		t.Error(err)
	}
	hash, n := sha256.New(), 0
	for i := 0; going(); i++ {
		part := pattern(fmt.Sprintf("part-%d", i), 1000)
		if _, err := fmt.Fprintf(c, "3e8\r\n%s\r\n", part); err != nil {
			t.Errorf("slow upload: %v", err)
			return
		}
		_, _ = hash.Write(part)
		n += len(part)
		<-time.After(10 * time.Millisecond)
	}
	_, body, err := c.ask(http.MethodPost, "0\r\n\r\n")
	if want := fmt.Sprintf("slow %d %x", n, hash.Sum(nil)); err != nil || string(body) != want {
		t.Errorf("slow upload: %q, %v, want %q", body, err, want)
	}
}

// slowDownload reads a large body bit by bit, and the rest when it is over.
func (f *front) slowDownload(t *testing.T, going func() bool) {
	size := int64(4 << 20)
	if soaking() {
		size = 32 << 20
	}
	c, err := dial(f.plain, time.Hour)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, lines(fmt.Sprintf("GET /r/slow?n=%d HTTP/1.1", size), "Host: a")); err != nil {
		t.Error(err)
	}
	r, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Errorf("slow download: %v", err)
		return
	}
	hash, n := sha256.New(), int64(0)
	for going() && n < size-(1<<20) {
		k, err := io.CopyN(hash, r.Body, 64<<10)
		if n += k; err != nil {
			t.Errorf("slow download: after %d: %v", n, err)
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	k, err := io.Copy(hash, r.Body)
	if n += k; err != nil || n != size || fmt.Sprintf("%x", hash.Sum(nil)) != digest(pattern("slow", int(size))) {
		t.Errorf("slow download: %d bytes, %v", n, err)
	}
}
