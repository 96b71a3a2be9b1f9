package management

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/identity/internal/directory"
)

// Handler is the management API.
type Handler struct {
	env       *directory.Env
	guard     auth.Authenticator
	parts     Parts
	endpoints []endpoint
}

// New returns the management API. The guard says who sends a request: for the network, a verifier of
// access tokens whose audience is the API (Audience); for the local command, Administrator. It is
// all that stands between the API and a caller without permissions.
func New(env *directory.Env, guard auth.Authenticator, parts Parts) *Handler {
	h := &Handler{env: env, guard: guard, parts: parts}
	for _, e := range endpoints() {
		if e.needs == nil || e.needs(parts) {
			h.endpoints = append(h.endpoints, e)
		}
	}
	return h
}

// Audience is the audience of access tokens for the management API of an issuer.
func Audience(issuer string) string { return issuer + strings.TrimPrefix(prefix, "/") }

// Administrator is the guard of a way in that only the operator has: each caller has every
// permission, and stands as the local command in the audit log.
func Administrator() auth.Authenticator {
	var names []string
	for _, p := range directory.ManagementPermissions() {
		names = append(names, p.Value)
	}
	slices.Sort(names)
	return auth.AuthenticatorFunc(func(*http.Request) (*auth.Principal, error) {
		return &auth.Principal{Subject: directory.Command.Subject, Name: "administrator", Permissions: slices.Clone(names)}, nil
	})
}

// Patterns are the patterns of the paths that the handler serves, for a ServeMux.
func (h *Handler) Patterns() []string { return []string{prefix} }

// call is one request to an endpoint.
type call struct {
	*Handler
	request   *http.Request
	principal *auth.Principal
	args      map[string]string
	query     url.Values
	body      []byte
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a, err := h.serve(w, r)
	if err == nil {
		if a == nil {
			a = &answer{status: http.StatusNoContent}
		}
		if a.body == nil {
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(a.status)
			return
		}
		writeJSON(w, a.status, a.body)
		return
	}
	f := explain(err)
	if f.Status >= http.StatusInternalServerError && r.Context().Err() == nil {
		h.env.Log.LogAttrs(r.Context(), slog.LevelError, "management API failed",
			slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Any("error", err))
	}
	f.write(w)
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request) (*answer, error) {
	who, err := h.guard.Authenticate(r)
	switch {
	case errors.Is(err, auth.ErrUnauthenticated):
		message := "Invalid token"
		if why := new(auth.TokenError); errors.As(err, &why) {
			message += ": " + why.Reason
		}
		return nil, fail(http.StatusUnauthorized, "invalid_token", "%s", message)
	case err != nil:
		return nil, err
	case who == nil:
		return nil, fail(http.StatusUnauthorized, "", "Missing authentication")
	}
	e, args, allow := find(h.endpoints, r.Method, split(r.URL.EscapedPath()))
	if e == nil {
		if len(allow) > 0 {
			w.Header().Set("Allow", strings.Join(allow, ", "))
			return nil, fail(http.StatusMethodNotAllowed, "method_not_allowed", "The path knows %s.", strings.Join(allow, ", "))
		}
		return nil, fail(http.StatusNotFound, "not_found", "There is nothing at this path.")
	}
	if !slices.ContainsFunc(e.permissions, func(p string) bool { return who.HasPermission(p) || who.HasScope(p) }) {
		return nil, fail(http.StatusForbidden, "insufficient_scope", "Insufficient scope, expected any of: %s", strings.Join(e.permissions, ","))
	}
	c := &call{Handler: h, request: r, principal: who, args: args}
	if c.query, err = parseQuery(r.URL.RawQuery, e.query); err != nil {
		return nil, err
	}
	if c.body, err = readBody(w, r); err != nil {
		return nil, err
	}
	var a *answer
	err = h.env.Unit(c.context(), func(ctx context.Context) error {
		var err error
		a, err = e.run(ctx, c) // again when another unit was faster
		return err
	})
	if errors.Is(err, directory.ErrNotFound) {
		return nil, missing(e.noun())
	}
	return a, err
}

// context is the context of the request with its principal.
func (c *call) context() context.Context { return auth.With(c.request.Context(), c.principal) }

// actor is who sends the request, for the audit log.
func (c *call) actor() directory.Actor {
	ip, _, err := net.SplitHostPort(c.request.RemoteAddr)
	if err != nil { // a Unix socket
		ip = ""
	}
	return directory.Actor{Subject: c.principal.Subject, Client: c.principal.ClientID, IP: ip, Agent: c.request.UserAgent()}
}

// note writes an entry of the audit log, for what directory does not write one.
func (c *call) note(ctx context.Context, kind, target, detail string) error {
	return c.env.Audit(ctx, c.actor().Entry(kind, target, detail))
}
