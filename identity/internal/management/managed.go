package management

import (
	"context"
	"net/http"
	"slices"

	"github.com/perdure/perdure/identity/internal/directory"
)

// managedEndpoints are Perdure's own: Auth0 has no managed identities.
func managedEndpoints() []endpoint {
	list := parameters(pages, marks)
	return []endpoint{
		{method: http.MethodGet, path: "managed-identities", permissions: []string{"read:managed_identities"}, query: list, run: listManaged},
		{method: http.MethodPost, path: "managed-identities", permissions: []string{"create:managed_identities"}, run: createManaged},
		{method: http.MethodGet, path: "managed-identities/{id}", permissions: []string{"read:managed_identities"}, run: readManaged},
		{method: http.MethodPatch, path: "managed-identities/{id}", permissions: []string{"update:managed_identities"}, run: updateManaged},
		{method: http.MethodDelete, path: "managed-identities/{id}", permissions: []string{"delete:managed_identities"}, run: deleteManaged},
		{method: http.MethodGet, path: "managed-identities/{id}/roles", permissions: []string{"read:managed_identities"}, query: list, run: listManagedRoles},
		{method: http.MethodPost, path: "managed-identities/{id}/roles", permissions: []string{"update:managed_identities"}, run: assignManagedRoles},
		{method: http.MethodDelete, path: "managed-identities/{id}/roles", permissions: []string{"update:managed_identities"}, run: removeManagedRoles},
		{method: http.MethodGet, path: "managed-identities/{id}/permissions", permissions: []string{"read:managed_identities"}, query: list, run: listManagedPermissions},
		{method: http.MethodPost, path: "managed-identities/{id}/permissions", permissions: []string{"update:managed_identities"}, run: grantManagedPermissions},
		{method: http.MethodDelete, path: "managed-identities/{id}/permissions", permissions: []string{"update:managed_identities"}, run: revokeManagedPermissions},
	}
}

type managedShape struct {
	ID        string                `json:"id"`
	ClientID  string                `json:"client_id"`
	Name      string                `json:"name"`
	System    bool                  `json:"is_system"`
	Resources []string              `json:"resources"`
	Federated []directory.TrustRule `json:"federated"`
	CreatedAt stamp                 `json:"created_at"`
}

func shapeManaged(m *directory.ManagedIdentity) any {
	s := &managedShape{m.ID, m.ClientID, m.Name, m.System, list(m.Resources), slices.Clone(m.Federated), stamp(m.CreatedAt)}
	if s.Federated == nil {
		s.Federated = []directory.TrustRule{}
	}
	return s
}

// managedBody is what a managed identity is created or changed by.
type managedBody struct {
	Name      maybe[string]      `json:"name"`
	Resources maybe[[]string]    `json:"resources"`
	Federated maybe[[]trustBody] `json:"federated"`
}

// trustBody lets tokens of another issuer stand for the identity.
type trustBody struct {
	Name     string `json:"name"`
	Issuer   string `json:"issuer"`
	Subject  string `json:"subject"`
	Audience string `json:"audience"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (b *trustBody) UnmarshalJSON(text []byte) error {
	type plain trustBody
	return decodeObject("federated", text, (*plain)(b))
}

func (b *managedBody) apply(m *directory.ManagedIdentity) {
	b.Name.set(&m.Name)
	b.Resources.set(&m.Resources)
	if b.Federated.present {
		m.Federated = nil
		for _, rule := range b.Federated.value {
			m.Federated = append(m.Federated, directory.TrustRule(rule))
		}
	}
}

func listManaged(ctx context.Context, c *call) (*answer, error) {
	p, err := c.paging()
	if err != nil {
		return nil, err
	}
	l, err := c.env.ListManagedIdentities(ctx, p.Paging)
	if err != nil {
		return nil, err
	}
	return answerList(c, "managed_identities", p, l, shapeManaged)
}

func createManaged(ctx context.Context, c *call) (*answer, error) {
	var b managedBody
	if err := c.decode("managed identity", &b); err != nil {
		return nil, err
	}
	m := &directory.ManagedIdentity{}
	b.apply(m)
	m, err := c.env.CreateManagedIdentity(ctx, c.actor(), m)
	if err != nil {
		return nil, err
	}
	return created(shapeManaged(m))
}

// managed returns the identity of the path, by its object id or its client id.
func (c *call) managed(ctx context.Context) (*directory.ManagedIdentity, error) {
	if m, err := c.env.ManagedIdentityByObject(ctx, c.args["id"]); err == nil {
		return m, nil
	}
	return c.env.ManagedIdentity(ctx, c.args["id"])
}

func readManaged(ctx context.Context, c *call) (*answer, error) {
	m, err := c.managed(ctx)
	if err != nil {
		return nil, err
	}
	return ok(shapeManaged(m))
}

func updateManaged(ctx context.Context, c *call) (*answer, error) {
	var b managedBody
	if err := c.decode("managed identity", &b); err != nil {
		return nil, err
	}
	m, err := c.managed(ctx)
	if err != nil {
		return nil, err
	}
	m, err = c.env.UpdateManagedIdentity(ctx, c.actor(), m.ClientID, func(m *directory.ManagedIdentity) error {
		b.apply(m)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return ok(shapeManaged(m))
}

func deleteManaged(ctx context.Context, c *call) (*answer, error) {
	m, err := c.managed(ctx)
	if err != nil {
		return nil, err
	}
	return none(c.env.DeleteManagedIdentity(ctx, c.actor(), m.ClientID))
}

func listManagedRoles(ctx context.Context, c *call) (*answer, error) {
	m, err := c.managed(ctx)
	if err != nil {
		return nil, err
	}
	return c.answerRoles(ctx, m.Rights)
}

func assignManagedRoles(ctx context.Context, c *call) (*answer, error) {
	roles, err := c.ids("roles")
	if err != nil {
		return nil, err
	}
	m, err := c.managed(ctx)
	if err != nil {
		return nil, err
	}
	return none(c.env.AssignRoles(ctx, c.actor(), m.ID, directory.KindIdentity, roles...))
}

func removeManagedRoles(ctx context.Context, c *call) (*answer, error) {
	roles, err := c.ids("roles")
	if err != nil {
		return nil, err
	}
	m, err := c.managed(ctx)
	if err != nil {
		return nil, err
	}
	return none(c.env.UnassignRoles(ctx, c.actor(), m.ID, directory.KindIdentity, roles...))
}

func listManagedPermissions(ctx context.Context, c *call) (*answer, error) {
	m, err := c.managed(ctx)
	if err != nil {
		return nil, err
	}
	return c.answerRights(ctx, m.Rights)
}

func grantManagedPermissions(ctx context.Context, c *call) (*answer, error) {
	rights, err := c.rights()
	if err != nil {
		return nil, err
	}
	m, err := c.managed(ctx)
	if err != nil {
		return nil, err
	}
	err = c.env.GrantPermissions(ctx, c.actor(), m.ID, directory.KindIdentity, rights...)
	return &answer{status: http.StatusCreated}, err
}

func revokeManagedPermissions(ctx context.Context, c *call) (*answer, error) {
	rights, err := c.rights()
	if err != nil {
		return nil, err
	}
	m, err := c.managed(ctx)
	if err != nil {
		return nil, err
	}
	return none(c.env.RevokePermissions(ctx, c.actor(), m.ID, directory.KindIdentity, rights...))
}
