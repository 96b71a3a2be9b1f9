// Package guard decides by the rights of a store and notes in its audit log: the model.Guard of real vaults.
package guard

import (
	"context"
	"errors"
	"fmt"

	"github.com/perdure/perdure/vault/internal/audit"
	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/rights"
)

// Guard implements model.Guard.
type Guard struct {
	env    *model.Env
	rights *rights.Rights
	log    *audit.Log
}

var _ model.Guard = (*Guard)(nil)

// New returns a guard. It opens the log at its first use, if nothing else has.
func New(env *model.Env, r *rights.Rights, log *audit.Log) *Guard {
	return &Guard{env: env, rights: r, log: log}
}

// Do implements model.Guard. The unit reads the generation of the rights, decides, runs fn and appends the entry, so it
// commits only if the right still holds then.
func (g *Guard) Do(ctx context.Context, by model.Caller, op *model.Operation, fn func(ctx context.Context) error) error {
	return g.run(ctx, &by, op, func(ctx context.Context) (grant string, err error) {
		if grant, err = g.rights.Decide(ctx, &by, op); err != nil {
			return "", err
		}
		return grant, fn(ctx)
	})
}

// Visible implements model.Guard.
func (g *Guard) Visible(ctx context.Context, by model.Caller, op *model.Operation, fn func(ctx context.Context, visible func(name string) bool) error) error {
	return g.run(ctx, &by, op, func(ctx context.Context) (grant string, err error) {
		visible, grant, err := g.rights.Visible(ctx, &by, op)
		if err != nil {
			return "", err
		}
		return grant, fn(ctx, visible)
	})
}

// run runs do in a unit, with op as it was asked for each time, and notes op as do has left it.
func (g *Guard) run(ctx context.Context, by *model.Caller, op *model.Operation, do func(ctx context.Context) (grant string, err error)) error {
	if err := g.log.Open(ctx); err != nil {
		return err
	}
	asked := *op
	err := g.env.Unit(ctx, func(ctx context.Context) error {
		*op = asked
		grant, err := do(ctx)
		if err != nil {
			return err
		}
		entry := g.log.Entry(by, op)
		entry.Grant = grant
		if err := g.log.Append(ctx, entry); err != nil {
			return fmt.Errorf("what was asked for cannot be noted: %w", err)
		}
		return nil
	})
	if errors.Is(err, model.ErrForbidden) {
		g.log.Refused(by, &asked)
	}
	return err
}
