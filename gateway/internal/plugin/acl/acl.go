// Package acl is Kong's plugin of that name: consumers of some groups alone may go on, or all but those.
package acl

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

const name = "acl"

// Kind returns the plugin.
func Kind() *plugin.Kind {
	text := &plugin.Field{Type: plugin.String}
	return &plugin.Kind{
		Name: name, Priority: 950, NoConsumer: true, New: newInstance,
		Schema: plugin.Schema{
			Fields: []plugin.Field{
				{Name: "allow", Old: "whitelist", Type: plugin.Array, Elements: text},
				{Name: "deny", Old: "blacklist", Type: plugin.Array, Elements: text},
				{Name: "hide_groups_header", Type: plugin.Boolean, Default: false, Required: true},
				{Name: "always_use_authenticated_groups", Type: plugin.Boolean, Default: false, Required: true},
			},
			Check: check,
		},
	}
}

func check(v plugin.Values) []entity.FieldProblem {
	allow, deny := len(v.Strings("allow")) > 0, len(v.Strings("deny")) > 0
	switch {
	case allow && deny:
		return []entity.FieldProblem{{Field: "deny", Message: "cannot stand beside allow: who is not allowed is denied"}}
	case !allow && !deny:
		return []entity.FieldProblem{{Message: "needs allow or deny: the names of groups"}}
	}
	return nil
}

type instance struct {
	groups       []string
	deny         bool
	hide, always bool
	headers      map[*entity.Consumer]string // the groups of each, as the upstream is told
}

func newInstance(s plugin.Setup) (any, error) {
	v := s.Values
	p := &instance{groups: v.Strings("allow"), hide: v.Bool("hide_groups_header"), always: v.Bool("always_use_authenticated_groups")}
	if deny := v.Strings("deny"); len(deny) > 0 {
		p.groups, p.deny = deny, true
	}
	p.headers = plugin.Once(s, name, func() map[*entity.Consumer]string {
		all := map[*entity.Consumer]string{}
		for _, c := range s.Config.Consumers {
			all[c] = strings.Join(names(c), ", ")
		}
		return all
	})
	return p, nil
}

func names(c *entity.Consumer) (list []string) {
	for _, g := range c.Groups {
		list = append(list, g.Group)
	}
	return list
}

// Access implements proxy.Access.
func (p *instance) Access(x *proxy.Exchange) {
	x.Request.Fields.Del(plugin.ConsumerGroups)
	x.Request.Fields.Del(plugin.AuthenticatedGroups)
	c := plugin.Consumer(x)
	var claimed []string // by what somebody has shown, not by the configuration
	if g, ok := x.Credential.(plugin.Grouped); ok && (c == nil || p.always) {
		claimed = g.Groups()
	}
	switch {
	case claimed != nil:
		p.decide(x, slices.ContainsFunc(claimed, p.has), plugin.AuthenticatedGroups, strings.Join(claimed, ", "))
	case c == nil || len(c.Groups) == 0 && !p.deny:
		p.nobody(x, c)
	default:
		in := slices.ContainsFunc(c.Groups, func(g *entity.ACLGroup) bool { return p.has(g.Group) })
		p.decide(x, in, plugin.ConsumerGroups, p.headers[c])
	}
}

func (p *instance) has(group string) bool { return slices.Contains(p.groups, group) }

// nobody refuses somebody without groups: with 401 who may become somebody by a credential.
func (p *instance) nobody(x *proxy.Exchange, c *entity.Consumer) {
	reason := "nobody is known: a plugin that authenticates has not been asked, or has let the request through"
	if c != nil {
		reason = fmt.Sprintf("the consumer %q is in no group, and these alone are allowed: %s", c.Label(), strings.Join(p.groups, ", "))
	}
	plugin.Refuse(x, name, reason)
	if x.Credential != nil {
		plugin.Error(x, http.StatusForbidden, "You cannot consume this service")
		return
	}
	plugin.Error(x, http.StatusUnauthorized, "")
}

func (p *instance) decide(x *proxy.Exchange, in bool, header, groups string) {
	if in == p.deny {
		verb := "is in none of the groups that are allowed: "
		if p.deny {
			verb = "is in one of the groups that are denied: "
		}
		plugin.Refuse(x, name, who(x)+" is in the groups ("+groups+"), and "+verb+strings.Join(p.groups, ", "))
		plugin.Error(x, http.StatusForbidden, "You cannot consume this service")
		return
	}
	if !p.hide && groups != "" {
		x.Request.Fields.Add(header, groups)
	}
	if x.Explain {
		x.Note(name, who(x)+" is in the groups ("+groups+"), and may go on")
	}
}

// who says in words who asks.
func who(x *proxy.Exchange) string {
	if c := plugin.Consumer(x); c != nil {
		return fmt.Sprintf("the consumer %q", c.Label())
	}
	return "who asks"
}
