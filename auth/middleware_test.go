package auth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/perdure/perdure/auth"
)

// answer is what a refused request got.
type answer struct {
	status    int
	challenge string
	problem   map[string]any
}

func serve(t *testing.T, h http.Handler, headers ...string) answer {
	t.Helper()
	r := httptest.NewRequest("GET", "/files/1", nil)
	for _, one := range headers {
		r.Header.Add("Authorization", one)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	a := answer{status: w.Code, challenge: w.Header().Get("WWW-Authenticate")}
	if w.Header().Get("Vary") != "Authorization" {
		t.Errorf("Vary: %q", w.Header().Values("Vary"))
	}
	if w.Code < 400 {
		return a
	}
	if w.Header().Get("Content-Type") != "application/problem+json" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", w.Header())
	}
	if err := json.Unmarshal(w.Body.Bytes(), &a.problem); err != nil || a.problem["status"] != float64(w.Code) {
		t.Errorf("%s: %v", w.Body, err)
	}
	return a
}

// The statuses, challenges and problems of RFC 6750 section 3.
func TestMiddleware(t *testing.T) {
	t.Parallel()
	key := pairs()["ES256"]
	i := newIssuer(t, "", key)
	good := "Bearer " + key.sign(at, i.claims())
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, auth.From(r.Context()))
	})
	for _, tt := range []struct {
		name      string
		policy    auth.Policy
		headers   []string
		status    int
		challenge string
		detail    string
		missing   string
	}{
		{"allowed", auth.Permission("read:files"), []string{good}, 200, "", "", ""},
		{"nobody", auth.Permission("read:files"), nil, 401, `Bearer realm="api"`, "send a bearer token", ""},
		{"another scheme", auth.Authenticated(), []string{"Basic dTpw"}, 401, `Bearer realm="api"`, "send a bearer token", ""},
		{"a bad token", auth.Authenticated(), []string{"Bearer x"}, 401,
			`Bearer realm="api", error="invalid_token", error_description="the token is not accepted: it is not a JWT"`, "it is not a JWT", ""},
		{"a bad token where anybody is allowed", auth.Anonymous(), []string{"Bearer x"}, 401,
			`Bearer realm="api", error="invalid_token", error_description="the token is not accepted: it is not a JWT"`, "it is not a JWT", ""},
		{"two tokens", auth.Authenticated(), []string{good, good}, 400,
			`Bearer realm="api", error="invalid_request", error_description="several Authorization headers"`, "several Authorization headers", ""},
		{"no permission", auth.Permission("write:files"), []string{good}, 403,
			`Bearer realm="api", error="insufficient_scope", error_description="the permission write:files is needed"`,
			"Not allowed: the permission write:files is needed.", "permission write:files"},
		{"no scope", auth.All(auth.Scope("read", "files"), auth.Scope("admin")), []string{good}, 403,
			`Bearer realm="api", error="insufficient_scope", error_description="the scope files is needed, and the scope admin is needed", scope="files admin"`,
			"the scope files is needed", "scope files,scope admin"},
		{"about a resource", owns, []string{good}, 403,
			`Bearer realm="api", error="insufficient_scope", error_description="owns the file depends on a auth_test.file"`, "owns the file depends on", ""},
		{"could not find out", auth.Not(broken), []string{good}, 503, "", "It could not be found out", ""},
		{"anybody", auth.Anonymous(), nil, 200, "", "", ""},
		{"anybody, known", auth.Anonymous(), []string{good}, 200, "", "", ""},
	} {
		a := serve(t, auth.Middleware(i.verifier(t), tt.policy, next), tt.headers...)
		detail, _ := a.problem["detail"].(string)
		if a.status != tt.status || a.challenge != tt.challenge || !strings.Contains(detail, tt.detail) {
			t.Errorf("%s: got %d, %s, %s", tt.name, a.status, a.challenge, detail)
		}
		var missing []string
		list, _ := a.problem["missing"].([]any)
		for _, one := range list {
			missing = append(missing, one.(string))
		}
		if got := strings.Join(missing, ","); got != tt.missing {
			t.Errorf("%s: missing %q, want %q", tt.name, got, tt.missing)
		}
		if a.problem["decision"] != nil {
			t.Errorf("%s: the decision is explained unasked", tt.name)
		}
	}
}

func TestPrincipalOfContext(t *testing.T) {
	t.Parallel()
	known := auth.AuthenticatorFunc(func(*http.Request) (*auth.Principal, error) { return ada, nil })
	nobody := auth.AuthenticatorFunc(func(*http.Request) (*auth.Principal, error) { return nil, nil })
	refuses := auth.AuthenticatorFunc(func(*http.Request) (*auth.Principal, error) { return nil, &auth.TokenError{Reason: "bad"} })
	for _, tt := range []struct {
		who  auth.Authenticator
		want *auth.Principal
		err  error
	}{
		{auth.First(), nil, nil}, {auth.First(nobody, known, refuses), ada, nil}, {auth.First(nobody, nobody), nil, nil},
		{auth.First(nobody, refuses, known), nil, auth.ErrUnauthenticated},
	} {
		got, err := tt.who.Authenticate(nil)
		if got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("got %v, %v", got, err)
		}
	}
	var got *auth.Principal
	next := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = auth.From(r.Context()) })
	serve(t, auth.Middleware(known, auth.Authenticated(), next))
	if got != ada {
		t.Errorf("got %v", got)
	}
	if serve(t, auth.Middleware(nobody, auth.Anonymous(), next)); got != nil {
		t.Errorf("got %v", got)
	}
	if auth.From(context.Background()) != nil {
		t.Error("somebody is in an empty context")
	}
	if got := auth.From(auth.With(t.Context(), nil)); got != nil {
		t.Errorf("got %v", got)
	}
}

// A failure to find out who it is refuses the request, except where it does not matter; only that is an error in the log.
func TestAuthenticatorFails(t *testing.T) {
	t.Parallel()
	fails := auth.AuthenticatorFunc(func(*http.Request) (*auth.Principal, error) { return nil, errors.New("secret detail") })
	next := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	log := &syncBuffer{}
	logger := slog.New(slog.NewTextHandler(log, nil))
	a := serve(t, auth.Guard{Authenticator: fails, Policy: auth.Authenticated(), Log: logger}.Handler(next))
	if a.status != 503 || a.challenge != "" || strings.Contains(fmt.Sprint(a.problem), "secret") {
		t.Errorf("got %+v", a)
	}
	if text := log.String(); !strings.Contains(text, "secret detail") || !strings.Contains(text, "level=ERROR") {
		t.Errorf("log: %s", text)
	}
	if a := serve(t, auth.Middleware(fails, auth.Anonymous(), next)); a.status != 200 {
		t.Errorf("got %+v", a)
	}
	if a := serve(t, auth.Middleware(nil, auth.Authenticated(), next)); a.status != 401 {
		t.Errorf("without an authenticator: %+v", a)
	}
	if a := serve(t, auth.Guard{Policy: auth.Authenticated(), Log: logger}.Handler(next)); a.status != 401 || strings.Count(log.String(), "\n") != 1 {
		t.Errorf("got %+v, log %s", a, log)
	}
}

func TestPermit(t *testing.T) {
	t.Parallel()
	handler := func(owner string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !auth.Permit(w, r, owns, file{owner}) {
				return
			}
			w.Header().Set("Vary", "Authorization")
			w.WriteHeader(http.StatusNoContent)
		})
	}
	known := auth.AuthenticatorFunc(func(*http.Request) (*auth.Principal, error) { return ada, nil })
	if a := serve(t, auth.Middleware(known, auth.Authenticated(), handler("ada"))); a.status != 204 {
		t.Errorf("got %+v", a)
	}
	if a := serve(t, auth.Middleware(known, auth.Authenticated(), handler("bob"))); a.status != 403 || a.problem["detail"] != "Not allowed: the file belongs to bob." {
		t.Errorf("got %+v", a)
	}
	if a := serve(t, handler("ada")); a.status != 401 {
		t.Errorf("got %+v", a)
	}
}

func TestRefusal(t *testing.T) {
	t.Parallel()
	d := auth.All(auth.Func("f", func(context.Context, *auth.Principal) error {
		return errors.New("no \"quotes\", \\ or\r\nX-Injected: lines, nor é")
	})).Decide(t.Context(), ada, nil)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		auth.Refusal{Realm: `the "files"`, Explain: true}.Refuse(w, r, ada, d)
	})
	a := serve(t, h)
	want := `Bearer realm="the 'files'", error="insufficient_scope", error_description="no 'quotes', ' or  X-Injected: lines, nor  "`
	if a.status != 403 || a.challenge != want {
		t.Errorf("got %d %s\nwant %s", a.status, a.challenge, want)
	}
	if decision, ok := a.problem["decision"].(map[string]any); !ok || decision["verdict"] != "denied" || decision["policy"] != "f" {
		t.Errorf("got %v", a.problem)
	}
	// What an authenticator's own error says stays with us.
	h = func(w http.ResponseWriter, r *http.Request) {
		auth.RefuseCredentials(w, r, fmt.Errorf("%w: session 42 was revoked", auth.ErrUnauthenticated))
	}
	if a := serve(t, h); a.status != 401 || strings.Contains(fmt.Sprint(a), "42") || !strings.Contains(a.challenge, `error="invalid_token"`) {
		t.Errorf("got %+v", a)
	}
}

func TestTokenError(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	var err error = &auth.TokenError{Reason: "r", Cause: cause}
	if !errors.Is(err, auth.ErrUnauthenticated) || !errors.Is(err, cause) || err.Error() != "auth: r" {
		t.Errorf("got %v", err)
	}
	if err := error(&auth.TokenError{}); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("got %v", err)
	}
}
