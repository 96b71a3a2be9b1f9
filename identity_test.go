package perdure_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/identity"
	"github.com/perdure/perdure/internal/control"
)

// secure is an app with a provider of its own.
type secure struct {
	t        *testing.T
	app      *perdure.App
	data     string
	url      string
	accounts identity.DemoAccounts
}

var clerk = identity.Config{
	API:   identity.API{Identifier: "https://orders.example.com", Name: "Orders"},
	Roles: []identity.Role{{Name: "clerk", Permissions: []string{"read:orders"}}, {Name: "guest"}},
	Demo: &identity.Demo{
		Users:             []identity.DemoUser{{Username: "carl", Name: "Carl Clerk", Roles: []string{"clerk"}}, {Username: "gus", Roles: []string{"guest"}}},
		ClientPermissions: []string{"read:orders"},
	},
}

// startSecure starts an app that shows orders to clerks.
func startSecure(t *testing.T, data string, change func(*perdure.Config)) *secure {
	t.Helper()
	s := &secure{t: t, data: data}
	provider := clerk
	c := perdure.Config{Data: data, Title: "Orders", Listen: "localhost:0", Logger: slog.New(slog.DiscardHandler), Identity: &provider}
	if change != nil {
		change(&c)
	}
	s.app = perdure.New(c)
	s.app.Add(perdure.HTTP("GET /orders", func(_ context.Context, in *struct{ Who auth.Principal }) (*pong, error) {
		return &pong{in.Who.Name}, nil
	}, perdure.Require(auth.Permission("read:orders"))))
	if err := s.app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.app.Stop(context.Background()) })
	_, port, _ := strings.Cut(s.app.Addr().String(), ":")
	s.url = "http://localhost:" + port
	s.readAccounts()
	return s
}

func (s *secure) readAccounts() {
	s.t.Helper()
	path := filepath.Join(s.data, identity.DemoFile)
	b, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := json.Unmarshal(b, &s.accounts); err != nil {
		s.t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		s.t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// get asks for the orders with a token.
func (s *secure) get(token string) (int, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), "GET", s.url+"/orders", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return s.send(http.DefaultClient, req)
}

func (s *secure) send(client *http.Client, req *http.Request) (int, string) {
	s.t.Helper()
	res, err := client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, readAll(s.t, res)
}

func TestAppWithItsOwnProvider(t *testing.T) {
	t.Parallel()
	s := startSecure(t, filepath.Join(t.TempDir(), "data"), nil)
	if s.accounts.Issuer != s.url+"/" || s.accounts.Audience != clerk.API.Identifier || len(s.accounts.Users) != 2 {
		t.Fatalf("accounts of %s for %s: %d", s.accounts.Issuer, s.accounts.Audience, len(s.accounts.Users))
	}
	if status, body := s.get(s.accounts.Users[0].AccessToken); status != 200 || body != "Carl Clerk" {
		t.Errorf("clerk: %d %s", status, body)
	}
	if status, body := s.get(s.accounts.Users[1].AccessToken); status != 403 || !strings.Contains(body, "read:orders") {
		t.Errorf("guest: %d %s", status, body)
	}
	if status, _ := s.get(""); status != 401 {
		t.Errorf("nobody: %d", status)
	}
	// A machine's token, and one for the management API, which is not good for the app.
	for audience, want := range map[string]int{s.accounts.Audience: 200, s.accounts.Issuer + "api/v2/": 401} {
		token := s.machineToken(audience)
		if status, body := s.get(token); status != want {
			t.Errorf("machine, %s: %d %s, want %d", audience, status, body, want)
		}
	}
}

func (s *secure) machineToken(audience string) string {
	s.t.Helper()
	res, err := http.PostForm(s.url+"/oauth/token", url.Values{
		"grant_type": {"client_credentials"}, "audience": {audience},
		"client_id": {s.accounts.Client.ClientID}, "client_secret": {s.accounts.Client.ClientSecret},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if body := readAll(s.t, res); json.Unmarshal([]byte(body), &answer) != nil || answer.AccessToken == "" {
		s.t.Fatalf("%d %s", res.StatusCode, body)
	}
	return answer.AccessToken
}

var csrf = regexp.MustCompile(`name="(csrf|state)" value="([^"]*)"`)

// browser returns a browser in which somebody has signed in.
func (s *secure) browser(username, password string) (client *http.Client, answer string) {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	client = &http.Client{Jar: jar}
	open := func(method, target string, form url.Values) (*http.Response, string) {
		req, err := http.NewRequestWithContext(s.t.Context(), method, target, strings.NewReader(form.Encode()))
		if err != nil {
			s.t.Fatal(err)
		}
		req.Header.Set("Accept", "text/html")
		req.Header.Set("Sec-Fetch-Dest", "document")
		req.Header.Set("Sec-Fetch-Mode", "navigate")
		if form != nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.Header.Set("Origin", s.url)
		}
		res, err := client.Do(req)
		if err != nil {
			s.t.Fatal(err)
		}
		return res, readAll(s.t, res)
	}
	res, page := open("GET", s.url+"/orders", nil)
	if res.Request.URL.Path != "/u/login" {
		s.t.Fatalf("the browser was sent to %s: %s", res.Request.URL, page)
	}
	form := url.Values{"login": {username}, "password": {password}}
	for _, m := range csrf.FindAllStringSubmatch(page, 2) {
		form.Set(m[1], m[2])
	}
	res, page = open("POST", s.url+"/u/login", form)
	return client, fmt.Sprint(res.StatusCode, " ", res.Request.URL.Path, " ", page)
}

func TestBrowserSignsInAtTheOwnProvider(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	s := startSecure(t, data, nil)
	carl := s.accounts.Users[0]
	client, answer := s.browser(carl.Username, carl.Password)
	if answer != "200 /orders Carl Clerk" {
		t.Fatalf("signed in: %s", answer)
	}
	again := func() int {
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/orders", nil)
		if err != nil {
			t.Fatal(err)
		}
		status, _ := s.send(client, req)
		return status
	}
	if status := again(); status != 200 {
		t.Fatalf("with the session: %d", status)
	}
	if _, answer := s.browser(carl.Username, "wrong password"); !strings.Contains(answer, "/u/login") {
		t.Errorf("with a wrong password: %.200s", answer)
	}
	// When the operator blocks the user, what was issued ends at once.
	admin := control.NewClient(data)
	var users []struct {
		ID       string `json:"user_id"`
		Username string `json:"username"`
	}
	if err := admin.Do(t.Context(), "GET", "identity/api/v2/users", nil, nil, &users); err != nil {
		t.Fatal(err)
	}
	for _, u := range users {
		if u.Username != carl.Username {
			continue
		}
		err := admin.Do(t.Context(), "PATCH", "identity/api/v2/users/"+url.PathEscape(u.ID), nil, map[string]any{"blocked": true}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	if status := again(); status != 401 {
		t.Errorf("with the session of a user who is blocked: %d, want 401", status)
	}
	if status, body := s.get(carl.AccessToken); status != 401 {
		t.Errorf("with a token without a refresh token, of a user who is blocked: %d %s, want 401", status, body)
	}
}

// Passwords last, tokens are new, and a folder of demo mode is refused without it.
func TestDemoFolder(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	s := startSecure(t, data, nil)
	before := s.accounts
	if err := s.app.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := startSecure(t, data, nil)
	for i, a := range after.accounts.Users {
		if a.Password != before.Users[i].Password || a.AccessToken == before.Users[i].AccessToken {
			t.Errorf("%s: the password is the same: %t, the token: %t", a.Username, a.Password == before.Users[i].Password, a.AccessToken == before.Users[i].AccessToken)
		}
	}
	if after.accounts.Client != before.Client {
		t.Error("the client is another one")
	}
	if status, body := after.get(after.accounts.Users[0].AccessToken); status != 200 {
		t.Errorf("after a restart: %d %s", status, body)
	}
	if err := after.app.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	plain := clerk
	plain.Demo = nil
	app := perdure.New(perdure.Config{Data: data, Listen: "localhost:0", Logger: slog.New(slog.DiscardHandler), Identity: &plain})
	app.Add(perdure.HTTP("GET /", func(context.Context, *struct{}) (*struct{}, error) { return nil, nil }))
	err := app.Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "demo mode") || strings.Contains(err.Error(), before.Users[0].Password) {
		t.Errorf("without demo mode: %v", err)
	}
}

// The client of demo mode, whose secret lies in a file, is there also without people.
func TestDemoFolderWithoutPeople(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	s := startSecure(t, data, func(c *perdure.Config) { c.Identity.Demo = &identity.Demo{} })
	if err := s.app.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	plain := clerk
	plain.Demo = nil
	app := perdure.New(perdure.Config{Data: data, Listen: "localhost:0", Logger: slog.New(slog.DiscardHandler), Identity: &plain})
	app.Add(perdure.HTTP("GET /", func(context.Context, *struct{}) (*struct{}, error) { return nil, nil }))
	if err := app.Start(t.Context()); !errors.Is(err, identity.ErrDemo) {
		_ = app.Stop(t.Context())
		t.Errorf("without demo mode: %v, want ErrDemo", err)
	}
}

// What is in the folder cannot be read without the master key beside it.
func TestFolderWithoutItsMasterKey(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	s := startSecure(t, data, nil)
	if err := s.app.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(data + ".master-key"); err != nil {
		t.Fatal(err)
	}
	provider := clerk
	app := perdure.New(perdure.Config{Data: data, Listen: "localhost:0", Logger: slog.New(slog.DiscardHandler), Identity: &provider})
	app.Add(perdure.HTTP("GET /", func(context.Context, *struct{}) (*struct{}, error) { return nil, nil }))
	if err := app.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "master-key") {
		t.Errorf("without the key: %v", err)
	}
}

func TestBadIdentityIsRefused(t *testing.T) {
	t.Parallel()
	for field, change := range map[string]func(*perdure.Config){
		"Identity.Issuer":         func(c *perdure.Config) { c.Identity.Issuer = "http://id.example.com/" },
		"Identity.API.Identifier": func(c *perdure.Config) { c.Identity.API.Identifier = "orders" },
		"Identity.Roles":          func(c *perdure.Config) { c.Identity.Roles = []identity.Role{{Name: "a"}, {Name: "a"}} },
		"Identity.Demo": func(c *perdure.Config) {
			c.Identity.Demo = &identity.Demo{Users: []identity.DemoUser{{Username: "a", Roles: []string{"b"}}}}
		},
		"Identity.Listen":   func(c *perdure.Config) { c.Identity.Listen = "nowhere" },
		"Identity.CertFile": func(c *perdure.Config) { c.Identity.CertFile = "cert.pem" },
		"Origin":            func(c *perdure.Config) { c.Origin = "https://app.example.com/" },
	} {
		c := perdure.Config{Data: t.TempDir(), Listen: "localhost:0", Logger: slog.New(slog.DiscardHandler), Identity: &identity.Config{}}
		change(&c)
		err := perdure.New(c).Start(t.Context())
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// readAll reads an answer to its end.
func readAll(t *testing.T, res *http.Response) string {
	t.Helper()
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
