package model

import "time"

// Key is a version of a key: its public part. The private part never leaves the vault.
type Key struct {
	ID
	Attributes
	// JWK is the public key as a JSON Web Key (RFC 7517) without kid and key_ops; for oct its kty alone.
	JWK []byte
	// Type is "RSA", "EC", "OKP" or "oct"; with "-HSM" when the key was asked for so, which changes nothing here.
	Type string
	// Ops are what the key is for, as key_ops has it: "sign", "verify", "encrypt", "decrypt", "wrapKey", "unwrapKey".
	Ops     []string
	Tags    map[string]string
	Managed bool // it belongs to the certificate of the same name and version
}

// CreateKey is a key to be made.
type CreateKey struct {
	Type           string // as Key.Type
	Size           int    // of RSA and oct, in bits; 0 for the default
	Curve          string // of EC and OKP: "P-256", "P-384", "P-521", "Ed25519"; empty for the default
	PublicExponent int    // of RSA; 0 for 65537, the only one there is
	Ops            []string
	Change
}

// ImportKey is a key that was made elsewhere.
type ImportKey struct {
	// JWK is the private key as a JSON Web Key.
	JWK []byte
	// HSM lets Type end with "-HSM".
	HSM bool
	Change
}

// UpdateKey changes what is not the key itself.
type UpdateKey struct {
	Ops []string // nil leaves them
	Change
}

// Cipher is what is encrypted, decrypted, wrapped and unwrapped, and the result of that.
type Cipher struct {
	Alg   string // JWA's name (RFC 7518), such as "RSA-OAEP-256", "A256GCM", "A256KW"
	Value []byte
	IV    []byte // of the AES algorithms; an encryption makes one itself
	Tag   []byte // of AES-GCM
	AAD   []byte // of AES-GCM
}

// RotationPolicy says when a key gets a new version by itself.
type RotationPolicy struct {
	// ExpiryTime is how long new versions are good, an ISO 8601 duration such as "P90D"; empty for ever.
	ExpiryTime string
	Actions    []KeyAction
	Created    time.Time
	Updated    time.Time
}

// KeyAction is something to be done in a key's life.
type KeyAction struct {
	Action string // "Rotate" or "Notify"
	// One of both, an ISO 8601 duration.
	AfterCreate, BeforeExpiry string
}
