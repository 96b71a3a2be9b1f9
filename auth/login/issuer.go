package login

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// ErrUnavailable: the issuer cannot be reached, or says nothing that makes sense.
var ErrUnavailable = errors.New("login: the issuer is not available")

const (
	// metadataAge is how long what was discovered is used before it is looked up again.
	metadataAge = time.Hour
	// The pause after a failure doubles from the least to the greatest.
	minPause = time.Second
	maxPause = 30 * time.Second
)

// issuer is what is known of the issuer, and whether it can be reached.
type issuer struct {
	url    string
	client *http.Client
	now    func() time.Time

	mu     sync.Mutex
	found  *metadata
	at     time.Time      // of found
	flight *metadataLooks // the look-up under way

	pause   time.Duration // 0 while the issuer answers
	next    time.Time     // when it is tried again
	lastErr error
}

// metadata is what the issuer says of itself.
type metadata struct {
	provider *oidc.Provider
	verifier *oidc.IDTokenVerifier // of logout tokens and ID tokens
	style    oauth2.AuthStyle

	EndSession   string   `json:"end_session_endpoint"`
	Revocation   string   `json:"revocation_endpoint"`
	Scopes       []string `json:"scopes_supported"`
	AuthMethods  []string `json:"token_endpoint_auth_methods_supported"`
	SendsIssuer  bool     `json:"authorization_response_iss_parameter_supported"`
	AuthEndpoint string   `json:"authorization_endpoint"`
	Token        string   `json:"token_endpoint"`
	JWKS         string   `json:"jwks_uri"`
}

type metadataLooks struct {
	done chan struct{}
	meta *metadata
	err  error
}

// metadata returns what is known of the issuer, and looks it up when it is not, or not lately. After a
// failure it answers at once until the issuer may be tried again.
func (i *issuer) metadata(ctx context.Context, c *Config) (*metadata, error) {
	i.mu.Lock()
	now := i.now()
	if i.found != nil && (now.Sub(i.at) < metadataAge || now.Before(i.next)) {
		defer i.mu.Unlock()
		return i.found, nil
	}
	if now.Before(i.next) {
		defer i.mu.Unlock()
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, i.lastErr)
	}
	old, flight := i.found, i.flight
	if flight == nil {
		flight = &metadataLooks{done: make(chan struct{})}
		i.flight = flight
		// It serves everybody who waits: the one who asked first may leave.
		go i.look(context.WithoutCancel(ctx), c, flight)
	}
	i.mu.Unlock()
	if old != nil {
		return old, nil
	}
	select {
	case <-flight.done:
		return flight.meta, flight.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// look looks the issuer up.
func (i *issuer) look(ctx context.Context, c *Config, flight *metadataLooks) {
	ctx, cancel := context.WithTimeout(ctx, issuerTimeout)
	defer cancel()
	meta, err := i.discover(ctx, c)
	if err != nil {
		i.failed(err)
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
		c.Logger.Warn("login: the issuer was not found", "issuer", i.url, "error", short(err))
	} else {
		i.answered()
	}
	i.mu.Lock()
	if err == nil {
		i.found, i.at = meta, i.now()
	}
	i.flight = nil
	i.mu.Unlock()
	flight.meta, flight.err = meta, err
	close(flight.done)
}

func (i *issuer) discover(ctx context.Context, c *Config) (*metadata, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, i.client), i.url)
	if err != nil {
		return nil, err
	}
	meta := &metadata{provider: provider}
	if err := provider.Claims(meta); err != nil {
		return nil, fmt.Errorf("discovery document: %w", err)
	}
	for field, endpoint := range map[string]string{
		"authorization_endpoint": meta.AuthEndpoint, "token_endpoint": meta.Token, "jwks_uri": meta.JWKS,
	} {
		if _, err := endpointURL(endpoint); err != nil {
			return nil, fmt.Errorf("discovery document: %s: %w", field, err)
		}
	}
	for _, endpoint := range []*string{&meta.EndSession, &meta.Revocation} {
		if _, err := endpointURL(*endpoint); err != nil {
			*endpoint = "" // the issuer does without it
		}
	}
	// The style is told, never tried: a second try would use a code or a refresh token twice.
	meta.style = oauth2.AuthStyleInHeader
	basic := len(meta.AuthMethods) == 0 || slices.Contains(meta.AuthMethods, "client_secret_basic")
	if c.ClientSecret == "" && c.SecretFunc == nil || !basic {
		meta.style = oauth2.AuthStyleInParams
	}
	meta.verifier = provider.Verifier(&oidc.Config{ClientID: c.ClientID, Now: i.now})
	return meta, nil
}

// failed notes that the issuer did not answer.
func (i *issuer) failed(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.pause = min(max(2*i.pause, minPause), maxPause)
	i.next, i.lastErr = i.now().Add(i.pause), err
}

// answered notes that it did.
func (i *issuer) answered() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.pause, i.next, i.lastErr = 0, time.Time{}, nil
}

// paused reports whether the issuer failed a moment ago.
func (i *issuer) paused() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.now().Before(i.next)
}

// secret is that of the application at the issuer.
func (c *Config) secret(ctx context.Context) (string, error) {
	if c.SecretFunc == nil {
		return c.ClientSecret, nil
	}
	secret, err := c.SecretFunc(ctx)
	if err != nil {
		return "", fmt.Errorf("login: the client secret: %w", err)
	}
	return secret, nil
}

// oauthWith is oauth with the application's secret, for requests of the server itself.
func (l *Login) oauthWith(ctx context.Context, meta *metadata) (*oauth2.Config, error) {
	secret, err := l.config.secret(ctx)
	c := l.oauth(meta)
	c.ClientSecret = secret
	return c, err
}

// oauth returns the client of the token endpoint, without a secret.
func (l *Login) oauth(meta *metadata) *oauth2.Config {
	endpoint := meta.provider.Endpoint()
	endpoint.AuthStyle = meta.style
	scopes := slices.Clone(l.config.Scopes)
	if scopes == nil {
		scopes = []string{"profile", "email"}
		if slices.Contains(meta.Scopes, oidc.ScopeOfflineAccess) {
			scopes = append(scopes, oidc.ScopeOfflineAccess)
		}
	}
	if !slices.Contains(scopes, oidc.ScopeOpenID) {
		scopes = append([]string{oidc.ScopeOpenID}, scopes...)
	}
	return &oauth2.Config{
		ClientID: l.config.ClientID, Endpoint: endpoint,
		RedirectURL: l.redirectURI, Scopes: scopes,
	}
}

// issuerContext gives a context the client of the issuer, and an end.
func (l *Login) issuerContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(oidc.ClientContext(ctx, l.issuer.client), issuerTimeout)
}

// issuerError makes an error of the token endpoint fit for logs: the body of an answer may hold anything.
// Whatever is no answer with an OAuth error is ErrUnavailable.
func issuerError(err error) error {
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	status := 0
	if refused.Response != nil {
		status = refused.Response.StatusCode
	}
	if refused.ErrorCode == "" || status >= 500 || status == http.StatusTooManyRequests {
		return fmt.Errorf("%w: the token endpoint answered %d %.100q", ErrUnavailable, status, refused.ErrorCode)
	}
	return &refusedError{code: refused.ErrorCode}
}

// refusedError is an OAuth error of the token endpoint.
type refusedError struct{ code string }

// Error implements error.
func (e *refusedError) Error() string {
	return fmt.Sprintf("login: the issuer refused: %.100q", e.code)
}

// isRefused reports whether the issuer answered with an OAuth error code.
func isRefused(err error, code string) bool {
	var refused *refusedError
	return errors.As(err, &refused) && refused.code == code
}

// short cuts the text of an error that may quote what the issuer sent.
func short(err error) string { return fmt.Sprintf("%.500s", err.Error()) }
