package engine

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/perdure/perdure/internal/failpoint"
	"github.com/perdure/perdure/internal/poison"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
)

// chargeDeaths charges every turn and activity that was running when the process
// last died. A charge is durable before its entry leaves the journal.
func (e *Engine) chargeDeaths(ctx context.Context) error {
	for _, kind := range []poison.Kind{poison.Turn, poison.Activity} {
		for _, entry := range e.journal.Left(kind) {
			if err := e.charge(ctx, entry); err != nil {
				return err
			}
			failpoint.Hit(failpoint.EngineCharged)
			e.journal.Ack(entry)
		}
	}
	return nil
}

func (e *Engine) charge(ctx context.Context, entry poison.Entry) error {
	var seq uint32 // of a turn: 0
	switch {
	case entry.Kind == poison.Turn && len(entry.ID) == 8:
	case entry.Kind == poison.Activity && len(entry.ID) == 12:
		seq = binary.BigEndian.Uint32(entry.ID[8:])
	default:
		return errors.New("malformed journal entry")
	}
	key := records.InstanceKey(binary.BigEndian.Uint64(entry.ID))
	snap, err := e.store.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()
	rec, err := records.GetInstance(snap, key)
	if err != nil || rec == nil || rec.State.Ended() {
		return err // its start was not durable, or it needs nothing more
	}
	task, err := records.GetTask(snap, key, seq)
	if err != nil {
		return err
	}
	if task == nil {
		task = &records.Task{}
	}
	task.Deaths++
	e.log.Warn("the process died while this ran", "instance", rec.ID, "call", seq, "deaths", task.Deaths)
	txn := &store.Txn{}
	records.PutTask(txn, key, seq, task)
	return e.commit(ctx, e.leased(txn))
}
