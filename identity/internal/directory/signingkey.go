package directory

import (
	"encoding/json"
	"time"

	"github.com/perdure/perdure/table"
)

// The states of a signing key, in the order in which it passes through them.
const (
	KeyNext     = "next"     // published, does not sign yet
	KeyCurrent  = "current"  // signs
	KeyRetiring = "retiring" // what it signed is good still
	KeyRevoked  = "revoked"  // nothing that it signed is good any more
)

// The times of signing keys.
const (
	// KeyPeriod is how long a key signs before Maintain takes the next one.
	KeyPeriod = 90 * 24 * time.Hour
	// KeyLead is how long a key is published before it signs, so that whoever keeps the published
	// keys for a while has it by then.
	KeyLead = time.Hour
	// MaxTokenLifetime is the longest that a signed token is good: that long after a key has signed
	// its last one it is published still.
	MaxTokenLifetime = 30 * 24 * time.Hour
)

// SigningKey is a key that signs tokens.
type SigningKey struct {
	ID        string `json:"kid"` // its thumbprint (RFC 7638)
	Algorithm string `json:"alg"`
	State     string `json:"state"`
	// Public is the public half as JWK, Sealed the private half (PKCS #8), which is gone when it is
	// not needed any more.
	Public json.RawMessage `json:"public"`
	Sealed []byte          `json:"sealed,omitempty"`

	Created   time.Time `json:"created"`
	Activated time.Time `json:"activated,omitzero"` // when it began to sign
	Ends      time.Time `json:"ends,omitzero"`      // when a retiring or revoked key is forgotten
	// RotateAt is set on a current key that the next one replaces as soon as that may sign.
	RotateAt time.Time `json:"rotate_at,omitzero"`
}

// SigningKeys are the keys, by id. Names has the current one of each algorithm.
var SigningKeys = table.Of[SigningKey]("perdure.signing-keys")
