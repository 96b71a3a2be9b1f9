package binding_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/binding"
)

// answer encodes out and sends it.
func answer[Out any](t *testing.T, out *Out) *httptest.ResponseRecorder {
	t.Helper()
	_, plan := plans[struct{}, Out](t, newFixture(), post())
	res, err := plan.Encode(reflect.ValueOf(out))
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	if err := res.Send(w, http.MethodGet); err != nil {
		t.Fatal(err)
	}
	return w
}

func plans[In, Out any](t *testing.T, fx *fixture, trig binding.Trigger) (*binding.Input, *binding.Output) {
	t.Helper()
	in, err := binding.CompileInput(reflect.TypeFor[In](), trig, fx.env)
	if err != nil {
		t.Fatal(err)
	}
	out, err := binding.CompileOutput(reflect.TypeFor[Out](), in, fx.env)
	if err != nil {
		t.Fatal(err)
	}
	return in, out
}

type full struct {
	Status   int        `status:"202"`
	Location string     `header:"location"`
	Expires  *time.Time `header:"X-Expires"`
	Cookies  []string   `header:"Set-Cookie"`
	Count    int        `header:"X-Count"`
	Body     *order     `body:""`
	Note     string     `bind:"-"`
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	when := time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)
	type text struct {
		Type string `header:"Content-Type"`
		Body []byte `body:"text/csv"`
	}
	type stream struct {
		Body io.Reader `body:"image/png"`
	}
	type statusOnly struct {
		Status int `status:""`
	}
	type created struct {
		Status int `status:"201"`
	}
	s, list := "hi", []int{1}
	for name, tt := range map[string]struct {
		got         *httptest.ResponseRecorder
		status      int
		contentType string
		body        string
	}{
		"nothing":             {answer[order](t, nil), 204, "", ""},
		"empty":               {answer(t, &struct{}{}), 204, "", ""},
		"plain struct":        {answer(t, &row{"ann", 1}), 200, "application/json", `{"owner":"ann","size":1}` + "\n"},
		"link":                {answer(t, &row{"/a?b=1&c=<d>", 1}), 200, "application/json", `{"owner":"/a?b=1&c=<d>","size":1}` + "\n"},
		"plain list":          {answer(t, &list), 200, "application/json", "[1]\n"},
		"plain text":          {answer(t, &s), 200, "text/plain; charset=utf-8", "hi"},
		"default status":      {answer(t, &full{Body: &order{ID: "a"}}), 202, "application/json", `{"id":"a","tags":null,"lines":null,"any":null}` + "\n"},
		"own status":          {answer(t, &full{Status: 409}), 409, "", ""},
		"no body":             {answer(t, &full{}), 202, "", ""},
		"status with no body": {answer(t, &full{Status: 204, Body: &order{}}), 204, "", ""},
		"bytes":               {answer(t, &text{Body: []byte("a,b")}), 200, "text/csv", "a,b"},
		"own type":            {answer(t, &text{Type: "text/tab-separated-values", Body: []byte("a")}), 200, "text/tab-separated-values", "a"},
		"stream":              {answer(t, &stream{strings.NewReader("png")}), 200, "image/png", "png"},
		"nil stream":          {answer(t, &stream{}), 204, "", ""},
		"status field unset":  {answer(t, &statusOnly{}), 204, "", ""},
		"status field set":    {answer(t, &created{}), 201, "", ""},
	} {
		w := tt.got
		if w.Code != tt.status || w.Header().Get("Content-Type") != tt.contentType || w.Body.String() != tt.body {
			t.Errorf("%s: got %d %q %q, want %d %q %q", name, w.Code, w.Header().Get("Content-Type"), w.Body, tt.status, tt.contentType, tt.body)
		}
	}
	h := answer(t, &full{Location: "/x", Expires: &when, Cookies: []string{"a=1", "b=2"}}).Result().Header
	if h.Get("Location") != "/x" || h.Get("X-Expires") != "2024-01-02T03:04:05Z" || len(h.Values("Set-Cookie")) != 2 || h.Values("X-Count") != nil {
		t.Errorf("headers: %v", h)
	}
}

func TestAnswersThatCannotBeSent(t *testing.T) {
	t.Parallel()
	_, plan := plans[struct{}, full](t, newFixture(), post())
	for text, out := range map[string]*full{
		"status 1000 is not from 200 to 599": {Status: 1000},
		"status 101 is not":                  {Status: 101},
		"has a control character":            {Location: "/x\r\nSet-Cookie: a=b"},
		"header Set-Cookie: value":           {Cookies: []string{"a\x00"}},
		"body: json: unsupported type":       {Body: &order{Any: make(chan int)}},
	} {
		_, err := plan.Encode(reflect.ValueOf(out))
		wantError(t, err, text)
	}
}

type closer struct {
	io.Reader
	closed bool
}

func (c *closer) Close() error { c.closed = true; return nil }

// A stream is closed once, whatever becomes of the answer.
func TestStreamsAreClosed(t *testing.T) {
	t.Parallel()
	type out struct {
		Status int     `status:"200"`
		Body   *closer `body:""`
	}
	_, plan := plans[struct{}, out](t, newFixture(), post())
	for name, finish := range map[string]func(*binding.Response) error{
		"sent":      func(r *binding.Response) error { return r.Send(httptest.NewRecorder(), http.MethodGet) },
		"discarded": func(r *binding.Response) error { r.Discard(); return nil },
	} {
		c := &closer{Reader: strings.NewReader("x")}
		res, err := plan.Encode(reflect.ValueOf(&out{Body: c}))
		if err == nil {
			err = finish(res)
		}
		if err != nil || !c.closed {
			t.Errorf("%s: closed %v, %v", name, c.closed, err)
		}
	}
	for _, status := range []int{204, 1000} {
		c := &closer{Reader: strings.NewReader("x")}
		_, err := plan.Encode(reflect.ValueOf(&out{Status: status, Body: c}))
		if !c.closed {
			t.Errorf("status %d: not closed, %v", status, err)
		}
	}
}

func TestWrittenRows(t *testing.T) {
	t.Parallel()
	type in struct {
		ID   string `path:"id"`
		Body order  `body:""`
	}
	type added struct {
		FileID string `json:"fileId"`
	}
	type out struct {
		Body    added   `body:""`
		Owner   string  `bind:"-"`
		Row     *row    `bind:"metadata/{out.Owner}/{out.Body.fileId}"`
		Same    row     `bind:"metadata/{id}"`
		ByIn    *row    `bind:"metadata/{in.Body.ID}"`
		Absent  *row    `bind:"metadata/{body.id}/absent"`
		Message *string `bind:"names"`
	}
	fx := newFixture()
	inPlan, outPlan := plans[in, out](t, fx, post("id"))
	r := newRequest("POST", "/", "application/json", `{"id":"b"}`)
	r.SetPathValue("id", "p")
	req := binding.NewRequest(httptest.NewRecorder(), r, 0)
	v, err := inPlan.Decode(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	msg := "hello"
	store := func(o *out) error { return outPlan.Store(t.Context(), req, v, reflect.ValueOf(o)) }
	if err := store(&out{Body: added{"f/1"}, Owner: "ann", Row: &row{Size: 1}, Same: row{Size: 2}, ByIn: &row{Size: 3}, Message: &msg}); err != nil {
		t.Fatal(err)
	}
	if len(fx.metadata.rows) != 3 {
		t.Errorf("rows %v", fx.metadata.rows)
	}
	for key, size := range map[string]int{"ann/f%2F1": 1, "p": 2, "b": 3} {
		if got := fx.metadata.rows[key]; !got.IsValid() || got.Interface().(row).Size != size {
			t.Errorf("row %s: %v", key, got)
		}
	}
	if got := fx.names.rows[""]; !got.IsValid() || got.String() != "hello" {
		t.Errorf("message %v", got)
	}
	err = store(&out{Row: &row{}})
	wantError(t, err, "expression {out.Owner} is needed")
	wantProblem(t, err, http.StatusInternalServerError, "")
	if err := store(nil); err != nil {
		t.Errorf("a nil Out: %v", err)
	}
}
