package directory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/perdure/perdure/table"
)

// The rules for users of an issuer upstream whose address a user here has already.
const (
	LinkNever    = "never"
	LinkVerified = "verified"
)

// CreateConnection makes a connection. Its id is given to it.
func (e *Env) CreateConnection(ctx context.Context, by Actor, c *Connection) (*Connection, error) {
	row := *c
	row.CreatedAt = e.Now()
	row.ID = newID("con_", row.CreatedAt)
	row.Options.SealedSecret = nil
	if err := e.checkConnection(ctx, &row); err != nil {
		return nil, err
	}
	if err := claim(ctx, NameOfConnection, row.Name, row.ID); err != nil {
		return nil, fmt.Errorf("connection %q: %w", row.Name, err)
	}
	if err := put(ctx, Connections, "connection", row.ID, &row); err != nil {
		return nil, err
	}
	return &row, e.note(ctx, by, AuditCreated, row.ID, "connection %q was created", row.Name)
}

func (e *Env) checkConnection(ctx context.Context, c *Connection) error {
	if len(c.Name) > 128 || !connectionName.MatchString(c.Name) {
		return invalid("name", "%.140q is no name of a connection: 1 to 128 letters and digits of ASCII with single - between them are allowed", c.Name)
	}
	o := &c.Options
	for _, err := range []error{
		checkText("display_name", c.DisplayName, 0, MaxText),
		checkOneOf("strategy", c.Strategy, StrategyDatabase, StrategyOIDC),
		checkRange("options.min_length", o.MinLength, 8, 128),
		checkOneOf("options.link", o.Link, "", LinkNever, LinkVerified),
	} {
		if err != nil {
			return err
		}
	}
	if c.Strategy == StrategyOIDC {
		for _, err := range []error{
			checkWebURL("options.issuer", o.Issuer),
			checkText("options.client_id", o.ClientID, 1, MaxText),
			checkEach("options.scopes", o.Scopes, 50, checkPermission),
		} {
			if err != nil {
				return err
			}
		}
	}
	return checkEach("enabled_clients", c.EnabledClients, MaxClients, func(field, s string) error {
		_, err := e.Application(ctx, s)
		if errors.Is(err, ErrNotFound) {
			return invalid(field, "there is no application %.80q", s)
		}
		return err
	})
}

// Connection returns a connection by its id.
func (e *Env) Connection(ctx context.Context, id string) (*Connection, error) {
	return get(ctx, Connections, "connection", id)
}

// ConnectionByName returns the connection that has a name.
func (e *Env) ConnectionByName(ctx context.Context, name string) (*Connection, error) {
	id, err := holder(ctx, NameOfConnection, name)
	if err != nil {
		return nil, err
	}
	return e.Connection(ctx, id)
}

// ConnectionsFor returns the connections by which users sign in to an application, in the order in
// which they were made.
func (e *Env) ConnectionsFor(ctx context.Context, a *Application) ([]*Connection, error) {
	found := []*Connection{}
	for row, err := range Connections.Scan(ctx, "") {
		if err != nil {
			return nil, err
		}
		if row.Value.Offers(a) {
			found = append(found, row.Value)
		}
	}
	return found, nil
}

// MayUse reports whether a user may sign in to an application: by one of the connections that it offers.
func (e *Env) MayUse(ctx context.Context, a *Application, u *User) (bool, error) {
	offered, err := e.ConnectionsFor(ctx, a)
	return slices.ContainsFunc(offered, func(c *Connection) bool {
		return u.Connection == c.Name || slices.ContainsFunc(u.Identities, func(i Identity) bool { return i.Connection == c.Name })
	}), err
}

// Offers reports whether users of the connection may sign in to an application.
func (c *Connection) Offers(a *Application) bool {
	if c.Disabled || len(a.Connections) > 0 && !slices.Contains(a.Connections, c.Name) {
		return false
	}
	return c.ForAll || slices.Contains(c.EnabledClients, a.ClientID)
}

// UpdateConnection changes a connection. Its name and its strategy never change; the secret is set
// by SetConnectionSecret.
func (e *Env) UpdateConnection(ctx context.Context, by Actor, id string, fn func(*Connection) error) (*Connection, error) {
	row, err := update(ctx, Connections, "connection", id, func(c, old *Connection) error {
		if err := fn(c); err != nil {
			return err
		}
		switch {
		case c.Name != old.Name:
			return invalid("name", "it never changes: users and applications name it")
		case c.Strategy != old.Strategy:
			return invalid("strategy", "it never changes")
		case c.Options.Issuer != old.Options.Issuer:
			// The same subject is somebody else at another issuer (OpenID Connect Core section 5.7).
			if used, err := hasIdentities(ctx, c.Name); err != nil || used {
				return cmp.Or(err, fmt.Errorf("the issuer of the connection %q, which has users: make another connection: %w", c.Name, ErrInUse))
			}
		}
		c.ID, c.CreatedAt, c.Options.SealedSecret = old.ID, old.CreatedAt, old.Options.SealedSecret
		return e.checkConnection(ctx, c)
	})
	if err != nil {
		return nil, err
	}
	return row, e.note(ctx, by, AuditUpdated, id, "connection %q was updated", row.Name)
}

// hasIdentities reports whether anybody signs in by a connection, also one of other connections who has linked an
// account of it.
func hasIdentities(ctx context.Context, connection string) (bool, error) {
	for _, err := range Names.Scan(ctx, NameOfUpstream, table.Prefix(inConnection(connection, "")), table.Limit(1)) {
		return err == nil, err
	}
	return false, nil
}

func connectionPurpose(id string) string { return "identity connection " + id }

// SetConnectionSecret keeps the secret by which the provider is known to the issuer upstream. Empty
// removes it.
func (e *Env) SetConnectionSecret(ctx context.Context, by Actor, id, secret string) error {
	if len(secret) > 1024 {
		return invalid("options.client_secret", "it has %d bytes, at most 1024 are allowed", len(secret))
	}
	var sealed []byte
	if secret != "" {
		var err error
		if sealed, err = e.Seal.Seal(connectionPurpose(id), []byte(secret)); err != nil {
			return fmt.Errorf("connection %q: seal its secret: %w", id, err)
		}
	}
	row, err := update(ctx, Connections, "connection", id, func(c, _ *Connection) error {
		c.Options.SealedSecret = sealed
		return nil
	})
	if err != nil {
		return err
	}
	return e.note(ctx, by, AuditUpdated, id, "connection %q got a new secret", row.Name)
}

// ConnectionSecret returns the secret by which the provider is known to the issuer upstream.
func (e *Env) ConnectionSecret(c *Connection) (string, error) {
	if len(c.Options.SealedSecret) == 0 {
		return "", nil
	}
	secret, err := e.Seal.Open(connectionPurpose(c.ID), c.Options.SealedSecret)
	if err != nil {
		return "", fmt.Errorf("connection %q: open its secret: %w", c.Name, err)
	}
	return string(secret), nil
}

// DeleteConnection deletes a connection that has no users: ErrInUse otherwise. Applications that
// name it lose it.
func (e *Env) DeleteConnection(ctx context.Context, by Actor, id string) error {
	c, err := e.Connection(ctx, id)
	if err != nil {
		return err
	}
	for _, err := range Users.ScanIndex(ctx, UsersByConnection.Equal(c.Name)) {
		if err != nil {
			return err
		}
		return fmt.Errorf("connection %q has users; delete them first: %w", c.Name, ErrInUse)
	}
	if linked, err := hasIdentities(ctx, c.Name); err != nil || linked {
		return cmp.Or(err, fmt.Errorf("users of other connections have linked accounts of %q; unlink them first: %w", c.Name, ErrInUse))
	}
	for row, err := range Applications.Scan(ctx, "") {
		if err != nil {
			return err
		}
		if a := row.Value; slices.Contains(a.Connections, c.Name) {
			if len(a.Connections) == 1 {
				// Without a name in its list it would offer all connections.
				return fmt.Errorf("connection %q is the only one of the application %q: %w", c.Name, a.Name, ErrInUse)
			}
			a.Connections = slices.DeleteFunc(a.Connections, func(s string) bool { return s == c.Name })
			if err := put(ctx, Applications, "application", a.ClientID, a); err != nil {
				return err
			}
		}
	}
	if err := release(ctx, NameOfConnection, c.Name); err != nil {
		return err
	}
	if err := Connections.Delete(ctx, Key(id)); err != nil {
		return err
	}
	return e.note(ctx, by, AuditDeleted, id, "connection %q was deleted", c.Name)
}

// ConnectionFilter says which connections to list. Empty fields select all.
type ConnectionFilter struct {
	Name       string
	Strategies []string
	Paging
}

// ListConnections lists connections in the order in which they were made.
func (e *Env) ListConnections(ctx context.Context, f ConnectionFilter) (Listing[Connection], error) {
	return list(f.Paging, func(c *Connection) bool {
		return (f.Name == "" || c.Name == f.Name) && (len(f.Strategies) == 0 || slices.Contains(f.Strategies, c.Strategy))
	}, scanOf(ctx, Connections))
}
