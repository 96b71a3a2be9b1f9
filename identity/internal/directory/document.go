package directory

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The bounds of a document.
const (
	MaxDocument = 4 << 20 // bytes
	maxEntries  = 2000    // of one kind
)

// Document says what should be there. What a field does not say stays as it is, an empty list
// empties. Things are named by their names; there are no secrets and no passwords in it.
type Document struct {
	APIs              []APIDoc         `yaml:"apis"`
	Roles             []RoleDoc        `yaml:"roles"`
	Applications      []ApplicationDoc `yaml:"applications"`
	ClientGrants      []GrantDoc       `yaml:"client_grants"`
	Connections       []ConnectionDoc  `yaml:"connections"`
	ManagedIdentities []IdentityDoc    `yaml:"managed_identities"`
	Users             []UserDoc        `yaml:"users"`
	// Prune names the kinds of which everything is deleted that the document does not name: the
	// keys of the lists above. What belongs to the system stays.
	Prune []string `yaml:"prune"`
}

// APIDoc is an API in a document.
type APIDoc struct {
	Identifier          string       `yaml:"identifier" json:"identifier"`
	Name                *string      `yaml:"name" json:"name"`
	Permissions         []Permission `yaml:"scopes" json:"scopes"`
	SigningAlg          *string      `yaml:"signing_alg" json:"signing_alg"`
	TokenLifetime       *int         `yaml:"token_lifetime" json:"token_lifetime"`
	TokenLifetimeForWeb *int         `yaml:"token_lifetime_for_web" json:"token_lifetime_for_web"`
	AllowOfflineAccess  *bool        `yaml:"allow_offline_access" json:"allow_offline_access"`
	EnforcePolicies     *bool        `yaml:"enforce_policies" json:"enforce_policies"`
	TokenDialect        *string      `yaml:"token_dialect" json:"token_dialect"`
	SkipConsent         *bool        `yaml:"skip_consent_for_verifiable_first_party_clients" json:"skip_consent_for_verifiable_first_party_clients"`
	Introspectors       []string     `yaml:"introspectors" json:"introspectors"` // client ids
}

// PermissionsDoc are permissions: their names by the identifier of the API. ManagementAlias stands for
// the management API, in the audience of a grant as well.
type PermissionsDoc map[string][]string

// RoleDoc is a role in a document.
type RoleDoc struct {
	Name        string         `yaml:"name" json:"name"`
	Description *string        `yaml:"description" json:"description"`
	Permissions PermissionsDoc `yaml:"permissions" json:"-"`
}

// ApplicationDoc is an application in a document, found by its client id if there is one, else by its
// name. One that is made has a secret nobody knows; RotateSecret gives another.
type ApplicationDoc struct {
	ClientID          string   `yaml:"client_id" json:"client_id"`
	Name              string   `yaml:"name" json:"name"`
	Description       *string  `yaml:"description" json:"description"`
	LogoURI           *string  `yaml:"logo_uri" json:"logo_uri"`
	Type              *string  `yaml:"app_type" json:"app_type"`
	FirstParty        *bool    `yaml:"is_first_party" json:"is_first_party"`
	Callbacks         []string `yaml:"callbacks" json:"callbacks"`
	AllowedLogoutURLs []string `yaml:"allowed_logout_urls" json:"allowed_logout_urls"`
	WebOrigins        []string `yaml:"web_origins" json:"web_origins"`
	GrantTypes        []string `yaml:"grant_types" json:"grant_types"`
	AuthMethod        *string  `yaml:"token_endpoint_auth_method" json:"token_endpoint_auth_method"`
	// PublicKeys are those of private_key_jwt, as JWK. ParseDocument makes Keys of them.
	PublicKeys      []map[string]any  `yaml:"public_keys" json:"-"`
	Keys            []json.RawMessage `yaml:"-" json:"public_keys"`
	Federated       []TrustRule       `yaml:"federated" json:"federated"`
	IDTokenLifetime *int              `yaml:"id_token_lifetime" json:"id_token_lifetime"`
	IDTokenAlg      *string           `yaml:"id_token_alg" json:"id_token_alg"`
	RefreshLifetime *int              `yaml:"refresh_lifetime" json:"refresh_lifetime"`
	RefreshIdle     *int              `yaml:"refresh_idle" json:"refresh_idle"`
	RefreshLeeway   *int              `yaml:"refresh_leeway" json:"refresh_leeway"`
	Connections     []string          `yaml:"connections" json:"connections"`
	Metadata        map[string]any    `yaml:"client_metadata" json:"client_metadata"`
}

// GrantDoc is a client grant in a document.
type GrantDoc struct {
	Application string   `yaml:"application" json:"-"` // its name or client id
	Audience    string   `yaml:"audience" json:"-"`
	Scope       []string `yaml:"scope" json:"scope"`
}

// ConnectionDoc is a connection in a document.
type ConnectionDoc struct {
	Name         string      `yaml:"name" json:"name"`
	DisplayName  *string     `yaml:"display_name" json:"display_name"`
	Strategy     string      `yaml:"strategy" json:"-"`     // default "perdure"
	Applications []string    `yaml:"applications" json:"-"` // their names or client ids
	ForAll       *bool       `yaml:"is_domain_connection" json:"is_domain_connection"`
	Disabled     *bool       `yaml:"disabled" json:"disabled"`
	Options      *OptionsDoc `yaml:"options" json:"options"`
}

// OptionsDoc are the options of a connection in a document.
type OptionsDoc struct {
	DisableSignup        *bool    `yaml:"disable_signup" json:"disable_signup"`
	RequiresUsername     *bool    `yaml:"requires_username" json:"requires_username"`
	MinLength            *int     `yaml:"min_length" json:"min_length"`
	RequireVerifiedEmail *bool    `yaml:"require_verified_email" json:"require_verified_email"`
	Issuer               *string  `yaml:"issuer" json:"issuer"`
	ClientID             *string  `yaml:"client_id" json:"client_id"`
	Scopes               []string `yaml:"scopes" json:"scopes"`
	Link                 *string  `yaml:"link" json:"link"`
}

// IdentityDoc is a managed identity in a document.
type IdentityDoc struct {
	Name        string         `yaml:"name" json:"name"`
	Resources   []string       `yaml:"resources" json:"resources"`
	Federated   []TrustRule    `yaml:"federated" json:"federated"`
	Roles       []string       `yaml:"roles" json:"-"` // their names
	Permissions PermissionsDoc `yaml:"permissions" json:"-"`
}

// UserDoc is a user in a document, found by the e-mail address if there is one, else by the username.
type UserDoc struct {
	Connection    string         `yaml:"connection" json:"-"` // default DefaultConnection
	Email         string         `yaml:"email" json:"-"`
	EmailVerified *bool          `yaml:"email_verified" json:"email_verified"`
	Username      *string        `yaml:"username" json:"username"`
	Name          *string        `yaml:"name" json:"name"`
	GivenName     *string        `yaml:"given_name" json:"given_name"`
	FamilyName    *string        `yaml:"family_name" json:"family_name"`
	Nickname      *string        `yaml:"nickname" json:"nickname"`
	Picture       *string        `yaml:"picture" json:"picture"`
	PhoneNumber   *string        `yaml:"phone_number" json:"phone_number"`
	Blocked       *bool          `yaml:"blocked" json:"blocked"`
	UserMetadata  map[string]any `yaml:"user_metadata" json:"user_metadata"`
	AppMetadata   map[string]any `yaml:"app_metadata" json:"app_metadata"`
	Roles         []string       `yaml:"roles" json:"-"` // their names
	Permissions   PermissionsDoc `yaml:"permissions" json:"-"`
}

// The kinds of things in a document.
const (
	kindAPI         = "apis"
	kindRole        = "roles"
	kindApplication = "applications"
	kindGrant       = "client_grants"
	kindConnection  = "connections"
	kindIdentity    = "managed_identities"
	kindUser        = "users"
)

// Kinds are the kinds of things in a document, as it names its lists.
func Kinds() []string {
	return []string{kindAPI, kindRole, kindApplication, kindGrant, kindConnection, kindIdentity, kindUser}
}

// ParseDocument reads a document: YAML, or JSON. A field that it does not know is an error which names the
// line.
func ParseDocument(data []byte) (*Document, error) {
	if len(data) > MaxDocument {
		return nil, invalid("document", "it has %d bytes, at most %d are allowed", len(data), MaxDocument)
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	doc := &Document{}
	if err := dec.Decode(doc); err != nil && !errors.Is(err, io.EOF) {
		return nil, invalid("document", "%s", yamlReason(err))
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, invalid("document", "there is a second document behind ---; one file has one")
	}
	for kind, n := range map[string]int{
		kindAPI: len(doc.APIs), kindRole: len(doc.Roles), kindApplication: len(doc.Applications), kindGrant: len(doc.ClientGrants),
		kindConnection: len(doc.Connections), kindIdentity: len(doc.ManagedIdentities), kindUser: len(doc.Users),
	} {
		if n > maxEntries {
			return nil, invalid(kind, "there are %d, at most %d are allowed in one document", n, maxEntries)
		}
	}
	for i := range doc.Applications {
		if err := doc.Applications[i].readKeys(fmt.Sprintf("applications[%d].public_keys", i)); err != nil {
			return nil, err
		}
	}
	return doc, checkEach("prune", doc.Prune, 7, func(field, s string) error {
		return checkOneOf(field, s, Kinds()...)
	})
}

// The decoder of YAML names types of Go, which say nothing to who wrote the document.
var (
	unknownField = regexp.MustCompile(`field (.*) not found in type \S+`)
	unfitValue   = regexp.MustCompile(`cannot unmarshal (.*) into \S+`)
)

// yamlReason says in one line what is wrong with a document.
func yamlReason(err error) string {
	reason := strings.TrimPrefix(err.Error(), "yaml: ")
	if wrong := new(yaml.TypeError); errors.As(err, &wrong) {
		reason = strings.TrimPrefix(reason, "unmarshal errors:\n")
		lines := strings.Split(reason, "\n")
		for i, line := range lines {
			line = unknownField.ReplaceAllString(strings.TrimSpace(line), `field "$1" is not known here`)
			lines[i] = unfitValue.ReplaceAllString(line, "$1 does not fit here")
		}
		reason = strings.Join(lines, "; ")
	}
	return reason
}

// readKeys makes Keys of PublicKeys.
func (d *ApplicationDoc) readKeys(field string) error {
	if d.PublicKeys == nil {
		return nil
	}
	d.Keys = []json.RawMessage{}
	for i, key := range d.PublicKeys {
		text, err := json.Marshal(key)
		if err != nil { // YAML has maps whose keys are no texts
			return invalid(fmt.Sprintf("%s[%d]", field, i), "it is no JWK")
		}
		d.Keys = append(d.Keys, text)
	}
	return nil
}
