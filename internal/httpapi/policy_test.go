package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/internal/binding"
	"github.com/perdure/perdure/internal/httpapi"
)

// bearers knows the principal ann, with the permission "add"; other tokens are bad, or
// cannot be checked.
var bearers = auth.AuthenticatorFunc(func(r *http.Request) (*auth.Principal, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case !ok:
		return nil, nil
	case token == "ann":
		return &auth.Principal{Subject: "ann", Issuer: "https://issuer/", Permissions: []string{"add"}}, nil
	case token == "bob":
		return &auth.Principal{Subject: "bob", Issuer: "https://issuer/", Permissions: []string{"add"}}, nil
	case token == "eve":
		return &auth.Principal{Subject: "eve", Issuer: "https://issuer/"}, nil
	case token == "down":
		return nil, errors.New("secret: no route to the issuer")
	case token == "panic":
		panic("secret: a fault")
	}
	return nil, &auth.TokenError{Reason: "the token has expired"}
})

func known(c *httpapi.Config) {
	c.Auth = bearers
	c.Bindings.Injectors = map[reflect.Type]binding.Injector{
		httpapi.Known: func(ctx context.Context, _ *http.Request) (reflect.Value, error) {
			return reflect.ValueOf(*auth.From(ctx)), nil
		},
		httpapi.Perhaps: func(ctx context.Context, _ *http.Request) (reflect.Value, error) {
			return reflect.ValueOf(auth.From(ctx)), nil
		},
	}
}

// readBody notes whether anybody reads it.
type readBody struct {
	io.Reader
	read bool
}

func (b *readBody) Read(p []byte) (int, error) {
	b.read = true
	return b.Reader.Read(p)
}

func TestPolicyDecidesBeforeTheBodyIsRead(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		token   string
		status  int
		detail  string
		missing []any
		header  string
	}{
		"nobody":       {"", 401, "credentials", nil, `Bearer realm=`},
		"bad":          {"Bearer x", 401, "the token has expired", nil, `error="invalid_token"`},
		"other scheme": {"Basic YTpi", 401, "credentials", nil, "Bearer"},
		"not allowed":  {"Bearer eve", 403, "the permission add is needed", []any{"permission add"}, `error="insufficient_scope"`},
		"unknown":      {"Bearer down", 503, "", nil, ""},
		"panic":        {"Bearer panic", 503, "", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAppWith(t, known, httpapi.New("POST /add/{id}", add, httpapi.Require(auth.Permission("add"))))
			body := &readBody{Reader: strings.NewReader(`{"count":1}`)}
			r := httptest.NewRequest("POST", "/add/a", body)
			r.Header.Set("Authorization", tt.token)
			r.Header.Set("Idempotency-Key", strings.Repeat("x", 1000)) // a fault that is found later
			r.Header.Set("Expect", "100-continue")
			w := a.do(r)
			doc := wantProblem(t, w, tt.status, tt.detail)
			if missing, _ := doc["missing"].([]any); !slices.Equal(missing, tt.missing) {
				t.Errorf("missing %v", doc["missing"])
			}
			if got := w.Header().Get("WWW-Authenticate"); !strings.Contains(got, tt.header) || tt.header == "" && got != "" {
				t.Errorf("WWW-Authenticate %q", got)
			}
			if body.read || strings.Contains(w.Body.String(), "secret") {
				t.Errorf("body read %v, answer %s", body.read, w.Body)
			}
			if logged := a.log.String(); (tt.status == 503) != strings.Contains(logged, "secret") || strings.Contains(logged, "YTpi") {
				t.Errorf("the log:\n%s", logged)
			}
			if n := a.count("a"); n != -1 {
				t.Errorf("it was done: %d", n)
			}
		})
	}
	a := newAppWith(t, known, httpapi.New("POST /add/{id}", add, httpapi.Require(auth.Permission("add"))))
	w := a.send("POST", "/add/a", `{"count":1}`, "Authorization", "Bearer ann")
	wantAnswer(t, w, 201, `{"count":1}`)
	if w.Header().Get("Cache-Control") != "private" {
		t.Errorf("Cache-Control %q", w.Header().Get("Cache-Control"))
	}
}

func TestRequirementsAddUp(t *testing.T) {
	t.Parallel()
	p := auth.Permission
	for _, tt := range []struct {
		q    httpapi.Requirements
		want string
	}{
		{nil, "permission standard"},
		{httpapi.Requirements{auth.Anonymous()}, "anybody"},
		{httpapi.Requirements{p("a")}, "permission a"},
		{httpapi.Requirements{p("a")}.In(p("b")), "permission b and permission a"},
		{httpapi.Requirements{auth.Anonymous()}.In(p("b")), "permission b"},
		{httpapi.Requirements{p("a")}.In(auth.Anonymous()), "permission a"},
		{httpapi.Requirements(nil).In(auth.Anonymous()), "anybody"},
		{httpapi.Requirements(nil).In(p("b")).In(p("c")), "permission c and permission b"},
	} {
		if got := tt.q.Policy(p("standard")).String(); got != tt.want {
			t.Errorf("%v: got %s, want %s", tt.q, got, tt.want)
		}
	}
	f := httpapi.New("POST /x", add, httpapi.Require(p("a"), p("b")))
	if got := f.Guarded(p("c")).Requires().Policy(auth.Anonymous()).String(); got != "permission c and permission a and permission b" {
		t.Errorf("guarded: %s", got)
	}
	if got := f.Requires().Policy(auth.Anonymous()).String(); got != "permission a and permission b" {
		t.Errorf("the function itself was changed: %s", got)
	}
}

type ownedIn struct {
	ID  string         `path:"id"`
	Who auth.Principal //nolint:govet // filled by type
	Row *meta          `bind:"metadata/{id}"`
}

func (in *ownedIn) owner() string { return in.Row.Owner }

type owned interface{ owner() string }

var mayTouch = auth.Resource("not the owner", func(_ context.Context, who *auth.Principal, in owned) error {
	if in.owner() == who.Subject {
		return errors.New("nobody touches the own row")
	}
	return nil
})

// What is decided about is what the unit has read: after a conflict it is decided anew.
func TestResourcePolicyDecidesInEachRun(t *testing.T) {
	t.Parallel()
	var a *app
	runs := 0
	touch := func(ctx context.Context, in *ownedIn) (*struct{}, error) {
		if runs++; runs == 1 {
			a.unit(func(ctx context.Context) error {
				return metadata.Put(ctx, in.ID, &meta{Owner: in.Who.Subject, Count: in.Row.Count})
			})
		}
		row := *in.Row
		row.Count++
		return nil, metadata.Put(ctx, in.ID, &row)
	}
	a = newAppWith(t, known, httpapi.New("POST /touch/{id}", touch, httpapi.Require(auth.Permission("add"), mayTouch)))
	a.put("a", meta{Owner: "bob"})
	w := a.send("POST", "/touch/a", "", "Authorization", "Bearer ann")
	wantProblem(t, w, 403, "nobody touches the own row")
	if runs != 1 || a.count("a") != 0 {
		t.Errorf("%d runs, count %d", runs, a.count("a"))
	}
	a.put("a", meta{Owner: "bob"})
	wantAnswer(t, a.send("POST", "/touch/a", "", "Authorization", "Bearer ann"), 204, "")
	wantProblem(t, a.send("POST", "/touch/none", "", "Authorization", "Bearer ann"), 404, "")
	wantProblem(t, a.send("POST", "/touch/a", "", "Authorization", "Bearer eve"), 403, "permission add")
	wantProblem(t, a.send("POST", "/touch/a", ""), 401, "")
}

func TestResourcePolicyTakesInputByValueAndWithoutUnit(t *testing.T) {
	t.Parallel()
	type in struct {
		Text string `query:"text"`
	}
	short := auth.Resource("a short text", func(_ context.Context, _ *auth.Principal, in in) error {
		if len(in.Text) > 3 {
			return errors.New("the text is long")
		}
		return nil
	})
	a := newAppWith(t, known, httpapi.New("GET /x", noop[in, struct{}], httpapi.NoUnit(), httpapi.Require(short)))
	wantAnswer(t, a.send("GET", "/x?text=abc", "", "Authorization", "Bearer eve"), 204, "")
	wantProblem(t, a.send("GET", "/x?text=abcd", "", "Authorization", "Bearer eve"), 403, "the text is long")
}

func TestPolicyFaultsAreFoundAtTheStart(t *testing.T) {
	t.Parallel()
	type needs struct{ Who auth.Principal }
	about := auth.Resource("x", func(context.Context, *auth.Principal, *meta) error { return nil })
	for name, tt := range map[string]struct {
		f    *httpapi.Function
		want []string
	}{
		"other input": {httpapi.New("GET /x", noop[struct{}, struct{}], httpapi.Named("look"), httpapi.Require(about)), []string{"function look", "*httpapi_test.meta", "*struct {}"}},
		"nobody":      {httpapi.New("GET /x", noop[needs, struct{}]), []string{"function GET /x", "field Who", "auth.Authenticated()", "*auth.Principal"}},
		"perhaps nobody": {
			httpapi.New("GET /x", noop[needs, struct{}], httpapi.Require(auth.Any(auth.Anonymous(), auth.Role("x")))),
			[]string{"field Who"},
		},
		"no policy": {httpapi.New("GET /x", noop[struct{}, struct{}], httpapi.Require()), []string{"function GET /x", "Require has no policy"}},
	} {
		var c httpapi.Config
		known(&c)
		err := httpapi.Register(http.NewServeMux(), c, tt.f)
		for _, want := range tt.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %q", name, err, want)
			}
		}
	}
}

// An open function may ask who it is. Credentials that are not good are refused by those
// that ask, and mean nothing to the others.
func TestOpenFunctions(t *testing.T) {
	t.Parallel()
	type asks struct{ Who *auth.Principal }
	type out struct {
		Body string `body:""`
	}
	name := func(who *auth.Principal) *out {
		if who == nil {
			return &out{"nobody"}
		}
		return &out{who.Subject}
	}
	a := newAppWith(
		t, known,
		httpapi.New("GET /asks", func(_ context.Context, in *asks) (*out, error) { return name(in.Who), nil }),
		httpapi.New("GET /open", func(ctx context.Context, _ *struct{}) (*out, error) { return name(auth.From(ctx)), nil }),
	)
	for _, path := range []string{"/asks", "/open"} {
		wantAnswer(t, a.send("GET", path, ""), 200, "nobody")
		wantAnswer(t, a.send("GET", path, "", "Authorization", "Bearer ann"), 200, "ann")
	}
	wantProblem(t, a.send("GET", "/asks", "", "Authorization", "Bearer x"), 401, "expired")
	wantProblem(t, a.send("GET", "/asks", "", "Authorization", "Bearer down"), 503, "")
	wantAnswer(t, a.send("GET", "/open", "", "Authorization", "Bearer x"), 200, "nobody")
	wantAnswer(t, a.send("GET", "/open", "", "Authorization", "Bearer down"), 200, "nobody")
}

// A key of one principal gives another nothing, and hinders nobody.
func TestIdempotencyKeyBelongsToThePrincipal(t *testing.T) {
	t.Parallel()
	a := newAppWith(t, known, httpapi.New("POST /add/{id}", add))
	send := func(who, body string) *httptest.ResponseRecorder {
		headers := []string{"Idempotency-Key", "k"}
		if who != "" {
			headers = append(headers, "Authorization", "Bearer "+who)
		}
		return a.send("POST", "/add/a", body, headers...)
	}
	for i, who := range []string{"ann", "bob", ""} {
		first := send(who, `{"count":1}`)
		wantAnswer(t, first, 201, fmt.Sprintf(`{"count":%d}`, i+1))
		if first.Header().Get("Idempotent-Replayed") != "" {
			t.Errorf("%q got the answer of another", who)
		}
	}
	for i, who := range []string{"ann", "bob", ""} {
		again := send(who, `{"count":1}`)
		wantAnswer(t, again, 201, fmt.Sprintf(`{"count":%d}`, i+1))
		if again.Header().Get("Idempotent-Replayed") != "true" {
			t.Errorf("%q did not get the own answer", who)
		}
	}
	wantProblem(t, send("ann", `{"count":2}`), 422, "another request")
	if n := a.count("a"); n != 3 {
		t.Errorf("count %d, want 3", n)
	}
}

// A refusal reaches a client that sends its body first; where the body is small, the
// connection is kept and the next request on it is understood.
func TestRefusalAndTheConnection(t *testing.T) {
	t.Parallel()
	a := newAppWith(t, known,
		httpapi.New("POST /{$}", noop[countDoc, struct{}], httpapi.Require(auth.Permission("add")), httpapi.MaxBody(64<<20)),
	)
	server := httptest.NewServer(httpapi.Pace(a.mux))
	t.Cleanup(server.Close)
	small := `{"count":1}`
	conn, answer := dial(t, server, fmt.Sprintf("Content-Length: %d", len(small)))
	if _, err := io.WriteString(conn, small); err != nil {
		t.Fatal(err)
	}
	if got := answer(); got != http.StatusUnauthorized {
		t.Errorf("status %d", got)
	}
	_, answer = dial(t, server, "Expect: 100-continue\r\nContent-Length: 100000")
	if got := answer(); got != http.StatusUnauthorized {
		t.Errorf("asked first: status %d", got)
	}
	const size = 16 << 20
	for name, head := range map[string]string{"declared": fmt.Sprintf("Content-Length: %d", size), "chunked": "Transfer-Encoding: chunked"} {
		conn, answer := dial(t, server, head)
		body := bytes.Repeat([]byte("x"), size)
		if name == "chunked" {
			body = append(append(fmt.Appendf(nil, "%x\r\n", size), body...), "\r\n0\r\n\r\n"...)
		}
		if _, err := conn.Write(body); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := answer(); got != http.StatusUnauthorized {
			t.Errorf("%s: status %d", name, got)
		}
	}
	var reused []bool
	client := server.Client()
	for range 3 {
		res, err := client.Post(server.URL+"/", "application/json", strings.NewReader(small))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		reused = append(reused, !res.Close)
		if res.StatusCode != http.StatusUnauthorized {
			t.Errorf("status %d", res.StatusCode)
		}
	}
	if slices.Contains(reused, false) {
		t.Errorf("connections kept: %v", reused)
	}
}

func TestGateOfHandlers(t *testing.T) {
	t.Parallel()
	c := &httpapi.Config{Auth: bearers}
	h := httpapi.NewGate(c, "GET /x", auth.Authenticated()).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, auth.From(r.Context()).Subject)
	}))
	get := func(r *http.Request) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	r := httptest.NewRequest("GET", "/x", nil)
	wantProblem(t, get(r), 401, "")
	r.Header.Set("Authorization", "Bearer eve")
	wantAnswer(t, get(r), 200, "eve")
	wantAnswer(t, get(r.WithContext(auth.With(r.Context(), &auth.Principal{Subject: "given"}))), 200, "given")

	c.Challenge = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Accept") == "text/html" {
			http.Redirect(w, r, "/login", http.StatusSeeOther)
			return true
		}
		return false
	}
	h = httpapi.NewGate(c, "GET /x", auth.Role("admin")).Handler(http.NotFoundHandler())
	r = httptest.NewRequest("GET", "/x", nil)
	wantProblem(t, get(r), 401, "")
	r.Header.Set("Accept", "text/html")
	if w := get(r); w.Code != http.StatusSeeOther {
		t.Errorf("a browser got %d", w.Code)
	}
	r.Header.Set("Authorization", "Bearer eve")
	wantProblem(t, get(r), 403, "role admin")
}

func TestOpenAPIOfPolicies(t *testing.T) {
	t.Parallel()
	type asks struct{ Who *auth.Principal }
	var c httpapi.Config
	known(&c)
	c.OpenIDConfiguration = "https://issuer.example/.well-known/openid-configuration"
	mux := http.NewServeMux()
	approve := auth.All(auth.Permission("approve:files"), auth.Any(auth.Role("approver"), auth.Scope("files"))).Named("may approve")
	err := httpapi.Register(mux, c,
		httpapi.New("GET /open", noop[struct{}, struct{}]),
		httpapi.New("GET /asks", noop[asks, struct{}]),
		httpapi.New("GET /known", noop[struct{}, struct{}], httpapi.Require(auth.Authenticated())),
		httpapi.New("POST /approve", noop[struct{}, struct{}], httpapi.Require(approve)),
	)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/openapi.json", nil))
	document, err := libopenapi.NewDocument(w.Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	v, errs := validator.NewValidator(document)
	if errs != nil {
		t.Fatal(errs)
	}
	if ok, faults := v.ValidateDocument(); !ok {
		t.Error(faults)
	}
	var doc any
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	equal(t, "bearer", at(t, doc, "components", "securitySchemes", "bearer", "scheme"), "bearer")
	equal(t, "openId", at(t, doc, "components", "securitySchemes", "openId", "openIdConnectUrl"), c.OpenIDConfiguration)
	at(t, doc, "components", "responses", "Unauthenticated", "headers", "WWW-Authenticate")
	open := at(t, doc, "paths", "/open", "get").(map[string]any)
	if open["security"] != nil || open["x-perdure-policy"] != nil || open["responses"].(map[string]any)["401"] != nil {
		t.Errorf("an open function requires something: %v", open)
	}
	none := map[string]any{"bearer": []any{}}
	equal(t, "who may be known", at(t, doc, "paths", "/asks", "get", "security"), []any{map[string]any{}, none, map[string]any{"openId": []any{}}})
	equal(t, "who must be known", at(t, doc, "paths", "/known", "get", "security"), []any{none, map[string]any{"openId": []any{}}})
	if at(t, doc, "paths", "/known", "get", "responses").(map[string]any)["403"] != nil {
		t.Error("everybody known is let in, and yet there is a 403")
	}
	op := at(t, doc, "paths", "/approve", "post")
	scopes := []any{"approve:files", "files"}
	equal(t, "security", at(t, op, "security"), []any{map[string]any{"bearer": scopes}, map[string]any{"openId": scopes}})
	equal(t, "401", at(t, op, "responses", "401", "$ref"), "#/components/responses/Unauthenticated")
	equal(t, "403", at(t, op, "responses", "403", "$ref"), "#/components/responses/Forbidden")
	equal(t, "policy", at(t, op, "x-perdure-policy"), map[string]any{
		"name": "may approve", "expression": approve.Expression(),
		"permissions": []any{"approve:files"}, "scopes": []any{"files"}, "roles": []any{"approver"},
	})
}
