package identity

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/perdure/perdure/mail"
)

// Config configures the provider of an app. The zero value works.
type Config struct {
	// Issuer is the URL of the provider, with the slash at its end, as it stands in
	// tokens. Default "http://localhost:PORT/" with the port that the app listens on, or
	// "https://localhost:PORT/" with that of Listen.
	Issuer string
	// Listen is an address of the provider's own, served by TLS: "localhost:8443". Default: the
	// provider is served where the app's functions are, below paths such as
	// /authorize, /oauth/token, /u/ and /api/v2/.
	Listen string
	// CertFile and KeyFile are the certificate of Listen and its key, in PEM. Default: one that the local
	// authority signs, whose own certificate is ca.pem in the data folder.
	CertFile, KeyFile string
	// API is what tokens for the app's functions are for.
	API API
	// Roles are made at the first start. What an administrator has changed stays.
	Roles []Role
	// SignUp lets people make accounts for themselves.
	SignUp bool
	// Mail sends messages to people, such as mail.NewSMTP. They leave after the commit, by an outbox
	// that tries again. Without it nobody can verify an address or reset a password by mail.
	Mail mail.Sender
	// BreachedPasswords is a file of SHA-1 digests of passwords that are known to
	// attackers, as haveibeenpwned.com offers it, sorted: such passwords are refused.
	BreachedPasswords string
	// Branding changes the look of the pages.
	Branding Branding
	// NoLogin leaves the app's own pages without sign-in.
	NoLogin bool
	// Demo makes accounts for trying the app out. A folder with such accounts is refused without it.
	Demo *Demo
}

// API is what access tokens are for: an audience and the permissions that it knows, which
// are those that the policies of the app's functions name.
type API struct {
	// Identifier is the audience, an absolute URI; it is a name, and nothing is fetched from it.
	// Default "urn:perdure:app".
	Identifier string
	// Name is for people. Default "App".
	Name string
}

// Role is a named set of the permissions of the app's API.
type Role struct {
	Name        string
	Description string
	Permissions []string
}

// Branding is the look of the pages.
type Branding struct {
	// Name is that of the product; default the title of the app.
	Name string
	// LogoURL is a path or an https URL of an image.
	LogoURL string
	// Color is that of buttons and links, as CSS writes it: "#0a5" or "#00aa55".
	Color string
	// CSSPath is a file with a style sheet that comes after that of the pages.
	CSSPath string
}

// Demo are the accounts of demo mode. Their passwords and tokens are written to
// DemoFile in the data folder.
type Demo struct {
	// Users are the people.
	Users []DemoUser
	// ClientPermissions are what the demo client may do at the app's API as itself.
	ClientPermissions []string
}

// DemoUser is a person of demo mode.
type DemoUser struct {
	Username string
	Name     string
	Roles    []string
}

// The defaults of API.
const (
	defaultAPI     = "urn:perdure:app"
	defaultAPIName = "App"
)

// WithDefaults returns a filled copy. Title is that of the app.
func (c Config) WithDefaults(title string) Config {
	set := func(p *string, v string) {
		if *p == "" {
			*p = v
		}
	}
	set(&c.API.Name, title)
	set(&c.API.Name, defaultAPIName)
	set(&c.API.Identifier, defaultAPI)
	set(&c.Branding.Name, title)
	set(&c.Branding.Name, "Perdure")
	return c
}

// Validate names each field that is wrong, and the mend.
func (c Config) Validate() error {
	errs := []error{c.validateIssuer()}
	if u, err := url.Parse(c.API.Identifier); err != nil || !u.IsAbs() {
		errs = append(errs, fmt.Errorf("Identity.API.Identifier %q: want an absolute URI such as https://orders.example.com", c.API.Identifier))
	}
	if c.Listen != "" {
		if _, _, err := net.SplitHostPort(c.Listen); err != nil {
			errs = append(errs, fmt.Errorf("Identity.Listen %q: want host:port, such as localhost:8443", c.Listen))
		}
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		errs = append(errs, errors.New("Identity.CertFile, Identity.KeyFile: give both or none"))
	}
	roles := map[string]bool{}
	for _, r := range c.Roles {
		if r.Name == "" || roles[r.Name] {
			errs = append(errs, fmt.Errorf("Identity.Roles: the name %q is empty or there twice", r.Name))
		}
		roles[r.Name] = true
	}
	if c.Demo != nil {
		for _, u := range c.Demo.Users {
			for _, role := range u.Roles {
				if !roles[role] {
					errs = append(errs, fmt.Errorf("Identity.Demo: user %q has the role %q, which Identity.Roles does not have", u.Username, role))
				}
			}
		}
	}
	return errors.Join(errs...)
}

func (c Config) validateIssuer() error {
	if c.Issuer == "" {
		return nil
	}
	u, err := url.Parse(c.Issuer)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("Identity.Issuer %q: want a URL such as https://id.example.com/", c.Issuer)
	case u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return fmt.Errorf("Identity.Issuer %q: want the root of a host, with one slash at the end", c.Issuer)
	case u.Scheme == "http" && !loopbackHost(u.Hostname()):
		return fmt.Errorf("Identity.Issuer %q: http is for loopback addresses alone; use https", c.Issuer)
	}
	return nil
}

// loopbackHost reports whether a host name is one of this machine's own.
func loopbackHost(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}
