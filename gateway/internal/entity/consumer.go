package entity

import "crypto"

// Consumer is who uses the services, told apart by credentials.
type Consumer struct {
	Meta
	Username string `json:"username"`
	CustomID string `json:"custom_id"`
	// What belongs to the consumer, set by Compile.
	JWTs     []*JWTCredential `json:"-"`
	KeyAuths []*KeyAuth       `json:"-"`
	Groups   []*ACLGroup      `json:"-"`
}

// Kind is Consumers.
func (c *Consumer) Kind() Kind { return Consumers }

// Label is the name, or else the custom id.
func (c *Consumer) Label() string { return first(c.Username, c.CustomID, c.ID) }

// JWTCredential is a key by which a consumer's tokens are verified.
type JWTCredential struct {
	Meta
	Consumer Ref[Consumer] `json:"consumer"`
	// Key is what the claim of a token must be, "iss" unless the plugin says another.
	Key          string `json:"key"`
	Algorithm    string `json:"algorithm"`
	Secret       string `json:"secret"`         // of HS256, HS384, HS512
	RSAPublicKey string `json:"rsa_public_key"` // PEM, of all others in spite of the name
	// PublicKey is RSAPublicKey, set by Compile; nil for HS256, HS384, HS512.
	PublicKey crypto.PublicKey `json:"-"`
}

// NewJWTCredential returns a credential with Kong's defaults.
func NewJWTCredential() *JWTCredential { return &JWTCredential{Algorithm: "HS256"} }

// Kind is JWTs.
func (c *JWTCredential) Kind() Kind { return JWTs }

// Label is the key, which tokens name openly.
func (c *JWTCredential) Label() string { return first(c.Key, c.Consumer.Key, c.ID) }

// KeyAuth is a secret key that a consumer sends.
type KeyAuth struct {
	Meta
	Consumer Ref[Consumer] `json:"consumer"`
	Key      string        `json:"key"` // the secret
	TTL      *int          `json:"ttl"` // seconds; nil: for ever
}

// Kind is KeyAuths.
func (c *KeyAuth) Kind() Kind { return KeyAuths }

// Label is the consumer: the key is secret.
func (c *KeyAuth) Label() string { return "of " + first(c.Consumer.Key, c.ID) }

// ACLGroup puts a consumer into a group.
type ACLGroup struct {
	Meta
	Consumer Ref[Consumer] `json:"consumer"`
	Group    string        `json:"group"`
}

// Kind is ACLs.
func (g *ACLGroup) Kind() Kind { return ACLs }

// Label is the group.
func (g *ACLGroup) Label() string { return g.Group }
