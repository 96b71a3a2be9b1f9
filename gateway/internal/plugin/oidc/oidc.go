// Package oidc is Kong's plugin openid-connect as far as bearer tokens go: who sends an access token of an issuer,
// which is found by its discovery document, is whom the token is about. Tokens are verified by package auth, which
// remembers those that it has verified.
package oidc

import (
	"fmt"
	"strings"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/plugin"
)

const name = "openid-connect"

// discovery is the path of the discovery document, which may stand behind the issuer.
const discovery = "/.well-known/openid-configuration"

var algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// Kind returns the plugin.
func Kind() *plugin.Kind {
	text := &plugin.Field{Type: plugin.String}
	list := func(name string, defaults ...any) plugin.Field {
		f := plugin.Field{Name: name, Type: plugin.Array, Elements: text}
		if defaults != nil {
			f.Default = defaults
		}
		return f
	}
	return &plugin.Kind{
		Name: name, Priority: 1050, NoConsumer: true, New: newInstance,
		Schema: plugin.Schema{
			Fields: []plugin.Field{
				{Name: "issuer", Type: plugin.String, Required: true},
				{Name: "auth_methods", Type: plugin.Array, Default: []any{"bearer"}, Elements: &plugin.Field{Type: plugin.String, Check: func(value any) string {
					if value != "bearer" {
						return "is not supported: bearer alone is; for logins in a browser there is package auth/login"
					}
					return ""
				}}},
				list("audience_required"),
				list("scopes_required"),
				list("roles_required"),
				list("permissions_required"), // Kong has no such setting
				list("scopes_claim", "scope"),
				list("roles_claim", "roles"),
				list("authenticated_groups_claim"),
				list("credential_claim", "sub"),
				list("consumer_claim"),
				{Name: "consumer_by", Type: plugin.Array, Default: []any{"username", "custom_id"},
					Elements: &plugin.Field{Type: plugin.String, OneOf: []string{"id", "username", "custom_id"}}},
				{Name: "consumer_optional", Type: plugin.Boolean, Default: false},
				list("upstream_headers_claims"),
				{Name: "upstream_headers_names", Type: plugin.Array, Elements: &plugin.Field{Type: plugin.String, Check: plugin.CheckHeaderName}},
				{Name: "hide_credentials", Type: plugin.Boolean, Default: false},
				{Name: "anonymous", Type: plugin.String},
				{Name: "run_on_preflight", Type: plugin.Boolean, Default: true},
				{Name: "realm", Type: plugin.String, Check: plugin.CheckQuoted},
				{Name: "leeway", Type: plugin.Number, Default: 0.0, Between: &[2]float64{0, 3600}},
				{Name: "algorithms", Type: plugin.Array, Elements: &plugin.Field{Type: plugin.String, OneOf: algorithms}},
				{Name: "ssl_verify", Type: plugin.Boolean, Default: true, Check: func(value any) string {
					if value == false {
						return "cannot be turned off: whoever could then pretend to be the issuer could make tokens"
					}
					return ""
				}},
			},
			Check: check,
		},
	}
}

func check(v plugin.Values) (problems []entity.FieldProblem) {
	if len(v.Strings("audience_required")) == 0 {
		problems = append(problems, entity.FieldProblem{Field: "audience_required", Warning: true,
			Message: "is empty: a token that the issuer made for another API is accepted here"})
	}
	for _, a := range v.Strings("audience_required") {
		if strings.Contains(a, " ") {
			problems = append(problems, entity.FieldProblem{Field: "audience_required", Message: fmt.Sprintf("%q: several audiences in one entry are not supported", a)})
		}
	}
	if len(v.Strings("upstream_headers_claims")) != len(v.Strings("upstream_headers_names")) {
		problems = append(problems, entity.FieldProblem{Field: "upstream_headers_names", Message: "has another length than upstream_headers_claims; they go together one by one"})
	}
	return problems
}
