package observe

import (
	"net/netip"
	"testing"
	"time"
)

// A flood of one client leaves room for others, and a flood of all is bounded.
func TestBudget(t *testing.T) {
	t.Parallel()
	const clientBudget, wholeBudget = 20, 500
	var b budget
	now := time.Unix(1_700_000_000, 0)
	taken := func(client string, times int) (n int) {
		for range times {
			if b.take(netip.MustParseAddr(client), now, clientBudget, wholeBudget) {
				n++
			}
		}
		return n
	}
	if n := taken("192.0.2.1", 1000); n != clientBudget {
		t.Errorf("of a flood %d are kept", n)
	}
	if n := taken("192.0.2.2", 1); n != 1 {
		t.Error("another client is not kept")
	}
	if n := taken("2001:db8::1", 1000) + taken("2001:db8::2", 1000); n != clientBudget {
		t.Errorf("of a network %d are kept", n)
	}
	whole := 0
	for i := range 200 {
		whole += taken(netip.AddrFrom4([4]byte{10, 0, byte(i), 1}).String(), 100)
	}
	if whole > wholeBudget {
		t.Errorf("of all %d are kept", whole)
	}
	now = now.Add(time.Second)
	if n := taken("192.0.2.1", 1000); n != clientBudget {
		t.Errorf("in the next second %d", n)
	}
}
