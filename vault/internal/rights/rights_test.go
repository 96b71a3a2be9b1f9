package rights_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/table"
	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/rights"
	"github.com/perdure/perdure/vault/internal/vaulttest"
)

const issuer = "https://id.example.com/"

// world is rights on a store, and who there is.
type world struct {
	*vaulttest.World
	*rights.Rights
	people *people
}

// people is a directory of two people and a role.
type people struct{ roles map[string][]string }

func (p *people) Member(_ context.Context, spec string) (rights.Member, error) {
	switch spec {
	case "user:ada@example.com":
		return rights.Member{Subject: "user|ada", Display: "Ada"}, nil
	case "role:clerk":
		return rights.Member{Role: "clerk"}, nil
	}
	return rights.Member{}, fmt.Errorf("%w: %q", model.ErrNotFound, spec)
}

func (p *people) Roles(_ context.Context, subject string) ([]string, error) {
	return p.roles[subject], nil
}

func newWorld(t testing.TB) *world {
	w := &world{World: vaulttest.New(t), people: &people{roles: map[string][]string{}}}
	w.Rights = rights.New(w.Env, rights.Options{Issuer: issuer, Directory: w.people})
	return w
}

func (w *world) grant(t testing.TB, s rights.Spec) (g *rights.Grant) {
	t.Helper()
	w.Do(t, func(ctx context.Context) (err error) {
		g, _, err = w.Grant(ctx, "operator", s)
		return err
	})
	return g
}

func (w *world) revoke(t testing.TB, id string) {
	t.Helper()
	w.Do(t, func(ctx context.Context) error {
		_, err := w.Revoke(ctx, id)
		return err
	})
}

func user(subject string, roles ...string) model.Caller {
	return model.Caller{Principal: &auth.Principal{Issuer: issuer, Subject: subject, Roles: roles}}
}

func ask(op model.Op, kind model.Kind, vault, name string) *model.Operation {
	return &model.Operation{ID: model.ID{Vault: vault, Kind: kind, Name: name}, Op: op}
}

// may returns the grant by which a caller may do op; empty if not.
func (w *world) may(t testing.TB, by model.Caller, op *model.Operation) (grant string) {
	t.Helper()
	err := w.Unit(t.Context(), func(ctx context.Context) (err error) {
		grant, err = w.Decide(ctx, &by, op)
		return err
	})
	if err != nil && !errors.Is(err, model.ErrForbidden) {
		t.Fatal(err)
	}
	return grant
}

func TestDecide(t *testing.T) {
	t.Parallel()
	ada := rights.Spec{Vault: "default", Kind: model.Secrets, Ops: []model.Op{model.OpGet}, Name: "Db-Password", Member: "user:ada@example.com"}
	with := func(change func(*rights.Spec)) rights.Spec {
		s := ada
		change(&s)
		return s
	}
	prefix := with(func(s *rights.Spec) { s.Name = "App-*" })
	everywhere := with(func(s *rights.Spec) { s.Vault, s.Name, s.Kind, s.Ops = "*", "", rights.All, []model.Op{rights.All} })
	for _, c := range []struct {
		name  string
		grant rights.Spec
		by    model.Caller
		op    *model.Operation
		want  bool
	}{
		{"the name", ada, user("user|ada"), ask(model.OpGet, model.Secrets, "default", "db-password"), true},
		{"the name in other case", ada, user("user|ada"), ask(model.OpGet, model.Secrets, "default", "DB-PASSWORD"), true},
		{"another name", ada, user("user|ada"), ask(model.OpGet, model.Secrets, "default", "db-passwor"), false},
		{"a longer name", ada, user("user|ada"), ask(model.OpGet, model.Secrets, "default", "db-password2"), false},
		{"another operation", ada, user("user|ada"), ask(model.OpSet, model.Secrets, "default", "db-password"), false},
		{"another kind", ada, user("user|ada"), ask(model.OpGet, model.Keys, "default", "db-password"), false},
		{"another vault", ada, user("user|ada"), ask(model.OpGet, model.Secrets, "other", "db-password"), false},
		{"another person", ada, user("user|eve"), ask(model.OpGet, model.Secrets, "default", "db-password"), false},
		{"no name", ada, user("user|ada"), ask(model.OpGet, model.Secrets, "default", ""), false},
		{"nobody", ada, model.Caller{}, ask(model.OpGet, model.Secrets, "default", "db-password"), false},
		{"no subject", ada, user(""), ask(model.OpGet, model.Secrets, "default", "db-password"), false},
		{
			"the same subject of another issuer", ada,
			model.Caller{Principal: &auth.Principal{Issuer: "https://other/", Subject: "user|ada"}},
			ask(model.OpGet, model.Secrets, "default", "db-password"), false,
		},
		{"a prefix", prefix, user("user|ada"), ask(model.OpGet, model.Secrets, "default", "APP-x"), true},
		{"the prefix itself", prefix, user("user|ada"), ask(model.OpGet, model.Secrets, "default", "app-"), true},
		{"not the prefix", prefix, user("user|ada"), ask(model.OpGet, model.Secrets, "default", "ap"), false},
		{"a prefix is not all", prefix, user("user|ada"), ask(model.OpGet, model.Secrets, "default", ""), false},
		{"all", everywhere, user("user|ada"), ask(model.OpSign, model.Keys, "other", "x"), true},
		{"what concerns no one item", everywhere, user("user|ada"), ask(model.OpManageContacts, model.Certificates, "other", ""), true},
		{"an operation that the kind does not have", everywhere, user("user|ada"), ask(model.OpSign, model.Secrets, "default", "x"), false},
		{
			"a set", with(func(s *rights.Spec) { s.Kind, s.Ops, s.Set = "", nil, "Key Vault Secrets Officer" }),
			user("user|ada"), ask(model.OpPurge, model.Secrets, "default", "db-password"), true,
		},
		{
			"a reader gets no value", with(func(s *rights.Spec) { s.Kind, s.Ops, s.Set = "", nil, "reader" }),
			user("user|ada"), ask(model.OpGet, model.Secrets, "default", "db-password"), false,
		},
		{
			"a subject of another issuer", with(func(s *rights.Spec) { s.Member = "subject:https://other/#x#1" }),
			model.Caller{Principal: &auth.Principal{Issuer: "https://other/", Subject: "x#1"}},
			ask(model.OpGet, model.Secrets, "default", "db-password"), true,
		},
		{
			"the own issuer written out", with(func(s *rights.Spec) { s.Member = "subject:" + issuer + "#user|ada" }),
			user("user|ada"), ask(model.OpGet, model.Secrets, "default", "db-password"), true,
		},
		{
			"a role of another issuer", with(func(s *rights.Spec) { s.Member = "role:clerk" }),
			model.Caller{Principal: &auth.Principal{Issuer: "https://other/", Subject: "x", Roles: []string{"clerk"}}},
			ask(model.OpGet, model.Secrets, "default", "db-password"), false,
		},
		{
			"a role that only the token says", with(func(s *rights.Spec) { s.Member = "role:clerk" }),
			user("user|eve", "clerk"), ask(model.OpGet, model.Secrets, "default", "db-password"), false,
		},
		{
			"a role that the directory says", with(func(s *rights.Spec) { s.Member = "role:clerk" }),
			user("user|bob"), ask(model.OpGet, model.Secrets, "default", "db-password"), true,
		},
		{
			"a subject that is called like the role", with(func(s *rights.Spec) { s.Member = "role:clerk" }),
			user("clerk"), ask(model.OpGet, model.Secrets, "default", "db-password"), false,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.people.roles["user|bob"] = []string{"clerk"}
			if got := w.may(t, c.by, c.op); got != "" {
				t.Fatal("allowed before anything was granted")
			}
			g := w.grant(t, c.grant)
			if got := w.may(t, c.by, c.op); (got == g.ID) != c.want || !c.want && got != "" {
				t.Errorf("allowed by %q, want %v", got, c.want)
			}
			w.Do(t, func(ctx context.Context) error {
				e, err := w.Explain(ctx, c.by, *c.op)
				if err == nil && (e.Allowed != c.want || e.Reason == "") {
					t.Errorf("explained as %+v, want %v", e, c.want)
				}
				return err
			})
			w.revoke(t, g.ID)
			if got := w.may(t, c.by, c.op); got != "" {
				t.Error("allowed after the right was taken away")
			}
		})
	}
}

// Without a directory the roles are those of the token.
func TestRolesOfTheToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Rights = rights.New(w.Env, rights.Options{})
	g := w.grant(t, rights.Spec{Vault: "default", Set: "secrets-user", Member: "role:clerk"})
	by := model.Caller{Principal: &auth.Principal{Subject: "x", Roles: []string{"clerk"}}}
	if got := w.may(t, by, ask(model.OpGet, model.Secrets, "default", "a")); got != g.ID {
		t.Errorf("allowed by %q, want %q", got, g.ID)
	}
	by.Principal.Roles = nil
	if got := w.may(t, by, ask(model.OpGet, model.Secrets, "default", "a")); got != "" {
		t.Error("allowed without the role")
	}
}

func TestOperatorMayDoAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Do(t, func(ctx context.Context) error {
		_, err := w.Decide(ctx, &model.Operator, ask(model.OpPurge, model.Keys, "default", "x"))
		return err
	})
}

func TestVisible(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.people.roles["user|ada"] = []string{"clerk"}
	w.grant(t, rights.Spec{Vault: "default", Kind: model.Secrets, Ops: []model.Op{model.OpGet}, Name: "one", Member: "user:ada@example.com"})
	by, list := user("user|ada"), ask(model.OpList, model.Secrets, "default", "")
	see := func() string {
		t.Helper()
		var seen []string
		err := w.Unit(t.Context(), func(ctx context.Context) error {
			visible, _, err := w.Visible(ctx, &by, list)
			if err != nil {
				return err
			}
			for _, name := range []string{"one", "App-1", "app-2", "other", "last"} {
				if visible(name) {
					seen = append(seen, name)
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, model.ErrForbidden) {
			t.Fatal(err)
		} else if err != nil {
			return "forbidden"
		}
		return strings.Join(seen, " ")
	}
	steps := []struct {
		grant rights.Spec
		want  string
	}{
		{rights.Spec{Vault: "other", Kind: model.Secrets, Ops: []model.Op{model.OpList}, Member: "user:ada@example.com"}, "forbidden"},
		{rights.Spec{Vault: "default", Kind: model.Keys, Ops: []model.Op{model.OpList}, Name: "one", Member: "user:ada@example.com"}, "forbidden"},
		{rights.Spec{Vault: "default", Kind: model.Keys, Ops: []model.Op{model.OpList}, Member: "user:ada@example.com"}, "forbidden"},
		{rights.Spec{Vault: "default", Kind: model.Secrets, Ops: []model.Op{model.OpList}, Name: "app-*", Member: "user:ada@example.com"}, "App-1 app-2"},
		{rights.Spec{Vault: "*", Kind: model.Secrets, Ops: []model.Op{model.OpList}, Name: "LAST", Member: "user:ada@example.com"}, "App-1 app-2 last"},
		{rights.Spec{Vault: "default", Set: "reader", Member: "role:clerk"}, "one App-1 app-2 other last"},
	}
	if got := see(); got != "forbidden" {
		t.Errorf("with get on one name: sees %q, want forbidden", got)
	}
	for i, s := range steps {
		w.grant(t, s.grant)
		if got := see(); got != s.want {
			t.Errorf("step %d: sees %q, want %q", i, got, s.want)
		}
	}
	w.Do(t, func(ctx context.Context) error {
		visible, _, err := w.Visible(ctx, &model.Operator, list)
		if err == nil && !visible("x") {
			t.Error("the operator does not see all")
		}
		return err
	})
}

// A right that is taken away while a unit works that was allowed by it does not count any more at its commit.
func TestRevokedBeforeCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := w.grant(t, rights.Spec{Vault: "default", Set: "secrets-officer", Member: "user:ada@example.com"})
	by, op := user("user|ada"), ask(model.OpSet, model.Secrets, "default", "x")
	runs := 0
	err := w.Unit(t.Context(), func(ctx context.Context) error {
		runs++
		if _, err := w.Decide(ctx, &by, op); err != nil {
			return err
		}
		if runs == 1 {
			w.revoke(t, g.ID)
		}
		_, _, err := w.Grant(ctx, "x", rights.Spec{Vault: "default", Set: "reader", Member: "subject:new"}) // something to commit
		return err
	})
	if !errors.Is(err, model.ErrForbidden) || runs != 2 {
		t.Errorf("%v after %d runs, want a refusal at the second", err, runs)
	}
}

// Rights that a unit has given and then does not commit are nobody's.
func TestUncommittedGrantsAreNotShared(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	by, op := user("user|ada"), ask(model.OpGet, model.Secrets, "default", "x")
	failed := errors.New("failed")
	err := w.Unit(t.Context(), func(ctx context.Context) error {
		if _, _, err := w.Grant(ctx, "x", rights.Spec{Vault: "default", Set: "secrets-user", Member: "user:ada@example.com"}); err != nil {
			return err
		}
		if _, err := w.Decide(ctx, &by, op); err != nil {
			t.Errorf("the unit does not see its own grant: %v", err)
		}
		return failed
	})
	if !errors.Is(err, failed) {
		t.Fatal(err)
	}
	w.grant(t, rights.Spec{Vault: "default", Set: "crypto-user", Member: "user:ada@example.com"}) // the same number of changes
	if got := w.may(t, by, op); got != "" {
		t.Error("allowed by a grant that was never committed")
	}
}

func TestGrantTwiceIsOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := rights.Spec{Vault: "default", Kind: model.Secrets, Ops: []model.Op{model.OpList, model.OpGet}, Name: "A*", Member: "user:ada@example.com"}
	first := w.grant(t, s)
	s.Ops, s.Name = []model.Op{model.OpGet, model.OpList, model.OpGet}, "a*"
	w.Do(t, func(ctx context.Context) error {
		g, added, err := w.Grant(ctx, "operator", s)
		if err == nil && (added || g.ID != first.ID) {
			t.Errorf("granted again as %q, %v", g.ID, added)
		}
		return err
	})
}

func TestBadSpecs(t *testing.T) {
	t.Parallel()
	good := rights.Spec{Vault: "default", Kind: model.Secrets, Ops: []model.Op{model.OpGet}, Member: "subject:x"}
	for name, change := range map[string]func(*rights.Spec){
		"vault":          func(s *rights.Spec) { s.Vault = "No" },
		"no vault":       func(s *rights.Spec) { s.Vault = "" },
		"kind":           func(s *rights.Spec) { s.Kind = "coins" },
		"no operation":   func(s *rights.Spec) { s.Ops = nil },
		"operation":      func(s *rights.Spec) { s.Ops = []model.Op{model.OpSign} },
		"name":           func(s *rights.Spec) { s.Name = "a_b" },
		"star inside":    func(s *rights.Spec) { s.Name = "a*b" },
		"two stars":      func(s *rights.Spec) { s.Name = "**" },
		"set":            func(s *rights.Spec) { s.Kind, s.Ops, s.Set = "", nil, "king" },
		"set and ops":    func(s *rights.Spec) { s.Set = "reader" },
		"empty subject":  func(s *rights.Spec) { s.Member = "subject:" },
		"empty role":     func(s *rights.Spec) { s.Member = "role:https://x/#" },
		"control":        func(s *rights.Spec) { s.Member = "subject:a\nb" },
		"long subject":   func(s *rights.Spec) { s.Member = "subject:" + strings.Repeat("x", 300) },
		"no such member": func(s *rights.Spec) { s.Member = "user:bob@example.com" },
		"no such role":   func(s *rights.Spec) { s.Member = "role:king" },
		"no member":      func(s *rights.Spec) { s.Member = "" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, s := newWorld(t), good
			change(&s)
			err := w.Unit(t.Context(), func(ctx context.Context) error {
				_, _, err := w.Grant(ctx, "operator", s)
				return err
			})
			if !errors.Is(err, model.ErrInvalid) && !errors.Is(err, model.ErrNotFound) {
				t.Errorf("%v, want a refusal", err)
			}
		})
	}
}

func TestListAndForget(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 30 {
		w.grant(t, rights.Spec{Vault: "default", Set: "reader", Name: fmt.Sprintf("n%d", i), Member: "user:ada@example.com"})
	}
	w.grant(t, rights.Spec{Vault: "*", Set: "reader", Member: "subject:bob"})
	w.grant(t, rights.Spec{Vault: "other", Set: "reader", Member: "subject:bob"})
	count := func(f rights.Filter) (n int) {
		t.Helper()
		for {
			var list model.List[*rights.Grant]
			w.Do(t, func(ctx context.Context) (err error) {
				list, err = w.List(ctx, f)
				return err
			})
			n += len(list.Items)
			if f.Cursor = list.Next; f.Cursor == "" {
				return n
			}
		}
	}
	for _, c := range []struct {
		filter rights.Filter
		want   int
	}{
		{rights.Filter{}, 32},
		{rights.Filter{Page: model.Page{Max: 7}}, 32},
		{rights.Filter{Vault: "default"}, 31},
		{rights.Filter{Vault: "other"}, 2},
		{rights.Filter{Member: "user:ada@example.com"}, 30},
		{rights.Filter{Member: "subject:bob", Vault: "default"}, 1},
		{rights.Filter{Member: "subject:eve"}, 0},
	} {
		if got := count(c.filter); got != c.want {
			t.Errorf("%+v: %d grants, want %d", c.filter, got, c.want)
		}
	}
	w.Do(t, func(ctx context.Context) error {
		gone, err := w.Forget(ctx, rights.Member{Issuer: issuer, Subject: "user|ada"})
		if err == nil && len(gone) != 30 {
			t.Errorf("%d grants forgotten, want 30", len(gone))
		}
		return err
	})
	if got := w.may(t, user("user|ada"), ask(model.OpList, model.Secrets, "default", "n1")); got != "" {
		t.Error("a deleted member still has rights")
	}
	if got := count(rights.Filter{}); got != 2 {
		t.Errorf("%d grants are left, want 2", got)
	}
	err := w.Unit(t.Context(), func(ctx context.Context) error {
		_, err := w.Revoke(ctx, "no/such%")
		return err
	})
	if !errors.Is(err, model.ErrNotFound) {
		t.Errorf("revoking what is not there: %v", err)
	}
}

var deleted = table.Of[struct{}]("deleted")

// A grant that is given while the member is deleted does not outlive it, whichever commits first.
func TestGrantWhileForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	runs := 0
	w.Do(t, func(ctx context.Context) error {
		gone, err := w.Forget(ctx, rights.Member{Subject: "user|ada"})
		if err != nil {
			return err
		}
		if runs++; runs == 1 {
			w.grant(t, rights.Spec{Vault: "default", Set: "reader", Member: "user:ada@example.com"})
		} else if len(gone) != 1 {
			t.Errorf("run %d forgets %d grants", runs, len(gone))
		}
		return deleted.Put(ctx, "ada", &struct{}{}) // the deletion itself, in the same unit
	})
	if runs != 2 {
		t.Errorf("%d runs, want 2", runs)
	}
}

func TestSetsHaveOperationsOfTheirKinds(t *testing.T) {
	t.Parallel()
	for _, s := range rights.Sets() {
		for kind, ops := range s.Ops {
			known := map[model.Op]bool{}
			for _, op := range model.OpsOf(kind) {
				known[op] = true
			}
			for _, op := range ops {
				if !known[op] {
					t.Errorf("set %s: %s have no operation %q", s.Name, kind, op)
				}
			}
		}
	}
}

func TestExplainNearMisses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.grant(t, rights.Spec{Vault: "other", Kind: model.Keys, Ops: []model.Op{model.OpGet}, Name: "y", Member: "user:ada@example.com"})
	w.grant(t, rights.Spec{Vault: "default", Set: "secrets-user", Name: "x", Member: "user:ada@example.com"})
	w.Do(t, func(ctx context.Context) error {
		e, err := w.Explain(ctx, user("user|ada"), *ask(model.OpSet, model.Secrets, "default", "x"))
		if err == nil && (e.Allowed || len(e.Near) != 2 || strings.Join(e.Near[0].Misses, " ") != "operation" ||
			strings.Join(e.Near[1].Misses, " ") != "vault kind name") {
			t.Errorf("explained as %+v", e)
		}
		return err
	})
}

// What an operator writes as a member comes out as it went in, or not at all.
func FuzzParseMember(f *testing.F) {
	for _, s := range []string{"subject:x", "subject:https://a/#b#c", "role:r", "role:https://a/#r", "subject:a#b", "x", ":", "subject:://#"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		m, ok, err := rights.ParseMember(spec)
		if !ok || err != nil {
			return
		}
		if got := m.String(); got != spec && m.Issuer != "" {
			t.Fatalf("%q is read as %q", spec, got)
		}
		again, _, err := rights.ParseMember(m.String())
		if err != nil || again != m {
			t.Fatalf("%q is read as %+v, then as %+v, %v", spec, m, again, err)
		}
	})
}

func BenchmarkDecide(b *testing.B) {
	w := newWorld(b)
	w.Do(b, func(ctx context.Context) error {
		for i := range 1000 {
			if _, _, err := w.Grant(ctx, "operator", rights.Spec{Vault: "default", Set: "secrets-user", Name: fmt.Sprintf("n%d", i), Member: "user:ada@example.com"}); err != nil {
				return err
			}
		}
		return nil
	})
	by, op := user("user|ada"), ask(model.OpGet, model.Secrets, "default", "n500")
	b.ReportAllocs()
	for b.Loop() {
		if w.may(b, by, op) == "" {
			b.Fatal("refused")
		}
	}
}
