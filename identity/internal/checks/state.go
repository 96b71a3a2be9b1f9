// Package checks says what is weak in what a provider knows: its applications, APIs, keys, people.
package checks

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/internal/doctor"
	"github.com/perdure/perdure/table"
)

// State is what the checks look at.
type State struct {
	Now    time.Time
	Issuer string
	Mail   bool
	// Demo is set if there are, or were, accounts of demo mode.
	Demo           bool
	Administrators []*directory.User
	Applications   []*directory.Application
	APIs           []*directory.API
	Connections    []*directory.Connection
	Keys           []*directory.SigningKey
	Grants         []*directory.ClientGrant
	// LastTokens has when an application last got a token for itself, as far as the audit log goes back.
	LastTokens map[string]time.Time
}

// maxRows bounds how many rows of a kind are looked at.
const maxRows = 10_000

// Read reads the state, in the unit of ctx.
func Read(ctx context.Context, env *directory.Env, demo bool) (*State, error) {
	s := &State{Now: env.Now(), Issuer: env.Issuer, Mail: env.Mail != nil, Demo: demo, LastTokens: map[string]time.Time{}}
	var err error
	if s.Applications, err = rows(ctx, directory.Applications); err != nil {
		return nil, err
	}
	if s.APIs, err = rows(ctx, directory.APIs); err != nil {
		return nil, err
	}
	if s.Connections, err = rows(ctx, directory.Connections); err != nil {
		return nil, err
	}
	if s.Grants, err = rows(ctx, directory.ClientGrants); err != nil {
		return nil, err
	}
	if s.Keys, err = env.ListSigningKeys(ctx); err != nil {
		return nil, err
	}
	if s.Administrators, err = administrators(ctx, env); err != nil {
		return nil, err
	}
	for _, a := range s.Applications {
		if !slices.Contains(a.GrantTypes, directory.GrantClient) {
			continue
		}
		f := directory.AuditFilter{Actor: a.ClientID + "@clients", Types: []string{directory.AuditToken}, Paging: directory.Paging{Take: 1}}
		last, err := env.AuditLog(ctx, f)
		if err != nil {
			return nil, err
		}
		for _, e := range last.Items {
			s.LastTokens[a.ClientID] = e.Time
		}
	}
	return s, nil
}

func rows[T any](ctx context.Context, t *table.Table[T]) (all []*T, err error) {
	for row, err := range t.Scan(ctx, "", table.Limit(maxRows)) {
		if err != nil {
			return nil, err
		}
		all = append(all, row.Value)
	}
	return all, nil
}

// administers reports whether a permission of the management API lets its holder change what others may do.
func administers(permission string) bool {
	verb, noun, _ := strings.Cut(permission, ":")
	return verb != "read" && slices.Contains([]string{"users", "roles", "role_members", "clients", "client_keys", "client_credentials", "client_grants", "connections", "user_tickets", "managed_identities"}, noun)
}

// administrators are the users who may change what others may do, by a role or directly.
func administrators(ctx context.Context, env *directory.Env) ([]*directory.User, error) {
	ids := map[string]bool{}
	take := func(members *table.Table[directory.RoleMember], partition string) error {
		for row, err := range members.Scan(ctx, partition, table.Limit(maxRows)) {
			if err != nil {
				return err
			}
			if row.Value.Kind == directory.KindUser {
				ids[row.Value.Principal] = true
			}
		}
		return nil
	}
	roles, err := rows(ctx, directory.Roles)
	if err != nil {
		return nil, err
	}
	for _, r := range roles {
		if slices.ContainsFunc(r.Permissions, func(p directory.APIPermission) bool { return p.API == env.ManagementAPI() && administers(p.Name) }) {
			if err := take(directory.RoleMembers, r.ID); err != nil {
				return nil, err
			}
		}
	}
	if err := take(directory.PermissionHolders, env.ManagementAPI()); err != nil {
		return nil, err
	}
	all := []*directory.User{}
	for id := range ids {
		u, err := env.User(ctx, id)
		if errors.Is(err, directory.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		permissions, _, err := env.RightsAt(ctx, u.Rights, env.ManagementAPI())
		if err != nil {
			return nil, err
		}
		if !u.Blocked && slices.ContainsFunc(permissions, administers) {
			all = append(all, u)
		}
	}
	slices.SortFunc(all, func(a, b *directory.User) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

// Environment is what another environment must not have in common with this one.
func (s *State) Environment() doctor.Environment {
	e := doctor.Environment{Issuer: s.Issuer, Secrets: map[string]string{}, Upstreams: map[string]string{}}
	for _, k := range s.Keys {
		if k.State != directory.KeyRevoked {
			e.SigningKeys = append(e.SigningKeys, k.ID)
		}
	}
	for _, a := range s.Applications {
		for _, secret := range live(a, s.Now) {
			e.Secrets[doctor.Mark(secret.Digest)] = a.Name
		}
		for _, key := range a.Keys {
			e.Secrets[doctor.Mark(thumbprint(key))] = a.Name
		}
	}
	for _, c := range s.Connections {
		if len(c.Options.SealedSecret) > 0 {
			digest := sha256.Sum256(fmt.Appendf(nil, "%q %q", c.Options.Issuer, c.Options.ClientID))
			e.Upstreams[doctor.Mark(digest[:])] = c.Name
		}
	}
	return e
}

// live are the secrets that are good now.
func live(a *directory.Application, now time.Time) []directory.AppSecret {
	return slices.DeleteFunc(slices.Clone(a.Secrets), func(s directory.AppSecret) bool { return !s.Expires.IsZero() && !s.Expires.After(now) })
}
