package perdure_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/durable"
	"github.com/perdure/perdure/table"
)

// addOne is a function that reads a row and writes it back.
func addOne(ctx context.Context, in *struct {
	ID   string `path:"id"`
	Item *item  `bind:"items/{id},optional"`
}) (*struct {
	Item *item `bind:"items/{id}"`
	Body item  `body:""`
}, error) {
	next := item{Count: 1}
	if in.Item != nil {
		next.Count += in.Item.Count
	}
	out := &struct {
		Item *item `bind:"items/{id}"`
		Body item  `body:""`
	}{&next, next}
	return out, nil
}

func TestAbsentRowIs404AndNothingRuns(t *testing.T) {
	t.Parallel()
	var runs atomic.Int64
	r := newWorld(t).start(items, perdure.HTTP("POST /items/{id}", func(_ context.Context, in *byID) (*pong, error) {
		runs.Add(1)
		return &pong{fmt.Sprint(in.Item.Count)}, nil
	}))
	for _, id := range []string{"none", "a%2Fb", "%2e%2e", "%00", "%ff", strings.Repeat("x", 2000)} {
		r.do("POST", "/items/"+id, "").problem(t, http.StatusNotFound)
	}
	if runs.Load() != 0 {
		t.Errorf("the function ran %d times", runs.Load())
	}
	r.unit(func(ctx context.Context) error { return items.Put(ctx, "a", &item{Count: 3}) })
	if a := r.do("POST", "/items/a", ""); a.status != 200 || a.body != "3" {
		t.Errorf("got %+v", a)
	}
}

// What another commits while a function runs is not overwritten: the function runs again.
func TestRequestThatConflictsRunsAgain(t *testing.T) {
	t.Parallel()
	var r *running
	runs := 0
	r = newWorld(t).start(items, perdure.HTTP("POST /add/{id}", func(ctx context.Context, in *struct {
		ID string `path:"id"`
	}) (*pong, error) {
		runs++
		err := items.Update(ctx, in.ID, func(i *item) error { i.Count++; return nil })
		if runs == 1 {
			r.unit(func(ctx context.Context) error {
				return items.Update(ctx, in.ID, func(i *item) error { i.Count += 10; return nil })
			})
		}
		return &pong{fmt.Sprint("run ", runs)}, err
	}))
	r.unit(func(ctx context.Context) error { return items.Put(ctx, "a", &item{}) })
	if a := r.do("POST", "/add/a", ""); a.status != 200 || a.body != "run 2" {
		t.Errorf("got %+v", a)
	}
	if got := r.item("a").Count; got != 11 {
		t.Errorf("count %d, want 11: an update was lost", got)
	}
}

func TestRequestThatKeepsConflictingIs503(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var r *running
	runs := 0
	r = w.start(items, perdure.HTTP("POST /add", func(ctx context.Context, _ *empty) (*pong, error) {
		runs++
		err := items.Update(ctx, "a", func(i *item) error { i.Count += 1000; return nil })
		r.unit(func(ctx context.Context) error {
			return items.Update(ctx, "a", func(i *item) error { i.Count++; return nil })
		})
		return nil, err
	}))
	r.unit(func(ctx context.Context) error { return items.Put(ctx, "a", &item{}) })
	a := r.do("POST", "/add", "")
	a.problem(t, http.StatusServiceUnavailable)
	if a.header.Get("Retry-After") != "1" || runs != 10 {
		t.Errorf("Retry-After %q after %d runs", a.header.Get("Retry-After"), runs)
	}
	if got := r.item("a").Count; got != 10 {
		t.Errorf("count %d, want 10", got)
	}
	r.settle()
	if counts, err := r.DeadLetters().Count(t.Context(), ""); len(counts) != 0 || err != nil {
		t.Errorf("a request became a dead letter: %+v, %v", counts, err)
	}
}

func TestConcurrentRequestsLoseNothing(t *testing.T) {
	t.Parallel()
	r := newLasting(t).start(items, perdure.HTTP("POST /add/{id}", addOne))
	const callers = 8
	done := make(chan int, callers)
	for range callers {
		go func() {
			added := 0
			for range 5 {
				if a := r.do("POST", "/add/a", ""); a.status == 200 {
					added++
				} else if a.status != 503 {
					t.Errorf("got %+v", a)
				}
			}
			done <- added
		}()
	}
	want := 0
	for range callers {
		want += get(t, done)
	}
	if got := r.item("a").Count; got != want || want == 0 {
		t.Errorf("count %d, want the %d that were acknowledged", got, want)
	}
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	w := newLasting(t)
	parts := []perdure.Part{items, perdure.HTTP("POST /add/{id}", addOne, perdure.Named("add"))}
	r := w.start(parts...)
	first := r.do("POST", "/add/a", "", "Idempotency-Key", "k1")
	r.stop()
	r = w.start(parts...) // the answer lasts
	again := r.do("POST", "/add/a", "", "Idempotency-Key", "k1")
	if first.status != 200 || again.status != 200 || again.body != first.body || again.header.Get("Idempotent-Replayed") == "" {
		t.Errorf("first %+v, again %+v", first, again)
	}
	r.do("POST", "/add/b", "", "Idempotency-Key", "k1").problem(t, http.StatusUnprocessableEntity)
	r.do("POST", "/add/a", "", "Idempotency-Key", "k2")
	if got := r.item("a").Count; got != 2 {
		t.Errorf("count %d, want 2: one for each key", got)
	}
}

// A function fails with everything it wrote, whatever it returned or did.
func TestFailedRequestWroteNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.start(items, documents, process.Impl(workOnce), work.Impl(echo),
		perdure.HTTP("POST /fail/{how}", func(ctx context.Context, in *struct {
			How string `path:"how"`
		}) (*pong, error) {
			_, blobErr := documents.Write(ctx, "n", strings.NewReader("bytes"))
			_, startErr := process.Start(ctx, "in", durable.ID("p"))
			if err := errors.Join(blobErr, startErr, items.Put(ctx, "a", &item{Count: 1})); err != nil {
				return nil, err
			}
			switch in.How {
			case "problem":
				return nil, perdure.NewProblem(http.StatusTeapot, "short and stout")
			case "panic":
				panic("secret")
			}
			return nil, errors.New("secret")
		}))
	if detail := r.do("POST", "/fail/problem", "").problem(t, http.StatusTeapot); detail != "short and stout" {
		t.Errorf("detail %q", detail)
	}
	for _, how := range []string{"panic", "error"} {
		a := r.do("POST", "/fail/"+how, "")
		a.problem(t, http.StatusInternalServerError)
		if strings.Contains(a.body, "secret") {
			t.Errorf("the caller is told %s", a.body)
		}
	}
	if strings.Count(w.log.String(), "secret") != 2 {
		t.Errorf("the log does not have the causes:\n%s", w.log)
	}
	r.unit(func(ctx context.Context) error {
		_, rowErr := items.Get(ctx, "a")
		_, blobErr := documents.Stat(ctx, "n")
		if !errors.Is(rowErr, perdure.ErrNotFound) || !errors.Is(blobErr, perdure.ErrNotFound) {
			t.Errorf("row: %v, blob: %v", rowErr, blobErr)
		}
		return nil
	})
	if _, err := r.Durable().Get(t.Context(), "p"); !errors.Is(err, durable.ErrNotFound) {
		t.Errorf("instance: %v", err)
	}
}

// A function without a unit asks and waits for the answer, in units it opens itself.
func TestNoUnit(t *testing.T) {
	t.Parallel()
	var app *perdure.App
	w := newWorld(t)
	r := w.start(items, process.Impl(workOnce), work.Impl(echo),
		perdure.HTTP("POST /ask", func(ctx context.Context, _ *empty) (*pong, error) {
			if err := items.Put(ctx, "a", &item{}); !errors.Is(err, perdure.ErrNoUnit) {
				t.Errorf("write without a unit: %v, want ErrNoUnit", err)
			}
			var id string
			err := app.Unit(ctx, func(ctx context.Context) (err error) {
				id, err = process.Start(ctx, "in")
				return errors.Join(err, items.Put(ctx, "a", &item{Count: 1}))
			})
			if err != nil {
				return nil, err
			}
			out, err := process.WaitWith(ctx, app.Durable(), id)
			return &pong{out}, err
		}, perdure.NoUnit()))
	app = r.App
	if a := r.do("POST", "/ask", ""); a.status != 200 || a.body != "done" {
		t.Errorf("got %+v", a)
	}
	r.do("POST", "/ask", "", "Idempotency-Key", "k").problem(t, http.StatusBadRequest)
	if r.item("a").Count != 1 {
		t.Error("the unit wrote nothing")
	}
}

// Inside a unit there are one-way operations only.
func TestInsideUnit(t *testing.T) {
	t.Parallel()
	r := newWorld(t).start(items, process.Impl(workOnce), work.Impl(echo))
	decided := durable.NewEvent[string]("decided")
	r.unit(func(ctx context.Context) error {
		c := r.Durable()
		_, run := process.RunWith(ctx, c, "in")
		_, start := process.StartWith(ctx, c, "in")
		_, wait := process.WaitWith(ctx, c, "p")
		for what, err := range map[string]error{
			"Unit":    r.Unit(ctx, func(context.Context) error { return nil }),
			"RunWith": run, "StartWith": start, "WaitWith": wait,
			"RaiseWith": decided.RaiseWith(ctx, c, "p", "x"),
			"Terminate": c.Terminate(ctx, "p", "no"),
			"Purge":     c.Purge(ctx, "p"),
			"Resend":    r.DeadLetters().Resend(ctx, "f", perdure.DeadLetterID{}),
			"Drop":      r.DeadLetters().Drop(ctx, "f", perdure.DeadLetterID{}),
		} {
			if !errors.Is(err, perdure.ErrInsideUnit) {
				t.Errorf("%s: %v, want ErrInsideUnit", what, err)
			}
		}
		return nil
	})
}

func TestUnit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.start(items)
	var kept context.Context
	r.unit(func(ctx context.Context) error {
		kept = ctx
		if now := perdure.Now(ctx); !now.Equal(noon) || now.Location() != time.UTC {
			t.Errorf("Now = %v, want %v", now, noon)
		}
		if _, err := items.Get(ctx, "a"); !errors.Is(err, table.ErrNotFound) {
			t.Errorf("absent row: %v", err)
		}
		if err := items.Put(ctx, "a", &item{Count: 1}); err != nil {
			return err
		}
		if got, err := items.Get(ctx, "a"); err != nil || got.Count != 1 {
			t.Errorf("a unit does not see its own write: %+v, %v", got, err)
		}
		return nil
	})
	for name, err := range map[string]error{
		"after the unit":         items.Put(kept, "a", &item{}),
		"unit inside a past one": r.Unit(kept, func(context.Context) error { return nil }),
	} {
		want := perdure.ErrUnitClosed
		if strings.HasPrefix(name, "unit") {
			want = perdure.ErrInsideUnit
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	if err := items.Put(t.Context(), "a", &item{}); !errors.Is(err, perdure.ErrNoUnit) {
		t.Errorf("without a unit: %v, want ErrNoUnit", err)
	}
	if _, err := process.Start(t.Context(), "in"); !errors.Is(err, perdure.ErrNoUnit) {
		t.Errorf("start without a unit: %v, want ErrNoUnit", err)
	}

	// What a unit read that was not there is validated too.
	attempts := 0
	err := r.Unit(t.Context(), func(ctx context.Context) error {
		attempts++
		_, err := items.Get(ctx, "b")
		if attempts == 1 {
			r.unit(func(ctx context.Context) error { return items.Put(ctx, "b", &item{Count: 1}) })
		}
		if errors.Is(err, table.ErrNotFound) {
			return items.Put(ctx, "c", &item{Text: "b is absent"})
		}
		return items.Put(ctx, "c", &item{Text: "b is there"})
	})
	if err != nil || attempts != 2 || r.item("c").Text != "b is there" {
		t.Errorf("%v, %d attempts, %+v", err, attempts, r.item("c"))
	}
	err = r.Unit(t.Context(), func(ctx context.Context) error {
		_, err := items.Get(ctx, "b")
		r.unit(func(ctx context.Context) error { return items.Put(ctx, "b", &item{}) })
		return errors.Join(err, items.Put(ctx, "c", &item{}))
	})
	if !errors.Is(err, perdure.ErrConflict) {
		t.Errorf("a unit that keeps conflicting: %v, want ErrConflict", err)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	app := newWorld(t).start(items)
	a := app.do("GET", "/healthz", "", "Host", "example.com")
	if a.status != 200 || a.body != "ok\n" {
		t.Errorf("got %+v", a)
	}
	app.stop()
	app.do("GET", "/healthz", "").problem(t, http.StatusServiceUnavailable)
}

func TestOpenAPIDocument(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Title, w.config.Version = "Items", "7"
	r := w.start(items, perdure.HTTP("POST /add/{id}", addOne, perdure.Summary("Add one"), perdure.Description("It *adds*.")),
		perdure.HTTP("GET /hidden", ping, perdure.Hidden()))
	a := r.do("GET", "/openapi.json", "")
	var doc struct {
		OpenAPI string
		Info    struct{ Title, Version string }
		Paths   map[string]map[string]struct{ Summary, Description string }
	}
	if err := json.Unmarshal([]byte(a.body), &doc); err != nil || a.status != 200 {
		t.Fatalf("%d %v", a.status, err)
	}
	post := doc.Paths["/add/{id}"]["post"]
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") || doc.Info.Title != "Items" || doc.Info.Version != "7" ||
		post.Summary != "Add one" || post.Description != "It *adds*." || len(doc.Paths) != 1 {
		t.Errorf("document %+v", doc)
	}
	r.stop()
	r.do("GET", "/openapi.json", "").problem(t, http.StatusServiceUnavailable)
}

// Any page can post to a loopback address, and any name can be made to lead there.
func TestForeignHostAndOriginAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Hosts = []string{"example.com", "app.example.com:8443"}
	w.config.TrustedOrigins = []string{"https://admin.example.com"}
	var runs atomic.Int64
	r := w.start(items, perdure.HTTP("POST /do", func(context.Context, *empty) (*pong, error) {
		runs.Add(1)
		return &pong{"done"}, nil
	}), perdure.HTTP("GET /ping", ping))
	for _, host := range []string{"evil.example", "example.com.evil.example", "example.com:81", "app.example.com", "localhost:8080", "127.0.0.1"} {
		r.do("GET", "/ping", "", "Host", host).problem(t, http.StatusMisdirectedRequest)
	}
	for _, host := range []string{"example.com", "EXAMPLE.com", "app.example.com:8443"} {
		if a := r.do("GET", "/ping", "", "Host", host); a.status != 200 {
			t.Errorf("host %s: %+v", host, a)
		}
	}
	for _, header := range [][]string{
		{"Origin", "https://evil.example"},
		{"Origin", "null"},
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site"},
	} {
		r.do("POST", "/do", "", header...).problem(t, http.StatusForbidden)
	}
	if runs.Load() != 0 {
		t.Fatalf("a refused request ran the function")
	}
	for _, header := range [][]string{
		nil, // no browser
		{"Sec-Fetch-Site", "same-origin"},
		{"Origin", "http://example.com"},
		{"Origin", "https://admin.example.com", "Sec-Fetch-Site", "cross-site"},
	} {
		if a := r.do("POST", "/do", "", header...); a.status != 200 {
			t.Errorf("%v: %+v", header, a)
		}
	}
	if a := r.do("GET", "/ping", "", "Sec-Fetch-Site", "cross-site"); a.status != 200 || a.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("a link of another page: %+v", a)
	}
}

func TestUnknownPathsAreProblems(t *testing.T) {
	t.Parallel()
	r := newWorld(t).start(perdure.HTTP("GET /ping", ping))
	r.do("GET", "/nothing", "").problem(t, http.StatusNotFound)
	a := r.do("POST", "/ping", "")
	a.problem(t, http.StatusMethodNotAllowed)
	if allow := a.header.Get("Allow"); !strings.Contains(allow, "GET") {
		t.Errorf("Allow %q", allow)
	}
	r.do("GET", "/blobs/files/n?expires=1&signature=x", "").problem(t, http.StatusForbidden)
	r.do("DELETE", "/blobs/files/n", "").problem(t, http.StatusMethodNotAllowed)
}

// A page stands beside functions at any pattern.
func TestHandle(t *testing.T) {
	t.Parallel()
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "page "+r.URL.Path) })
	for _, pattern := range []string{"/", "GET /", "GET /{$}"} {
		r := newWorld(t).start(items, perdure.HTTP("GET /ping", ping), perdure.Handle(pattern, page))
		if a := r.do("GET", "/", ""); a.status != 200 || a.body != "page /" {
			t.Errorf("%s: page: %+v", pattern, a)
		}
		if a := r.do("GET", "/ping", ""); a.body != "pong" {
			t.Errorf("%s: function: %+v", pattern, a)
		}
		if a := r.do("GET", "/healthz", ""); a.body != "ok\n" {
			t.Errorf("%s: health: %+v", pattern, a)
		}
	}
}

func TestOrigin(t *testing.T) {
	t.Parallel()
	type in struct{ At perdure.Origin }
	r := newWorld(t).start(perdure.HTTP("GET /at", func(_ context.Context, in *in) (*pong, error) {
		return &pong{string(in.At)}, nil
	}))
	if a := r.do("GET", "/at", "", "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "https"); a.body != "http://example.com" {
		t.Errorf("got %q", a.body)
	}
	if a := r.do("GET", "https://example.com/at", ""); a.body != "https://example.com" {
		t.Errorf("over TLS: %q", a.body)
	}
}
