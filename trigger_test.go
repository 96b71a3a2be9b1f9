package perdure_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/blob"
	"github.com/perdure/perdure/durable"
)

func TestPattern(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		pattern, name string
		want          map[string]string // nil: no match
	}{
		{"{id}", "a", map[string]string{"id": "a"}},
		{"{id}", "a b.txt", map[string]string{"id": "a b.txt"}},
		{"{id}", "a\nb", map[string]string{"id": "a\nb"}},
		{"{id}", "ü", map[string]string{"id": "ü"}},
		{"{id}", "a/b", nil},
		{"{id}", "", nil},
		{"raw/{id}.json", "raw/x.json", map[string]string{"id": "x"}},
		{"raw/{id}.json", "raw/x.json.json", map[string]string{"id": "x.json"}},
		{"raw/{id}.json", "raw/xyjson", nil},
		{"raw/{id}.json", "raw/.json", nil},
		{"raw/{id}.json", "araw/x.json", nil},
		{"raw/{id}.json", "raw/x.jsonl", nil},
		{"raw/{id}.json", "raw/x/y.json", nil},
		{"{a}-{b}", "1-2", map[string]string{"a": "1", "b": "2"}},
		{"{a}-{b}", "1-2-3", map[string]string{"a": "1-2", "b": "3"}},
		{"{a}-{b}", "-2", nil},
		{"{a}{b}", "xyz", map[string]string{"a": "xy", "b": "z"}},
		{"{rest...}", "a/b/c", map[string]string{"rest": "a/b/c"}},
		{"{rest...}", "a\nb", map[string]string{"rest": "a\nb"}},
		{"in/{rest...}", "in/a", map[string]string{"rest": "a"}},
		{"in/{rest...}", "in/", nil},
		{"{year}/{rest...}", "2026/a/b", map[string]string{"year": "2026", "rest": "a/b"}},
		{"a.b+c*(d)[e]^$|\\", "a.b+c*(d)[e]^$|\\", map[string]string{}},
		{"a.b", "axb", nil},
		{"a|b", "a", nil},
		{"fixed", "fixed", map[string]string{}},
		{"fixed", "Fixed", nil},
	} {
		got, _, err := perdure.MatchPattern(test.pattern, test.name)
		if err != nil || (got == nil) != (test.want == nil) || !maps.Equal(got, test.want) {
			t.Errorf("%q on %q: %v, %v, want %v", test.pattern, test.name, got, err, test.want)
		}
	}
}

func TestBadPattern(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]string{
		"":                "relative path",
		"/a":              "relative path",
		"a/":              "relative path",
		"a//b":            "relative path",
		"./a":             "relative path",
		"../a":            "relative path",
		"{":               "brace",
		"a}":              "brace",
		"{}":              "brace",
		"{1a}":            "brace",
		"{a b}":           "brace",
		"{{a}}":           "brace",
		"{a..}":           "brace",
		"{a}/{a}":         "twice",
		"{rest...}/x":     "at the end",
		"{rest...}{more}": "at the end",
	} {
		if _, _, err := perdure.MatchPattern(pattern, "x"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error with %q", pattern, err, want)
		}
	}
}

// What a pattern is filled with is what it finds, as long as nothing is ambiguous.
func FuzzPattern(f *testing.F) {
	f.Add("raw/", ".json", "id", "rest", "x", "a/b")
	f.Add("(", "[.]*", "a", "b", "ü", "..")
	f.Fuzz(func(t *testing.T, before, after, name, rest, value, tail string) {
		pattern := before + "{" + name + "}" + after + "/{" + rest + "...}"
		blob := before + value + after + "/" + tail
		got, names, err := perdure.MatchPattern(pattern, blob)
		if err != nil {
			return // it must not panic
		}
		if len(names) < 2 || slices.Index(names, name) < 0 || slices.Index(names, rest) < 0 {
			t.Fatalf("pattern %q has the names %q", pattern, names)
		}
		if strings.ContainsAny(before+after+value, "{}/") || value == "" || tail == "" {
			return
		}
		if got == nil || got[name]+after+"/"+got[rest] != value+after+"/"+tail {
			t.Fatalf("pattern %q on %q: %q", pattern, blob, got)
		}
	})
}

type fileIn struct {
	ID      string     `path:"id"`
	Event   blob.Event `body:""`
	Content string     `bind:"files/{id}"`
}

type fileOut struct {
	Item *item `bind:"items/{id}"`
}

func TestBlobTriggersFunction(t *testing.T) {
	t.Parallel()
	got := make(chan fileIn, 10)
	r := newWorld(t).start(items, documents, perdure.OnBlob(documents, "{id}", func(_ context.Context, in *fileIn) (*fileOut, error) {
		got <- *in
		return &fileOut{&item{Count: len(in.Content)}}, nil
	}))
	r.write("one", "12345")
	r.write("folder/two", "does not match")
	r.settle()
	in := get(t, got)
	if in.ID != "one" || in.Content != "12345" || in.Event.Name != "one" || in.Event.Container != "files" || in.Event.Size != 5 || !in.Event.Time.Equal(noon) {
		t.Errorf("got %+v", in)
	}
	if n := r.item("one").Count; n != 5 {
		t.Errorf("count %d, want 5", n)
	}
	if len(got) != 0 {
		t.Errorf("it ran again: %+v", <-got)
	}
	r.write("one", "1234567") // each write is an event
	r.settle()
	if n := r.item("one").Count; n != 7 {
		t.Errorf("count %d after the second write, want 7", n)
	}
}

// A unit that does not commit triggers nothing.
func TestDiscardedBlobTriggersNothing(t *testing.T) {
	t.Parallel()
	var runs atomic.Int64
	r := newWorld(t).start(items, documents, perdure.OnBlob(documents, "{id}", func(context.Context, *empty) (*empty, error) {
		runs.Add(1)
		return nil, nil
	}))
	cause := errors.New("no")
	err := r.Unit(t.Context(), func(ctx context.Context) error {
		_, err := documents.Write(ctx, "n", strings.NewReader("bytes"))
		return errors.Join(err, cause)
	})
	r.settle()
	if !errors.Is(err, cause) || runs.Load() != 0 {
		t.Errorf("%v, %d runs", err, runs.Load())
	}
}

// What a failing run wrote, to every kind of resource, did not happen; what the run that
// succeeds writes happens once.
func TestWritesAreAllOrNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	waits := durable.NewEvent[string]("go")
	var runs atomic.Int64
	var r *running
	derived := 0
	r = w.start(items, documents,
		process.Impl(func(ctx *durable.Context, in string) (string, error) { return waits.Wait(ctx) }),
		perdure.OnBlob(documents, "derived/{id}", func(context.Context, *empty) (*empty, error) {
			derived++
			return nil, nil
		}),
		perdure.OnBlob(documents, "{id}", func(ctx context.Context, in *struct {
			ID string `path:"id"`
		}) (*empty, error) {
			run := runs.Add(1)
			_, blobErr := documents.Write(ctx, "derived/"+in.ID, strings.NewReader("derived"))
			rowErr := items.Put(ctx, in.ID, &item{Count: int(run)})
			deleteErr := items.Delete(ctx, "before")
			_, startErr := process.Start(ctx, "in", durable.ID(in.ID))
			raiseErr := waits.Raise(ctx, in.ID, fmt.Sprint("run ", run))
			err := errors.Join(blobErr, rowErr, deleteErr, startErr, raiseErr)
			if err == nil && run < 3 {
				err = errors.New("fails after its last write")
			}
			return nil, err
		}, perdure.Policy{Initial: time.Minute, Multiplier: 1}))
	r.unit(func(ctx context.Context) error { return items.Put(ctx, "before", &item{Count: 1}) })
	r.write("a", "bytes")
	for want := int64(1); want <= 2; want++ {
		r.settle()
		if got := runs.Load(); got != want {
			t.Fatalf("%d runs, want %d", got, want)
		}
		if r.item("a").Count != 0 || r.item("before").Count != 1 || derived != 0 {
			t.Error("a failed run wrote something")
		}
		r.unit(func(ctx context.Context) error {
			if _, err := documents.Stat(ctx, "derived/a"); !errors.Is(err, perdure.ErrNotFound) {
				t.Errorf("blob of a failed run: %v", err)
			}
			return nil
		})
		if _, err := r.Durable().Get(t.Context(), "a"); !errors.Is(err, durable.ErrNotFound) {
			t.Errorf("instance of a failed run: %v", err)
		}
		w.clock.Advance(time.Minute)
	}
	r.settle()
	if r.item("a").Count != 3 || r.item("before").Count != 0 || derived != 1 {
		t.Errorf("the third run wrote %+v and triggered %d runs", r.item("a"), derived)
	}
	if out, err := process.WaitWith(t.Context(), r.Durable(), "a"); out != "run 3" || err != nil {
		t.Errorf("the instance got %q, %v", out, err)
	}
	if len(w.letters) != 0 {
		t.Errorf("dead letter %+v", <-w.letters)
	}
}

// A row that is absent when the event comes may be there at the next attempt.
func TestAbsentRowIsTriedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var runs atomic.Int64
	r := w.start(items, documents, perdure.OnBlob(documents, "{id}", func(_ context.Context, in *byID) (*empty, error) {
		runs.Add(1)
		if in.Item.Count != 1 {
			t.Errorf("got %+v", in.Item)
		}
		return nil, nil
	}))
	r.write("a", "bytes")
	r.settle()
	if runs.Load() != 0 {
		t.Error("the function ran without its row")
	}
	r.unit(func(ctx context.Context) error { return items.Put(ctx, "a", &item{Count: 1}) })
	r.advance(time.Second)
	if runs.Load() != 1 {
		t.Errorf("%d runs, want 1", runs.Load())
	}
}

// Of two functions on one blob each gets its event; the failure of one is not the other's.
func TestTwoFunctionsOnOneBlob(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	put := func(key string) func(context.Context, *empty) (*empty, error) {
		return func(ctx context.Context, _ *empty) (*empty, error) { return nil, items.Put(ctx, key, &item{Count: 1}) }
	}
	r := w.start(items, documents,
		perdure.OnBlob(documents, "{id}", put("by id")),
		perdure.OnBlob(documents, "{rest...}", put("by rest")),
		perdure.OnBlob(documents, "{x}", func(context.Context, *empty) (*empty, error) {
			return nil, perdure.Permanent(errors.New("no"))
		}))
	r.write("a", "bytes")
	r.settle()
	if r.item("by id").Count != 1 || r.item("by rest").Count != 1 {
		t.Error("a function has not run")
	}
	if l := get(t, w.letters); l.Function != "blob/files/{x}" {
		t.Errorf("dead letter of %s", l.Function)
	}
}

// The bytes of a trigger's blob can be streamed.
func TestTriggerReadsStream(t *testing.T) {
	t.Parallel()
	got := make(chan string, 1)
	r := newWorld(t).start(documents, perdure.OnBlob(documents, "{id}", func(_ context.Context, in *struct {
		Content *blob.Reader `bind:"files/{id}"`
		Info    blob.Info    `bind:"files/{blob.name}"`
	}) (*empty, error) {
		defer in.Content.Close()
		b, err := io.ReadAll(in.Content)
		got <- fmt.Sprint(string(b), in.Info.Size)
		return nil, err
	}))
	r.write("a", "bytes")
	if s := get(t, got); s != "bytes5" {
		t.Errorf("got %q", s)
	}
}
