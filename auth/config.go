package auth

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// VerifierConfig says which tokens a Verifier accepts. Issuer and Audiences are needed; the rest has defaults.
type VerifierConfig struct {
	// Issuer is the claim "iss" that tokens must have, byte for byte. The issuer's keys are found
	// by its discovery document, unless Keys or JWKSURL says where they are.
	Issuer string
	// Audiences are the names under which the issuer knows this API. The claim "aud" of a
	// token must have one of them.
	Audiences []string
	// AnyAudience accepts tokens that the issuer made for somebody else, so that whoever gets a
	// token for another API can use it here. It is needed if Audiences is empty.
	AnyAudience bool

	// Keys gives the issuer's keys; nil fetches them.
	Keys KeySource
	// JWKSURL is where the issuer's keys are, in place of what its discovery document says.
	JWKSURL string
	// HTTPClient fetches the keys; nil is a client of the verifier's own. Redirects to other hosts are not followed.
	HTTPClient *http.Client
	// AllowHTTP fetches keys without TLS from other hosts than loopback as well: whoever can
	// change what comes over that network can make tokens.
	AllowHTTP bool
	// KeepKeys is how long keys that were fetched are used while the issuer cannot be reached;
	// zero is 24 hours, and negative not longer than they are fresh.
	KeepKeys time.Duration

	// Algorithms are the signatures that are accepted, of RS256 to RS512, PS256 to PS512, ES256 to ES512 and
	// EdDSA; empty is all of them. Whatever it says, a key verifies the algorithms of its kind alone.
	Algorithms []string
	// Leeway is by how much the clocks of issuer and verifier may differ; zero is 30 seconds, negative is none.
	Leeway time.Duration
	// RequireTypedTokens accepts tokens alone whose header says that they are access tokens, "at+jwt" (RFC 9068).
	// Set it if the issuer makes such tokens: without it an ID token is recognized by what it contains.
	RequireTypedTokens bool
	// MaxTokenBytes is the size of the largest token that is looked at; zero is 16 KiB.
	MaxTokenBytes int
	// CacheSize is the number of verified tokens that are remembered; zero is 4096, negative is none.
	CacheSize int

	// NameClaim, PermissionsClaim, ScopesClaim and RolesClaim name the claims that become
	// those fields of a Principal, in place of what is said there. A dot leads into objects, such as
	// "realm_access.roles", unless a claim has the whole name.
	NameClaim, PermissionsClaim, ScopesClaim, RolesClaim string

	// Now is the time; nil is time.Now.
	Now func() time.Time
	// Log is told of keys that change or cannot be fetched, and at level debug of tokens
	// that are refused and why. Nil for none.
	Log *slog.Logger
}

const (
	defaultLeeway    = 30 * time.Second
	defaultKeepKeys  = 24 * time.Hour
	defaultTokenSize = 16 << 10
	defaultCacheSize = 4096
)

// complete checks a configuration and fills in its defaults.
func (c VerifierConfig) complete() (VerifierConfig, error) {
	if c.Issuer == "" {
		return c, errors.New("auth: a verifier needs the Issuer of its tokens")
	}
	if len(c.Audiences) == 0 && !c.AnyAudience {
		return c, errors.New("auth: a verifier needs the Audiences it accepts: the name of this API at the issuer")
	}
	if slices.Contains(c.Audiences, "") {
		return c, errors.New("auth: one of the Audiences is empty")
	}
	for _, name := range c.Algorithms {
		if !slices.Contains(algorithms, name) {
			return c, fmt.Errorf("auth: %q is none of the algorithms that can be accepted: %s", name, strings.Join(algorithms, " "))
		}
	}
	if c.Keys != nil && c.JWKSURL != "" {
		return c, errors.New("auth: Keys and JWKSURL exclude each other")
	}
	c.Audiences = slices.Clone(c.Audiences)
	if c.Algorithms = slices.Clone(c.Algorithms); len(c.Algorithms) == 0 {
		c.Algorithms = algorithms
	}
	c.Leeway = withDefault(c.Leeway, defaultLeeway)
	c.KeepKeys = withDefault(c.KeepKeys, defaultKeepKeys)
	c.MaxTokenBytes = withDefault(c.MaxTokenBytes, defaultTokenSize)
	c.CacheSize = withDefault(c.CacheSize, defaultCacheSize)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// withDefault makes the default of zero, and zero of what is negative.
func withDefault[N ~int | ~int64](n, otherwise N) N {
	if n == 0 {
		return otherwise
	}
	return max(n, 0)
}

// checkURL refuses an address from which keys must not be fetched.
func checkURL(address string, allowHTTP bool) error {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return fmt.Errorf("auth: %q is no URL: %w", address, err)
	case u.Host == "" || u.User != nil || u.Fragment != "":
		return fmt.Errorf("auth: %q is no plain http or https URL", address)
	case u.Scheme == "https":
		return nil
	case u.Scheme != "http":
		return fmt.Errorf("auth: %q is no http or https URL", address)
	case !allowHTTP && !isLoopback(u.Hostname()):
		return fmt.Errorf("auth: %q has no TLS: only loopback may do without", address)
	}
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}
