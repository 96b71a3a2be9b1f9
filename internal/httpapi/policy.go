package httpapi

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/perdure/perdure/auth"
)

// Requirements are the policies that a part of an app states, the outermost first; nil if it
// states none.
type Requirements []auth.Policy

// In returns the requirements of a part that stands in a group with a policy.
func (q Requirements) In(group auth.Policy) Requirements {
	return append(Requirements{group}, q...)
}

// Policy returns the policy that all of them make, and standard when none is stated.
func (q Requirements) Policy(standard auth.Policy) auth.Policy {
	if q == nil {
		return standard
	}
	asking := slices.DeleteFunc(slices.Clone(q), auth.Policy.IsAnonymous)
	switch len(asking) {
	case 0:
		return auth.Anonymous()
	case 1:
		return asking[0]
	}
	return auth.All(asking...)
}

// Require adds policies to what the function requires. All must allow a request.
func Require(policies ...auth.Policy) Option {
	return func(f *Function) {
		if len(policies) == 0 {
			f.faults = append(f.faults, errors.New("Require has no policy; auth.Anonymous() lets everybody in"))
		}
		f.requires = append(f.requires, policies...)
	}
}

// Guarded returns the function as it is in a group with a policy.
func (f *Function) Guarded(group auth.Policy) *Function {
	guarded := *f
	guarded.requires = f.requires.In(group)
	return &guarded
}

// Requires returns what the function states.
func (f *Function) Requires() Requirements { return f.requires }

// The types of fields that are filled with who sent the request.
var (
	// Known is always filled, so its function lets nobody else in.
	Known = reflect.TypeFor[auth.Principal]()
	// Perhaps is nil for nobody.
	Perhaps = reflect.TypeFor[*auth.Principal]()
)

// guard makes the gate of the route, and checks that the policy fits the function.
func (rt *route) guard() error {
	policy := rt.requires.Policy(rt.cfg.Policy)
	rt.gate = NewGate(rt.cfg, rt.pattern, policy)
	if field := rt.input.Injected(Known); field != "" && rt.gate.open {
		return fmt.Errorf("function %s: field %s is who sent the request, but requests of nobody are let in; "+
			"require somebody, such as by perdure.Require(auth.Authenticated()), or make it a *auth.Principal", rt.name, field)
	}
	rt.gate.asks = rt.input.Injected(Perhaps) != ""
	types := policy.ResourceTypes()
	if len(types) == 0 {
		return nil
	}
	pointer := reflect.PointerTo(rt.in)
	misfit := func(given reflect.Type) *reflect.Type {
		for _, t := range types {
			if t != given && (t.Kind() != reflect.Interface || !given.Implements(t)) {
				return &t
			}
		}
		return nil
	}
	switch wrong := misfit(pointer); {
	case wrong == nil:
		rt.about = func(in reflect.Value) any { return in.Interface() }
	case misfit(rt.in) == nil:
		rt.about = func(in reflect.Value) any { return in.Elem().Interface() }
	default:
		return fmt.Errorf("function %s: its policy %q asks about a %v, but the function has the input %v; "+
			"write auth.Resource of that type, or of an interface that it has", rt.name, policy, *wrong, pointer)
	}
	return nil
}

// decide asks the policy again, about the input of the function, if it is about that.
func (rt *route) decide(ctx context.Context, in reflect.Value) error {
	if rt.about == nil {
		return nil
	}
	who := auth.From(ctx)
	if d := rt.gate.policy.Decide(ctx, who, rt.about(in)); d.Verdict != auth.Allowed {
		return &refusal{who: who, decision: d}
	}
	return nil
}
