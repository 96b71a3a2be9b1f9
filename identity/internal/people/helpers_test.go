package people_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/directorytest"
	"github.com/perdure/perdure/identity/internal/people"
	"github.com/perdure/perdure/identity/internal/people/password"
)

const (
	ada   = "ada@example.com"
	eve   = "eve@example.com"
	right = "correct horse battery"
	other = "entirely different words"
)

// app is a provider's people on a store of its own.
type app struct {
	*directorytest.World
	people *people.People
}

func newApp(t testing.TB, change ...func(*people.Options)) *app {
	t.Helper()
	return appOn(t, directorytest.New(t), change...)
}

func appOn(t testing.TB, w *directorytest.World, change ...func(*people.Options)) *app {
	t.Helper()
	options := people.Options{Hash: password.Params{Memory: 64, Time: 1, Threads: 1}, ParallelHashes: 2}
	for _, c := range change {
		c(&options)
	}
	p, err := people.New(w.Env, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return &app{World: w, people: p}
}

// member makes a user with a password.
func (a *app) member(t testing.TB, email string) *directory.User {
	t.Helper()
	u := a.NewUser(t, email)
	a.Do(t, func(ctx context.Context) error { return a.people.SetPassword(ctx, u.ID, right) })
	return u
}

func (a *app) user(t testing.TB, id string) (u *directory.User) {
	t.Helper()
	a.Do(t, func(ctx context.Context) (err error) {
		u, err = a.User(ctx, id)
		return err
	})
	return u
}

func (a *app) byEmail(t testing.TB, email string) (u *directory.User) {
	t.Helper()
	a.Do(t, func(ctx context.Context) (err error) {
		u, err = a.UserByEmail(ctx, directory.DefaultConnection, email)
		return err
	})
	return u
}

// options changes the default connection.
func (a *app) connection(t testing.TB, change func(*directory.ConnectionOptions)) {
	t.Helper()
	a.Do(t, func(ctx context.Context) error {
		c, err := a.ConnectionByName(ctx, directory.DefaultConnection)
		if err != nil {
			return err
		}
		_, err = a.UpdateConnection(ctx, directory.Command, c.ID, func(c *directory.Connection) error {
			change(&c.Options)
			return nil
		})
		return err
	})
}

// audited returns how many entries of a type there are.
func (a *app) audited(t testing.TB, kind string) (n int) {
	t.Helper()
	a.Do(t, func(ctx context.Context) error {
		n = 0
		for row, err := range directory.Audit.ScanAll(ctx) {
			if err != nil {
				return err
			}
			if row.Value.Type == kind {
				n++
			}
		}
		return nil
	})
	return n
}

// browser is a browser without scripts: it has cookies and submits the forms that pages have.
type browser struct {
	t       testing.TB
	app     *app
	cookies map[string]string
	ip      string
}

func (a *app) browser(t testing.TB) *browser {
	return &browser{t: t, app: a, cookies: map[string]string{}, ip: "192.0.2.1"}
}

// page is an answer.
type page struct {
	path   string
	status int
	header http.Header
	body   string
	forms  map[string]url.Values // the fields of forms by action
}

func (b *browser) do(r *http.Request) *page {
	b.t.Helper()
	r.RemoteAddr = b.ip + ":4711"
	r.Host = "localhost:8080"
	if r.Header.Get("User-Agent") == "" {
		r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0 Safari/537.36")
	}
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	b.app.people.ServeHTTP(w, r)
	answer := w.Result()
	for _, c := range answer.Cookies() {
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c.Value
		}
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	p := &page{path: r.URL.RequestURI(), status: answer.StatusCode, header: answer.Header, body: string(body)}
	p.forms = readForms(b.t, p.body)
	return p
}

// get opens a page and follows redirects among the pages.
func (b *browser) get(path string) *page {
	b.t.Helper()
	return b.follow(b.do(httptest.NewRequest(http.MethodGet, path, nil)))
}

func (b *browser) follow(p *page) *page {
	b.t.Helper()
	for range 10 {
		to := p.header.Get("Location")
		if p.status != http.StatusSeeOther || !strings.HasPrefix(to, "/u/") {
			return p
		}
		p = b.do(httptest.NewRequest(http.MethodGet, to, nil))
	}
	b.t.Fatalf("redirects without end at %s", p.path)
	return nil
}

// post sends a form as it is.
func (b *browser) post(path string, fields url.Values) *page {
	b.t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(fields.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return b.do(r)
}

// submit fills in the form of a page and sends it. It follows redirects.
func (b *browser) submit(p *page, action string, fields ...string) *page {
	b.t.Helper()
	return b.follow(b.send(p, action, fields...))
}

// send is submit without following redirects.
func (b *browser) send(p *page, action string, fields ...string) *page {
	b.t.Helper()
	form, ok := p.forms[action]
	if !ok {
		b.t.Fatalf("%s (%d) has no form for %s:\n%s", p.path, p.status, action, text(p.body))
	}
	values := url.Values{}
	for name, v := range form {
		values[name] = v
	}
	for i := 0; i+1 < len(fields); i += 2 {
		values.Set(fields[i], fields[i+1])
	}
	return b.post(action, values)
}

// login signs in by password and returns what comes then.
func (b *browser) login(email, password string) *page {
	b.t.Helper()
	return b.submit(b.get("/u/login"), "/u/login", "login", email, "password", password)
}

func readForms(t testing.TB, body string) map[string]url.Values {
	t.Helper()
	root, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	forms := map[string]url.Values{}
	attr := func(n *html.Node, name string) string {
		for _, a := range n.Attr {
			if a.Key == name {
				return a.Val
			}
		}
		return ""
	}
	var walk func(n *html.Node, action string)
	walk = func(n *html.Node, action string) {
		if n.Type == html.ElementNode && n.Data == "form" {
			action = attr(n, "action")
			if forms[action] == nil {
				forms[action] = url.Values{}
			}
		}
		if n.Type == html.ElementNode && n.Data == "input" && action != "" && attr(n, "name") != "" {
			forms[action].Set(attr(n, "name"), attr(n, "value"))
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c, action)
		}
	}
	walk(root, "")
	return forms
}

var tags = regexp.MustCompile(`(?s)<head>.*</head>|<[^>]*>|\s+`)

// text is what a person reads of a page.
func text(body string) string {
	return strings.Join(strings.Fields(html.UnescapeString(tags.ReplaceAllString(body, " "))), " ")
}

func (p *page) want(t testing.TB, status int, words string) {
	t.Helper()
	if p.status != status || !strings.Contains(text(p.body), words) {
		t.Fatalf("%s: status %d, want %d and %q; it says:\n%s", p.path, p.status, status, words, text(p.body))
	}
}

// link returns the link of the last mail to an address, as a path.
func (a *app) link(t testing.TB, to string) string {
	t.Helper()
	m := a.Inbox.Last(to)
	if m == nil {
		t.Fatalf("there is no mail to %s", to)
		return ""
	}
	for _, word := range strings.Fields(m.Text) {
		if path, ok := strings.CutPrefix(word, directorytest.Issuer); ok {
			return "/" + path
		}
	}
	t.Fatalf("the mail has no link:\n%s", m.Text)
	return ""
}

// request stores a request to sign in, as the protocol does when b comes to it.
func (a *app) request(t testing.TB, b *browser, change ...func(*directory.AuthRequest)) (id string) {
	t.Helper()
	if b.cookies[directory.BrowserCookieName(directorytest.Issuer)] == "" {
		b.get("/u/login")
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	client, _ := a.NewApplication(t, &directory.Application{Name: "Shop", Type: "regular_web", FirstParty: true, Callbacks: []string{"https://shop.example/callback"}})
	id = "request-" + client.ClientID
	row := &directory.AuthRequest{
		ID: id, ClientID: client.ClientID, RedirectURI: "https://shop.example/callback", Scopes: []string{"openid"},
		BrowserDigest: directory.Browser(httptest.NewRecorder(), r, directorytest.Issuer), Created: a.Clock.Now(), Expires: a.Clock.Now().Add(3600e9),
	}
	for _, c := range change {
		c(row)
	}
	a.Do(t, func(ctx context.Context) error { return directory.AuthRequests.Insert(ctx, directory.Key(id), row) })
	return id
}

func (a *app) authRequest(t testing.TB, id string) (r *directory.AuthRequest) {
	t.Helper()
	a.Do(t, func(ctx context.Context) (err error) {
		r, err = directory.AuthRequests.Get(ctx, directory.Key(id))
		return err
	})
	return r
}

func (b *browser) json(path string, in any, out any) int {
	b.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		b.t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(string(body)))
	r.Header.Set("Content-Type", "application/json")
	p := b.do(r)
	if out != nil {
		if err := json.Unmarshal([]byte(p.body), out); err != nil {
			b.t.Fatalf("%s: %v in %s", path, err, p.body)
		}
	}
	return p.status
}
