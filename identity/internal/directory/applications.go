package directory

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// The types of applications.
const (
	TypeRegularWeb     = "regular_web"
	TypeSPA            = "spa"
	TypeNative         = "native"
	TypeNonInteractive = "non_interactive"
)

// The methods by which applications authenticate at the token endpoint.
const (
	MethodNone       = "none"
	MethodPost       = "client_secret_post"
	MethodBasic      = "client_secret_basic"
	MethodPrivateKey = "private_key_jwt"
)

// The grant types.
const (
	GrantCode        = "authorization_code"
	GrantRefresh     = "refresh_token"
	GrantClient      = "client_credentials"
	GrantDevice      = "urn:ietf:params:oauth:grant-type:device_code"
	GrantExchange    = "urn:ietf:params:oauth:grant-type:token-exchange"
	GrantAssertion   = "urn:ietf:params:oauth:grant-type:jwt-bearer" // by an assertion of the application's own key
	GrantPassword    = "password"                                    // discouraged: for applications of the first party
	maxSecrets       = 5
	maxPublicKeys    = 10
	maxPublicKeySize = 4096
)

// GrantTypes are those that applications may use.
func GrantTypes() []string {
	return []string{GrantCode, GrantRefresh, GrantClient, GrantDevice, GrantExchange, GrantAssertion, GrantPassword}
}

// Public reports whether the application cannot keep a secret.
func (a *Application) Public() bool { return a.AuthMethod == MethodNone }

// CreateApplication makes an application and returns its secret, which is not kept and cannot be had
// again; it is empty for an application that has none. An id is given to it unless it has one.
func (e *Env) CreateApplication(ctx context.Context, by Actor, a *Application) (row *Application, secret string, err error) {
	copied := *a
	row = &copied
	row.CreatedAt = e.Now()
	row.UpdatedAt = row.CreatedAt
	row.Secrets = nil
	if row.ClientID == "" {
		row.ClientID = newID("", row.CreatedAt)
	} else if _, err := e.Application(ctx, row.ClientID); err == nil {
		return nil, "", fmt.Errorf("application %q: %w", row.ClientID, ErrExists)
	} else if !errors.Is(err, ErrNotFound) {
		return nil, "", err
	}
	applicationDefaults(row)
	if err := e.checkApplication(ctx, row); err != nil {
		return nil, "", err
	}
	if row.AuthMethod == MethodPost || row.AuthMethod == MethodBasic {
		secret = addSecret(row, e.Now(), 0)
	}
	if err := put(ctx, Applications, "application", row.ClientID, row); err != nil {
		return nil, "", err
	}
	return row, secret, e.note(ctx, by, AuditCreated, row.ClientID, "application %q was created", row.Name)
}

// applicationDefaults sets what is the same for most applications of a type.
func applicationDefaults(a *Application) {
	if a.Type == "" {
		a.Type = TypeRegularWeb
	}
	if a.AuthMethod == "" {
		a.AuthMethod = MethodPost
		if a.Type == TypeSPA || a.Type == TypeNative {
			a.AuthMethod = MethodNone
		}
	}
	if a.GrantTypes == nil {
		switch a.Type {
		case TypeNonInteractive:
			a.GrantTypes = []string{GrantClient}
		case TypeNative:
			a.GrantTypes = []string{GrantCode, GrantRefresh, GrantDevice}
		case TypeRegularWeb:
			a.GrantTypes = []string{GrantCode, GrantRefresh, GrantClient}
		default:
			a.GrantTypes = []string{GrantCode, GrantRefresh}
		}
	}
	if a.IDTokenAlg == "" {
		a.IDTokenAlg = RS256
	}
}

func (e *Env) checkApplication(ctx context.Context, a *Application) error {
	redirect := func(field, s string) error { return checkRedirect(field, s, a.Type) }
	if !clientID.MatchString(a.ClientID) {
		return invalid("client_id", "%.80q is no client id: 1 to 64 letters and digits of ASCII, _ and - are allowed", a.ClientID)
	}
	if a.LogoURI != "" {
		if err := checkWebURL("logo_uri", a.LogoURI); err != nil {
			return err
		}
	}
	for _, err := range []error{
		checkText("name", a.Name, 1, MaxText),
		checkText("description", a.Description, 0, MaxDescription),
		checkOneOf("app_type", a.Type, TypeRegularWeb, TypeSPA, TypeNative, TypeNonInteractive),
		checkOneOf("token_endpoint_auth_method", a.AuthMethod, MethodNone, MethodPost, MethodBasic, MethodPrivateKey),
		checkOneOf("id_token_alg", a.IDTokenAlg, Algorithms()...),
		checkEach("callbacks", a.Callbacks, MaxURLsOfApplication, redirect),
		checkEach("allowed_logout_urls", a.AllowedLogoutURLs, MaxURLsOfApplication, redirect),
		checkEach("web_origins", a.WebOrigins, MaxURLsOfApplication, checkOrigin),
		checkEach("grant_types", a.GrantTypes, len(GrantTypes()), func(field, s string) error { return checkOneOf(field, s, GrantTypes()...) }),
		checkRange("id_token_lifetime", a.IDTokenLifetime, 60, 30*86400),
		checkRange("refresh_lifetime", a.RefreshLifetime, 60, 366*86400),
		checkRange("refresh_idle", a.RefreshIdle, 60, 366*86400),
		checkRange("refresh_leeway", a.RefreshLeeway, 0, 60),
		checkMetadata("client_metadata", a.Metadata),
		checkTrust("federated", a.Federated),
		checkKeys("public_keys", a.Keys),
	} {
		if err != nil {
			return err
		}
	}
	if a.Public() && slices.Contains(a.GrantTypes, GrantClient) {
		return invalid("grant_types", "an application without authentication (token_endpoint_auth_method none) cannot use %s", GrantClient)
	}
	if a.AuthMethod == MethodPrivateKey && len(a.Keys) == 0 && len(a.Federated) == 0 {
		return invalid("public_keys", "they are missing: %s needs a key", MethodPrivateKey)
	}
	return checkEach("connections", a.Connections, MaxConnections, func(field, s string) error {
		_, err := e.ConnectionByName(ctx, s)
		if errors.Is(err, ErrNotFound) {
			return invalid(field, "there is no connection %.80q", s)
		}
		return err
	})
}

// checkKeys wants public keys in the form of a JWK.
func checkKeys(field string, keys []json.RawMessage) error {
	if len(keys) > maxPublicKeys {
		return invalid(field, "there are %d, at most %d are allowed", len(keys), maxPublicKeys)
	}
	for i, raw := range keys {
		at := fmt.Sprintf("%s[%d]", field, i)
		if len(raw) > maxPublicKeySize {
			return invalid(at, "it has %d bytes, at most %d are allowed", len(raw), maxPublicKeySize)
		}
		var k jose.JSONWebKey
		if err := k.UnmarshalJSON(raw); err != nil {
			return invalid(at, "it is no JWK")
		}
		if !k.Valid() || !k.IsPublic() {
			return invalid(at, "it is not a public key: only the public half belongs here")
		}
	}
	return nil
}

// checkTrust checks rules of workload identity federation, and sets the default audience.
func checkTrust(field string, rules []TrustRule) error {
	if len(rules) > MaxTrustRules {
		return invalid(field, "there are %d, at most %d are allowed", len(rules), MaxTrustRules)
	}
	for i := range rules {
		r, at := &rules[i], fmt.Sprintf("%s[%d]", field, i)
		if r.Audience == "" {
			r.Audience = DefaultTrustAudience
		}
		for _, err := range []error{
			checkText(at+".name", r.Name, 1, MaxText),
			checkWebURL(at+".issuer", r.Issuer),
			checkText(at+".subject", r.Subject, 1, 600),
			checkIdentifier(at+".audience", r.Audience),
		} {
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// DefaultTrustAudience is the audience of the tokens that stand for a principal.
const DefaultTrustAudience = "api://AzureADTokenExchange"

// addSecret gives an application a new secret, and lets those it has end after overlap.
func addSecret(a *Application, now time.Time, overlap time.Duration) string {
	kept := []AppSecret{}
	for _, s := range a.Secrets {
		if end := now.Add(overlap); s.Expires.IsZero() || s.Expires.After(end) {
			s.Expires = end
		}
		if s.Expires.After(now) && len(kept) < maxSecrets-1 {
			kept = append(kept, s)
		}
	}
	b := make([]byte, 32)
	_, _ = rand.Read(b)
	secret := base64.RawURLEncoding.EncodeToString(b)
	digest := sha256.Sum256([]byte(secret))
	a.Secrets = append([]AppSecret{{
		ID: newID("sec_", now), Digest: digest[:], Hint: secret[len(secret)-3:], Created: now,
	}}, kept...)
	return secret
}

// RotateSecret gives an application a new secret and returns it. The ones before are good for overlap
// longer.
func (e *Env) RotateSecret(ctx context.Context, by Actor, id string, overlap time.Duration) (row *Application, secret string, err error) {
	if overlap < 0 || overlap > 30*24*time.Hour {
		return nil, "", invalid("overlap", "it is out of range: up to 30 days are allowed")
	}
	row, err = update(ctx, Applications, "application", id, func(a, _ *Application) error {
		if a.AuthMethod != MethodPost && a.AuthMethod != MethodBasic {
			return invalid("token_endpoint_auth_method", "an application with the method %q has no secret", a.AuthMethod)
		}
		secret, a.UpdatedAt = addSecret(a, e.Now(), overlap), e.Now()
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	return row, secret, e.note(ctx, by, AuditUpdated, id, "application %q got a new secret", row.Name)
}

// CheckSecret reports whether secret is one of the application's, in constant time.
func (e *Env) CheckSecret(a *Application, secret string) bool {
	digest := sha256.Sum256([]byte(secret))
	good := 0
	for _, s := range a.Secrets {
		if s.Expires.IsZero() || s.Expires.After(e.Now()) {
			good |= subtle.ConstantTimeCompare(s.Digest, digest[:])
		}
	}
	return good == 1
}

// Application returns an application by its client id.
func (e *Env) Application(ctx context.Context, id string) (*Application, error) {
	return get(ctx, Applications, "application", id)
}

// UpdateApplication changes an application. Its secrets have functions of their own.
func (e *Env) UpdateApplication(ctx context.Context, by Actor, id string, fn func(*Application) error) (*Application, error) {
	row, err := update(ctx, Applications, "application", id, func(a, old *Application) error {
		if err := fn(a); err != nil {
			return err
		}
		a.ClientID, a.CreatedAt, a.Secrets, a.System = old.ClientID, old.CreatedAt, old.Secrets, old.System
		a.UpdatedAt = e.Now()
		applicationDefaults(a)
		if a.AuthMethod == MethodNone || a.AuthMethod == MethodPrivateKey {
			a.Secrets = nil
		}
		return e.checkApplication(ctx, a)
	})
	if err != nil {
		return nil, err
	}
	return row, e.note(ctx, by, AuditUpdated, id, "application %q was updated", row.Name)
}

// DeleteApplication deletes an application with its grants, and takes it from connections.
func (e *Env) DeleteApplication(ctx context.Context, by Actor, id string) error {
	a, err := e.Application(ctx, id)
	if err != nil {
		return err
	}
	if a.System {
		return fmt.Errorf("application %q: %w", a.Name, ErrSystem)
	}
	for row, err := range ClientGrants.ScanIndex(ctx, ClientGrantsByClient.Equal(id)) {
		if err != nil {
			return err
		}
		if err := e.dropGrant(ctx, row.Value); err != nil {
			return err
		}
	}
	for row, err := range Connections.Scan(ctx, "") {
		if err != nil {
			return err
		}
		if c := row.Value; slices.Contains(c.EnabledClients, id) {
			c.EnabledClients = slices.DeleteFunc(c.EnabledClients, func(s string) bool { return s == id })
			if err := put(ctx, Connections, "connection", c.ID, c); err != nil {
				return err
			}
		}
	}
	if err := Applications.Delete(ctx, Key(id)); err != nil {
		return err
	}
	if err := e.ended(ctx, id+"@clients"); err != nil {
		return err
	}
	return e.note(ctx, by, AuditDeleted, id, "application %q was deleted", a.Name)
}

// ApplicationFilter says which applications to list. Empty fields select all.
type ApplicationFilter struct {
	Types      []string
	FirstParty *bool
	Paging
}

// ListApplications lists applications in the order of their client ids.
func (e *Env) ListApplications(ctx context.Context, f ApplicationFilter) (Listing[Application], error) {
	return list(f.Paging, func(a *Application) bool {
		return (len(f.Types) == 0 || slices.Contains(f.Types, a.Type)) && (f.FirstParty == nil || *f.FirstParty == a.FirstParty)
	}, scanOf(ctx, Applications))
}
