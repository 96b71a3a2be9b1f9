package unit

import (
	"slices"
	"strings"

	"github.com/perdure/perdure/internal/store"
)

// The bounds of what a scan holds at a time.
const (
	firstPage    = 16 // items; most scans end early
	maxPage      = 1024
	maxPageBytes = 1 << 20
)

// Scan visits the keys of r in order until visit returns false: the snapshot,
// overlaid with what the unit had written when the scan began. It is not
// validated. Visit may use the unit, also to write into r. An item's version is
// 0 where the unit wrote it; its slices must not be changed.
func (u *Unit) Scan(r store.Range, visit func(store.Item) bool) error {
	own, err := u.overlay(r)
	if err != nil {
		return err
	}
	before := func(a, b string) bool { return (a < b) != r.Reverse && a != b }
	for size, more := firstPage, true; more; size = min(2*size, maxPage) {
		var page []store.Item
		if page, more, err = u.page(r, size); err != nil {
			return err
		}
		for _, item := range page {
			for len(own) > 0 && before(own[0].key, string(item.Key)) {
				if goOn, err := own[0].visit(nil, visit); !goOn || err != nil {
					return err
				}
				own = own[1:]
			}
			if len(own) > 0 && own[0].key == string(item.Key) {
				if goOn, err := own[0].visit(item.Value, visit); !goOn || err != nil {
					return err
				}
				own = own[1:]
			} else if !visit(item) {
				return nil
			}
		}
		if more {
			r = rest(r, page[len(page)-1].Key)
		}
	}
	for _, w := range own {
		if goOn, err := w.visit(nil, visit); !goOn || err != nil {
			return err
		}
	}
	return nil
}

// ownWrite is one key of the overlay.
type ownWrite struct {
	key string
	write
}

// visit calls visit with what the key holds over the snapshot's base, unless it
// is absent.
func (o *ownWrite) visit(base []byte, visit func(store.Item) bool) (goOn bool, err error) {
	value, err := o.over(base)
	if err != nil || value == nil {
		return true, err
	}
	return visit(store.Item{Key: []byte(o.key), Value: value}), nil
}

// overlay returns the unit's writes inside r, in the order of the scan.
func (u *Unit) overlay(r store.Range) ([]ownWrite, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return nil, ErrUnitClosed
	}
	var own []ownWrite
	for key, w := range u.writes {
		if key >= string(r.Start) && (len(r.End) == 0 || key < string(r.End)) {
			own = append(own, ownWrite{key, *w})
		}
	}
	slices.SortFunc(own, func(a, b ownWrite) int {
		if r.Reverse {
			return strings.Compare(b.key, a.key)
		}
		return strings.Compare(a.key, b.key)
	})
	return own, nil
}

// page copies up to size items of r out of the snapshot and reports whether
// there may be more. It never answers that there are more after no item.
func (u *Unit) page(r store.Range, size int) (items []store.Item, more bool, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.open(); err != nil {
		return nil, false, err
	}
	bytes := 0
	err = u.snap.Scan(r, func(it store.Item) bool {
		items = append(items, store.Item{
			Key:     slices.Clone(it.Key),
			Value:   append([]byte{}, it.Value...),
			Version: it.Version,
		})
		bytes += len(it.Key) + len(it.Value)
		more = len(items) == size || bytes >= maxPageBytes
		return !more
	})
	return items, more, err
}

// rest returns the part of r that a scan has not visited after key.
func rest(r store.Range, key []byte) store.Range {
	if r.Reverse {
		r.End = key
	} else {
		r.Start = append(slices.Clone(key), 0)
	}
	return r
}
