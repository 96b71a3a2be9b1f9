package management

import (
	"context"
	"errors"
	"net/http"

	"github.com/perdure/perdure/identity/internal/directory"
)

func apiEndpoints() []endpoint {
	list := parameters(pages, marks, fields)
	return []endpoint{
		{method: http.MethodGet, path: "resource-servers", permissions: []string{"read:resource_servers"}, query: parameters(list, []string{"identifiers"}), run: listAPIs},
		{method: http.MethodPost, path: "resource-servers", permissions: []string{"create:resource_servers"}, run: createAPI},
		{method: http.MethodGet, path: "resource-servers/{id}", permissions: []string{"read:resource_servers"}, query: fields, run: readAPI},
		{method: http.MethodPatch, path: "resource-servers/{id}", permissions: []string{"update:resource_servers"}, run: updateAPI},
		{method: http.MethodDelete, path: "resource-servers/{id}", permissions: []string{"delete:resource_servers"}, run: deleteAPI},
	}
}

// apiBody is what an API is created or changed by.
type apiBody struct {
	Name                maybe[string]      `json:"name"`
	Identifier          maybe[string]      `json:"identifier"`
	Scopes              maybe[[]scopeBody] `json:"scopes"`
	SigningAlg          maybe[string]      `json:"signing_alg"`
	TokenLifetime       maybe[int]         `json:"token_lifetime"`
	TokenLifetimeForWeb maybe[int]         `json:"token_lifetime_for_web"`
	AllowOfflineAccess  maybe[bool]        `json:"allow_offline_access"`
	EnforcePolicies     maybe[bool]        `json:"enforce_policies"`
	TokenDialect        maybe[string]      `json:"token_dialect"`
	SkipConsent         maybe[bool]        `json:"skip_consent_for_verifiable_first_party_clients"`
}

type scopeBody struct {
	Value       string `json:"value"`
	Description string `json:"description"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (b *scopeBody) UnmarshalJSON(text []byte) error {
	type plain scopeBody
	return decodeObject("scope", text, (*plain)(b))
}

// dialects are what Auth0's clients call the two kinds of token: Perdure's are always of RFC 9068.
var dialects = map[string]string{
	"rfc9068_profile":       directory.DialectPlain,
	"rfc9068_profile_authz": directory.DialectPermissions,
}

func (b *apiBody) apply(a *directory.API) {
	b.Name.set(&a.Name)
	b.Identifier.set(&a.Identifier)
	if b.Scopes.present {
		a.Permissions = nil
		for _, s := range b.Scopes.value {
			a.Permissions = append(a.Permissions, directory.Permission(s))
		}
	}
	b.SigningAlg.set(&a.SigningAlg)
	b.TokenLifetime.set(&a.TokenLifetime)
	b.TokenLifetimeForWeb.set(&a.TokenLifetimeForWeb)
	b.AllowOfflineAccess.set(&a.AllowOfflineAccess)
	b.EnforcePolicies.set(&a.EnforcePolicies)
	b.TokenDialect.set(&a.TokenDialect)
	if own, known := dialects[a.TokenDialect]; known {
		a.TokenDialect = own
	}
	b.SkipConsent.set(&a.SkipConsent)
}

func listAPIs(ctx context.Context, c *call) (*answer, error) {
	p, err := c.paging()
	if err != nil {
		return nil, err
	}
	if identifier := c.query.Get("identifiers"); identifier != "" {
		all := []*directory.API{}
		a, err := c.env.APIByIdentifier(ctx, identifier)
		if err == nil {
			all = append(all, a)
		} else if !errors.Is(err, directory.ErrNotFound) {
			return nil, err
		}
		l, err := cut(p, all)
		if err != nil {
			return nil, err
		}
		return answerList(c, "resource_servers", p, l, shapeAPI)
	}
	l, err := c.env.ListAPIs(ctx, p.Paging)
	if err != nil {
		return nil, err
	}
	return answerList(c, "resource_servers", p, l, shapeAPI)
}

func createAPI(ctx context.Context, c *call) (*answer, error) {
	var b apiBody
	if err := c.decode("resource server", &b); err != nil {
		return nil, err
	}
	a := &directory.API{}
	b.apply(a)
	a, err := c.env.CreateAPI(ctx, c.actor(), a)
	if err != nil {
		return nil, err
	}
	return created(shapeAPI(a))
}

// api returns an API by its id or its identifier: Auth0 takes both.
func (c *call) api(ctx context.Context) (*directory.API, error) {
	id := c.args["id"]
	a, err := c.env.API(ctx, id)
	if errors.Is(err, directory.ErrNotFound) {
		return c.env.APIByIdentifier(ctx, id)
	}
	return a, err
}

func readAPI(ctx context.Context, c *call) (*answer, error) {
	f, err := c.fieldFilter()
	if err != nil {
		return nil, err
	}
	a, err := c.api(ctx)
	if err != nil {
		return nil, err
	}
	return ok(f.apply(shapeAPI(a)))
}

func updateAPI(ctx context.Context, c *call) (*answer, error) {
	var b apiBody
	if err := c.decode("resource server", &b); err != nil {
		return nil, err
	}
	a, err := c.api(ctx)
	if err != nil {
		return nil, err
	}
	a, err = c.env.UpdateAPI(ctx, c.actor(), a.ID, func(a *directory.API) error {
		b.apply(a)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return ok(shapeAPI(a))
}

func deleteAPI(ctx context.Context, c *call) (*answer, error) {
	a, err := c.api(ctx)
	if err != nil {
		return nil, err
	}
	return none(c.env.DeleteAPI(ctx, c.actor(), a.ID))
}
