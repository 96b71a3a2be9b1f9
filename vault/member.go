package vault

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/rights"
)

// Directory is what a provider knows of those who can be given rights. All methods work in the unit of ctx.
type Directory interface {
	// Member finds somebody by "user:…", "app:…", "identity:…", "role:…" or "self"; ErrNotFound if there is none. The subject of
	// a role is "role:NAME".
	Member(ctx context.Context, spec string) (subject, name string, err error)
	// Roles are the roles that a subject has now.
	Roles(ctx context.Context, subject string) ([]string, error)
	// Admit lets a subject have tokens for an audience.
	Admit(ctx context.Context, subject, audience string) error
	// Publish makes an audience known.
	Publish(ctx context.Context, audience, name string) error
}

// members is the directory as the rights see it; nil without one.
func (v *Vault) members() rights.Directory {
	if v.options.Directory == nil {
		return nil
	}
	return members{v.options.Directory}
}

// members are those of a provider.
type members struct{ Directory }

// rolePrefix begins the subject of a role.
const rolePrefix = "role:"

// Member implements rights.Directory.
func (m members) Member(ctx context.Context, spec string) (rights.Member, error) {
	subject, name, err := m.Directory.Member(ctx, spec)
	if role, ok := strings.CutPrefix(subject, rolePrefix); ok {
		return rights.Member{Role: role, Display: name}, err
	}
	return rights.Member{Subject: subject, Display: name}, err
}

// seed gives the rights that the configuration names, and lets those who have any have tokens.
func (v *Vault) seed(ctx context.Context) error {
	if v.options.Directory != nil && v.options.Port != "" {
		err := v.env.Unit(ctx, func(ctx context.Context) error {
			return v.options.Directory.Publish(ctx, v.Resource(), "Vault")
		})
		if err != nil {
			return err
		}
	}
	for _, g := range v.options.Grants {
		_, _, err := v.grant(ctx, configured, rights.Spec{Vault: g.Vault, Set: g.Role, Name: g.Name, Member: g.Member})
		if errors.Is(err, model.ErrNotFound) {
			v.options.Log.Warn("a right of Vault.Grants is for nobody that there is; it is given at the next start at which there is", "member", g.Member, "error", err)
			continue
		}
		if err != nil {
			return fmt.Errorf("Vault.Grants: %s: %w", g.Member, err)
		}
	}
	return nil
}

// configured is who gives the rights of the configuration.
var configured = model.Caller{Principal: &auth.Principal{Subject: "configuration"}}

// grant gives a right, and admits who gets it to the REST interface.
func (v *Vault) grant(ctx context.Context, by model.Caller, s rights.Spec) (g *rights.Grant, added bool, err error) {
	err = v.env.Unit(ctx, func(ctx context.Context) error {
		if g, added, err = v.rights.Grant(ctx, by.Subject(), s); err != nil {
			return err
		}
		if added {
			if err := v.noteGrant(ctx, by, "grant", g); err != nil {
				return err
			}
		}
		if v.options.Directory == nil || v.options.Port == "" || g.Member.Subject == "" || g.Member.Issuer != "" {
			return nil
		}
		return v.options.Directory.Admit(ctx, g.Member.Subject, v.Resource())
	})
	return g, added, err
}

// Forget takes all rights away, in the unit of ctx, of somebody of the app's own provider who was deleted.
func (v *Vault) Forget(ctx context.Context, subject string) error {
	dropped, err := v.rights.Forget(ctx, rights.Member{Subject: subject})
	for _, g := range dropped {
		err = errors.Join(err, v.noteGrant(ctx, configured, "revoke", g))
	}
	return err
}

// noteGrant writes the audit entry of a right that was given or taken.
func (v *Vault) noteGrant(ctx context.Context, by model.Caller, op model.Op, g *rights.Grant) error {
	v.env.OnCommit(ctx, v.values.forget)
	return v.audit.Append(ctx, v.audit.Entry(&by, &model.Operation{
		ID: model.ID{Vault: g.Vault, Kind: "grants", Name: g.ID}, Op: op, Detail: g.String(),
	}))
}
