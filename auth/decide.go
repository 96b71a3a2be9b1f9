package auth

import (
	"context"
	"encoding/json"
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
		inner := p.children[0].Decide(ctx, who, resource)
		d.Children = []Decision{inner}
		switch {
		case who == nil:
			d.Verdict, d.Reason = Denied, "nobody is known"
		case inner.Verdict == Allowed:
			d.Verdict, d.Reason = Denied, inner.Policy+" applies"
		default:
			d.Verdict = Allowed - inner.Verdict
		}
	default:
		p.require(ctx, who, resource, &d)
	}
	return d
}

// combine decides All and Any.
func (p Policy) combine(ctx context.Context, who *Principal, resource any, d *Decision) {
	// All is the least of its parts, Any the greatest; the extreme ends the search.
	least := p.kind == all
	d.Verdict = Denied
	if least {
		d.Verdict = Allowed
	}
	for _, child := range p.children {
		one := child.Decide(ctx, who, resource)
		d.Children = append(d.Children, one)
		if least {
			d.Verdict = min(d.Verdict, one.Verdict)
		} else {
			d.Verdict = max(d.Verdict, one.Verdict)
		}
		if one.Verdict == Denied {
			d.Missing = append(d.Missing, one.Missing...)
		}
		if least && d.Verdict == Denied || !least && d.Verdict == Allowed {
			break
		}
	}
	if d.Verdict != Denied {
		d.Missing = nil
	}
}

// require decides a requirement.
func (p Policy) require(ctx context.Context, who *Principal, resource any, d *Decision) {
	if who == nil {
		d.Verdict, d.Reason = Denied, "nobody is known"
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
		for _, name := range p.args {
			if who.HasRole(name) {
				d.Verdict = Allowed
				return
			}
			d.Missing = append(d.Missing, "role "+name)
		}
		d.Reason = "the role " + strings.Join(p.args, " or ") + " is needed"
	case claim:
		p.claim(who, d)
	default:
		d.Verdict, d.Reason = p.check(ctx, who, resource)
	}
}

// every decides a requirement of all of the names.
func (p Policy) every(noun string, has func(string) bool, d *Decision) {
	var missing []string
	for _, name := range p.args {
		if !has(name) {
			missing = append(missing, name)
			d.Missing = append(d.Missing, noun+" "+name)
		}
	}
	if len(missing) == 0 {
		d.Verdict = Allowed
		return
	}
	d.Reason = "the " + noun + " " + strings.Join(missing, " and ") + " is needed"
}

func (p Policy) claim(who *Principal, d *Decision) {
	value, ok := who.Claims[p.text]
	if list, is := value.([]any); is {
		for _, one := range list {
			if jsonText(one) == p.args[0] {
				d.Verdict = Allowed
				return
			}
		}
	} else if ok && jsonText(value) == p.args[0] {
		d.Verdict = Allowed
		return
	}
	d.Reason = "the claim " + p.text + " must be " + p.args[0]
}

// Why says in one line for whose want the policy denied; empty unless it did.
func (d Decision) Why() string {
	if d.Verdict != Denied {
		return ""
	}
	if d.Reason != "" {
		return d.Reason
	}
	var reasons []string
	for _, child := range d.Children {
		if why := child.Why(); why != "" {
			reasons = append(reasons, why)
		}
	}
	if len(reasons) == 0 {
		return d.Policy + " is needed"
	}
	return strings.Join(reasons, ", or ")
}

// MarshalJSON implements json.Marshaler.
func (d Decision) MarshalJSON() ([]byte, error) {
	type plain Decision
	return json.Marshal(struct {
		Verdict string `json:"verdict"`
		plain
	}{d.Verdict.String(), plain(d)})
}

// jsonText writes a value as JSON; empty when it has none.
func jsonText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}
