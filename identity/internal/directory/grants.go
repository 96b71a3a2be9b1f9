package directory

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/perdure/perdure/table"
)

// CreateClientGrant lets an application have tokens for an API as itself. Its id is given to it.
func (e *Env) CreateClientGrant(ctx context.Context, by Actor, g *ClientGrant) (*ClientGrant, error) {
	row := *g
	row.CreatedAt = e.Now()
	row.ID = newID("cgr_", row.CreatedAt)
	if _, err := e.Application(ctx, row.ClientID); errors.Is(err, ErrNotFound) {
		return nil, invalid("client_id", "there is no application %.80q", row.ClientID)
	} else if err != nil {
		return nil, err
	}
	if err := e.checkGrant(ctx, &row); err != nil {
		return nil, err
	}
	if err := claim(ctx, NameOfGrant, grantName(&row), row.ID); err != nil {
		return nil, fmt.Errorf("client grant of %q for %q: %w", row.ClientID, row.Audience, err)
	}
	if err := put(ctx, ClientGrants, "client grant", row.ID, &row); err != nil {
		return nil, err
	}
	return &row, e.note(ctx, by, AuditCreated, row.ID, "application %s was granted the API %q", row.ClientID, row.Audience)
}

func grantName(g *ClientGrant) string { return g.ClientID + "\x00" + g.Audience }

func (e *Env) checkGrant(ctx context.Context, g *ClientGrant) error {
	api, err := e.APIByIdentifier(ctx, g.Audience)
	if errors.Is(err, ErrNotFound) {
		return invalid("audience", "there is no API %.80q", g.Audience)
	}
	if err != nil {
		return err
	}
	g.Scope = slices.Compact(slices.Sorted(slices.Values(g.Scope)))
	if g.Scope == nil {
		g.Scope = []string{}
	}
	return checkEach("scope", g.Scope, MaxPermissionsOfAPI, func(field, s string) error {
		if !api.Knows(s) {
			return invalid(field, "the API %q has no permission %.80q", g.Audience, s)
		}
		return nil
	})
}

// ClientGrant returns a grant by its id.
func (e *Env) ClientGrant(ctx context.Context, id string) (*ClientGrant, error) {
	return get(ctx, ClientGrants, "client grant", id)
}

// GrantOf returns the grant of an application for an API: ErrNotFound when it has none.
func (e *Env) GrantOf(ctx context.Context, clientID, audience string) (*ClientGrant, error) {
	id, err := holder(ctx, NameOfGrant, clientID+"\x00"+audience)
	if err != nil {
		return nil, err
	}
	return e.ClientGrant(ctx, id)
}

// UpdateClientGrant changes the scope of a grant.
func (e *Env) UpdateClientGrant(ctx context.Context, by Actor, id string, fn func(*ClientGrant) error) (*ClientGrant, error) {
	row, err := update(ctx, ClientGrants, "client grant", id, func(g, old *ClientGrant) error {
		if err := fn(g); err != nil {
			return err
		}
		g.ID, g.CreatedAt, g.ClientID, g.Audience = old.ID, old.CreatedAt, old.ClientID, old.Audience
		return e.checkGrant(ctx, g)
	})
	if err != nil {
		return nil, err
	}
	return row, e.note(ctx, by, AuditUpdated, id, "grant of application %s for the API %q was updated", row.ClientID, row.Audience)
}

// DeleteClientGrant takes an API from an application.
func (e *Env) DeleteClientGrant(ctx context.Context, by Actor, id string) error {
	g, err := e.ClientGrant(ctx, id)
	if err != nil {
		return err
	}
	if err := e.dropGrant(ctx, g); err != nil {
		return err
	}
	return e.note(ctx, by, AuditDeleted, id, "grant of application %s for the API %q was deleted", g.ClientID, g.Audience)
}

func (e *Env) dropGrant(ctx context.Context, g *ClientGrant) error {
	if err := release(ctx, NameOfGrant, grantName(g)); err != nil {
		return err
	}
	return ClientGrants.Delete(ctx, Key(g.ID))
}

// GrantFilter says which grants to list. Empty fields select all.
type GrantFilter struct {
	ClientID, Audience string
	Paging
}

// ListClientGrants lists grants in the order in which they were made.
func (e *Env) ListClientGrants(ctx context.Context, f GrantFilter) (Listing[ClientGrant], error) {
	keep := func(g *ClientGrant) bool {
		return (f.ClientID == "" || g.ClientID == f.ClientID) && (f.Audience == "" || g.Audience == f.Audience)
	}
	return list(f.Paging, keep, func(options ...table.ScanOption) iter.Seq2[table.Row[ClientGrant], error] {
		switch {
		case f.ClientID != "" && len(f.ClientID) <= MaxID:
			return ClientGrants.ScanIndex(ctx, ClientGrantsByClient.Equal(f.ClientID), options...)
		case f.Audience != "" && len(f.Audience) <= MaxIdentifier:
			return ClientGrants.ScanIndex(ctx, ClientGrantsByAudience.Equal(f.Audience), options...)
		}
		return ClientGrants.Scan(ctx, "", options...)
	})
}
