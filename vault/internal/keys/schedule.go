package keys

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/perdure/perdure/table"
	"github.com/perdure/perdure/vault/internal/model"
)

// scheduled says when a rotation policy has something to do. There is a row for each key of which that will ever be so: it is
// written in the units that change the key, so that it never differs.
type scheduled struct {
	Name     string `json:"name"`                // as the item has it
	RotateAt int64  `json:"rotate_at,omitempty"` // Unix time; 0 for never
	NotifyAt int64  `json:"notify_at,omitempty"`
	// Notified is what the last notice was about, so that no change of the key repeats it.
	Notified *noticeMark `json:"notified,omitempty"`
	// RetryAt is when to try again what has failed; 0 if nothing has.
	RetryAt int64 `json:"retry_at,omitempty"`
}

// noticeMark names a notice.
type noticeMark struct {
	Version string `json:"version"`
	Expires int64  `json:"expires"`
}

// next is when there is something to do; 0 for never.
func (r *scheduled) next() int64 {
	at := r.RotateAt
	if at == 0 || r.NotifyAt != 0 && r.NotifyAt < at {
		at = r.NotifyAt
	}
	if at == 0 {
		return 0
	}
	return max(at, r.RetryAt)
}

var scheduledByTime = table.Index("next", (*scheduled).next)

// schedules are by vault (partition) and lower-case name (row).
var schedules = table.Of("perdure.vault.rotations", scheduledByTime)

func scheduleKey(id model.ID) string {
	return table.Key{Partition: id.Vault, Row: strings.ToLower(id.Name)}.String()
}

// schedule brings the row of a key to what its policy and its current version say. It is called in each unit that changes one
// of these.
func (s *Service) schedule(ctx context.Context, id model.ID) error {
	id.Version = ""
	item, err := s.store.Item(ctx, id)
	if err != nil {
		return err
	}
	_, does, err := readPolicy(id, item.Policy)
	if err != nil {
		return err
	}
	if does == nil {
		return unschedule(ctx, id)
	}
	v, err := s.store.Get(ctx, id)
	if err != nil {
		return err
	}
	rotate, notify := does.due(&v.Attributes)
	row, err := schedules.Get(ctx, scheduleKey(id))
	switch {
	case errors.Is(err, table.ErrNotFound):
		row = &scheduled{}
	case err != nil:
		return err
	}
	row.Name, row.RotateAt, row.NotifyAt, row.RetryAt = item.Name, unix(rotate), unix(notify), 0
	if row.Notified != nil && *row.Notified == (noticeMark{v.Version, unix(v.Expires)}) {
		row.NotifyAt = 0
	}
	return schedules.Put(ctx, scheduleKey(id), row)
}

// unschedule takes the row of a key away, if there is one.
func unschedule(ctx context.Context, id model.ID) error {
	err := schedules.Delete(ctx, scheduleKey(id))
	if errors.Is(err, table.ErrNotFound) {
		return nil
	}
	return err
}

// unix is 0 for the zero time.
func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}
