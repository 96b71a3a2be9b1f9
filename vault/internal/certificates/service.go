package certificates

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"runtime"

	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/model"
)

// Keys is what the keys of certificates need of the service of keys.
type Keys interface {
	// AddManaged adds the key of a certificate, as a version that is managed. It is called in a unit of work.
	AddManaged(ctx context.Context, id model.ID, private any, ops []string, a model.Attributes, tags map[string]string) error
	// Signer opens the private key of a version, whatever it is for. It is called in a unit of work.
	Signer(ctx context.Context, id model.ID) (crypto.Signer, error)
}

// Options are the settings of a service.
type Options struct {
	// CRLURL is where clients find the revocation list that CRL returns for a vault and an authority, which stands in the
	// certificates that the authority signs. Nil or empty where nobody serves it.
	CRLURL func(vault, authority string) string
	// Notify is called in the unit of work that notes that the contacts of a vault were told of a certificate: what it
	// writes commits with that, and it may be called again if that fails. Nil for nobody.
	Notify func(ctx context.Context, n Notice) error
}

// Service serves the certificates of all vaults. Its methods open a unit of work each, which the guard's entry in the audit log
// is part of, unless they say otherwise. Errors are those of package model; where a caller may not do something it is
// model.ErrForbidden, whether there is such a certificate or not. It is safe for concurrent use.
type Service struct {
	env   *model.Env
	store *items.Store
	keys  Keys
	guard model.Guard
	o     Options
	busy  chan struct{} // holds one for each thing that is prepared
}

// New returns the service.
func New(env *model.Env, store *items.Store, keys Keys, guard model.Guard, o Options) *Service {
	return &Service{env: env, store: store, keys: keys, guard: guard, o: o, busy: make(chan struct{}, runtime.GOMAXPROCS(0))}
}

// do runs fn for a certificate as the guard lets it. Fn names the version in the audit log.
func (s *Service) do(ctx context.Context, by model.Caller, op model.Op, id model.ID, fn func(ctx context.Context, id model.ID, o *model.Operation) error) error {
	id.Kind = model.Certificates
	// A name that cannot be is refused before anything else, so that none gets into the audit log.
	if err := model.CheckVaultName(id.Vault); err != nil {
		return err
	}
	if err := model.CheckName(id.Name); err != nil {
		return err
	}
	o := &model.Operation{ID: id, Op: op}
	return s.guard.Do(ctx, by, o, func(ctx context.Context) error { return fn(ctx, id, o) })
}

// ofVault runs fn for what concerns a vault as a whole: issuers and contacts. Detail is what is noted.
func (s *Service) ofVault(ctx context.Context, by model.Caller, op model.Op, vault, detail string, fn func(ctx context.Context) error) error {
	if err := model.CheckVaultName(vault); err != nil {
		return err
	}
	o := &model.Operation{ID: model.ID{Vault: vault, Kind: model.Certificates}, Op: op, Detail: detail}
	return s.guard.Do(ctx, by, o, fn)
}

// visible runs fn for a list of a vault as the guard lets it.
func (s *Service) visible(ctx context.Context, by model.Caller, vault string, fn func(ctx context.Context, visible func(name string) bool) error) error {
	if err := model.CheckVaultName(vault); err != nil {
		return err
	}
	return s.guard.Visible(ctx, by, &model.Operation{ID: model.ID{Vault: vault, Kind: model.Certificates}, Op: model.OpList}, fn)
}

// errPrepare ends a unit in which what takes long turned out to be needed, after the guard let the caller pass: strangers
// shall not keep the machine busy, and a unit shall not last long. It runs again when that is done.
var errPrepare = errors.New("vault: to be prepared outside of the unit")

// prepared runs do; while that ends by errPrepare it runs prepare, when not too many others do that, and then do again.
func (s *Service) prepared(ctx context.Context, do, prepare func() error) error {
	for {
		err := do()
		if !errors.Is(err, errPrepare) {
			return err
		}
		if err := s.prepare(ctx, prepare); err != nil {
			return err
		}
	}
}

func (s *Service) prepare(ctx context.Context, prepare func() error) error {
	select {
	case s.busy <- struct{}{}:
		defer func() { <-s.busy }()
	case <-ctx.Done():
		return ctx.Err()
	}
	return prepare()
}

// of returns the id of the item of another kind that belongs to a certificate.
func of(id model.ID, kind model.Kind) model.ID {
	id.Kind = kind
	return id
}

func notFound(id model.ID) error { return fmt.Errorf("%q: %w", id.String(), model.ErrNotFound) }

// invalid returns a *model.FieldError.
func invalid(field, format string, args ...any) error {
	return &model.FieldError{Field: field, Detail: fmt.Sprintf(format, args...)}
}
