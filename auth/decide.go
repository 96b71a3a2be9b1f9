package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Decide applies the policy to a principal, which is nil for nobody. The resource is what
// Resource policies ask about; while it is nil, they are undecided. A combination is
// decided as soon as its outcome does not depend on what is undecided.
func (p Policy) Decide(ctx context.Context, who *Principal, resource any) Decision {
	d := Decision{Policy: p.String()}
	switch p.kind {
	case anonymous:
		d.Verdict = Allowed
	case all, either:
		p.combine(ctx, who, resource, &d)
	case not:
		p.negate(ctx, who, resource, &d)
	default:
		p.require(ctx, who, resource, &d)
	}
	return d
}

// combine decides All and Any: All is the least of its parts, Any the greatest, and the
// extreme ends the search. Of what is denied, the parts are asked that cost nothing, so that the
// answer names all rights that are missing and not the first alone.
func (p Policy) combine(ctx context.Context, who *Principal, resource any, d *Decision) {
	switch {
	case p.kind == all:
		d.Verdict, d.every = Allowed, true
	case len(p.children) == 0:
		d.Reason = "it is allowed to nobody"
	}
	d.Children = make([]Decision, 0, len(p.children))
	for _, child := range p.children {
		if p.kind == all && d.Verdict == Denied && child.asks() {
			continue
		}
		one := child.Decide(ctx, who, resource)
		d.Children = append(d.Children, one)
		if p.kind == all {
			d.Verdict = min(d.Verdict, one.Verdict)
		} else {
			d.Verdict = max(d.Verdict, one.Verdict)
		}
		if p.kind == either && d.Verdict == Allowed {
			break
		}
	}
	for _, one := range d.Children {
		if d.Verdict == Denied {
			d.miss(one.Missing...)
		}
		if d.Verdict == Undecided && d.Err == nil {
			d.Err = one.Err
		}
	}
}

// negate decides Not.
func (p Policy) negate(ctx context.Context, who *Principal, resource any, d *Decision) {
	if who == nil {
		d.Reason = nobody
		return
	}
	inner := p.children[0].Decide(ctx, who, resource)
	d.Children = []Decision{inner}
	d.Verdict, d.Err = Allowed-inner.Verdict, inner.Err
	if d.Verdict == Denied {
		d.Reason = "refused since this applies: " + inner.Policy
	}
}

const nobody = "nobody is known"

// require decides a requirement.
func (p Policy) require(ctx context.Context, who *Principal, resource any, d *Decision) {
	if who == nil {
		d.Reason = nobody
		return
	}
	switch p.kind {
	case authenticated:
		d.Verdict = Allowed
	case permission:
		p.every("permission", who.HasPermission, d)
	case scope:
		p.every("scope", who.HasScope, d)
	case role:
		p.some("role", who.HasRole, d)
	case claim:
		p.claim(who, d)
	default:
		p.ask(ctx, who, resource, d)
	}
}

// every decides a requirement of all of the names.
func (p Policy) every(noun string, has func(string) bool, d *Decision) {
	var missing []string
	for _, name := range p.args {
		if !has(name) {
			missing = append(missing, name)
			d.miss(noun + " " + name)
		}
	}
	if len(missing) == 0 {
		d.Verdict = Allowed
		return
	}
	d.Reason = needed(noun, missing, " and ")
}

// some decides a requirement of one of the names.
func (p Policy) some(noun string, has func(string) bool, d *Decision) {
	if slices.ContainsFunc(p.args, has) {
		d.Verdict = Allowed
		return
	}
	for _, name := range p.args {
		d.miss(noun + " " + name)
	}
	d.Reason = needed(noun, p.args, " or ")
}

func needed(noun string, names []string, between string) string {
	switch {
	case len(names) == 0:
		return "no " + noun + " is enough"
	case len(names) > 1 && between == " and ":
		return "the " + noun + "s " + strings.Join(names, between) + " are needed"
	}
	return "the " + noun + " " + strings.Join(names, between) + " is needed"
}

func (p Policy) claim(who *Principal, d *Decision) {
	value, ok := lookUp(who.Claims, p.text)
	met := ok && jsonText(value) == p.args[0]
	if list, is := value.([]any); is && !met {
		met = slices.ContainsFunc(list, func(one any) bool { return jsonText(one) == p.args[0] })
	}
	if met {
		d.Verdict = Allowed
		return
	}
	d.Reason = "the claim " + p.text + " must be " + p.args[0]
}

// ask decides a requirement by the user's func.
func (p Policy) ask(ctx context.Context, who *Principal, resource any, d *Decision) {
	d.Verdict = Undecided
	if p.kind == resourceBased {
		if resource == nil {
			d.Reason = fmt.Sprintf("%s depends on a %v", p.text, p.resource)
			return
		}
		if !p.fits(resource) { // not denied: Not would make an allowance of it
			d.Reason = fmt.Sprintf("%s depends on a %v, and is asked about a %T", p.text, p.resource, resource)
			return
		}
	}
	err := p.check(ctx, who, resource)
	switch {
	case err == nil:
		d.Verdict = Allowed
	case errors.Is(err, ErrCannotTell), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		d.Reason, d.Err = "it could not be found out: "+p.text, err
	default:
		d.Verdict, d.Reason = Denied, err.Error()
	}
}

// miss adds rights that are missing.
func (d *Decision) miss(rights ...string) {
	for _, one := range rights {
		if !slices.Contains(d.Missing, one) {
			d.Missing = append(d.Missing, one)
		}
	}
}

// Why says in one line for whose want the policy does not allow; empty if it allows.
func (d Decision) Why() string {
	if d.Verdict == Allowed {
		return ""
	}
	if d.Reason != "" {
		return d.Reason
	}
	var reasons []string
	for _, child := range d.Children {
		if child.Verdict != d.Verdict { // a denial is explained by denials, a doubt by doubts
			continue
		}
		if why := child.Why(); why != "" && !slices.Contains(reasons, why) {
			reasons = append(reasons, why)
		}
	}
	if len(reasons) == 0 {
		return d.Policy + " is needed"
	}
	return strings.Join(reasons, d.between())
}

// between is the word between the reasons of a combination. The parts of Any say that one of them
// is needed, those of All that each is.
func (d Decision) between() string {
	if d.every {
		return ", and "
	}
	return ", or "
}

// canonical is jsonText of a value as it comes out of JSON: a struct is a map then, in the order
// of its names.
func canonical(v any) string {
	decoder := json.NewDecoder(strings.NewReader(jsonText(v)))
	decoder.UseNumber()
	var plain any
	if decoder.Decode(&plain) != nil {
		return ""
	}
	return jsonText(plain)
}

// jsonText writes a value as JSON; empty when it has none.
func jsonText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}
