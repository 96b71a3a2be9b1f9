package rest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/vault/internal/model"
)

// Options is what a Handler works with. All are needed but RecoverableDays, PurgeProtected, Log, and for the operator
// Authenticator and Challenge.
type Options struct {
	Secrets      Secrets
	Keys         Keys
	Certificates Certificates
	// Authenticator says who sends a request: by a token for the resource that Challenge names.
	Authenticator auth.Authenticator
	// Challenge returns for the host of a request, with its port, where its client gets a token, and for what: two URLs
	// with a path at least of "/", of which the first names the tenant by its first segment. Clients insist that the request's host ends
	// with "." and the host of the resource. Empty ones stand for a host that is not ours.
	Challenge func(host string) (authorization, resource string)
	// Operator takes every request as that of the operator of the machine. Authenticator and Challenge are not used then.
	Operator bool
	// VaultOf returns the vault for which the host of a request stands.
	VaultOf func(host string) (name string, ok bool)
	// RecoverableDays is for how many days deleted items can be recovered; nil for 90.
	RecoverableDays func(vault string) int
	// PurgeProtected says whether deleted items stay as long; nil for no.
	PurgeProtected func(vault string) bool
	// Log is told of failures that are not the caller's. Nil for none.
	Log *slog.Logger
}

// Handler is the REST interface of all vaults.
type Handler struct {
	Options
	endpoints []endpoint
	// large holds one for each large body that is being worked on: it is read before the Guard is asked, and whoever has
	// a token could fill the memory.
	large chan struct{}
}

// maxLarge is how many large bodies are worked on at a time.
const maxLarge = 2

// New returns the REST interface. It must get requests as they are sent: a ServeMux in front, which redirects paths that
// are not clean, is in the way of some clients.
func New(o Options) *Handler {
	if o.RecoverableDays == nil {
		o.RecoverableDays = func(string) int { return 90 }
	}
	if o.PurgeProtected == nil {
		o.PurgeProtected = func(string) bool { return false }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Handler{Options: o, endpoints: endpoints(&o), large: make(chan struct{}, maxLarge)}
}

// call is a request to an endpoint.
type call struct {
	*Handler
	request *http.Request
	by      model.Caller
	vault   string
	base    string // the URL of the vault, without a slash at its end
	args    map[string]string
	query   url.Values
	body    []byte
	alg     string // that a key is to work by
}

// answer is what an endpoint returns. A nil body is none.
type answer struct {
	status   int
	body     any
	location string // a path
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := requestID()
	head := w.Header()
	head.Set("X-Ms-Request-Id", id)
	head.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Cache-Control", "no-store")
	if strings.EqualFold(r.Header.Get("X-Ms-Return-Client-Request-Id"), "true") {
		if own := r.Header.Get("X-Ms-Client-Request-Id"); len(own) <= 64 && isWord(own) {
			head.Set("X-Ms-Client-Request-Id", own)
		}
	}
	if authority, is := crlPath(r.URL.Path); is {
		h.serveCRL(w, r, authority)
		return
	}
	c := &call{Handler: h, request: r, base: "https://" + strings.ToLower(r.Host)}
	c.by = model.Caller{IP: hostOf(r.RemoteAddr), Agent: short(r.UserAgent()), Request: id}
	e, a, err := c.serve(w)
	if err != nil {
		h.fail(w, c, e, err)
		return
	}
	if a.location != "" {
		head.Set("Location", c.base+a.location)
	}
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	writeJSON(w, a.status, a.body)
}

// fail answers what went wrong, and logs what is not the caller's fault.
func (h *Handler) fail(w http.ResponseWriter, c *call, e *endpoint, err error) {
	f := explain(c, e, err)
	if f.status >= http.StatusInternalServerError && !f.busy && c.request.Context().Err() == nil {
		path := ""
		if e != nil {
			path = e.path
		}
		h.Log.LogAttrs(c.request.Context(), slog.LevelError, "vault request failed", slog.String("method", c.request.Method),
			slog.String("path", path), slog.String("vault", c.vault), slog.String("request", c.by.Request), slog.Any("error", err))
	}
	f.write(w)
}

// serve answers a request. The endpoint is nil when it did not come that far.
func (c *call) serve(w http.ResponseWriter) (*endpoint, *answer, error) {
	if err := c.authenticate(); err != nil {
		return nil, nil, err
	}
	var known bool
	if c.vault, known = c.VaultOf(c.request.Host); !known {
		return nil, nil, fail(http.StatusNotFound, "VaultNotFound", "There is no vault at this host.")
	}
	var err error
	if c.query, err = url.ParseQuery(c.request.URL.RawQuery); err != nil {
		return nil, nil, badParameter("The query cannot be read.")
	}
	if err := checkVersion(c.query["api-version"]); err != nil {
		return nil, nil, err
	}
	segments, ok := split(c.request.URL.EscapedPath())
	if !ok {
		return nil, nil, badParameter("The request URI contains an invalid name.")
	}
	e, args, allow := find(c.endpoints, c.request.Method, segments)
	switch {
	case e == nil && len(allow) > 0:
		w.Header().Set("Allow", strings.Join(allow, ", "))
		return nil, nil, fail(http.StatusMethodNotAllowed, "MethodNotAllowed", "The path knows %s.", strings.Join(allow, ", "))
	case e == nil:
		return nil, nil, fail(http.StatusNotFound, "NotFound", "There is nothing at this path.")
	}
	c.args = args
	if err := c.checkArgs(e); err != nil {
		return e, nil, err
	}
	if e.body > maxImport && (c.request.ContentLength < 0 || c.request.ContentLength > maxImport) {
		select {
		case c.large <- struct{}{}:
			defer func() { <-c.large }()
		default:
			return e, nil, &failure{status: http.StatusServiceUnavailable, code: "ServiceUnavailable", message: "Other large requests are being worked on; try again.", retry: true, busy: true}
		}
	}
	if e.body > 0 {
		if c.body, err = readBody(w, c.request, e.body); err != nil {
			return e, nil, err
		}
	}
	a, err := e.run(c)
	return e, a, err
}

// apiVersions are the versions of the interface that clients may ask for. Their paths and bodies do not contradict each other.
var apiVersions = []string{"7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "2025-06-01-preview", "2025-07-01"}

func checkVersion(given []string) error {
	switch {
	case len(given) == 0 || given[0] == "":
		return badParameter("The query must have an api-version, one of %s.", strings.Join(apiVersions, ", "))
	case len(given) > 1:
		return badParameter("The query must have one api-version.")
	case !slices.Contains(apiVersions, given[0]):
		return badParameter("The api-version %.40q is not known; it must be one of %s.", given[0], strings.Join(apiVersions, ", "))
	}
	return nil
}

// checkArgs checks what stands for the wildcards of a path.
func (c *call) checkArgs(e *endpoint) error {
	if name, is := c.args["name"]; is {
		if (name == "issuers" || name == "contacts") && strings.HasPrefix(e.path, "certificates/{name}") {
			return badParameter("The name %s is not one for certificates: its path is something else.", name)
		}
		if err := model.CheckName(name); err != nil {
			return badParameter("The request URI contains an invalid name: it must be 1 to %d letters, digits and hyphens.", model.MaxName)
		}
	}
	if version, is := c.args["version"]; is && !isVersion(version) {
		return badParameter("Method %s does not allow operation %.40q.", c.request.Method, version)
	}
	return nil
}

// id is the item that the path names.
func (c *call) id(kind model.Kind) model.ID {
	return model.ID{Vault: c.vault, Kind: kind, Name: c.args["name"], Version: c.args["version"]}
}

// context is that of the request, with its principal.
func (c *call) context() context.Context {
	if c.by.Principal == nil { // the operator
		return c.request.Context()
	}
	return auth.With(c.request.Context(), c.by.Principal)
}

// url is the URL of an item.
func (c *call) url(id model.ID) string {
	u := c.base + "/" + string(id.Kind) + "/" + id.Name
	if id.Version != "" {
		u += "/" + id.Version
	}
	return u
}

// isVersion reports whether a text can be a version: 32 lower-case hexadecimal digits.
func isVersion(s string) bool {
	if len(s) != 32 {
		return false
	}
	for _, b := range []byte(s) {
		if (b < '0' || b > '9') && (b < 'a' || b > 'f') {
			return false
		}
	}
	return true
}

// isWord reports whether a text has letters, digits and hyphens alone.
func isWord(s string) bool {
	for _, b := range []byte(s) {
		if b != '-' && (b < '0' || b > '9') && (b < 'a' || b > 'z') && (b < 'A' || b > 'Z') {
			return false
		}
	}
	return s != ""
}

func requestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (Go 1.24)
	s := hex.EncodeToString(b[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// hostOf is the host of an address with a port; empty for one without, such as that of a Unix socket.
func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	return host
}

// short bounds what a client says of itself, for the audit log.
func short(agent string) string {
	const most = 200
	if len(agent) > most {
		agent = agent[:most]
	}
	return strings.ToValidUTF8(agent, "")
}

// errUnauthenticated says that a request has no token, or none that is good.
type errUnauthenticated struct {
	code   string // of RFC 6750; empty without a token
	reason string
}

// Error implements error.
func (e *errUnauthenticated) Error() string { return "not authenticated: " + e.reason }

// authenticate finds out who sends the request.
func (c *call) authenticate() error {
	if c.Operator {
		c.by.Operator = true
		return nil
	}
	who, err := c.Authenticator.Authenticate(c.request)
	switch {
	case errors.Is(err, auth.ErrUnauthenticated):
		e := &errUnauthenticated{code: "invalid_token", reason: "the token is not good"}
		if why := (*auth.TokenError)(nil); errors.As(err, &why) {
			e.reason = why.Reason
			if why.Malformed {
				e.code = "invalid_request"
			}
		}
		return c.challenge(e)
	case err != nil:
		return &failure{status: http.StatusServiceUnavailable, code: "ServiceUnavailable", message: "It could not be found out who sent this.", retry: true, cause: err}
	case who == nil:
		return c.challenge(&errUnauthenticated{reason: "the request has no bearer token"})
	}
	c.by.Principal = who
	return nil
}

// challenge is the answer to a request without a good token. Key Vault's clients cut the header at spaces and "=", and drop
// what they do not know.
func (c *call) challenge(e *errUnauthenticated) error {
	authorization, resource := c.Challenge(c.request.Host)
	if authorization == "" || resource == "" {
		return fail(http.StatusNotFound, "VaultNotFound", "There is no vault at this host.")
	}
	if strings.ContainsAny(authorization+resource, " \t\r\n\"\\=,") {
		return errors.New("rest: the challenge has characters that clients cannot read")
	}
	header := `Bearer authorization="` + authorization + `", resource="` + resource + `"`
	f := fail(http.StatusUnauthorized, "Unauthorized", "Not authenticated: %s.", e.reason)
	if e.code != "" {
		header += `, error="` + e.code + `"`
	}
	f.challenge = header
	return f
}
