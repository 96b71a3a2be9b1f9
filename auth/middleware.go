package auth

import (
	"log/slog"
	"net/http"
)

// Middleware lets a request through to next if a policy allows it, with the principal in the request's
// context (From), and refuses it otherwise: see Guard.
func Middleware(a Authenticator, p Policy, next http.Handler) http.Handler {
	return Guard{Authenticator: a, Policy: p}.Handler(next)
}

// Guard protects handlers by a policy.
type Guard struct {
	// Authenticator finds out who sends a request. Without one nobody is known.
	Authenticator Authenticator
	// Policy is asked about each request. What it leaves undecided, since it is about a resource, is refused:
	// put Authenticated here, and ask about the resource in the handler, by Permit.
	Policy Policy
	// Refusal is how requests are refused.
	Refusal Refusal
	// Log is told of the requests that were refused, at level debug, and of those about
	// which nothing could be found out, at level error. Nil for none.
	Log *slog.Logger
}

// Handler returns next behind the guard. Credentials that are not good are refused also where anybody is
// allowed: who sends them takes itself to be somebody. Where anybody is allowed, a failure to find out who
// it is makes the caller nobody.
func (g Guard) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := g.authenticate(r)
		if err != nil {
			g.note(r, err, "credentials refused")
			g.Refusal.RefuseCredentials(w, r, err)
			return
		}
		ctx := r.Context()
		if d := g.Policy.Decide(ctx, who, nil); d.Verdict != Allowed {
			g.note(r, d.Err, "not allowed", "policy", d.Policy, "reason", d.Why(), "principal", name(who))
			g.Refusal.Refuse(w, r, who, d)
			return
		}
		vary(w.Header())
		if who != nil {
			r = r.WithContext(With(ctx, who))
		}
		next.ServeHTTP(w, r)
	})
}

func (g Guard) authenticate(r *http.Request) (*Principal, error) {
	if g.Authenticator == nil {
		return nil, nil
	}
	who, err := g.Authenticator.Authenticate(r)
	if err != nil && g.Policy.IsAnonymous() && !isUnauthenticated(err) {
		g.note(r, err, "the sender is taken for nobody")
		return nil, nil
	}
	return who, err
}

// note logs an outcome: a failure of ours as an error.
func (g Guard) note(r *http.Request, err error, text string, more ...any) {
	if g.Log == nil {
		return
	}
	level := slog.LevelDebug
	if err != nil {
		more = append(more, "err", err)
		if !isUnauthenticated(err) && r.Context().Err() == nil { // who has gone away is no failure of ours
			level = slog.LevelError
		}
	}
	g.Log.Log(r.Context(), level, text, append(more, "method", r.Method, "path", r.URL.Path)...)
}

// Permit decides a policy about the principal of a request and a resource, nil for none. It answers the
// request, as Refuse does, unless the policy allows it; it reports whether it does.
//
//	if !auth.Permit(w, r, mayApprove, file) {
//		return
//	}
func Permit(w http.ResponseWriter, r *http.Request, p Policy, resource any) bool {
	who := From(r.Context())
	d := p.Decide(r.Context(), who, resource)
	if d.Verdict == Allowed {
		return true
	}
	Refuse(w, r, who, d)
	return false
}

func name(p *Principal) string {
	if p == nil {
		return ""
	}
	return p.ID()
}
