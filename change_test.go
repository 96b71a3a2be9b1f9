package perdure_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/perduretest"
	"github.com/perdure/perdure/table"
)

// audit is a row that a function makes of a change.
type audit struct {
	Kind  table.ChangeKind `json:"kind"`
	Was   string           `json:"was,omitempty"`
	Is    string           `json:"is,omitempty"`
	Times int              `json:"times"`
}

var audits = table.Of[audit]("audits")

type changeIn struct {
	Change table.Change[session] `body:""`
}

// user returns the user of a session, if there is one.
func user(s *session) string {
	if s == nil {
		return ""
	}
	return s.User
}

// changes notes the changes that a function has handled, in order.
type changes struct {
	mu    sync.Mutex
	seen  []string
	fails string // the user whose changes fail
}

// handle notes the change once its unit has committed: it may run more than once before.
func (c *changes) handle(ctx context.Context, in *changeIn) (*struct{}, error) {
	u, err := unit.From(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fails != "" && user(in.Change.New) == c.fails {
		return nil, errors.New("no")
	}
	text := fmt.Sprintf("%s %s %s>%s", in.Change.Kind, in.Change.Key, user(in.Change.Old), user(in.Change.New))
	if in.Change.Expired {
		text += " expired"
	}
	u.OnCommit(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.seen = append(c.seen, text)
	})
	return nil, nil
}

func (c *changes) fail(user string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fails = user
}

// of returns the changes of the keys that begin with a prefix.
func (c *changes) of(prefix string) (seen []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.seen {
		if strings.HasPrefix(strings.Fields(s)[1], prefix) {
			seen = append(seen, s)
		}
	}
	return seen
}

func (c *changes) want(t *testing.T, prefix string, want ...string) {
	t.Helper()
	if got := c.of(prefix); !slices.Equal(got, want) {
		t.Errorf("changes of %q:\n%s\nwant\n%s", prefix, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestOnChange(t *testing.T) {
	t.Parallel()
	c := &changes{}
	r := newWorld(t).start(perdure.OnChange(sessions, c.handle))
	r.putSession("p/1", session{User: "ada"})
	r.putSession("p/1", session{User: "bob"})
	r.unit(func(ctx context.Context) error {
		return errors.Join(sessions.Delete(ctx, "p/1"), sessions.Insert(ctx, "p/2", &session{User: "eve"}))
	})
	failed := errors.New("failed")
	err := r.Unit(t.Context(), func(ctx context.Context) error {
		return errors.Join(sessions.Put(ctx, "p/never", &session{}), failed)
	})
	if !errors.Is(err, failed) {
		t.Fatal(err)
	}
	r.advance(time.Hour)
	c.want(t, "p/", "insert p/1 >ada", "update p/1 ada>bob", "delete p/1 bob>", "insert p/2 >eve", "delete p/2 eve> expired")
}

// The change itself may be what the function takes.
func TestOnChangeWithoutBindings(t *testing.T) {
	t.Parallel()
	kinds := make(chan table.ChangeKind, 10)
	part := perdure.OnChange(sessions, func(_ context.Context, c *table.Change[session]) (*struct{}, error) {
		kinds <- c.Kind
		return nil, nil
	})
	r := newWorld(t).start(part)
	r.putSession("1", session{User: "ada"})
	r.settle()
	if kind := get(t, kinds); kind != table.Inserted {
		t.Errorf("got %q", kind)
	}
}

// Bindings may name the row; what they write commits with the change's place.
func TestBindingsOfOnChange(t *testing.T) {
	t.Parallel()
	type out struct {
		Audit *audit `bind:"audits/{row.table}-{row.kind}/{row.partition}-{row.key}"`
	}
	w := newLasting(t)
	part := perdure.OnChange(sessions, func(_ context.Context, in *struct {
		Change table.Change[session] `body:""`
	}) (*out, error) {
		return &out{&audit{Kind: in.Change.Kind, Was: user(in.Change.Old), Is: user(in.Change.New)}}, nil
	})
	r := w.start(part, audits)
	r.putSession("a b/1", session{User: "ada"})
	r.settle()
	r.stop()
	r = w.start(part, audits)
	r.putSession("a b/1", session{User: "bob"})
	r.settle()
	r.unit(func(ctx context.Context) error {
		for key, want := range map[string]audit{
			"sessions-insert/a b-1": {Kind: table.Inserted, Is: "ada"},
			"sessions-update/a b-1": {Kind: table.Updated, Was: "ada", Is: "bob"},
		} {
			partition, row, _ := strings.Cut(key, "/")
			got, err := audits.Get(ctx, table.Key{Partition: partition, Row: row}.String())
			if err != nil {
				return err
			}
			if *got != want {
				t.Errorf("%s: %+v, want %+v", key, *got, want)
			}
		}
		return nil
	})
}

// A change that is given up holds its partition; the others go on. Sent again it comes
// first.
func TestAChangeThatFailsHoldsItsPartition(t *testing.T) {
	t.Parallel()
	c := &changes{fails: "bad"}
	w := newWorld(t)
	r := w.start(perdure.OnChange(sessions, c.handle, perdure.Policy{Attempts: 2, Initial: time.Second}))
	for _, name := range []string{"good", "bad", "after"} {
		r.putSession("p/1", session{User: name})
		r.putSession("q/1", session{User: "other"})
		r.putSession("alone", session{User: name})
		r.putSession("also", session{User: "other"})
	}
	r.settle()
	c.want(t, "p/", "insert p/1 >good")
	c.want(t, "q/", "insert q/1 >other", "update q/1 other>other", "update q/1 other>other")
	c.want(t, "alone", "insert alone >good")
	c.want(t, "also", "insert also >other", "update also other>other", "update also other>other")
	r.advance(time.Second)
	get(t, w.letters)
	letter := get(t, w.letters)
	contains(t, string(letter.Event), `"kind":"update"`, `"new":{"user":"bad"}`)
	r.settle()
	c.want(t, "p/", "insert p/1 >good")
	c.fail("")
	letters, _, err := r.DeadLetters().List(t.Context(), "table/sessions", "", 10)
	if err != nil || len(letters) != 2 {
		t.Fatalf("%d dead letters, %v", len(letters), err)
	}
	for _, l := range letters {
		if err := r.DeadLetters().Resend(t.Context(), l.Function, l.ID); err != nil {
			t.Fatal(err)
		}
	}
	r.settle()
	c.want(t, "p/", "insert p/1 >good", "update p/1 good>bad", "update p/1 bad>after")
	c.want(t, "alone", "insert alone >good", "update alone good>bad", "update alone bad>after")
}

// Each expiry is one change, whether the app was running or not.
func TestExpiriesAreHandledOnceAcrossRestarts(t *testing.T) {
	t.Parallel()
	c := &changes{}
	w := newLasting(t)
	const rows = 300
	r := w.start(perdure.OnChange(sessions, c.handle))
	for i := range rows {
		r.putSession(fmt.Sprintf("p%d/%d", i%5, i), session{User: "ada", Until: noon.Add(time.Duration(i) * time.Second)})
	}
	r.advance(rows / 3 * time.Second)
	r.stop()
	w.clock.Advance(rows / 3 * time.Second)
	r = w.start(perdure.OnChange(sessions, c.handle))
	r.advance(rows / 3 * time.Second)
	r.stop()
	r = w.start(perdure.OnChange(sessions, c.handle))
	r.settle()
	times := map[string]int{}
	for _, s := range c.of("p") {
		if strings.HasSuffix(s, " expired") {
			times[strings.Fields(s)[1]]++
		}
	}
	for key, n := range times {
		if n != 1 {
			t.Errorf("row %s expired %d times", key, n)
		}
	}
	if len(times) != rows {
		t.Errorf("%d of %d rows expired", len(times), rows)
	}
}

func TestBadOnChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	handle := (&changes{}).handle
	message := w.refuse(perdure.OnChange(sessions, handle), perdure.OnChange(sessions, handle))
	contains(t, message, "table/sessions", "FunctionName")
	message = w.refuse(perdure.OnChange(sessions, func(context.Context, *struct {
		Row *audit `bind:"audits/{row.name}"`
	}) (*struct{}, error) {
		return nil, nil
	}), audits)
	contains(t, message, "row.name")
	message = w.refuse(perdure.OnChange(sessions, func(context.Context, *struct {
		Change table.Change[audit] `body:""`
	}) (*struct{}, error) {
		return nil, nil
	}))
	contains(t, message, "table/sessions", "table.Change[", "session]")
}

// Whatever commit the app crashes at, each change that was made is handled once, in the
// order of its partition, and so is each expiry.
func TestChangesAndExpiriesHappenOnceWhateverCrashes(t *testing.T) {
	t.Parallel()
	type out struct {
		Audit *audit `bind:"audits/{row.partition}"`
	}
	type in struct {
		Change table.Change[session] `body:""`
	}
	parts := func() []perdure.Part {
		return []perdure.Part{audits, perdure.OnChange(sessions, func(ctx context.Context, in *in) (*out, error) {
			a, err := audits.Get(ctx, in.Change.Key.Partition)
			if errors.Is(err, table.ErrNotFound) {
				a, err = &audit{}, nil
			}
			if err != nil {
				return nil, err
			}
			a.Times++
			a.Is += string(in.Change.Kind[:1]) + user(in.Change.New) + " "
			return &out{a}, nil
		})}
	}
	perduretest.CrashEverywhere(t, perdure.Config{}, parts, func(t *testing.T, app *perduretest.App) {
		put := func(key, user string) {
			app.Unit(func(ctx context.Context) error { return sessions.Put(ctx, key, &session{User: user}) })
		}
		put("p/1", "a")
		put("q/1", "x")
		put("p/1", "b")
		app.Advance(time.Hour)
		put("p/1", "c")
		app.Advance(time.Hour)
		app.Unit(func(ctx context.Context) error {
			for partition, want := range map[string]string{"p": "ia ub d ic d ", "q": "ix d "} {
				got, err := audits.Get(ctx, partition)
				if err != nil {
					return err
				}
				if got.Is != want {
					t.Errorf("changes of partition %s: %q, want %q", partition, got.Is, want)
				}
			}
			return nil
		})
		app.WantNoDeadLetters()
	})
}
