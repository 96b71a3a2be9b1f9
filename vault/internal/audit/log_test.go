package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/vault/internal/audit"
	"github.com/perdure/perdure/vault/internal/model"
)

func TestEntry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	by := user("ada")
	by.Principal.ClientID = "app1"
	by.Agent = "a\nb\u2028c\u0000" + strings.Repeat("x", 500)
	op := operation(model.OpGet, "Db")
	op.Detail = "<&>"
	w.note(t, by, op)
	operator := model.Operator
	operator.Principal = by.Principal // nothing of it counts
	w.note(t, operator, operation(model.OpPurge, "Db"))
	foreign := user("x")
	foreign.Principal.Issuer = "https://other/"
	w.note(t, foreign, operation(model.OpGet, "Db"))
	all := w.all(t, audit.Filter{})
	if len(all) != 3 {
		t.Fatalf("%d entries, want 3", len(all))
	}
	agent := all[0].Agent
	all[0].Agent = ""
	want := audit.Entry{
		Actor: "ada", Client: "app1", Detail: "<&>", Display: "Name of ada", IP: "192.0.2.1", Kind: model.Secrets, Name: "Db",
		Node: w.Node(), Op: model.OpGet, Position: 1, Request: "r1", Result: audit.OK, Time: w.Now(), Vault: "default", Version: "v1",
	}
	if fmt.Sprint(all[0]) != fmt.Sprint(want) {
		t.Errorf("entry %+v, want %+v", all[0], want)
	}
	if !strings.HasPrefix(agent, "a b c x") || len(agent) > 200 {
		t.Errorf("agent %q", agent)
	}
	if e := all[1]; e.Actor != "operator" || !e.Operator || e.Display != "" || e.Position != 2 {
		t.Errorf("the operator's entry is %+v", e)
	}
	if all[2].Issuer != "https://other/" {
		t.Errorf("the issuer is %q", all[2].Issuer)
	}
}

// What encoding/json makes of an entry is what RFC 8785 wants: members in order, no spaces, nothing escaped that need not be.
func TestCanonicalIsRFC8785(t *testing.T) {
	t.Parallel()
	e := audit.Entry{
		Actor: "ä\"\\/", Agent: "<b>&", Client: "c", Count: 3, Detail: "d", Display: "e", Grant: "g", IP: "::1", Issuer: "i", Kind: "secrets", Name: "n",
		Names: []string{"x", "y"}, Node: "00", Op: "get", Operator: true, Position: 7, Request: "r", Result: "ok",
		Time: time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC), Vault: "v", Version: "w",
	}
	got, err := e.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any // encoding/json writes maps in the order of their keys
	decoder := json.NewDecoder(bytes.NewReader(got))
	decoder.UseNumber()
	if err := decoder.Decode(&members); err != nil {
		t.Fatal(err)
	}
	if len(members) != 21 {
		t.Errorf("%d members: a new one belongs into this test", len(members))
	}
	var want bytes.Buffer
	encoder := json.NewEncoder(&want)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(members); err != nil {
		t.Fatal(err)
	}
	if string(got)+"\n" != want.String() {
		t.Errorf("canonical\n%s, want\n%s", got, &want)
	}
}

// The process ends between an entry's commit and its link: the chain goes on where it was.
func TestChainGoesOnAfterTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.noteMany(t, 3)
	kept := w.head(t)
	w.noteMany(t, 2) // committed, never linked
	node, key := w.Node(), w.PublicKey()
	w.reopen(t)
	if w.Node() != node || !w.PublicKey().Equal(key) {
		t.Error("node or key are others after a restart")
	}
	w.noteMany(t, 1)
	w.sync(t)
	report, err := w.Verify(t.Context(), kept, key)
	if err != nil {
		t.Fatal(err)
	}
	if r := report.Nodes[0]; r.Entries != 6 || r.Last != 6 || r.Unlinked != 0 {
		t.Errorf("report %+v, want 6 entries", r)
	}
	w.Do(t, func(ctx context.Context) error {
		n, err := audit.Inbox(ctx, node)
		if n != 0 {
			t.Errorf("%d entries are left in the inbox", n)
		}
		return err
	})
}

// Two chainers of one node, as after a restart that came too soon, make one chain.
func TestTwoChainers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := audit.New(w.Env, w.options)
	w.noteMany(t, 20)
	done := make(chan error, 2)
	for _, l := range []*audit.Log{w.Log, other} {
		go func() {
			var errs error
			for range 20 {
				errs = errors.Join(errs, l.Sync(context.Background()))
				errs = errors.Join(errs, w.Unit(context.Background(), func(ctx context.Context) error {
					by := user("ada")
					return l.Append(ctx, l.Entry(&by, operation(model.OpGet, "x")))
				}))
			}
			done <- errs
		}()
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	report, err := w.Verify(t.Context(), w.head(t), w.PublicKey())
	if err != nil || report.Nodes[0].Entries != 60 {
		t.Errorf("%+v, %v, want 60 entries", report, err)
	}
}

func TestNodesHaveChainsOfTheirOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := audit.New(w.Env, audit.Options{Node: "second/node", Clock: w.Clock})
	if err := other.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.noteMany(t, 3)
	w.Do(t, func(ctx context.Context) error {
		by := user("bob")
		return other.Append(ctx, other.Entry(&by, operation(model.OpGet, "n1")))
	})
	kept, err := other.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := w.all(t, audit.Filter{Vault: "default", Kind: model.Secrets, Name: "n1"}); len(got) != 2 {
		t.Errorf("%d entries of the item over all nodes, want 2", len(got))
	}
	report, err := w.Verify(t.Context(), kept, w.PublicKey())
	if err != nil || len(report.Nodes) != 2 {
		t.Fatalf("%+v, %v, want two nodes", report, err)
	}
}

// An entry that cannot be read does not stop the chain, and stays in the log.
func TestDamagedEntry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.noteMany(t, 1)
	w.Do(t, func(ctx context.Context) error {
		large := []byte(`{"actor":"` + strings.Repeat("x", 2<<20) + `"}`)
		return errors.Join(audit.AppendRaw(ctx, w.Node(), []byte("{")), audit.AppendRaw(ctx, w.Node(), large))
	})
	w.noteMany(t, 1)
	all := w.all(t, audit.Filter{})
	if len(all) != 4 || all[1].Result != "damaged" || all[1].Position != 2 || all[2].Result != "damaged" || all[2].Actor != "" {
		t.Errorf("entries %+v", all)
	}
	if _, err := w.Verify(t.Context(), w.head(t), w.PublicKey()); err != nil {
		t.Error(err)
	}
}

// An entry commits with its unit, or not at all.
func TestAppendIsOfTheUnit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	failed := errors.New("failed")
	err := w.Unit(t.Context(), func(ctx context.Context) error {
		by := user("ada")
		return errors.Join(w.Append(ctx, w.Entry(&by, operation(model.OpGet, "x"))), failed)
	})
	if !errors.Is(err, failed) {
		t.Fatal(err)
	}
	if got := w.all(t, audit.Filter{}); len(got) != 0 {
		t.Errorf("%+v were written by a unit that failed", got)
	}
	if err := w.Append(t.Context(), &audit.Entry{}); err == nil {
		t.Error("appended without a unit")
	}
}

func TestQueries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var halfTime time.Time
	for i := range 20 {
		if i == 10 {
			halfTime = w.Now()
		}
		subject := []string{"ada", "bob"}[i%2]
		w.note(t, user(subject), operation([]model.Op{model.OpGet, model.OpSet}[i%4/2], fmt.Sprintf("Item%d", i%5)))
		w.Clock.Advance(time.Second)
	}
	for _, c := range []struct {
		name   string
		filter audit.Filter
		want   int
	}{
		{"all", audit.Filter{}, 20},
		{"item", audit.Filter{Vault: "default", Kind: model.Secrets, Name: "item1"}, 4},
		{"item of another vault", audit.Filter{Vault: "other", Kind: model.Secrets, Name: "item1"}, 0},
		{"item of another kind", audit.Filter{Vault: "default", Kind: model.Keys, Name: "item1"}, 0},
		{"item since", audit.Filter{Vault: "default", Kind: model.Secrets, Name: "ITEM1", From: halfTime}, 2},
		{"item until", audit.Filter{Vault: "default", Kind: model.Secrets, Name: "ITEM1", To: halfTime}, 2},
		{"item and actor", audit.Filter{Vault: "default", Kind: model.Secrets, Name: "ITEM1", Actor: "bob"}, 2},
		{"a name in any kind", audit.Filter{Name: "item1"}, 4},
		{"actor", audit.Filter{Actor: "ada"}, 10},
		{"the beginning of an actor", audit.Filter{Actor: "ad"}, 0},
		{"actor since", audit.Filter{Actor: "ada", From: halfTime}, 5},
		{"since", audit.Filter{From: halfTime}, 10},
		{"until", audit.Filter{To: halfTime}, 10},
		{"operations", audit.Filter{Ops: []model.Op{model.OpSet}}, 10},
		{"refused", audit.Filter{Result: audit.Refused}, 0},
		{"node", audit.Filter{Node: w.Node()}, 20},
		{"another node", audit.Filter{Node: "x"}, 0},
	} {
		for _, size := range []int{0, 3} {
			f := c.filter
			f.Max = size
			got := w.all(t, f)
			if len(got) != c.want {
				t.Errorf("%s, pages of %d: %d entries, want %d", c.name, size, len(got), c.want)
			}
			for i := 1; i < len(got); i++ {
				if got[i].Position <= got[i-1].Position {
					t.Errorf("%s: not in order", c.name)
				}
			}
		}
	}
	list, err := w.Entries(t.Context(), audit.Filter{Actor: "bob", Page: model.Page{Max: 1}})
	if err != nil || len(list.Items) != 1 || list.Items[0].Entry.Position != 20 || list.Next == "" {
		t.Errorf("the newest first: %+v, %v", list, err)
	}
	if _, err := w.Entries(t.Context(), audit.Filter{Page: model.Page{Cursor: "x!"}}); !errors.Is(err, model.ErrInvalid) {
		t.Errorf("a bad cursor: %v", err)
	}
}

func TestUses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.note(t, user("old"), operation(model.OpGet, "db"))
	w.Clock.Advance(time.Hour)
	since := w.Now()
	w.note(t, user("ada"), operation(model.OpGet, "DB"))
	w.Clock.Advance(time.Second)
	w.note(t, user("bob"), operation(model.OpGet, "db"))
	w.note(t, user("bob"), operation(model.OpSet, "db"))
	w.note(t, user("eve"), operation(model.OpGet, "db2"))
	uses, err := w.Uses(t.Context(), model.ID{Vault: "default", Kind: model.Secrets, Name: "db"}, since)
	if err != nil || len(uses) != 2 || uses[0].Actor != "bob" || uses[0].Ops[model.OpGet] != 1 || uses[0].Ops[model.OpSet] != 1 ||
		uses[1].Actor != "ada" || !uses[1].First.Equal(since) {
		t.Errorf("%+v, %v", uses, err)
	}
	uses, err = w.Uses(t.Context(), model.ID{Vault: "default", Kind: model.Secrets, Name: "db"}, since, model.OpSet)
	if err != nil || len(uses) != 1 || uses[0].Actor != "bob" {
		t.Errorf("who has set it: %+v, %v", uses, err)
	}
}

// Whoever has the lines of an export can compute the chain by what they say alone.
func TestExport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.note(t, user("<ada&>"), operation(model.OpGet, "x"))
	w.noteMany(t, audit.MaxPage+5)
	var b bytes.Buffer
	if err := w.Export(t.Context(), &b, audit.Filter{}); err != nil {
		t.Fatal(err)
	}
	hash, n := audit.FirstHash(w.Node()), 0
	for line := range strings.Lines(b.String()) {
		var r struct {
			Entry json.RawMessage
			Hash  audit.Hash
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if hash = sum(hash, r.Entry); hash != r.Hash {
			t.Fatalf("line %d does not fit: %s", n+1, line)
		}
		n++
	}
	if n != audit.MaxPage+6 || hash != w.head(t).Hash {
		t.Errorf("%d lines, and the end is %v", n, hash)
	}
}
