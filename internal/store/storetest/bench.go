package storetest

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/perdure/perdure/internal/store"
)

// Bench measures commits of small turns, the same for every store: each
// transaction puts one history record of 300 bytes and one state of 100 bytes,
// in groups of 1, 16, 100 and 1,000. It reports transactions per second.
func Bench(b *testing.B, open func(tb testing.TB) store.Store) {
	for _, size := range []int{1, 16, 100, 1000} {
		b.Run(fmt.Sprintf("group=%d", size), func(b *testing.B) {
			benchCommit(b, open(b), size)
		})
	}
}

func benchCommit(b *testing.B, s store.Store, size int) {
	const instances = 100_000
	history, state := make([]byte, 300), make([]byte, 100)
	for i := range history {
		history[i] = byte(i * 7) // not all zero, not random either
	}
	copy(state, history)
	group := make([]*store.Txn, size)
	n := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		for i := range group {
			n++
			instance := n * 2654435761 % instances
			t := &store.Txn{Ops: make([]store.Op, 0, 2)}
			t.Put(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64([]byte{'h'}, instance), n), history)
			t.Put(binary.BigEndian.AppendUint64([]byte{'i'}, instance), state)
			group[i] = t
		}
		verdicts, err := s.Commit(context.Background(), group)
		if err != nil {
			b.Fatal(err)
		}
		for _, v := range verdicts {
			if v != nil {
				b.Fatal(v)
			}
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "txn/s")
	b.ReportMetric(0, "ns/op")
}
