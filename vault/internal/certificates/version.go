package certificates

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/jwa"
	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/pki"
)

// text is what is public of a version: items.Version.Public.
type text struct {
	DER   []byte   `json:"der"`
	Chain [][]byte `json:"chain,omitempty"`
	// Authority is the name of the authority of this vault that signed it, and AuthorityVersion that one's version.
	Authority        string    `json:"authority,omitempty"`
	AuthorityVersion string    `json:"authority_version,omitempty"`
	Revoked          time.Time `json:"revoked,omitzero"`
	// Offline: the key was taken out of the vault.
	Offline bool `json:"offline,omitempty"`
}

func textOf(v *items.Version) (*text, error) {
	t := new(text)
	if err := json.Unmarshal(v.Public, t); err != nil {
		return nil, fmt.Errorf("%q: malformed row: %w", v.ID.String(), err)
	}
	return t, nil
}

// parse returns the certificate and its chain.
func (t *text) parse() (*x509.Certificate, []*x509.Certificate, error) {
	all, err := pki.ParseCertificates(append([][]byte{t.DER}, t.Chain...))
	if err != nil {
		return nil, nil, err
	}
	return all[0], all[1:], nil
}

func certificateOf(v *items.Version) *model.Certificate {
	c := &model.Certificate{ID: v.ID, Attributes: v.Attributes, Tags: v.Tags}
	if t, err := textOf(v); err == nil {
		c.DER, c.Chain, c.Revoked = t.DER, t.Chain, t.Revoked
	}
	return c
}

// issued is a certificate that is to become a version.
type issued struct {
	*pki.Bundle
	authority string // see text
	version   string
}

// add makes the new current version of a certificate with its key and secret, and gives the item its policy.
func (s *Service) add(ctx context.Context, id model.ID, b *issued, p *model.Policy, c model.Change) (*items.Version, error) {
	if err := s.checkOthers(ctx, id); err != nil {
		return nil, err
	}
	public := &text{DER: b.Certificate.Raw, Authority: b.authority, AuthorityVersion: b.version}
	for _, above := range b.Chain {
		public.Chain = append(public.Chain, above.Raw)
	}
	encoded, err := json.Marshal(public)
	if err != nil {
		return nil, err
	}
	v := &items.Version{ID: id, Public: encoded, ContentType: p.Secret.ContentType}
	v.Version = items.NewVersion()
	v.Attributes = model.Attributes{Enabled: true, NotBefore: b.Certificate.NotBefore, Expires: b.Certificate.NotAfter}
	if err := items.Apply(v, own(c)); err != nil {
		return nil, err
	}
	if err := s.store.Add(ctx, v, nil); err != nil {
		return nil, err
	}
	secret := *b.Bundle
	if !p.Key.Exportable {
		secret.Key = nil
	}
	contentType := p.Secret.ContentType
	if secret.Key == nil {
		contentType = pki.TypePEM // PKCS #12 without a key is for trust stores
	}
	value, err := secret.Encode(contentType)
	if err != nil {
		return nil, err
	}
	sv := &items.Version{ID: of(v.ID, model.Secrets), Attributes: v.Attributes, ContentType: contentType, Tags: maps.Clone(v.Tags), Managed: true}
	plain := []byte(value)
	defer clear(plain)
	if err := s.store.Add(ctx, sv, plain); err != nil {
		return nil, err
	}
	if err := s.keys.AddManaged(ctx, of(v.ID, model.Keys), b.Key, keyOps(p), v.Attributes, maps.Clone(v.Tags)); err != nil {
		return nil, err
	}
	if err := s.setPolicy(ctx, v.ID, p); err != nil {
		return nil, err
	}
	return v, s.live(ctx, v.ID, p, b.Certificate.NotBefore, b.Certificate.NotAfter)
}

// checkOthers reports what keeps a certificate from having its key and secret: others of that name which belong to no certificate.
func (s *Service) checkOthers(ctx context.Context, id model.ID) error {
	for _, kind := range []model.Kind{model.Keys, model.Secrets} {
		item, err := s.store.Item(ctx, of(id, kind))
		if errors.Is(err, model.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if !item.Managed {
			return fmt.Errorf("%q is there without a certificate: %w", of(id, kind).String(), model.ErrExists)
		}
	}
	return nil
}

// own is what of a change is for a certificate: its times are those that it says itself, and its content type that of the policy.
func own(c model.Change) model.Change { return model.Change{Enabled: c.Enabled, Tags: c.Tags} }

// keyOps are what the key of a certificate does for those who use it as a key. That of an authority verifies alone: who could
// have it sign could make certificates past the audit log and the limits of names.
func keyOps(p *model.Policy) []string {
	switch {
	case pki.IsAuthority(p):
		return []string{"verify"}
	case p.Key.Type == jwa.RSA || p.Key.Type == jwa.RSA+"-HSM":
		return []string{"sign", "verify", "encrypt", "decrypt", "wrapKey", "unwrapKey"}
	}
	return []string{"sign", "verify"}
}
