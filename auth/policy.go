package auth

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Policy says what is required of a principal. It is a value; the zero value allows
// everybody, also nobody known (Anonymous). Make others with Permission, Scope, Role, Claim,
// Func, Resource, Authenticated, All, Any and Not.
type Policy struct {
	name string // given by Named
	expr string // what Expression returns; empty for the zero value
	kind kind
	text string // of a requirement: its name
	args []string
	// check decides a requirement: nil allows. A Resource has its type, and fits, which tells
	// whether a resource is of it.
	check    func(ctx context.Context, p *Principal, resource any) error
	resource reflect.Type
	fits     func(resource any) bool
	children []Policy
}

type kind int

const (
	anonymous kind = iota
	authenticated
	permission
	scope
	role
	claim
	function
	resourceBased
	all
	either
	not
)

// Verdict is the answer of a policy.
type Verdict int

// The verdicts. Undecided is the answer of a policy about a resource without one, and of one
// that could not find out.
const (
	Denied Verdict = iota
	Undecided
	Allowed
)

// String returns "denied", "undecided" or "allowed".
func (v Verdict) String() string {
	if v < Denied || v > Allowed {
		return fmt.Sprintf("verdict %d", int(v))
	}
	return [...]string{"denied", "undecided", "allowed"}[v]
}

// MarshalText implements encoding.TextMarshaler.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (v *Verdict) UnmarshalText(text []byte) error {
	for *v = Denied; *v <= Allowed; *v++ {
		if v.String() == string(text) {
			return nil
		}
	}
	*v = Denied
	return fmt.Errorf("auth: no verdict is called %q", text)
}

// Decision is the answer of a policy and its explanation.
type Decision struct {
	// Policy is the policy that decided, as Policy.String writes it.
	Policy string `json:"policy"`
	// Verdict is the answer. What is not allowed is to be refused, also if it is undecided.
	Verdict Verdict `json:"verdict"`
	// Reason says why a requirement is not met; empty when it is, and for combinations.
	Reason string `json:"reason,omitempty"`
	// Missing are the permissions, scopes and roles for whose want it was denied, such as
	// "permission read:files".
	Missing []string `json:"missing,omitempty"`
	// Children are the decisions of the policies that were combined, as far as they were asked.
	Children []Decision `json:"children,omitempty"`
	// Err is why a policy could not find out (ErrCannotTell), if that left it undecided.
	// It is for the log, not for the caller.
	Err error `json:"-"`

	every bool // of All: each of the children is needed
}

// Anonymous is the policy that allows everybody.
func Anonymous() Policy { return Policy{} }

// Authenticated requires a principal, whoever it is.
func Authenticated() Policy { return Policy{kind: authenticated}.made() }

// Permission requires each of the permissions. Without any it is Authenticated.
func Permission(names ...string) Policy {
	return Policy{kind: permission, args: slices.Clone(names)}.made()
}

// Scope requires each of the scopes. Without any it is Authenticated.
func Scope(names ...string) Policy { return Policy{kind: scope, args: slices.Clone(names)}.made() }

// Role requires one of the roles. Without any it denies.
func Role(names ...string) Policy { return Policy{kind: role, args: slices.Clone(names)}.made() }

// Claim requires a claim with a value, or a claim that is a list with that element. Values are compared
// as JSON writes them. A dot leads into objects, unless a claim has the whole name: "realm_access.roles".
func Claim(name string, value any) Policy {
	return Policy{kind: claim, text: name, args: []string{canonical(value)}}.made()
}

// Func requires what fn says: nil allows, an error denies and is the reason, which the
// caller is told; one that matches ErrCannotTell leaves it undecided. It is not asked about nobody.
// The name stands in explanations.
func Func(name string, fn func(ctx context.Context, p *Principal) error) Policy {
	return Policy{kind: function, text: name, check: func(ctx context.Context, p *Principal, _ any) error {
		return fn(ctx, p)
	}}.made()
}

// Resource is Func about the principal and a resource of type T. Without a resource, or with one of another type,
// it is undecided. On a function of an app, T is its input, which is asked when it has been filled.
func Resource[T any](name string, fn func(ctx context.Context, p *Principal, resource T) error) Policy {
	return Policy{
		kind: resourceBased, text: name, resource: reflect.TypeFor[T](),
		fits: func(resource any) bool { _, ok := resource.(T); return ok },
		check: func(ctx context.Context, p *Principal, resource any) error {
			return fn(ctx, p, resource.(T))
		},
	}.made()
}

// All requires all of the policies; it allows when there are none.
func All(policies ...Policy) Policy {
	return Policy{kind: all, children: slices.Clone(policies)}.made()
}

// Any requires one of the policies; it denies when there are none.
func Any(policies ...Policy) Policy {
	return Policy{kind: either, children: slices.Clone(policies)}.made()
}

// Not requires a principal that a policy denies. Nobody is not such a principal.
func Not(p Policy) Policy { return Policy{kind: not, children: []Policy{p}}.made() }

// Named gives the policy a name for explanations and lists.
func (p Policy) Named(name string) Policy {
	p.name = name
	return p
}

// Name returns the name given by Named; empty without.
func (p Policy) Name() string { return p.name }

// IsAnonymous reports whether the policy lets requests through whoever sent them, also nobody known.
func (p Policy) IsAnonymous() bool {
	return p.Decide(context.Background(), nil, nil).Verdict == Allowed // no func is asked about nobody
}

// asks reports whether a func of the user's takes part in the policy.
func (p Policy) asks() (asks bool) {
	p.Walk(func(one Policy) { asks = asks || one.check != nil })
	return asks
}

// String writes the policy as an expression: its name, if it has one.
func (p Policy) String() string {
	if p.name != "" {
		return p.name
	}
	return p.Expression()
}

// Expression writes the policy as an expression, such as
// "permission read:files and not role guest".
func (p Policy) Expression() string {
	if p.kind == anonymous {
		return "anybody"
	}
	return p.expr
}

// made returns a policy with its expression, which each decision has, written once.
func (p Policy) made() Policy {
	p.expr = p.write()
	return p
}

func (p Policy) write() string {
	switch p.kind {
	case authenticated:
		return "a known principal"
	case permission:
		return word("permission", p.args, " and ", "a known principal")
	case scope:
		return word("scope", p.args, " and ", "a known principal")
	case role:
		return word("role", p.args, " or ", "nobody")
	case claim:
		return fmt.Sprintf("claim %s = %s", p.text, p.args[0])
	case all:
		return p.join(" and ", "anybody")
	case either:
		return p.join(" or ", "nobody")
	case not:
		return "not " + p.children[0].operand()
	}
	return p.text
}

func word(noun string, names []string, between, none string) string {
	if len(names) == 0 {
		return none
	}
	return noun + " " + strings.Join(names, between)
}

func (p Policy) join(between, none string) string {
	if len(p.children) == 0 {
		return none
	}
	parts := make([]string, len(p.children))
	for i, child := range p.children {
		parts[i] = child.operand()
	}
	return strings.Join(parts, between)
}

// operand writes the policy as a part of a larger expression.
func (p Policy) operand() string {
	several := (p.kind == all || p.kind == either) && len(p.children) > 1 ||
		(p.kind == permission || p.kind == scope || p.kind == role) && len(p.args) > 1
	if p.name == "" && several {
		return "(" + p.Expression() + ")"
	}
	return p.String()
}

// Walk calls visit for the policy and all that it is combined of.
func (p Policy) Walk(visit func(Policy)) {
	visit(p)
	for _, child := range p.children {
		child.Walk(visit)
	}
}

// Permissions returns the permissions that the policy names anywhere, sorted.
func (p Policy) Permissions() []string { return p.names(permission) }

// Scopes returns the scopes that the policy names anywhere, sorted.
func (p Policy) Scopes() []string { return p.names(scope) }

// Roles returns the roles that the policy names anywhere, sorted.
func (p Policy) Roles() []string { return p.names(role) }

func (p Policy) names(k kind) (names []string) {
	p.Walk(func(one Policy) {
		if one.kind == k {
			names = append(names, one.args...)
		}
	})
	slices.Sort(names)
	return slices.Compact(names)
}

// ResourceTypes returns the types of the resources that the policy asks about.
func (p Policy) ResourceTypes() (types []reflect.Type) {
	p.Walk(func(one Policy) {
		if one.kind == resourceBased && !slices.Contains(types, one.resource) {
			types = append(types, one.resource)
		}
	})
	return types
}
