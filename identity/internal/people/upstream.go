package people

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/people/guard"
	"github.com/perdure/perdure/table"
)

const (
	upstreamLifetime = 15 * time.Minute // of a sign-in at the issuer upstream
	discoveryAge     = time.Hour        // how long what an issuer says of itself is kept
	upstreamTimeout  = 15 * time.Second
	maxUpstreamBody  = 1 << 20
)

// errUpstream is what users are told when an issuer upstream does not do what it should; the log has why.
var errUpstream = &fault{http.StatusBadGateway, "That did not work", "The other service did not answer as it should. Please try again, or sign in another way."}

// starts bounds how many sign-ins a network begins at issuers upstream.
var starts = guard.Rule{Name: "upstream-network", Free: 60, Delay: time.Minute, Max: 15 * time.Minute, Forget: time.Hour}

// away is a sign-in that is at an issuer upstream.
type away struct {
	Connection string    `json:"connection"` // its id
	Nonce      string    `json:"nonce"`
	Verifier   string    `json:"verifier"` // of PKCE
	State      string    `json:"state,omitempty"`
	Next       string    `json:"next,omitempty"`
	Link       string    `json:"link,omitempty"` // the user to link the account to
	Expires    time.Time `json:"expires"`
}

// aways are by browser (partition) and the state that is sent to the issuer (row): an answer that another browser
// brings is not found.
var aways = table.Of("perdure.upstream-sign-ins", table.ExpiresAt(func(a *away) time.Time { return a.Expires }))

// upstreams speaks to issuers upstream.
type upstreams struct {
	client *http.Client

	mu    sync.Mutex
	known map[string]discovered
}

type discovered struct {
	provider *oidc.Provider
	at       time.Time
}

func (u *upstreams) init(client *http.Client) {
	u.known = map[string]discovered{}
	if client == nil {
		client = &http.Client{Timeout: upstreamTimeout}
	}
	limited := *client
	limited.Transport = limitBodies{client.Transport}
	u.client = &limited
}

// limitBodies bounds what an issuer answers.
type limitBodies struct{ next http.RoundTripper }

func (l limitBodies) RoundTrip(r *http.Request) (*http.Response, error) {
	next := l.next
	if next == nil {
		next = http.DefaultTransport
	}
	answer, err := next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(answer.Body, maxUpstreamBody), answer.Body}
	return answer, nil
}

// provider returns what an issuer says of itself.
func (u *upstreams) provider(now time.Time, issuer string) (*oidc.Provider, error) {
	u.mu.Lock()
	d, ok := u.known[issuer]
	u.mu.Unlock()
	if ok && now.Sub(d.at) < discoveryAge {
		return d.provider, nil
	}
	// Its keys are fetched later with this context, so it is not that of a request.
	provider, err := oidc.NewProvider(oidc.ClientContext(context.Background(), u.client), issuer)
	if err != nil {
		return nil, fmt.Errorf("discovery of %q: %w", issuer, err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.known) >= 1000 {
		clear(u.known)
	}
	u.known[issuer] = discovered{provider, now}
	return provider, nil
}

func (p *People) oauth(c *directory.Connection, provider *oidc.Provider, secret string) *oauth2.Config {
	scopes := slices.Clone(c.Options.Scopes)
	if len(scopes) == 0 {
		scopes = []string{"profile", "email"}
	}
	if !slices.Contains(scopes, oidc.ScopeOpenID) {
		scopes = append([]string{oidc.ScopeOpenID}, scopes...)
	}
	return &oauth2.Config{
		ClientID: c.Options.ClientID, ClientSecret: secret, Endpoint: provider.Endpoint(),
		RedirectURL: p.url("/u/callback/"+c.Name, nil), Scopes: scopes,
	}
}

// upstreamOf returns the connection of the path, if it is offered.
func upstreamOf(t *target, name string) (*directory.Connection, error) {
	for _, c := range t.connections {
		if c.Name == name && c.Strategy == directory.StrategyOIDC {
			return c, nil
		}
	}
	return nil, &fault{http.StatusNotFound, "Not found", "You cannot sign in that way here."}
}

// startUpstream sends the browser to an issuer upstream.
func (p *People) startUpstream(q *request) (*answer, error) {
	row := &away{Nonce: directory.NewSecret(), Verifier: oauth2.GenerateVerifier(), State: q.state, Next: q.next}
	var t *target
	var c *directory.Connection
	var secret string
	var login *answer
	err := p.env.Unit(q.Context(), func(ctx context.Context) (err error) {
		if t, err = q.target(ctx); err != nil {
			return err
		}
		if c, err = upstreamOf(t, q.PathValue("name")); err != nil {
			return err
		}
		if wait, err := starts.Take(ctx, p.env.Now(), q.network); err != nil {
			return err
		} else if wait > 0 {
			return &tooMany{wait}
		}
		if link := q.form.Get("link"); link != "" {
			if subtle.ConstantTimeCompare([]byte(link), []byte(q.token("link"))) != 1 {
				return &fault{http.StatusForbidden, "Please try again", "This link was too old, or did not come from here. Please start at your account's page."}
			}
			_, user, a, err := p.sensitive(ctx, q)
			if login = a; err != nil || a != nil {
				return err
			}
			row.Link = user.ID
		}
		secret, err = p.env.ConnectionSecret(c)
		return err
	})
	if err != nil || login != nil {
		return login, err
	}
	provider, err := p.upstreams.provider(p.env.Now(), c.Options.Issuer)
	if err != nil {
		return nil, p.upstreamFailed(q, c, err)
	}
	state := directory.NewSecret()
	row.Connection, row.Expires = c.ID, p.env.Now().Add(upstreamLifetime)
	err = p.env.Unit(q.Context(), func(ctx context.Context) error {
		return aways.Put(ctx, q.browserKey(state), row)
	})
	if err != nil {
		return nil, err
	}
	options := []oauth2.AuthCodeOption{oidc.Nonce(row.Nonce), oauth2.S256ChallengeOption(row.Verifier)}
	if t.request != nil {
		if slices.Contains(t.request.Prompt, "login") || t.request.MaxAge != nil {
			options = append(options, oauth2.SetAuthURLParam("prompt", "login"))
		}
		if t.request.LoginHint != "" {
			options = append(options, oauth2.SetAuthURLParam("login_hint", t.request.LoginHint))
		}
	}
	return &answer{to: p.oauth(c, provider, secret).AuthCodeURL(state, options...)}, nil
}

// upstreamFailed logs what an issuer did wrong.
func (p *People) upstreamFailed(q *request, c *directory.Connection, err error) error {
	p.env.Log.WarnContext(q.Context(), "an upstream issuer failed", "connection", c.Name, "error", err)
	return errUpstream
}

// finishUpstream takes the browser back from an issuer upstream.
func (p *People) finishUpstream(q *request) (*answer, error) {
	var row *away
	var c *directory.Connection
	var secret string
	err := p.env.Unit(q.Context(), func(ctx context.Context) (err error) {
		if row, err = p.takeAway(ctx, q); err != nil {
			return err
		}
		c, err = p.env.Connection(ctx, row.Connection)
		if err != nil && !errors.Is(err, directory.ErrNotFound) {
			return err
		}
		// The answer of one issuer does not come to the address of another (mix-up, RFC 9700 section 4.4).
		if err != nil || c.Disabled || c.Name != q.PathValue("name") {
			return &fault{http.StatusBadRequest, "Please start again", "That answer was for something else. Please sign in again."}
		}
		secret, err = p.env.ConnectionSecret(c)
		return err
	})
	if err != nil {
		return nil, err
	}
	code := q.form.Get("code")
	issuer, hasIssuer := q.form.Get("iss"), q.form.Has("iss")
	q.state, q.next = row.State, row.Next
	if hasIssuer && issuer != c.Options.Issuer {
		return nil, p.upstreamFailed(q, c, errors.New("the answer names another issuer (RFC 9207)"))
	}
	if code == "" {
		a := q.message("You are not signed in", "The other service did not sign you in.")
		data, _ := a.page.Data.(map[string]any)
		data["Link"], data["LinkText"] = q.redirect("/u/login").to, "Back"
		return a, nil
	}
	who, err := p.exchange(q, c, secret, row, code, hasIssuer)
	if err != nil {
		return nil, p.upstreamFailed(q, c, err)
	}
	var a *answer
	err = p.env.Unit(q.Context(), func(ctx context.Context) error {
		var err error
		if row.Link != "" {
			a, err = p.link(ctx, q, c, who, row.Link)
			return err
		}
		user, err := p.upstreamUser(ctx, q, c, who)
		if err != nil {
			return err
		}
		a, err = p.passed(ctx, q, user.ID, []string{"fed"})
		return err
	})
	return a, err
}

// takeAway returns the sign-in that an answer is for, and forgets it: an answer is good once, in the
// browser that asked.
func (p *People) takeAway(ctx context.Context, q *request) (*away, error) {
	state := q.form.Get("state")
	missing := &fault{http.StatusBadRequest, "Please start again", "That took too long, or was started in another browser. Please sign in again."}
	if state == "" {
		return nil, missing
	}
	key := q.browserKey(state)
	row, err := aways.Get(ctx, key)
	if errors.Is(err, directory.ErrNotFound) || err == nil && !p.env.Now().Before(row.Expires) {
		return nil, missing
	}
	if err != nil {
		return nil, err
	}
	return row, aways.Delete(ctx, key)
}

// exchange gets and checks the ID token of a code.
func (p *People) exchange(q *request, c *directory.Connection, secret string, row *away, code string, hasIssuer bool) (*upstreamProfile, error) {
	provider, err := p.upstreams.provider(p.env.Now(), c.Options.Issuer)
	if err != nil {
		return nil, err
	}
	var metadata struct {
		Issuer bool `json:"authorization_response_iss_parameter_supported"`
	}
	if err := provider.Claims(&metadata); err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	if metadata.Issuer && !hasIssuer {
		return nil, errors.New("the answer names no issuer (RFC 9207)")
	}
	ctx := oidc.ClientContext(q.Context(), p.upstreams.client)
	token, err := p.oauth(c, provider, secret).Exchange(ctx, code, oauth2.VerifierOption(row.Verifier))
	if err != nil {
		return nil, errors.New("the code was not exchanged: " + exchangeError(err))
	}
	raw, _ := token.Extra("id_token").(string)
	if raw == "" {
		return nil, errors.New("there is no ID token")
	}
	id, err := provider.Verifier(&oidc.Config{ClientID: c.Options.ClientID, Now: p.env.Now}).Verify(ctx, raw)
	if err != nil {
		return nil, fmt.Errorf("ID token: %w", err)
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(row.Nonce)) != 1 {
		return nil, errors.New("ID token: its nonce is that of another sign-in")
	}
	who := new(upstreamProfile)
	if err := id.Claims(who); err != nil {
		return nil, fmt.Errorf("ID token: %w", err)
	}
	if len(id.Audience) > 1 && who.AuthorizedParty != c.Options.ClientID {
		return nil, errors.New("ID token: it is for another client")
	}
	if id.Subject == "" || len(id.Subject) > directory.MaxSubject {
		return nil, errors.New("ID token: it has no subject that can be kept")
	}
	who.Subject = id.Subject
	if who.Email == "" && provider.UserInfoEndpoint() != "" {
		p.fromUserinfo(ctx, provider, token, who)
	}
	return who, nil
}

// exchangeError is what may be logged of an error: not the answer, which may have tokens.
func exchangeError(err error) string {
	var answered *oauth2.RetrieveError
	if errors.As(err, &answered) {
		return clip(answered.ErrorCode+" "+answered.Response.Status, 200)
	}
	return "no answer"
}

// fromUserinfo fills in what the ID token does not say, if the issuer says it of the same subject.
func (p *People) fromUserinfo(ctx context.Context, provider *oidc.Provider, token *oauth2.Token, who *upstreamProfile) {
	info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil || info.Subject != who.Subject {
		return
	}
	more := new(upstreamProfile)
	if info.Claims(more) != nil {
		return
	}
	more.Subject = who.Subject
	*who = *more
}
