package directory

import (
	"context"
	"fmt"

	"github.com/google/uuid"
)

// CreateManagedIdentity makes a managed identity. Its ids are given to it.
func (e *Env) CreateManagedIdentity(ctx context.Context, by Actor, m *ManagedIdentity) (*ManagedIdentity, error) {
	row := *m
	row.CreatedAt = e.Now()
	row.ID, row.ClientID = uuid.NewString(), uuid.NewString()
	row.Rights = Rights{}
	if err := checkManagedIdentity(&row); err != nil {
		return nil, err
	}
	if err := claim(ctx, NameOfIdentity, row.Name, row.ClientID); err != nil {
		return nil, fmt.Errorf("managed identity %q: %w", row.Name, err)
	}
	if err := claim(ctx, NameOfObject, row.ID, row.ClientID); err != nil {
		return nil, fmt.Errorf("managed identity %q: %w", row.ID, err)
	}
	if err := put(ctx, ManagedIdentities, "managed identity", row.ClientID, &row); err != nil {
		return nil, err
	}
	if len(m.RoleIDs) > 0 {
		if err := e.AssignRoles(ctx, by, row.ID, KindIdentity, m.RoleIDs...); err != nil {
			return nil, err
		}
	}
	if len(m.Permissions) > 0 {
		if err := e.GrantPermissions(ctx, by, row.ID, KindIdentity, m.Permissions...); err != nil {
			return nil, err
		}
	}
	if err := e.note(ctx, by, AuditCreated, row.ID, "managed identity %q was created", row.Name); err != nil {
		return nil, err
	}
	return e.ManagedIdentity(ctx, row.ClientID)
}

func checkManagedIdentity(m *ManagedIdentity) error {
	if err := checkText("name", m.Name, 1, 128); err != nil {
		return err
	}
	if err := checkEach("resources", m.Resources, MaxURLsOfApplication, checkIdentifier); err != nil {
		return err
	}
	return checkTrust("federated", m.Federated)
}

// ManagedIdentity returns a managed identity by its client id.
func (e *Env) ManagedIdentity(ctx context.Context, clientID string) (*ManagedIdentity, error) {
	return get(ctx, ManagedIdentities, "managed identity", clientID)
}

// ManagedIdentityByObject returns a managed identity by its object id, the subject of its tokens.
func (e *Env) ManagedIdentityByObject(ctx context.Context, id string) (*ManagedIdentity, error) {
	client, err := holder(ctx, NameOfObject, id)
	if err != nil {
		return nil, err
	}
	return e.ManagedIdentity(ctx, client)
}

// ManagedIdentityByName returns the managed identity that has a name.
func (e *Env) ManagedIdentityByName(ctx context.Context, name string) (*ManagedIdentity, error) {
	client, err := holder(ctx, NameOfIdentity, name)
	if err != nil {
		return nil, err
	}
	return e.ManagedIdentity(ctx, client)
}

// UpdateManagedIdentity changes a managed identity. Its ids never change; rights have functions of their
// own.
func (e *Env) UpdateManagedIdentity(ctx context.Context, by Actor, clientID string, fn func(*ManagedIdentity) error) (*ManagedIdentity, error) {
	row, err := update(ctx, ManagedIdentities, "managed identity", clientID, func(m, old *ManagedIdentity) error {
		if err := fn(m); err != nil {
			return err
		}
		m.ID, m.ClientID, m.System, m.CreatedAt, m.Rights = old.ID, old.ClientID, old.System, old.CreatedAt, old.Rights
		if err := checkManagedIdentity(m); err != nil {
			return err
		}
		if m.Name == old.Name {
			return nil
		}
		if err := claim(ctx, NameOfIdentity, m.Name, m.ClientID); err != nil {
			return fmt.Errorf("managed identity %q: %w", m.Name, err)
		}
		return release(ctx, NameOfIdentity, old.Name)
	})
	if err != nil {
		return nil, err
	}
	return row, e.note(ctx, by, AuditUpdated, row.ID, "managed identity %q was updated", row.Name)
}

// DeleteManagedIdentity deletes a managed identity with its rights.
func (e *Env) DeleteManagedIdentity(ctx context.Context, by Actor, clientID string) error {
	m, err := e.ManagedIdentity(ctx, clientID)
	if err != nil {
		return err
	}
	if m.System {
		return fmt.Errorf("managed identity %q: %w", m.Name, ErrSystem)
	}
	if err := dropRights(ctx, m.ID, m.Rights); err != nil {
		return err
	}
	if err := release(ctx, NameOfIdentity, m.Name); err != nil {
		return err
	}
	if err := release(ctx, NameOfObject, m.ID); err != nil {
		return err
	}
	if err := ManagedIdentities.Delete(ctx, Key(clientID)); err != nil {
		return err
	}
	if err := e.ended(ctx, m.ID); err != nil {
		return err
	}
	return e.note(ctx, by, AuditDeleted, m.ID, "managed identity %q was deleted", m.Name)
}

// ListManagedIdentities lists managed identities in the order of their client ids.
func (e *Env) ListManagedIdentities(ctx context.Context, p Paging) (Listing[ManagedIdentity], error) {
	return list(p, nil, scanOf(ctx, ManagedIdentities))
}
