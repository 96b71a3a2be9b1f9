package directory

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/perdure/perdure/table"
)

// ManagementAlias stands in documents for the identifier of the management API, which has the issuer in it
// and so is another one in each environment.
const ManagementAlias = "urn:perdure:management"

// ExportOptions say what a document has.
type ExportOptions struct {
	// Users adds the users of databases. Those of issuers upstream come by signing in.
	Users bool
	// Without are client ids of applications to leave out.
	Without []string
}

// Export returns a document of what is there: applied to another directory, it makes that one the same. What
// belongs to the system, accounts of demo mode, secrets and passwords are not in it. Of each thing it says
// every list and switch, and every text and number that is not empty.
func (e *Env) Export(ctx context.Context, o ExportOptions) (*Document, error) {
	x := &exporting{Env: e, ExportOptions: o, doc: &Document{}, apps: map[string]string{}, roles: map[string]string{}}
	steps := []func(context.Context) error{x.applications, x.exportRoles, x.grants, x.apis, x.connections, x.identities}
	if o.Users {
		steps = append(steps, x.users)
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return x.doc, nil
}

// exporting is one run of Export.
type exporting struct {
	*Env
	ExportOptions
	doc   *Document
	apps  map[string]string // names of applications by client id; the id where several have the name
	roles map[string]string // names of roles by id
}

// exported reads the rows that keep keeps, at most as many as a document may have.
func exported[T any](ctx context.Context, kind string, t *table.Table[T], keep func(*T) bool) ([]*T, error) {
	all := []*T{}
	for row, err := range t.Scan(ctx, "") {
		if err != nil {
			return nil, err
		}
		if !keep(row.Value) {
			continue
		}
		if all = append(all, row.Value); len(all) > maxEntries {
			return nil, invalid(kind, "there are more than the %d that a document may have", maxEntries)
		}
	}
	return all, nil
}

func (x *exporting) applications(ctx context.Context) error {
	named := map[string]int{}
	for row, err := range Applications.Scan(ctx, "") {
		if err != nil {
			return err
		}
		named[row.Value.Name]++
		x.apps[row.Value.ClientID] = row.Value.Name
	}
	for id, name := range x.apps {
		if named[name] > 1 {
			x.apps[id] = id
		}
	}
	rows, err := exported(ctx, kindApplication, Applications, func(a *Application) bool {
		return !a.System && !slices.Contains(x.Without, a.ClientID)
	})
	for _, row := range rows {
		d := ApplicationDoc{}
		outline(&d, row)
		for _, key := range row.Keys {
			public := map[string]any{}
			if err := json.Unmarshal(key, &public); err != nil {
				return fmt.Errorf("key of application %q: %w", row.Name, err)
			}
			d.PublicKeys = append(d.PublicKeys, public)
		}
		x.doc.Applications = append(x.doc.Applications, d)
	}
	slices.SortFunc(x.doc.Applications, func(a, b ApplicationDoc) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ClientID, b.ClientID))
	})
	return err
}

// permissions writes permissions, with the alias for the management API.
func (x *exporting) permissions(list []APIPermission) PermissionsDoc {
	d := PermissionsDoc{}
	for _, p := range list {
		d[x.alias(p.API)] = append(d[x.alias(p.API)], p.Name)
	}
	for _, names := range d {
		slices.Sort(names)
	}
	return d
}

func (x *exporting) alias(api string) string {
	if api == x.ManagementAPI() {
		return ManagementAlias
	}
	return api
}

func (x *exporting) exportRoles(ctx context.Context) error {
	rows, err := exported(ctx, kindRole, Roles, func(*Role) bool { return true })
	for _, row := range rows {
		x.roles[row.ID] = row.Name
		d := RoleDoc{Permissions: x.permissions(row.Permissions)}
		outline(&d, row)
		x.doc.Roles = append(x.doc.Roles, d)
	}
	slices.SortFunc(x.doc.Roles, func(a, b RoleDoc) int { return cmp.Compare(a.Name, b.Name) })
	return err
}

func (x *exporting) roleNames(r Rights) []string {
	names := []string{}
	for _, id := range r.RoleIDs {
		if name, is := x.roles[id]; is { // a deleted one may be left over
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (x *exporting) grants(ctx context.Context) error {
	kept := map[string]bool{}
	for _, a := range x.doc.Applications {
		kept[a.ClientID] = true
	}
	rows, err := exported(ctx, kindGrant, ClientGrants, func(g *ClientGrant) bool { return kept[g.ClientID] })
	for _, row := range rows {
		d := GrantDoc{Application: x.apps[row.ClientID], Audience: x.alias(row.Audience)}
		outline(&d, row)
		x.doc.ClientGrants = append(x.doc.ClientGrants, d)
	}
	slices.SortFunc(x.doc.ClientGrants, func(a, b GrantDoc) int {
		return cmp.Or(cmp.Compare(a.Application, b.Application), cmp.Compare(a.Audience, b.Audience))
	})
	return err
}

func (x *exporting) apis(ctx context.Context) error {
	rows, err := exported(ctx, kindAPI, APIs, func(a *API) bool { return !a.System })
	for _, row := range rows {
		d := APIDoc{}
		outline(&d, row)
		x.doc.APIs = append(x.doc.APIs, d)
	}
	slices.SortFunc(x.doc.APIs, func(a, b APIDoc) int { return cmp.Compare(a.Identifier, b.Identifier) })
	return err
}

func (x *exporting) connections(ctx context.Context) error {
	rows, err := exported(ctx, kindConnection, Connections, func(*Connection) bool { return true })
	for _, row := range rows {
		d := ConnectionDoc{Strategy: row.Strategy, Applications: []string{}, Options: &OptionsDoc{}}
		outline(&d, row)
		for _, id := range row.EnabledClients {
			d.Applications = append(d.Applications, cmp.Or(x.apps[id], id))
		}
		slices.Sort(d.Applications)
		x.doc.Connections = append(x.doc.Connections, d)
	}
	slices.SortFunc(x.doc.Connections, func(a, b ConnectionDoc) int { return cmp.Compare(a.Name, b.Name) })
	return err
}

func (x *exporting) identities(ctx context.Context) error {
	rows, err := exported(ctx, kindIdentity, ManagedIdentities, func(m *ManagedIdentity) bool { return !m.System })
	for _, row := range rows {
		d := IdentityDoc{Roles: x.roleNames(row.Rights), Permissions: x.permissions(row.Permissions)}
		outline(&d, row)
		x.doc.ManagedIdentities = append(x.doc.ManagedIdentities, d)
	}
	slices.SortFunc(x.doc.ManagedIdentities, func(a, b IdentityDoc) int { return cmp.Compare(a.Name, b.Name) })
	return err
}

func (x *exporting) users(ctx context.Context) error {
	databases := map[string]bool{}
	for _, c := range x.doc.Connections {
		databases[c.Name] = c.Strategy == StrategyDatabase
	}
	rows, err := exported(ctx, kindUser, Users, func(u *User) bool { return !u.Demo && databases[u.Connection] })
	slices.SortFunc(rows, func(a, b *User) int {
		return cmp.Or(cmp.Compare(a.Connection, b.Connection), cmp.Compare(cmp.Or(a.Email, a.Username), cmp.Or(b.Email, b.Username)))
	})
	for _, row := range rows {
		d := UserDoc{Connection: row.Connection, Email: row.Email, Roles: x.roleNames(row.Rights), Permissions: x.permissions(row.Permissions)}
		outline(&d, row)
		x.doc.Users = append(x.doc.Users, d)
	}
	return err
}

// outline sets those fields of doc that row has, the other way round than overlay.
func outline(doc, row any) { outlineFields(reflect.ValueOf(doc).Elem(), reflect.ValueOf(row).Elem()) }

func outlineFields(doc, row reflect.Value) {
	for i := range doc.NumField() {
		name, field := jsonName(doc.Type().Field(i)), doc.Field(i)
		if name == "-" {
			continue
		}
		has := fieldNamed(row, name)
		switch field.Kind() {
		case reflect.Pointer:
			if has.Kind() == reflect.Struct {
				outlineFields(field.Elem(), has)
				continue
			}
			if has.Kind() == reflect.Bool || !has.IsZero() {
				field.Set(reflect.New(has.Type()))
				field.Elem().Set(has)
			}
		case reflect.Slice:
			field.Set(reflect.AppendSlice(reflect.MakeSlice(field.Type(), 0, has.Len()), has))
		case reflect.Map:
			if has.Len() > 0 {
				field.Set(has)
			}
		default:
			field.Set(has)
		}
	}
}

// YAML writes the document as ParseDocument reads it. What it does not say is left out.
func (d *Document) YAML() ([]byte, error) {
	n, err := yamlNode(reflect.ValueOf(*d))
	if err != nil {
		return nil, err
	}
	return yaml.Marshal(n)
}

// yamlNode writes a struct of a document without the fields that say nothing: nil and empty texts.
func yamlNode(v reflect.Value) (*yaml.Node, error) {
	switch {
	case v.Kind() == reflect.Pointer:
		return yamlNode(v.Elem())
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		list := &yaml.Node{Kind: yaml.SequenceNode}
		if v.Len() == 0 {
			list.Style = yaml.FlowStyle
		}
		for i := range v.Len() {
			n, err := yamlNode(v.Index(i))
			if err != nil {
				return nil, err
			}
			list.Content = append(list.Content, n)
		}
		return list, nil
	case v.Kind() != reflect.Struct:
		n := &yaml.Node{}
		return n, n.Encode(v.Interface())
	}
	n := &yaml.Node{Kind: yaml.MappingNode}
	for i := range v.NumField() {
		name, _, _ := strings.Cut(cmp.Or(v.Type().Field(i).Tag.Get("yaml"), strings.ToLower(v.Type().Field(i).Name)), ",")
		switch field := v.Field(i); field.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map, reflect.String:
			if name == "-" || field.IsZero() {
				continue
			}
			value, err := yamlNode(field)
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: name}, value)
		}
	}
	return n, nil
}
