package people

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/people/guard"
	"github.com/perdure/perdure/identity/internal/people/pages"
	"github.com/perdure/perdure/identity/internal/people/password"
)

// maxForm bounds the body of a request, in bytes: the answer of an authenticator is the largest.
const maxForm = 128 << 10

// handler answers a request for a page.
type handler func(q *request) (*answer, error)

// request is a request for a page.
type request struct {
	*http.Request
	p       *People
	form    url.Values // of the query, or of a POST's body alone
	browser []byte     // digest of its cookie
	state   string     // id of the request to sign in, if there is one
	next    string     // path to go on to without one
	ip      string
	network string
}

// answer is what a handler answers. It is written after the unit of work has committed.
type answer struct {
	status  int    // default 200
	to      string // redirect to there
	name    string // of a page
	page    *pages.Page
	json    any
	text    string
	cookies []*http.Cookie
	targets []string // where the page's forms lead to in the end
}

// fault is an error that the user is told.
type fault struct {
	status int
	title  string
	text   string
}

func (f *fault) Error() string { return f.title + ": " + f.text }

// inUnit makes a handler of fn that runs in one unit of work.
func (p *People) inUnit(fn func(ctx context.Context, q *request) (*answer, error)) handler {
	return func(q *request) (a *answer, err error) {
		err = p.env.Unit(q.Context(), func(ctx context.Context) error {
			a, err = fn(ctx, q)
			return err
		})
		return a, err
	}
}

// page serves a handler: it reads the request, checks where it comes from and writes the answer.
func (p *People) page(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q, err := p.read(w, r)
		var a *answer
		if err == nil {
			a, err = h(q)
		}
		if err != nil {
			a = p.failed(q, err)
		}
		p.write(w, q, a)
	})
}

// read reads a request. It returns one also with an error, for the answer.
func (p *People) read(w http.ResponseWriter, r *http.Request) (*request, error) {
	addr := p.clientIP(r)
	q := &request{Request: r, p: p, form: url.Values{}, ip: addr.String(), network: guard.Network(addr)}
	if !addr.IsValid() {
		q.ip, q.network = "", "unknown"
	}
	q.browser = directory.Browser(w, r, p.env.Issuer)
	var err error
	if r.Method == http.MethodPost {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			return q, &fault{http.StatusBadRequest, "Bad request", "The form could not be read."}
		}
		q.form = r.PostForm
	} else if q.form, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		return q, &fault{http.StatusBadRequest, "Bad request", "The address could not be read."}
	}
	q.state, q.next = q.form.Get("state"), safeNext(q.form.Get("next"))
	if len(q.state) > 64 || strings.ContainsAny(q.state, "\x00") {
		return q, &fault{http.StatusBadRequest, "Bad request", "The address is not complete."}
	}
	if r.Method == http.MethodPost {
		if p.origin.Check(r) != nil || subtle.ConstantTimeCompare([]byte(q.form.Get("csrf")), []byte(q.token("form"))) != 1 {
			return q, &fault{http.StatusForbidden, "Please try again", "This page was too old, or did not come from here. Go back, load it again, and repeat what you did. Your browser must allow cookies."}
		}
	}
	return q, nil
}

// safeNext returns a path of the pages that a user may be sent to after signing in; empty for
// anything else, so that no link to the login page leads elsewhere (CWE-601).
func safeNext(next string) string {
	if len(next) > 512 || strings.ContainsAny(next, "\\\r\n\t\x00") {
		return ""
	}
	u, err := url.Parse(next)
	if err != nil || u.IsAbs() || u.Host != "" || u.User != nil || u.Opaque != "" || u.Fragment != "" {
		return ""
	}
	if !strings.HasPrefix(next, "/u/") || path.Clean(u.Path) != u.Path || !strings.HasPrefix(u.Path, "/u/") {
		return ""
	}
	switch u.Path {
	case "/u/account", "/u/device":
		return next
	}
	return ""
}

// token is what proves that a form came from a page of this browser in this session: nobody else
// knows the cookies that it is made of.
func (q *request) token(purpose string) string {
	mac := hmac.New(sha256.New, []byte(directory.BrowserValue(q.Request, q.p.env.Issuer)))
	mac.Write([]byte("csrf\x00" + purpose + "\x00" + q.p.sessionCookie(q.Request)))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// browserKey is the key of a row of this browser.
func (q *request) browserKey(name string) string {
	return directory.Key2(hex.EncodeToString(q.browser), name)
}

// actor is who does something in this request.
func (q *request) actor(userID string) directory.Actor {
	return directory.Actor{Subject: userID, IP: q.ip, Agent: q.UserAgent()}
}

// show answers a page.
func (q *request) show(name string, page *pages.Page) *answer {
	page.CSRF, page.State, page.Next = q.token("form"), q.state, q.next
	return &answer{name: name, page: page}
}

// message answers a page with some sentences.
func (q *request) message(title string, text ...string) *answer {
	return q.show("message", &pages.Page{Title: title, Data: map[string]any{"Text": text}})
}

// redirect answers a redirect to another of the pages, which goes on with the same request to sign in.
func (q *request) redirect(to string) *answer {
	return &answer{to: to + (&pages.Page{State: q.state, Next: q.next}).Query()}
}

// wantsJSON reports whether a script has asked.
func (q *request) wantsJSON() bool { return strings.HasSuffix(q.URL.Path, "/challenge") }

// failed is the answer to an error.
func (p *People) failed(q *request, err error) *answer {
	var f *fault
	var wait *tooMany
	status, title, text := http.StatusInternalServerError, "Something went wrong", "We could not do that. Please try again in a moment."
	switch {
	case errors.As(err, &f):
		status, title, text = f.status, f.title, f.text
	case errors.As(err, &wait):
		status, title, text = http.StatusTooManyRequests, "Too many attempts", "There were too many attempts. Please try again in "+roughly(wait.wait)+"."
	case errors.Is(err, password.ErrBusy), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		status, title, text = http.StatusServiceUnavailable, "Please try again", "There is much to do at the moment. Please try again shortly."
	default:
		p.env.Log.ErrorContext(q.Context(), "a page failed", "path", q.URL.Path, "error", err)
	}
	if q.wantsJSON() {
		return &answer{status: status, json: map[string]string{"error": text}}
	}
	a := q.message(title, text)
	a.status = status
	return a
}

// tooMany: the next attempt has to wait.
type tooMany struct{ wait time.Duration }

func (t *tooMany) Error() string { return "too many attempts" }

func roughly(d time.Duration) string {
	minutes := int((d + time.Minute - 1) / time.Minute)
	if minutes <= 1 {
		return "a minute"
	}
	return strconv.Itoa(minutes) + " minutes"
}

func (p *People) write(w http.ResponseWriter, q *request, a *answer) {
	h := w.Header()
	p.pages.SetHeaders(h, a.targets...)
	for _, c := range a.cookies {
		http.SetCookie(w, c)
	}
	status := a.status
	if status == 0 {
		status = http.StatusOK
	}
	var body []byte
	switch {
	case a.to != "":
		h.Set("Location", a.to)
		status = http.StatusSeeOther
	case a.json != nil:
		var err error
		if body, err = json.Marshal(a.json); err != nil {
			p.env.Log.ErrorContext(q.Context(), "an answer failed", "path", q.URL.Path, "error", err)
			status = http.StatusInternalServerError
		}
		h.Set("Content-Type", "application/json")
	case a.page != nil:
		var err error
		if body, err = p.pages.Render(a.name, a.page); err != nil {
			p.env.Log.ErrorContext(q.Context(), "a page failed", "path", q.URL.Path, "error", err)
			status, body = http.StatusInternalServerError, []byte("Something went wrong.")
		}
		h.Set("Content-Type", "text/html; charset=utf-8")
	default:
		body = []byte(a.text)
		h.Set("Content-Type", "text/plain; charset=utf-8")
	}
	if status == http.StatusTooManyRequests {
		h.Set("Retry-After", "60")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if q.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

// target is what a sign-in is for: a request of an application, or a page of ours.
type target struct {
	request     *directory.AuthRequest // nil for a page of ours
	app         *directory.Application // nil for a page of ours
	connections []*directory.Connection
}

// target finds what the request is for. Only the browser that began a request to sign in goes on with
// it.
func (q *request) target(ctx context.Context) (*target, error) {
	t := new(target)
	app := &directory.Application{} // one that all connections for all offer
	if q.state != "" {
		request, err := directory.AuthRequests.Get(ctx, directory.Key(q.state))
		switch {
		case errors.Is(err, directory.ErrNotFound):
			return nil, &fault{http.StatusBadRequest, "Please start again", "This request to sign in has ended, or was too long ago. Go back to the application and start again."}
		case err != nil:
			return nil, err
		case !directory.CheckBrowser(q.Request, q.p.env.Issuer, request.BrowserDigest):
			return nil, &fault{http.StatusForbidden, "Please start again", "This request to sign in was started in another browser."}
		}
		t.request = request
		if t.app, err = q.p.env.Application(ctx, request.ClientID); err != nil {
			return nil, fmt.Errorf("application of a request to sign in: %w", err)
		}
		app = t.app
	}
	offered, err := q.p.env.ConnectionsFor(ctx, app)
	if err != nil {
		return nil, err
	}
	for _, c := range offered {
		if t.request == nil || t.request.Connection == "" || t.request.Connection == c.Name {
			t.connections = append(t.connections, c)
		}
	}
	return t, nil
}

// databases are the connections with passwords.
func (t *target) databases() (all []*directory.Connection) {
	for _, c := range t.connections {
		if c.Strategy == directory.StrategyDatabase {
			all = append(all, c)
		}
	}
	return all
}

// name is what the user signs in to; empty for a page of ours.
func (t *target) name() string {
	if t.app == nil {
		return ""
	}
	return t.app.Name
}

// formTargets are where forms of the target's pages lead to in the end: browsers apply form-action to
// redirects as well.
func (t *target) formTargets() []string {
	if t.request == nil {
		return nil
	}
	if source := pages.FormTarget(t.request.RedirectURI); source != "" {
		return []string{source}
	}
	return nil
}
