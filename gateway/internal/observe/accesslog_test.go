package observe_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/gateway/internal/h1"
	"github.com/perdure/perdure/gateway/internal/observe"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/plugin/plugintest"
	"github.com/perdure/perdure/gateway/internal/proxy"
	"github.com/perdure/perdure/internal/clock"
)

// line is what a reader of the log gets.
type line struct {
	Time       time.Time `json:"time"`
	ID         string    `json:"id"`
	Client     string    `json:"client"`
	Peer       string    `json:"peer"`
	Method     string    `json:"method"`
	Scheme     string    `json:"scheme"`
	Host       string    `json:"host"`
	Path       string    `json:"path"`
	Protocol   string    `json:"protocol"`
	Status     int       `json:"status"`
	Bytes      int64     `json:"bytes"`
	Duration   float64   `json:"duration_ms"`
	Plugins    float64   `json:"plugins_ms"`
	Upstream   float64   `json:"upstream_ms"`
	Route      string    `json:"route"`
	Service    string    `json:"service"`
	Address    string    `json:"upstream"`
	Attempts   int       `json:"attempts"`
	Consumer   string    `json:"consumer"`
	Credential string    `json:"credential"`
	RefusedBy  string    `json:"refused_by"`
	Reason     string    `json:"reason"`
	Error      string    `json:"error"`
	Trace      string    `json:"trace_id"`
}

// parse reads lines strictly: no field is unknown.
func parse(t testing.TB, text string) (lines []line) {
	t.Helper()
	for l := range strings.Lines(text) {
		d := json.NewDecoder(strings.NewReader(l))
		d.DisallowUnknownFields()
		var one line
		if err := d.Decode(&one); err != nil {
			t.Fatalf("%v: %q", err, l)
		}
		if !strings.HasSuffix(l, "}\n") || d.More() {
			t.Fatalf("%q is no line", l)
		}
		lines = append(lines, one)
	}
	return lines
}

func TestLines(t *testing.T) {
	t.Parallel()
	w := newFile(t, options{})
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	w.do("GET /staff?apikey=key-of-ann&x=y", "X-Forwarded-For: 203.0.113.7", "traceparent: 00-"+trace+"-00f067aa0ba902b7-01")
	w.do("GET /open?secret=1", "traceparent: 00-nothing")
	w.do("GET /down")
	nc, err := net.Dial("tcp", w.address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(nc, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, nc); err != nil {
		t.Fatal(err)
	}
	_ = nc.Close() // it is at its end
	lines := parse(t, w.written())
	if len(lines) != 4 {
		t.Fatalf("there are %d lines", len(lines))
	}
	for i := range lines {
		l := &lines[i]
		if !l.Time.Equal(plugintest.Start) || i < 3 && (len(l.ID) != 32 || l.Duration <= 0) {
			t.Errorf("the line is %+v", l)
		}
		if (l.Upstream > 0) != (i == 1) {
			t.Errorf("the upstream took %v", l.Upstream)
		}
		l.Time, l.ID, l.Duration, l.Plugins, l.Upstream = time.Time{}, "", 0, 0, 0
	}
	key := lines[0].Credential
	if len(key) != 36 {
		t.Errorf("the credential is %q", key)
	}
	address := w.upstream.Listener.Addr().String()
	for i, want := range []line{
		{Client: "203.0.113.7", Peer: "127.0.0.1", Method: "GET", Scheme: "http", Host: "api.test", Path: "/staff", Protocol: "HTTP/1.1", Status: 403, Bytes: lines[0].Bytes,
			Route: "staff", Service: "weather", Consumer: "ann", Credential: key, RefusedBy: "acl", Reason: lines[0].Reason, Trace: trace},
		{Client: "127.0.0.1", Method: "GET", Scheme: "http", Host: "api.test", Path: "/open", Protocol: "HTTP/1.1", Status: 200,
			Route: "open", Service: "weather", Address: address, Attempts: 1},
		{Client: "127.0.0.1", Method: "GET", Scheme: "http", Host: "api.test", Path: "/down", Protocol: "HTTP/1.1", Status: 502, Bytes: lines[2].Bytes,
			Route: "down", Service: "down", Address: "127.0.0.1:1", Attempts: 1, Error: "dial tcp 127.0.0.1:1: connect: connection refused"},
		{Client: "127.0.0.1", Status: 400, RefusedBy: "http", Reason: "more than one Host"},
	} {
		if lines[i] != want {
			t.Errorf("line %d is\n%+v, want\n%+v", i, lines[i], want)
		}
	}
}

// A file that was moved away is opened anew, and nothing is lost.
func TestFileIsReopened(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "access.log")
	c := clock.NewManual(plugintest.Start)
	l, err := observe.NewAccessLog(observe.AccessLogOptions{To: path, Clock: c})
	if err != nil {
		t.Fatal(err)
	}
	l.Log(exchange(200, "/a"))
	l.Flush()
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	l.Log(exchange(200, "/b"))
	l.Flush() // it is looked for once a second
	c.Advance(time.Second)
	l.Log(exchange(200, "/c"))
	l.Flush()
	check := func(path, want string) {
		t.Helper()
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var paths []string
		for _, l := range parse(t, string(text)) {
			paths = append(paths, l.Path)
		}
		if got := strings.Join(paths, " "); got != want {
			t.Errorf("%s has %q, want %q", path, got, want)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %v, %v", path, info.Mode(), err)
		}
	}
	check(path+".1", "/a /b")
	check(path, "/c")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	c.Advance(time.Second)
	l.Log(exchange(200, "/d")) // it was never started
	for range 2 {
		if err := l.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	check(path, "/d")
}

func TestNowhere(t *testing.T) {
	t.Parallel()
	if l, err := observe.NewAccessLog(observe.AccessLogOptions{}); l != nil || err != nil {
		t.Errorf("NewAccessLog = %v, %v", l, err)
	}
	if _, err := observe.NewAccessLog(observe.AccessLogOptions{To: filepath.Join(t.TempDir(), "a", "b")}); err == nil || !strings.HasPrefix(err.Error(), "access log: open ") {
		t.Errorf("NewAccessLog = %v", err)
	}
}

// failing is a writer that cannot write until it is mended.
type failing struct {
	buffer
	err error
}

func (f *failing) Write(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return f.buffer.Write(p)
}

// If lines cannot be written fast enough they are left out, and the log says how many; of an error is told once.
func TestSlowLog(t *testing.T) {
	t.Parallel()
	var told bytes.Buffer
	w := &failing{err: io.ErrShortWrite}
	l, err := observe.NewAccessLog(observe.AccessLogOptions{Writer: w, Clock: clock.NewManual(plugintest.Start), Log: slog.New(slog.NewTextHandler(&told, nil))})
	if err != nil {
		t.Fatal(err)
	}
	x := exchange(200, strings.Repeat("/long", 190))
	for range 2 {
		l.Log(x)
		l.Flush()
	}
	if n := strings.Count(told.String(), "the access log cannot be written"); n != 1 {
		t.Errorf("of the error is told %d times: %s", n, &told)
	}
	w.err = nil
	const n = 5000
	for range n {
		l.Log(x)
	}
	l.Flush()
	text := w.String()
	if len(text) > 5<<20 {
		t.Errorf("%d bytes waited", len(text))
	}
	lines := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
	if last := parse(t, lines[len(lines)-1]+"\n")[0].Error; !strings.HasSuffix(last, " lines were left out: the log is written too slowly") || len(lines) >= n {
		t.Errorf("%d lines were written, the last with the error %q", len(lines), last)
	}
}

// FuzzLine: whatever a request has in it, its line is valid JSON, and one line.
func FuzzLine(f *testing.F) {
	f.Add("GET", "a.test", "/a", "reason", "error", "curl")
	f.Add("G\xffT", "\u2028", "/\x00\"\\\x7f\u0085", "\n", strings.Repeat("é", 2000), "eyJhbGciOiJub25lIn0.a.b")
	f.Fuzz(func(t *testing.T, method, host, path, reason, failure, agent string) {
		w := new(bytes.Buffer)
		l, err := observe.NewAccessLog(observe.AccessLogOptions{Writer: w, Clock: clock.NewManual(plugintest.Start)})
		if err != nil {
			t.Fatal(err)
		}
		x := &proxy.Exchange{Start: plugintest.Start, Client: netip.MustParseAddr("fe80::1%eth0")}
		x.Request = proxy.Request{Method: method, Host: host, Path: path, Query: reason, Fields: new(h1.Fields)}
		x.Request.Fields.Add("Traceparent", agent)
		x.Err = errors.New(failure)
		plugin.Refuse(x, method, reason)
		l.Log(x)
		l.Refused(&net.UnixAddr{Name: path}, &h1.ProtocolError{Status: 400, Reason: reason})
		l.Flush()
		if lines := parse(t, w.String()); len(lines) != 2 || strings.Count(w.String(), "\n") != 2 {
			t.Errorf("the lines are %q", w)
		}
		if text := observe.NewReport(x, nil, nil).String(); strings.ContainsAny(strings.ReplaceAll(text, "\n", ""), "\x00\x1b\x7f\r\u0085\u2028\u202e") {
			t.Errorf("the report is %q", text)
		}
	})
}
