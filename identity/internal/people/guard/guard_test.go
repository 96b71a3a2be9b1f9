package guard_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/perdure/perdure/identity/internal/people/guard"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/internal/unit"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// runner runs units on a store of its own, whose time it has.
func runner(t *testing.T, now *time.Time) func(func(ctx context.Context) error) {
	s := memory.New(nil)
	env := &unit.Env{Snapshot: s.Snapshot, Now: func() time.Time { return *now }}
	committer := store.NewCommitter(s, store.CommitterOptions{})
	t.Cleanup(func() {
		committer.Close()
		_ = s.Close()
	})
	return func(fn func(ctx context.Context) error) {
		t.Helper()
		if err := unit.Run(context.Background(), env, committer, 1, fn); err != nil {
			t.Fatal(err)
		}
	}
}

var rule = guard.Rule{Name: "test", Free: 3, Delay: time.Minute, Max: 5 * time.Minute, Forget: time.Hour}

func TestRule(t *testing.T) {
	t.Parallel()
	now := epoch
	run := runner(t, &now)
	take := func(parts ...string) (wait time.Duration) {
		run(func(ctx context.Context) (err error) {
			wait, err = rule.Take(ctx, now, parts...)
			return err
		})
		return wait
	}
	for i := range 3 {
		if wait := take("ada", "::1"); wait != 0 {
			t.Fatalf("attempt %d waits %v", i, wait)
		}
	}
	for _, want := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 5 * time.Minute, 5 * time.Minute} {
		for range 3 { // who tries while waiting does not wait longer
			if wait := take("ada", "::1"); wait != want {
				t.Fatalf("wait of %v, want %v", wait, want)
			}
		}
		if wait := take("ada", "::2"); wait != 0 {
			t.Fatalf("another address waits %v", wait)
		}
		run(func(ctx context.Context) error { return rule.Forgive(ctx, "ada", "::2") })
		now = now.Add(want)
		if wait := take("ada", "::1"); wait != 0 {
			t.Fatalf("after waiting %v it waits another %v", want, wait)
		}
	}
	now = now.Add(time.Hour)
	for range 3 {
		if wait := take("ada", "::1"); wait != 0 {
			t.Fatalf("after the time to forget an attempt waits %v", wait)
		}
	}
}

func TestReturnAndForgive(t *testing.T) {
	t.Parallel()
	now := epoch
	run := runner(t, &now)
	run(func(ctx context.Context) error {
		for range 10 {
			if wait, err := rule.Take(ctx, now, "ada"); err != nil || wait != 0 {
				t.Fatalf("a returned attempt counts: wait %v, %v", wait, err)
			}
			if err := rule.Return(ctx, now, "ada"); err != nil {
				return err
			}
		}
		for range 3 {
			if _, err := rule.Take(ctx, now, "ada"); err != nil {
				return err
			}
		}
		if wait, err := rule.Wait(ctx, now, "ada"); err != nil || wait != time.Minute {
			t.Errorf("wait %v, %v", wait, err)
		}
		if err := rule.Forgive(ctx, "ada"); err != nil {
			return err
		}
		if wait, err := rule.Wait(ctx, now, "ada"); err != nil || wait != 0 {
			t.Errorf("forgiven, but waits %v, %v", wait, err)
		}
		return rule.Forgive(ctx, "nobody")
	})
	run(func(ctx context.Context) error {
		for range 3 {
			for _, parts := range [][]string{{"ada", "::1"}, {"ada", "::2"}, {"eve", "::1"}} {
				if _, err := rule.Take(ctx, now, parts...); err != nil {
					return err
				}
			}
		}
		return nil
	})
	run(func(ctx context.Context) error {
		if waits, err := rule.Waits(ctx, now, "ada"); !waits || err != nil {
			t.Errorf("nobody waits for ada (%v)", err)
		}
		return rule.ForgiveAll(ctx, "ada")
	})
	run(func(ctx context.Context) error {
		if waits, err := rule.Waits(ctx, now, "ada"); waits || err != nil {
			t.Errorf("forgiven, but somebody waits for ada (%v)", err)
		}
		if waits, err := rule.Waits(ctx, now, "eve"); !waits || err != nil {
			t.Errorf("with ada, eve was forgiven (%v)", err)
		}
		return nil
	})
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"192.0.2.1":              "192.0.2.1",
		"::ffff:192.0.2.1":       "192.0.2.1",
		"2001:db8:1:2:3:4:5:6":   "2001:db8:1:2::/64",
		"2001:db8:1:2::9":        "2001:db8:1:2::/64",
		"fe80::1%eth0":           "fe80::/64",
		"2001:db8:1:3:ffff::abc": "2001:db8:1:3::/64",
	} {
		if got := guard.Network(netip.MustParseAddr(in)); got != want {
			t.Errorf("network of %s: %s, want %s", in, got, want)
		}
	}
}
