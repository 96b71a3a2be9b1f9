package oidc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
)

const (
	// maxBody bounds the body of a request, in bytes.
	maxBody = 64 << 10
	// maxQuery bounds the query of a request, in bytes.
	maxQuery = 16 << 10
	// maxParameters bounds the parameters of a request.
	maxParameters = 64
)

// request is what a request carries through the library.
type request struct {
	ip, agent string
	basic     bool   // it has an Authorization header of scheme Basic
	browser   []byte // digest of the browser's cookie
	foreign   *foreign
	// fault is why the unit of work must not commit.
	fault error
}

type requestKey struct{}

// requestOf returns the request whose context it is.
func requestOf(ctx context.Context) *request {
	if r, ok := ctx.Value(requestKey{}).(*request); ok {
		return r
	}
	return &request{}
}

// answer keeps an answer until the unit of work that made it has committed.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(b)
}

// send writes the answer to w.
func (a *answer) send(w http.ResponseWriter) {
	for name, values := range a.header {
		if name == "Vary" || name == "Set-Cookie" {
			w.Header()[name] = append(w.Header()[name], values...)
			continue
		}
		w.Header()[name] = values
	}
	w.WriteHeader(max(a.status, http.StatusOK))
	_, _ = a.body.WriteTo(w) // who went away does not hear it
}

// unit serves a request by h in one unit of work. Requests with the same non-empty name take turns.
func (p *Provider) unit(w http.ResponseWriter, r *http.Request, name string, h http.Handler) error {
	defer p.locks.lock(name)()
	state := requestOf(r.Context())
	var a *answer
	err := p.env.Unit(r.Context(), func(ctx context.Context) (err error) {
		a = &answer{header: http.Header{}}
		state.fault = nil
		defer func() {
			if v := recover(); v != nil {
				p.env.Log.ErrorContext(ctx, "a request made the provider panic", "path", r.URL.Path, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
				err = errPanic
			}
		}()
		h.ServeHTTP(a, r.WithContext(ctx))
		if state.fault != nil {
			return state.fault
		}
		if a.status >= http.StatusInternalServerError {
			return errPanic
		}
		return nil
	})
	if err != nil {
		return err
	}
	a.send(w)
	return nil
}

var errPanic = errors.New("the request could not be handled")

// readForm reads the parameters of a request into r.Form and r.PostForm: of a form, or of the
// JSON object that Auth0's libraries send. Where secrets are sent, those of the query do not count
// (RFC 6749 section 2.3.1). A parameter that comes twice is refused (section 3.1), except those of
// which there may be several.
func readForm(w http.ResponseWriter, r *http.Request, query bool) *refusal {
	form := url.Values{}
	if len(r.URL.RawQuery) > maxQuery {
		return &refusal{invalidRequest, "the query is too long", http.StatusRequestURITooLong}
	}
	if query {
		values, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			return refuse(invalidRequest, "the query cannot be read")
		}
		form = values
	}
	if r.Method == http.MethodPost {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
				return &refusal{invalidRequest, "the request is too large", http.StatusRequestEntityTooLarge}
			}
			return refuse(invalidRequest, "the request cannot be read")
		}
		values, refused := parseBody(r.Header.Get("Content-Type"), body)
		if refused != nil {
			return refused
		}
		for name, v := range values {
			form[name] = append(form[name], v...)
		}
	}
	if len(form) > maxParameters {
		return refuse(invalidRequest, "there are too many parameters")
	}
	for name, values := range form {
		if len(values) > 1 && !mayRepeat[name] || len(values) > 10 {
			return refuse(invalidRequest, "the parameter %q comes more than once", name)
		}
		if strings.ContainsRune(strings.Join(values, ""), 0) {
			return refuse(invalidRequest, "the parameter %q is malformed", name)
		}
	}
	r.Form, r.PostForm = form, form
	return nil
}

// mayRepeat are the parameters that RFC 8693 and RFC 8707 let come several times.
var mayRepeat = map[string]bool{"resource": true, "audience": true}

// parseBody reads a body that is a form or a JSON object of strings.
func parseBody(contentType string, body []byte) (url.Values, *refusal) {
	kind, _, err := mime.ParseMediaType(contentType)
	if contentType == "" && len(body) == 0 {
		return nil, nil
	}
	switch {
	case err != nil:
	case kind == "application/x-www-form-urlencoded":
		values, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, refuse(invalidRequest, "the form cannot be read")
		}
		return values, nil
	case kind == "application/json":
		return parseJSON(body)
	}
	return nil, &refusal{invalidRequest, "the content type must be application/x-www-form-urlencoded or application/json", http.StatusUnsupportedMediaType}
}

// parseJSON reads an object token by token, so that a name that comes twice is seen.
func parseJSON(body []byte) (url.Values, *refusal) {
	bad := refuse(invalidRequest, "the body must be a JSON object of strings")
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, bad
	}
	values := url.Values{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, bad
		}
		value, err := d.Token()
		if err != nil {
			return nil, bad
		}
		switch v := value.(type) {
		case string:
			values.Add(name.(string), v)
		case json.Number:
			values.Add(name.(string), v.String())
		case bool:
			values.Add(name.(string), fmt.Sprint(v))
		case nil:
		default:
			return nil, bad
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, bad
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, bad
	}
	return values, nil
}

// clientIP is the address of who sent a request.
func (p *Provider) clientIP(r *http.Request) string {
	if p.options.ClientIP != nil {
		return p.options.ClientIP(r)
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}

// agent is what the client says it is, as far as the audit log keeps it.
func agent(r *http.Request) string {
	return strings.ToValidUTF8(r.UserAgent()[:min(len(r.UserAgent()), 256)], "")
}
