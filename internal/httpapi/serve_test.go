package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/perdure/perdure/internal/binding"
	"github.com/perdure/perdure/internal/httpapi"
	"github.com/perdure/perdure/internal/problem"
	"github.com/perdure/perdure/internal/unit"
)

type approveIn struct {
	ID   string `path:"id"`
	Meta meta   `bind:"metadata/{id}"`
}

type approveOut struct {
	Status int      `status:"202"`
	Body   countDoc `body:""`
	Meta   *meta    `bind:"metadata/{id}"`
}

type countDoc struct {
	Count int `json:"count"`
}

// approve adds one to a row.
func approve(_ context.Context, in *approveIn) (*approveOut, error) {
	in.Meta.Count++
	return &approveOut{Body: countDoc{in.Meta.Count}, Meta: &in.Meta}, nil
}

func TestFunctionIsAUnit(t *testing.T) {
	t.Parallel()
	a := newApp(t, httpapi.New("POST /approve/{id}", approve))
	a.put("f1", meta{Owner: "ann", Count: 1})
	wantAnswer(t, a.send("POST", "/approve/f1", ""), 202, `{"count":2}`)
	if n := a.count("f1"); n != 2 {
		t.Errorf("count %d, want 2", n)
	}
}

// A row that is needed and absent: 404, and the function is not run.
func TestAbsentRow(t *testing.T) {
	t.Parallel()
	a := newApp(t, httpapi.New("POST /approve/{id}", func(context.Context, *approveIn) (*approveOut, error) {
		t.Error("the function was run")
		return nil, nil
	}))
	wantProblem(t, a.send("POST", "/approve/f1", ""), 404, "does not exist")
}

// When the function fails, nothing is written.
func TestFailureWritesNothing(t *testing.T) {
	t.Parallel()
	failure := problem.New(409, "too late")
	a := newApp(t, httpapi.New("POST /approve/{id}", func(ctx context.Context, in *approveIn) (*approveOut, error) {
		if err := metadata.Put(ctx, in.ID, &meta{Count: 9}); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("approve: %w", failure)
	}))
	a.put("f1", meta{Count: 1})
	wantProblem(t, a.send("POST", "/approve/f1", ""), 409, "too late")
	if n := a.count("f1"); n != 1 {
		t.Errorf("count %d, want 1", n)
	}
}

// A conflict runs the function again with what is there now.
func TestConflictRunsAgain(t *testing.T) {
	t.Parallel()
	var (
		race func()
		runs int
	)
	a := newApp(t, httpapi.New("POST /approve/{id}", func(ctx context.Context, in *approveIn) (*approveOut, error) {
		runs++
		race()
		return approve(ctx, in)
	}))
	a.put("f1", meta{Count: 1})
	race = a.racer("f1", 2)
	wantAnswer(t, a.send("POST", "/approve/f1", ""), 202, `{"count":202}`)
	if runs != 3 || a.count("f1") != 202 {
		t.Errorf("%d runs, count %d; want 3 and 202", runs, a.count("f1"))
	}
}

func TestConflictsWithoutEnd(t *testing.T) {
	t.Parallel()
	var (
		race func()
		runs int
	)
	a := newApp(t, httpapi.New("POST /approve/{id}", func(ctx context.Context, in *approveIn) (*approveOut, error) {
		runs++
		race()
		return approve(ctx, in)
	}))
	a.put("f1", meta{})
	race = a.racer("f1", 1000)
	w := a.send("POST", "/approve/f1", "")
	wantProblem(t, w, 503, "Nothing was done; try again.")
	if w.Header().Get("Retry-After") != "1" || runs != 10 {
		t.Errorf("Retry-After %q after %d runs", w.Header().Get("Retry-After"), runs)
	}
}

// A body that was decoded from memory is there for each run; a stream that was
// read by hand is not.
func TestBodiesOfReruns(t *testing.T) {
	t.Parallel()
	type jsonIn struct {
		approveIn
		Body countDoc `body:""`
	}
	type streamIn struct {
		approveIn
		Body io.Reader `body:""`
	}
	type out struct {
		Meta *meta `bind:"metadata/{id}"`
	}
	var race func()
	a := newApp(t,
		httpapi.New("POST /json/{id}", func(_ context.Context, in *jsonIn) (*out, error) {
			race()
			in.Meta.Count += in.Body.Count
			return &out{&in.Meta}, nil
		}),
		httpapi.New("POST /stream/{id}", func(_ context.Context, in *streamIn) (*out, error) {
			race()
			_, err := io.ReadAll(in.Body)
			return &out{&in.Meta}, err
		}),
	)
	a.put("f1", meta{})
	race = a.racer("f1", 1)
	wantAnswer(t, a.send("POST", "/json/f1", `{"count":7}`), 204, "")
	if n := a.count("f1"); n != 107 {
		t.Errorf("count %d, want 107", n)
	}
	race = a.racer("f1", 1)
	w := a.send("POST", "/stream/f1", "bytes")
	wantProblem(t, w, 503, "send it again")
	if w.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

// The answer is sent after the commit: whoever has it finds what it speaks of.
func TestAnswerComesAfterTheCommit(t *testing.T) {
	t.Parallel()
	a := newApp(t, httpapi.New("POST /approve/{id}", approve))
	a.put("f1", meta{})
	committed := false
	inner := a.cfg.Committer
	a.cfg.Committer = committerFunc(func(ctx context.Context, txn *txn) error {
		err := inner.Commit(ctx, txn)
		committed = true
		return err
	})
	mux := http.NewServeMux()
	if err := httpapi.Register(mux, a.cfg, httpapi.New("POST /approve/{id}", approve)); err != nil {
		t.Fatal(err)
	}
	w := &watcher{ResponseRecorder: httptest.NewRecorder(), onHeader: func() {
		if !committed {
			t.Error("the answer was sent before the commit")
		}
	}}
	mux.ServeHTTP(w, httptest.NewRequest("POST", "/approve/f1", nil))
	if w.Code != 202 {
		t.Errorf("status %d", w.Code)
	}
}

type watcher struct {
	*httptest.ResponseRecorder
	onHeader func()
}

func (w *watcher) WriteHeader(status int) {
	w.onHeader()
	w.ResponseRecorder.WriteHeader(status)
}

// Other errors are 500; the cause is in the log under the id that the caller got.
func TestCauseIsNotTold(t *testing.T) {
	t.Parallel()
	a := newApp(t,
		httpapi.New("POST /fail", func(context.Context, *struct{}) (*struct{}, error) {
			return nil, errors.New("password is hunter2")
		}),
		httpapi.New("POST /panic", func(context.Context, *struct{}) (*struct{}, error) { panic("hunter3") }),
		httpapi.New("POST /status", func(context.Context, *struct{}) (*struct{}, error) {
			return nil, &problem.Error{Status: 42, Detail: "hunter4"}
		}),
	)
	for path, secret := range map[string]string{"/fail": "hunter2", "/panic": "hunter3", "/status": "hunter4"} {
		w := a.send("POST", path, "")
		doc := wantProblem(t, w, 500, "The request failed.")
		id, _ := doc["id"].(string)
		if strings.Contains(w.Body.String(), "hunter") {
			t.Errorf("%s told: %s", path, w.Body)
		}
		line := lineWith(a.log.String(), id)
		if id == "" || !strings.Contains(line, secret) {
			t.Errorf("%s: log line of id %q: %s", path, id, line)
		}
		if path == "/panic" && !strings.Contains(line, "serve_test.go") {
			t.Errorf("no stack in %s", line)
		}
	}
}

func lineWith(log, text string) string {
	for line := range strings.Lines(log) {
		if strings.Contains(line, text) {
			return line
		}
	}
	return ""
}

// A panic discards the unit, and the server goes on.
func TestPanicWritesNothing(t *testing.T) {
	t.Parallel()
	a := newApp(t, httpapi.New("POST /approve/{id}", func(ctx context.Context, in *approveIn) (*approveOut, error) {
		if err := metadata.Put(ctx, in.ID, &meta{Count: 9}); err != nil {
			return nil, err
		}
		panic("boom")
	}))
	a.put("f1", meta{Count: 1})
	wantProblem(t, a.send("POST", "/approve/f1", ""), 500, "")
	if n := a.count("f1"); n != 1 {
		t.Errorf("count %d, want 1", n)
	}
}

func TestAbortHandlerKeepsItsMeaning(t *testing.T) {
	t.Parallel()
	a := newApp(t, httpapi.New("POST /", func(context.Context, *struct{}) (*struct{}, error) { panic(http.ErrAbortHandler) }))
	defer func() {
		if v := recover(); v != http.ErrAbortHandler {
			t.Errorf("recovered %v", v)
		}
	}()
	a.send("POST", "/", "")
}

// A function without a unit opens its own.
func TestNoUnit(t *testing.T) {
	t.Parallel()
	type in struct {
		ID string `path:"id"`
	}
	var a *app
	a = newApp(t, httpapi.New("POST /approve/{id}", func(ctx context.Context, i *in) (*countDoc, error) {
		if unit.Inside(ctx) {
			t.Error("there is a unit")
		}
		a.put(i.ID, meta{Count: 5})
		return &countDoc{a.count(i.ID)}, nil
	}, httpapi.NoUnit()))
	wantAnswer(t, a.send("POST", "/approve/f1", ""), 200, `{"count":5}`)
}

func TestClientThatIsGone(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	a := newApp(t, httpapi.New("POST /approve/{id}", func(ctx context.Context, in *approveIn) (*approveOut, error) {
		cancel()
		return approve(ctx, in)
	}))
	a.put("f1", meta{Count: 1})
	w := a.do(httptest.NewRequestWithContext(ctx, "POST", "/approve/f1", nil))
	wantProblem(t, w, 503, "given up")
	if n := a.count("f1"); n != 1 {
		t.Errorf("count %d: a request that was given up was committed", n)
	}
}

func TestUnknownRoutes(t *testing.T) {
	t.Parallel()
	a := newApp(t, httpapi.New("POST /approve/{id}", approve), httpapi.New("GET /list/{$}", func(context.Context, *struct{}) (*countDoc, error) {
		return &countDoc{}, nil
	}))
	wantProblem(t, a.send("GET", "/nothing", ""), 404, "Nothing is at /nothing.")
	w := a.send("GET", "/approve/f1", "")
	wantProblem(t, w, 405, "/approve/f1 takes POST.")
	if w.Header().Get("Allow") != "POST" {
		t.Errorf("Allow %q", w.Header().Get("Allow"))
	}
	if w := a.send("GET", "/list//", ""); w.Code/100 != 3 || w.Header().Get("Location") != "/list/" {
		t.Errorf("an unclean path: %d to %q", w.Code, w.Header().Get("Location"))
	}
	wantAnswer(t, a.send("GET", "/list/", ""), 200, `{"count":0}`)
}

func TestMaxBody(t *testing.T) {
	t.Parallel()
	type in struct {
		Body []byte `body:""`
	}
	a := newApp(t, httpapi.New("POST /", func(context.Context, *in) (*struct{}, error) { return nil, nil }, httpapi.MaxBody(10)))
	wantAnswer(t, a.send("POST", "/", strings.Repeat("x", 10)), 204, "")
	wantProblem(t, a.send("POST", "/", strings.Repeat("x", 11)), 413, "10 bytes")
}

// The 413 of an upload that is read by the function comes through its error.
func TestUploadTooLarge(t *testing.T) {
	t.Parallel()
	a := newApp(t, httpapi.New("POST /", func(_ context.Context, in *binding.Upload) (*struct{}, error) {
		_, err := io.Copy(io.Discard, in.Body)
		if err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
		return nil, nil
	}, httpapi.MaxBody(1<<10)))
	r := httptest.NewRequest("POST", "/", strings.NewReader(strings.Repeat("x", 1<<10+1)))
	r.ContentLength = -1
	wantProblem(t, a.do(r), 413, "The body may have at most 1 KiB.")
}

func TestRegisterMistakes(t *testing.T) {
	t.Parallel()
	ok := func(context.Context, *struct{}) (*struct{}, error) { return nil, nil }
	type wrong struct {
		ID   string `path:"nr"`
		Meta meta   `bind:"metdata/{id}"`
	}
	for name, tt := range map[string]struct {
		functions []*httpapi.Function
		want      string
	}{
		"pattern":        {[]*httpapi.Function{httpapi.New("approve", ok)}, `pattern "approve" has no path`},
		"host":           {[]*httpapi.Function{httpapi.New("POST example.com/x", ok)}, `has no path; write "POST /path/{name}"`},
		"lower case":     {[]*httpapi.Function{httpapi.New("post /x", ok)}, `methods are written in capitals`},
		"wildcard":       {[]*httpapi.Function{httpapi.New("POST /{a", ok)}, `function POST /{a: `},
		"twice":          {[]*httpapi.Function{httpapi.New("POST /x", ok), httpapi.New("POST /x", ok)}, `function POST /x: POST /x and POST /x have this name`},
		"conflict":       {[]*httpapi.Function{httpapi.New("POST /{a}", ok), httpapi.New("POST /{b}", ok)}, `conflicts with pattern`},
		"no function":    {[]*httpapi.Function{httpapi.New[struct{}, struct{}]("POST /x", nil)}, `function POST /x: is nil`},
		"negative":       {[]*httpapi.Function{httpapi.New("POST /x", ok, httpapi.MaxBody(-1))}, `MaxBody is negative`},
		"binding":        {[]*httpapi.Function{httpapi.New("POST /{id}", func(context.Context, *wrong) (*struct{}, error) { return nil, nil }, httpapi.Named("approve"))}, `function approve: field Meta: no resource named "metdata"; did you mean "metadata"?`},
		"bound, no unit": {[]*httpapi.Function{httpapi.New("POST /{id}", approve, httpapi.NoUnit())}, `has no unit of work, so no field can be bound`},
	} {
		a := newApp(t)
		err := httpapi.Register(http.NewServeMux(), a.cfg, tt.functions...)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", name, err, tt.want)
		}
	}
}
