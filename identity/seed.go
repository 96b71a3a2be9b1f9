package identity

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/table"
)

// loginClient is the client id of the app's own sign-in.
const loginClient = "perdure-login"

// administrators is the role of those who administer the provider.
const administrators = "administrator"

// loginSecret is the secret of the app's own sign-in. It is derived, so that it is kept
// nowhere and the same after each start.
func (p *Provider) loginSecret() string {
	return base64.RawURLEncoding.EncodeToString(p.options.Keys.Derive("identity: secret of "+loginClient, 32))
}

// seed makes what is there from the start. What administrators have changed stays.
func (p *Provider) seed(ctx context.Context) error {
	err := p.env.Unit(ctx, func(ctx context.Context) error {
		for _, step := range []func(context.Context) error{
			p.env.EnsureDefaults, p.dropFormer, p.seedConnection, p.seedAPI, p.seedRoles, p.seedAdministrators, p.seedLogin, p.seedSystem, p.refuseDemo,
		} {
			if err := step(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case p.options.Demo != nil:
		return p.seedDemo(ctx)
	}
	return p.tellWithoutAdministrator(ctx)
}

// tellWithoutAdministrator says how the first administrator is made, as long as there is none.
func (p *Provider) tellWithoutAdministrator(ctx context.Context) error {
	administered := false
	err := p.env.Unit(ctx, func(ctx context.Context) error {
		role, err := p.env.RoleByName(ctx, administrators)
		if err != nil {
			return err
		}
		members, err := p.env.ListRoleMembers(ctx, role.ID, directory.KindUser, directory.Paging{PerPage: 1})
		administered = len(members.Items) > 0
		return err
	})
	if err == nil && !administered {
		p.options.Log.Info("nobody administers the provider yet: make an account by perdure users create-admin EMAIL", "data", p.options.Data)
	}
	return err
}

// dropFormer deletes the management API of an issuer that the app had before: it listens on another
// port now.
func (p *Provider) dropFormer(ctx context.Context) error {
	var former []string
	for row, err := range directory.APIs.Scan(ctx, "") {
		if err != nil {
			return err
		}
		if row.Value.System && row.Value.Identifier != p.env.ManagementAPI() {
			former = append(former, row.Value.ID)
		}
	}
	for _, id := range former {
		if err := directory.APIs.Update(ctx, directory.Key(id), func(a *directory.API) error { a.System = false; return nil }); err != nil {
			return err
		}
		if err := p.env.DeleteAPI(ctx, directory.Itself, id); err != nil {
			return err
		}
	}
	return nil
}

// seedConnection lets people sign up, or not.
func (p *Provider) seedConnection(ctx context.Context) error {
	c, err := p.env.ConnectionByName(ctx, directory.DefaultConnection)
	if err != nil || c.Options.DisableSignup == !p.options.SignUp {
		return err
	}
	_, err = p.env.UpdateConnection(ctx, directory.Itself, c.ID, func(c *directory.Connection) error {
		c.Options.DisableSignup = !p.options.SignUp
		return nil
	})
	return err
}

// seedAPI publishes the permissions that the app's functions ask for, and those of its roles.
func (p *Provider) seedAPI(ctx context.Context) error {
	names := slices.Clone(p.options.Permissions)
	for _, r := range p.options.Roles {
		names = append(names, r.Permissions...)
	}
	slices.Sort(names)
	var all []directory.Permission
	for _, name := range slices.Compact(names) {
		all = append(all, directory.Permission{Value: name})
	}
	if _, err := p.env.PublishPermissions(ctx, p.options.API.Identifier, p.options.API.Name, all); err != nil {
		return err
	}
	return p.env.MarkOwn(ctx, p.options.API.Identifier)
}

func (p *Provider) seedRoles(ctx context.Context) error {
	for _, r := range p.options.Roles {
		role, err := p.env.RoleByName(ctx, r.Name)
		if !errors.Is(err, directory.ErrNotFound) {
			if err != nil {
				return err
			}
			p.tellLacking(ctx, role, r.Permissions)
			continue
		}
		_, err = p.env.CreateRole(ctx, directory.Itself, &directory.Role{
			Name: r.Name, Description: r.Description, Permissions: permissionsAt(p.options.API.Identifier, r.Permissions),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// tellLacking says which permissions a role was given in the code after the role was made. They are not
// added: an administrator may have taken them away.
func (p *Provider) tellLacking(ctx context.Context, role *directory.Role, wanted []string) {
	lacking := slices.DeleteFunc(slices.Clone(wanted), func(name string) bool {
		return slices.Contains(role.Permissions, directory.APIPermission{API: p.options.API.Identifier, Name: name})
	})
	if len(lacking) > 0 {
		p.env.Log.LogAttrs(ctx, slog.LevelInfo, "a role is as it was made or changed, without permissions that Identity.Roles names: perdure roles grant adds them",
			slog.String("role", role.Name), slog.Any("lacks", lacking))
	}
}

func permissionsAt(api string, names []string) []directory.APIPermission {
	all := make([]directory.APIPermission, len(names))
	for i, name := range names {
		all[i] = directory.APIPermission{API: api, Name: name}
	}
	return all
}

// seedAdministrators makes the role that has all permissions of the management API, and those to manage the app.
func (p *Provider) seedAdministrators(ctx context.Context) error {
	var wanted []directory.APIPermission
	for _, permission := range directory.ManagementPermissions() {
		wanted = append(wanted, directory.APIPermission{API: p.env.ManagementAPI(), Name: permission.Value})
	}
	for _, name := range p.options.Permissions {
		if slices.Contains([]string{"perdure:read", "perdure:manage"}, name) {
			wanted = append(wanted, directory.APIPermission{API: p.options.API.Identifier, Name: name})
		}
	}
	role, err := p.env.RoleByName(ctx, administrators)
	if errors.Is(err, directory.ErrNotFound) {
		_, err = p.env.CreateRole(ctx, directory.Itself, &directory.Role{
			Name: administrators, Description: "Administers users, applications and rights, and manages the app",
			Permissions: wanted, System: true,
		})
		return err
	}
	if err != nil {
		return err
	}
	if !role.System {
		mark := func(r *directory.Role) error { r.System = true; return nil }
		if err := directory.Roles.Update(ctx, directory.Key(role.ID), mark); err != nil {
			return err
		}
	}
	missing := slices.DeleteFunc(wanted, func(one directory.APIPermission) bool { return slices.Contains(role.Permissions, one) })
	if len(missing) == 0 {
		return nil
	}
	_, err = p.env.AddRolePermissions(ctx, directory.Itself, role.ID, missing...)
	return err
}

// seedLogin registers the app's own sign-in.
func (p *Provider) seedLogin(ctx context.Context) error {
	if p.options.Callback == "" {
		return nil
	}
	digest := sha256.Sum256([]byte(p.loginSecret()))
	wanted := directory.Application{
		ClientID: loginClient, Name: p.options.Branding.Name, Type: directory.TypeRegularWeb, FirstParty: true, System: true,
		Callbacks: []string{p.options.Callback}, AllowedLogoutURLs: []string{p.options.AfterLogout},
		GrantTypes: []string{directory.GrantCode, directory.GrantRefresh}, AuthMethod: directory.MethodPost,
	}
	app, err := p.env.Application(ctx, loginClient)
	if errors.Is(err, directory.ErrNotFound) {
		if app, _, err = p.env.CreateApplication(ctx, directory.Itself, &wanted); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	same := slices.Equal(app.Callbacks, wanted.Callbacks) && slices.Equal(app.AllowedLogoutURLs, wanted.AllowedLogoutURLs) &&
		len(app.Secrets) == 1 && slices.Equal(app.Secrets[0].Digest, digest[:])
	if same {
		return nil
	}
	// Past the rules of the directory, by which secrets are random.
	return directory.Applications.Update(ctx, directory.Key(loginClient), func(a *directory.Application) error {
		a.Callbacks, a.AllowedLogoutURLs, a.UpdatedAt = wanted.Callbacks, wanted.AllowedLogoutURLs, p.env.Now()
		a.Secrets = []directory.AppSecret{{ID: "derived", Digest: digest[:], Created: p.env.Now()}}
		return nil
	})
}

// ErrDemo: the folder has accounts of demo mode, whose passwords lie in a file, and the app does
// not run in demo mode.
var ErrDemo = errors.New("the data folder was used in demo mode")

// refuseDemo fails on a folder with accounts of demo mode, without demo mode.
func (p *Provider) refuseDemo(ctx context.Context) error {
	if p.options.Demo != nil {
		return nil
	}
	mark, err := directory.Names.Get(ctx, demoMark)
	switch {
	case errors.Is(err, table.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("%w: it has accounts such as %q, whose passwords are in %s; take another folder, or run in demo mode", ErrDemo, mark.ID, DemoFile)
}
