package table_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/table"
)

// feed returns the change feed of leases as "kind key old>new", in the order of each
// partition.
func (a *app) feed(t *testing.T) (changes []string) {
	t.Helper()
	a.run(t, func(ctx context.Context) error {
		u, err := unit.From(ctx)
		if err != nil {
			return err
		}
		for p := range records.FeedPartitions {
			err := records.ScanEvents(u, records.Partition{Stream: records.FeedStream("leases"), Number: p}, 1, func(e *records.Event) bool {
				var c table.Change[Lease]
				if err := json.Unmarshal(e.Data, &c); err != nil {
					t.Error(err)
				}
				if c.Key.Partition != "" && e.Key != c.Key.Partition || !e.Time.Equal(c.Time) {
					t.Errorf("the event %+v holds %+v", e, c)
				}
				text := fmt.Sprintf("%s %s %s>%s", c.Kind, c.Key, holder(c.Old), holder(c.New))
				if c.Expired {
					text += " expired"
				}
				changes = append(changes, text)
				return true
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return changes
}

func holder(l *Lease) string {
	if l == nil {
		return ""
	}
	return l.Holder
}

func wantFeed(t *testing.T, a *app, want ...string) {
	t.Helper()
	if got := a.feed(t); !slices.Equal(got, want) {
		t.Errorf("the feed is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestChangeFeed(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	now := epoch
	a.env.Now = func() time.Time { return now }
	a.run(t, func(ctx context.Context) error { return leases.Put(ctx, "p/before", &Lease{Holder: "nobody listens"}) })
	wantFeed(t, a)
	a.env.Feeds = map[string]bool{"leases": true}
	a.run(t, func(ctx context.Context) error {
		return errors.Join(
			leases.Insert(ctx, "p/1", &Lease{Holder: "ada"}),
			leases.Update(ctx, "p/1", func(l *Lease) error { l.Holder = "bob"; return nil }),
			leases.Put(ctx, "p/2", &Lease{Holder: "eve"}),
			files.Put(ctx, "p/other", &File{}),
		)
	})
	// What a unit did that failed is in no feed.
	failed := errors.New("failed")
	if err := a.try(func(ctx context.Context) error {
		return errors.Join(leases.Delete(ctx, "p/1"), failed)
	}); !errors.Is(err, failed) {
		t.Fatal(err)
	}
	a.run(t, func(ctx context.Context) error { return leases.Delete(ctx, "p/1") })
	now = epoch.Add(time.Minute)
	// A row that is written before the expired one was removed; each expires once.
	a.run(t, func(ctx context.Context) error { return leases.Put(ctx, "p/2", &Lease{Holder: "dan"}) })
	a.expire(t)
	a.expire(t)
	wantFeed(t, a,
		"insert p/1 >ada", "update p/1 ada>bob", "insert p/2 >eve", "delete p/1 bob>",
		"delete p/2 eve> expired", "insert p/2 >dan",
		"delete p/before nobody listens> expired")
	now = now.Add(time.Minute)
	a.expire(t)
	if got := a.feed(t); got[len(got)-1] != "delete p/2 dan> expired" || len(got) != 8 {
		t.Errorf("the feed ends with %q", got)
	}
}

// Blind writes read the row when somebody is to be told what it was.
func TestBlindWritesWithAFeed(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.env.Feeds = map[string]bool{"files": true}
	put := func(ctx context.Context) error { return files.PutBlind(ctx, "1", &File{}) }
	a.run(t, put)
	for name, blind := range map[string]func(context.Context) error{
		"put":    put,
		"delete": func(ctx context.Context) error { return files.DeleteBlind(ctx, "1") },
	} {
		err := a.try(func(ctx context.Context) error {
			if err := blind(ctx); err != nil {
				return err
			}
			a.run(t, put)
			return nil
		})
		if !errors.Is(err, unit.ErrConflict) {
			t.Errorf("%s: error %v, want a conflict", name, err)
		}
	}
	a.run(t, func(ctx context.Context) error { return files.DeleteBlind(ctx, "absent") })
}

// Changes of one partition are in one partition of the feed, in the order of commits.
func TestChangesOfAPartitionAreInOrder(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.env.Feeds = map[string]bool{"leases": true}
	for i := range 40 {
		a.run(t, func(ctx context.Context) error {
			return leases.Put(ctx, table.Key{Partition: fmt.Sprint(i % 4), Row: fmt.Sprint(i)}.String(), &Lease{})
		})
	}
	last := map[string]int{}
	for _, change := range a.feed(t) {
		var p, row int
		if _, err := fmt.Sscanf(change, "insert %d/%d", &p, &row); err != nil {
			t.Fatalf("%s: %v", change, err)
		}
		partition := fmt.Sprint(p)
		if n, ok := last[partition]; ok && row != n+4 {
			t.Errorf("row %d of partition %d comes after row %d", row, p, n)
		}
		last[partition] = row
	}
	if len(last) != 4 {
		t.Errorf("the feed has partitions %v", last)
	}
}

// A row whose data is damaged can be replaced and deleted.
func TestChangesOfDamagedRows(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	for range 2 {
		a.run(t, func(ctx context.Context) error {
			u, err := unit.From(ctx)
			if err != nil {
				return err
			}
			k := records.RowKey{Table: "leases", Partition: "p", Row: "1"}
			old, err := records.GetRow(u, k)
			if err != nil {
				return err
			}
			return records.PutRow(u, k, old, &records.Row{Data: []byte(`{"holder":`)})
		})
		a.env.Feeds = map[string]bool{"leases": true}
	}
	a.run(t, func(ctx context.Context) error { return leases.Put(ctx, "p/1", &Lease{Holder: "mended"}) })
	wantFeed(t, a, "update p/1 >", "update p/1 >mended")
}

// A change carries the trace of the unit that made it.
func TestChangesAreTraced(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.env.Feeds = map[string]bool{"leases": true}
	a.env.Trace = func(context.Context) map[string]string { return map[string]string{"traceparent": "this"} }
	a.run(t, func(ctx context.Context) error { return leases.Put(ctx, "p/1", &Lease{}) })
	a.run(t, func(ctx context.Context) error {
		u, err := unit.From(ctx)
		if err != nil {
			return err
		}
		found := 0
		for p := range records.FeedPartitions {
			err = errors.Join(err, records.ScanEvents(u, records.Partition{Stream: records.FeedStream("leases"), Number: p}, 1, func(e *records.Event) bool {
				found++
				if e.Headers["traceparent"] != "this" {
					t.Errorf("the headers are %v", e.Headers)
				}
				return true
			}))
		}
		if found != 1 {
			t.Errorf("the feed has %d events", found)
		}
		return err
	})
}
