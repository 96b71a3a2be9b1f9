package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/binding"
	"github.com/perdure/perdure/internal/httpapi"
	"github.com/perdure/perdure/internal/resource"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/table"
)

// meta is the row of the table that tests use.
type meta struct {
	Owner string `json:"owner"`
	Count int    `json:"count"`
}

var metadata = table.Of[meta]("metadata")

// app is what the root package will be: a store, units and functions.
type app struct {
	t   *testing.T
	cfg httpapi.Config
	mux *http.ServeMux
	log *syncBuffer

	mu  sync.Mutex
	now time.Time
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func newApp(t *testing.T, functions ...*httpapi.Function) *app {
	t.Helper()
	return newAppWith(t, func(*httpapi.Config) {}, functions...)
}

func newAppWith(t *testing.T, change func(*httpapi.Config), functions ...*httpapi.Function) *app {
	t.Helper()
	st := memory.New(nil)
	c := store.NewCommitter(st, store.CommitterOptions{})
	t.Cleanup(func() {
		c.Close()
		_ = st.Close()
	})
	a := &app{t: t, mux: http.NewServeMux(), log: &syncBuffer{}, now: time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)}
	a.cfg = httpapi.Config{
		Env:       &unit.Env{Snapshot: st.Snapshot, Now: a.clock},
		Committer: c,
		Bindings:  binding.Env{Resources: map[string]resource.Resource{"metadata": metadata}},
		Log:       slog.New(slog.NewTextHandler(a.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	change(&a.cfg)
	if err := httpapi.Register(a.mux, a.cfg, functions...); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *app) clock() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.now
}

func (a *app) advance(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.now = a.now.Add(d)
}

// unit runs fn in a unit and commits it.
func (a *app) unit(fn func(context.Context) error) {
	a.t.Helper()
	if err := unit.Run(context.Background(), a.cfg.Env, a.cfg.Committer, 10, fn); err != nil {
		a.t.Error(err)
	}
}

func (a *app) put(key string, m meta) {
	a.t.Helper()
	a.unit(func(ctx context.Context) error { return metadata.Put(ctx, key, &m) })
}

func (a *app) count(key string) int {
	a.t.Helper()
	n := -1
	a.unit(func(ctx context.Context) error {
		m, err := metadata.Get(ctx, key)
		if err == nil {
			n = m.Count
		}
		return nil
	})
	return n
}

// send makes a request; a body is JSON. Headers are pairs.
func (a *app) send(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return a.do(r)
}

func (a *app) do(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	httpapi.Problems(a.mux).ServeHTTP(w, r)
	return w
}

// wantProblem checks an answer that is a problem and returns the document.
func wantProblem(t *testing.T, w *httptest.ResponseRecorder, status int, text string) map[string]any {
	t.Helper()
	doc := map[string]any{}
	err := json.Unmarshal(w.Body.Bytes(), &doc)
	detail, _ := doc["detail"].(string)
	if w.Code != status || w.Header().Get("Content-Type") != "application/problem+json" || err != nil ||
		doc["status"] != float64(status) || doc["title"] == nil || !strings.Contains(detail, text) {
		t.Errorf("got %d %q %s, want the problem %d with %q", w.Code, w.Header().Get("Content-Type"), w.Body, status, text)
	}
	return doc
}

func wantAnswer(t *testing.T, w *httptest.ResponseRecorder, status int, body string) {
	t.Helper()
	if w.Code != status || strings.TrimSpace(w.Body.String()) != body {
		t.Errorf("got %d %s, want %d %s", w.Code, w.Body, status, body)
	}
}

// racer changes a row behind a unit's back, so that it conflicts, n times.
func (a *app) racer(key string, n int) func() {
	return func() {
		if n > 0 {
			n--
			a.unit(func(ctx context.Context) error {
				m, err := metadata.Get(ctx, key)
				if err != nil {
					return err
				}
				m.Count += 100
				return metadata.Put(ctx, key, m)
			})
		}
	}
}

type txn = store.Txn

type committerFunc func(context.Context, *txn) error

func (f committerFunc) Commit(ctx context.Context, txn *txn) error { return f(ctx, txn) }
