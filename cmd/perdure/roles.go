package main

import (
	"context"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

// role is a role in an answer.
type role struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description"`
}

const roleHeading = "NAME DESCRIPTION ID"

func roleRow(r *role) []string { return []string{r.Name, brief(r.Description), r.ID} }

// permission is a permission that somebody has, in an answer and in a request.
type permission struct {
	API     string `json:"resource_server_identifier"`
	Name    string `json:"permission_name"`
	Sources []struct {
		Name string `json:"source_name"`
		Type string `json:"source_type"`
	} `json:"sources,omitempty"`
}

// permissionTable prints permissions, if there are any.
func (p *program) permissionTable(all []whole[permission]) {
	if len(all) == 0 {
		return
	}
	p.say("")
	rows := make([][]string, len(all))
	for i, one := range all {
		var from []string
		for _, s := range one.V.Sources {
			if s.Type == "ROLE" {
				from = append(from, "role "+s.Name)
			} else {
				from = append(from, "direct")
			}
		}
		rows[i] = []string{one.V.API, one.V.Name, strings.Join(from, ", ")}
	}
	p.table("API PERMISSION FROM", rows)
}

func (p *program) rolesCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "roles", Short: "Administer roles: named sets of permissions", Args: cobra.NoArgs}
	cmd.AddCommand(p.rolesList(), p.rolesShow(), p.rolesCreate(), p.rolesDelete(),
		p.rolesPermissions("grant", "Give a role permissions of an API", http.MethodPost, "has them now"),
		p.rolesPermissions("revoke", "Take permissions of an API from a role", http.MethodDelete, "has them no more"),
		p.rolesMembers("assign", "Give users a role", http.MethodPost, "was given to"),
		p.rolesMembers("unassign", "Take a role from users", http.MethodDelete, "was taken from"))
	return cmd
}

func (p *program) rolesList() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List roles", Args: exactly(0),
		RunE: runs(func(ctx context.Context, _ []string) error {
			return showList(ctx, p, "roles", "roles", nil, limit, roleHeading, roleRow)
		}),
	}
	limitFlag(cmd, &limit)
	return cmd
}

// findRole returns the role that is meant by a name or an id.
func (p *program) findRole(ctx context.Context, name string) (*whole[role], error) {
	all, _, err := listOf[role](ctx, p, "roles", "roles", nil, 0)
	if err != nil {
		return nil, err
	}
	return pick(all, "role", name, func(r *role) []string { return []string{r.ID, r.Name} })
}

// roleIDs returns the ids of roles.
func (p *program) roleIDs(ctx context.Context, names []string) (ids []string, err error) {
	for _, name := range names {
		r, err := p.findRole(ctx, name)
		if err != nil {
			return nil, err
		}
		ids = append(ids, r.V.ID)
	}
	return ids, nil
}

func (p *program) rolesShow() *cobra.Command {
	return &cobra.Command{
		Use: "show ROLE", Short: "Show a role: its permissions, and the users who have it", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			r, err := p.findRole(ctx, args[0])
			if err != nil {
				return err
			}
			permissions, _, err := listOf[permission](ctx, p, at("roles", r.V.ID, "permissions"), "permissions", nil, 0)
			if err != nil {
				return err
			}
			members, _, err := listOf[user](ctx, p, at("roles", r.V.ID, "users"), "users", nil, 0)
			if err != nil {
				return err
			}
			return p.show(map[string]any{"role": r, "permissions": permissions, "users": members}, func() {
				p.fields("name", r.V.Name, "id", r.V.ID, "description", r.V.Description)
				if len(permissions) > 0 {
					p.say("")
					rows := make([][]string, len(permissions))
					for i, one := range permissions {
						rows[i] = []string{one.V.API, one.V.Name}
					}
					p.table("API PERMISSION", rows)
				}
				if len(members) > 0 {
					p.say("")
					rows := make([][]string, len(members))
					for i, one := range members {
						rows[i] = []string{one.V.called(), one.V.ID}
					}
					p.table("USER ID", rows)
				}
			})
		}),
	}
}

func (p *program) rolesCreate() *cobra.Command {
	var description string
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make a role", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			var made whole[role]
			body := map[string]string{"name": args[0], "description": description}
			if err := p.manage(ctx, http.MethodPost, "roles", nil, body, &made); err != nil {
				return err
			}
			return p.show(made, func() { p.say("The role %s was made: %s", made.V.Name, made.V.ID) })
		}),
	}
	cmd.Flags().StringVar(&description, "description", "", "what the role is for")
	return cmd
}

func (p *program) rolesDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete ROLE", Short: "Delete a role; its users lose its permissions", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			r, err := p.findRole(ctx, args[0])
			if err != nil {
				return err
			}
			if err := p.manage(ctx, http.MethodDelete, at("roles", r.V.ID), nil, nil, nil); err != nil {
				return err
			}
			return p.done("The role %s was deleted.", r.V.Name)
		}),
	}
}

func (p *program) rolesPermissions(use, short, method, done string) *cobra.Command {
	return &cobra.Command{
		Use: use + " ROLE API PERMISSION...", Short: short, Args: atLeast(3),
		RunE: runs(func(ctx context.Context, args []string) error {
			r, err := p.findRole(ctx, args[0])
			if err != nil {
				return err
			}
			api, err := p.findAPI(ctx, args[1])
			if err != nil {
				return err
			}
			var all []permission
			for _, name := range args[2:] {
				all = append(all, permission{API: api.V.Identifier, Name: name})
			}
			body := map[string]any{"permissions": all}
			if err := p.manage(ctx, method, at("roles", r.V.ID, "permissions"), nil, body, nil); err != nil {
				return err
			}
			return p.done("The role %s %s.", r.V.Name, done)
		}),
	}
}

func (p *program) rolesMembers(use, short, method, done string) *cobra.Command {
	return &cobra.Command{
		Use: use + " ROLE USER...", Short: short, Args: atLeast(2),
		RunE: runs(func(ctx context.Context, args []string) error {
			r, err := p.findRole(ctx, args[0])
			if err != nil {
				return err
			}
			var users []*user // all are found before the first is changed
			for _, name := range args[1:] {
				u, err := p.findUser(ctx, name)
				if err != nil {
					return err
				}
				users = append(users, &u.V)
			}
			var names []string
			for _, u := range users {
				if err := p.manage(ctx, method, at("users", u.ID, "roles"), nil, map[string][]string{"roles": {r.V.ID}}, nil); err != nil {
					return err
				}
				names = append(names, u.called())
			}
			return p.done("The role %s %s %s.", r.V.Name, done, strings.Join(names, ", "))
		}),
	}
}
