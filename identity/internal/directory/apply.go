package directory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/perdure/perdure/table"
)

// errPlanned discards the unit in which a plan was tried.
var errPlanned = errors.New("only a plan")

// Plan returns what Apply would change, by applying the document in a unit of its own that it discards. So what
// Apply would refuse, it refuses.
func (e *Env) Plan(ctx context.Context, doc *Document) (diff Diff, err error) {
	err = e.Unit(ctx, func(ctx context.Context) (err error) {
		if diff, err = e.Apply(ctx, Command, doc); err == nil {
			err = errPlanned
		}
		return err
	})
	if errors.Is(err, errPlanned) {
		err = nil
	}
	diff.Secrets = nil // of applications that were not made
	return diff, err
}

// Apply makes the directory what the document says, in the unit of ctx, and returns what it changed:
// nothing when it is applied again. Nothing is deleted but of the kinds that the document prunes.
func (e *Env) Apply(ctx context.Context, by Actor, doc *Document) (Diff, error) {
	doc = doc.at(e.ManagementAPI())
	a := &applying{Env: e, by: by, doc: doc, diff: &Diff{Changes: []Change{}}, seen: map[string]bool{}, used: map[string]bool{}}
	for _, step := range []func(context.Context) error{
		each(kindAPI, doc.APIs, a.api),
		each(kindConnection, doc.Connections, a.connection),
		each(kindApplication, doc.Applications, a.application),
		each(kindConnection, doc.Connections, a.connectionClients),
		each(kindGrant, doc.ClientGrants, a.grant),
		each(kindRole, doc.Roles, a.role),
		each(kindIdentity, doc.ManagedIdentities, a.identity),
		each(kindUser, doc.Users, a.user),
		a.prune,
	} {
		if err := step(ctx); err != nil {
			return Diff{}, err
		}
	}
	return *a.diff, nil
}

// each applies the entries of one list, and says of an error which entry it is about.
func each[T any](kind string, list []T, one func(context.Context, *T) error) func(context.Context) error {
	return func(ctx context.Context) error {
		for i := range list {
			if err := one(ctx, &list[i]); err != nil {
				return fmt.Errorf("%s[%d]: %w", kind, i, err)
			}
		}
		return nil
	}
}

// applying is one run of Apply.
type applying struct {
	*Env
	by   Actor
	doc  *Document
	diff *Diff
	seen map[string]bool // kind and id of what the document names
	used map[string]bool // kind and name of its entries
}

func (a *applying) saw(kind, id string) { a.seen[kind+" "+id] = true }

// once refuses a second entry for the same thing: the two would undo each other.
func (a *applying) once(kind, name string) error {
	if name == "" {
		return invalid("name", "it is missing")
	}
	if key := kind + " " + name; a.used[key] {
		return invalid("name", "%q is there twice in %s", name, kind)
	} else {
		a.used[key] = true
	}
	return nil
}

func (a *applying) api(ctx context.Context, d *APIDoc) error {
	if err := a.once(kindAPI, d.Identifier); err != nil {
		return err
	}
	row, err := a.APIByIdentifier(ctx, d.Identifier)
	if errors.Is(err, ErrNotFound) {
		row = &API{}
		overlay(row, d)
		if row, err = a.CreateAPI(ctx, a.by, row); err != nil {
			return err
		}
		a.diff.changed("+", kindAPI, row.Identifier)
		a.saw(kindAPI, row.ID)
		return nil
	}
	if err != nil {
		return err
	}
	a.saw(kindAPI, row.ID)
	fields := overlay(row, d)
	if len(fields) == 0 {
		return nil
	}
	a.diff.changed("~", kindAPI, row.Identifier, fields...)
	_, err = a.UpdateAPI(ctx, a.by, row.ID, func(r *API) error {
		overlay(r, d)
		return nil
	})
	return err
}

func (a *applying) connection(ctx context.Context, d *ConnectionDoc) error {
	if err := a.once(kindConnection, d.Name); err != nil {
		return err
	}
	row, err := a.ConnectionByName(ctx, d.Name)
	if errors.Is(err, ErrNotFound) {
		row = &Connection{Strategy: cmp.Or(d.Strategy, StrategyDatabase)}
		overlay(row, d)
		if row, err = a.CreateConnection(ctx, a.by, row); err != nil {
			return err
		}
		a.diff.changed("+", kindConnection, row.Name)
		a.saw(kindConnection, row.ID)
		return nil
	}
	if err != nil {
		return err
	}
	a.saw(kindConnection, row.ID)
	if d.Strategy != "" && d.Strategy != row.Strategy {
		return invalid("strategy", "it never changes: the connection %q has %q", d.Name, row.Strategy)
	}
	fields := overlay(row, d)
	if len(fields) == 0 {
		return nil
	}
	a.diff.changed("~", kindConnection, row.Name, fields...)
	_, err = a.UpdateConnection(ctx, a.by, row.ID, func(r *Connection) error {
		overlay(r, d)
		return nil
	})
	return err
}

// connectionClients is a step of its own, because applications name connections as well.
func (a *applying) connectionClients(ctx context.Context, d *ConnectionDoc) error {
	if d.Applications == nil {
		return nil
	}
	row, err := a.ConnectionByName(ctx, d.Name)
	if err != nil {
		return err
	}
	ids := []string{}
	for _, name := range d.Applications {
		app, err := a.applicationNamed(ctx, name)
		if err != nil {
			return err
		}
		ids = append(ids, app.ClientID)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if slices.Equal(ids, slices.Sorted(slices.Values(row.EnabledClients))) {
		return nil
	}
	a.diff.changed("~", kindConnection, row.Name, FieldChange{"enabled_clients", row.EnabledClients, ids})
	_, err = a.UpdateConnection(ctx, a.by, row.ID, func(r *Connection) error {
		r.EnabledClients = ids
		return nil
	})
	return err
}

// applicationNamed finds an application by its client id or its name.
func (a *applying) applicationNamed(ctx context.Context, name string) (*Application, error) {
	app, err := a.Application(ctx, name)
	if err == nil || !errors.Is(err, ErrNotFound) {
		return app, err
	}
	app, err = a.applicationByName(ctx, name)
	if err == nil && app == nil {
		err = invalid("application", "there is no application %q", name)
	}
	return app, err
}

// applicationByName returns the application that has a name, nil when there is none. Names of
// applications need not be unique, but here they must be.
func (a *applying) applicationByName(ctx context.Context, name string) (found *Application, err error) {
	for row, err := range Applications.Scan(ctx, "", table.Where(func(app *Application) bool { return app.Name == name })) {
		if err != nil {
			return nil, err
		}
		if found != nil {
			return nil, invalid("name", "%q is the name of several applications; give the client_id", name)
		}
		found = row.Value
	}
	return found, nil
}

func (a *applying) application(ctx context.Context, d *ApplicationDoc) error {
	if err := a.once(kindApplication, cmp.Or(d.ClientID, d.Name)); err != nil {
		return err
	}
	defaultAudiences(d.Federated)
	var row *Application
	var err error
	if d.ClientID != "" {
		if row, err = a.Application(ctx, d.ClientID); errors.Is(err, ErrNotFound) {
			row, err = nil, nil
		}
	} else {
		row, err = a.applicationByName(ctx, d.Name)
	}
	if err != nil {
		return err
	}
	if row == nil {
		row = &Application{}
		overlay(row, d)
		var secret string
		if row, secret, err = a.CreateApplication(ctx, a.by, row); err != nil {
			return err
		}
		if secret != "" {
			a.diff.Secrets = append(a.diff.Secrets, GivenSecret{ClientID: row.ClientID, Name: row.Name, Secret: secret})
		}
		a.diff.changed("+", kindApplication, row.Name)
		a.saw(kindApplication, row.ClientID)
		return nil
	}
	a.saw(kindApplication, row.ClientID)
	fields := overlay(row, d)
	if len(fields) == 0 {
		return nil
	}
	a.diff.changed("~", kindApplication, row.Name, fields...)
	_, err = a.UpdateApplication(ctx, a.by, row.ClientID, func(r *Application) error {
		overlay(r, d)
		return nil
	})
	return err
}

func (a *applying) grant(ctx context.Context, d *GrantDoc) error {
	name := d.Application + " -> " + d.Audience
	if err := a.once(kindGrant, name); err != nil {
		return err
	}
	app, err := a.applicationNamed(ctx, d.Application)
	if err != nil {
		return err
	}
	scope := slices.Compact(slices.Sorted(slices.Values(d.Scope)))
	row, err := a.GrantOf(ctx, app.ClientID, d.Audience)
	if errors.Is(err, ErrNotFound) {
		if row, err = a.CreateClientGrant(ctx, a.by, &ClientGrant{ClientID: app.ClientID, Audience: d.Audience, Scope: scope}); err != nil {
			return err
		}
		a.diff.changed("+", kindGrant, name)
		a.saw(kindGrant, row.ID)
		return nil
	}
	if err != nil {
		return err
	}
	a.saw(kindGrant, row.ID)
	if d.Scope == nil || slices.Equal(scope, row.Scope) {
		return nil
	}
	a.diff.changed("~", kindGrant, name, FieldChange{"scope", row.Scope, scope})
	_, err = a.UpdateClientGrant(ctx, a.by, row.ID, func(g *ClientGrant) error {
		g.Scope = scope
		return nil
	})
	return err
}

// at returns the document with the identifier of the management API for its alias.
func (d *Document) at(management string) *Document {
	resolve := func(list PermissionsDoc) PermissionsDoc {
		if _, is := list[ManagementAlias]; !is {
			return list
		}
		list = maps.Clone(list)
		list[management] = slices.Concat(list[management], list[ManagementAlias])
		delete(list, ManagementAlias)
		return list
	}
	c := *d
	c.Roles, c.ManagedIdentities, c.Users = slices.Clone(d.Roles), slices.Clone(d.ManagedIdentities), slices.Clone(d.Users)
	c.ClientGrants = slices.Clone(d.ClientGrants)
	for i := range c.Roles {
		c.Roles[i].Permissions = resolve(c.Roles[i].Permissions)
	}
	for i := range c.ManagedIdentities {
		c.ManagedIdentities[i].Permissions = resolve(c.ManagedIdentities[i].Permissions)
	}
	for i := range c.Users {
		c.Users[i].Permissions = resolve(c.Users[i].Permissions)
	}
	for i := range c.ClientGrants {
		if c.ClientGrants[i].Audience == ManagementAlias {
			c.ClientGrants[i].Audience = management
		}
	}
	return &c
}

// list returns the permissions sorted.
func (d PermissionsDoc) list() []APIPermission {
	list := []APIPermission{}
	for _, api := range slices.Sorted(maps.Keys(d)) {
		for _, name := range d[api] {
			list = append(list, APIPermission{API: api, Name: name})
		}
	}
	return sortedPermissions(list)
}

// permissionTexts writes permissions for a diff.
func permissionTexts(list []APIPermission) []string {
	all := make([]string, len(list))
	for i, p := range list {
		all[i] = p.API + " " + p.Name
	}
	return all
}

func (a *applying) role(ctx context.Context, d *RoleDoc) error {
	if err := a.once(kindRole, d.Name); err != nil {
		return err
	}
	row, err := a.RoleByName(ctx, d.Name)
	if errors.Is(err, ErrNotFound) {
		row = &Role{Permissions: d.Permissions.list()}
		overlay(row, d)
		if row, err = a.CreateRole(ctx, a.by, row); err != nil {
			return err
		}
		a.diff.changed("+", kindRole, row.Name)
		a.saw(kindRole, row.ID)
		return nil
	}
	if err != nil {
		return err
	}
	a.saw(kindRole, row.ID)
	fields := overlay(row, d)
	want := d.Permissions.list()
	if d.Permissions != nil && !slices.Equal(want, row.Permissions) {
		fields = append(fields, FieldChange{"permissions", permissionTexts(row.Permissions), permissionTexts(want)})
		row.Permissions = want
	}
	if len(fields) == 0 {
		return nil
	}
	a.diff.changed("~", kindRole, row.Name, fields...)
	changed := *row
	_, err = a.UpdateRole(ctx, a.by, row.ID, func(r *Role) error {
		*r = changed
		return nil
	})
	return err
}

func (a *applying) identity(ctx context.Context, d *IdentityDoc) error {
	if err := a.once(kindIdentity, d.Name); err != nil {
		return err
	}
	defaultAudiences(d.Federated)
	row, err := a.ManagedIdentityByName(ctx, d.Name)
	if errors.Is(err, ErrNotFound) {
		row = &ManagedIdentity{}
		overlay(row, d)
		if row, err = a.CreateManagedIdentity(ctx, a.by, row); err != nil {
			return err
		}
		a.diff.changed("+", kindIdentity, row.Name)
	} else if err != nil {
		return err
	} else if fields := overlay(row, d); len(fields) > 0 {
		a.diff.changed("~", kindIdentity, row.Name, fields...)
		_, err := a.UpdateManagedIdentity(ctx, a.by, row.ClientID, func(r *ManagedIdentity) error {
			overlay(r, d)
			return nil
		})
		if err != nil {
			return err
		}
	}
	a.saw(kindIdentity, row.ClientID)
	return a.rights(ctx, kindIdentity, row.Name, row.ID, KindIdentity, row.Rights, d.Roles, d.Permissions)
}

// defaultAudiences says what is kept for an audience that is left out.
func defaultAudiences(rules []TrustRule) {
	for i := range rules {
		rules[i].Audience = cmp.Or(rules[i].Audience, DefaultTrustAudience)
	}
}

func (a *applying) user(ctx context.Context, d *UserDoc) error {
	connection := cmp.Or(d.Connection, DefaultConnection)
	login := d.Email
	if login == "" && d.Username != nil {
		login = *d.Username
	}
	if login == "" {
		return invalid("email", "it is missing")
	}
	if err := a.once(kindUser, connection+" "+strings.ToLower(login)); err != nil {
		return err
	}
	row, err := a.UserByLogin(ctx, connection, login)
	if errors.Is(err, ErrNotFound) {
		row = &User{Connection: connection, Email: d.Email}
		overlay(row, d)
		if row, err = a.CreateUser(ctx, a.by, row); err != nil {
			return err
		}
		a.diff.changed("+", kindUser, login)
	} else if err != nil {
		return err
	} else if fields := overlay(row, d); len(fields) > 0 {
		a.diff.changed("~", kindUser, login, fields...)
		_, err := a.UpdateUser(ctx, a.by, row.ID, func(u *User) error {
			overlay(u, d)
			return nil
		})
		if err != nil {
			return err
		}
	}
	a.saw(kindUser, row.ID)
	return a.rights(ctx, kindUser, login, row.ID, KindUser, row.Rights, d.Roles, d.Permissions)
}

// rights makes the roles and direct permissions of a principal what the document says.
func (a *applying) rights(ctx context.Context, kind, name, id, principal string, have Rights, roles []string, permissions PermissionsDoc) error {
	if roles != nil {
		if err := a.roles(ctx, kind, name, id, principal, have, roles); err != nil {
			return err
		}
	}
	want := permissions.list()
	if permissions == nil || slices.Equal(want, have.Permissions) {
		return nil
	}
	a.diff.changed("~", kind, name, FieldChange{"permissions", permissionTexts(have.Permissions), permissionTexts(want)})
	gone := slices.DeleteFunc(slices.Clone(have.Permissions), func(p APIPermission) bool { return slices.Contains(want, p) })
	if err := a.RevokePermissions(ctx, a.by, id, principal, gone...); err != nil {
		return err
	}
	return a.GrantPermissions(ctx, a.by, id, principal, want...)
}

func (a *applying) roles(ctx context.Context, kind, name, id, principal string, have Rights, roles []string) error {
	want := []string{}
	for i, role := range roles {
		r, err := a.RoleByName(ctx, role)
		if errors.Is(err, ErrNotFound) {
			return invalid(fmt.Sprintf("roles[%d]", i), "there is no role %q", role)
		}
		if err != nil {
			return err
		}
		want = append(want, r.ID)
	}
	is, err := a.RolesOf(ctx, have)
	if err != nil {
		return err
	}
	was, gone := []string{}, []string{}
	for _, r := range is {
		was = append(was, r.Name)
		if !slices.Contains(want, r.ID) {
			gone = append(gone, r.ID)
		}
	}
	roles = append([]string{}, slices.Compact(slices.Sorted(slices.Values(roles)))...)
	if slices.Equal(roles, was) {
		return nil
	}
	a.diff.changed("~", kind, name, FieldChange{"roles", was, roles})
	if err := a.UnassignRoles(ctx, a.by, id, principal, gone...); err != nil {
		return err
	}
	return a.AssignRoles(ctx, a.by, id, principal, want...)
}
