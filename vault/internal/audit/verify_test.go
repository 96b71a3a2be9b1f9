package audit_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/vault/internal/audit"
	"github.com/perdure/perdure/vault/internal/model"
)

// rewrite makes all links from a position on anew, and the end fit, as somebody would who can write to the store.
func rewrite(ctx context.Context, node string, from, to uint64) error {
	hash := audit.FirstHash(node)
	for p := uint64(1); p <= to; p++ {
		r, err := audit.GetRecord(ctx, node, p)
		if err != nil {
			return err
		}
		if p >= from {
			if r.Hash, err = hash.Next(&r.Entry); err != nil {
				return err
			}
			if err := audit.PutRecord(ctx, node, p, r); err != nil {
				return err
			}
		}
		hash = r.Hash
	}
	return audit.PutHead(ctx, node, to, hash)
}

func TestVerifyFindsTampering(t *testing.T) {
	t.Parallel()
	const last = 10
	edit := func(position uint64, change func(*audit.Record)) func(context.Context, string) error {
		return func(ctx context.Context, node string) error {
			r, err := audit.GetRecord(ctx, node, position)
			if err != nil {
				return err
			}
			change(r)
			return audit.PutRecord(ctx, node, position, r)
		}
	}
	swap := func(keepPositions bool) func(context.Context, string) error {
		return func(ctx context.Context, node string) error {
			a, err := audit.GetRecord(ctx, node, 4)
			if err != nil {
				return err
			}
			b, err := audit.GetRecord(ctx, node, 5)
			if err != nil {
				return err
			}
			if keepPositions {
				a.Entry.Position, b.Entry.Position = 5, 4
			}
			return errors.Join(audit.PutRecord(ctx, node, 5, a), audit.PutRecord(ctx, node, 4, b))
		}
	}
	for _, c := range []struct {
		name   string
		tamper func(ctx context.Context, node string) error
		want   uint64 // the position that is named; 0 for none
		// hidden: without the checkpoint that was kept outside it cannot be seen.
		hidden bool
	}{
		{"nothing", func(context.Context, string) error { return nil }, 0, false},
		{"actor changed", edit(3, func(r *audit.Record) { r.Entry.Actor = "eve" }), 3, false},
		{"name changed", edit(3, func(r *audit.Record) { r.Entry.Name = "other" }), 3, false},
		{"time changed", edit(3, func(r *audit.Record) { r.Entry.Time = r.Entry.Time.Add(1) }), 3, false},
		{"link changed", edit(3, func(r *audit.Record) { r.Hash[0]++ }), 3, false},
		{"first changed", edit(1, func(r *audit.Record) { r.Entry.Op = model.OpList }), 1, false},
		{"last changed", edit(last, func(r *audit.Record) { r.Entry.Detail = "x" }), last, false},
		{"changed, and its link fits", func(ctx context.Context, node string) error {
			before, err := audit.GetRecord(ctx, node, 2)
			if err != nil {
				return err
			}
			return edit(3, func(r *audit.Record) {
				r.Entry.Actor = "eve"
				r.Hash, _ = before.Hash.Next(&r.Entry)
			})(ctx, node)
		}, 4, false},
		{"changed, and all links fit", func(ctx context.Context, node string) error {
			return errors.Join(edit(3, func(r *audit.Record) { r.Entry.Actor = "eve" })(ctx, node), rewrite(ctx, node, 3, last))
		}, last, true},
		{"missing", func(ctx context.Context, node string) error { return audit.DeleteRecord(ctx, node, 6) }, 6, false},
		{"first missing", func(ctx context.Context, node string) error { return audit.DeleteRecord(ctx, node, 1) }, 1, false},
		{"missing, and what follows moved up", func(ctx context.Context, node string) error {
			for p := uint64(6); p < last; p++ {
				r, err := audit.GetRecord(ctx, node, p+1)
				if err != nil {
					return err
				}
				r.Entry.Position = p
				if err := audit.PutRecord(ctx, node, p, r); err != nil {
					return err
				}
			}
			return errors.Join(audit.DeleteRecord(ctx, node, last), rewrite(ctx, node, 6, last-1))
		}, last, false}, // the count of the stream is left
		{"reordered", swap(false), 4, false},
		{"reordered, positions fit", swap(true), 4, false},
		{"reordered, all links fit", func(ctx context.Context, node string) error {
			return errors.Join(swap(true)(ctx, node), rewrite(ctx, node, 4, last))
		}, last, true},
		{"shorter", func(ctx context.Context, node string) error { return audit.DeleteRecord(ctx, node, last) }, last, false},
		{"shorter, and the end fits", func(ctx context.Context, node string) error {
			return errors.Join(audit.DeleteRecord(ctx, node, last), rewrite(ctx, node, last, last-1))
		}, last, false},
		{"shorter, then longer again", func(ctx context.Context, node string) error {
			r, err := audit.GetRecord(ctx, node, last-1)
			if err != nil {
				return err
			}
			r.Entry.Position = last
			return errors.Join(audit.PutRecord(ctx, node, last, r), rewrite(ctx, node, last, last))
		}, last, true},
		{"hidden from all indexes", func(ctx context.Context, node string) error {
			return audit.HideFromIndexes(ctx, node, 7, func([]records.IndexEntry) []records.IndexEntry { return nil })
		}, 7, false},
		{"hidden from one index", func(ctx context.Context, node string) error {
			return audit.HideFromIndexes(ctx, node, last, func(all []records.IndexEntry) []records.IndexEntry { return all[:2] })
		}, last, false},
		{"moved in an index", func(ctx context.Context, node string) error {
			return audit.HideFromIndexes(ctx, node, 4, func(all []records.IndexEntry) []records.IndexEntry {
				all[0].Value = bytes.Replace(all[0].Value, []byte("n4"), []byte("n9"), 1)
				return all
			})
		}, 4, false},
		{"end changed", func(ctx context.Context, node string) error {
			return audit.PutHead(ctx, node, last, audit.FirstHash(node))
		}, last, false},
		{"end forgotten", func(ctx context.Context, node string) error {
			return audit.PutHead(ctx, node, 0, audit.FirstHash(node))
		}, 1, false},
		{"added at the end", func(ctx context.Context, node string) error {
			r, err := audit.GetRecord(ctx, node, last)
			if err != nil {
				return err
			}
			r.Entry.Position = last + 1
			r.Hash, _ = r.Hash.Next(&r.Entry)
			return audit.PutRecord(ctx, node, last+1, r)
		}, last + 1, false},
		{"the same entry in another place", func(ctx context.Context, node string) error {
			r, err := audit.GetRecord(ctx, node, 5)
			if err != nil {
				return err
			}
			return audit.PutRecord(ctx, node, 7, r)
		}, 7, false},
		{"beginning removed without a right", func(ctx context.Context, node string) error {
			r, err := audit.GetRecord(ctx, node, 1)
			if err != nil {
				return err
			}
			c := &audit.Checkpoint{Kind: "begin", Node: node, Position: 1, Hash: r.Hash, Time: r.Entry.Time, Signature: make([]byte, 64)}
			return errors.Join(audit.DeleteRecord(ctx, node, 1), audit.PutBegin(ctx, node, c))
		}, 1, false},
		{"everything removed", func(ctx context.Context, node string) error {
			for p := uint64(1); p <= last; p++ {
				if err := audit.DeleteRecord(ctx, node, p); err != nil {
					return err
				}
			}
			return audit.PutHead(ctx, node, 0, audit.FirstHash(node))
		}, 1, false}, // the count of the stream is left
		{"the node forgotten", func(ctx context.Context, _ string) error { return audit.DeleteNode(ctx) }, 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.noteMany(t, last)
			kept, key := w.head(t), w.PublicKey()
			w.Do(t, func(ctx context.Context) error { return c.tamper(ctx, kept.Node) })
			check := func(what string, want uint64, head *audit.Checkpoint) {
				t.Helper()
				report, err := w.Verify(t.Context(), head, key)
				var tampered *audit.TamperError
				switch {
				case want == 0 && err != nil:
					t.Errorf("%s: %v, want no error", what, err)
				case want == 0 && head != nil && (len(report.Nodes) != 1 || report.Nodes[0].Entries != last || report.Nodes[0].Head != last):
					t.Errorf("%s: %+v", what, report)
				case want > 0 && (!errors.As(err, &tampered) || !errors.Is(err, audit.ErrTampered)):
					t.Errorf("%s: %v, want a fault at position %d", what, err, want)
				case want > 0 && tampered.Position != want:
					t.Errorf("%s: %v, want position %d", what, err, want)
				}
			}
			check("with the checkpoint", c.want, kept)
			if c.hidden {
				check("without the checkpoint", 0, nil)
			} else {
				check("without the checkpoint", c.want, nil)
			}
		})
	}
}

// Who has checkpoints cannot make one of them the beginning of the log, and what stands before a true beginning is found.
func TestVerifyTheBeginning(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *audit.Options) { o.Retention = time.Hour })
	w.noteMany(t, 3)
	early := *w.head(t)
	w.noteMany(t, 3)
	late := w.head(t)
	var third *audit.Record
	w.Do(t, func(ctx context.Context) (err error) {
		third, err = audit.GetRecord(ctx, w.Node(), 3)
		return err
	})
	fault := func(what string, want uint64) {
		t.Helper()
		var tampered *audit.TamperError
		if _, err := w.Verify(t.Context(), late, w.PublicKey()); !errors.As(err, &tampered) || tampered.Position != want {
			t.Errorf("%s: %v, want a fault at position %d", what, err, want)
		}
	}
	// All that is older is removed as it should be, and then one of them stands there again.
	w.Clock.Advance(2 * time.Hour)
	w.noteMany(t, 1)
	late = w.head(t)
	if err := w.Retire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Verify(t.Context(), late, w.PublicKey()); err != nil {
		t.Fatal(err)
	}
	w.Do(t, func(ctx context.Context) error { return audit.PutRecord(ctx, w.Node(), 3, third) })
	fault("an entry from before", 3)
	w.Do(t, func(ctx context.Context) error {
		return errors.Join(audit.DeleteRecord(ctx, w.Node(), 3), audit.PutBegin(ctx, w.Node(), &early))
	})
	fault("a checkpoint as the beginning", 3)
	w.Do(t, func(ctx context.Context) error {
		early.Kind = "begin"
		return audit.PutBegin(ctx, w.Node(), &early)
	})
	fault("a checkpoint that was made a beginning", 3)
}

// Retention moves the beginning past what was verified so far.
func TestVerifyWhileTheBeginningMoves(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *audit.Options) { o.Retention = time.Hour })
	n := audit.VerifyPage + 500
	add := func(n int) {
		w.Do(t, func(ctx context.Context) error {
			by := user("bob")
			for range n {
				if err := w.Append(ctx, w.Entry(&by, operation(model.OpGet, "x"))); err != nil {
					return err
				}
			}
			return nil
		})
	}
	add(n)
	w.Clock.Advance(2 * time.Hour)
	add(10)
	kept := w.head(t)
	unit, pages := w.Env.Unit, 0
	w.Env.Unit = func(ctx context.Context, fn func(context.Context) error) error {
		err := unit(ctx, fn)
		if pages++; pages == 2 { // the nodes, then the first page
			w.Env.Unit = unit
			if err := w.Retire(t.Context()); err != nil {
				t.Error(err)
			}
		}
		return err
	}
	report, err := w.Verify(t.Context(), kept, w.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	if r := report.Nodes[0]; r.Entries != audit.VerifyPage+10 || r.Last != uint64(n)+10 || r.Head != kept.Position {
		t.Errorf("report %+v", r)
	}
}

// A checkpoint that somebody made, or that is not of a log's end, proves nothing.
func TestVerifyWantsASignedHead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.noteMany(t, 3)
	kept := w.head(t)
	other, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(c *audit.Checkpoint){
		"position":  func(c *audit.Checkpoint) { c.Position = 2 },
		"hash":      func(c *audit.Checkpoint) { c.Hash[3]++ },
		"time":      func(c *audit.Checkpoint) { c.Time = c.Time.Add(time.Second) },
		"node":      func(c *audit.Checkpoint) { c.Node = "00" },
		"signature": func(c *audit.Checkpoint) { c.Signature = make([]byte, 64) },
		"kind":      func(c *audit.Checkpoint) { c.Kind = "begin" },
		"nothing":   func(c *audit.Checkpoint) { c.Signature = nil },
	} {
		c := *kept
		change(&c)
		if _, err := w.Verify(t.Context(), &c, w.PublicKey()); err == nil {
			t.Errorf("%s changed: no error", name)
		}
	}
	if _, err := w.Verify(t.Context(), kept, other); !errors.Is(err, audit.ErrTampered) {
		t.Errorf("another key: %v", err)
	}
	if _, err := w.Verify(t.Context(), kept, nil); err != nil {
		t.Errorf("with the store's own key: %v", err)
	}
}

// The log goes on after a checkpoint; the checkpoint still holds, and what comes later hangs together.
func TestVerifyAnOldHeadOfALongLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.noteMany(t, 5)
	kept := w.head(t)
	n := audit.VerifyPage + audit.LinkBatch
	w.Do(t, func(ctx context.Context) error {
		by := user("bob")
		for range n {
			if err := w.Append(ctx, w.Entry(&by, operation(model.OpGet, "x"))); err != nil {
				return err
			}
		}
		return nil
	})
	w.sync(t)
	w.note(t, user("ada"), operation(model.OpGet, "y")) // not linked yet
	report, err := w.Verify(t.Context(), kept, w.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	if r := report.Nodes[0]; r.Head != 5 || r.Entries != uint64(n)+5 || r.Unlinked != 1 {
		t.Errorf("report %+v", r)
	}
	// What is taken away before it is linked is missing as well.
	w.Do(t, func(ctx context.Context) error { return audit.DropInbox(ctx, kept.Node, uint64(n)+7) })
	var tampered *audit.TamperError
	if _, err := w.Verify(t.Context(), kept, w.PublicKey()); !errors.As(err, &tampered) || tampered.Position != uint64(n)+6 {
		t.Errorf("after an entry was taken out of the inbox: %v", err)
	}
}
