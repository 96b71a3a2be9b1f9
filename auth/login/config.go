package login

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/perdure/perdure/auth"
)

// Defaults of Config.
const (
	DefaultIdleTimeout = 8 * time.Hour
	DefaultLifetime    = 7 * 24 * time.Hour
)

// Config configures a Login. Issuer, ClientID and BaseURL must be set.
type Config struct {
	// Issuer is the URL of the issuer, exactly as its tokens have it. Its endpoints are found by discovery when
	// they are first needed: the issuer need not be there when the application starts.
	Issuer string
	// ClientID and ClientSecret are the credentials of the application at the issuer. A public client has no secret.
	ClientID, ClientSecret string
	// SecretFunc, unless nil, is asked for the secret each time, in place of ClientSecret: for one that changes.
	SecretFunc func(ctx context.Context) (string, error)
	// BaseURL is the origin of the application as browsers see it, such as "https://app.example.com" or
	// "http://localhost:8080". Plain http is accepted on loopback alone.
	BaseURL string
	// Prefix is put before the paths of the login, for a second one in the same application: "/staff" makes
	// "/staff/login" and "/staff/logout". Empty is none.
	Prefix string
	// Audience is the API that an access token is wanted for (parameter "audience"). When it is set, the principal
	// is made of that token, which must be a JWT for this audience.
	Audience string
	// Scopes are asked for; "openid" always is. Nil stands for openid, profile and email, and for
	// offline_access if the issuer says that it has it: without a refresh token a session with an audience
	// ends with its access token.
	Scopes []string
	// Connection names the way to sign in at an issuer that has several (parameter "connection").
	Connection string
	// Params are further parameters of the request to the issuer, such as "resource" or "organization".
	Params map[string]string
	// AfterLogout is the path that a browser comes back to after a logout; "/" if empty.
	AfterLogout string

	// Store keeps the sessions. Nil keeps them in memory: they end with the process.
	Store Store
	// Sealer encrypts sessions and the cookies of sign-ins under way. It must be set when Store is, and be the same
	// in all processes that share the store. Nil makes a key that lives in memory.
	Sealer Sealer
	// IdleTimeout ends a session that was not used for so long, to within a twentieth; 0 is DefaultIdleTimeout.
	IdleTimeout time.Duration
	// Lifetime ends a session so long after the sign-in, used or not; 0 is DefaultLifetime.
	Lifetime time.Duration

	// Verifier verifies access tokens for Audience. Nil makes an auth.Verifier for Issuer and Audience.
	Verifier TokenVerifier
	// HTTPClient speaks to the issuer. Nil stands for one with a timeout of ten seconds.
	HTTPClient *http.Client
	// Logger gets what happens; nil stands for slog.Default. No token, code or cookie is logged.
	Logger *slog.Logger
	// Now is the clock; nil stands for time.Now.
	Now func() time.Time
}

// TokenVerifier finds out whose access token it is. An auth.Verifier is one. Errors that match
// auth.ErrUnauthenticated say that the token is not good, others that it could not be found out.
type TokenVerifier interface {
	Verify(ctx context.Context, token string) (*auth.Principal, error)
}

// protocolParams are the parameters of an authorization request that Config.Params cannot set.
var protocolParams = []string{
	"client_id", "code_challenge", "code_challenge_method", "nonce", "redirect_uri", "request", "request_uri",
	"response_mode", "response_type", "scope", "state",
}

// check fills defaults and says what is wrong.
func (c *Config) check() (base *url.URL, err error) {
	if c.ClientID == "" {
		return nil, errors.New("login: Config.ClientID is empty")
	}
	if _, err := webURL("Issuer", c.Issuer); err != nil {
		return nil, err
	}
	base, err = webURL("BaseURL", c.BaseURL)
	if err != nil {
		return nil, err
	}
	if base.Path != "" && base.Path != "/" {
		return nil, fmt.Errorf("login: Config.BaseURL %q has a path; it is the origin of the application", c.BaseURL)
	}
	base = &url.URL{Scheme: base.Scheme, Host: base.Host}
	if c.Prefix != "" && safePath(c.Prefix+"/x") != c.Prefix+"/x" {
		return nil, fmt.Errorf("login: Config.Prefix %q is not the beginning of a path, such as \"/staff\"", c.Prefix)
	}
	if c.AfterLogout == "" {
		c.AfterLogout = "/"
	}
	if safePath(c.AfterLogout) != c.AfterLogout {
		return nil, fmt.Errorf("login: Config.AfterLogout %q is not a plain path", c.AfterLogout)
	}
	for name := range c.Params {
		if slices.Contains(protocolParams, name) {
			return nil, fmt.Errorf("login: Config.Params cannot set %q", name)
		}
	}
	if c.Store != nil && c.Sealer == nil {
		return nil, errors.New("login: Config.Store is set without Config.Sealer: a key made here would not open its sessions after a restart")
	}
	if c.IdleTimeout < 0 || c.Lifetime < 0 {
		return nil, errors.New("login: Config.IdleTimeout or Config.Lifetime is negative")
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = DefaultIdleTimeout
	}
	if c.Lifetime == 0 {
		c.Lifetime = DefaultLifetime
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return base, nil
}

// webURL parses a URL that secrets are sent to.
func webURL(field, text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case text == "":
		return nil, fmt.Errorf("login: Config.%s is empty", field)
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("login: Config.%s %q is not a URL such as \"https://example.com\"", field, text)
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return nil, fmt.Errorf("login: Config.%s %q is plain http; that is accepted on loopback alone", field, text)
	}
	return u, nil
}

// loopback reports whether a host is this machine, as browsers decide it.
func loopback(host string) bool {
	host = strings.ToLower(host)
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// endpointURL parses an endpoint of the issuer.
func endpointURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return nil, fmt.Errorf("%.200q is not the URL of an endpoint", text)
	}
	return u, nil
}
