package perdure

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/internal/control"
	"github.com/perdure/perdure/internal/httpapi"
)

// Require makes an HTTP function answer the requests alone that all the policies allow, and
// any it had before. Others are answered 401 when it is not known who sends them, and 403 when
// it is. The policies decide before the body of the request is read. A policy about a resource,
// auth.Resource, is about the function's input: it decides once more when that has been
// filled, in the unit of the function, each time it runs.
//
// What requires auth.Anonymous() alone is open to everybody, whatever Config.Policy says.
func Require(policies ...auth.Policy) HTTPOption { return httpapi.Require(policies...) }

// Guarded is a group of parts: each HTTP function, handler and live endpoint in it requires
// the policy, and what it requires itself. Groups may stand in groups; other parts are not
// changed. Config.Policy is not for what stands in a group.
func Guarded(policy auth.Policy, all ...Part) Part { return guarded{policy, all} }

type guarded struct {
	policy auth.Policy
	parts  []Part
}

// injectPrincipal fills a field with who sent the request.
func injectPrincipal(ctx context.Context, _ *http.Request) (reflect.Value, error) {
	who := auth.From(ctx)
	if who == nil { // the gate lets nobody by who is not known
		return reflect.Value{}, errors.New("perdure: an auth.Principal where nobody is known")
	}
	return reflect.ValueOf(*who), nil
}

// injectPerhaps fills a field with who sent the request, nil for nobody.
func injectPerhaps(ctx context.Context, _ *http.Request) (reflect.Value, error) {
	who := auth.From(ctx)
	if who != nil { // what the function changes is not what policies look at
		own := *who
		who = &own
	}
	return reflect.ValueOf(who), nil
}

// authenticates reports whether the app can find out who sends requests.
func (c Config) authenticates() bool { return c.Auth != nil || c.Identity != nil || c.Login != nil }

// entrance is a part of an app that requests come in by.
type entrance struct {
	kind     string // "http", "handler" or "live"
	name     string // as messages have it
	pattern  string
	function *httpapi.Function // nil for others
	requires httpapi.Requirements
}

// entrances returns all of them, functions first.
func (p *parts) entrances() []entrance {
	var all []entrance
	for _, f := range p.functions {
		all = append(all, entrance{kind: "http", name: f.Name(), pattern: f.Pattern(), function: f, requires: f.Requires()})
	}
	for _, h := range p.handlers {
		kind := "handler"
		if _, ok := h.handler.(*livePart); ok {
			kind = "live"
		}
		all = append(all, entrance{kind: kind, name: h.name(), pattern: h.pattern, requires: h.requires})
	}
	return all
}

// checkPolicies names what the app cannot decide about and what it would leave open. A test
// kit makes requests of known principals by itself.
func (p *parts) checkPolicies(c Config, tested bool) error {
	var errs []error
	var open []string
	for _, e := range p.entrances() {
		policy := e.requires.Policy(c.Policy)
		if e.requires == nil && policy.IsAnonymous() {
			open = append(open, e.name)
		}
		what := e.name
		if e.function != nil {
			what = "function " + e.name
		}
		if !policy.IsAnonymous() && !c.authenticates() && c.Gateway == nil && !tested {
			errs = append(errs, fmt.Errorf("%s: requires %q, but nothing finds out who sends requests: set Config.Identity, Config.Login or Config.Auth", what, policy))
		}
		if types := policy.ResourceTypes(); len(types) > 0 && e.function == nil {
			errs = append(errs, fmt.Errorf("%s: its policy %q asks about a %v, but a handler has no input: ask by auth.Permit in the handler", what, policy, types[0]))
		}
	}
	if c.reachable() && len(open) > 0 {
		errs = append(errs, fmt.Errorf("%s is not a loopback address, and what states no policy is served to this machine alone: %s; "+
			"give each a policy by perdure.Require or perdure.Guarded, or all by Config.Policy (auth.Anonymous() in the first two lets everybody in), or listen on localhost",
			c.exposedAddress(), strings.Join(open, ", ")))
	}
	return errors.Join(errs...)
}

// permissions returns the permissions that the policies of the app name, sorted, with
// those of its management.
func (p *parts) permissions(c Config) []string {
	names := []string{control.ReadPermission, control.ManagePermission}
	for _, e := range p.entrances() {
		names = append(names, e.requires.Policy(c.Policy).Permissions()...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// controlledPolicies returns what the entrances of the app require, as it is shown.
func (p *parts) controlledPolicies(c Config, openMetrics bool) control.Permissions {
	var all control.Permissions
	uses := map[string][]string{}
	show := func(kind, name, pattern string, policy auth.Policy) {
		one := control.Requirement{
			Name: name, Kind: kind, Pattern: pattern, Policy: policy.String(), Anonymous: policy.IsAnonymous(),
			Permissions: policy.Permissions(), Roles: policy.Roles(), Scopes: policy.Scopes(),
		}
		if expression := policy.Expression(); expression != one.Policy {
			one.Expression = expression
		}
		all.Items = append(all.Items, one)
		for _, permission := range one.Permissions {
			uses[permission] = append(uses[permission], name)
		}
	}
	for _, e := range p.entrances() {
		name := e.pattern
		if e.function != nil {
			name = e.name
		}
		show(e.kind, name, e.pattern, e.requires.Policy(c.Policy))
	}
	if c.authenticates() {
		show("management", "GET "+control.Prefix, "GET "+control.Prefix, control.Reading())
		show("management", control.Prefix, control.Prefix, control.Managing())
		if !openMetrics {
			show("management", "GET "+metricsPath, "GET "+metricsPath, control.Reading())
		}
	}
	for permission, by := range uses {
		all.Permissions = append(all.Permissions, control.PermissionUse{Name: permission, UsedBy: by})
	}
	slices.SortFunc(all.Permissions, func(a, b control.PermissionUse) int { return cmp.Compare(a.Name, b.Name) })
	return all
}
