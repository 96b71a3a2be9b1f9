package durable_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/perdure/perdure/durable"
	"github.com/perdure/perdure/durable/durabletest"
	"github.com/perdure/perdure/internal/unit"
)

// A row that activities read and write; its key lies in no space of the records.
var row = []byte("\x7erow")

func read(ctx context.Context) (string, error) {
	u, err := unit.From(ctx)
	if err != nil {
		return "", err
	}
	b, err := u.Get(row)
	return string(b), err
}

func write(ctx context.Context, s string) error {
	u, err := unit.From(ctx)
	if err != nil {
		return err
	}
	return u.Put(row, []byte(s))
}

// TestActivityThatReadsAndWritesIsValidated: when another changes what it read before it
// commits, it runs again, and only what it wrote then counts.
func TestActivityThatReadsAndWritesIsValidated(t *testing.T) {
	t.Parallel()
	for _, writes := range []bool{true, false} {
		var runs atomic.Int32
		var env *durabletest.Env
		env = durabletest.New(t,
			hello.Impl(func(ctx context.Context, _ string) (string, error) {
				old, err := read(ctx)
				if err != nil {
					return "", err
				}
				if runs.Add(1) == 1 { // another comes between the read and the commit
					if err := env.Unit(func(ctx context.Context) error { return write(ctx, "other") }); err != nil {
						return "", err
					}
				}
				if !writes {
					return old, nil
				}
				return old, write(ctx, old+"+mine")
			}),
			greetAll.Impl(func(ctx *durable.Context, _ []string) ([]string, error) {
				s, err := hello.Call(ctx, "")
				return []string{s}, err
			}))
		out, err := durabletest.Run(env, greetAll, nil)
		if err != nil {
			t.Fatal(err)
		}
		var now string
		if err := env.Unit(func(ctx context.Context) (err error) { now, err = read(ctx); return err }); err != nil {
			t.Fatal(err)
		}
		switch {
		case writes && (runs.Load() != 2 || out[0] != "other" || now != "other+mine"):
			t.Errorf("after %d runs it returned %q and the row is %q", runs.Load(), out, now)
		case !writes && (runs.Load() != 1 || out[0] != "" || now != "other"): // one snapshot is one moment
			t.Errorf("after %d runs a reader returned %q and the row is %q", runs.Load(), out, now)
		}
	}
}
