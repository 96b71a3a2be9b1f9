package records

import (
	"errors"
	"fmt"

	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/tuple"
)

// ListDeliveries visits the deliveries of a function as they are stored, those to be
// handled now first, then those that wait, until visit returns false. It begins after
// cursor (nil: with the first); the cursor that visit gets stands for the place of its
// delivery.
func ListDeliveries(s Scanner, function string, cursor []byte, visit func(d *Delivery, cursor []byte) bool) error {
	goOn := true
	for _, space := range []byte{spaceDelivery, spaceRetry} {
		if len(cursor) > 0 && cursor[0] > space {
			continue
		}
		prefix := functionKey(space, function)
		r := store.Range{Start: prefix, End: tuple.After(prefix)}
		if len(cursor) > 0 && cursor[0] == space {
			r = seek(r, nil, cursor)
		}
		var failed error
		err := s.Scan(r, func(it store.Item) bool {
			tail, due := it.Key[len(prefix):], int64(0)
			if space == spaceRetry {
				t := tuple.Decode(tail)
				due, tail = t.Int64(), t.Rest()
			}
			at, ok := decodeRef(due, tail)
			if !ok {
				failed = errors.New("records: malformed key of a delivery")
				return false
			}
			var d *Delivery
			if d, failed = decodeDelivery(function, at, append([]byte(nil), it.Value...)); failed != nil {
				return false
			}
			goOn = visit(d, append([]byte(nil), it.Key...))
			return goOn
		})
		if err := errors.Join(err, failed); err != nil || !goOn {
			return err
		}
	}
	return nil
}

// PurgeDeliveries removes up to limit deliveries of a function, those to be handled now
// first, and returns how many it removed. It conflicts with whoever handles one of them.
func PurgeDeliveries(u Unit, function string, limit int) (n int, err error) {
	var doomed []*Delivery
	err = ListDeliveries(u, function, nil, func(d *Delivery, _ []byte) bool {
		doomed = append(doomed, d)
		return len(doomed) < limit
	})
	for _, d := range doomed {
		if err != nil {
			break
		}
		if err = u.Validate(deliveryKey(function, d.Ref())); err == nil {
			err = DeleteDelivery(u, d)
		}
	}
	if err != nil {
		return 0, fmt.Errorf("purge function %q: %w", function, err)
	}
	return len(doomed), nil
}
