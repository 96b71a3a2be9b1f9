package oidc

import (
	"context"
	"crypto/rand"
	"errors"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/table"
)

const (
	// deviceTime is how long a device code is good, deviceInterval how often a device may ask.
	deviceTime     = 10 * time.Minute
	deviceInterval = 5 * time.Second
	// codeLetters is an alphabet of user codes: no letters that look alike, no vowels, so no words (RFC 8628
	// section 6.1).
	codeLetters = op.CharSetBase20
	codeLength  = 8
	// maxGuesses is how many codes that do not exist one user may enter within guessTime: with 20^8 codes there is no chance
	// to find one (RFC 8628 section 5.1).
	maxGuesses = 10
	guessTime  = 15 * time.Minute
)

// device is a device that waits for its user.
type device struct {
	Code     string   `json:"code"` // digest of the device code
	ClientID string   `json:"client_id"`
	Audience string   `json:"audience,omitempty"`
	Scopes   []string `json:"scopes"`
	// Denied and UserID say what the user has decided.
	Denied    bool      `json:"denied,omitempty"`
	UserID    string    `json:"user_id,omitempty"`
	SessionID string    `json:"session_id,omitempty"`
	AuthTime  time.Time `json:"auth_time,omitzero"`
	Methods   []string  `json:"amr,omitempty"`
	Decided   time.Time `json:"decided,omitzero"`
	// Interval is how long the device must wait after Asked.
	Interval time.Duration `json:"interval"`
	Asked    time.Time     `json:"asked,omitzero"`
	Expires  time.Time     `json:"expires"`
}

// userCode leads to the device that shows it.
type userCode struct {
	Code    string    `json:"code"` // digest of the device code
	Expires time.Time `json:"expires"`
}

// guesses count the codes that somebody has entered in vain.
type guesses struct {
	Count   int       `json:"count"`
	Expires time.Time `json:"expires"`
}

// devices are by the digest of the device code, userCodes by the code, deviceGuesses by the user.
var (
	devices       = table.Of("perdure.device-codes", table.ExpiresAt(func(d *device) time.Time { return d.Expires.Add(deviceTime) }))
	userCodes     = table.Of("perdure.user-codes", table.ExpiresAt(func(c *userCode) time.Time { return c.Expires }))
	deviceGuesses = table.Of("perdure.device-guesses", table.ExpiresAt(func(g *guesses) time.Time { return g.Expires }))
)

// The errors of entering a device's code.
var (
	// ErrDevice: no device shows that code, or not any more.
	ErrDevice = errors.New("no device shows that code")
	// ErrGuesses: the user has entered too many codes that do not exist.
	ErrGuesses = errors.New("too many wrong codes; try again later")
)

// DeviceAuthorization implements op.Server.
func (s *server) DeviceAuthorization(ctx context.Context, r *op.ClientRequest[oidc.DeviceAuthorizationRequest]) (*op.Response, error) {
	return s.answer(ctx, func() (any, error) { return s.p.beginDevice(ctx, clientOf(r.Client), r.Form) })
}

// beginDevice makes the two codes of a device (RFC 8628 section 3.2).
func (p *Provider) beginDevice(ctx context.Context, c *client, form url.Values) (any, error) {
	if c.app == nil || !slices.Contains(c.app.GrantTypes, grantDevice) {
		return nil, refuse(unauthorizedClient, "the application may not use this grant")
	}
	audience, refused := audienceOf(form)
	if refused != nil {
		return nil, refused
	}
	api, err := p.target(ctx, audience)
	if errors.Is(err, directory.ErrNotFound) {
		return nil, refuse(invalidTarget, "there is no API with that identifier")
	}
	if err != nil {
		return nil, err
	}
	text, now := directory.NewSecret(), p.env.Now()
	d := &device{
		Code: digest(text), ClientID: c.app.ClientID, Audience: audience, Scopes: knownScopes(c.app, api, words(form.Get("scope"))),
		Interval: deviceInterval, Expires: now.Add(deviceTime),
	}
	if err := devices.Insert(ctx, directory.Key(d.Code), d); err != nil {
		return nil, err
	}
	for range 5 {
		user := newUserCode()
		err := userCodes.Insert(ctx, directory.Key(user), &userCode{Code: d.Code, Expires: d.Expires})
		if errors.Is(err, table.ErrExists) {
			continue
		}
		if err != nil {
			return nil, err
		}
		shown := user[:codeLength/2] + "-" + user[codeLength/2:]
		page := p.url(p.options.DevicePath)
		return &oidc.DeviceAuthorizationResponse{
			DeviceCode: text, UserCode: shown, VerificationURI: page,
			VerificationURIComplete: page + "?" + url.Values{"user_code": {shown}}.Encode(),
			ExpiresIn:               int(deviceTime / time.Second), Interval: int(deviceInterval / time.Second),
		}, nil
	}
	return nil, errors.New("no user code is free")
}

// newUserCode makes a code that a user enters.
func newUserCode() string {
	b := make([]byte, codeLength)
	for i := range b {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(codeLetters))))
		if err != nil {
			panic(err) // crypto/rand never fails
		}
		b[i] = codeLetters[n.Int64()]
	}
	return string(b)
}

// normalCode reads a code as a user has entered it: in any case, with any separators.
func normalCode(entered string) string {
	if len(entered) > 64 {
		return ""
	}
	code := strings.Map(func(r rune) rune {
		if strings.ContainsRune(codeLetters, r) {
			return r
		}
		if strings.ContainsRune(" -_.\t", r) {
			return -1
		}
		return '?'
	}, strings.ToUpper(entered))
	if len(code) != codeLength || strings.Contains(code, "?") {
		return ""
	}
	return code
}

// Device is a device about which the user is asked.
type Device struct {
	Code     string // as the device shows it
	Client   *directory.Application
	Audience string
	Scopes   []string
}

// DeviceOf finds the device whose code a signed-in user has entered, in the unit of work of ctx, which must commit
// also with an error: wrong codes are counted. Errors are ErrDevice and ErrGuesses.
func (p *Provider) DeviceOf(ctx context.Context, entered, userID string) (*Device, error) {
	d, code, err := p.deviceOf(ctx, entered, userID)
	if err != nil {
		return nil, err
	}
	app, err := application(ctx, d.ClientID)
	if errors.Is(err, directory.ErrNotFound) {
		return nil, ErrDevice
	}
	if err != nil {
		return nil, err
	}
	return &Device{Code: code[:codeLength/2] + "-" + code[codeLength/2:], Client: app, Audience: d.Audience, Scopes: d.Scopes}, nil
}

func (p *Provider) deviceOf(ctx context.Context, entered, userID string) (*device, string, error) {
	key := directory.Key(userID)
	tried, err := deviceGuesses.Get(ctx, key)
	if errors.Is(err, directory.ErrNotFound) {
		tried, err = &guesses{Expires: p.env.Now().Add(guessTime)}, nil
	}
	if err != nil {
		return nil, "", err
	}
	if tried.Count >= maxGuesses {
		return nil, "", ErrGuesses
	}
	code := normalCode(entered)
	if code != "" {
		row, err := userCodes.Get(ctx, directory.Key(code))
		if err == nil {
			d, err := devices.Get(ctx, directory.Key(row.Code))
			if err == nil && p.env.Now().Before(d.Expires) {
				return d, code, nil
			}
			if err != nil && !errors.Is(err, directory.ErrNotFound) {
				return nil, "", err
			}
		} else if !errors.Is(err, directory.ErrNotFound) {
			return nil, "", err
		}
	}
	tried.Count++
	if err := deviceGuesses.Put(ctx, key, tried); err != nil {
		return nil, "", err
	}
	return nil, "", ErrDevice
}

// DecideDevice lets the user of a session allow a device to sign in as them, or not, in the unit of work of ctx. The
// code is used up.
func (p *Provider) DecideDevice(ctx context.Context, entered string, session *directory.Session, allow bool) error {
	d, code, err := p.deviceOf(ctx, entered, session.UserID)
	if err != nil {
		return err
	}
	if err := userCodes.Delete(ctx, directory.Key(code)); err != nil {
		return err
	}
	d.Denied, d.Decided = !allow, p.env.Now()
	if allow {
		d.UserID, d.SessionID, d.AuthTime, d.Methods = session.UserID, session.ID, session.AuthTime, session.Methods
	}
	if err := devices.Put(ctx, directory.Key(d.Code), d); err != nil {
		return err
	}
	if !allow {
		return nil
	}
	return p.note(ctx, directory.AuditConsent, session.UserID, d.ClientID, d.ClientID, "a device may sign in")
}

// DeviceToken implements op.Server.
func (s *server) DeviceToken(ctx context.Context, r *op.ClientRequest[oidc.DeviceAccessTokenRequest]) (*op.Response, error) {
	return s.answer(ctx, func() (any, error) { return s.p.deviceTokens(ctx, clientOf(r.Client), r.Data.DeviceCode) })
}

// deviceTokens answers a device that asks whether its user has decided (RFC 8628 section 3.5).
func (p *Provider) deviceTokens(ctx context.Context, c *client, text string) (*tokens, error) {
	bad := refuse(invalidGrant, "the device code is not valid")
	if c.app == nil || len(text) > 128 {
		return nil, bad
	}
	key := directory.Key(digest(text))
	d, err := devices.Get(ctx, key)
	if errors.Is(err, directory.ErrNotFound) || err == nil && d.ClientID != c.app.ClientID {
		return nil, bad
	}
	if err != nil {
		return nil, err
	}
	now := p.env.Now()
	if !now.Before(d.Expires) {
		return nil, refuse(expiredToken, "the device code has expired")
	}
	early := !d.Asked.IsZero() && now.Sub(d.Asked) < d.Interval
	if early && d.Interval < time.Minute {
		d.Interval += deviceInterval
	}
	d.Asked = now
	switch {
	case d.Denied:
		if err := devices.Delete(ctx, key); err != nil {
			return nil, err
		}
		return nil, refuse(accessDenied, "the user does not want that")
	case d.UserID == "" || early:
		if err := devices.Put(ctx, key, d); err != nil {
			return nil, err
		}
		if early {
			return nil, refuse(slowDown, "wait %d seconds between requests", int(d.Interval/time.Second))
		}
		return nil, refuse(authorizationPending, "the user has not decided yet")
	}
	if err := devices.Delete(ctx, key); err != nil {
		return nil, err
	}
	user, err := activeUser(ctx, d.UserID)
	if err != nil {
		return nil, err
	}
	since, err := p.revokedSince(ctx, d.UserID)
	if err != nil {
		return nil, err
	}
	if user == nil || d.Decided.Before(since) {
		return nil, bad
	}
	return p.userTokens(ctx, c.app, user, &signIn{
		Grant: newGrantID(), Audience: d.Audience, Scopes: d.Scopes, AuthTime: d.AuthTime, Methods: d.Methods, SessionID: d.SessionID,
	})
}
