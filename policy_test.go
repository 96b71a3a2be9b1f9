package perdure_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/internal/control"
	"github.com/perdure/perdure/live"
	"github.com/perdure/perdure/queue"
)

// names takes a bearer token for the name of the principal, and what follows it for
// permissions: "ann read:x approve:x".
var names = auth.AuthenticatorFunc(func(r *http.Request) (*auth.Principal, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return nil, nil
	}
	words := strings.Fields(token)
	if len(words) == 0 || words[0] == "expired" {
		return nil, &auth.TokenError{Reason: "the token has expired"}
	}
	return &auth.Principal{Subject: words[0], Issuer: "https://issuer/", Name: words[0], Permissions: words[1:]}, nil
})

// as is the header of a principal.
func as(who string) []string { return []string{"Authorization", "Bearer " + who} }

func subject(_ context.Context, in *struct{ Who auth.Principal }) (*pong, error) {
	return &pong{in.Who.Subject}, nil
}

func TestRequireAndGuarded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Auth, w.config.Policy = names, auth.Permission("app")
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := auth.From(r.Context())
		if who == nil {
			who = &auth.Principal{Subject: "nobody"}
		}
		_, _ = io.WriteString(w, who.Subject)
	})
	r := w.start(
		perdure.HTTP("GET /unsaid", subject),
		perdure.HTTP("GET /said", subject, perdure.Require(auth.Permission("said"))),
		perdure.HTTP("GET /open", nothing[empty], perdure.Require(auth.Anonymous())),
		perdure.Handle("GET /page", page),
		perdure.Guarded(auth.Anonymous(), perdure.Handle("GET /page/open", page)),
		perdure.Guarded(auth.Permission("outer"),
			items,
			perdure.Guarded(auth.Permission("inner"),
				perdure.HTTP("GET /both", subject, perdure.Require(auth.Permission("own"))),
				perdure.Handle("GET /both/page", page),
				live.Table("GET /both/live", items),
			),
		),
	)
	for _, test := range []struct {
		path   string
		needs  string
		answer string
	}{
		{"/unsaid", "app", "ann"},
		{"/said", "said", "ann"},
		{"/page", "app", "ann"},
		{"/both", "outer inner own", "ann"},
		{"/both/page", "outer inner", "ann"},
	} {
		if got := r.do("GET", test.path, "", as("ann "+test.needs)...); got.status != 200 || got.body != test.answer {
			t.Errorf("%s with %s: %d %s", test.path, test.needs, got.status, got.body)
		}
		r.do("GET", test.path, "").problem(t, http.StatusUnauthorized)
		r.do("GET", test.path, "", as("expired")...).problem(t, http.StatusUnauthorized)
		all := strings.Fields(test.needs)
		for i, missing := range all {
			held := strings.Join(slices.Delete(slices.Clone(all), i, i+1), " ")
			contains(t, r.do("GET", test.path, "", as("ann "+held)...).problem(t, http.StatusForbidden), "permission "+missing)
		}
	}
	r.do("GET", "/both/live", "", as("ann outer")...).problem(t, http.StatusForbidden)
	for path, want := range map[string]int{"/open": 204, "/page/open": 200, "/healthz": 200, "/openapi.json": 200, live.ScriptPath: 200} {
		for _, header := range [][]string{nil, as("expired"), as("ann")} {
			if got := r.do("GET", path, "", header...); got.status != want {
				t.Errorf("%s with %v: %d %s", path, header, got.status, got.body)
			}
		}
	}
	if got := r.do("GET", "/page/open", "", as("ann")...); got.body != "ann" {
		t.Errorf("an open page does not learn who it is: %s", got.body)
	}
}

// Keys of bindings may be made of who sent the request.
func TestPrincipalInKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Auth = names
	r := w.start(items, perdure.HTTP("GET /mine", func(_ context.Context, in *struct {
		Who  auth.Principal
		Item item `bind:"items/{in.Who.sub}"`
	}) (*pong, error) {
		return &pong{in.Item.Text}, nil
	}, perdure.Require(auth.Authenticated())))
	r.unit(func(ctx context.Context) error { return items.Put(ctx, "ann", &item{Text: "hers"}) })
	if got := r.do("GET", "/mine", "", as("ann")...); got.body != "hers" {
		t.Errorf("got %d %s", got.status, got.body)
	}
	r.do("GET", "/mine", "", as("bob")...).problem(t, http.StatusNotFound)
}

// A function of a policy is asked again in each run, about the input of that run.
func TestResourcePolicyOfAFunction(t *testing.T) {
	t.Parallel()
	type in struct {
		Who  auth.Principal
		Item *item `bind:"items/{id}"`
	}
	notOwn := auth.Resource("not the own item", func(_ context.Context, who *auth.Principal, in *in) error {
		if in.Item.Text == who.Subject {
			return errors.New("nobody approves the own item")
		}
		return nil
	})
	w := newWorld(t)
	w.config.Auth = names
	r := w.start(items, perdure.HTTP("POST /approve/{id}", nothing[in], perdure.Require(auth.Permission("approve"), notOwn)))
	r.unit(func(ctx context.Context) error { return items.Put(ctx, "a", &item{Text: "ann"}) })
	contains(t, r.do("POST", "/approve/a", "", as("ann approve")...).problem(t, http.StatusForbidden), "nobody approves the own item")
	r.do("POST", "/approve/a", "", as("bob")...).problem(t, http.StatusForbidden)
	if got := r.do("POST", "/approve/a", "", as("bob approve")...); got.status != http.StatusNoContent {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

// A server of one's own may find out who sends a request.
func TestPrincipalOfAnotherServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Auth = names
	r := w.start(perdure.HTTP("GET /x", subject, perdure.Require(auth.Authenticated())))
	h := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.Handler().ServeHTTP(w, req.WithContext(auth.With(req.Context(), &auth.Principal{Subject: "given"})))
	})
	req := httptest.NewRequestWithContext(t.Context(), "GET", "/x", nil)
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	if rec.Code != 200 || rec.Body.String() != "given" {
		t.Errorf("got %d %s", rec.Code, rec.Body)
	}
}

func TestPolicyMistakesStopTheStart(t *testing.T) {
	t.Parallel()
	type withWho struct{ Who auth.Principal }
	type withPerhaps struct{ Who *auth.Principal }
	about := auth.Resource("x", func(context.Context, *auth.Principal, *item) error { return nil })
	messages := queue.Of[withWho]("policy-messages")
	for name, test := range map[string]struct {
		auth auth.Authenticator
		part perdure.Part
		want []string
	}{
		"function without Auth": {nil, perdure.HTTP("GET /x", nothing[empty], perdure.Require(auth.Role("admin"))), []string{"function GET /x", "role admin", "Config.Auth"}},
		"handler without Auth":  {nil, perdure.Guarded(auth.Role("admin"), perdure.Handle("GET /x", http.NotFoundHandler())), []string{"Handle GET /x", "role admin", "Config.Auth"}},
		"live without Auth":     {nil, perdure.Guarded(auth.Role("admin"), live.Table("GET /x", items)), []string{"live endpoint GET /x", "Config.Auth"}},
		"handler about a resource": {
			names, perdure.Guarded(about, perdure.Handle("GET /x", http.NotFoundHandler())),
			[]string{"Handle GET /x", "*perdure_test.item", "auth.Permit"},
		},
		"another input": {names, perdure.HTTP("GET /x", nothing[empty], perdure.Require(about)), []string{"function GET /x", "*perdure_test.item", "*perdure_test.empty"}},
		"nobody":        {names, perdure.HTTP("GET /x", nothing[withWho]), []string{"function GET /x", "field Who", "auth.Authenticated()"}},
		"event":         {names, perdure.OnQueue(messages, nothing[withWho]), []string{"function queue/policy-messages", "field Who", "events"}},
		"event, perhaps": {
			names, perdure.OnTimer("tick", "@daily", nothing[withPerhaps]),
			[]string{"function timer/tick", "field Who", "events"},
		},
		"no policy": {names, perdure.HTTP("GET /x", nothing[empty], perdure.Require()), []string{"function GET /x", "Require has no policy"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.config.Auth = test.auth
			contains(t, w.refuse(test.part), test.want...)
		})
	}
}

// Others than this machine are served where each way in states what it requires.
func TestListenForOthers(t *testing.T) {
	t.Parallel()
	open := perdure.HTTP("GET /open", nothing[empty])
	page := perdure.Handle("GET /page", http.NotFoundHandler())
	start := func(policy auth.Policy, listen string, hosts []string, parts ...perdure.Part) error {
		w := newWorld(t)
		w.config.Auth, w.config.Policy, w.config.Listen, w.config.Hosts = names, policy, listen, hosts
		app := perdure.New(w.config)
		app.Add(parts...)
		err := app.Start(t.Context())
		if err == nil {
			_ = app.Stop(context.Background())
		}
		return err
	}
	// No network is opened: that is an address of nobody's, so the start fails later.
	const elsewhere = "192.0.2.1:0"
	err := start(auth.Policy{}, elsewhere, nil, open, page, live.Table("GET /live", items),
		perdure.HTTP("GET /said", nothing[empty], perdure.Require(auth.Anonymous())))
	if !errors.Is(err, perdure.ErrConfig) {
		t.Fatalf("got %v", err)
	}
	contains(t, err.Error(), elsewhere, "GET /open", "Handle GET /page", "live endpoint GET /live", "perdure.Guarded", "listen on localhost")
	if strings.Contains(err.Error(), "/said") || strings.Contains(err.Error(), live.ScriptPath) {
		t.Errorf("names what states a policy: %v", err)
	}
	for name, err := range map[string]error{
		"by Config.Policy": start(auth.Authenticated(), elsewhere, nil, open, page),
		"by a group":       start(auth.Policy{}, elsewhere, nil, perdure.Guarded(auth.Anonymous(), open, page)),
		"a host's name":    start(auth.Authenticated(), "perdure.invalid:0", nil, open),
	} {
		if err == nil || errors.Is(err, perdure.ErrConfig) {
			t.Errorf("%s: got %v, want a failure to listen", name, err)
		}
	}
	err = start(auth.Authenticated(), ":0", nil, open)
	if !errors.Is(err, perdure.ErrConfig) {
		t.Fatalf("got %v", err)
	}
	contains(t, err.Error(), "all interfaces", "Hosts")
}

// Management takes permissions where the app knows who sends requests, and no token.
func TestManagementByPermission(t *testing.T) {
	t.Parallel()
	w := newLasting(t)
	w.config.Auth = names
	app := w.start(items, perdure.HTTP("GET /x", nothing[empty], perdure.Require(auth.Permission("read:x").Named("may read"))))
	if _, err := os.Stat(filepath.Join(w.config.Data, control.TokenFile)); !os.IsNotExist(err) {
		t.Errorf("there is a token: %v", err)
	}
	for _, test := range []struct {
		method, path, who string
		status            int
	}{
		{"GET", "/perdure/v1/info", "", 401},
		{"GET", "/perdure/v1/info", "ann", 403},
		{"GET", "/perdure/v1/info", "ann perdure:read", 200},
		{"GET", "/perdure/v1/info", "ann perdure:manage", 200},
		{"GET", "/perdure/v1/deadletters/f/1?reveal=true", "ann perdure:read", 403},
		{"GET", "/perdure/v1/deadletters/f/1?reveal=true", "ann perdure:manage", 400},
		{"POST", "/perdure/v1/deadletters/drop", "ann perdure:read", 403},
		{"DELETE", "/perdure/v1/instances/1", "ann perdure:manage", 404},
		{"GET", "/metrics", "", 401},
		{"GET", "/metrics", "ann", 403},
		{"GET", "/metrics", "ann perdure:read", 200},
	} {
		var header []string
		if test.who != "" {
			header = as(test.who)
		}
		if got := app.do(test.method, test.path, "", header...); got.status != test.status {
			t.Errorf("%s %s as %q: %d %s, want %d", test.method, test.path, test.who, got.status, got.body, test.status)
		}
	}
	var all control.Permissions
	if err := control.NewClient(w.config.Data).Do(t.Context(), "GET", "permissions", nil, nil, &all); err != nil {
		t.Fatal(err)
	}
	if first := all.Items[0]; first.Name != "GET /x" || first.Policy != "may read" || first.Expression != "permission read:x" || first.Kind != "http" {
		t.Errorf("got %+v", first)
	}
	use := map[string]int{}
	for _, p := range all.Permissions {
		use[p.Name] = len(p.UsedBy)
	}
	if use["read:x"] != 1 || use["perdure:read"] < 1 || use["perdure:manage"] < 2 || len(use) != 3 {
		t.Errorf("permissions %+v", all.Permissions)
	}
}

// Without anybody who is known, the token of the folder goes on opening what it did.
func TestManagementByTokenWithoutAuth(t *testing.T) {
	t.Parallel()
	w := newLasting(t)
	app := w.start(perdure.HTTP("GET /x", nothing[empty]))
	token, err := os.ReadFile(filepath.Join(w.config.Data, control.TokenFile))
	if err != nil {
		t.Fatal(err)
	}
	if got := app.do("GET", "/perdure/v1/info", "", as(strings.TrimSpace(string(token)))...); got.status != 200 {
		t.Errorf("got %d %s", got.status, got.body)
	}
	var all control.Permissions
	if err := json.Unmarshal([]byte(app.do("GET", "/perdure/v1/permissions", "", as(strings.TrimSpace(string(token)))...).body), &all); err != nil {
		t.Fatal(err)
	}
	if len(all.Items) != 1 || !all.Items[0].Anonymous || len(all.Permissions) != 0 {
		t.Errorf("got %+v", all)
	}
}

// What an app records of a request has no credentials in it.
func TestCredentialsAreNotRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Auth = names
	const secret = "ann-and-a-secret"
	messages := queue.Of[string]("credential-messages")
	heard := make(chan string, 1)
	app := w.start(
		messages,
		perdure.HTTP("POST /x", func(ctx context.Context, in *struct{ Who auth.Principal }) (*pong, error) {
			return &pong{"done"}, messages.Send(ctx, "hello")
		}, perdure.Require(auth.Authenticated())),
		perdure.OnQueue(messages, func(ctx context.Context, in *struct {
			Credentials string `header:"Authorization"`
			Text        string `body:""`
		}) (*empty, error) {
			if auth.From(ctx) != nil {
				in.Credentials += "a principal"
			}
			heard <- in.Credentials
			return nil, nil
		}),
	)
	got := app.do("POST", "/x", "", append(as(secret), "Idempotency-Key", "k")...)
	if got.status != 200 {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	app.settle()
	if credentials := get(t, heard); credentials != "" {
		t.Errorf("the event carries %q", credentials)
	}
	if strings.Contains(w.log.String(), secret) {
		t.Errorf("the log has the credentials:\n%s", w.log)
	}
}
