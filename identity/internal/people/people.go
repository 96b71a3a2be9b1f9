package people

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"runtime"
	"strings"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/people/factor"
	"github.com/perdure/perdure/identity/internal/people/pages"
	"github.com/perdure/perdure/identity/internal/people/password"
)

// Branding is the look of the pages.
type Branding = pages.Branding

// The defaults of Options.
const (
	DefaultSessionIdle     = 3 * 24 * time.Hour
	DefaultSessionLifetime = 7 * 24 * time.Hour
)

// Options configure People. The zero value works.
type Options struct {
	Branding Branding
	// Hash are the parameters of argon2id; default password.DefaultParams. Who signs in with a password
	// that was hashed by others has it hashed again.
	Hash password.Params
	// ParallelHashes is how many passwords are hashed at once; default the number of CPUs.
	ParallelHashes int
	// BreachedPasswords is a file of passwords that are refused; see password.BreachedList.
	BreachedPasswords string
	// SessionIdle is how long a session lasts without a request, and SessionLifetime how long at most.
	SessionIdle, SessionLifetime time.Duration
	// Devices are asked by the page on which a user lets a device in; nil has no such page.
	Devices Devices
	// EndTokens ends what applications have of a user, when the sessions of the user end but for one, or
	// all: after a change of the password. EndTokensOf ends what they have by one session. They are called in a unit
	// of work.
	EndTokens   func(ctx context.Context, userID, but string) error
	EndTokensOf func(ctx context.Context, userID, sessionID string) error
	// ClientIP finds the address of who sent a request; nil takes that of the connection.
	ClientIP func(*http.Request) string
	// HTTPClient speaks to issuers upstream; nil takes one with timeouts.
	HTTPClient *http.Client
}

// People serves the pages below /u/, and /dbconnections/. It is safe for concurrent use.
type People struct {
	env       *directory.Env
	options   Options
	hasher    *password.Hasher
	breached  *password.BreachedList
	passkeys  *factor.Passkeys // nil where the issuer is an address
	pages     *pages.Pages
	mux       *http.ServeMux
	origin    *http.CrossOriginProtection
	upstreams upstreams
}

// New returns the pages of an issuer. It adds to env.OnUserDeleted what deletes a user's credentials.
func New(env *directory.Env, options Options) (*People, error) {
	issuer, err := url.Parse(env.Issuer)
	if err != nil || issuer.Host == "" || !strings.HasSuffix(env.Issuer, "/") {
		return nil, fmt.Errorf("people: issuer %q: want a URL with a slash at its end", env.Issuer)
	}
	if options.Hash == (password.Params{}) {
		options.Hash = password.DefaultParams
	}
	if options.ParallelHashes == 0 {
		options.ParallelHashes = runtime.GOMAXPROCS(0)
	}
	if options.SessionIdle <= 0 {
		options.SessionIdle = DefaultSessionIdle
	}
	if options.SessionLifetime <= 0 {
		options.SessionLifetime = DefaultSessionLifetime
	}
	p := &People{env: env, options: options, mux: http.NewServeMux(), origin: http.NewCrossOriginProtection()}
	if err := p.origin.AddTrustedOrigin(issuer.Scheme + "://" + issuer.Host); err != nil {
		return nil, fmt.Errorf("people: issuer %q: %w", env.Issuer, err)
	}
	if p.hasher, err = password.NewHasher(options.Hash, options.ParallelHashes); err != nil {
		return nil, fmt.Errorf("people: %w", err)
	}
	if p.pages, err = pages.New(options.Branding); err != nil {
		return nil, fmt.Errorf("people: %w", err)
	}
	p.passkeys, err = factor.NewPasskeys(env.Issuer, p.pages.Brand().Name)
	if err != nil && !errors.Is(err, factor.ErrNoHost) {
		return nil, fmt.Errorf("people: %w", err)
	}
	if options.BreachedPasswords != "" {
		if p.breached, err = password.OpenBreachedList(options.BreachedPasswords); err != nil {
			return nil, fmt.Errorf("people: %w", err)
		}
	}
	p.upstreams.init(options.HTTPClient)
	p.route()
	env.OnUserDeleted = append(env.OnUserDeleted, p.forgetUser)
	return p, nil
}

// Close closes the list of breached passwords.
func (p *People) Close() error {
	if p.breached == nil {
		return nil
	}
	return p.breached.Close()
}

// Patterns are the patterns of http.ServeMux under which People is served.
func (p *People) Patterns() []string { return []string{"/u/", "/dbconnections/"} }

// ServeHTTP implements http.Handler.
func (p *People) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.mux.ServeHTTP(w, r) }

func (p *People) route() {
	p.mux.HandleFunc("GET /u/assets/{name}", func(w http.ResponseWriter, r *http.Request) {
		p.pages.ServeAsset(w, r, r.PathValue("name"))
	})
	for pattern, h := range map[string]handler{
		"GET /u/login":                       p.inUnit(p.loginPage),
		"POST /u/login":                      p.login,
		"POST /u/passkey/challenge":          p.inUnit(p.passkeyChallenge),
		"POST /u/passkey":                    p.inUnit(p.passkeyLogin),
		"GET /u/second":                      p.inUnit(p.secondPage),
		"POST /u/second":                     p.inUnit(p.second),
		"POST /u/second/challenge":           p.inUnit(p.secondChallenge),
		"POST /u/second/passkey":             p.inUnit(p.secondPasskey),
		"GET /u/recovery":                    p.inUnit(p.recoveryPage),
		"POST /u/recovery":                   p.inUnit(p.recovery),
		"GET /u/signup":                      p.inUnit(p.signupPage),
		"POST /u/signup":                     p.signup,
		"GET /u/verify":                      p.inUnit(p.verifyPage),
		"POST /u/verify":                     p.verify,
		"GET /u/reset":                       p.inUnit(p.resetPage),
		"POST /u/reset":                      p.inUnit(p.reset),
		"GET /u/reset/password":              p.inUnit(p.newPasswordPage),
		"POST /u/reset/password":             p.newPassword,
		"GET /u/connection/{name}":           p.startUpstream,
		"GET /u/callback/{name}":             p.finishUpstream,
		"GET /u/logout":                      p.inUnit(p.logoutPage),
		"POST /u/logout":                     p.inUnit(p.logout),
		"GET /u/account":                     p.inUnit(p.accountPage),
		"POST /u/account/profile":            p.inUnit(p.changeProfile),
		"POST /u/account/password":           p.changePassword,
		"POST /u/account/verify":             p.inUnit(p.sendVerification),
		"POST /u/account/totp":               p.inUnit(p.beginTOTP),
		"POST /u/account/totp/confirm":       p.inUnit(p.confirmTOTP),
		"POST /u/account/totp/remove":        p.inUnit(p.removeTOTP),
		"POST /u/account/passkeys/challenge": p.inUnit(p.beginPasskey),
		"POST /u/account/passkeys":           p.inUnit(p.addPasskey),
		"POST /u/account/passkeys/remove":    p.inUnit(p.removePasskey),
		"POST /u/account/recovery":           p.inUnit(p.newCodes),
		"POST /u/account/sessions/revoke":    p.inUnit(p.revokeSession),
		"POST /u/account/unlink":             p.inUnit(p.unlink),
		"GET /u/device":                      p.inUnit(p.devicePage),
		"POST /u/device":                     p.inUnit(p.device),
		"POST /u/device/decide":              p.inUnit(p.decideDevice),
	} {
		p.mux.Handle(pattern, p.page(h))
	}
	p.mux.Handle("/u/", p.page(func(*request) (*answer, error) {
		return nil, &fault{http.StatusNotFound, "Not found", "There is no such page."}
	}))
	p.mux.Handle("POST /dbconnections/signup", p.api(p.apiSignup))
	p.mux.Handle("POST /dbconnections/change_password", p.api(p.apiChangePassword))
}

// url is an absolute URL of a page, for mails. It never comes from a request, whose Host header anybody may
// write.
func (p *People) url(path string, query url.Values) string {
	u := p.env.Issuer + strings.TrimPrefix(path, "/")
	if len(query) > 0 {
		u += "?" + query.Encode()
	}
	return u
}

// clientIP is the address that a request came from; the zero value if it is unknown.
func (p *People) clientIP(r *http.Request) netip.Addr {
	if p.options.ClientIP != nil {
		addr, _ := netip.ParseAddr(p.options.ClientIP(r))
		return addr.Unmap()
	}
	port, _ := netip.ParseAddrPort(r.RemoteAddr)
	return port.Addr().Unmap()
}

// forgetUser deletes what is kept of a user who is deleted.
func (p *People) forgetUser(ctx context.Context, userID string) error {
	for _, forget := range []func() error{
		func() error { return removePassword(ctx, userID) },
		func() error { return factor.RemoveAll(ctx, userID) },
		func() error { return dropTickets(ctx, userID) },
		func() error { return forgetNetworks(ctx, userID) },
		func() error { return removeEnrolment(ctx, userID) },
	} {
		if err := forget(); err != nil {
			return err
		}
	}
	return nil
}
