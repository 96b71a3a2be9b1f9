package management

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/perdure/perdure/identity/internal/directory"
)

func connectionEndpoints() []endpoint {
	list := parameters(pages, marks, fields, []string{"name", "strategy"})
	return []endpoint{
		{method: http.MethodGet, path: "connections", permissions: []string{"read:connections"}, query: list, run: listConnections},
		{method: http.MethodPost, path: "connections", permissions: []string{"create:connections"}, run: createConnection},
		{method: http.MethodGet, path: "connections/{id}", permissions: []string{"read:connections"}, query: fields, run: readConnection},
		{method: http.MethodPatch, path: "connections/{id}", permissions: []string{"update:connections"}, run: updateConnection},
		{method: http.MethodDelete, path: "connections/{id}", permissions: []string{"delete:connections"}, run: deleteConnection},
		{method: http.MethodGet, path: "connections/{id}/clients", permissions: []string{"read:connections"}, query: marks, run: listConnectionClients},
		{method: http.MethodPatch, path: "connections/{id}/clients", permissions: []string{"update:connections"}, run: updateConnectionClients},
		{method: http.MethodDelete, path: "connections/{id}/users", permissions: []string{"delete:users"}, query: []string{"email"}, run: deleteConnectionUser},
	}
}

// strategies are those that the parameter names, as directory calls them.
func (c *call) strategies() (names []string) {
	for _, value := range c.query["strategy"] {
		for name := range strings.SplitSeq(value, ",") {
			if name != "" {
				names = append(names, providerOf(name))
			}
		}
	}
	return names
}

func listConnections(ctx context.Context, c *call) (*answer, error) {
	p, err := c.paging()
	if err != nil {
		return nil, err
	}
	l, err := c.env.ListConnections(ctx, directory.ConnectionFilter{
		Name: c.query.Get("name"), Strategies: c.strategies(), Paging: p.Paging,
	})
	if err != nil {
		return nil, err
	}
	return answerList(c, "connections", p, l, shapeConnection)
}

func createConnection(ctx context.Context, c *call) (*answer, error) {
	var b connectionBody
	if err := c.decode("connection", &b); err != nil {
		return nil, err
	}
	row := &directory.Connection{Name: b.Name.value, Strategy: providerOf(b.Strategy.value)}
	secret, err := b.apply(row)
	if err != nil {
		return nil, err
	}
	row, err = c.env.CreateConnection(ctx, c.actor(), row)
	if err != nil {
		return nil, err
	}
	if secret.given() {
		if err := c.env.SetConnectionSecret(ctx, c.actor(), row.ID, secret.value); err != nil {
			return nil, err
		}
	}
	return created(shapeConnection(row))
}

// apply changes a connection as a body says, and returns the secret that the body has.
func (b *connectionBody) apply(row *directory.Connection) (secret maybe[string], err error) {
	b.DisplayName.set(&row.DisplayName)
	b.ForAll.set(&row.ForAll)
	b.Disabled.set(&row.Disabled)
	b.EnabledClients.set(&row.EnabledClients)
	if !b.Options.present {
		return secret, nil
	}
	text := b.Options.value
	if b.Options.null {
		text = json.RawMessage("{}")
	}
	var o directory.ConnectionOptions
	if row.Strategy == directory.StrategyDatabase {
		var options databaseBody
		if err := decodeObject("options", text, &options); err != nil {
			return secret, err
		}
		if o, err = options.options(); err != nil {
			return secret, err
		}
	} else {
		var options upstreamBody
		if err := decodeObject("options", text, &options); err != nil {
			return secret, err
		}
		if o, err = options.options(); err != nil {
			return secret, err
		}
		secret = options.ClientSecret
		// Who may change the issuer may not have the secret sent to another one.
		if len(row.Options.SealedSecret) > 0 && !secret.present && (o.Issuer != row.Options.Issuer || o.ClientID != row.Options.ClientID) {
			return secret, invalid("\"options.client_secret\" is needed: the issuer or the client changed")
		}
	}
	o.SealedSecret = row.Options.SealedSecret
	row.Options = o
	return secret, nil
}

func readConnection(ctx context.Context, c *call) (*answer, error) {
	f, err := c.fieldFilter()
	if err != nil {
		return nil, err
	}
	row, err := c.env.Connection(ctx, c.args["id"])
	if err != nil {
		return nil, err
	}
	return ok(f.apply(shapeConnection(row)))
}

func updateConnection(ctx context.Context, c *call) (*answer, error) {
	var b connectionBody
	if err := c.decode("connection", &b); err != nil {
		return nil, err
	}
	var secret maybe[string]
	row, err := c.env.UpdateConnection(ctx, c.actor(), c.args["id"], func(row *directory.Connection) (err error) {
		switch {
		case b.Name.given() && b.Name.value != row.Name:
			return invalid("\"name\" never changes: users and applications name it")
		case b.Strategy.given() && providerOf(b.Strategy.value) != row.Strategy:
			return invalid("\"strategy\" never changes")
		}
		secret, err = b.apply(row)
		return err
	})
	if err != nil {
		return nil, err
	}
	if secret.present {
		if err := c.env.SetConnectionSecret(ctx, c.actor(), row.ID, secret.value); err != nil {
			return nil, err
		}
	}
	return ok(shapeConnection(row))
}

func deleteConnection(ctx context.Context, c *call) (*answer, error) {
	return none(c.env.DeleteConnection(ctx, c.actor(), c.args["id"]))
}

// listConnectionClients answers with the applications that offer a connection.
func listConnectionClients(ctx context.Context, c *call) (*answer, error) {
	p, err := c.paging()
	if err != nil {
		return nil, err
	}
	if p.Take == 0 {
		p.Take = defaultPage
	}
	row, err := c.env.Connection(ctx, c.args["id"])
	if err != nil {
		return nil, err
	}
	ids := slices.Sorted(slices.Values(row.EnabledClients))
	shapes := make([]*clientRefShape, len(ids))
	for i, id := range ids {
		shapes[i] = &clientRefShape{id}
	}
	l, err := cut(p, shapes)
	if err != nil {
		return nil, err
	}
	return answerList(c, "clients", p, l, func(s *clientRefShape) any { return s })
}

// clientStatus turns a connection on or off for an application.
type clientStatus struct {
	ClientID string `json:"client_id"`
	Status   bool   `json:"status"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *clientStatus) UnmarshalJSON(text []byte) error {
	type plain clientStatus
	return decodeObject("client", text, (*plain)(s))
}

func updateConnectionClients(ctx context.Context, c *call) (*answer, error) {
	if err := checkDepth(c.body); err != nil {
		return nil, err
	}
	var changes []clientStatus
	if err := json.Unmarshal(c.body, &changes); err != nil {
		return nil, member("body", err)
	}
	if len(changes) == 0 || len(changes) > defaultPage {
		return nil, invalid("the body must be an array of 1 to %d clients", defaultPage)
	}
	_, err := c.env.UpdateConnection(ctx, c.actor(), c.args["id"], func(row *directory.Connection) error {
		for _, change := range changes {
			row.EnabledClients = slices.DeleteFunc(row.EnabledClients, func(id string) bool { return id == change.ClientID })
			if change.Status {
				row.EnabledClients = append(row.EnabledClients, change.ClientID)
			}
		}
		return nil
	})
	return none(err)
}

func deleteConnectionUser(ctx context.Context, c *call) (*answer, error) {
	email := c.query.Get("email")
	if email == "" {
		return nil, invalidQuery("email is missing")
	}
	row, err := c.env.Connection(ctx, c.args["id"])
	if err != nil {
		return nil, err
	}
	u, err := c.env.UserByEmail(ctx, row.Name, email)
	if errors.Is(err, directory.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return none(c.env.DeleteUser(ctx, c.actor(), u.ID))
}
