package httpapi

import (
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/internal/problem"
)

// The names of the document's security schemes.
const (
	bearerScheme = "bearer"
	openIDScheme = "openId"
)

// policyExtension is the member of an operation that says what it requires.
const policyExtension = "x-perdure-policy"

// shownPolicy is the value of policyExtension.
type shownPolicy struct {
	Name        string   `json:"name,omitempty"`
	Expression  string   `json:"expression"`
	Permissions []string `json:"permissions"`
	Scopes      []string `json:"scopes"`
	Roles       []string `json:"roles"`
}

// secure describes what an operation requires of who sends it.
func (a *api) secure(op *huma.Operation, g *Gate) {
	if g.open && !g.asks {
		return
	}
	a.describeSchemes()
	p := g.policy
	scopes := slices.Concat(p.Permissions(), p.Scopes())
	slices.Sort(scopes)
	scopes = append([]string{}, slices.Compact(scopes)...)
	if g.open {
		op.Security = append(op.Security, map[string][]string{})
	}
	op.Security = append(op.Security, map[string][]string{bearerScheme: scopes})
	if a.openID != "" {
		op.Security = append(op.Security, map[string][]string{openIDScheme: scopes})
	}
	op.Responses["401"] = &huma.Response{Ref: "#/components/responses/Unauthenticated"}
	if g.open {
		return
	}
	if p.Expression() != auth.Authenticated().Expression() {
		op.Responses["403"] = &huma.Response{Ref: "#/components/responses/Forbidden"}
	}
	op.Extensions = map[string]any{policyExtension: shownPolicy{
		Name: p.Name(), Expression: p.Expression(),
		Permissions: listed(p.Permissions()), Scopes: listed(p.Scopes()), Roles: listed(p.Roles()),
	}}
}

func listed(names []string) []string { return append([]string{}, names...) }

// describeSchemes adds what operations that require somebody refer to.
func (a *api) describeSchemes() {
	c := a.doc.Components
	if c.SecuritySchemes != nil {
		return
	}
	c.SecuritySchemes = map[string]*huma.SecurityScheme{bearerScheme: {
		Type: "http", Scheme: "bearer", BearerFormat: "JWT",
		Description: "An access token of the issuer that the app trusts. The names are permissions and scopes.",
	}}
	if a.openID != "" {
		c.SecuritySchemes[openIDScheme] = &huma.SecurityScheme{Type: "openIdConnect", OpenIDConnectURL: a.openID}
	}
	refused := func(description string) *huma.Response {
		return &huma.Response{
			Description: description,
			Headers: map[string]*huma.Param{"WWW-Authenticate": {
				Description: "What is missing, as RFC 6750 says.", Schema: &huma.Schema{Type: huma.TypeString},
			}},
			Content: map[string]*huma.MediaType{problem.ContentType: {Schema: a.schemas.problem()}},
		}
	}
	c.Responses["Unauthenticated"] = refused(http.StatusText(http.StatusUnauthorized) + ": there is no valid token.")
	c.Responses["Forbidden"] = refused(http.StatusText(http.StatusForbidden) + ": the token lacks a right.")
}
