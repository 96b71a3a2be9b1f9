package binding_test

import (
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/binding"
	"github.com/perdure/perdure/internal/failure"
	"github.com/perdure/perdure/internal/resource"
)

// decode compiles In and decodes r with it.
func decode[In any](t *testing.T, fx *fixture, trig binding.Trigger, r *http.Request) (*In, error) {
	t.Helper()
	plan, err := binding.CompileInput(reflect.TypeFor[In](), trig, fx.env)
	if err != nil {
		t.Fatal(err)
	}
	req := binding.NewRequest(httptest.NewRecorder(), r, 0)
	in, err := plan.Decode(t.Context(), req)
	if err == nil {
		err = plan.Load(t.Context(), req, in)
	}
	if err != nil {
		return nil, err
	}
	return in.Interface().(*In), nil
}

func newRequest(method, target, contentType, body string) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r
}

// wantProblem checks that err is a problem with the status and, in its detail,
// the text.
func wantProblem(t *testing.T, err error, status int, text string) {
	t.Helper()
	p, _ := failure.Problem(err, "id")
	if err == nil || p.Status != status || !strings.Contains(p.Detail, text) {
		t.Errorf("got %v\nwant status %d with %q", err, status, text)
	}
}

type paging struct {
	Limit int     `query:"limit" default:"20"`
	After *string `query:"after"`
}

type params struct {
	paging
	Paging  paging2
	ID      int64         `path:"id"`
	Names   []string      `query:"name"`
	Sizes   []uint16      `query:"size"`
	Since   time.Time     `query:"since"`
	Wait    time.Duration `query:"wait"`
	Ratio   *float32      `query:"ratio"`
	Deep    bool          `query:"deep"`
	From    netip.Addr    `query:"from"`
	Agent   string        `header:"User-Agent"`
	Accept  []string      `header:"Accept-Language"`
	Host    string        `header:"Host"`
	Session string        `cookie:"session"`
	Ignored chan int      `bind:"-"`
}

type paging2 = caller // an injected field inside

func TestParameters(t *testing.T) {
	t.Parallel()
	r := newRequest("POST", "http://here.example/7?limit=&after=&name=a&name=b&size=1&size=65535&since=2024-05-06T07:08:09%2B02:00"+
		"&wait=1h30m&ratio=0.5&deep=true&from=192.0.2.1", "", "")
	r.SetPathValue("id", "-7")
	r.Header.Set("Authorization", "ann")
	r.Header.Set("User-Agent", "test")
	r.Header.Add("Accept-Language", "de, en")
	r.Header.Add("Accept-Language", "fr")
	r.AddCookie(&http.Cookie{Name: "session", Value: "s"})
	in, err := decode[params](t, newFixture(), post("id"), r)
	if err != nil {
		t.Fatal(err)
	}
	if in.Limit != 20 || in.After == nil || *in.After != "" || in.Paging.Name != "ann" || in.ID != -7 {
		t.Errorf("limit %d, after %v, caller %v, id %d", in.Limit, in.After, in.Paging, in.ID)
	}
	if !slices.Equal(in.Names, []string{"a", "b"}) || !slices.Equal(in.Sizes, []uint16{1, 65535}) || !slices.Equal(in.Accept, []string{"de", "en", "fr"}) {
		t.Errorf("lists %q %v %q", in.Names, in.Sizes, in.Accept)
	}
	if !in.Since.Equal(time.Date(2024, 5, 6, 5, 8, 9, 0, time.UTC)) || in.Wait != 90*time.Minute || in.Ratio == nil || *in.Ratio != 0.5 || !in.Deep {
		t.Errorf("since %v, wait %v, ratio %v, deep %v", in.Since, in.Wait, in.Ratio, in.Deep)
	}
	if in.From != netip.MustParseAddr("192.0.2.1") || in.Agent != "test" || in.Host != "here.example" || in.Session != "s" {
		t.Errorf("from %v, agent %q, host %q, session %q", in.From, in.Agent, in.Host, in.Session)
	}
}

func TestFaultsOfParameters(t *testing.T) {
	t.Parallel()
	type in struct {
		ID    uint8     `path:"id"`
		Limit int       `query:"limit,required"`
		Deep  bool      `query:"deep"`
		Since time.Time `query:"since"`
		One   string    `query:"one"`
		Key   []string  `header:"X-Key,required"`
	}
	r := newRequest("POST", "/?deep=maybe&since=yesterday&one=1&one=2", "", "")
	r.SetPathValue("id", "256")
	_, err := decode[in](t, newFixture(), post("id"), r)
	for _, text := range []string{
		`path "id": is out of range`, `query "limit": is needed`, `query "deep": must be true or false`,
		`query "since": must be a time like`, `query "one": is given more than once`, `header "X-Key": is needed`,
	} {
		wantProblem(t, err, 400, text)
	}
	_, err = decode[in](t, newFixture(), post("id"), newRequest("POST", "/?a=%zz", "", ""))
	wantProblem(t, err, 400, "query: is not well-formed")
}

func TestJSONBody(t *testing.T) {
	t.Parallel()
	const ct = "application/json; charset=utf-8"
	got, err := decode[order](t, newFixture(), post(), newRequest("POST", "/", ct, `{"id":"a","unknown":1,"lines":[1]}`))
	if err != nil || got.ID != "a" || !slices.Equal(got.Lines, []int{1}) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := decode[order](t, newFixture(), post(), newRequest("POST", "/", "application/merge-patch+json", `{}`)); err != nil {
		t.Error(err)
	}
	for _, tt := range []struct {
		contentType, body string
		status            int
		text              string
	}{
		{"", `{}`, 415, "The body has no Content-Type; send application/json."},
		{"text/plain", `{}`, 415, "Content-Type text/plain cannot be read here; send application/json."},
		{"application/x+json+form", `{}`, 415, "cannot be read here"},
		{";", `{}`, 415, "cannot be read here"},
		{ct, ``, 400, "body: is needed"},
		{ct, `{"id":`, 400, "body: is JSON cut short"},
		{ct, `{"id":}`, 400, "body: is not well-formed JSON at byte 7"},
		{ct, `{} {}`, 400, "body: has more than one JSON value"},
		{ct, `{"id":7}`, 400, `body "id": must be a string, not number`},
		{ct, `{"lines":[true]}`, 400, `must be an integer in range, not bool`},
		{ct, `[]`, 400, `body: must be an object, not array`},
		{ct, `{"id":"` + strings.Repeat("x", 1<<20) + `"}`, 413, "The body may have at most 1 MiB."},
	} {
		_, err := decode[order](t, newFixture(), post(), newRequest("POST", "/", tt.contentType, tt.body))
		wantProblem(t, err, tt.status, tt.text)
	}
}

// The limit holds also for a body that does not say how long it is.
func TestLimitOfChunkedBody(t *testing.T) {
	t.Parallel()
	r := newRequest("POST", "/", "application/json", `"`+strings.Repeat("x", 1<<20)+`"`)
	r.ContentLength = -1
	_, err := decode[order](t, newFixture(), post(), r)
	wantProblem(t, err, 413, "1 MiB")
}

func TestOptionalBody(t *testing.T) {
	t.Parallel()
	type in struct {
		Decision *order `body:",optional"`
	}
	got, err := decode[in](t, newFixture(), post(), newRequest("POST", "/", "", ""))
	if err != nil || got.Decision != nil {
		t.Errorf("got %+v, %v", got, err)
	}
	got, err = decode[in](t, newFixture(), post(), newRequest("POST", "/", "application/json", `{"id":"a"}`))
	if err != nil || got.Decision == nil || got.Decision.ID != "a" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestPlainBodies(t *testing.T) {
	t.Parallel()
	type asBytes struct {
		Body []byte `body:"image/*"`
	}
	b, err := decode[asBytes](t, newFixture(), post(), newRequest("POST", "/", "image/png", "abc"))
	if err != nil || string(b.Body) != "abc" {
		t.Errorf("got %v, %v", b, err)
	}
	_, err = decode[asBytes](t, newFixture(), post(), newRequest("POST", "/", "text/html", "abc"))
	wantProblem(t, err, 415, "send image/*")
	s, err := decode[string](t, newFixture(), post(), newRequest("POST", "/", "", "abc"))
	if err != nil || *s != "abc" {
		t.Errorf("got %v, %v", s, err)
	}
}

func TestForms(t *testing.T) {
	t.Parallel()
	type in struct {
		Name string   `form:"name,required"`
		Tags []string `form:"tag"`
	}
	check := func(r *http.Request) {
		t.Helper()
		got, err := decode[in](t, newFixture(), post(), r)
		if err != nil || got.Name != "a b" || !slices.Equal(got.Tags, []string{"x", "y"}) {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	check(newRequest("POST", "/", "application/x-www-form-urlencoded", "name=a+b&tag=x&tag=y"))
	check(multipartRequest(t, "name", "a b", "tag", "x", "@ignored", "file", "tag", "y"))
	_, err := decode[in](t, newFixture(), post(), newRequest("POST", "/", "", ""))
	wantProblem(t, err, 400, `form "name": is needed`)
	_, err = decode[in](t, newFixture(), post(), newRequest("POST", "/", "application/json", "{}"))
	wantProblem(t, err, 415, "send application/x-www-form-urlencoded or multipart/form-data")
	_, err = decode[in](t, newFixture(), post(), newRequest("POST", "/", "application/x-www-form-urlencoded", "%zz"))
	wantProblem(t, err, 400, "form: is not well-formed")
	_, err = decode[in](t, newFixture(), post(), newRequest("POST", "/", "multipart/form-data", "x"))
	wantProblem(t, err, 415, "with a boundary")
	_, err = decode[in](t, newFixture(), post(), newRequest("POST", "/", "multipart/form-data; boundary=b", "x"))
	wantProblem(t, err, 400, "body: could not be read to its end")
}

// multipartRequest makes a form of pairs; "@name" is a file.
func multipartRequest(t *testing.T, pairs ...string) *http.Request {
	t.Helper()
	var body bytes.Buffer
	mw := multipart.NewWriter(&body)
	for i := 0; i < len(pairs); i += 2 {
		var (
			part io.Writer
			err  error
		)
		if name, isFile := strings.CutPrefix(pairs[i], "@"); isFile {
			part, err = mw.CreateFormFile(name, `C:\photos\cat.png`)
		} else {
			part, err = mw.CreateFormField(pairs[i])
		}
		if err == nil {
			_, err = io.WriteString(part, pairs[i+1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := mw.Close(); err != nil {
		t.Fatal(err)
	}
	return newRequest("POST", "/", mw.FormDataContentType(), body.String())
}

type bindIn struct {
	Owner string    `query:"owner"`
	Need  row       `bind:"metadata/{query.owner}/{fileId}"`
	May   *row      `bind:"metadata/may/{body.order.id},optional"`
	Must  *row      `bind:"metadata/{path.fileId}"`
	Body  *bindBody `body:",optional"`
}

type bindBody struct {
	Order *order `json:"order"`
}

func TestBoundRows(t *testing.T) {
	t.Parallel()
	fx := newFixture()
	fx.metadata.rows["ann/f1"] = reflect.ValueOf(row{Owner: "ann"})
	fx.metadata.rows["f1"] = reflect.ValueOf(row{Size: 1})
	fx.metadata.rows["may/o1"] = reflect.ValueOf(row{Size: 2})
	fx.metadata.rows["a%2Fb/f1"] = reflect.ValueOf(row{Owner: "a/b"})
	get := func(query, fileID, body string) (*bindIn, error) {
		contentType := ""
		if body != "" {
			contentType = "application/json"
		}
		r := newRequest("POST", "/?owner="+query, contentType, body)
		r.SetPathValue("fileId", fileID)
		return decode[bindIn](t, fx, post("fileId"), r)
	}

	in, err := get("ann", "f1", `{"order":{"id":"o1"}}`)
	if err != nil || in.Need.Owner != "ann" || in.Must.Size != 1 || in.May == nil || in.May.Size != 2 {
		t.Errorf("got %+v, %v", in, err)
	}
	in, err = get("ann", "f1", `{"order":{"id":"o2"}}`)
	if err != nil || in.May != nil {
		t.Errorf("an optional row that is absent: got %+v, %v", in, err)
	}
	in, err = get("a%2Fb", "f1", `{"order":{"id":"o1"}}`)
	if err != nil || in.Need.Owner != "a/b" {
		t.Errorf("a value with a slash stays one segment: got %+v, %v", in, err)
	}
	if _, err = get("", "ann/f1", `{"order":{"id":"o1"}}`); err == nil {
		t.Error("a slash in a value led to another partition")
	}
	_, err = get("ann", "f2", `{"order":{"id":"o1"}}`)
	wantProblem(t, err, 404, "does not exist")
	if !errors.Is(err, resource.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	_, err = get("", "f1", `{"order":{"id":"o1"}}`)
	wantProblem(t, err, 400, `query "owner": is needed`)
	_, err = get("ann", "f1", "")
	wantProblem(t, err, 400, `body "order.id": is needed`)
	_, err = get("ann", "f1", `{"order":null}`)
	wantProblem(t, err, 400, `body "order.id": is needed`)
	_, err = get("ann", "f1", `{"order":{"id":"\u0000"}}`)
	wantProblem(t, err, 400, `body "order.id": is not text`)
	_, err = get(strings.Repeat("x", 600), "f1", `{"order":{"id":"o1"}}`)
	wantProblem(t, err, 400, `query "owner": is too long`)
	for _, name := range []string{strings.Repeat("x", 600), "a\x00b", "\xff"} {
		_, err = get("ann", name, `{"order":{"id":"o1"}}`)
		wantProblem(t, err, 404, "does not exist") // no key can be like this part of the address
	}
}

// An event that is no request has the names of its trigger and a payload.
func TestEvent(t *testing.T) {
	t.Parallel()
	type in struct {
		ID    string `path:"fileId"`
		Event order  `body:""`
		Meta  row    `bind:"metadata/{container}/{fileId}"`
		Size  row    `bind:"metadata/{blob.size}"`
	}
	fx := newFixture()
	fx.metadata.rows["12"] = reflect.ValueOf(row{Size: 12})
	fx.metadata.rows["files/f1"] = reflect.ValueOf(row{Size: 3})
	trig := binding.Trigger{Function: "start", Path: []string{"fileId"}, Metadata: []string{"container", "blob.size"}}
	plan, err := binding.CompileInput(reflect.TypeFor[in](), trig, fx.env)
	if err != nil {
		t.Fatal(err)
	}
	ev := binding.NewEvent(map[string]string{"fileId": "f1"}, map[string]string{"container": "files", "blob.size": "12"}, []byte(`{"id":"e"}`))
	v, err := plan.Decode(t.Context(), ev)
	if err == nil {
		err = plan.Load(t.Context(), ev, v)
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := v.Interface().(*in); got.ID != "f1" || got.Event.ID != "e" || got.Meta.Size != 3 || got.Size.Size != 12 {
		t.Errorf("got %+v", got)
	}
}

// Who sent a request is found out before anything of it is read.
func TestInjectorComesFirst(t *testing.T) {
	t.Parallel()
	type in struct {
		Who  caller
		Body order `body:""`
	}
	_, err := decode[in](t, newFixture(), post(), newRequest("POST", "/", "", "not JSON"))
	if err == nil || err.Error() != "nobody" {
		t.Errorf("got %v", err)
	}
}

// TestEventText: an event is JSON, also where it is a text.
func TestEventText(t *testing.T) {
	t.Parallel()
	type in struct {
		Text string `body:""`
	}
	plan, err := binding.CompileInput(reflect.TypeFor[in](), binding.Trigger{Function: "f"}, binding.Env{})
	if err != nil {
		t.Fatal(err)
	}
	v, err := plan.Decode(t.Context(), binding.NewEvent(nil, nil, []byte(`"one\ntwo"`)))
	if err != nil {
		t.Fatal(err)
	}
	if got := v.Interface().(*in).Text; got != "one\ntwo" {
		t.Errorf("got %q", got)
	}
}
