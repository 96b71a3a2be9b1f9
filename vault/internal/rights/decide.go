package rights

import (
	"context"
	"fmt"

	"github.com/perdure/perdure/vault/internal/model"
)

// Decide returns the id of a grant that lets the caller do op: model.ErrForbidden without one. An operator may do all,
// by no grant. The commit of the unit of ctx depends on no right being changed.
func (r *Rights) Decide(ctx context.Context, by *model.Caller, op *model.Operation) (grant string, err error) {
	if by.Operator {
		return "", nil
	}
	if by.Principal == nil || by.Principal.Subject == "" {
		return "", forbidden(op)
	}
	c, err := r.load(ctx)
	if err != nil {
		return "", err
	}
	if g := c.allows(r.member(by.Principal), op); g != nil {
		return g.ID, nil
	}
	if !c.roles {
		return "", forbidden(op)
	}
	roles, err := r.roles(ctx, by.Principal)
	if err != nil {
		return "", err
	}
	for _, role := range roles {
		if g := c.allows(role, op); g != nil {
			return g.ID, nil
		}
	}
	return "", forbidden(op)
}

// Visible returns which names the caller may see by op, and the id of a grant that says so: model.ErrForbidden when there
// is none. It looks at op's vault, kind and operation.
func (r *Rights) Visible(ctx context.Context, by *model.Caller, op *model.Operation) (visible func(name string) bool, grant string, err error) {
	if by.Operator {
		return func(string) bool { return true }, "", nil
	}
	if by.Principal == nil || by.Principal.Subject == "" {
		return nil, "", forbidden(op)
	}
	c, err := r.load(ctx)
	if err != nil {
		return nil, "", err
	}
	seen := &names{exact: map[string]bool{}}
	c.collect(seen, r.member(by.Principal), op)
	if c.roles {
		roles, err := r.roles(ctx, by.Principal)
		if err != nil {
			return nil, "", err
		}
		for _, role := range roles {
			c.collect(seen, role, op)
		}
	}
	if seen.grant == nil {
		return nil, "", forbidden(op)
	}
	return seen.visible, seen.grant.ID, nil
}

// forbidden says what was asked for, and nothing of what there is.
func forbidden(op *model.Operation) error {
	if op.Name == "" {
		return fmt.Errorf("%w: no right to %s %s of vault %q", model.ErrForbidden, op.Op, op.Kind, op.Vault)
	}
	return fmt.Errorf("%w: no right to %s %q of the %s of vault %q", model.ErrForbidden, op.Op, op.Name, op.Kind, op.Vault)
}
