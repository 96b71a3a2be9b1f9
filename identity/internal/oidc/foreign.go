package oidc

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/identity/internal/directory"
)

// foreign is a token of another issuer that has been verified.
type foreign struct {
	// assertion says that it came as the client's assertion; otherwise it is the subject of an exchange.
	assertion bool
	rule      directory.TrustRule
	expires   time.Time
}

// foreignClient finds the client for which a verified token of another issuer stands. That its rule
// is still there is seen in this unit of work.
func (p *Provider) foreignClient(ctx context.Context, id string, token *foreign) (*client, error) {
	c, rules, err := p.trusting(ctx, id)
	if err != nil || c == nil || !slices.Contains(rules, token.rule) || !p.env.Now().Before(token.expires.Add(leeway)) {
		if err != nil {
			return nil, err
		}
		return nil, errClient
	}
	c.authenticated, c.foreign = true, true
	return c, nil
}

// trusting returns the client of an id with its rules of trust; nil when there is none.
func (p *Provider) trusting(ctx context.Context, id string) (*client, []directory.TrustRule, error) {
	app, err := application(ctx, id)
	if err == nil {
		return &client{app: app}, app.Federated, nil
	}
	if !errors.Is(err, directory.ErrNotFound) {
		return nil, nil, err
	}
	identity, err := managedIdentity(ctx, id)
	if errors.Is(err, directory.ErrNotFound) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	return &client{identity: identity}, identity.Federated, nil
}

// verifiers verify the tokens of trusted issuers.
type verifiers struct {
	mu  sync.Mutex
	all map[[2]string]*auth.Verifier // by issuer and audience
}

// maxVerifiers bounds the verifiers that are kept: each has the keys of its issuer.
const maxVerifiers = 256

// of returns the verifier for a rule.
func (p *Provider) verifierOf(rule directory.TrustRule) (*auth.Verifier, error) {
	p.trusted.mu.Lock()
	defer p.trusted.mu.Unlock()
	key := [2]string{rule.Issuer, rule.Audience}
	if v := p.trusted.all[key]; v != nil {
		return v, nil
	}
	v, err := auth.NewVerifier(auth.VerifierConfig{
		Issuer: rule.Issuer, Audiences: []string{rule.Audience}, HTTPClient: p.options.HTTPClient,
		Now: p.env.Now, Log: p.env.Log, MaxTokenBytes: maxAssertion, CacheSize: 256,
	})
	if err != nil {
		return nil, err
	}
	if p.trusted.all == nil || len(p.trusted.all) >= maxVerifiers {
		p.trusted.all = map[[2]string]*auth.Verifier{}
	}
	p.trusted.all[key] = v
	return v, nil
}

// readForeign verifies the token of another issuer that a request has, if it has one: as the client's
// assertion, or to be exchanged. The issuer's keys may have to be fetched, so this is before the unit of work;
// and only the issuers that the client named trusts are asked.
func (p *Provider) readForeign(r *http.Request) *foreign {
	form := r.Form
	token, id := form.Get("client_assertion"), form.Get("client_id")
	assertion := token != ""
	if !assertion && form.Get("grant_type") == grantExchange {
		token = form.Get("subject_token")
	}
	if token == "" || id == "" {
		return nil
	}
	claims, err := peek(token)
	if err != nil || claims.Issuer == "" || claims.Issuer == id || claims.Issuer == p.env.Issuer {
		return nil
	}
	var rules []directory.TrustRule
	err = p.env.Unit(r.Context(), func(ctx context.Context) (err error) {
		_, rules, err = p.trusting(ctx, id)
		return err
	})
	if err != nil {
		p.log(r, err)
		return nil
	}
	for _, rule := range rules {
		if rule.Issuer != claims.Issuer || rule.Subject != claims.Subject || !slices.Contains(claims.Audience, rule.Audience) {
			continue
		}
		v, err := p.verifierOf(rule)
		if err != nil {
			p.log(r, err)
			continue
		}
		who, err := v.Verify(r.Context(), token)
		if err != nil {
			if !errors.Is(err, auth.ErrUnauthenticated) {
				p.log(r, err)
			}
			continue
		}
		if who.Issuer == rule.Issuer && who.Subject == rule.Subject {
			return &foreign{assertion: assertion, rule: rule, expires: who.Expires}
		}
	}
	return nil
}
