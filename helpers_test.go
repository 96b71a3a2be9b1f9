package perdure_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/blob"
	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/table"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// item is the row of the table that tests use.
type item struct {
	Count int    `json:"count"`
	Text  string `json:"text,omitempty"`
}

var (
	items     = table.Of[item]("items")
	documents = blob.Container("files")
)

// world is where apps of a test live: their configuration and their time.
type world struct {
	t       *testing.T
	clock   *clock.Manual
	config  perdure.Config
	log     *logBuffer
	letters chan perdure.DeadLetter // what OnDeadLetter was called with
}

// newWorld returns a world whose apps keep everything in memory and serve by Handler.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, clock: clock.NewManual(noon), log: &logBuffer{}, letters: make(chan perdure.DeadLetter, 100)}
	w.config = perdure.Config{
		Store: "memory:", Listen: "none", Hosts: []string{"example.com"},
		Logger:       slog.New(slog.NewTextHandler(w.log, nil)),
		OnDeadLetter: func(l perdure.DeadLetter) { w.letters <- l },
	}
	return w
}

// newLasting returns a world whose apps keep everything in a folder.
func newLasting(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.config.Store, w.config.Data = "", t.TempDir()
	return w
}

// running is an app that runs in a world.
type running struct {
	*perdure.App
	w *world
}

// start starts an app and stops it when the test ends.
func (w *world) start(parts ...perdure.Part) *running {
	w.t.Helper()
	app := perdure.New(w.config)
	app.Add(parts...)
	if err := app.Start(clock.With(w.t.Context(), w.clock)); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = app.Stop(context.Background()) })
	return &running{app, w}
}

// refuse starts an app that must not start and returns why.
func (w *world) refuse(parts ...perdure.Part) string {
	w.t.Helper()
	app := perdure.New(w.config)
	app.Add(parts...)
	err := app.Start(w.t.Context())
	if err == nil {
		_ = app.Stop(context.Background())
		w.t.Fatal("the app has started")
	}
	if !errors.Is(err, perdure.ErrConfig) {
		w.t.Errorf("got %v, want ErrConfig", err)
	}
	return err.Error()
}

func (r *running) settle() {
	r.w.t.Helper()
	ctx, cancel := context.WithTimeout(r.w.t.Context(), 30*time.Second)
	defer cancel()
	if err := r.Settle(ctx); err != nil {
		r.w.t.Fatal(err)
	}
}

// advance moves the time and lets what is due happen.
func (r *running) advance(d time.Duration) {
	r.w.t.Helper()
	r.settle()
	r.w.clock.Advance(d)
	r.settle()
}

func (r *running) stop() {
	r.w.t.Helper()
	if err := r.Stop(r.w.t.Context()); err != nil {
		r.w.t.Fatal(err)
	}
}

// unit runs fn in a unit that must commit.
func (r *running) unit(fn func(ctx context.Context) error) {
	r.w.t.Helper()
	if err := r.Unit(context.Background(), fn); err != nil {
		r.w.t.Fatal(err)
	}
}

// write writes a blob in a unit of its own.
func (r *running) write(name, content string) {
	r.w.t.Helper()
	r.unit(func(ctx context.Context) error {
		_, err := documents.Write(ctx, name, strings.NewReader(content))
		return err
	})
}

// item returns a row; the zero item without it.
func (r *running) item(key string) (found item) {
	r.w.t.Helper()
	r.unit(func(ctx context.Context) error {
		found = item{}
		row, err := items.Get(ctx, key)
		if err == nil {
			found = *row
		} else if errors.Is(err, table.ErrNotFound) {
			err = nil
		}
		return err
	})
	return found
}

// answer is an HTTP answer that was read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends a request to Handler.
func (r *running) do(method, target, body string, header ...string) answer {
	r.w.t.Helper()
	req := httptest.NewRequestWithContext(r.w.t.Context(), method, target, strings.NewReader(body))
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
	}
	rec := httptest.NewRecorder()
	r.Handler().ServeHTTP(rec, req)
	text, err := io.ReadAll(rec.Result().Body)
	if err != nil {
		r.w.t.Fatal(err)
	}
	return answer{rec.Code, rec.Result().Header, string(text)}
}

// problem checks that an answer is a problem with a status, and returns its detail.
func (a answer) problem(t *testing.T, status int) string {
	t.Helper()
	var p struct {
		Status int
		Title  string
		Detail string
	}
	if a.status != status || a.header.Get("Content-Type") != "application/problem+json" {
		t.Fatalf("got %d %s %s, want a problem with %d", a.status, a.header.Get("Content-Type"), a.body, status)
	}
	if err := json.Unmarshal([]byte(a.body), &p); err != nil || p.Status != status || p.Title == "" {
		t.Errorf("problem %s, %v", a.body, err)
	}
	return p.Detail
}

// contains checks that a message says all of some things.
func contains(t *testing.T, message string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(message, part) {
			t.Errorf("the message does not say %q:\n%s", part, message)
		}
	}
}

// get waits for what comes through a channel.
func get[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(30 * time.Second):
		t.Fatal("nothing came within 30 seconds")
		panic("unreachable")
	}
}

// logBuffer is a log that tests can read while it is written.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
