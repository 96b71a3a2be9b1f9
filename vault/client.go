package vault

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/vault/internal/keys"
	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/pki"
)

// Client is the vault as the app itself uses it: with the rights that its managed identity was given. What a method does is a unit of
// work of its own, with its entry in the audit log: a function that runs again finds it done. It is safe for concurrent use.
//
// That of an app which does not run, or has no vault, is nil, and fails with ErrNoVault.
type Client struct{ v *Vault }

var _ Follower = (*Client)(nil)

// Client returns the vault as the app itself uses it.
func (v *Vault) Client() *Client { return &Client{v} }

// Value returns the value of a secret. It is remembered for up to a minute, and read anew at once when it changes. It fails
// with ErrNotFound, ErrForbidden and ErrDisabled.
func (c *Client) Value(ctx context.Context, ref Ref) (string, error) {
	if c == nil {
		return "", ErrNoVault
	}
	if err := ref.Validate(); err != nil {
		return "", err
	}
	s, err := c.v.values.get(unit.Without(ctx), ref.id())
	if err != nil {
		return "", fmt.Errorf("%s: %w", ref, err)
	}
	return s.Value, nil
}

// self is the app as a caller, outside of the unit that ctx may carry.
func (c *Client) self(ctx context.Context) (context.Context, model.Caller, error) {
	if c == nil {
		return ctx, model.Caller{}, ErrNoVault
	}
	ctx = unit.Without(ctx)
	by, err := c.v.self(ctx)
	return ctx, by, err
}

// Changes implements Follower.
func (c *Client) Changes(ref Ref) (changes <-chan struct{}, stop func()) {
	if c == nil {
		return nil, func() {}
	}
	return c.v.values.watch(ref.id())
}

// Set gives a secret a new value, and returns its version.
func (c *Client) Set(ctx context.Context, ref Ref, value string) (version string, err error) {
	return c.SetUntil(ctx, ref, value, time.Time{})
}

// SetUntil is Set with the time at which the value ends, of which OnExpiring tells beforehand; the zero time is never.
func (c *Client) SetUntil(ctx context.Context, ref Ref, value string, expires time.Time) (version string, err error) {
	ctx, by, err := c.self(ctx)
	if err != nil {
		return "", err
	}
	s, err := c.v.secrets.Set(ctx, by, ref.id(), model.SetSecret{Value: value, Change: model.Change{Expires: &expires}})
	if err != nil {
		return "", err
	}
	return s.Version, nil
}

// KeyRef names a key, and a version of it: the current one when Version is empty.
type KeyRef struct {
	Ref
	Version string
}

// Key names a key of the app's vault: "NAME", or "VAULT/NAME" for another vault than the default one.
func Key(name string) KeyRef { return KeyRef{Ref: Secret(name)} }

func (k KeyRef) id() model.ID {
	return model.ID{Vault: k.vault, Kind: model.Keys, Name: k.name, Version: k.Version}
}

// Cipher is what is encrypted, decrypted, wrapped and unwrapped, and the result of that.
type Cipher = model.Cipher

// Sign signs a digest by an algorithm of JWA (RFC 7518), such as "ES256", and returns with which version of the key. EdDSA and the HMACs
// sign the message itself.
func (c *Client) Sign(ctx context.Context, key KeyRef, alg string, digest []byte) (signature []byte, version string, err error) {
	ctx, by, err := c.self(ctx)
	if err != nil {
		return nil, "", err
	}
	signature, id, err := c.v.keys.Sign(ctx, by, key.id(), alg, digest)
	return signature, id.Version, err
}

// Verify reports whether a signature is that of a digest.
func (c *Client) Verify(ctx context.Context, key KeyRef, alg string, digest, signature []byte) (bool, error) {
	ctx, by, err := c.self(ctx)
	if err != nil {
		return false, err
	}
	return c.v.keys.Verify(ctx, by, key.id(), alg, digest, signature)
}

// Encrypt encrypts by an algorithm of JWA, such as "A256GCM" or "RSA-OAEP-256", and returns with which version of the key.
func (c *Client) Encrypt(ctx context.Context, key KeyRef, in Cipher) (out *Cipher, version string, err error) {
	return c.crypt(ctx, key, in, (*keys.Service).Encrypt)
}

// Decrypt decrypts what Encrypt has made with a version of the key.
func (c *Client) Decrypt(ctx context.Context, key KeyRef, in Cipher) (*Cipher, error) {
	out, _, err := c.crypt(ctx, key, in, (*keys.Service).Decrypt)
	return out, err
}

// Wrap encrypts another key, such as one by which a file is encrypted.
func (c *Client) Wrap(ctx context.Context, key KeyRef, in Cipher) (out *Cipher, version string, err error) {
	return c.crypt(ctx, key, in, (*keys.Service).Wrap)
}

// Unwrap decrypts what Wrap has made with a version of the key.
func (c *Client) Unwrap(ctx context.Context, key KeyRef, in Cipher) (*Cipher, error) {
	out, _, err := c.crypt(ctx, key, in, (*keys.Service).Unwrap)
	return out, err
}

func (c *Client) crypt(ctx context.Context, key KeyRef, in Cipher, do func(*keys.Service, context.Context, model.Caller, model.ID, model.Cipher) (*model.Cipher, model.ID, error)) (*Cipher, string, error) {
	ctx, by, err := c.self(ctx)
	if err != nil {
		return nil, "", err
	}
	out, id, err := do(c.v.keys, ctx, by, key.id(), in)
	return out, id.Version, err
}

// Certificate returns a certificate with its key, as servers and clients of TLS use it; the app must have the right to get the secret
// of that name, and the certificate's policy let its key be exported. Follow keeps it up to date, and GetCertificate does that for a server.
func (c *Client) Certificate(ctx context.Context, ref Ref) (*tls.Certificate, error) {
	text, err := c.Value(ctx, ref)
	if err != nil {
		return nil, err
	}
	return parsePair(text)
}

// parsePair reads the secret of a certificate.
func parsePair(text string) (*tls.Certificate, error) {
	b, _, err := pki.Decode(text, "")
	if err != nil {
		return nil, err
	}
	if b.Key == nil {
		return nil, errors.New("vault: the certificate's policy keeps its key in the vault (exportable is false)")
	}
	pair := &tls.Certificate{PrivateKey: b.Key, Leaf: b.Certificate, Certificate: [][]byte{b.Certificate.Raw}}
	for _, one := range b.Chain {
		pair.Certificate = append(pair.Certificate, one.Raw)
	}
	return pair, nil
}

// GetCertificate returns a function for tls.Config that has the current version of a certificate, and the one after a renewal from
// within moments on. Stop ends its following.
func (c *Client) GetCertificate(ctx context.Context, ref Ref) (get func(*tls.ClientHelloInfo) (*tls.Certificate, error), stop func(), err error) {
	if c == nil {
		return nil, nil, ErrNoVault
	}
	f, err := Follow(ctx, c, ref, Following[*tls.Certificate]{
		Make: func(_ context.Context, text string) (*tls.Certificate, error) { return parsePair(text) },
		Log:  c.v.options.Log, Clock: c.v.options.Clock,
	})
	if err != nil {
		return nil, nil, err
	}
	get = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		pair, release := f.Acquire()
		release() // nothing has to be closed
		return pair, nil
	}
	return get, f.Close, nil
}
