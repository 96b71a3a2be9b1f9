package jwt

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

// instance is the plugin with its settings.
type instance struct {
	auth                     plugin.Authentication
	parameters, cookies      []string
	headers, audience        []string
	keyClaim                 string
	secretIsBase64           bool
	verifyExp, verifyNbf     bool
	maximum                  float64
	policy                   [sha256.Size]byte
	challenge, challengeFail string
	credentials              *credentials
	cache                    *cache
}

func newInstance(s plugin.Setup) (any, error) {
	v := s.Values
	claims := v.Strings("claims_to_verify")
	p := &instance{
		auth:       plugin.NewAuthentication(s),
		parameters: v.Strings("uri_param_names"), cookies: v.Strings("cookie_names"), headers: v.Strings("header_names"),
		audience: v.Strings("audience"), keyClaim: v.String("key_claim_name"), secretIsBase64: v.Bool("secret_is_base64"),
		verifyExp: slices.Contains(claims, "exp"), verifyNbf: slices.Contains(claims, "nbf"),
		challenge: "Bearer", challengeFail: `Bearer error="invalid_token"`,
		credentials: plugin.Once(s, "jwt", func() *credentials { return newCredentials(s.Config) }),
		cache:       plugin.KeepForAll(s, "jwt", newCache),
	}
	p.maximum, _ = v.Number("maximum_expiration")
	if realm := v.String("realm"); realm != "" {
		p.challenge = `Bearer realm="` + realm + `"`
		p.challengeFail = p.challenge + `, error="invalid_token"`
	}
	p.policy = sha256.Sum256(fmt.Appendf(nil, "%q %t %q", p.keyClaim, p.secretIsBase64, p.audience))
	return p, nil
}

// Access implements proxy.Access.
func (p *instance) Access(x *proxy.Exchange) { p.auth.Authenticate(x, p.find) }

// find looks for a token, and for whose it is.
func (p *instance) find(x *proxy.Exchange) *plugin.Refusal {
	raw, several := p.retrieve(x)
	switch {
	case several:
		return p.refuse("Multiple tokens provided", p.found(x))
	case raw == nil:
		return &plugin.Refusal{Status: http.StatusUnauthorized, Body: plugin.Message{Message: "Unauthorized"}, Challenge: p.challenge, Reason: p.sought(x)}
	}
	d := digest{sha256.Sum256(raw), p.policy}
	now := float64(x.Start.Unix())
	v := p.cache.get(&d)
	var c *credential
	if v != nil {
		if c = v.good(p.credentials); c == nil || v.hasExp && v.exp <= now {
			p.cache.forget(&d)
			v, c = nil, nil
		}
	}
	if v == nil {
		var refusal *plugin.Refusal
		if v, c, refusal = p.verify(raw, x.Explain); refusal != nil {
			return refusal
		}
		if !v.hasExp || v.exp > now {
			p.cache.put(&d, v, now)
		}
	}
	if refusal := p.checkTimes(&v.times, now); refusal != nil {
		return refusal
	}
	if c.consumer == nil {
		return &plugin.Refusal{
			Status: http.StatusUnauthorized, Reason: fmt.Sprintf("the credential %q has no consumer", shorten(v.key)),
			Body: plugin.Message{Message: fmt.Sprintf("Could not find consumer for '%s=%s'", p.keyClaim, v.key)},
		}
	}
	plugin.SetConsumer(x, c.consumer, c.entity, c.entity.Key)
	if x.Explain {
		x.Note(name, fmt.Sprintf("the token's %s %q is the key of a credential of the consumer %q, and its signature is good", p.keyClaim, v.key, c.consumer.Label()))
	}
	return nil
}

// retrieve finds the token; several says that there are different ones.
func (p *instance) retrieve(x *proxy.Exchange) (raw []byte, several bool) {
	take := func(found []byte) {
		switch {
		case len(found) == 0:
		case raw == nil:
			raw = found
		case !bytes.Equal(raw, found):
			several = true
		}
	}
	if x.Request.Query != "" {
		for _, name := range p.parameters {
			for value := range plugin.QueryValues(x.Request.Query, name) {
				take([]byte(value))
			}
		}
	}
	for _, name := range p.cookies {
		for value := range plugin.Cookies(x.Request.Fields, name) {
			take(value)
		}
	}
	for _, name := range p.headers {
		// The first value counts, as in Kong. Another token behind it, which nobody would have verified, may be the one that an
		// upstream reads.
		fields := x.Request.Fields
		first := true
		for i := range fields.Len() {
			f := fields.At(i)
			if len(f.Name) != len(name) || !strings.EqualFold(string(f.Name), name) {
				continue
			}
			if token := bearer(f.Value); first || raw != nil {
				take(token)
			}
			first = false
		}
	}
	return raw, several
}

func (p *instance) refuse(message, reason string) *plugin.Refusal {
	return p.refuseWith(plugin.Message{Message: message}, reason)
}

func (p *instance) refuseWith(body any, reason string) *plugin.Refusal {
	return &plugin.Refusal{Status: http.StatusUnauthorized, Body: body, Challenge: p.challengeFail, Reason: reason}
}

// verify reads a token and verifies its signature.
func (p *instance) verify(raw []byte, explain bool) (*verified, *credential, *plugin.Refusal) {
	t, wrong := parse(raw)
	if wrong != "" {
		return nil, nil, p.refuse("Bad token; "+wrong, unreadable(raw, wrong))
	}
	value := t.claims[p.keyClaim]
	if value == nil || value == false {
		value = t.header[p.keyClaim]
	}
	key, text := value.(string)
	switch {
	case value == nil || value == false:
		return nil, nil, p.refuse("No mandatory '"+p.keyClaim+"' in claims", "the token has no "+p.keyClaim+", by which its credential would be found (key_claim_name)")
	case text && key == "":
		return nil, nil, p.refuse("Invalid '"+p.keyClaim+"' in claims", "the token's "+p.keyClaim+" is empty")
	}
	c := p.credentials.byKey[key]
	if !text {
		return nil, nil, p.refuse("No credentials found for given '"+p.keyClaim+"'", fmt.Sprintf("the token's %s is %s, and no text", p.keyClaim, shorten(fmt.Sprint(value))))
	}
	if c == nil {
		return nil, nil, p.refuse("No credentials found for given '"+p.keyClaim+"'", p.notFound(key, explain))
	}
	if t.algorithm != c.entity.Algorithm {
		return nil, nil, p.refuse("Invalid algorithm", fmt.Sprintf("the token is signed by %s, and the credential %q is for %s", t.algorithm, c.entity.Key, c.entity.Algorithm))
	}
	secret, ok := c.key(p.secretIsBase64)
	if !ok {
		return nil, nil, p.refuse("Invalid key/secret", fmt.Sprintf("the credential %q has no key that could be used for %s", c.entity.Key, t.algorithm))
	}
	a := algorithms[t.algorithm]
	if !a.verify(a, secret, t.signed, t.signature) {
		return nil, nil, p.refuse("Invalid signature", p.badSignature(t, c, a))
	}
	if len(p.audience) > 0 && !t.isFor(p.audience) {
		return nil, nil, p.refuseWith(map[string]string{"aud": "token is for another audience"},
			p.otherAudience(t))
	}
	v := &verified{print: c.print, key: c.entity.Key, times: t.times()}
	v.credential.Store(c)
	return v, c, nil
}

// checkTimes looks at exp and nbf.
func (p *instance) checkTimes(w *times, now float64) *plugin.Refusal {
	var wrong map[string]string
	if p.verifyExp {
		switch {
		case !w.hasExp:
			wrong = addClaim(wrong, "exp", "must be a number")
		case w.exp <= now:
			wrong = addClaim(wrong, "exp", "token expired")
		}
	}
	if p.verifyNbf {
		switch {
		case !w.hasNbf:
			wrong = addClaim(wrong, "nbf", "must be a number")
		case w.nbf > now:
			wrong = addClaim(wrong, "nbf", "token not valid yet")
		}
	}
	if wrong == nil && p.maximum > 0 && (!w.hasExp || w.exp-now > p.maximum) {
		wrong = addClaim(wrong, "exp", "exceeds maximum allowed expiration")
	}
	if wrong == nil {
		return nil
	}
	return p.refuseWith(wrong, p.timesReason(w, wrong, now))
}

func addClaim(m map[string]string, claim, message string) map[string]string {
	if m == nil {
		m = map[string]string{}
	}
	m[claim] = message
	return m
}
