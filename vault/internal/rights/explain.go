package rights

import (
	"context"
	"slices"
	"strings"

	"github.com/perdure/perdure/vault/internal/model"
)

// maxNear bounds the grants that an explanation shows.
const maxNear = 20

// Explanation says why somebody may do something, or may not.
type Explanation struct {
	Allowed bool `json:"allowed"`
	// Reason is a sentence.
	Reason string `json:"reason"`
	// Grant is the one that allows it; nil for an operator, who needs none.
	Grant *Grant `json:"grant,omitempty"`
	// Members are what the caller counts as: the subject, and each role.
	Members []string `json:"members,omitempty"`
	// Near are grants of these members that do not allow it, and why, those that miss least first.
	Near []Near `json:"near,omitempty"`
}

// Near is a grant that does not allow what was asked for.
type Near struct {
	Grant *Grant `json:"grant"`
	// Misses are what is asked for and not granted: "vault", "kind", "operation", "name".
	Misses []string `json:"misses"`
}

// Explain says which grant lets a caller do op, or what is missing.
func (r *Rights) Explain(ctx context.Context, by model.Caller, op model.Operation) (*Explanation, error) {
	switch {
	case by.Operator:
		return &Explanation{Allowed: true, Reason: "the operator of the machine may do everything"}, nil
	case by.Principal == nil || by.Principal.Subject == "":
		return &Explanation{Reason: "nobody is signed in"}, nil
	}
	c, err := r.load(ctx)
	if err != nil {
		return nil, err
	}
	roles, err := r.roles(ctx, by.Principal)
	if err != nil {
		return nil, err
	}
	members := append([]Member{r.member(by.Principal)}, roles...)
	e := &Explanation{}
	for _, m := range members {
		e.Members = append(e.Members, m.String())
		if e.Grant == nil {
			e.Grant = c.allows(m, &op)
		}
	}
	if e.Grant != nil {
		e.Allowed, e.Reason = true, e.Grant.String()
		return e, nil
	}
	if !slices.Contains(model.OpsOf(op.Kind), op.Op) {
		e.Reason = string(op.Kind) + " have no operation " + string(op.Op)
		return e, nil
	}
	for _, m := range members {
		for row, err := range grants.ScanIndex(ctx, grantsByMember.Equal(m.key())) {
			if err != nil {
				return nil, err
			}
			e.Near = append(e.Near, Near{row.Value, row.Value.misses(&op)})
		}
	}
	slices.SortStableFunc(e.Near, func(a, b Near) int { return len(a.Misses) - len(b.Misses) })
	e.Near = e.Near[:min(len(e.Near), maxNear)]
	if e.Reason = "there is no grant for any of these members"; len(e.Near) > 0 {
		e.Reason = "no grant allows it; the nearest misses the " + strings.Join(e.Near[0].Misses, " and the ")
	}
	return e, nil
}

// misses says what keeps the grant from allowing op.
func (g *Grant) misses(op *model.Operation) (misses []string) {
	if g.Vault != All && !strings.EqualFold(g.Vault, op.Vault) {
		misses = append(misses, "vault")
	}
	switch ops := g.opsOn(op.Kind); {
	case len(ops) == 0:
		misses = append(misses, "kind")
	case !slices.Contains(ops, op.Op):
		misses = append(misses, "operation")
	}
	name := strings.ToLower(op.Name)
	prefix, isPrefix := strings.CutSuffix(g.Name, All)
	if isPrefix && !strings.HasPrefix(name, prefix) || !isPrefix && name != g.Name {
		misses = append(misses, "name")
	}
	return misses
}
