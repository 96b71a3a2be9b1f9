package checks

import (
	"cmp"
	"crypto"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/internal/doctor"
)

// The bounds that the checks know.
const (
	oldSecret    = 365 * 24 * time.Hour
	longLifetime = 86_400 // seconds: longer is long for an access token, which nothing ends
	graceOfKeys  = 24 * time.Hour
)

// all are the checks. Each looks at one thing.
var all = []func(*State) []doctor.Finding{
	issuer, noAdministrator, secondFactors, demo, mail,
	passwordGrant, publicApplications, redirects, oldSecrets, unusedSecrets, manySecrets, mightyApplications,
	rbac, lifetimes, dueKeys, revokedKeys, linking, upstreams, signup,
}

// Findings runs all checks.
func (s *State) Findings() []doctor.Finding {
	findings := []doctor.Finding{}
	for _, check := range all {
		findings = append(findings, check(s)...)
	}
	return findings
}

// weak is a finding.
func weak(check string, severity doctor.Severity, subject, reason, mend string) doctor.Finding {
	return doctor.Finding{Check: check, Severity: severity, Subject: subject, Reason: reason, Mend: mend}
}

// loopback reports whether a URL is one of this machine's own.
func loopback(u *url.URL) bool {
	host := u.Hostname()
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

// plain reports whether a URL is reached over the network without TLS.
func plain(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme == "http" && !loopback(u)
}

func issuer(s *State) []doctor.Finding {
	if !plain(s.Issuer) {
		return nil
	}
	return []doctor.Finding{weak("issuer-http", doctor.Critical, s.Issuer, "the issuer is reached without TLS: passwords and tokens can be read on the way", "serve it by https")}
}

func noAdministrator(s *State) []doctor.Finding {
	if len(s.Administrators) > 0 {
		return nil
	}
	return []doctor.Finding{weak("no-administrator", doctor.Warning, "", "nobody administers this provider but by the command on this machine", "perdure users create-admin EMAIL")}
}

func secondFactors(s *State) (found []doctor.Finding) {
	for _, u := range s.Administrators {
		if len(u.SecondFactors) == 0 {
			found = append(found, weak("administrator-factor", doctor.Warning, cmp.Or(u.Email, u.Username, u.ID), "an administrator signs in without a second factor", "the user adds a passkey or a code generator at "+s.Issuer+"u/account"))
		}
	}
	return found
}

func demo(s *State) []doctor.Finding {
	if !s.Demo {
		return nil
	}
	return []doctor.Finding{weak("demo-mode", doctor.Warning, "", "there are accounts of demo mode, whose passwords lie in a file", "take a new data folder for everything but trying things out")}
}

func mail(s *State) []doctor.Finding {
	if s.Mail {
		return nil
	}
	return []doctor.Finding{weak("no-mail", doctor.Note, "", "the provider sends no mail: nobody can verify an address or reset a password without an administrator", "set Identity.Mail")}
}

func passwordGrant(s *State) (found []doctor.Finding) {
	for _, a := range s.Applications {
		if slices.Contains(a.GrantTypes, directory.GrantPassword) {
			found = append(found, weak("password-grant", doctor.Warning, a.Name, "the application sees the passwords of users, and they sign in without a second factor (grant type password)", "let it send users to the login page: authorization_code"))
		}
	}
	return found
}

func publicApplications(s *State) (found []doctor.Finding) {
	for _, a := range s.Applications {
		if a.Public() {
			found = append(found, weak("public-application", doctor.Note, a.Name, "whoever knows the client id can call itself this application: only its callbacks keep others out", "where it runs on a server, give it a secret: token_endpoint_auth_method client_secret_post"))
		}
	}
	return found
}

func redirects(s *State) (found []doctor.Finding) {
	for _, a := range s.Applications {
		for _, target := range slices.Concat(a.Callbacks, a.AllowedLogoutURLs, a.WebOrigins) {
			u, err := url.Parse(target)
			switch {
			case err != nil || strings.Contains(target, "*"):
				found = append(found, weak("redirect-wildcard", doctor.Critical, a.Name+" "+target, "the URL stands for many, some of which may be somebody else's", "name each URL"))
			case plain(target):
				found = append(found, weak("redirect-http", doctor.Warning, a.Name+" "+target, "codes go to this URL without TLS", "use https"))
			case u.Scheme == "http" && strings.HasPrefix(s.Issuer, "https:") && !localIssuer(s) && a.Type != directory.TypeNative:
				found = append(found, weak("redirect-loopback", doctor.Warning, a.Name+" "+target, "a URL of developers' machines in an environment that is none", "remove it"))
			}
		}
	}
	return found
}

func localIssuer(s *State) bool {
	u, err := url.Parse(s.Issuer)
	return err == nil && loopback(u)
}

func oldSecrets(s *State) (found []doctor.Finding) {
	for _, a := range s.Applications {
		for _, secret := range live(a, s.Now) {
			if age := s.Now.Sub(secret.Created); age > oldSecret && !a.System {
				found = append(found, weak("secret-old", doctor.Warning, a.Name, fmt.Sprintf("its secret is %d days old", int(age.Hours()/24)), "perdure apps rotate-secret "+a.ClientID))
			}
		}
	}
	return found
}

func unusedSecrets(s *State) (found []doctor.Finding) {
	for _, a := range s.Applications {
		secrets := live(a, s.Now)
		if len(secrets) == 0 || a.System {
			continue
		}
		switch {
		case a.AuthMethod != directory.MethodPost && a.AuthMethod != directory.MethodBasic:
			found = append(found, weak("secret-unused", doctor.Note, a.Name, fmt.Sprintf("it has a secret, but authenticates by %s", a.AuthMethod), "nothing takes the secret; make the application anew to be rid of it"))
		case slices.Equal(a.GrantTypes, []string{directory.GrantClient}) && s.LastTokens[a.ClientID].IsZero() && s.Now.Sub(secrets[0].Created) > directory.AuditRetention:
			found = append(found, weak("secret-unused", doctor.Warning, a.Name, fmt.Sprintf("it got no token in the last %d days: its secret may be forgotten somewhere", int(directory.AuditRetention.Hours()/24)), "perdure apps delete "+a.ClientID+", if nobody needs it"))
		}
	}
	return found
}

func manySecrets(s *State) (found []doctor.Finding) {
	for _, a := range s.Applications {
		if n := len(live(a, s.Now)); n > 1 {
			found = append(found, weak("secrets-many", doctor.Note, a.Name, fmt.Sprintf("%d of its secrets are good: the earlier ones until they end", n), "none, if its secret was just rotated"))
		}
	}
	return found
}

func mightyApplications(s *State) (found []doctor.Finding) {
	names := map[string]string{}
	for _, a := range s.Applications {
		names[a.ClientID] = a.Name
	}
	for _, g := range s.Grants {
		if g.Audience == s.Issuer+"api/v2/" && slices.ContainsFunc(g.Scope, administers) {
			found = append(found, weak("application-administers", doctor.Note, cmp.Or(names[g.ClientID], g.ClientID), "who has its secret may change users, rights or applications", "grant it what it needs alone; keep the secret as the master key is kept"))
		}
	}
	return found
}

func rbac(s *State) (found []doctor.Finding) {
	for _, a := range s.APIs {
		if !a.EnforcePolicies && len(a.Permissions) > 0 {
			found = append(found, weak("api-without-rbac", doctor.Warning, a.Identifier, "applications get each permission of the API that they ask for, whatever the user may do", "turn RBAC on: perdure apis update "+a.Identifier+" --rbac"))
		}
	}
	return found
}

func lifetimes(s *State) (found []doctor.Finding) {
	for _, a := range s.APIs {
		if n := max(a.TokenLifetime, a.TokenLifetimeForWeb); n > longLifetime {
			found = append(found, weak("token-lifetime", doctor.Warning, a.Identifier, fmt.Sprintf("its access tokens are good for %s, also when the user is blocked meanwhile", time.Duration(n)*time.Second), "an hour, and refresh tokens: perdure apis update "+a.Identifier+" --token-lifetime 3600 --offline-access"))
		}
	}
	return found
}

func dueKeys(s *State) (found []doctor.Finding) {
	for _, k := range s.Keys {
		if k.State == directory.KeyCurrent && s.Now.Sub(k.Activated) > directory.KeyPeriod+graceOfKeys {
			found = append(found, weak("key-due", doctor.Warning, k.ID, fmt.Sprintf("the key signs since %s, longer than it should", k.Activated.Format(time.DateOnly)), "perdure keys rotate"))
		}
	}
	return found
}

func revokedKeys(s *State) (found []doctor.Finding) {
	for _, k := range s.Keys {
		if k.State == directory.KeyRevoked {
			found = append(found, weak("key-revoked", doctor.Note, k.ID, "the key was revoked; who verifies tokens elsewhere may know it still", "start anew what keeps keys for long"))
		}
	}
	return found
}

func linking(s *State) (found []doctor.Finding) {
	for _, c := range s.Connections {
		if c.Options.Link == directory.LinkVerified && !c.Disabled {
			found = append(found, weak("connection-links", doctor.Warning, c.Name, "whoever the issuer upstream says has a user's verified address becomes that user", "options.link never, unless you trust that issuer with every account"))
		}
	}
	return found
}

func upstreams(s *State) (found []doctor.Finding) {
	for _, c := range s.Connections {
		if c.Strategy == directory.StrategyOIDC && plain(c.Options.Issuer) {
			found = append(found, weak("connection-http", doctor.Critical, c.Name, "the issuer upstream is reached without TLS", "use its https URL"))
		}
	}
	return found
}

func signup(s *State) (found []doctor.Finding) {
	for _, c := range s.Connections {
		if c.Strategy != directory.StrategyDatabase || c.Options.DisableSignup || c.Disabled {
			continue
		}
		if c.Options.RequireVerifiedEmail {
			found = append(found, weak("signup-open", doctor.Note, c.Name, "everybody who reaches the page can make an account", "Identity.SignUp false, unless it is meant so"))
			continue
		}
		found = append(found, weak("signup-unverified", doctor.Warning, c.Name, "everybody can make an account, with an address that is not theirs", "options: {require_verified_email: true} for the connection, by perdure apply, and Identity.Mail; or Identity.SignUp false"))
	}
	return found
}

// thumbprint is that of a public key, whatever else its JWK says.
func thumbprint(key json.RawMessage) []byte {
	var k jose.JSONWebKey
	if k.UnmarshalJSON(key) == nil {
		if print, err := k.Thumbprint(crypto.SHA256); err == nil {
			return print
		}
	}
	return key
}
