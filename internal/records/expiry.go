package records

import (
	"fmt"
	"time"

	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/tuple"
)

// Live returns the row, nil when there is none or it has expired at now.
func (r *Row) Live(now time.Time) *Row {
	if r == nil || !r.Expires.IsZero() && !r.Expires.After(now) {
		return nil
	}
	return r
}

func expiryKey(at time.Time, k RowKey) []byte {
	key := tuple.AppendTime(append(make([]byte, 0, 64), spaceExpiry), at)
	return tuple.AppendString(tuple.AppendString(tuple.AppendString(key, k.Table), k.Partition), k.Row)
}

// moveExpiry makes the index of expiries follow old becoming row.
func moveExpiry(u Unit, k RowKey, old, row *Row) error {
	var was, is time.Time
	if old != nil {
		was = old.Expires
	}
	if row != nil {
		is = row.Expires
	}
	if was.Equal(is) {
		return nil
	}
	if !was.IsZero() {
		if err := u.Delete(expiryKey(was, k)); err != nil {
			return err
		}
	}
	if is.IsZero() {
		return nil
	}
	u.RowExpires(is)
	return u.Put(expiryKey(is, k), nil)
}

// expireBytes bounds the data of the rows that ExpireRows removes in one unit,
// roughly.
const expireBytes = 4 << 20

// ExpireRows removes up to limit rows that have expired at now, first due first, and
// reports whether there may be more. It stops early when the rows are large.
func ExpireRows(u Unit, now time.Time, limit int) (more bool, err error) {
	start := []byte{spaceExpiry}
	end := tuple.After(tuple.AppendTime([]byte{spaceExpiry}, now))
	var failed error
	rows, size := 0, 0
	err = u.Scan(store.Range{Start: start, End: end}, func(it store.Item) bool {
		n := 0
		n, failed = expireRow(u, it.Key)
		rows++
		size += n
		more = rows >= limit || size >= expireBytes
		return failed == nil && !more
	})
	if err != nil {
		return false, err
	}
	return more, failed
}

// expireRow removes the row that an entry of the index of expiries names, and returns
// the size of its data.
func expireRow(u Unit, key []byte) (size int, err error) {
	at, k, err := decodeExpiry(key)
	if err != nil {
		return 0, err
	}
	row, err := GetRow(u, k)
	if err != nil {
		return 0, fmt.Errorf("row %q of partition %q of table %q: %w", k.Row, k.Partition, k.Table, err)
	}
	if row == nil || !row.Expires.Equal(at) {
		return 0, u.Delete(key) // left by a blind write, which did not know of it
	}
	return len(row.Data), DeleteRow(u, k, row)
}

func decodeExpiry(key []byte) (time.Time, RowKey, error) {
	d := tuple.Decode(key[1:])
	at, k := d.Time(), RowKey{Table: d.String(), Partition: d.String(), Row: d.String()}
	if err := d.End(); err != nil {
		return at, k, fmt.Errorf("key of an expiry: %w", err)
	}
	return at, k, nil
}

// NextExpiry returns when the first row expires; false when none does.
func NextExpiry(s Scanner) (at time.Time, found bool, err error) {
	var failed error
	err = s.Scan(store.Range{Start: []byte{spaceExpiry}, End: []byte{spaceExpiry + 1}}, func(it store.Item) bool {
		at, _, failed = decodeExpiry(it.Key)
		found = failed == nil
		return false
	})
	if err != nil {
		return at, false, err
	}
	return at, found, failed
}
