package guard_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/internal/store/pebble"
	"github.com/perdure/perdure/table"
	"github.com/perdure/perdure/vault/internal/audit"
	"github.com/perdure/perdure/vault/internal/guard"
	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/rights"
	"github.com/perdure/perdure/vault/internal/vaulttest"
)

// things are what the tests look up and change.
var things = table.Of[thing]("things")

type thing struct{ N int }

type world struct {
	*vaulttest.World
	rights *rights.Rights
	log    *audit.Log
	guard  *guard.Guard
}

func newWorld(t testing.TB) *world { return on(vaulttest.New(t)) }

func on(v *vaulttest.World) *world {
	w := &world{World: v}
	w.rights = rights.New(w.Env, rights.Options{})
	w.log = audit.New(w.Env, audit.Options{Clock: w.Clock})
	w.guard = guard.New(w.Env, w.rights, w.log)
	return w
}

func (w *world) grant(t testing.TB, s rights.Spec) (id string) {
	t.Helper()
	w.Do(t, func(ctx context.Context) error {
		g, _, err := w.rights.Grant(ctx, "operator", s)
		if err == nil {
			id = g.ID
		}
		return err
	})
	return id
}

func (w *world) entries(t testing.TB, f audit.Filter) []audit.Entry {
	t.Helper()
	f.Oldest, f.Max = true, audit.MaxPage
	list, err := w.log.Entries(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	all := make([]audit.Entry, len(list.Items))
	for i, r := range list.Items {
		all[i] = r.Entry
	}
	return all
}

func user(subject string) model.Caller {
	return model.Caller{Principal: &auth.Principal{Subject: subject}}
}

func operation(op model.Op, name string) *model.Operation {
	return &model.Operation{ID: model.ID{Vault: "default", Kind: model.Secrets, Name: name}, Op: op}
}

func TestDo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	grant := w.grant(t, rights.Spec{Vault: "default", Set: "secrets-officer", Name: "a*", Member: "subject:ada"})
	op := operation(model.OpSet, "a1")
	err := w.guard.Do(t.Context(), user("ada"), op, func(ctx context.Context) error {
		op.Version, op.Detail = "v7", "done"
		return things.Put(ctx, "a1", &thing{})
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.guard.Do(t.Context(), model.Operator, operation(model.OpGet, "b"), func(context.Context) error { return nil }); err != nil {
		t.Fatal(err)
	}
	failed := errors.New("failed")
	if err := w.guard.Do(t.Context(), user("ada"), operation(model.OpGet, "a1"), func(context.Context) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("%v, want fn's error", err)
	}
	all := w.entries(t, audit.Filter{})
	if len(all) != 2 || all[0].Actor != "ada" || all[0].Version != "v7" || all[0].Detail != "done" || all[0].Grant != grant || all[0].Result != audit.OK ||
		!all[1].Operator || all[1].Grant != "" {
		t.Errorf("entries %+v", all)
	}
}

// Who may not learns nothing: fn does not run, and the answer is the same whether there is such a thing or not.
func TestRefusal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.grant(t, rights.Spec{Vault: "default", Kind: model.Secrets, Ops: []model.Op{model.OpGet}, Name: "mine", Member: "subject:ada"})
	w.Do(t, func(ctx context.Context) error { return things.Put(ctx, "there", &thing{}) })
	var texts []string
	for _, by := range []model.Caller{user("ada"), user("eve"), {}} {
		for _, name := range []string{"there", "gone"} {
			err := w.guard.Do(t.Context(), by, operation(model.OpGet, name), func(context.Context) error {
				t.Errorf("fn runs for %q", by.Subject())
				return nil
			})
			if !errors.Is(err, model.ErrForbidden) {
				t.Errorf("%q: %v", by.Subject(), err)
			} else if len(name) == 4 {
				texts = append(texts, err.Error())
			}
		}
	}
	if len(texts) != 3 || texts[0] != texts[1] || texts[1] != texts[2] {
		t.Errorf("refusals differ: %q", texts)
	}
	err := w.guard.Visible(t.Context(), user("ada"), operation(model.OpList, ""), func(context.Context, func(string) bool) error { return nil })
	if !errors.Is(err, model.ErrForbidden) {
		t.Errorf("list with get on one name: %v", err)
	}
	if got := w.entries(t, audit.Filter{}); len(got) != 0 {
		t.Errorf("refusals are written at once: %+v", got)
	}
	if err := w.log.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, e := range w.entries(t, audit.Filter{Result: audit.Refused}) {
		counts[e.Actor+" "+string(e.Op)] = e.Count
	}
	if want := map[string]int{"ada get": 2, "ada list": 1, "eve get": 2, " get": 2}; fmt.Sprint(counts) != fmt.Sprint(want) {
		t.Errorf("counted %v, want %v", counts, want)
	}
}

func TestVisible(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.grant(t, rights.Spec{Vault: "default", Kind: model.Secrets, Ops: []model.Op{model.OpList}, Name: "a*", Member: "subject:ada"})
	op := operation(model.OpList, "")
	err := w.guard.Visible(t.Context(), user("ada"), op, func(_ context.Context, visible func(string) bool) error {
		if !visible("A1") || visible("b") {
			t.Error("not those with the prefix")
		}
		op.Detail = "1 of 2"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if all := w.entries(t, audit.Filter{}); len(all) != 1 || all[0].Op != model.OpList || all[0].Detail != "1 of 2" {
		t.Errorf("entries %+v", all)
	}
}

// A unit that conflicts runs again: what it left in the operation the first time does not count, and it is noted once.
func TestConflict(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Do(t, func(ctx context.Context) error { return things.Put(ctx, "x", &thing{}) })
	runs, op := 0, operation(model.OpSet, "x")
	err := w.guard.Do(t.Context(), model.Operator, op, func(ctx context.Context) error {
		runs++
		if op.Version != "" {
			t.Errorf("run %d begins with version %q", runs, op.Version)
		}
		op.Version = fmt.Sprint("v", runs)
		got, err := things.Get(ctx, "x")
		if err != nil {
			return err
		}
		if runs == 1 {
			w.Do(t, func(ctx context.Context) error { return things.Put(ctx, "x", &thing{N: 5}) })
		}
		return things.Put(ctx, "x", &thing{N: got.N + 1})
	})
	all := w.entries(t, audit.Filter{})
	if err != nil || runs != 2 || len(all) != 1 || all[0].Version != "v2" {
		t.Errorf("%v, %d runs, entries %+v", err, runs, all)
	}
}

// A right that is taken away while fn runs is none at the commit: nothing is written, and the refusal is counted.
func TestRevokedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	grant := w.grant(t, rights.Spec{Vault: "default", Set: "secrets-officer", Member: "subject:ada"})
	runs := 0
	err := w.guard.Do(t.Context(), user("ada"), operation(model.OpSet, "x"), func(ctx context.Context) error {
		runs++
		w.Do(t, func(ctx context.Context) error {
			_, err := w.rights.Revoke(ctx, grant)
			return err
		})
		return things.Put(ctx, "x", &thing{})
	})
	if !errors.Is(err, model.ErrForbidden) || runs != 1 {
		t.Errorf("%v after %d runs of fn", err, runs)
	}
	w.Do(t, func(ctx context.Context) error {
		if _, err := things.Get(ctx, "x"); !errors.Is(err, table.ErrNotFound) {
			t.Errorf("written without a right: %v", err)
		}
		return nil
	})
	if err := w.log.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all := w.entries(t, audit.Filter{}); len(all) != 1 || all[0].Result != audit.Refused {
		t.Errorf("entries %+v", all)
	}
}

// Rights come and go while many ask: nobody succeeds without one, everybody who succeeds is noted once, and the chain holds.
func TestRace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	spec := rights.Spec{Vault: "default", Set: "secrets-officer", Member: "subject:ada"}
	w.grant(t, rights.Spec{Vault: "default", Set: "secrets-user", Name: "always", Member: "subject:bob"})
	if err := w.log.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	var done atomic.Int64
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for j := range 30 {
				op := operation(model.OpSet, fmt.Sprintf("n%d-%d", i, j))
				by := user("ada")
				if j%3 == 0 {
					op, by = operation(model.OpGet, "always"), user("bob")
				}
				err := w.guard.Do(context.Background(), by, op, func(ctx context.Context) error {
					// The sum that every unit changes makes them conflict.
					sum, err := things.Get(ctx, fmt.Sprint("sum", i%2))
					if errors.Is(err, table.ErrNotFound) {
						sum, err = &thing{}, nil
					}
					if err != nil {
						return err
					}
					sum.N++
					return things.Put(ctx, fmt.Sprint("sum", i%2), sum)
				})
				switch {
				case err == nil:
					done.Add(1)
				case !errors.Is(err, model.ErrForbidden) || by.Principal.Subject == "bob":
					t.Error(err)
				}
			}
		})
	}
	group.Go(func() {
		for range 20 {
			id := w.grant(t, spec)
			w.Do(t, func(ctx context.Context) error {
				_, err := w.rights.Revoke(ctx, id)
				return err
			})
		}
	})
	group.Go(func() {
		for range 20 {
			if err := w.log.Sync(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
	group.Wait()
	head, err := w.log.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	w.Do(t, func(ctx context.Context) error {
		sum = 0
		for row, err := range things.Scan(ctx, "") {
			if err != nil {
				return err
			}
			sum += row.Value.N
		}
		return nil
	})
	if n := len(w.entries(t, audit.Filter{Result: audit.OK})); int64(n) != done.Load() || n != sum {
		t.Errorf("%d entries and a sum of %d for %d that succeeded", n, sum, done.Load())
	}
	if _, err := w.log.Verify(t.Context(), head, w.log.PublicKey()); err != nil {
		t.Error(err)
	}
}

// The process ends after the commit and before the link: the store is opened again, and the chain goes on.
func TestStoreReopenedBeforeTheLink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var head *audit.Checkpoint
	seal := vaulttest.New(t).Env.Seal // the keys are the same
	for round := range 3 {
		t.Run(fmt.Sprint("round ", round), func(t *testing.T) {
			store, err := pebble.Open(dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = store.Close() })
			v := vaulttest.On(t, store)
			v.Env.Seal = seal
			w := on(v)
			if round > 0 {
				report, err := w.log.Verify(t.Context(), head, nil)
				if err != nil || report.Nodes[0].Unlinked != 5 || report.Nodes[0].Entries != uint64(10*round-5) {
					t.Fatalf("after a restart: %+v, %v", report, err)
				}
			}
			for i := range 10 {
				if i == 5 { // the rest is never linked in this round
					if head, err = w.log.Checkpoint(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				if err := w.guard.Do(t.Context(), model.Operator, operation(model.OpGet, "x"), func(context.Context) error { return nil }); err != nil {
					t.Fatal(err)
				}
			}
			if want := uint64(10*round + 5); head.Position != want {
				t.Errorf("checkpoint of position %d, want %d", head.Position, want)
			}
		})
	}
}

// A Do of nothing on disk: the read of the generation, the decision, the entry and its share of a sync. The chainer
// works beside it, as it does in an app.
func BenchmarkDo(b *testing.B) {
	store, err := pebble.Open(b.TempDir(), nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = store.Close() })
	v := vaulttest.On(b, store)
	w := &world{World: v, rights: rights.New(v.Env, rights.Options{}), log: audit.New(v.Env, audit.Options{})} // by the real clock
	w.guard = guard.New(w.Env, w.rights, w.log)
	w.grant(b, rights.Spec{Vault: "default", Set: "secrets-user", Name: "app-*", Member: "subject:ada"})
	for _, chained := range []bool{false, true} {
		b.Run(fmt.Sprintf("chained=%v", chained), func(b *testing.B) {
			if chained {
				if err := w.log.Start(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			const goroutines = 64
			var left atomic.Int64
			left.Store(int64(b.N))
			var group sync.WaitGroup
			b.ResetTimer()
			for range goroutines {
				group.Go(func() {
					for left.Add(-1) >= 0 {
						err := w.guard.Do(context.Background(), user("ada"), operation(model.OpGet, "app-x"), func(context.Context) error { return nil })
						if err != nil {
							b.Error(err)
						}
					}
				})
			}
			group.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
			b.StopTimer()
			if chained {
				status, err := w.log.Status(context.Background())
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(status.Unlinked), "unlinked")
			}
			if err := w.log.Stop(context.Background()); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// What the chainer does with an entry, on disk.
func BenchmarkLink(b *testing.B) {
	store, err := pebble.Open(b.TempDir(), nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = store.Close() })
	w := on(vaulttest.On(b, store))
	if err := w.log.Open(b.Context()); err != nil {
		b.Fatal(err)
	}
	by := user("ada")
	for left := b.N; left > 0; left -= 1000 {
		w.Do(b, func(ctx context.Context) error {
			for range min(left, 1000) {
				if err := w.log.Append(ctx, w.log.Entry(&by, operation(model.OpGet, "app-x"))); err != nil {
					return err
				}
			}
			return nil
		})
	}
	b.ResetTimer()
	if err := w.log.Sync(context.Background()); err != nil {
		b.Fatal(err)
	}
}
