package httpapi

import (
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/internal/telemetry"
)

// Gate lets the requests in that a policy allows.
type Gate struct {
	pattern   string
	policy    auth.Policy
	open      bool // to nobody as well
	asks      bool // who it is, although it is open
	auth      auth.Authenticator
	challenge func(w http.ResponseWriter, r *http.Request) bool
	telemetry *telemetry.Telemetry
	log       *slog.Logger
}

// NewGate returns the gate of what answers the requests that match pattern.
func NewGate(cfg *Config, pattern string, policy auth.Policy) *Gate {
	return &Gate{
		pattern: pattern, policy: policy, open: policy.IsAnonymous(),
		auth: cfg.Auth, challenge: cfg.Challenge, telemetry: cfg.Telemetry, log: cfg.log(),
	}
}

// Handler returns next behind the gate. The context of its requests carries who sent them.
func (g *Gate) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		admitted, why := g.ask(r)
		if why == nil && len(g.policy.ResourceTypes()) > 0 {
			why = &refusal{err: errNoResource}
		}
		if why != nil {
			observed(g.telemetry, g.pattern, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				g.refuse(w, r, why)
			})).ServeHTTP(w, r)
			return
		}
		g.private(w)
		next.ServeHTTP(w, admitted)
	})
}

// errNoResource does not come: such policies are refused when the app starts.
var errNoResource = errors.New("the policy asks about a resource, and a handler has none")

// admit returns the request with who sent it, as far as the policy can let it in before it
// knows what it is about. False says that it has been answered.
func (g *Gate) admit(w http.ResponseWriter, r *http.Request) (*http.Request, bool) {
	admitted, why := g.ask(r)
	if why != nil {
		g.refuse(w, r, why)
		return r, false
	}
	g.private(w)
	return admitted, true
}

// private keeps an answer that not everybody gets out of shared caches, unless it says
// otherwise itself.
func (g *Gate) private(w http.ResponseWriter) {
	if !g.open {
		w.Header().Set("Cache-Control", "private")
	}
}

// refusal is why a request is refused: it could not be found out who sent it, or by
// decision.
type refusal struct {
	err      error
	who      *auth.Principal
	decision auth.Decision
}

// Error implements error.
func (e *refusal) Error() string {
	if e.err != nil {
		return e.err.Error()
	}
	return e.decision.Policy + ": " + e.decision.Why()
}

// ask finds out who sent a request and asks the policy. What panics in them refuses the
// request.
func (g *Gate) ask(r *http.Request) (_ *http.Request, why *refusal) {
	defer func() {
		v := recover()
		if v == http.ErrAbortHandler { //nolint:errorlint // the very value, as net/http compares it
			panic(v)
		}
		if v != nil {
			why = &refusal{err: &panicError{v, debug.Stack()}}
		}
	}()
	who, err := g.who(r)
	if err != nil {
		return r, &refusal{err: err}
	}
	if who != nil {
		r = r.WithContext(auth.With(r.Context(), who))
	}
	d := g.policy.Decide(r.Context(), who, nil)
	if d.Verdict == auth.Allowed || d.Verdict == auth.Undecided && d.Err == nil && len(g.policy.ResourceTypes()) > 0 {
		return r, nil
	}
	return r, &refusal{who: who, decision: d}
}

// who returns the principal of a request: that of its context, which what called the app
// has found out, else the authenticator's. Where nobody has to be known and nobody asks,
// bad credentials are none: they may be meant for the handler itself.
func (g *Gate) who(r *http.Request) (*auth.Principal, error) {
	if who := auth.From(r.Context()); who != nil || g.auth == nil {
		return who, nil
	}
	who, err := g.auth.Authenticate(r)
	if err != nil && g.open && !g.asks {
		g.log.DebugContext(r.Context(), "credentials were ignored", "pattern", g.pattern, "error", err)
		return nil, nil
	}
	return who, err
}

// refuse answers a request that is not let in.
func (g *Gate) refuse(w http.ResponseWriter, r *http.Request, why *refusal) {
	g.note(r, why)
	nobody := why.who == nil && why.err == nil || errors.Is(why.err, auth.ErrUnauthenticated)
	if nobody && g.challenge != nil && g.challenge(w, r) {
		return
	}
	refuseUnread(w, r, func() {
		if why.err != nil {
			auth.RefuseCredentials(w, r, why.err)
			return
		}
		auth.Refuse(w, r, why.who, why.decision)
	})
}

// note logs a refusal, and as an error what is the app's fault.
func (g *Gate) note(r *http.Request, why *refusal) {
	level, attrs := slog.LevelDebug, []any{"pattern", g.pattern, "policy", g.policy.String(), "reason", why.Error()}
	if why.who != nil {
		attrs = append(attrs, "principal", why.who.ID())
	}
	if cause := why.cause(); cause != nil && r.Context().Err() == nil {
		level, attrs = slog.LevelError, append(attrs, "error", cause)
	}
	if panicked := (*panicError)(nil); errors.As(why.err, &panicked) {
		attrs = append(attrs, slog.String("stack", string(panicked.stack)))
	}
	g.log.Log(r.Context(), level, "a request was refused", attrs...)
}

// cause is what kept the app from finding out whether a request is allowed; nil if it did
// find out.
func (e *refusal) cause() error {
	switch {
	case errors.Is(e.err, auth.ErrUnauthenticated):
		return nil
	case e.err != nil:
		return e.err
	}
	return e.decision.Err
}
