package pgidentity_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/pgidentity"
)

const life = 10 * time.Minute

// issuer gives certificates that say which one they are, by their port.
type issuer struct {
	count atomic.Int64
	err   atomic.Pointer[error]
	hold  chan struct{} // nil: nothing is held
}

func (i *issuer) Certificate(context.Context, string) (*pgidentity.Certificate, error) {
	if i.hold != nil {
		<-i.hold
	}
	n := i.count.Add(1)
	if err := i.err.Load(); err != nil {
		return nil, *err
	}
	return &pgidentity.Certificate{Role: "app", Port: int(n), NotAfter: time.Now().Add(life)}, nil
}

func (i *issuer) fail(err error) {
	if err == nil {
		i.err.Store(nil)
		return
	}
	i.err.Store(&err)
}

func TestRenewedAheadOfTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{}
		get := pgidentity.Keep("main", i, clock.System())
		want := func(port int) {
			t.Helper()
			c, err := get(t.Context())
			if err != nil || c.Port != port {
				t.Errorf("certificate %+v %v, want %d", c, err, port)
			}
			synctest.Wait() // what was begun is done
		}
		want(1)
		pass(life / 2)
		want(1)
		pass(life / 6) // two thirds: it is renewed while the old one goes on
		want(1)
		if n := i.count.Load(); n != 2 {
			t.Errorf("%d requests", n)
		}
		want(2)
		pass(life) // nobody asked: it has ended, and the next one waits
		want(3)

		gone := errors.New("gone")
		i.fail(gone)
		pass(life * 3 / 4)
		want(3) // which is good still
		want(3) // and it is not tried each time
		if n := i.count.Load(); n != 4 {
			t.Errorf("%d requests", n)
		}
		pass(time.Minute)
		want(3)
		if n := i.count.Load(); n != 5 {
			t.Errorf("%d requests", n)
		}
		pass(life)
		if _, err := get(t.Context()); !errors.Is(err, gone) {
			t.Errorf("without a good one: %v", err)
		}
		i.fail(nil)
		want(7)
	})
}

// pass lets time pass.
func pass(d time.Duration) { <-time.After(d) }

func TestOneRequestAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{hold: make(chan struct{})}
		get := pgidentity.Keep("main", i, clock.System())
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if _, err := get(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error)
		go func() {
			_, err := get(ctx)
			left <- err
		}()
		synctest.Wait()
		cancel() // who leaves takes nobody along
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		close(i.hold)
		all.Wait()
		if n := i.count.Load(); n != 1 {
			t.Errorf("%d requests", n)
		}
	})
}
