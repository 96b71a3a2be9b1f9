package storetest

import (
	"strings"
	"time"

	"github.com/perdure/perdure/internal/store"
)

var leaseCases = []testCase{
	{name: "lease/one-holder", run: leaseOneHolder},
	{name: "lease/expires", run: leaseExpires},
	{name: "lease/renewed", run: leaseRenewed},
	{name: "lease/released", run: leaseReleased},
	{name: "lease/same-owner-fences-itself", run: leaseSameOwner},
	{name: "lease/stale-epoch-cannot-commit", run: leaseStaleEpoch},
	{name: "lease/names-are-independent", run: leaseNames},
	{name: "lease/malformed", run: leaseMalformed},
	{name: "lease/epochs-survive-reopening", needs: Caps{Durable: true}, run: leaseReopen},
}

const ttl = time.Minute

// acquire takes a lease that has to be free.
func (e *env) acquire(name, owner string) uint64 {
	e.Helper()
	epoch, err := e.AcquireLease(e.Context(), name, owner, ttl)
	if err != nil {
		e.Fatalf("AcquireLease %q for %q: %v", name, owner, err)
	}
	if epoch == 0 {
		e.Fatalf("AcquireLease %q for %q: epoch 0", name, owner)
	}
	return epoch
}

// under commits a transaction under a lease and returns the verdict.
func (e *env) under(name string, epoch uint64) error {
	e.Helper()
	return e.verdict(func(t *store.Txn) {
		t.Lease = store.Lease{Name: name, Epoch: epoch}
		t.Add([]byte("commits"), 1)
	})
}

func leaseOneHolder(e *env) {
	epoch := e.acquire("p", "a")
	_, err := e.AcquireLease(e.Context(), "p", "b", ttl)
	e.is("a second owner", err, store.ErrLeaseHeld)
	e.clock.Advance(ttl - 1)
	_, err = e.AcquireLease(e.Context(), "p", "b", ttl)
	e.is("just before the end", err, store.ErrLeaseHeld)
	e.is("the holder's commit", e.under("p", epoch), nil)
}

func leaseExpires(e *env) {
	first := e.acquire("p", "a")
	e.clock.Advance(ttl)
	e.is("commit after the end", e.under("p", first), store.ErrLeaseLost)
	e.is("renewal after the end", e.RenewLease(e.Context(), "p", first, ttl), store.ErrLeaseLost)
	second := e.acquire("p", "b")
	if second <= first {
		e.Errorf("epoch %d after %d", second, first)
	}
	e.is("the old holder", e.under("p", first), store.ErrLeaseLost)
	e.is("the new holder", e.under("p", second), nil)
	e.is("renewal by the old holder", e.RenewLease(e.Context(), "p", first, ttl), store.ErrLeaseLost)
	e.is("release by the old holder", e.ReleaseLease(e.Context(), "p", first), nil)
	e.is("the new holder goes on", e.under("p", second), nil)
	if got := e.counter("commits"); got != 2 {
		e.Errorf("%d commits counted, want 2", got)
	}
}

func leaseRenewed(e *env) {
	epoch := e.acquire("p", "a")
	for range 3 {
		e.clock.Advance(ttl - 1)
		e.is("renewal", e.RenewLease(e.Context(), "p", epoch, ttl), nil)
	}
	e.is("commit", e.under("p", epoch), nil)
	// A renewal counts from now: it can shorten, too.
	e.is("renewal", e.RenewLease(e.Context(), "p", epoch, time.Second), nil)
	e.clock.Advance(time.Second)
	e.is("after the short renewal", e.under("p", epoch), store.ErrLeaseLost)
	e.is("renewal of a lease nobody took", e.RenewLease(e.Context(), "q", 1, ttl), store.ErrLeaseLost)
}

func leaseReleased(e *env) {
	first := e.acquire("p", "a")
	e.is("release", e.ReleaseLease(e.Context(), "p", first), nil)
	e.is("commit after the release", e.under("p", first), store.ErrLeaseLost)
	e.is("renewal after the release", e.RenewLease(e.Context(), "p", first, ttl), store.ErrLeaseLost)
	e.is("second release", e.ReleaseLease(e.Context(), "p", first), nil)
	if second := e.acquire("p", "b"); second <= first {
		e.Errorf("epoch %d after %d", second, first)
	}
	e.is("release of a lease nobody took", e.ReleaseLease(e.Context(), "q", 7), nil)
}

func leaseSameOwner(e *env) {
	first := e.acquire("p", "a")
	second := e.acquire("p", "a")
	if second <= first {
		e.Errorf("epoch %d after %d", second, first)
	}
	e.is("the earlier epoch", e.under("p", first), store.ErrLeaseLost)
	e.is("the later epoch", e.under("p", second), nil)
}

func leaseStaleEpoch(e *env) {
	epoch := e.acquire("p", "a")
	e.is("epoch 0", e.under("p", 0), store.ErrLeaseLost)
	e.is("an epoch to come", e.under("p", epoch+1), store.ErrLeaseLost)
	e.is("a name nobody took", e.under("q", epoch), store.ErrLeaseLost)
	e.is("the epoch", e.under("p", epoch), nil)
	if got := e.counter("commits"); got != 1 {
		e.Errorf("%d commits counted, want 1", got)
	}
	// Without operations the lease counts just as well.
	e.is("a stale check", e.verdict(func(t *store.Txn) { t.Lease = store.Lease{Name: "p", Epoch: epoch + 1} }), store.ErrLeaseLost)
}

func leaseNames(e *env) {
	a, b := e.acquire("a", "me"), e.acquire("b", "you")
	e.is("release", e.ReleaseLease(e.Context(), "a", a), nil)
	e.is("the other lease", e.under("b", b), nil)
	e.acquire("a", "you")
}

func leaseMalformed(e *env) {
	long := strings.Repeat("x", store.MaxNameSize+1)
	for _, c := range []struct {
		what, name, owner string
		ttl               time.Duration
	}{
		{"no name", "", "me", ttl},
		{"long name", long, "me", ttl},
		{"no owner", "p", "", ttl},
		{"long owner", "p", long, ttl},
		{"no time", "p", "me", 0},
		{"negative time", "p", "me", -ttl},
	} {
		_, err := e.AcquireLease(e.Context(), c.name, c.owner, c.ttl)
		e.is(c.what, err, store.ErrMalformed)
	}
	epoch := e.acquire(long[:store.MaxNameSize], long[:store.MaxNameSize])
	e.is("commit under the longest name", e.under(long[:store.MaxNameSize], epoch), nil)
	e.is("renewal without time", e.RenewLease(e.Context(), long[:store.MaxNameSize], epoch, 0), store.ErrMalformed)
}

func leaseReopen(e *env) {
	last := e.acquire("p", "a")
	other := e.acquire("q", "a")
	for range 3 {
		e.reopen()
		epoch := e.acquire("p", "a")
		if epoch <= last {
			e.Errorf("epoch %d after %d", epoch, last)
		}
		e.is("the epoch before", e.under("p", last), store.ErrLeaseLost)
		e.is("the epoch", e.under("p", epoch), nil)
		last = epoch
	}
	if again := e.acquire("q", "a"); again <= other {
		e.Errorf("epoch %d after %d", again, other)
	}
}
