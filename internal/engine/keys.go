package engine

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
)

// keys hands out what must be unique: instance numbers, arrivals, seeds, ids.
type keys struct {
	mu   sync.Mutex
	free records.InstanceKey // the next number to hand out
	end  records.InstanceKey // the end of the reserved block

	node    uint32 // tells this process from others
	arrived atomic.Uint64
}

// keyBlock is how many instance numbers are reserved at a time.
const keyBlock = 1 << 16

// next returns a new instance number.
func (k *keys) next(e *Engine) (records.InstanceKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.free == k.end {
		if err := k.reserve(e); err != nil {
			return 0, fmt.Errorf("engine: reserve instance numbers: %w", err)
		}
	}
	key := k.free
	k.free++
	return key, nil
}

// reserve makes a block of numbers ours before any of it is used. It goes past
// the committer, which may be waiting for the caller.
func (k *keys) reserve(e *Engine) error {
	for {
		snap, err := e.store.Snapshot()
		if err != nil {
			return err
		}
		from, txn, err := records.ReserveKeys(snap, keyBlock)
		snap.Close()
		if err != nil {
			return err
		}
		verdicts, err := e.store.Commit(context.Background(), []*store.Txn{txn})
		if err == nil {
			err = verdicts[0]
		}
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if errors.Is(err, store.ErrOutcomeUnknown) {
			e.fail(err)
		}
		if err != nil {
			return err
		}
		k.free, k.end = from, from+keyBlock
		return nil
	}
}

// arrival returns a new arrival, after all earlier ones of this process.
func (k *keys) arrival(now time.Time) records.Arrival {
	for {
		last := k.arrived.Load()
		next := max(uint64(now.UnixNano()), last+1)
		if k.arrived.CompareAndSwap(last, next) {
			return records.Arrival{Nanos: next, Node: k.node}
		}
	}
}

// seed returns the random seed of an instance; never 0.
func (k *keys) seed() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return binary.BigEndian.Uint64(b[:]) | 1
}

// id returns a new random instance id.
func (k *keys) id() string { return rand.Text() }
