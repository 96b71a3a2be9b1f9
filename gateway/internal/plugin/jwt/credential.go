package jwt

import (
	"crypto/sha256"
	"strings"

	"github.com/perdure/perdure/gateway/internal/entity"
)

// credentials are those of one configuration.
type credentials struct {
	byKey map[string]*credential
	keys  []string
	// alike are keys by what is the same for those that are often taken for each other.
	alike map[string]string
}

// credential is one of a configuration, with what its tokens are verified by.
type credential struct {
	set      *credentials
	entity   *entity.JWTCredential
	consumer *entity.Consumer
	// print tells it apart from one with another key, algorithm, secret or consumer.
	print [sha256.Size]byte
}

func newCredentials(c *entity.Config) *credentials {
	set := &credentials{byKey: make(map[string]*credential, len(c.JWTs)), alike: make(map[string]string, len(c.JWTs))}
	for _, e := range c.JWTs {
		one := &credential{set: set, entity: e, consumer: e.Consumer.To}
		parts := []string{e.ID, e.Key, e.Algorithm, e.Secret, e.RSAPublicKey, e.Consumer.ID()}
		for i, p := range parts { // unambiguous
			parts[i] = strings.ReplaceAll(strings.ReplaceAll(p, `\`, `\\`), "|", `\p`)
		}
		one.print = sha256.Sum256([]byte(strings.Join(parts, "|")))
		set.byKey[e.Key] = one
		set.keys = append(set.keys, e.Key)
		set.alike[alike(e.Key)] = e.Key
	}
	return set
}

// key returns what signatures are verified by; false if the credential has nothing of the kind.
func (c *credential) key(secretIsBase64 bool) (any, bool) {
	e := c.entity
	if !strings.HasPrefix(e.Algorithm, "HS") {
		return e.PublicKey, e.PublicKey != nil
	}
	if secretIsBase64 {
		secret, ok := decodeBase64([]byte(e.Secret))
		return secret, ok && len(secret) > 0
	}
	return []byte(e.Secret), e.Secret != ""
}
