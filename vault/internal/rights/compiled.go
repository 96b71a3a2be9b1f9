package rights

import (
	"strings"

	"github.com/perdure/perdure/vault/internal/model"
)

// compiled is all grants of one generation, made for quick decisions. It does not change.
type compiled struct {
	generation generation
	members    map[string]*memberGrants // by Member.key
	roles      bool                     // some of them are roles
}

// memberGrants are the grants of one member, by where they hold.
type memberGrants struct {
	exact    map[place][]rule
	prefixes map[place][]rule // under places without a name
}

// place is where grants hold. Vault may be All.
type place struct {
	vault string
	kind  model.Kind
	name  string
}

// rule is what a grant allows in a place.
type rule struct {
	prefix string
	ops    map[model.Op]bool
	grant  *Grant
}

func compile(g generation, all []*Grant) *compiled {
	c := &compiled{generation: g, members: map[string]*memberGrants{}}
	shared := map[string]map[model.Op]bool{} // few differ
	for _, grant := range all {
		key := grant.Member.key()
		m := c.members[key]
		if m == nil {
			m = &memberGrants{exact: map[place][]rule{}, prefixes: map[place][]rule{}}
			c.members[key] = m
		}
		c.roles = c.roles || grant.Member.Role != ""
		for _, kind := range model.Kinds() {
			allowed := grant.opsOn(kind)
			if len(allowed) == 0 {
				continue
			}
			ops := opSet(shared, kind, allowed)
			if prefix, isPrefix := strings.CutSuffix(grant.Name, All); isPrefix {
				at := place{vault: grant.Vault, kind: kind}
				m.prefixes[at] = append(m.prefixes[at], rule{prefix, ops, grant})
				continue
			}
			at := place{grant.Vault, kind, grant.Name}
			m.exact[at] = append(m.exact[at], rule{"", ops, grant})
		}
	}
	return c
}

// opSet returns ops as a set, of those that the kind has.
func opSet(shared map[string]map[model.Op]bool, kind model.Kind, ops []model.Op) map[model.Op]bool {
	id := string(kind)
	for _, op := range ops {
		id += " " + string(op)
	}
	if set := shared[id]; set != nil {
		return set
	}
	set := map[model.Op]bool{}
	for _, op := range model.OpsOf(kind) {
		for _, allowed := range ops {
			set[op] = set[op] || op == allowed
		}
	}
	shared[id] = set
	return set
}

// allows returns a grant of a member that allows op; nil without one. What concerns no one item needs a grant on all.
func (c *compiled) allows(member Member, op *model.Operation) *Grant {
	m := c.members[member.key()]
	if m == nil {
		return nil
	}
	name := strings.ToLower(op.Name)
	for _, vault := range []string{strings.ToLower(op.Vault), All} {
		for _, r := range m.exact[place{vault, op.Kind, name}] {
			if r.ops[op.Op] {
				return r.grant
			}
		}
		for _, r := range m.prefixes[place{vault: vault, kind: op.Kind}] {
			if r.ops[op.Op] && strings.HasPrefix(name, r.prefix) {
				return r.grant
			}
		}
	}
	return nil
}

// names is which names somebody may see.
type names struct {
	exact    map[string]bool
	prefixes []string
	grant    *Grant // one that says so
}

// collect adds the names of a member that some grant allows op on.
func (c *compiled) collect(into *names, member Member, op *model.Operation) {
	m := c.members[member.key()]
	if m == nil {
		return
	}
	for _, vault := range []string{strings.ToLower(op.Vault), All} {
		for _, r := range m.prefixes[place{vault: vault, kind: op.Kind}] {
			if r.ops[op.Op] {
				into.prefixes, into.grant = append(into.prefixes, r.prefix), r.grant
			}
		}
		for at, rules := range m.exact {
			if at.vault != vault || at.kind != op.Kind {
				continue
			}
			for _, r := range rules {
				if r.ops[op.Op] {
					into.exact[at.name] = true
					if into.grant == nil {
						into.grant = r.grant
					}
				}
			}
		}
	}
}

func (n *names) visible(name string) bool {
	name = strings.ToLower(name)
	if n.exact[name] {
		return true
	}
	for _, prefix := range n.prefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
