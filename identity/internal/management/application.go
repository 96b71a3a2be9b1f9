package management

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/perdure/perdure/identity/internal/directory"
)

func applicationEndpoints() []endpoint {
	list := parameters(pages, marks, fields, []string{"app_type", "is_first_party", "is_global"})
	return []endpoint{
		{method: http.MethodGet, path: "clients", permissions: []string{"read:clients"}, query: list, run: listApplications},
		{method: http.MethodPost, path: "clients", permissions: []string{"create:clients"}, run: createApplication},
		{method: http.MethodGet, path: "clients/{id}", permissions: []string{"read:clients"}, query: fields, run: readApplication},
		{method: http.MethodPatch, path: "clients/{id}", permissions: []string{"update:clients"}, run: updateApplication},
		{method: http.MethodDelete, path: "clients/{id}", permissions: []string{"delete:clients"}, run: deleteApplication},
		{method: http.MethodPost, path: "clients/{id}/rotate-secret", permissions: []string{"update:client_keys"}, run: rotateSecret},
		{method: http.MethodGet, path: "clients/{id}/connections", permissions: []string{"read:connections"}, query: parameters(pages, marks, fields, []string{"strategy"}), run: connectionsOfApplication},
	}
}

func listApplications(ctx context.Context, c *call) (*answer, error) {
	p, err := c.paging()
	if err != nil {
		return nil, err
	}
	f := directory.ApplicationFilter{Paging: p.Paging}
	if types := c.query.Get("app_type"); types != "" {
		f.Types = strings.Split(types, ",")
	}
	if c.query.Has("is_first_party") {
		first, err := boolParameter(c.query, "is_first_party", false)
		if err != nil {
			return nil, err
		}
		f.FirstParty = &first
	}
	global, err := boolParameter(c.query, "is_global", false)
	if err != nil {
		return nil, err
	}
	if global { // Auth0's own client of a tenant: there is none
		l, err := cut(p, []*directory.Application{})
		if err != nil {
			return nil, err
		}
		return answerList(c, "clients", p, l, shapeApplication)
	}
	l, err := c.env.ListApplications(ctx, f)
	if err != nil {
		return nil, err
	}
	return answerList(c, "clients", p, l, shapeApplication)
}

func createApplication(ctx context.Context, c *call) (*answer, error) {
	var b applicationBody
	if err := c.decode("client", &b); err != nil {
		return nil, err
	}
	a := &directory.Application{FirstParty: true} // as Auth0 has it
	if err := b.apply(a); err != nil {
		return nil, err
	}
	a, secret, err := c.env.CreateApplication(ctx, c.actor(), a)
	if err != nil {
		return nil, err
	}
	return created(shapeApplicationWith(a, secret))
}

func readApplication(ctx context.Context, c *call) (*answer, error) {
	f, err := c.fieldFilter()
	if err != nil {
		return nil, err
	}
	a, err := c.env.Application(ctx, c.args["id"])
	if err != nil {
		return nil, err
	}
	return ok(f.apply(shapeApplication(a)))
}

func updateApplication(ctx context.Context, c *call) (*answer, error) {
	var b applicationBody
	if err := c.decode("client", &b); err != nil {
		return nil, err
	}
	a, err := c.env.UpdateApplication(ctx, c.actor(), c.args["id"], b.apply)
	if err != nil {
		return nil, err
	}
	return ok(shapeApplication(a))
}

func deleteApplication(ctx context.Context, c *call) (*answer, error) {
	return none(c.env.DeleteApplication(ctx, c.actor(), c.args["id"]))
}

func rotateSecret(ctx context.Context, c *call) (*answer, error) {
	if c.body != nil && string(c.body) != "{}" {
		return nil, invalid("the secret is made here: the body must be empty")
	}
	a, secret, err := c.env.RotateSecret(ctx, c.actor(), c.args["id"], 0)
	if err != nil {
		return nil, err
	}
	return ok(shapeApplicationWith(a, secret))
}

// authentication applies the members about how an application authenticates.
func (b *applicationBody) authentication(a *directory.Application) error {
	if !b.AuthMethods.given() {
		if b.AuthMethods.present && a.AuthMethod == directory.MethodPrivateKey && !b.AuthMethod.given() {
			a.AuthMethod = "" // the default of its type
		}
		return nil
	}
	if b.AuthMethod.given() {
		return invalid("\"token_endpoint_auth_method\" must be null with \"client_authentication_methods\"")
	}
	if !b.AuthMethods.value.PrivateKeyJWT.given() {
		return invalid("\"client_authentication_methods\" must have \"private_key_jwt\"")
	}
	have := map[string]json.RawMessage{}
	for _, credential := range credentials(a) {
		have[credential.ID] = credential.key
	}
	var keys []json.RawMessage
	for _, text := range b.AuthMethods.value.PrivateKeyJWT.value.Credentials {
		var one credentialBody
		if err := decodeObject("credential", text, &one); err != nil {
			return err
		}
		key, known := have[one.ID]
		if one.ID == "" {
			var err error
			if key, err = one.jwk(); err != nil {
				return err
			}
		} else if !known {
			return invalid("\"client_authentication_methods\": there is no credential %q", one.ID)
		}
		if !slices.ContainsFunc(keys, func(k json.RawMessage) bool { return string(k) == string(key) }) {
			keys = append(keys, key)
		}
	}
	a.AuthMethod, a.Keys = directory.MethodPrivateKey, keys
	return nil
}

func connectionsOfApplication(ctx context.Context, c *call) (*answer, error) {
	p, err := c.paging()
	if err != nil {
		return nil, err
	}
	a, err := c.env.Application(ctx, c.args["id"])
	if err != nil {
		return nil, err
	}
	all, err := c.env.ConnectionsFor(ctx, a)
	if err != nil {
		return nil, err
	}
	if strategies := c.strategies(); len(strategies) > 0 {
		all = slices.DeleteFunc(all, func(one *directory.Connection) bool { return !slices.Contains(strategies, one.Strategy) })
	}
	l, err := cut(p, all)
	if err != nil {
		return nil, err
	}
	return answerList(c, "connections", p, l, shapeConnection)
}
