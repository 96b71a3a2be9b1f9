package delivery

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"

	"github.com/perdure/perdure/internal/failpoint"
	"github.com/perdure/perdure/internal/poison"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

// journalID says in the journal which delivery is running: where it is stored, and
// a hash of the function's name.
func journalID(function string, at ref) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, poison.MaxID), uint64(at.Due))
	b = append(append(b, at.Rank), at.ID[:]...)
	return binary.BigEndian.AppendUint64(b, nameHash(function))
}

func nameHash(function string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(function)) // never fails
	return h.Sum64()
}

// charge notes a process death on each delivery that was running when an earlier
// process died, and gives up those that have too many.
func (d *Dispatcher) charge(ctx context.Context) error {
	// A run that was given up for its time may have run beside the next one of
	// the same delivery: one death all the same.
	seen := map[string]bool{}
	for _, e := range d.journal.Left(poison.Delivery) {
		if !seen[string(e.ID)] {
			seen[string(e.ID)] = true
			if err := d.chargeEntry(ctx, e.ID); err != nil {
				return err
			}
		}
		failpoint.Hit(failpoint.DeliveryCharged)
		d.journal.Ack(e)
	}
	return nil
}

func (d *Dispatcher) chargeEntry(ctx context.Context, id []byte) error {
	var at ref
	if len(id) != 8+1+len(at.ID)+8 {
		return nil // not of this release
	}
	at.Due, at.Rank = int64(binary.BigEndian.Uint64(id)), id[8]
	copy(at.ID[:], id[9:])
	hash := binary.BigEndian.Uint64(id[9+len(at.ID):])
	for _, f := range d.functions {
		if nameHash(f.Name) != hash {
			continue
		}
		if err := d.chargeDelivery(ctx, f, at); err != nil {
			return err
		}
	}
	return nil
}

func (d *Dispatcher) chargeDelivery(ctx context.Context, f *function, at ref) error {
	var letter *DeadLetter
	err := unit.Run(ctx, d.env, d.committer, maxConflicts, func(ctx context.Context) error {
		letter = nil
		u, err := unit.From(ctx)
		if err != nil {
			return err
		}
		delivery, err := records.GetDelivery(u, f.Name, at)
		if err != nil || delivery == nil { // it was committed before the death
			return err
		}
		delivery.ProcessDeaths++
		now := d.clock.Now()
		if delivery.ProcessDeaths < f.policy.ProcessDeaths {
			delivery.Fail(now, "the process died while it ran")
			return records.ReplaceDelivery(u, delivery)
		}
		reason := fmt.Sprintf("the process died %d times while it ran", delivery.ProcessDeaths)
		delivery.Fail(now, reason)
		letter = &DeadLetter{Delivery: *delivery, Cause: records.ProcessDied, Reason: reason, DeadAt: now}
		return d.bury(u, f, letter)
	})
	if err == nil && letter != nil {
		d.mourn(letter)
	}
	return err
}
