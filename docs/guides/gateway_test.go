package guides_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kong/go-kong/kong"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/gateway"
	"github.com/perdure/perdure/internal/clock"
)

// What follows is in the guide, word for word.

func shop(config perdure.Config, settings gateway.Config, issuer string) (*perdure.App, error) {
	verifier, err := auth.NewVerifier(auth.VerifierConfig{Issuer: issuer, Audiences: []string{"https://papers.example.com"}})
	if err != nil {
		return nil, err
	}
	config.Auth = verifier
	config.Gateway = &settings // gateway.Config{Files: []string{"app.yml"}}
	app := perdure.New(config)
	app.Add(perdure.HTTP("GET /orders/{id}", showOrder, perdure.Require(auth.Permission("read:orders"))))
	return app, nil
}

type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}

func namesOfRoutes(ctx context.Context, url, token string) (names []string, err error) {
	client, err := kong.NewClient(&url, &http.Client{Transport: bearer(token)}) // github.com/kong/go-kong
	if err != nil {
		return nil, err
	}
	routes, err := client.Routes.ListAll(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range routes {
		names = append(names, *r.Name)
	}
	return names, nil
}

// What follows is not.

type orderIn struct {
	ID  string `path:"id"`
	Who auth.Principal
}

type orderOut struct {
	Body string `body:"text/plain"`
}

func showOrder(_ context.Context, in *orderIn) (*orderOut, error) {
	return &orderOut{in.Who.Subject + " sees " + in.ID}, nil
}

// guideFile returns the YAML block of a page that begins with the name of the file, with other texts in it.
func guideFile(t *testing.T, page, name string, replace ...string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		if strings.HasPrefix(m[1], "# "+name+"\n") {
			return strings.NewReplacer(replace...).Replace(m[1])
		}
	}
	t.Fatalf("%s has no %s", page, name)
	return ""
}

// guideGateway is a gateway on a file in Kong's format, with a clock that the test moves.
type guideGateway struct {
	*gateway.Gateway
	t     *testing.T
	clock *clock.Manual
	file  string
	base  string
}

// Limits count by minutes of the clock, so the test begins at the beginning of one.
func startGateway(t *testing.T, declaration string) *guideGateway {
	t.Helper()
	g := &guideGateway{t: t, clock: clock.NewManual(time.Now().Truncate(time.Hour)), file: filepath.Join(t.TempDir(), "kong.yml")}
	if err := os.WriteFile(g.file, []byte(declaration), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g.base = "http://" + l.Addr().String()
	if g.Gateway, err = gateway.New(gateway.Options{
		Config: gateway.Config{Files: []string{g.file}}.WithDefaults(), Listeners: []net.Listener{l}, Clock: g.clock,
		Log: slog.New(slog.DiscardHandler), Fail: func(err error) { t.Error(err) },
	}); err != nil {
		t.Fatal(err)
	}
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return g
}

// use has the gateway use another file at once.
func (g *guideGateway) use(declaration string) {
	g.t.Helper()
	if err := os.WriteFile(g.file, []byte(declaration), 0o600); err != nil {
		g.t.Fatal(err)
	}
	w := httptest.NewRecorder()
	g.Administration().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/reload", nil))
	if r := g.Reload(); !r.OK || len(r.Problems) > 0 {
		g.t.Fatalf("the file is not used: %+v", r.Problems)
	}
}

// get asks through the gateway, and returns the answer with the first word of its body.
func (g *guideGateway) get(path string, change ...func(*http.Request)) (*http.Response, string) {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), http.MethodGet, g.base+path, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	for _, f := range change {
		f(req)
	}
	return get(g.t, req)
}

func get(t *testing.T, req *http.Request) (*http.Response, string) {
	t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b := make([]byte, 4096)
	n, _ := res.Body.Read(b) // the test looks at what came
	return res, string(b[:n])
}

func with(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

// named starts a server that answers with its name and the path that it is asked for.
func named(t *testing.T, name string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(name + " " + r.URL.Path)) // the test sees what is missing
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// The sixth request of a minute is refused, and the next minute is another one.
func TestGuideGatewayLimit(t *testing.T) {
	t.Parallel()
	g := startGateway(t, guideFile(t, "gateway.md", "kong.yml", "127.0.0.1:9000", named(t, "orders")))
	page, err := os.ReadFile("gateway.md")
	if err != nil {
		t.Fatal(err)
	}
	token := regexp.MustCompile(`(?m)^\$ TOKEN=(\S+)$`).FindSubmatch(page)
	if token == nil {
		t.Fatal("the guide has no token")
	}
	authorized := with("Authorization", "Bearer "+string(token[1]))
	for range 5 {
		if res, body := g.get("/orders/17", authorized); res.StatusCode != 200 || body != "orders /17" {
			t.Fatal(res.Status, body)
		}
	}
	if res, _ := g.get("/orders/17", authorized); res.StatusCode != 429 || res.Header.Get("Retry-After") == "" {
		t.Errorf("the sixth: %s %v", res.Status, res.Header)
	}
	g.clock.Advance(time.Minute)
	if res, _ := g.get("/orders/17", authorized); res.StatusCode != 200 {
		t.Errorf("a minute later: %s", res.Status)
	}
}

// An app's gateway hands the principal over, and other programs read what it is told.
func TestGuideGatewayApp(t *testing.T) {
	t.Parallel()
	issuer, sign := paperIssuer(t)
	file := filepath.Join(t.TempDir(), "app.yml")
	text := guideFile(t, "gateway.md", "app.yml", "https://issuer.example.com/", issuer, "127.0.0.1:9000", named(t, "reports"))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	app, err := shop(perdure.Config{Data: t.TempDir(), Listen: "localhost:0", Logger: slog.New(slog.DiscardHandler)},
		gateway.Config{Files: []string{file}, Listen: "localhost:0", Admin: "localhost:0"}, issuer)
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := app.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	plain, _ := app.GatewayAddr()
	reader := sign(map[string]any{"sub": "ada", "permissions": []string{"read:orders"}})
	for _, tt := range []struct {
		address, path, token string
		status               int
		body                 string
	}{
		{plain, "/orders/17", reader, 200, "ada sees 17"},
		{plain, "/orders/17", sign(map[string]any{"sub": "eve"}), 403, ""},
		{plain, "/orders/17", "", 401, `{"message":"Unauthorized"}`},
		{plain, "/reports/1", "", 200, "reports /1"},
		{plain, "/perdure/v1/instances", reader, 404, ""},
		{app.Addr().String(), "/orders/17", reader, 200, "ada sees 17"},
		{app.Addr().String(), "/orders/17", "", 401, ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+tt.address+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if tt.token != "" {
			req.Header.Set("Authorization", "Bearer "+tt.token)
		}
		if res, body := get(t, req); res.StatusCode != tt.status || !strings.Contains(body, tt.body) {
			t.Errorf("%s: %s %s, want %d %s", tt.path, res.Status, body, tt.status, tt.body)
		}
	}
	operator := sign(map[string]any{"sub": "ops", "permissions": []string{"perdure:read"}})
	names, err := namesOfRoutes(t.Context(), "http://"+app.GatewayAdminAddr(), operator)
	if slices.Sort(names); err != nil || !slices.Equal(names, []string{"orders", "reports"}) {
		t.Errorf("%v, %v", names, err)
	}
	if names, err := namesOfRoutes(t.Context(), "http://"+app.GatewayAdminAddr(), reader); err == nil {
		t.Errorf("without the permission: %v", names)
	}
}

// A server that is not there costs no request, and is left out.
func TestGuideGatewayBalance(t *testing.T) {
	t.Parallel()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		err = gone.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	dead := gone.Addr().String()
	g := startGateway(t, guideFile(t, "gateway.md", "balance.yml", "127.0.0.1:9000", named(t, "orders"), "127.0.0.1:9001", dead))
	health := func() string {
		w := httptest.NewRecorder()
		g.AdminAPI().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/upstreams/orders-servers/health", nil))
		var answer struct {
			Data []struct{ Target, Health string }
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatal(err)
		}
		for _, d := range answer.Data {
			if d.Target == dead {
				return d.Health
			}
		}
		return w.Body.String()
	}
	if got := health(); got != "HEALTHY" {
		t.Errorf("before the first request: %s", got)
	}
	for range 30 {
		if res, body := g.get("/orders/17"); res.StatusCode != 200 || body != "orders /17" {
			t.Fatal(res.Status, body)
		}
	}
	if got := health(); got != "UNHEALTHY" {
		t.Errorf("after the requests: %s", got)
	}
}
