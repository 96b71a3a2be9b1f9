package rights

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/perdure/perdure/table"
	"github.com/perdure/perdure/vault/internal/model"
)

// All, as a vault, a kind, an operation or a name, stands for every one.
const All = "*"

// Grant lets a member do something.
type Grant struct {
	// ID is made of what the grant says, so that the same grant given twice is one.
	ID string `json:"id"`
	// Vault is the vault's name, or All.
	Vault string `json:"vault"`
	// Set is the name of a Set. Without one Kind, which may be All, and Ops, which may be just All, say what may be done.
	Set  string     `json:"set,omitempty"`
	Kind model.Kind `json:"kind,omitempty"`
	Ops  []model.Op `json:"ops,omitempty"`
	// Name is the name of an item, a prefix written "abc*", or All. It is in lower case.
	Name    string    `json:"name"`
	Member  Member    `json:"member"`
	Created time.Time `json:"created"`
	By      string    `json:"by"` // the subject of who gave it
}

// String is the grant in a line.
func (g *Grant) String() string {
	what := g.Set
	if what == "" {
		ops := make([]string, len(g.Ops))
		for i, op := range g.Ops {
			ops[i] = string(op)
		}
		what = string(g.Kind) + " " + strings.Join(ops, ",")
	}
	return fmt.Sprintf("%s may %s on %s in vault %s", g.Member, what, g.Name, g.Vault)
}

// Spec is a grant as it is asked for.
type Spec struct {
	// Vault is the vault's name, or All.
	Vault string `json:"vault"`
	// Set, or Kind and Ops, as in Grant. Set may be Azure's name of it.
	Set  string     `json:"set,omitempty"`
	Kind model.Kind `json:"kind,omitempty"`
	Ops  []model.Op `json:"ops,omitempty"`
	// Name is as in Grant; empty is All.
	Name string `json:"name,omitempty"`
	// Member is "user:ada@example.com", "app:CLIENT", "identity:NAME", "role:NAME" or "subject:SUB".
	Member string `json:"member"`
}

// grant makes a checked grant of a spec, without its member.
func (s Spec) grant() (*Grant, error) {
	g := &Grant{Vault: s.Vault, Kind: s.Kind, Name: strings.ToLower(s.Name)}
	if g.Vault != All {
		if err := model.CheckVaultName(g.Vault); err != nil {
			return nil, err
		}
	}
	if g.Name == "" {
		g.Name = All
	}
	if prefix, _ := strings.CutSuffix(g.Name, All); prefix != "" {
		if err := model.CheckName(prefix); err != nil {
			return nil, &model.FieldError{Field: "name", Detail: `want the name of an item, a prefix written "abc*", or "*"`}
		}
	}
	if s.Set != "" {
		set, ok := FindSet(s.Set)
		switch {
		case !ok:
			return nil, &model.FieldError{Field: "set", Detail: fmt.Sprintf("there is no set %q; want one of %s", s.Set, setNames())}
		case s.Kind != "" || len(s.Ops) > 0:
			return nil, &model.FieldError{Field: "set", Detail: "want either a set, or a kind and operations"}
		}
		g.Set = set.Name
		return g, nil
	}
	if g.Kind != All && !slices.Contains(model.Kinds(), g.Kind) {
		return nil, &model.FieldError{Field: "kind", Detail: `want "secrets", "keys", "certificates" or "*"`}
	}
	if len(s.Ops) == 0 {
		return nil, &model.FieldError{Field: "ops", Detail: "want at least one operation"}
	}
	for _, op := range s.Ops {
		if op != All && !slices.ContainsFunc(kindsOf(g.Kind), func(k model.Kind) bool { return slices.Contains(model.OpsOf(k), op) }) {
			return nil, &model.FieldError{Field: "ops", Detail: fmt.Sprintf("%s have no operation %q", g.kindText(), op)}
		}
	}
	if g.Ops = slices.Compact(slices.Sorted(slices.Values(s.Ops))); slices.Contains(g.Ops, All) {
		g.Ops = []model.Op{All}
	}
	return g, nil
}

func (g *Grant) kindText() string {
	if g.Kind == All {
		return "items"
	}
	return string(g.Kind)
}

// kindsOf are the kinds that a grant's kind stands for.
func kindsOf(kind model.Kind) []model.Kind {
	if kind == All {
		return model.Kinds()
	}
	return []model.Kind{kind}
}

// opsOn returns the operations of a kind that the grant allows.
func (g *Grant) opsOn(kind model.Kind) []model.Op {
	switch {
	case g.Set != "":
		set, _ := FindSet(g.Set)
		return set.Ops[kind]
	case !slices.Contains(kindsOf(g.Kind), kind):
		return nil
	case slices.Contains(g.Ops, All):
		return model.OpsOf(kind)
	}
	return g.Ops
}

// identify sets the id.
func (g *Grant) identify() {
	h := sha256.New()
	parts := []string{g.Vault, g.Set, string(g.Kind), g.Name, g.Member.key()}
	for _, op := range g.Ops {
		parts = append(parts, string(op))
	}
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	g.ID = hex.EncodeToString(h.Sum(nil)[:10])
}

// grants are all grants, by id.
var (
	grantsByMember = table.Index("member", func(g *Grant) string { return g.Member.key() })
	grants         = table.Of("perdure.vault.grants", grantsByMember)
)

// generation changes with every change of a grant. It is one row.
type generation struct {
	Number uint64 `json:"number"` // of changes so far
	// Tag is random: of two units that make the same change number one commits, and what the other saw is never taken
	// for it.
	Tag   uint64 `json:"tag"`
	Count int    `json:"count"` // of grants
}

var generations = table.Of[generation]("perdure.vault.grants.generation")

const generationKey = "generation"
