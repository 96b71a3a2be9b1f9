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
	kind kind
	text string // of a requirement: its name
	args []string
	// check decides a requirement. A resource that is not there yet is noResource.
	check    func(ctx context.Context, p *Principal, resource any) (Verdict, string)
	resource reflect.Type // of a Resource
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

// The verdicts. Undecided is the answer of a policy about a resource without one.
const (
	Denied Verdict = iota
	Undecided
	Allowed
)

// String returns "denied", "undecided" or "allowed".
func (v Verdict) String() string { return [...]string{"denied", "undecided", "allowed"}[v] }

// Decision is the answer of a policy and its explanation.
type Decision struct {
	// Policy is the policy that decided, as Policy.String writes it.
	Policy string `json:"policy"`
	// Verdict is the answer.
	Verdict Verdict `json:"-"`
	// Reason says why a requirement is not met; empty when it is, and for combinations.
	Reason string `json:"reason,omitempty"`
	// Missing are the permissions, scopes and roles for whose want it was denied, such as
	// "permission read:files".
	Missing []string `json:"missing,omitempty"`
	// Children are the decisions of the policies that were combined, as far as they were asked.
	Children []Decision `json:"children,omitempty"`
}

// Anonymous is the policy that allows everybody.
func Anonymous() Policy { return Policy{} }

// Authenticated requires a principal, whoever it is.
func Authenticated() Policy { return Policy{kind: authenticated} }

// Permission requires each of the permissions.
func Permission(names ...string) Policy { return Policy{kind: permission, args: slices.Clone(names)} }

// Scope requires each of the scopes.
func Scope(names ...string) Policy { return Policy{kind: scope, args: slices.Clone(names)} }

// Role requires one of the roles.
func Role(names ...string) Policy { return Policy{kind: role, args: slices.Clone(names)} }

// Claim requires a claim with a value, or a claim that is a list with that element. Values are compared
// as JSON writes them.
func Claim(name string, value any) Policy {
	return Policy{kind: claim, text: name, args: []string{jsonText(value)}}
}

// Func requires what fn says: nil allows, an error denies and is the reason, which the
// caller is told. The name stands in explanations.
func Func(name string, fn func(ctx context.Context, p *Principal) error) Policy {
	return Policy{kind: function, text: name, check: func(ctx context.Context, p *Principal, _ any) (Verdict, string) {
		return verdictOf(fn(ctx, p))
	}}
}

// Resource requires what fn says of the principal and a resource of type T: nil allows, an error denies
// and is the reason, which the caller is told. The name stands in explanations. On a function of an app, T is its
// input, which is asked when it has been filled.
func Resource[T any](name string, fn func(ctx context.Context, p *Principal, resource T) error) Policy {
	return Policy{
		kind: resourceBased, text: name, resource: reflect.TypeFor[T](),
		check: func(ctx context.Context, p *Principal, resource any) (Verdict, string) {
			if resource == nil {
				return Undecided, ""
			}
			r, ok := resource.(T)
			if !ok {
				return Denied, fmt.Sprintf("%s is about a %v, not a %T", name, reflect.TypeFor[T](), resource)
			}
			return verdictOf(fn(ctx, p, r))
		},
	}
}

func verdictOf(err error) (Verdict, string) {
	if err != nil {
		return Denied, err.Error()
	}
	return Allowed, ""
}

// All requires all of the policies; it allows when there are none.
func All(policies ...Policy) Policy { return Policy{kind: all, children: slices.Clone(policies)} }

// Any requires one of the policies; it denies when there are none.
func Any(policies ...Policy) Policy { return Policy{kind: either, children: slices.Clone(policies)} }

// Not requires a principal that a policy denies. Nobody is not such a principal.
func Not(p Policy) Policy { return Policy{kind: not, children: []Policy{p}} }

// Named gives the policy a name for explanations and lists.
func (p Policy) Named(name string) Policy {
	p.name = name
	return p
}

// Name returns the name given by Named; empty without.
func (p Policy) Name() string { return p.name }

// IsAnonymous reports whether the policy lets requests through without asking who sent them.
func (p Policy) IsAnonymous() bool { return p.kind == anonymous }

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
	switch p.kind {
	case anonymous:
		return "anybody"
	case authenticated:
		return "a known principal"
	case permission:
		return word("permission", p.args, " and ")
	case scope:
		return word("scope", p.args, " and ")
	case role:
		return word("role", p.args, " or ")
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

func word(noun string, names []string, between string) string {
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
	if p.name == "" && (p.kind == all || p.kind == either) && len(p.children) > 1 {
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
