package gateway_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/gateway"
	"github.com/perdure/perdure/internal/clock"
)

// running is a gateway under test.
type running struct {
	*gateway.Gateway
	t    *testing.T
	file string
	base string
}

// start runs a gateway on a file in Kong's format.
func start(t *testing.T, declaration string, change ...func(*gateway.Options)) *running {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kong.yml")
	write(t, file, declaration)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := gateway.Options{
		Config: gateway.Config{Files: []string{file}}.WithDefaults(), Listeners: []net.Listener{l}, Clock: clock.System(),
		Log: slog.New(slog.DiscardHandler), Fail: func(err error) { t.Error(err) },
	}
	for _, f := range change {
		f(&o)
	}
	g, err := gateway.New(o)
	if err != nil {
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
	return &running{Gateway: g, t: t, file: file, base: "http://" + l.Addr().String()}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// get sends a request, with fields as "Name: value".
func (r *running) get(path string, fields ...string) (int, http.Header, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.base+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		if name == "Host" {
			req.Host = value
		}
		req.Header.Set(name, value)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(body)
}

// upstream answers with its name, and what it was asked.
func upstream(t *testing.T, name string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, name+" "+r.Method+" "+r.Host+r.URL.String()) // the test sees what is missing
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	url := upstream(t, "orders")
	host := strings.TrimPrefix(url, "http://")
	g := start(t, `
_format_version: "3.0"
services:
- name: orders
  url: `+url+`/v1
  routes:
  - name: orders
    paths: [/orders]
  - name: kept
    paths: [/kept]
    strip_path: false
    preserve_host: true
  - name: secure
    protocols: [https]
    paths: [/secure]
    https_redirect_status_code: 301
  - name: upgrade
    protocols: [https]
    paths: [/upgrade]
    plugins:
    - name: key-auth
    - name: rate-limiting
      config: {minute: 5}
- name: nothing
  url: http://127.0.0.1:1
  retries: 0
  routes:
  - name: dead
    paths: [/dead]
routes:
- name: alone
  paths: [/alone]
consumers:
- username: ann
  keyauth_credentials: [{key: ann-key}]
plugins:
- name: correlation-id
  config: {header_name: X-Correlation, echo_downstream: true}
`)
	for _, tt := range []struct {
		path   string
		status int
		body   string
	}{
		{"/orders/7?a=b", 200, "orders GET " + host + "/v1/7?a=b"},
		{"/kept/7", 200, "orders GET shop.test/v1/kept/7"},
		{"/nowhere", 404, "no Route matched with those values"},
		{"/alone", 503, "no Service found with those values"},
		{"/dead", 502, "An invalid response was received from the upstream server"},
		{"/secure/x?y", 301, "Please use HTTPS protocol"},
		{"/upgrade", 426, "Please use HTTPS protocol"},
	} {
		status, header, body := g.get(tt.path, "Host: shop.test")
		if status != tt.status || !strings.Contains(body, tt.body) {
			t.Errorf("%s: %d %s", tt.path, status, body)
		}
		if header.Get("X-Kong-Request-Id") == "" {
			t.Errorf("%s: no id: %v", tt.path, header)
		}
		if want := "https://shop.test/secure/x?y"; tt.status == 301 && header.Get("Location") != want {
			t.Errorf("Location: %q", header.Get("Location"))
		}
		if tt.status == 426 && (header.Get("WWW-Authenticate") != "" || header.Get("X-RateLimit-Remaining-Minute") != "") {
			t.Errorf("a plugin was asked about a request that has to come by https: %v", header)
		}
		if tt.status == 426 && (header.Get("Upgrade") != "TLS/1.2, HTTP/1.1" || header.Get("Connection") != "Upgrade") {
			t.Errorf("426: %v", header)
		}
	}
	if all := g.Gateway.Routes(); len(all) != 6 || all[0].Name != "orders" || all[0].URL != url+"/v1" || all[0].Line == 0 || all[0].Plugins[0] != "correlation-id" {
		t.Errorf("%+v", all)
	}
}

// What is in a file is in use soon after it was written, unless there is an error in it.
func TestReload(t *testing.T) {
	t.Parallel()
	manual := clock.NewManual(time.Now())
	declaration := func(name, url string) string {
		return "_format_version: \"3.0\"\nservices:\n- name: " + name + "\n  url: " + url + "\n  routes:\n  - name: all\n    paths: [/]\n"
	}
	g := start(t, declaration("one", upstream(t, "one")), func(o *gateway.Options) { o.Clock = manual })
	look := func() {
		for range 3 { // two looks find the same
			if err := manual.WaitTimers(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			manual.Advance(time.Second)
		}
	}
	body := func() string {
		_, _, text := g.get("/")
		name, _, _ := strings.Cut(text, " ")
		return name
	}
	if body() != "one" || !g.Reload().OK {
		t.Fatal("the first configuration is not in use")
	}
	first := g.Reload().Digest
	write(t, g.file, declaration("two", upstream(t, "two")))
	for look(); body() != "two"; {
		look()
	}
	if r := g.Reload(); !r.OK || r.Digest == first {
		t.Errorf("%+v", r)
	}
	write(t, g.file, "_format_version: \"3.0\"\nservices:\n- nam: two\n")
	for look(); g.Reload().OK; {
		look()
	}
	r := g.Reload()
	suggested := slices.ContainsFunc(r.Problems, func(p gateway.Problem) bool { return p.Line == 3 && strings.Contains(p.Message, `did you mean "name"`) })
	if body() != "two" || !suggested {
		t.Errorf("after an error: %s, %+v", body(), r)
	}
	write(t, g.file, declaration("three", upstream(t, "three")))
	for look(); !g.Reload().OK; {
		look()
	}
	if body() != "three" {
		t.Errorf("after the error was mended: %s", body())
	}
}

// The app in the same process gets requests without a connection.
func TestApp(t *testing.T) {
	t.Parallel()
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := "nobody"
		if who := gateway.Principal(r.Context()); who != nil {
			name = who.Subject
		}
		_, _ = io.WriteString(w, name+" at "+r.Host+r.URL.Path+" from "+r.RemoteAddr) // the test sees what is missing
	})
	named := &gateway.Plugin{
		Name: "named", Priority: 1000,
		Schema: gateway.Schema{Fields: []gateway.Field{{Name: "subject", Type: gateway.String, Required: true}}},
		New: func(s gateway.Setup) (any, error) {
			return accessFunc(func(x *gateway.Exchange) {
				x.Principal = &auth.Principal{Subject: s.Values.String("subject")}
			}), nil
		},
	}
	g := start(t, `
_format_version: "3.0"
services:
- name: app
  url: http://`+gateway.AppHost+`
  routes:
  - name: open
    paths: [/open]
    strip_path: false
  - name: known
    paths: [/known]
    strip_path: false
    plugins:
    - name: named
      config: {subject: ada}
`, func(o *gateway.Options) { o.App, o.Plugins = app, []*gateway.Plugin{named} })
	if _, _, body := g.get("/open/x", "Host: shop.test"); !strings.HasPrefix(body, "nobody at shop.test/open/x from 127.0.0.1:") {
		t.Error(body)
	}
	if _, _, body := g.get("/known/x", "Host: shop.test"); !strings.HasPrefix(body, "ada at shop.test/known/x") {
		t.Error(body)
	}
}

type accessFunc func(x *gateway.Exchange)

func (f accessFunc) Access(x *gateway.Exchange) { f(x) }

func TestErrors(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "kong.yml")
	write(t, file, "_format_version: \"3.0\"\nplugins:\n- name: rate-limitin\n  config: {minute: 5}\n")
	_, err := gateway.New(gateway.Options{
		Config: gateway.Config{Files: []string{file}}.WithDefaults(), Clock: clock.System(), Log: slog.New(slog.DiscardHandler),
	})
	if !errors.Is(err, gateway.ErrConfiguration) || !strings.Contains(err.Error(), "kong.yml:3") || !strings.Contains(err.Error(), "rate-limiting") {
		t.Errorf("%v", err)
	}
	for field, c := range map[string]gateway.Config{
		"Files":          {},
		"Gateway.Listen": {Files: []string{file}, Listen: "8000"},
		"Gateway.Admin":  {Files: []string{file}, Admin: "0.0.0.0:8001"},
		"KeyFile":        {Files: []string{file}, CertFile: "cert.pem"},
		"TrustedProxies": {Files: []string{file}, TrustedProxies: []string{"0.0.0.0/0"}},
		"one is needed":  {Files: []string{file}, Listen: gateway.None},
		"vault:NAME":     {Files: []string{file}, Certificate: "cert"},
	} {
		if err := c.WithDefaults().Validate(); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%+v: %v, want a word about %s", c, err, field)
		}
	}
}

// Files of a gateway in an app can be looked at without the app.
func TestOfflineApp(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "kong.yml")
	write(t, file, "_format_version: \"3.0\"\nservices:\n- name: app\n  url: http://"+gateway.AppHost+"\n  routes:\n  - name: app\n    paths: [/]\n")
	if c := gateway.Check([]string{file}); c.Errors+c.Warnings > 0 {
		t.Errorf("%v", c.Problems)
	}
	report, err := gateway.Explain(t.Context(), []string{file}, gateway.Question{Method: "GET", URL: "http://localhost/x"})
	if err != nil || !strings.HasPrefix(report.Verdict, "would go to") {
		t.Errorf("%+v, %v", report, err)
	}
}

// A gateway that was never started, or could not be made, leaves nothing open: TestMain looks for goroutines, this for files.
func TestNothingIsLeftOpen(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file, log := filepath.Join(folder, "kong.yml"), filepath.Join(folder, "access.log")
	for text, ok := range map[string]bool{"_format_version: \"3.0\"\n": true, "_format_version: \"2.0\"\nservice: 1\n": false} {
		write(t, file, text)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		g, err := gateway.New(gateway.Options{
			Config:    gateway.Config{Files: []string{file}, AccessLog: log}.WithDefaults(),
			Listeners: []net.Listener{l}, Clock: clock.System(), Log: slog.New(slog.DiscardHandler),
		})
		if (err == nil) != ok {
			t.Fatalf("%q: %v", text, err)
		}
		if ok {
			err = g.Stop(t.Context())
		} else {
			err = l.Close() // the caller's still
		}
		if err != nil {
			t.Error(err)
		}
		if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
			t.Errorf("%q: the port is open", text)
		}
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		for _, fd := range open {
			if to, err := os.Readlink(filepath.Join("/proc/self/fd", fd.Name())); err == nil && to == log {
				t.Errorf("%q: the access log is open", text)
			}
		}
	}
}
