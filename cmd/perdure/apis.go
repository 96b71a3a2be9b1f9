package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// api is an API in an answer: what access tokens are for.
type api struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Identifier string `json:"identifier"`
	Scopes     []struct {
		Value       string `json:"value"`
		Description string `json:"description"`
	} `json:"scopes"`
	SigningAlg         string `json:"signing_alg"`
	TokenLifetime      int    `json:"token_lifetime"`
	AllowOfflineAccess bool   `json:"allow_offline_access"`
	EnforcePolicies    bool   `json:"enforce_policies"`
	System             bool   `json:"is_system"`
}

func (p *program) apisCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "apis", Short: "Administer APIs: what access tokens are for, and their permissions", Args: cobra.NoArgs}
	cmd.AddCommand(p.apisList(), p.apisShow(), p.apisCreate(), p.apisUpdate(), p.apisDelete())
	return cmd
}

func (p *program) apisList() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List APIs", Args: exactly(0),
		RunE: runs(func(ctx context.Context, _ []string) error {
			return showList(ctx, p, "resource-servers", "resource_servers", nil, limit, "IDENTIFIER NAME PERMISSIONS RBAC ID", func(a *api) []string {
				return []string{a.Identifier, a.Name, count(len(a.Scopes)), yes(a.EnforcePolicies), a.ID}
			})
		}),
	}
	limitFlag(cmd, &limit)
	return cmd
}

// findAPI returns the API that is meant by its identifier, its name or its id.
func (p *program) findAPI(ctx context.Context, name string) (*whole[api], error) {
	all, _, err := listOf[api](ctx, p, "resource-servers", "resource_servers", nil, 0)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].V.Identifier == name { // unique, and before names
			return &all[i], nil
		}
	}
	return pick(all, "API", name, func(a *api) []string { return []string{a.ID, a.Name} })
}

func (p *program) apisShow() *cobra.Command {
	return &cobra.Command{
		Use: "show API", Short: "Show an API and its permissions", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			a, err := p.findAPI(ctx, args[0])
			if err != nil {
				return err
			}
			return p.show(a, func() {
				var lifetime string
				if n := a.V.TokenLifetime; n > 0 {
					lifetime = (time.Duration(n) * time.Second).String()
				}
				p.fields("identifier", a.V.Identifier, "name", a.V.Name, "id", a.V.ID, "signed by", a.V.SigningAlg, "token lifetime", lifetime,
					"RBAC", yes(a.V.EnforcePolicies), "refresh tokens", yes(a.V.AllowOfflineAccess), "system", yes(a.V.System))
				if len(a.V.Scopes) == 0 {
					return
				}
				p.say("")
				rows := make([][]string, len(a.V.Scopes))
				for i, s := range a.V.Scopes {
					rows[i] = []string{s.Value, s.Description}
				}
				p.table("PERMISSION DESCRIPTION", rows)
			})
		}),
	}
}

// apiFlags are what is set of an API.
type apiFlags struct {
	name          string
	permissions   []string
	rbac, offline bool
	lifetime      int
}

func (f *apiFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.name, "name", "", "a name for people")
	cmd.Flags().StringSliceVar(&f.permissions, "permission", nil, "its permissions, which replace those that are there")
	cmd.Flags().BoolVar(&f.rbac, "rbac", false, "give applications of users no more than the users may")
	cmd.Flags().BoolVar(&f.offline, "offline-access", false, "allow refresh tokens")
	cmd.Flags().IntVar(&f.lifetime, "token-lifetime", 0, "how long access tokens are good, in seconds")
}

// body is what was said by flags.
func (f *apiFlags) body(cmd *cobra.Command) map[string]any {
	body := map[string]any{}
	scopes := []map[string]string{}
	for _, name := range f.permissions {
		scopes = append(scopes, map[string]string{"value": name})
	}
	for flag, member := range map[string]struct {
		name  string
		value any
	}{
		"name": {"name", f.name}, "permission": {"scopes", scopes}, "rbac": {"enforce_policies", f.rbac},
		"offline-access": {"allow_offline_access", f.offline}, "token-lifetime": {"token_lifetime", f.lifetime},
	} {
		if cmd.Flags().Changed(flag) {
			body[member.name] = member.value
		}
	}
	if f.rbac { // without, the permissions would stand in no token
		body["token_dialect"] = "access_token_authz"
	}
	return body
}

func (p *program) apisCreate() *cobra.Command {
	var f apiFlags
	cmd := &cobra.Command{Use: "create IDENTIFIER", Short: "Make an API; its identifier is the audience of tokens", Args: exactly(1)}
	f.add(cmd)
	cmd.RunE = runs(func(ctx context.Context, args []string) error {
		body := f.body(cmd)
		body["identifier"] = args[0]
		var made whole[api]
		if err := p.manage(ctx, http.MethodPost, "resource-servers", nil, body, &made); err != nil {
			return err
		}
		return p.show(made, func() { p.say("The API %s was made: %s", made.V.Identifier, made.V.ID) })
	})
	return cmd
}

func (p *program) apisUpdate() *cobra.Command {
	var f apiFlags
	cmd := &cobra.Command{Use: "update API", Short: "Change an API", Args: exactly(1)}
	f.add(cmd)
	cmd.RunE = runs(func(ctx context.Context, args []string) error {
		body := f.body(cmd)
		if len(body) == 0 {
			return &usageError{fmt.Errorf("nothing was said to change")}
		}
		a, err := p.findAPI(ctx, args[0])
		if err != nil {
			return err
		}
		var changed whole[api]
		if err := p.manage(ctx, http.MethodPatch, at("resource-servers", a.V.ID), nil, body, &changed); err != nil {
			return err
		}
		return p.show(changed, func() { p.say("The API %s was changed.", changed.V.Identifier) })
	})
	return cmd
}

func (p *program) apisDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete API", Short: "Delete an API, and with it its permissions everywhere", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			a, err := p.findAPI(ctx, args[0])
			if err != nil {
				return err
			}
			if err := p.manage(ctx, http.MethodDelete, at("resource-servers", a.V.ID), nil, nil, nil); err != nil {
				return err
			}
			return p.done("The API %s was deleted.", a.V.Identifier)
		}),
	}
}
