package certificates

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/jwa"
	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/pki"
)

// Create begins a new version, and makes the certificate when there is none. With the issuer "Self" or one of this vault it
// is complete when Create returns; with "Unknown" it waits for Merge. The right is model.OpCreate; for an authority
// that another one signs model.OpSetIssuers too. ErrExists: a version is being made already.
func (s *Service) Create(ctx context.Context, by model.Caller, id model.ID, in model.CreateCertificate) (*model.Pending, error) {
	id.Version = ""
	if in.Policy != nil {
		in.Policy = pki.Complete(in.Policy)
		if err := pki.Check(in.Policy); err != nil {
			return nil, err
		}
		if err := s.mayDelegate(ctx, by, id, in.Policy); err != nil {
			return nil, err
		}
	}
	m := &making{CreateCertificate: in}
	err := s.prepared(ctx, func() error {
		return s.do(ctx, by, model.OpCreate, id, func(ctx context.Context, id model.ID, o *model.Operation) error {
			return s.begin(ctx, id, o, m)
		})
	}, m.generate)
	if err != nil {
		return nil, err
	}
	return m.out, nil
}

// making is a version that is being made, over several runs of a unit.
type making struct {
	model.CreateCertificate
	key  *jwa.Key // what generate has made, by spec
	spec jwa.Spec
	out  *model.Pending
}

// generate makes the key that begin has asked for: RSA outside of the unit.
func (m *making) generate() (err error) {
	m.key, err = jwa.Generate(m.spec)
	return err
}

// begin makes the request of a new version and has it signed if that can be done here.
func (s *Service) begin(ctx context.Context, id model.ID, o *model.Operation, m *making) error {
	p := m.Policy
	old, err := s.store.Item(ctx, id)
	switch {
	case errors.Is(err, model.ErrNotFound) && p == nil:
		return invalid("policy", "is missing, and there is no certificate %q that has one", id.Name)
	case err != nil && !errors.Is(err, model.ErrNotFound):
		return err
	case err != nil:
		old = nil
	case p == nil:
		if p, err = policyOf(old); err != nil {
			return err
		}
	}
	if old != nil {
		id.Name = old.Name
	}
	row, err := pending(ctx, id)
	if err != nil && !errors.Is(err, model.ErrNotFound) {
		return err
	}
	if row != nil && row.Status == statusInProgress {
		return inProgress(id)
	}
	key, err := s.keyFor(ctx, m, id, old, p)
	if err != nil {
		return err
	}
	signer, err := key.Signer()
	if err != nil {
		return err
	}
	csr, err := pki.Request(p, signer)
	if err != nil {
		return refused(err)
	}
	row = &pendingRow{
		Name: id.Name, Issuer: p.Issuer, CSR: csr, RequestID: newRequest(), Created: s.now(),
		Policy: p, Enabled: m.Enabled, Tags: m.Tags,
	}
	if p.Issuer.Name == pki.IssuerUnknown {
		err = s.wait(ctx, id, row, key)
	} else {
		var b *issued
		if b, err = s.sign(ctx, id, p, signer); err == nil {
			err = s.complete(ctx, id, o, row, b)
		}
	}
	if err != nil {
		return err
	}
	m.out = row.pending(id)
	return putPending(ctx, id, row)
}

// keyFor is the key of a new version: that of the version before if the policy says so and it is of the policy's kind.
func (s *Service) keyFor(ctx context.Context, m *making, id model.ID, old *items.Item, p *model.Policy) (*jwa.Key, error) {
	spec := jwa.Spec{Type: strings.TrimSuffix(p.Key.Type, "-HSM"), Curve: p.Key.Curve}
	if spec.Type == jwa.RSA {
		spec.Size = p.Key.Size
	}
	spec, err := spec.Normal()
	if err != nil {
		return nil, err
	}
	if p.Key.Reuse && old != nil {
		id.Version = old.Current
		signer, err := s.keys.Signer(ctx, of(id, model.Keys))
		if err != nil {
			return nil, fmt.Errorf("the key to be used again: %w", err)
		}
		key, err := jwa.New(signer)
		if err != nil {
			return nil, err
		}
		if key.Spec() == spec {
			return key, s.mayReuse(ctx, id, p)
		}
	}
	if m.key != nil && m.key.Spec() == spec {
		return m.key, nil
	}
	m.spec = spec
	if spec.Type == jwa.RSA {
		return nil, errPrepare
	}
	err = m.generate()
	return m.key, err
}

// mayReuse reports why the key of a version must not be that of the next one: a key that was made to stay in the vault would leave it
// in the secret of the next version, and that of an authority would sign what its users ask for (see keyOps), or the other way round.
func (s *Service) mayReuse(ctx context.Context, id model.ID, p *model.Policy) error {
	const field = "policy.key_props.reuse_key"
	v, err := s.store.Get(ctx, id)
	if err != nil {
		return err
	}
	t, err := textOf(v)
	if err != nil {
		return err
	}
	cert, _, err := t.parse()
	if err != nil {
		return err
	}
	if cert.IsCA != pki.IsAuthority(p) {
		return invalid(field, "the key of an authority is not used again for something else, nor another one for an authority")
	}
	if !p.Key.Exportable {
		return nil
	}
	secret, err := s.store.Get(ctx, of(id, model.Secrets))
	if err != nil {
		return err
	}
	plain, err := s.store.Open(ctx, secret)
	if err != nil {
		return err
	}
	defer clear(plain)
	if secret.ContentType == pki.TypePEM && !bytes.Contains(plain, []byte("PRIVATE KEY-----")) { // add leaves it out
		return invalid(field, "the key of the version before cannot be exported, and so is not used again by a policy that lets it be")
	}
	return nil
}

// sign has a certificate signed by itself or by an authority of the vault.
func (s *Service) sign(ctx context.Context, id model.ID, p *model.Policy, signer crypto.Signer) (*issued, error) {
	b := &issued{Bundle: &pki.Bundle{Key: signer}}
	var err error
	if p.Issuer.Name == pki.IssuerSelf {
		b.Certificate, err = pki.SelfSigned(p, signer, s.env.Now())
		return b, refused(err)
	}
	issuer, err := s.issuer(ctx, id.Vault, p.Issuer.Name)
	if errors.Is(err, model.ErrNotFound) {
		return nil, invalid("policy.issuer.name", "there is no issuer %q", p.Issuer.Name)
	}
	if err != nil {
		return nil, err
	}
	switch {
	case !issuer.Enabled:
		return nil, invalid("policy.issuer.name", "the issuer %q is disabled", issuer.Name)
	case !strings.EqualFold(issuer.Provider, Provider):
		return nil, invalid("policy.issuer.name", "the provider %.40q of the issuer %q does not sign here: take the issuer Unknown, send the request there, and merge what comes back", issuer.Provider, issuer.Name)
	case strings.EqualFold(issuer.AccountID, id.Name):
		return nil, invalid("policy.issuer.name", "an authority does not sign its own next version: take the issuer Self")
	}
	a, v, err := s.authority(ctx, model.ID{Vault: id.Vault, Kind: model.Certificates, Name: issuer.AccountID})
	if err != nil {
		return nil, err
	}
	issue := pki.Issue{Now: s.env.Now()}
	if s.o.CRLURL != nil {
		issue.CRL = s.o.CRLURL(id.Vault, listName(v.ID))
	}
	if b.Certificate, err = a.Issue(p, signer.Public(), issue); err != nil {
		return nil, refused(err)
	}
	_, b.Chain, err = pki.Arrange(append([]*x509.Certificate{b.Certificate, a.Certificate}, a.Chain...), signer.Public())
	b.authority, b.version = v.Name, v.Version
	return b, err
}

// authority opens an authority for signing, at a version, the current one when id.Version is empty.
func (s *Service) authority(ctx context.Context, id model.ID) (*pki.Authority, *items.Version, error) {
	v, err := s.store.Get(ctx, id)
	if errors.Is(err, model.ErrNotFound) {
		return nil, nil, invalid("policy.issuer.name", "there is no authority %q", id.Name)
	}
	if err != nil {
		return nil, nil, err
	}
	t, err := textOf(v)
	if err != nil {
		return nil, nil, err
	}
	switch err := v.Usable(s.env.Now()); {
	case err != nil:
		return nil, nil, fmt.Errorf("authority %q: %w", id.Name, err)
	case !t.Revoked.IsZero():
		return nil, nil, invalid("policy.issuer.name", "the authority %q is revoked", id.Name)
	case t.Offline:
		return nil, nil, invalid("policy.issuer.name", "the key of the authority %q was taken out of the vault: have the request signed there, with the issuer Unknown, and merge it", id.Name)
	}
	a, err := s.open(ctx, v, t)
	return a, v, err
}

// open is the authority of a version with its key, whether it may be used or not.
func (s *Service) open(ctx context.Context, v *items.Version, t *text) (*pki.Authority, error) {
	cert, chain, err := t.parse()
	if err != nil {
		return nil, err
	}
	a := &pki.Authority{Certificate: cert, Chain: chain}
	a.Key, err = s.keys.Signer(ctx, of(v.ID, model.Keys))
	if errors.Is(err, model.ErrDisabled) {
		a.Key, err = s.disabledKey(ctx, v)
	}
	return a, err
}

// disabledKey opens the key of a version that is disabled. It signs what is revoked: that must not end when somebody
// switches the authority off, which is when it is needed.
func (s *Service) disabledKey(ctx context.Context, v *items.Version) (crypto.Signer, error) {
	k, err := s.store.Get(ctx, of(v.ID, model.Keys))
	if err != nil {
		return nil, err
	}
	encoded, err := s.store.Open(ctx, k)
	if err != nil {
		return nil, err
	}
	defer clear(encoded)
	key, err := jwa.Decode(encoded)
	if err != nil {
		return nil, err
	}
	return key.Signer()
}

// complete makes the version of a request that was signed.
func (s *Service) complete(ctx context.Context, id model.ID, o *model.Operation, row *pendingRow, b *issued) error {
	v, err := s.add(ctx, id, b, row.Policy, model.Change{Enabled: row.Enabled, Tags: row.Tags})
	if err != nil {
		return err
	}
	o.ID = v.ID
	row.Version, row.Key = v.Version, nil
	row.Status, row.Detail = statusCompleted, "The certificate is made."
	return nil
}

// refused turns what an authority or a policy does not allow into what a caller can mend.
func refused(err error) error {
	var fe *model.FieldError
	switch {
	case err == nil || errors.As(err, &fe):
		return err
	case errors.Is(err, pki.ErrAuthority) || errors.Is(err, pki.ErrKey) || errors.Is(err, pki.ErrRequest):
		return invalid("policy", "%v", err)
	}
	return err
}

// now is the time in whole seconds, as attributes have it.
func (s *Service) now() time.Time { return s.env.Now().UTC().Truncate(time.Second) }

func newRequest() string { return strings.ReplaceAll(uuid.NewString(), "-", "") }
