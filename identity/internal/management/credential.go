package management

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"slices"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/perdure/perdure/identity/internal/directory"
)

const minRSABits = 2048

func credentialEndpoints() []endpoint {
	return []endpoint{
		{method: http.MethodGet, path: "clients/{id}/credentials", permissions: []string{"read:client_credentials"}, query: pages, run: listCredentials},
		{method: http.MethodPost, path: "clients/{id}/credentials", permissions: []string{"create:client_credentials"}, run: createCredential},
		{method: http.MethodGet, path: "clients/{id}/credentials/{credential}", permissions: []string{"read:client_credentials"}, run: readCredential},
		{method: http.MethodDelete, path: "clients/{id}/credentials/{credential}", permissions: []string{"delete:client_credentials"}, run: deleteCredential},
	}
}

// credential is a public key of an application. Its row is the JWK itself, with a member more for
// the name, which RFC 7517 section 4 allows.
type credential struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
	KID  string `json:"kid"`
	Type string `json:"credential_type"`
	Alg  string `json:"alg"`

	key json.RawMessage
}

// credentials are those of an application. The id of one is made of its key's thumbprint.
func credentials(a *directory.Application) []credential {
	found := []credential{}
	for _, text := range a.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(text) != nil {
			continue
		}
		var more struct {
			Name string `json:"name"`
		}
		_ = json.Unmarshal(text, &more) // it is an object, as just seen
		id, err := credentialID(&key)
		if err != nil {
			continue
		}
		found = append(found, credential{ID: id, Name: more.Name, KID: key.KeyID, Type: "public_key", Alg: key.Algorithm, key: text})
	}
	return found
}

func credentialID(key *jose.JSONWebKey) (string, error) {
	print, err := key.Thumbprint(crypto.SHA256)
	return "cred_" + base64.RawURLEncoding.EncodeToString(print), err
}

// credentialBody is what a credential is created by.
type credentialBody struct {
	ID         string        `json:"id"` // names one that is there, in a list
	Type       string        `json:"credential_type"`
	Name       string        `json:"name"`
	KID        string        `json:"kid"`
	PEM        string        `json:"pem"`
	Alg        string        `json:"alg"`
	FromCert   bool          `json:"parse_expiry_from_cert"`
	Expiration maybe[string] `json:"expires_at"`
}

// jwk checks the key and returns it as it is stored.
func (b *credentialBody) jwk() (json.RawMessage, error) {
	switch {
	case b.Type != "public_key":
		return nil, invalid("\"credential_type\" must be \"public_key\", not %q", b.Type)
	case b.FromCert || b.Expiration.given():
		return nil, invalid("\"expires_at\" is not supported: remove the credential when it is no longer good")
	case len(b.Name) > directory.MaxText:
		return nil, invalid("\"name\" has more than %d bytes", directory.MaxText)
	}
	public, err := parsePublicKey(b.PEM)
	if err != nil {
		return nil, err
	}
	algorithms, err := algorithmsOf(public)
	if err != nil {
		return nil, err
	}
	if b.Alg == "" {
		b.Alg = algorithms[0]
	}
	if !slices.Contains(algorithms, b.Alg) {
		return nil, invalid("\"alg\" must be one of %v for this key, not %q", algorithms, b.Alg)
	}
	key := jose.JSONWebKey{Key: public, Algorithm: b.Alg, Use: "sig"}
	print, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, invalid("\"pem\" has a key that cannot be used")
	}
	key.KeyID = base64.RawURLEncoding.EncodeToString(print)
	if b.KID != "" && b.KID != key.KeyID {
		if len(b.KID) > directory.MaxID {
			return nil, invalid("\"kid\" has more than %d bytes", directory.MaxID)
		}
		key.KeyID = b.KID
	}
	text, err := key.MarshalJSON()
	if err != nil {
		return nil, invalid("\"pem\" has a key that cannot be used")
	}
	object := map[string]any{}
	if err := json.Unmarshal(text, &object); err != nil {
		return nil, err
	}
	if b.Name != "" {
		object["name"] = b.Name
	}
	return json.Marshal(object)
}

// parsePublicKey reads the public key, or that of a certificate, in PEM.
func parsePublicKey(text string) (crypto.PublicKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, invalid("\"pem\" must be a public key or a certificate in PEM")
	}
	var key crypto.PublicKey
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		var cert *x509.Certificate
		if cert, err = x509.ParseCertificate(block.Bytes); err == nil {
			key = cert.PublicKey
		}
	default:
		return nil, invalid("\"pem\" must be a public key or a certificate, not a %s", block.Type)
	}
	if err != nil {
		return nil, invalid("\"pem\" cannot be read")
	}
	return key, nil
}

// algorithmsOf are the algorithms that a key may be used with, the usual one first.
func algorithmsOf(key crypto.PublicKey) ([]string, error) {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < minRSABits {
			return nil, invalid("\"pem\" has an RSA key of %d bits: at least %d are needed", bits, minRSABits)
		}
		return []string{"RS256", "RS384", "PS256"}, nil
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() {
			return []string{"ES256"}, nil
		}
	case ed25519.PublicKey:
		return []string{"EdDSA"}, nil
	}
	return nil, invalid("\"pem\" must have an RSA, P-256 or Ed25519 key")
}

// listCredentials answers with an array, whatever the parameters of lists say: Auth0's clients send
// them and expect one.
func listCredentials(ctx context.Context, c *call) (*answer, error) {
	a, err := c.env.Application(ctx, c.args["id"])
	if err != nil {
		return nil, err
	}
	return ok(credentials(a))
}

func createCredential(ctx context.Context, c *call) (*answer, error) {
	var b credentialBody
	if err := c.decode("credential", &b); err != nil {
		return nil, err
	}
	if b.ID != "" {
		return nil, invalid("\"id\" is made of the key")
	}
	key, err := b.jwk()
	if err != nil {
		return nil, err
	}
	a, err := c.env.UpdateApplication(ctx, c.actor(), c.args["id"], func(a *directory.Application) error {
		added := credentials(&directory.Application{Keys: []json.RawMessage{key}})
		for _, one := range credentials(a) {
			if len(added) > 0 && one.ID == added[0].ID {
				return fail(http.StatusConflict, "conflict", "The client has this key already.")
			}
		}
		a.Keys = append(a.Keys, key)
		return nil
	})
	if err != nil {
		return nil, err
	}
	all := credentials(a)
	return created(all[len(all)-1])
}

func readCredential(ctx context.Context, c *call) (*answer, error) {
	a, err := c.env.Application(ctx, c.args["id"])
	if err != nil {
		return nil, err
	}
	for _, one := range credentials(a) {
		if one.ID == c.args["credential"] {
			return ok(one)
		}
	}
	return nil, missing("credential")
}

func deleteCredential(ctx context.Context, c *call) (*answer, error) {
	_, err := c.env.UpdateApplication(ctx, c.actor(), c.args["id"], func(a *directory.Application) error {
		for _, one := range credentials(a) {
			if one.ID == c.args["credential"] {
				a.Keys = slices.DeleteFunc(a.Keys, func(key json.RawMessage) bool { return string(key) == string(one.key) })
				return nil
			}
		}
		return missing("credential")
	})
	return none(err)
}
