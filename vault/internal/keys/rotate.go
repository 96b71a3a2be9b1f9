package keys

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/perdure/perdure/table"
	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/jwa"
	"github.com/perdure/perdure/vault/internal/model"
)

// Notice says that a key's current version ends, as its rotation policy asks.
type Notice struct {
	model.ID
	Expires time.Time
}

// Rotate makes a new version of a key, of the same type, size and curve, for the same, with the same tags, and with the expiry
// of the rotation policy if there is one. The right is model.OpRotate. ErrDisabled: the current version is; one that has expired can be
// rotated.
func (s *Service) Rotate(ctx context.Context, by model.Caller, id model.ID) (*model.Key, error) {
	return s.rotate(ctx, by, id, false)
}

// errNotDue ends a rotation that somebody else has made.
var errNotDue = errors.New("vault: the key is not due for rotation")

// rotate is Rotate; due asks for it only while the key's policy does.
func (s *Service) rotate(ctx context.Context, by model.Caller, id model.ID, due bool) (out *model.Key, err error) {
	id.Version = ""
	err = s.withNewKey(ctx, func(fresh func(jwa.Spec) (*jwa.Key, error)) error {
		return s.do(ctx, by, model.OpRotate, id, func(ctx context.Context, id model.ID, o *model.Operation) error {
			if due {
				row, err := schedules.Get(ctx, scheduleKey(id))
				if errors.Is(err, table.ErrNotFound) || err == nil && !past(row.RotateAt, s.env.Now()) {
					return errNotDue
				}
				if err != nil {
					return err
				}
				o.Detail = "by its rotation policy"
			}
			next, k, isHSM, ops, err := s.successor(ctx, id, fresh)
			if err != nil {
				return err
			}
			if err := s.add(ctx, next, k, isHSM, ops); err != nil {
				return err
			}
			o.ID = next.ID
			out, err = keyOf(next)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// successor returns what the next version of a key is made of.
func (s *Service) successor(ctx context.Context, id model.ID, fresh func(jwa.Spec) (*jwa.Key, error)) (next *items.Version, k *jwa.Key, isHSM bool, ops []string, err error) {
	item, err := s.store.Item(ctx, id)
	if err != nil {
		return nil, nil, false, nil, err
	}
	v, err := s.store.Get(ctx, id)
	if err != nil {
		return nil, nil, false, nil, err
	}
	switch {
	case v.Managed:
		return nil, nil, false, nil, managed(id)
	case !v.Enabled: // or who may only rotate could enable it
		return nil, nil, false, nil, fmt.Errorf("%q: %w", v.ID.String(), model.ErrDisabled)
	}
	_, does, err := readPolicy(id, item.Policy)
	if err != nil {
		return nil, nil, false, nil, err
	}
	p, err := publicOf(v)
	if err != nil {
		return nil, nil, false, nil, err
	}
	if k, err = fresh(p.spec()); err != nil {
		return nil, nil, false, nil, err
	}
	next = &items.Version{ID: id, Tags: v.Tags, Attributes: model.Attributes{Enabled: true, Expires: does.expires(s.env.Now())}}
	return next, k, strings.HasSuffix(p.Type, hsm), p.Ops, nil
}

func past(at int64, now time.Time) bool { return at != 0 && at <= now.Unix() }

// policyCaller is who rotates by a policy, in the audit log: the vault itself, as its operator has set it up.
var policyCaller = model.Caller{Operator: true, Agent: "rotation policy"}

const (
	// maxDue bounds how many keys RotateDue reads at once.
	maxDue = 20
	// retryAfter is when what has failed is tried again.
	retryAfter = time.Hour
)

// RotateDue does what rotation policies ask for by now, some keys at a time, until nothing is left or ctx ends. It opens its own
// units, one for each action. What fails for a key is tried again an hour later and does not keep the others from theirs; the
// error has all that failed.
func (s *Service) RotateDue(ctx context.Context) error {
	now := s.env.Now()
	var failed []error
	for more := true; more; {
		var due []table.Row[scheduled]
		err := s.env.Unit(ctx, func(ctx context.Context) (err error) {
			due, more, err = dueBy(ctx, now)
			return err
		})
		if err != nil {
			return errors.Join(append(failed, err)...)
		}
		for _, row := range due {
			id := model.ID{Vault: row.Key.Partition, Kind: model.Keys, Name: row.Value.Name}
			err := s.runDue(ctx, id, row.Value, now)
			if err == nil {
				continue
			}
			if ctx.Err() != nil { // the key is not to blame
				return errors.Join(append(failed, ctx.Err())...)
			}
			failed = append(failed, fmt.Errorf("rotation policy of %q: %w", id.String(), err))
			// When not even this can be written the next batch would be the same one.
			if err := s.postpone(ctx, id, now); err != nil {
				return errors.Join(append(failed, err)...)
			}
		}
	}
	return errors.Join(failed...)
}

// dueBy returns some keys for which there is something to do, and whether there are more.
func dueBy(ctx context.Context, now time.Time) (due []table.Row[scheduled], more bool, err error) {
	for row, err := range schedules.ScanIndex(ctx, scheduledByTime.Between(1, now.Unix()+1), table.Limit(maxDue+1)) {
		if err != nil {
			return nil, false, err
		}
		due = append(due, row)
	}
	if len(due) > maxDue {
		return due[:maxDue], true, nil
	}
	return due, false, nil
}

// runDue does what is due for one key. A notice of a version that is about to be replaced is not given.
func (s *Service) runDue(ctx context.Context, id model.ID, row *scheduled, now time.Time) error {
	if past(row.RotateAt, now) {
		k, err := s.rotate(ctx, policyCaller, id, true)
		if errors.Is(err, errNotDue) {
			return nil
		}
		if err == nil && s.log != nil {
			s.log.InfoContext(ctx, "a key was rotated by its policy", "key", k.ID.String())
		}
		return err
	}
	return s.env.Unit(ctx, func(ctx context.Context) error { return s.giveNotice(ctx, id, now) })
}

func (s *Service) giveNotice(ctx context.Context, id model.ID, now time.Time) error {
	row, err := schedules.Get(ctx, scheduleKey(id))
	if errors.Is(err, table.ErrNotFound) || err == nil && !past(row.NotifyAt, now) {
		return nil
	}
	if err != nil {
		return err
	}
	v, err := s.store.Get(ctx, id)
	if err != nil {
		return err
	}
	row.NotifyAt, row.RetryAt = 0, 0
	row.Notified = &noticeMark{v.Version, unix(v.Expires)}
	if err := schedules.Put(ctx, scheduleKey(id), row); err != nil {
		return err
	}
	if s.notify == nil {
		return nil
	}
	return s.notify(ctx, Notice{ID: v.ID, Expires: v.Expires})
}

// postpone lets other keys go first when something has failed for one.
func (s *Service) postpone(ctx context.Context, id model.ID, now time.Time) error {
	return s.env.Unit(ctx, func(ctx context.Context) error {
		row, err := schedules.Get(ctx, scheduleKey(id))
		if errors.Is(err, table.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		row.RetryAt = now.Add(retryAfter).Unix()
		return schedules.Put(ctx, scheduleKey(id), row)
	})
}
