package auth

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/perdure/perdure/internal/problem"
)

// Refusal is how requests are refused: with the status and the WWW-Authenticate header of RFC 6750, and
// problem details (RFC 9457) that name what is missing. The zero value is ready to be used.
type Refusal struct {
	// Realm names what is protected, in the challenge; empty is "api".
	Realm string
	// Explain adds the whole decision to the answer, as the member "decision".
	Explain bool
}

// Refuse answers a request that a policy does not allow: with 401 when nobody is known, and with
// 403 that names the missing right when somebody is. P is nil for nobody.
func Refuse(w http.ResponseWriter, r *http.Request, p *Principal, d Decision) {
	Refusal{}.Refuse(w, r, p, d)
}

// RefuseCredentials answers a request whose credentials an Authenticator did not accept: with
// 401 when they are not good, with 400 when they are malformed, and with 503 for any other error.
func RefuseCredentials(w http.ResponseWriter, r *http.Request, err error) {
	Refusal{}.RefuseCredentials(w, r, err)
}

// Refuse is the function of that name, in this way.
func (f Refusal) Refuse(w http.ResponseWriter, _ *http.Request, p *Principal, d Decision) {
	if d.Err != nil {
		f.write(w, "", unknown("It could not be found out whether this is allowed.", d.Err))
		return
	}
	answer := &problem.Error{Extensions: map[string]any{}}
	if f.Explain {
		answer.Extensions["decision"] = d
	}
	if p == nil {
		answer.Status, answer.Detail = http.StatusUnauthorized, "This needs credentials: send a bearer token."
		f.write(w, f.challenge(), answer)
		return
	}
	why := d.Why()
	if len(d.Missing) > 0 {
		answer.Extensions["missing"] = d.Missing
	}
	answer.Status, answer.Detail = http.StatusForbidden, "Not allowed: "+why+"."
	pairs := []string{"error", "insufficient_scope", "error_description", why}
	if scopes := missingScopes(d); scopes != "" {
		pairs = append(pairs, "scope", scopes)
	}
	f.write(w, f.challenge(pairs...), answer)
}

// RefuseCredentials is the function of that name, in this way.
func (f Refusal) RefuseCredentials(w http.ResponseWriter, _ *http.Request, err error) {
	if !isUnauthenticated(err) {
		f.write(w, "", unknown("It could not be found out who sent this.", err))
		return
	}
	answer := &problem.Error{Status: http.StatusUnauthorized, Cause: err}
	code, reason := "invalid_token", "the credentials are not good"
	if e := (*TokenError)(nil); errors.As(err, &e) {
		reason = e.Reason
		if e.Malformed {
			answer.Status, code = http.StatusBadRequest, "invalid_request"
		}
	}
	answer.Detail = "Not authenticated: " + reason + "."
	f.write(w, f.challenge("error", code, "error_description", reason), answer)
}

// unknown is the answer when it could not be found out what to answer.
func unknown(detail string, cause error) *problem.Error {
	return &problem.Error{Status: http.StatusServiceUnavailable, Detail: detail, RetryAfter: time.Second, Cause: cause}
}

func (f Refusal) write(w http.ResponseWriter, challenge string, answer *problem.Error) {
	if challenge != "" {
		w.Header().Add("WWW-Authenticate", challenge)
	}
	vary(w.Header())
	answer.Write(w)
}

// challenge writes a WWW-Authenticate header from names and values.
func (f Refusal) challenge(pairs ...string) string {
	realm := f.Realm
	if realm == "" {
		realm = "api"
	}
	text := `Bearer realm="` + quotable(realm) + `"`
	for i := 0; i < len(pairs); i += 2 {
		text += ", " + pairs[i] + `="` + quotable(pairs[i+1]) + `"`
	}
	return text
}

// quotable leaves the characters that RFC 6750 section 3 allows inside the quotes, so that a text with
// parts from outside cannot end them, or the header.
func quotable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"' || r == '\\':
			return '\''
		case r < ' ' || r > '~':
			return ' '
		}
		return r
	}, text)
}

// missingScopes returns the scopes that a token lacked.
func missingScopes(d Decision) string {
	var scopes []string
	for _, one := range d.Missing {
		if name, ok := strings.CutPrefix(one, "scope "); ok && !slices.Contains(scopes, name) {
			scopes = append(scopes, name)
		}
	}
	return strings.Join(scopes, " ")
}

// vary tells caches that the answer depends on who asks.
func vary(h http.Header) {
	if !slices.Contains(h.Values("Vary"), "Authorization") {
		h.Add("Vary", "Authorization")
	}
}
