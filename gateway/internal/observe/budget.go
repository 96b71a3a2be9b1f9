package observe

import (
	"net/netip"
	"sync/atomic"
	"time"
)

// slots is how many clients are told apart; others share.
const slots = 256

// budget bounds how many requests of a second are kept, so that a flood of refusals costs little, and a client that makes one does
// not push out what is kept of others.
type budget struct {
	whole   second
	clients [slots]second
}

// second counts in the upper bits the second, in the lower 16 what was spent in it.
type second struct{ state atomic.Uint64 }

// take reports whether there is something left.
func (b *budget) take(client netip.Addr, now time.Time, perClient, whole int) bool {
	at := uint64(now.Unix())
	return b.clients[slot(client)].take(at, uint64(perClient)) && b.whole.take(at, uint64(whole))
}

func (s *second) take(at, most uint64) bool {
	for {
		old := s.state.Load()
		spent := old & 0xffff
		if old>>16 != at {
			spent = 0
		}
		if spent >= most {
			return false
		}
		if s.state.CompareAndSwap(old, at<<16|(spent+1)) {
			return true
		}
	}
}

// slot is where a client is counted: by its address, or its network of 64 bits.
func slot(client netip.Addr) int {
	b := client.As16()
	n := b[:8]
	if client.Unmap().Is4() {
		n = b[8:]
	}
	h := uint32(2166136261) // FNV-1a
	for _, c := range n {
		h = (h ^ uint32(c)) * 16777619
	}
	return int(h % slots)
}
