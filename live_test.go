package perdure_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/live"
	"github.com/perdure/perdure/table"
)

// liveWorld starts an app that listens.
func liveWorld(t *testing.T, parts ...perdure.Part) *running {
	t.Helper()
	w := newLasting(t)
	w.config.Listen = "localhost:0"
	return w.start(parts...)
}

// events connects to an endpoint and returns the lines of what it sends.
func (r *running) events(path string, header ...string) (next func() string, status int) {
	r.w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	r.w.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+r.Addr().String()+path, nil)
	if err != nil {
		r.w.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		r.w.t.Fatal(err)
	}
	r.w.t.Cleanup(func() { _ = answer.Body.Close() })
	lines := bufio.NewScanner(answer.Body)
	return func() string {
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && data != "{}" {
				return data
			}
			if event, ok := strings.CutPrefix(lines.Text(), "event: "); ok && event != "changes" {
				return event
			}
		}
		return "over"
	}, answer.StatusCode
}

func TestLiveTable(t *testing.T) {
	t.Parallel()
	r := liveWorld(t, live.Table("GET /live/sessions", sessions))
	r.putSession("1", session{User: "ada"})
	next, _ := r.events("/live/sessions")
	at := noon.Format(time.RFC3339)
	for _, want := range []string{"reset", `[{"kind":"put","key":"1","row":{"user":"ada"},"time":"` + at + `"}]`, "ready"} {
		if got := next(); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
	r.advance(time.Hour) // it expires
	if got := next(); got != `[{"kind":"delete","key":"1","time":"`+noon.Add(time.Hour).Format(time.RFC3339)+`"}]` {
		t.Errorf("got %s, want one delete", got)
	}
	r.putSession("2", session{User: "bob"})
	if got := next(); !strings.Contains(got, `"key":"2"`) {
		t.Errorf("got %s after a put", got)
	}
	if a := r.do("GET", live.ScriptPath, "", "Host", r.Addr().String()); a.status != http.StatusOK || !strings.Contains(a.body, "export function connect") {
		t.Errorf("the module is answered %d", a.status)
	}
	began := time.Now()
	r.stop()
	if got := next(); got != "end" {
		t.Errorf("got %s at the end", got)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the app took %v to stop", took)
	}
}

// What has changed is kept for a while, for browsers that come back.
func TestLiveTableKeepsChangesForAWhile(t *testing.T) {
	t.Parallel()
	r := liveWorld(t, live.Table("GET /live/items", items))
	put := func(n int) {
		r.unit(func(ctx context.Context) error { return items.Put(ctx, "1", &item{Count: n}) })
	}
	for i := range 3 {
		put(i)
	}
	begins := func() string {
		next, _ := r.events("/live/items?resume=" + strings.Repeat("0-", 7) + "0")
		return next()
	}
	r.advance(29 * time.Minute)
	if got := begins(); !strings.Contains(got, `{"count":0}`) || !strings.Contains(got, `{"count":2}`) {
		t.Errorf("after 29 minutes it begins with %s, want all changes", got)
	}
	r.advance(2 * time.Minute)
	r.advance(time.Minute) // what is too old is removed twice a minute
	if got := begins(); got != "reset" {
		t.Errorf("after 32 minutes it begins with %s, want a reset", got)
	}
}

func TestLiveTableByWebSocket(t *testing.T) {
	t.Parallel()
	r := liveWorld(t, live.Table("GET /live/items", items))
	url := "http://" + r.Addr().String() + "/live/items"
	foreign := &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {"https://evil.example"}}}
	if conn, answer, err := websocket.Dial(t.Context(), url, foreign); conn != nil || answer.StatusCode != http.StatusForbidden {
		t.Fatalf("a page of another site: %v", err)
	}
	conn, _, err := websocket.Dial(t.Context(), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	read := func() string {
		_, data, err := conn.Read(t.Context())
		if err != nil {
			return fmt.Sprint("close ", int(websocket.CloseStatus(err)))
		}
		return string(data)
	}
	if got := read() + read(); !strings.HasPrefix(got, `{"event":"reset"}{"event":"ready","id":"`) {
		t.Errorf("it begins with %s", got)
	}
	r.unit(func(ctx context.Context) error { return items.Put(ctx, "1", &item{Count: 7}) })
	if got := read(); !strings.Contains(got, `"changes":[{"kind":"put","key":"1","row":{"count":7}`) {
		t.Errorf("got %s", got)
	}
	ended := make(chan string, 1)
	go func() { ended <- read() }()
	r.stop()
	if got := get(t, ended); got != "close 1001" {
		t.Errorf("it ends with %s", got)
	}
}

func TestLiveTableRefusals(t *testing.T) {
	t.Parallel()
	r := liveWorld(t, live.Table("GET /live/items", items, live.Filter(func(r *http.Request) (func(table.Key, *item) bool, error) {
		switch r.URL.Query().Get("who") {
		case "teapot":
			return nil, perdure.NewProblem(http.StatusTeapot, "I am one.")
		case "secret":
			return nil, errors.New("the password is 123")
		}
		return nil, nil
	})))
	for query, status := range map[string]int{"who=teapot": http.StatusTeapot, "who=secret": http.StatusForbidden, "": http.StatusOK} {
		if _, got := r.events("/live/items?" + query); got != status {
			t.Errorf("%q is answered %d, want %d", query, got, status)
		}
	}
	if _, got := r.events("/live/items", "Origin", "https://evil.example"); got != http.StatusForbidden {
		t.Errorf("a page of another site is answered %d", got)
	}
}

func TestBadLiveTable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	message := w.refuse(live.Table("GET /live/items", items, live.Buffer(0)))
	contains(t, message, `live endpoint "GET /live/items"`, "positive")
	message = w.refuse(live.Table("nothing", items))
	contains(t, message, `"nothing"`)
}
