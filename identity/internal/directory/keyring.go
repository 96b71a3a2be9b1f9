package directory

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"sync"

	"github.com/go-jose/go-jose/v4"
)

// rsaBits is the size of RSA keys.
const rsaBits = 2048

// Signer is a key that can sign.
type Signer struct {
	ID        string // "kid" of the tokens' headers
	Algorithm string
	Key       crypto.Signer
}

// JWK returns the public half.
func (s *Signer) JWK() jose.JSONWebKey {
	return jose.JSONWebKey{Key: s.Key.Public(), KeyID: s.ID, Algorithm: s.Algorithm, Use: "sig"}
}

// keyring keeps private keys in memory: those that were opened, and one new one for each algorithm
// until a unit that took it has committed, so that a unit that runs again does not make another.
type keyring struct {
	mu     sync.Mutex
	opened map[string]*Signer // by id

	making sync.Mutex         // held while a key is made
	spare  map[string]*Signer // by algorithm
}

// maxOpened bounds how many keys are kept in memory.
const maxOpened = 64

func (r *keyring) get(id string) *Signer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.opened[id]
}

func (r *keyring) put(s *Signer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.opened == nil || len(r.opened) >= maxOpened {
		r.opened = make(map[string]*Signer)
	}
	r.opened[s.ID] = s
}

func (r *keyring) forget(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.opened, id)
}

// fresh returns a key that no unit has taken yet. It makes one at a time: that takes a while.
func (r *keyring) fresh(alg string) (*Signer, error) {
	r.making.Lock()
	defer r.making.Unlock()
	if s := r.spare[alg]; s != nil {
		return s, nil
	}
	s, err := generate(alg)
	if err != nil {
		return nil, err
	}
	if r.spare == nil {
		r.spare = make(map[string]*Signer)
	}
	r.spare[alg] = s
	return s, nil
}

// taken says that a unit that has committed has a key of fresh.
func (r *keyring) taken(s *Signer) {
	r.making.Lock()
	defer r.making.Unlock()
	if r.spare[s.Algorithm] == s {
		delete(r.spare, s.Algorithm)
	}
}

// generate makes a key for an algorithm.
func generate(alg string) (*Signer, error) {
	s := &Signer{Algorithm: alg}
	var err error
	switch alg {
	case RS256, PS256:
		s.Key, err = rsa.GenerateKey(rand.Reader, rsaBits)
	case ES256:
		s.Key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case EdDSA:
		_, s.Key, err = ed25519.GenerateKey(rand.Reader)
	default:
		return nil, invalid("alg", "%.20q is none of %q", alg, Algorithms())
	}
	if err != nil {
		return nil, fmt.Errorf("make a key for %s: %w", alg, err)
	}
	k := s.JWK()
	print, err := k.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("make a key for %s: %w", alg, err)
	}
	s.ID = base64.RawURLEncoding.EncodeToString(print)
	return s, nil
}

func keyPurpose(id string) string { return "identity signing key " + id }

// sealKey returns the row of a new key.
func (e *Env) sealKey(s *Signer) (*SigningKey, error) {
	private, err := x509.MarshalPKCS8PrivateKey(s.Key)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	row := &SigningKey{ID: s.ID, Algorithm: s.Algorithm, Created: e.Now()}
	if row.Sealed, err = e.Seal.Seal(keyPurpose(s.ID), private); err != nil {
		return nil, fmt.Errorf("seal signing key %q: %w", s.ID, err)
	}
	k := s.JWK()
	if row.Public, err = k.MarshalJSON(); err != nil {
		return nil, fmt.Errorf("signing key %q: %w", s.ID, err)
	}
	return row, nil
}

// openKey returns the private half of a key.
func (e *Env) openKey(row *SigningKey) (*Signer, error) {
	if s := e.keys.get(row.ID); s != nil {
		return s, nil
	}
	private, err := e.Seal.Open(keyPurpose(row.ID), row.Sealed)
	if err != nil {
		return nil, fmt.Errorf("open signing key %q: %w", row.ID, err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("open signing key %q: %w", row.ID, err)
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("open signing key %q: it is a %T", row.ID, parsed)
	}
	s := &Signer{ID: row.ID, Algorithm: row.Algorithm, Key: key}
	e.keys.put(s)
	return s, nil
}
