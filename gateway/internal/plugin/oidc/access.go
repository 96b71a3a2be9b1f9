package oidc

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

// instance is the plugin with its settings.
type instance struct {
	auth             plugin.Authentication
	verifier         *auth.Verifier
	issuer           string
	policy           auth.Policy
	consumers        map[string]*entity.Consumer // by what a claim says; nil if none is looked for
	consumerClaim    string
	consumerOptional bool
	credentialClaim  string
	groupsClaim      string
	claims, names    []string // told to the upstream
	hide             bool
	challenge        string
}

// join makes a name with dots of Kong's list of the names on the way to a claim.
func join(v plugin.Values, name string) string { return strings.Join(v.Strings(name), ".") }

func newInstance(s plugin.Setup) (any, error) {
	v := s.Values
	config := auth.VerifierConfig{
		Issuer: strings.TrimSuffix(v.String("issuer"), discovery), Audiences: v.Strings("audience_required"),
		Algorithms: v.Strings("algorithms"), ScopesClaim: join(v, "scopes_claim"), RolesClaim: join(v, "roles_claim"),
		Leeway: -1, Now: s.Clock.Now, Log: s.Log,
	}
	config.AnyAudience = len(config.Audiences) == 0
	if n, _ := v.Number("leeway"); n > 0 {
		config.Leeway = time.Duration(n * float64(time.Second))
	}
	if config.ScopesClaim == "scope" {
		config.ScopesClaim = "" // or "scp"
	}
	// A verifier knows keys and tokens: it is kept for as long as its settings are the same.
	print := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %q %v", config.Issuer, config.Audiences, config.Algorithms, config.ScopesClaim, config.RolesClaim, config.Leeway))
	type made struct {
		*auth.Verifier
		err error
	}
	m := plugin.Keep(s, fmt.Sprintf("verifier/%x", print), func() made {
		verifier, err := auth.NewVerifier(config)
		return made{verifier, err}
	})
	if m.err != nil {
		return nil, m.err
	}
	p := &instance{
		auth: plugin.NewAuthentication(s), verifier: m.Verifier, issuer: config.Issuer, policy: policy(v),
		consumerClaim: join(v, "consumer_claim"), consumerOptional: v.Bool("consumer_optional"),
		credentialClaim: join(v, "credential_claim"), groupsClaim: join(v, "authenticated_groups_claim"),
		claims: v.Strings("upstream_headers_claims"), names: v.Strings("upstream_headers_names"),
		hide: v.Bool("hide_credentials"), challenge: "Bearer",
	}
	if p.consumerClaim != "" {
		p.consumers = consumers(s.Config, v.Strings("consumer_by"))
	}
	if realm := v.String("realm"); realm != "" {
		p.challenge = `Bearer realm="` + realm + `"`
	}
	return p, nil
}

// policy is what is required: of each of the lists one entry, all words of it.
func policy(v plugin.Values) auth.Policy {
	var all []auth.Policy
	for setting, of := range map[string]func(...string) auth.Policy{
		"scopes_required": auth.Scope, "roles_required": auth.Role, "permissions_required": auth.Permission,
	} {
		var either []auth.Policy
		for _, entry := range v.Strings(setting) {
			if words := strings.Fields(entry); len(words) == 1 {
				either = append(either, of(words...))
			} else if len(words) > 1 {
				var each []auth.Policy
				for _, w := range words {
					each = append(each, of(w))
				}
				either = append(either, auth.All(each...))
			}
		}
		if len(either) > 0 {
			all = append(all, auth.Any(either...))
		}
	}
	return auth.All(all...)
}

// consumers are all by what names them; the first way counts.
func consumers(c *entity.Config, by []string) map[string]*entity.Consumer {
	all := map[string]*entity.Consumer{}
	for _, way := range by {
		for _, one := range c.Consumers {
			key := map[string]string{"id": one.ID, "username": one.Username, "custom_id": one.CustomID}[way]
			if _, taken := all[key]; key != "" && !taken {
				all[key] = one
			}
		}
	}
	return all
}

// credential is who a token is about.
type credential struct {
	principal *auth.Principal
	groups    []string
}

// CredentialID implements plugin.Credential.
func (c *credential) CredentialID() string { return c.principal.ID() }

// Groups implements plugin.Grouped.
func (c *credential) Groups() []string { return c.groups }

// Access implements proxy.Access.
func (p *instance) Access(x *proxy.Exchange) {
	if len(p.names) > 0 { // what the client says under these names is not what a token says
		x.Request.Fields.DeleteFunc(p.isClaim)
	}
	p.auth.Authenticate(x, p.find)
}

// isClaim reports whether a field would be taken for one that tells the upstream of a claim. Where the token is, is another matter.
func (p *instance) isClaim(field, _ []byte) bool {
	for _, name := range p.names {
		if plugin.SameField(field, name) && !plugin.SameField(field, "Authorization") {
			return true
		}
	}
	return false
}

func (p *instance) refuse(status int, message, challenge, reason string) *plugin.Refusal {
	if challenge != "" {
		if p.challenge != "Bearer" {
			challenge = ", " + challenge
		} else {
			challenge = " " + challenge
		}
	}
	return &plugin.Refusal{Status: status, Body: plugin.Message{Message: message}, Challenge: p.challenge + challenge, Reason: reason}
}

func (p *instance) find(x *proxy.Exchange) *plugin.Refusal {
	values := x.Request.Fields.Values("Authorization")
	token, err := auth.BearerToken(http.Header{"Authorization": values})
	switch {
	case err != nil:
		return p.refuse(http.StatusUnauthorized, "Unauthorized", `error="invalid_request"`, reason(err))
	case token == "":
		return p.refuse(http.StatusUnauthorized, "Unauthorized", "", `there is no token: it was looked for in the header Authorization, behind "Bearer "`)
	}
	ctx := x.Context()
	who, err := p.verifier.Verify(ctx, token)
	switch {
	case errors.Is(err, auth.ErrUnauthenticated):
		return p.refuse(http.StatusUnauthorized, "Unauthorized", `error="invalid_token"`, p.otherIssuer(token, reason(err)))
	case err != nil:
		r := p.refuse(http.StatusServiceUnavailable, "Service unavailable", "", "the keys of the issuer cannot be had: "+err.Error())
		r.Challenge = ""
		return r
	}
	if d := p.policy.Decide(ctx, who, nil); d.Verdict != auth.Allowed {
		return p.refuse(http.StatusForbidden, "Forbidden", `error="insufficient_scope"`, "the token is good, and does not allow this: "+d.Why())
	}
	var consumer *entity.Consumer
	if p.consumers != nil {
		value := text(who.Claims, p.consumerClaim)
		if consumer = p.consumers[value]; consumer == nil && !p.consumerOptional {
			return p.refuse(http.StatusForbidden, "Forbidden", "", fmt.Sprintf("there is no consumer %q, which is the token's %s", value, p.consumerClaim))
		}
	}
	p.accept(x, who, consumer)
	return nil
}

// accept tells the plugins behind and the upstream who is asking.
func (p *instance) accept(x *proxy.Exchange, who *auth.Principal, consumer *entity.Consumer) {
	c := &credential{principal: who}
	if p.groupsClaim != "" {
		c.groups = texts(lookup(who.Claims, p.groupsClaim))
	}
	plugin.SetConsumer(x, consumer, c, text(who.Claims, p.credentialClaim))
	x.Principal = who
	for i, claim := range p.claims {
		x.Request.Fields.Del(p.names[i])
		if value := text(who.Claims, claim); value != "" {
			x.Request.Fields.Add(p.names[i], value)
		}
	}
	if p.hide {
		x.Request.Fields.Del("Authorization")
	}
	if x.Explain {
		x.Note(name, fmt.Sprintf("the token of %s is good, and about %q", who.Issuer, who.Subject))
	}
}

// reason is an error of package auth in words for the log.
func reason(err error) string {
	var bad *auth.TokenError
	if errors.As(err, &bad) && bad.Cause != nil {
		return bad.Reason + ": " + bad.Cause.Error()
	}
	return err.Error()
}

// otherIssuer adds to a reason that the token is by somebody else: then it is no wonder that its key is not known.
func (p *instance) otherIssuer(token, reason string) string {
	if strings.Contains(reason, strconv.Quote(p.issuer)+" is expected") {
		return reason
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return reason
	}
	var claimed struct {
		Issuer string `json:"iss"`
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(text, &claimed) != nil || claimed.Issuer == p.issuer || claimed.Issuer == "" {
		return reason
	}
	difference := ""
	if strings.TrimSuffix(claimed.Issuer, "/") == strings.TrimSuffix(p.issuer, "/") {
		difference = ": they differ in the slash at the end alone"
	}
	return fmt.Sprintf("%s; it says that it is from the issuer %.200q, and %.200q is expected%s", reason, claimed.Issuer, p.issuer, difference)
}

// lookup finds a claim; a dot leads into objects, unless a claim has the whole name.
func lookup(claims map[string]any, name string) any {
	if v, ok := claims[name]; ok {
		return v
	}
	first, rest, ok := strings.Cut(name, ".")
	if inner, is := claims[first].(map[string]any); ok && is {
		return lookup(inner, rest)
	}
	return nil
}

func text(claims map[string]any, name string) string {
	switch v := lookup(claims, name).(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case []any:
		return strings.Join(texts(v), " ")
	}
	return ""
}

func texts(v any) (list []string) {
	switch v := v.(type) {
	case string:
		return strings.Fields(v)
	case []any:
		for _, item := range v {
			if s, ok := item.(string); ok {
				list = append(list, s)
			}
		}
	}
	return list
}
