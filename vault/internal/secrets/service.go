package secrets

import (
	"context"
	"fmt"

	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/model"
)

// Service serves the secrets of all vaults. Its methods open a unit of work each, which the guard's entry in the audit log is part
// of. Errors are those of package model; where a caller may not do something it is model.ErrForbidden, whether there is
// such a secret or not. It is safe for concurrent use.
type Service struct {
	env   *model.Env
	store *items.Store
	guard model.Guard
}

// New returns the service.
func New(env *model.Env, store *items.Store, guard model.Guard) *Service {
	return &Service{env: env, store: store, guard: guard}
}

// do runs fn for a secret as the guard lets it. Version names the version in the audit log.
func (s *Service) do(ctx context.Context, by model.Caller, op model.Op, id model.ID, fn func(ctx context.Context, id model.ID, o *model.Operation) error) error {
	id.Kind = model.Secrets
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

// visible runs fn for a list of a vault as the guard lets it.
func (s *Service) visible(ctx context.Context, by model.Caller, vault string, fn func(ctx context.Context, visible func(name string) bool) error) error {
	if err := model.CheckVaultName(vault); err != nil {
		return err
	}
	return s.guard.Visible(ctx, by, &model.Operation{ID: model.ID{Vault: vault, Kind: model.Secrets}, Op: model.OpList}, fn)
}

func secretOf(v *items.Version) *model.Secret {
	return &model.Secret{
		ID: v.ID, Attributes: v.Attributes, ContentType: v.ContentType, Tags: v.Tags, Managed: v.Managed, Previous: v.Previous,
	}
}

func managed(id model.ID) error { return fmt.Errorf("%q: %w", id.String(), model.ErrManaged) }
