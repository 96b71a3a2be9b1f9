package gateway_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// All protocols at once: each answer is whole and the right one, with its trailers.
func TestAbuseProtocols(t *testing.T) {
	t.Parallel()
	g := open(t, `
_format_version: "3.0"
services:
- {name: up, url: "`+streaming(t)+`", routes: [{name: all, paths: [/], strip_path: false}]}
`)
	end := time.Now().Add(soak(t, 500*time.Millisecond))
	going := func() bool { return time.Now().Before(end) && !t.Failed() }
	var all sync.WaitGroup
	for _, f := range g.newStreams(t, going) {
		all.Go(f)
	}
	clients := 0
	each := func(f func(c *wire, id string, n int) error) {
		clients++
		i := clients
		all.Go(func() {
			c, err := dial(g.plain, time.Hour)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = c.Close() }()
			for n := 0; going(); n++ {
				if err := f(c, fmt.Sprintf("m%d-%d", i, n), n); err != nil {
					t.Error(err)
				}
			}
		})
	}
	want := func(what string, got, want []byte, err error) error {
		if err != nil || !bytes.Equal(got, want) {
			return fmt.Errorf("%s: %.60q of %d bytes, %w, want %.60q of %d", what, got, len(got), err, want, len(want))
		}
		return nil
	}
	each(func(c *wire, id string, n int) error { // large bodies
		size := n * 99_991 % (1 << 20)
		_, got, err := c.ask(http.MethodGet, lines(fmt.Sprintf("GET /r/%s?n=%d HTTP/1.1", id, size), "Host: a"))
		return want("large answer", got, pattern(id, size), err)
	})
	each(func(c *wire, id string, n int) error {
		body := pattern(id, n*77_777%(1<<19))
		_, got, err := c.ask(http.MethodPost, lines("POST /e/"+id+" HTTP/1.1", "Host: a", fmt.Sprintf("Content-Length: %d", len(body)))+string(body))
		return want("large body", got, []byte(taken(id, body)), err)
	})
	each(func(c *wire, id string, n int) error { // trailers, both ways
		r, got, err := c.ask(http.MethodGet, lines(fmt.Sprintf("GET /r/%s?n=%d&framing=chunked HTTP/1.1", id, n*997%50_000), "Host: a", "TE: trailers"))
		if err == nil && r.Trailer.Get("X-Digest") != "" {
			return fmt.Errorf("%s: a trailer that begins with X- passed", id)
		}
		if err := want("chunked", got, pattern(id, n*997%50_000), err); err != nil {
			return err
		}
		body := pattern(id, 5000)
		_, got, err = c.ask(http.MethodPost, lines("POST /e/"+id+" HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", "Trailer: Digest")+
			fmt.Sprintf("%x\r\n%s\r\n%x;ext=\"a\"\r\n%s\r\n0\r\nDigest: x\r\n\r\n", 2000, body[:2000], 3000, body[2000:]))
		return want("chunks", got, []byte(taken(id, body)), err)
	})
	each(func(c *wire, id string, _ int) error { // 100-continue
		body := pattern(id, 1000)
		r, _, err := c.ask(http.MethodPost, lines("POST /e/"+id+" HTTP/1.1", "Host: a", "Expect: 100-continue", "Content-Length: 1000"))
		if err != nil || r.StatusCode != http.StatusContinue {
			return fmt.Errorf("%s: %v, %w, want 100", id, r, err)
		}
		_, got, err := c.ask(http.MethodPost, string(body))
		return want("after 100", got, []byte(taken(id, body)), err)
	})
	each(func(c *wire, id string, n int) error { // HEAD has the length, and nothing else
		r, got, err := c.ask(http.MethodHead, lines(fmt.Sprintf("HEAD /r/%s?n=%d HTTP/1.1", id, n), "Host: a"))
		if err != nil || r.ContentLength != int64(n) || len(got) != 0 {
			return fmt.Errorf("HEAD: %v, %q, %w", r, got, err)
		}
		return nil
	})
	each(func(c *wire, id string, n int) error { // pipelined
		var text strings.Builder
		for k := range 10 {
			if k%3 == 0 {
				text.WriteString(lines(fmt.Sprintf("POST /e/%s-%d HTTP/1.1", id, k), "Host: a", "Content-Length: 100") + string(pattern(id, 100)))
			} else {
				text.WriteString(lines(fmt.Sprintf("GET /r/%s-%d?n=%d HTTP/1.1", id, k, n%5000), "Host: a"))
			}
		}
		if _, err := io.WriteString(c, text.String()); err != nil {
			return err
		}
		for k := range 10 {
			_, got, err := c.response(http.MethodGet)
			answer := pattern(fmt.Sprintf("%s-%d", id, k), n%5000)
			if k%3 == 0 {
				answer = []byte(taken(fmt.Sprintf("%s-%d", id, k), pattern(id, 100)))
			}
			if err := want("pipelined", got, answer, err); err != nil {
				return err
			}
		}
		return nil
	})
	secure := g.client(true)
	for i := range 3 {
		all.Go(func() {
			a := &asker{t: t, g: g, h2: secure}
			defer a.close()
			for n := 0; going(); n++ {
				if status := a.ask(fmt.Sprintf("%d-%d", i, n), n, i > 0); status != http.StatusOK {
					t.Errorf("request %d of client %d was answered %d", n, i, status)
				}
			}
		})
	}
	all.Wait()
}

// What is asked of the gateway about itself is bounded, whatever is asked: 4xx, soon, and no panic, while others are served.
func TestAbuseAdministration(t *testing.T) {
	t.Parallel()
	up := serve(t, answers(func(string, string) {}))
	g := open(t, `
_format_version: "3.0"
services:
- {name: up, url: "`+up+`", routes: [{name: all, paths: [/], strip_path: false}]}
`)
	question := func(q map[string]any) string {
		text, _ := json.Marshal(q)
		return string(text)
	}
	many := map[string][]string{}
	for i := range 2000 {
		many[fmt.Sprintf("X-%d", i)] = []string{"y"}
	}
	long := strings.Repeat("x", 200<<10)
	for name, handler := range map[string]http.Handler{"operator": g.Administration(), "answers": g.Answers(), "admin": http.StripPrefix("/kong", g.AdminAPI())} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for round := 0; ; round++ {
				for _, tt := range []struct {
					method, path, body string
					ok                 bool // 200 is an answer as well
				}{
					{method: "POST", path: "/explain", body: strings.Repeat("x", 10<<20)},
					{method: "POST", path: "/explain", body: question(map[string]any{"url": "http://a/" + strings.Repeat("x", 10<<20)})},
					{method: "POST", path: "/explain", body: strings.Repeat("[", 200_000)},
					{method: "POST", path: "/explain", body: `{"headers":` + strings.Repeat(`{"a":`, 20_000)},
					{method: "POST", path: "/explain", body: "{\"url\":\"http://a/\xff\xfe\",\"method\":\"\xff\"}"},
					{method: "POST", path: "/explain", body: question(map[string]any{"url": "http://a/", "method": "GET POST"})},
					{method: "POST", path: "/explain", body: question(map[string]any{"url": "http://a/" + long, "method": "GET"}), ok: true},
					{method: "POST", path: "/explain", body: question(map[string]any{"url": "http://a/", "headers": many}), ok: true},
					{method: "POST", path: "/explain", body: question(map[string]any{"url": "http://a/", "headers": map[string][]string{"a b\r\nc": {"x\r\ny\x00"}}}), ok: true},
					{method: "POST", path: "/explain", body: question(map[string]any{"url": "http://[::1", "client": long})},
					{method: "POST", path: "/explain", body: `null`},
					{method: "POST", path: "/explain", body: `{"url":"http://a/","method":"GET"} {}`},
					{method: "POST", path: "/explain", body: `{"URL":1e999}`},
					{method: "GET", path: "/requests?status=9xx"},
					{method: "GET", path: "/requests?max=-1"},
					{method: "GET", path: "/requests?max=99999999999999999999"},
					{method: "GET", path: "/requests?route=" + long, ok: true},
					{method: "GET", path: "/requests?%zz=%", ok: true},
					{method: "GET", path: "/requests/" + long},
					{method: "GET", path: "/requests/%00%ff"},
					{method: "GET", path: "/kong/services?size=-1"},
					{method: "GET", path: "/kong/services?size=99999999999999999999"},
					{method: "GET", path: "/kong/services?offset=%ff%00"},
					{method: "GET", path: "/kong/services?" + long},
					{method: "GET", path: "/kong/services/%ff"},
					{method: "GET", path: "/kong/services/" + long},
					{method: "GET", path: "/kong/schemas/plugins/" + long},
					{method: "GET", path: "/kong" + strings.Repeat("/services", 10_000)},
					{method: "GET", path: "/kong/services?tags=" + strings.Repeat("a,", 1000), ok: true},
					{method: "POST", path: "/kong/services", body: strings.Repeat("x", 10<<20)},
					{method: "DELETE", path: "/kong/services/up"},
					{method: "PATCH", path: "/kong/" + long, body: "{}"},
				} {
					w := httptest.NewRecorder()
					r := httptest.NewRequest(tt.method, "/", strings.NewReader(tt.body))
					target, query, _ := strings.Cut(tt.path, "?")
					if u, err := r.URL.Parse(target); err == nil {
						r.URL = u
					}
					r.URL.RawQuery = query
					begun := time.Now()
					handler.ServeHTTP(w, r)
					took := time.Since(begun)
					if w.Code < 400 && !(tt.ok && w.Code == 200) || w.Code >= 500 || w.Body.Len() > 1<<20 || took > 5*time.Second {
						t.Errorf("%s %.60s %.60s: %d with %d bytes in %v", tt.method, tt.path, tt.body, w.Code, w.Body.Len(), took)
					}
				}
				if round > 0 && (!soaking() || t.Failed() || round > 20) {
					return
				}
			}
		})
	}
	if _, slowest := g.served(t, 2, soak(t, 500*time.Millisecond)); slowest > 5*time.Second {
		t.Errorf("a request of another took %v", slowest)
	}
}
