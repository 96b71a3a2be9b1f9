package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure/gateway/internal/smuggletest"
)

// journal is an upstream that reads requests in its own way, and remembers their targets.
type journal struct {
	net.Listener
	read func(r *bufio.Reader) (target string, err error)

	mu   sync.Mutex
	seen []string
}

// newJournal answers each request with its target.
func newJournal(t *testing.T, read func(*bufio.Reader) (string, error)) *journal {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	j := &journal{Listener: l, read: read}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { j.serve(nc) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait() // the gateway has stopped, and closed its connections
	})
	return j
}

func (j *journal) serve(nc net.Conn) {
	defer func() { _ = nc.Close() }()
	r := bufio.NewReader(nc)
	for {
		target, err := j.read(r)
		if err != nil {
			return
		}
		j.mu.Lock()
		j.seen = append(j.seen, target)
		j.mu.Unlock()
		if _, err := fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(target), target); err != nil {
			return
		}
	}
}

func (j *journal) take() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	seen := j.seen
	j.seen = nil
	return seen
}

// strict reads as the standard library does.
func strict(r *bufio.Reader) (string, error) {
	request, err := http.ReadRequest(r)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(io.Discard, request.Body)
	return request.RequestURI, err
}

// lax reads as careless servers do: lines end with LF, spaces stand anywhere, the last field of a name counts, and what is no
// number is none. Prefer is the framing that counts when there are both.
func lax(prefer string) func(*bufio.Reader) (string, error) {
	return func(r *bufio.Reader) (string, error) {
		line := ""
		for line == "" {
			text, err := r.ReadString('\n')
			if err != nil {
				return "", err
			}
			line = strings.TrimSpace(text)
		}
		target := line
		if words := strings.Fields(line); len(words) > 1 {
			target = words[1]
		}
		fields := map[string]string{}
		for {
			text, err := r.ReadString('\n')
			if err != nil {
				return "", err
			}
			if text = strings.TrimSpace(strings.ReplaceAll(text, "\r", "")); text == "" {
				break
			}
			name, value, _ := strings.Cut(text, ":")
			fields[strings.ToLower(strings.TrimSpace(name))] = strings.ToLower(strings.TrimSpace(value))
		}
		length, has := fields["content-length"]
		if strings.Contains(fields["transfer-encoding"], "chunked") && (!has || prefer == "chunks") {
			return target, laxChunks(r)
		}
		n, _ := strconv.Atoi(strings.TrimLeft(length, "+ "))
		_, err := io.CopyN(io.Discard, r, int64(n))
		return target, err
	}
}

func laxChunks(r *bufio.Reader) error {
	for {
		text, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		size, _, _ := strings.Cut(strings.TrimSpace(text), ";")
		n, err := strconv.ParseInt(strings.TrimPrefix(strings.TrimSpace(size), "0x"), 16, 64)
		if err != nil || n < 0 {
			return fmt.Errorf("chunk %q", text)
		}
		if n == 0 {
			for { // trailers
				text, err := r.ReadString('\n')
				if err != nil || strings.TrimSpace(text) == "" {
					return err
				}
			}
		}
		if _, err := io.CopyN(io.Discard, r, n); err != nil {
			return err
		}
		if _, err := r.ReadString('\n'); err != nil {
			return err
		}
	}
}

// What an upstream takes for requests is exactly what the gateway has taken for requests, and answered, whatever is sent, and
// however carelessly the upstream reads.
func TestAbuseSmuggling(t *testing.T) {
	t.Parallel()
	cases := append(smuggletest.Heads(), smuggletest.Bodies()...)
	cases = append(cases, []smuggletest.Case{ // what the rules allow passes
		{Name: "empty lines before", Request: "\r\n" + lines("GET /x HTTP/1.1", "Host: a"), Status: 200},
		{Name: "body that looks like a request", Request: lines("POST /x HTTP/1.1", "Host: a", "Content-Length: "+strconv.Itoa(len(smuggletest.Smuggled))) + smuggletest.Smuggled, Status: 200},
		{Name: "chunk that looks like a request", Request: lines("POST /x HTTP/1.1", "Host: a", "Transfer-Encoding: chunked") + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(smuggletest.Smuggled), smuggletest.Smuggled), Status: 200},
		{Name: "chunk extension and trailer", Request: lines("POST /x HTTP/1.1", "Host: a", "Transfer-Encoding: Chunked") + "2;a=\"0\r\n\"\r\n", Status: 400},
		{Name: "GET with a body", Request: lines("GET /x HTTP/1.1", "Host: a", "Content-Length: 5") + "GET /", Status: 200},
		{Name: "trailers that frame", Request: lines("POST /x HTTP/1.1", "Host: a", "Transfer-Encoding: chunked") + "1\r\nx\r\n0\r\nContent-Length: 50\r\nTransfer-Encoding: x\r\n\r\n", Status: 200},
		{Name: "framing named by Connection", Request: lines("POST /x HTTP/1.1", "Host: a", "Connection: content-length, host", "Content-Length: 5") + "GET /", Status: 200},
		{Name: "value with another request", Request: lines("GET /x HTTP/1.1", "Host: a", "X: y", "X-Y: GET /smuggled HTTP/1.1"), Status: 200},
		{Name: "asked to switch to h2c", Request: lines("GET /x HTTP/1.1", "Host: a", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"), Status: 200},
		{Name: "target with escapes", Request: lines("GET /x%0d%0aGET%20/smuggled HTTP/1.1", "Host: a"), Status: 200},
	}...)
	for name, read := range map[string]func(*bufio.Reader) (string, error){"strict": strict, "lax, chunks count": lax("chunks"), "lax, the length counts": lax("length")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := newJournal(t, read)
			g := open(t, `
_format_version: "3.0"
services:
- {name: up, url: "http://`+up.Addr().String()+`", retries: 0, routes: [{name: all, paths: [/], strip_path: false}]}
`)
			for _, tc := range cases {
				c, err := dial(g.plain, 10*time.Second)
				if err != nil {
					t.Fatal(err)
				}
				go func() { // the gateway may close before it has read all
					_, _ = io.WriteString(c, lines("GET /before HTTP/1.1", "Host: a")+tc.Request)
					if tc.Status == http.StatusOK {
						_, _ = io.WriteString(c, lines("GET /after HTTP/1.1", "Host: a", "Connection: close"))
					}
				}()
				var accepted []string
				last := 0
				for {
					r, body, err := c.response(http.MethodGet)
					if err != nil {
						break
					}
					if last = r.StatusCode; last == http.StatusOK {
						accepted = append(accepted, string(body))
					}
				}
				_ = c.Close()
				want := 1
				if tc.Status == http.StatusOK {
					want = 3
				}
				if last != tc.Status || len(accepted) != want {
					t.Errorf("%s: accepted %q, and the last answer was %d, want %d requests and %d", tc.Name, accepted, last, want, tc.Status)
				}
				if seen := up.take(); !slices.Equal(seen, accepted) || slices.Contains(seen, "/smuggled") {
					t.Errorf("%s: the upstream saw %q, the gateway accepted %q", tc.Name, seen, accepted)
				}
			}
		})
	}
}
