package consumer

import (
	"context"
	"encoding/binary"

	"github.com/perdure/perdure/internal/poison"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

// charge notes a process death on each event that was being handled when an earlier
// process died. When its turn comes, it becomes a delivery: those are run alone, and
// given up after too many deaths.
func (f *Feeder) charge(ctx context.Context) error {
	for _, e := range f.Journal.Left(poison.Stream) {
		if len(e.ID) == 3*8 {
			hash := binary.BigEndian.Uint64(e.ID)
			partition, position := int(binary.BigEndian.Uint64(e.ID[8:])), binary.BigEndian.Uint64(e.ID[16:])
			for _, g := range f.groups {
				if g.hash != hash {
					continue
				}
				if err := f.chargeEvent(ctx, g, partition, position); err != nil {
					return err
				}
			}
		}
		f.Journal.Ack(e)
	}
	return nil
}

func (f *Feeder) chargeEvent(ctx context.Context, g *group, partition int, position uint64) error {
	return f.unit(ctx, func(u *unit.Unit) error {
		cursor, _, err := records.GetCursor(u, g.id, partition)
		if err != nil || position <= cursor { // it was committed, or spilled, before the death
			return err
		}
		return records.AddSuspect(u, g.id, partition, position)
	})
}
