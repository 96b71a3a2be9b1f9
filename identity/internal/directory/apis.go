package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// The algorithms by which tokens are signed.
const (
	RS256 = "RS256"
	PS256 = "PS256"
	ES256 = "ES256"
	EdDSA = "EdDSA"
)

// Algorithms are those by which tokens can be signed.
func Algorithms() []string { return []string{RS256, PS256, ES256, EdDSA} }

// The dialects of access tokens.
const (
	DialectPlain       = "access_token"
	DialectPermissions = "access_token_authz" // with permissions
)

// Knows reports whether the API has a permission.
func (a *API) Knows(permission string) bool {
	return slices.ContainsFunc(a.Permissions, func(p Permission) bool { return p.Value == permission })
}

// CreateAPI makes an API. Its id is given to it.
func (e *Env) CreateAPI(ctx context.Context, by Actor, a *API) (*API, error) {
	row := *a
	row.CreatedAt = e.Now()
	row.ID = newID("api_", row.CreatedAt)
	row.Permissions = slices.Clone(a.Permissions)
	if err := checkAPI(&row); err != nil {
		return nil, err
	}
	if err := claim(ctx, NameOfAPI, row.Identifier, row.ID); err != nil {
		return nil, fmt.Errorf("API %q: %w", row.Identifier, err)
	}
	if err := put(ctx, APIs, "API", row.ID, &row); err != nil {
		return nil, err
	}
	return &row, e.note(ctx, by, AuditCreated, row.ID, "API %q was created", row.Identifier)
}

func checkAPI(a *API) error {
	if a.SigningAlg == "" {
		a.SigningAlg = RS256
	}
	if a.TokenDialect == "" {
		a.TokenDialect = DialectPlain
		if a.EnforcePolicies {
			a.TokenDialect = DialectPermissions
		}
	}
	if a.Name == "" {
		a.Name = a.Identifier
	}
	for _, err := range []error{
		checkIdentifier("identifier", a.Identifier),
		checkText("name", a.Name, 1, MaxText),
		checkOneOf("signing_alg", a.SigningAlg, Algorithms()...),
		checkOneOf("token_dialect", a.TokenDialect, DialectPlain, DialectPermissions),
		checkRange("token_lifetime", a.TokenLifetime, 1, 30*86400),
		checkRange("token_lifetime_for_web", a.TokenLifetimeForWeb, 1, 30*86400),
	} {
		if err != nil {
			return err
		}
	}
	if n := len(a.Permissions); n > MaxPermissionsOfAPI {
		return invalid("scopes", "there are %d, at most %d are allowed", n, MaxPermissionsOfAPI)
	}
	seen := make(map[string]bool, len(a.Permissions))
	for i, p := range a.Permissions {
		field := fmt.Sprintf("scopes[%d]", i)
		if err := checkPermission(field+".value", p.Value); err != nil {
			return err
		}
		if err := checkText(field+".description", p.Description, 0, MaxDescription); err != nil {
			return err
		}
		if seen[p.Value] {
			return invalid(field+".value", "%q is there twice", p.Value)
		}
		seen[p.Value] = true
	}
	return nil
}

// API returns an API by its id.
func (e *Env) API(ctx context.Context, id string) (*API, error) { return get(ctx, APIs, "API", id) }

// APIByIdentifier returns an API by its identifier, which is the audience of its tokens.
func (e *Env) APIByIdentifier(ctx context.Context, identifier string) (*API, error) {
	id, err := holder(ctx, NameOfAPI, identifier)
	if err != nil {
		return nil, err
	}
	return e.API(ctx, id)
}

// UpdateAPI changes an API. A permission that it loses is taken from roles, grants and
// principals as well, so that it does not come back when it is added again.
func (e *Env) UpdateAPI(ctx context.Context, by Actor, id string, fn func(*API) error) (*API, error) {
	var lost []string
	row, err := update(ctx, APIs, "API", id, func(a, old *API) error {
		if err := fn(a); err != nil {
			return err
		}
		if a.Identifier != old.Identifier {
			return invalid("identifier", "it never changes: tokens and grants name it; make another API")
		}
		a.ID, a.CreatedAt, a.System, a.Own = old.ID, old.CreatedAt, old.System, old.Own
		if err := checkAPI(a); err != nil {
			return err
		}
		for _, p := range old.Permissions {
			if !a.Knows(p.Value) {
				lost = append(lost, p.Value)
			}
		}
		switch {
		case a.System && len(lost) > 0:
			return fmt.Errorf("permission %q of the API %q: %w", lost[0], a.Identifier, ErrSystem)
		case a.System && old.EnforcePolicies && !a.EnforcePolicies:
			// Without it everybody who can sign in has each scope of it that is asked for.
			return fmt.Errorf("that the API %q enforces policies: %w", a.Identifier, ErrSystem)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(lost) > 0 {
		if err := e.dropPermissions(ctx, row.Identifier, func(name string) bool { return slices.Contains(lost, name) }); err != nil {
			return nil, err
		}
	}
	return row, e.note(ctx, by, AuditUpdated, id, "API %q was updated", row.Identifier)
}

// DeleteAPI deletes an API with its grants, and takes its permissions from roles and principals.
func (e *Env) DeleteAPI(ctx context.Context, by Actor, id string) error {
	a, err := e.API(ctx, id)
	if err != nil {
		return err
	}
	if a.System || a.Own {
		return fmt.Errorf("API %q: %w", a.Identifier, ErrSystem)
	}
	if err := e.dropPermissions(ctx, a.Identifier, func(string) bool { return true }); err != nil {
		return err
	}
	for row, err := range ClientGrants.ScanIndex(ctx, ClientGrantsByAudience.Equal(a.Identifier)) {
		if err != nil {
			return err
		}
		if err := e.dropGrant(ctx, row.Value); err != nil {
			return err
		}
	}
	if err := release(ctx, NameOfAPI, a.Identifier); err != nil {
		return err
	}
	if err := APIs.Delete(ctx, Key(id)); err != nil {
		return err
	}
	return e.note(ctx, by, AuditDeleted, id, "API %q was deleted", a.Identifier)
}

// maxHolders is how many principals can lose direct permissions in one unit.
const maxHolders = 1000

// dropPermissions takes permissions of an API from all roles, principals and grants.
func (e *Env) dropPermissions(ctx context.Context, identifier string, gone func(name string) bool) error {
	drop := func(p APIPermission) bool { return p.API == identifier && gone(p.Name) }
	for row, err := range Roles.Scan(ctx, "") {
		if err != nil {
			return err
		}
		if slices.ContainsFunc(row.Value.Permissions, drop) {
			row.Value.Permissions = slices.DeleteFunc(row.Value.Permissions, drop)
			if err := put(ctx, Roles, "role", row.Value.ID, row.Value); err != nil {
				return err
			}
		}
	}
	for row, err := range ClientGrants.ScanIndex(ctx, ClientGrantsByAudience.Equal(identifier)) {
		if err != nil {
			return err
		}
		if slices.ContainsFunc(row.Value.Scope, gone) {
			row.Value.Scope = slices.DeleteFunc(row.Value.Scope, gone)
			if err := put(ctx, ClientGrants, "client grant", row.Value.ID, row.Value); err != nil {
				return err
			}
		}
	}
	n := 0
	for row, err := range PermissionHolders.Scan(ctx, identifier) {
		if err != nil {
			return err
		}
		if n++; n > maxHolders {
			return fmt.Errorf("permissions of the API %q: more than %d users and managed identities have some directly; revoke those first, roles have no such bound: %w",
				identifier, maxHolders, ErrInUse)
		}
		left := false
		err := e.changeRights(ctx, row.Value.Kind, row.Value.Principal, func(r *Rights) error {
			r.Permissions = slices.DeleteFunc(r.Permissions, drop)
			left = slices.ContainsFunc(r.Permissions, func(p APIPermission) bool { return p.API == identifier })
			return nil
		})
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if !left {
			if err := PermissionHolders.Delete(ctx, row.Key.String()); err != nil {
				return err
			}
		}
	}
	return nil
}

// PublishPermissions makes sure that an API is there and knows permissions: what an app's functions
// ask for, at each start. It adds and describes, and never takes away; without a difference it
// writes nothing. An API that it makes has RBAC on.
func (e *Env) PublishPermissions(ctx context.Context, identifier, name string, permissions []Permission) (*API, error) {
	a, err := e.APIByIdentifier(ctx, identifier)
	if errors.Is(err, ErrNotFound) {
		return e.CreateAPI(ctx, Itself, &API{
			Identifier: identifier, Name: name, Permissions: permissions,
			EnforcePolicies: true, TokenDialect: DialectPermissions, AllowOfflineAccess: true, SkipConsent: true,
		})
	}
	if err != nil {
		return nil, err
	}
	merged := mergePermissions(a.Permissions, permissions)
	if slices.Equal(merged, a.Permissions) {
		return a, nil
	}
	return e.UpdateAPI(ctx, Itself, a.ID, func(a *API) error {
		a.Permissions = merged
		return nil
	})
}

// MarkOwn marks an API as that of the app's functions, and no other one: an app may have been given another
// identifier since.
func (e *Env) MarkOwn(ctx context.Context, identifier string) error {
	for row, err := range APIs.Scan(ctx, "") {
		if err != nil {
			return err
		}
		is := row.Value.Identifier == identifier
		if is == row.Value.Own {
			continue
		}
		if err := APIs.Update(ctx, Key(row.Value.ID), func(a *API) error { a.Own = is; return nil }); err != nil {
			return err
		}
	}
	return nil
}

// mergePermissions adds permissions to those there are, and takes over descriptions.
func mergePermissions(have, add []Permission) []Permission {
	merged := slices.Clone(have)
	for _, p := range add {
		i := slices.IndexFunc(merged, func(m Permission) bool { return m.Value == p.Value })
		switch {
		case i < 0:
			merged = append(merged, p)
		case p.Description != "":
			merged[i].Description = p.Description
		}
	}
	return merged
}

// ListAPIs lists APIs in the order in which they were made.
func (e *Env) ListAPIs(ctx context.Context, p Paging) (Listing[API], error) {
	return list(p, nil, scanOf(ctx, APIs))
}
