package main

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// managedIdentity is a managed identity in an answer.
type managedIdentity struct {
	ID        string      `json:"id"`
	ClientID  string      `json:"client_id"`
	Name      string      `json:"name"`
	System    bool        `json:"is_system"`
	Resources []string    `json:"resources"`
	Federated []trustRule `json:"federated"`
}

// trustRule lets tokens of another issuer stand for an identity.
type trustRule struct {
	Name     string `json:"name"`
	Issuer   string `json:"issuer"`
	Subject  string `json:"subject"`
	Audience string `json:"audience,omitempty"`
}

const managedHeading = "NAME SYSTEM RESOURCES CLIENT-ID ID"

func managedRow(m *managedIdentity) []string {
	return []string{m.Name, yes(m.System), strings.Join(m.Resources, " "), m.ClientID, m.ID}
}

func (p *program) identityCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "identity", Short: "Run commands as managed identities, and administer those", Args: cobra.NoArgs,
		Long: `Run commands as managed identities, and administer those.

A managed identity is what a program acts as that keeps no secret. The app has one
of its own, named after it. An identity is named by its name, client id or id.`,
	}
	cmd.AddCommand(p.identityExec(), p.identityList(), p.identityShow(), p.identityCreate(), p.identityDelete(),
		p.identityGrant(), p.identityRevoke(), p.identityTrust(), p.identityDistrust())
	return cmd
}

// findIdentity returns the managed identity that is meant by a name or an id.
func (p *program) findIdentity(ctx context.Context, name string) (*whole[managedIdentity], error) {
	all, _, err := listOf[managedIdentity](ctx, p, "managed-identities", "managed_identities", nil, 0)
	if err != nil {
		return nil, err
	}
	return pick(all, "managed identity", name, func(m *managedIdentity) []string { return []string{m.ID, m.ClientID, m.Name} })
}

func (p *program) identityList() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List managed identities", Args: exactly(0),
		RunE: runs(func(ctx context.Context, _ []string) error {
			return showList(ctx, p, "managed-identities", "managed_identities", nil, limit, managedHeading, managedRow)
		}),
	}
	limitFlag(cmd, &limit)
	return cmd
}

func (p *program) identityShow() *cobra.Command {
	return &cobra.Command{
		Use: "show IDENTITY", Short: "Show a managed identity with its rights", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			m, err := p.findIdentity(ctx, args[0])
			if err != nil {
				return err
			}
			path := at("managed-identities", m.V.ID)
			roles, _, err := listOf[role](ctx, p, path+"/roles", "roles", nil, 0)
			if err != nil {
				return err
			}
			permissions, _, err := listOf[permission](ctx, p, path+"/permissions", "permissions", nil, 0)
			if err != nil {
				return err
			}
			shown := struct {
				Identity    *whole[managedIdentity] `json:"identity"`
				Roles       []whole[role]           `json:"roles"`
				Permissions []whole[permission]     `json:"permissions"`
			}{m, roles, permissions}
			return p.show(shown, func() {
				var names []string
				for _, r := range roles {
					names = append(names, r.V.Name)
				}
				p.fields("name", m.V.Name, "client id", m.V.ClientID, "id", m.V.ID, "system", yes(m.V.System),
					"resources", strings.Join(m.V.Resources, ", "), "roles", strings.Join(names, ", "))
				for _, rule := range m.V.Federated {
					p.fields("trusts", rule.Issuer, "  subject", rule.Subject, "  audience", rule.Audience)
				}
				p.permissionTable(permissions)
			})
		}),
	}
}

func (p *program) identityCreate() *cobra.Command {
	return &cobra.Command{
		Use: "create NAME", Short: "Make a managed identity, which may do nothing yet", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			var made whole[managedIdentity]
			if err := p.manage(ctx, http.MethodPost, "managed-identities", nil, map[string]any{"name": args[0]}, &made); err != nil {
				return err
			}
			return p.show(made, func() { p.table(managedHeading, [][]string{managedRow(&made.V)}) })
		}),
	}
}

func (p *program) identityDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete IDENTITY", Short: "Delete a managed identity with its rights", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			m, err := p.findIdentity(ctx, args[0])
			if err != nil {
				return err
			}
			if err := p.manage(ctx, http.MethodDelete, at("managed-identities", m.V.ID), nil, nil, nil); err != nil {
				return err
			}
			return p.done("The managed identity %s was deleted.", m.V.Name)
		}),
	}
}

func (p *program) identityGrant() *cobra.Command {
	var roles []string
	cmd := &cobra.Command{
		Use: "grant IDENTITY [API [PERMISSION...]]", Short: "Let a managed identity have tokens for an API, and give it rights",
		Long: `Let a managed identity have tokens for an API, and give it permissions of that API, and
roles. API is an identifier, an id or a name.`,
		Args: atLeast(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			if len(args) == 1 && len(roles) == 0 {
				return &usageError{errors.New("nothing is given: name an API, or roles by --role")}
			}
			m, err := p.findIdentity(ctx, args[0])
			if err != nil {
				return err
			}
			path := at("managed-identities", m.V.ID)
			if len(args) > 1 {
				a, err := p.findAPI(ctx, args[1])
				if err != nil {
					return err
				}
				args[1] = a.V.Identifier
			}
			if err := p.changeRights(ctx, http.MethodPost, path, args[1:], roles); err != nil {
				return err
			}
			if len(args) > 1 && !slices.Contains(m.V.Resources, args[1]) {
				body := map[string]any{"resources": append(m.V.Resources, args[1])}
				if err := p.manage(ctx, http.MethodPatch, path, nil, body, nil); err != nil {
					return err
				}
			}
			return p.done("The managed identity %s has the rights now.", m.V.Name)
		}),
	}
	cmd.Flags().StringArrayVar(&roles, "role", nil, "give the role as well; may come several times")
	return cmd
}

func (p *program) identityRevoke() *cobra.Command {
	var roles []string
	cmd := &cobra.Command{
		Use: "revoke IDENTITY [API [PERMISSION...]]", Short: "Take rights from a managed identity",
		Long: `Take permissions of an API from a managed identity, and roles. Without a permission it gets no
more tokens for that API.`,
		Args: atLeast(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			if len(args) == 1 && len(roles) == 0 {
				return &usageError{errors.New("nothing is taken: name an API, or roles by --role")}
			}
			m, err := p.findIdentity(ctx, args[0])
			if err != nil {
				return err
			}
			path := at("managed-identities", m.V.ID)
			if len(args) > 1 && !slices.Contains(m.V.Resources, args[1]) {
				a, err := p.findAPI(ctx, args[1])
				if err != nil {
					return err
				}
				args[1] = a.V.Identifier
			}
			if len(args) == 2 {
				body := map[string]any{"resources": slices.DeleteFunc(m.V.Resources, func(s string) bool { return s == args[1] })}
				if err := p.manage(ctx, http.MethodPatch, path, nil, body, nil); err != nil {
					return err
				}
			}
			if err := p.changeRights(ctx, http.MethodDelete, path, args[1:], roles); err != nil {
				return err
			}
			return p.done("The managed identity %s has the rights no more.", m.V.Name)
		}),
	}
	cmd.Flags().StringArrayVar(&roles, "role", nil, "take the role as well; may come several times")
	return cmd
}

// changeRights gives or takes the permissions of an API, the first of about, and roles.
func (p *program) changeRights(ctx context.Context, method, path string, about, roles []string) error {
	if len(about) > 1 {
		var all []permission
		for _, name := range about[1:] {
			all = append(all, permission{API: about[0], Name: name})
		}
		if err := p.manage(ctx, method, path+"/permissions", nil, map[string]any{"permissions": all}, nil); err != nil {
			return err
		}
	}
	if len(roles) == 0 {
		return nil
	}
	var ids []string
	for _, name := range roles {
		r, err := p.findRole(ctx, name)
		if err != nil {
			return err
		}
		ids = append(ids, r.V.ID)
	}
	return p.manage(ctx, method, path+"/roles", nil, map[string]any{"roles": ids}, nil)
}

func (p *program) identityTrust() *cobra.Command {
	rule := trustRule{}
	cmd := &cobra.Command{
		Use: "trust IDENTITY ISSUER SUBJECT", Short: "Let tokens of another issuer stand for a managed identity",
		Long: `Let the tokens that another issuer gives to a subject stand for a managed identity: those
of a service account of Kubernetes, of a job of CI. The issuer is a URL with
/.well-known/openid-configuration below it.`,
		Args: exactly(3),
		RunE: runs(func(ctx context.Context, args []string) error {
			rule.Issuer, rule.Subject = args[1], args[2]
			if rule.Name == "" {
				rule.Name = rule.Subject
			}
			return p.changeTrust(ctx, args[0], func(all []trustRule) ([]trustRule, error) { return append(all, rule), nil })
		}),
	}
	cmd.Flags().StringVar(&rule.Audience, "audience", "", "that the tokens have; default api://AzureADTokenExchange")
	cmd.Flags().StringVar(&rule.Name, "name", "", "of the rule; default the subject")
	return cmd
}

func (p *program) identityDistrust() *cobra.Command {
	return &cobra.Command{
		Use: "distrust IDENTITY ISSUER SUBJECT", Short: "Let tokens of another issuer no more stand for a managed identity", Args: exactly(3),
		RunE: runs(func(ctx context.Context, args []string) error {
			return p.changeTrust(ctx, args[0], func(all []trustRule) ([]trustRule, error) {
				left := slices.DeleteFunc(slices.Clone(all), func(r trustRule) bool { return r.Issuer == args[1] && r.Subject == args[2] })
				if len(left) == len(all) {
					return nil, missing("such rule of trust for the subject", args[2])
				}
				return left, nil
			})
		}),
	}
}

func (p *program) changeTrust(ctx context.Context, name string, change func([]trustRule) ([]trustRule, error)) error {
	m, err := p.findIdentity(ctx, name)
	if err != nil {
		return err
	}
	rules, err := change(m.V.Federated)
	if err != nil {
		return err
	}
	if err := p.manage(ctx, http.MethodPatch, at("managed-identities", m.V.ID), nil, map[string]any{"federated": rules}, nil); err != nil {
		return err
	}
	return p.done("The managed identity %s trusts %d subjects of other issuers.", m.V.Name, len(rules))
}
