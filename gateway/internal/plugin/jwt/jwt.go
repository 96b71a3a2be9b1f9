package jwt

import (
	"slices"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/plugin"
)

// name is the plugin's.
const name = "jwt"

// longest is the greatest maximum_expiration: a year.
const longest = 31536000

// Kind returns the plugin.
func Kind() *plugin.Kind {
	text := &plugin.Field{Type: plugin.String}
	return &plugin.Kind{
		Name: name, Priority: 1450, NoConsumer: true, New: newInstance,
		Schema: plugin.Schema{
			Fields: []plugin.Field{
				{Name: "uri_param_names", Type: plugin.Set, Default: []any{"jwt"}, Elements: text},
				{Name: "cookie_names", Type: plugin.Set, Default: []any{}, Elements: text},
				{Name: "header_names", Type: plugin.Set, Default: []any{"authorization"}, Elements: text},
				{Name: "key_claim_name", Type: plugin.String, Default: "iss"},
				{Name: "secret_is_base64", Type: plugin.Boolean, Default: false, Required: true},
				{Name: "claims_to_verify", Type: plugin.Set, Elements: &plugin.Field{Type: plugin.String, OneOf: []string{"exp", "nbf"}}},
				{Name: "maximum_expiration", Type: plugin.Number, Default: 0.0, Between: &[2]float64{0, longest}},
				{Name: "anonymous", Type: plugin.String},
				{Name: "run_on_preflight", Type: plugin.Boolean, Default: true, Required: true},
				{Name: "realm", Type: plugin.String, Check: plugin.CheckQuoted},
				// Kong has no such setting: whom tokens must be for, one of these.
				{Name: "audience", Type: plugin.Set, Elements: text},
			},
			Check: check,
		},
	}
}

// check says what is wrong between settings, and what Kong leaves open.
func check(v plugin.Values) (problems []entity.FieldProblem) {
	claims := v.Strings("claims_to_verify")
	if n, _ := v.Number("maximum_expiration"); n > 0 && !slices.Contains(claims, "exp") {
		problems = append(problems, entity.FieldProblem{Field: "maximum_expiration", Message: "needs exp in claims_to_verify"})
	}
	if !slices.Contains(claims, "exp") {
		problems = append(problems, entity.FieldProblem{Field: "claims_to_verify", Warning: true,
			Message: "without exp, a token is accepted for ever after it has expired; set claims_to_verify: [exp]"})
	}
	if len(v.Strings("audience")) == 0 {
		problems = append(problems, entity.FieldProblem{Warning: true,
			Message: "a token that was made for another API is accepted here, since the claim aud is not looked at; " +
				"set audience, which Kong does not have, or use openid-connect"})
	}
	return problems
}
