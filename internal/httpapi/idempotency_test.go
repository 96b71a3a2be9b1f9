package httpapi_test

import (
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/httpapi"
	"github.com/perdure/perdure/internal/problem"
)

type addIn struct {
	ID   string   `path:"id"`
	Body countDoc `body:""`
}

type addOut struct {
	Status   int      `status:"201"`
	Location string   `header:"Location"`
	Body     countDoc `body:""`
}

// add adds to a row; it may be absent.
func add(ctx context.Context, in *addIn) (*addOut, error) {
	if in.Body.Count < 0 {
		return nil, problem.New(409, "negative")
	}
	m, err := metadata.Get(ctx, in.ID)
	if err != nil {
		m = &meta{}
	}
	m.Count += in.Body.Count
	if err := metadata.Put(ctx, in.ID, m); err != nil {
		return nil, err
	}
	return &addOut{Location: "/rows/" + in.ID, Body: countDoc{m.Count}}, nil
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	a := newApp(t, httpapi.New("POST /add/{id}", add), httpapi.New("POST /other/{id}", add))
	first := a.send("POST", "/add/f1", `{"count":1}`, "Idempotency-Key", "k")
	wantAnswer(t, first, 201, `{"count":1}`)
	if first.Header().Get("Idempotent-Replayed") != "" {
		t.Error("the first answer is marked as replayed")
	}
	again := a.send("POST", "/add/f1", `{"count":1}`, "Idempotency-Key", "k")
	wantAnswer(t, again, 201, `{"count":1}`)
	if h := again.Header(); h.Get("Location") != "/rows/f1" || h.Get("Content-Type") != "application/json" || h.Get("Idempotent-Replayed") != "true" {
		t.Errorf("replayed headers %v", h)
	}
	wantAnswer(t, a.send("POST", "/add/f1", `{"count":1}`, "Idempotency-Key", "k2"), 201, `{"count":2}`)
	wantAnswer(t, a.send("POST", "/add/f1", `{"count":1}`), 201, `{"count":3}`)
	wantAnswer(t, a.send("POST", "/other/f1", `{"count":1}`, "Idempotency-Key", "k"), 201, `{"count":4}`)

	const reused = "This Idempotency-Key was used for another request."
	wantProblem(t, a.send("POST", "/add/f1", `{"count":2}`, "Idempotency-Key", "k"), 422, reused)
	wantProblem(t, a.send("POST", "/add/f2", `{"count":1}`, "Idempotency-Key", "k"), 422, reused)
	wantProblem(t, a.send("POST", "/add/f1?x=1", `{"count":1}`, "Idempotency-Key", "k"), 422, reused)

	a.advance(24*time.Hour - time.Second)
	wantAnswer(t, a.send("POST", "/add/f1", `{"count":1}`, "Idempotency-Key", "k"), 201, `{"count":1}`)
	a.advance(time.Second)
	wantAnswer(t, a.send("POST", "/add/f1", `{"count":1}`, "Idempotency-Key", "k"), 201, `{"count":5}`)
	wantAnswer(t, a.send("POST", "/add/f1", `{"count":1}`, "Idempotency-Key", "k"), 201, `{"count":5}`)
}

// A request that failed did not happen: it may be sent again with the same key.
func TestFailureIsNotStored(t *testing.T) {
	t.Parallel()
	fail := true
	a := newApp(t, httpapi.New("POST /add/{id}", func(ctx context.Context, in *addIn) (*addOut, error) {
		if fail {
			return nil, problem.New(409, "not yet")
		}
		return add(ctx, in)
	}))
	wantProblem(t, a.send("POST", "/add/f1", `{"count":1}`, "Idempotency-Key", "k"), 409, "not yet")
	fail = false
	wantAnswer(t, a.send("POST", "/add/f1", `{"count":1}`, "Idempotency-Key", "k"), 201, `{"count":1}`)
}

// Of requests with one key at the same time, one does the work.
func TestConcurrentDuplicates(t *testing.T) {
	t.Parallel()
	a := newApp(t, httpapi.New("POST /add/{id}", add))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			wantAnswer(t, a.send("POST", "/add/f1", `{"count":1}`, "Idempotency-Key", "k"), 201, `{"count":1}`)
		})
	}
	wg.Wait()
	if n := a.count("f1"); n != 1 {
		t.Errorf("the work was done %d times", n)
	}
}

func TestIdempotencyKeyMistakes(t *testing.T) {
	t.Parallel()
	type streamed struct {
		Body io.Reader `body:""`
	}
	a := newApp(t,
		httpapi.New("POST /add/{id}", add),
		httpapi.New("POST /alone", func(context.Context, *struct{}) (*struct{}, error) { return nil, nil }, httpapi.NoUnit()),
		httpapi.New("POST /stream", func(context.Context, *struct{}) (*streamed, error) { return nil, nil }),
		httpapi.New("GET /", func(context.Context, *struct{}) (*struct{}, error) { return nil, nil }),
	)
	wantProblem(t, a.send("POST", "/alone", "", "Idempotency-Key", "k"), 400, "the work is not one unit")
	wantProblem(t, a.send("POST", "/stream", "", "Idempotency-Key", "k"), 400, "the answer is a stream")
	wantProblem(t, a.send("POST", "/add/f1", "{}", "Idempotency-Key", ""), 400, "must have 1 to 255 bytes")
	wantProblem(t, a.send("POST", "/add/f1", "{}", "Idempotency-Key", strings.Repeat("x", 256)), 400, "must have 1 to 255 bytes")
	wantProblem(t, a.send("POST", "/add/f1", "{}", "Idempotency-Key", "a", "Idempotency-Key", "b"), 400, "more than once")
	wantAnswer(t, a.send("GET", "/", "", "Idempotency-Key", "k"), 204, "")
}

// An answer that is too large to keep is not given again, nor is the work done
// again.
func TestLargeAnswer(t *testing.T) {
	t.Parallel()
	runs := 0
	a := newApp(t, httpapi.New("POST /", func(context.Context, *struct{}) (*string, error) {
		runs++
		s := strings.Repeat("x", 256<<10+1)
		return &s, nil
	}))
	if w := a.send("POST", "/", "", "Idempotency-Key", "k"); w.Code != 200 || w.Body.Len() != 256<<10+1 {
		t.Errorf("got %d with %d bytes", w.Code, w.Body.Len())
	}
	doc := wantProblem(t, a.send("POST", "/", "", "Idempotency-Key", "k"), 409, "carried out before")
	if doc["originalStatus"] != 200.0 || runs != 1 {
		t.Errorf("original status %v after %d runs", doc["originalStatus"], runs)
	}
}

// Whoever may not send a request does not get its stored answer either.
func TestReplayChecksTheRequest(t *testing.T) {
	t.Parallel()
	a := newApp(t, httpapi.New("POST /add/{id}", add))
	wantAnswer(t, a.send("POST", "/add/f1", `{"count":1}`, "Idempotency-Key", "k"), 201, `{"count":1}`)
	wantProblem(t, a.send("POST", "/add/f1", `{"count":`, "Idempotency-Key", "k"), 400, "cut short")
}

// Forms are told apart by their fields and streams by their declared length.
func TestFingerprints(t *testing.T) {
	t.Parallel()
	type form struct {
		Name string `form:"name"`
	}
	type stream struct {
		Body io.Reader `body:""`
	}
	a := newApp(t,
		httpapi.New("POST /form", func(_ context.Context, in *form) (*string, error) { return &in.Name, nil }),
		httpapi.New("POST /stream", func(_ context.Context, in *stream) (*string, error) {
			b, err := io.ReadAll(in.Body)
			s := string(b)
			return &s, err
		}),
	)
	send := func(path, contentType, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", path, strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("Idempotency-Key", "k")
		return a.do(r)
	}
	multi := func(boundary, value string) (string, string) {
		return "multipart/form-data; boundary=" + boundary,
			fmt.Sprintf("--%s\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\n%s\r\n--%[1]s--\r\n", boundary, value)
	}
	contentType, body := multi("one", "ann")
	wantAnswer(t, send("/form", contentType, body), 200, "ann")
	contentType, body = multi("two", "ann")
	wantAnswer(t, send("/form", contentType, body), 200, "ann")
	contentType, body = multi("two", "bob")
	wantProblem(t, send("/form", contentType, body), 422, "another request")

	wantAnswer(t, send("/stream", "text/plain", "abc"), 200, "abc")
	wantAnswer(t, send("/stream", "text/plain", "abc"), 200, "abc")
	wantProblem(t, send("/stream", "text/plain", "abcd"), 422, "another request")
}
