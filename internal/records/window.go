package records

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/tuple"
)

// The times of windows are Unix times in nanoseconds: they are computed with.

// ErrUnreadableWindow: what is stored of a window cannot be decoded, be it damaged
// or newer than this program.
var ErrUnreadableWindow = errors.New("records: unreadable state of a window")

// WindowProgress is how far a window function has come.
type WindowProgress struct {
	// Shape describes how it cuts time. Panes of another shape cannot be used.
	Shape string
	// Closed is the event time up to which windows were closed.
	Closed int64
}

// windowProgressUpgrades has no step yet: format 1 is shape string, closed int64.
var windowProgressUpgrades upgrades

// GetWindowProgress returns how far a function has come; nil before its first close.
// That it is so is validated at commit: whoever adds to windows that were not closed
// conflicts with their closing.
func GetWindowProgress(u Unit, function string) (*WindowProgress, error) {
	value, err := u.Get(functionKey(spaceWindow, function))
	if err != nil {
		return nil, err
	}
	return decodeWindowProgress(function, value)
}

// PeekWindowProgress is GetWindowProgress without validation.
func PeekWindowProgress(v Viewer, function string) (*WindowProgress, error) {
	value, err := v.Peek(functionKey(spaceWindow, function))
	if err != nil {
		return nil, err
	}
	return decodeWindowProgress(function, value)
}

func decodeWindowProgress(function string, value []byte) (*WindowProgress, error) {
	if value == nil {
		return nil, nil
	}
	body, err := windowProgressUpgrades.body(value)
	if err != nil {
		return nil, unreadableWindow(function, err)
	}
	t := tuple.Decode(body)
	p := &WindowProgress{Shape: t.String(), Closed: t.Int64()}
	if err := t.End(); err != nil {
		return nil, unreadableWindow(function, err)
	}
	return p, nil
}

// PutWindowProgress notes how far a function has come.
func PutWindowProgress(u Unit, function string, p *WindowProgress) error {
	return u.Put(functionKey(spaceWindow, function), p.encode())
}

func (p *WindowProgress) encode() []byte {
	value := tuple.AppendString([]byte{windowProgressUpgrades.current()}, p.Shape)
	return tuple.AppendInt64(value, p.Closed)
}

// WindowMark is how far the event times of a partition have come.
type WindowMark struct {
	// Latest is the latest event time in it.
	Latest int64
	// Seen is the app's time when an event of it was last handled.
	Seen int64
}

// windowMarkUpgrades has no step yet: format 1 is latest int64, seen int64.
var windowMarkUpgrades upgrades

func windowMarkKey(function string, partition int) []byte {
	return tuple.AppendUint64(functionKey(spaceWindowMark, function), uint64(partition))
}

// PeekWindowMark returns the mark of a partition; nil before its first event.
func PeekWindowMark(v Viewer, function string, partition int) (*WindowMark, error) {
	value, err := v.Peek(windowMarkKey(function, partition))
	if err != nil || value == nil {
		return nil, err
	}
	return decodeWindowMark(function, value)
}

func decodeWindowMark(function string, value []byte) (*WindowMark, error) {
	body, err := windowMarkUpgrades.body(value)
	if err != nil {
		return nil, unreadableWindow(function, err)
	}
	t := tuple.Decode(body)
	m := &WindowMark{Latest: t.Int64(), Seen: t.Int64()}
	if err := t.End(); err != nil {
		return nil, unreadableWindow(function, err)
	}
	return m, nil
}

// PutWindowMark notes the mark of a partition.
func PutWindowMark(u Unit, function string, partition int, m *WindowMark) error {
	return u.Put(windowMarkKey(function, partition), m.encode())
}

func (m *WindowMark) encode() []byte {
	return tuple.AppendInt64(tuple.AppendInt64([]byte{windowMarkUpgrades.current()}, m.Latest), m.Seen)
}

// PaneKey names a pane: what one partition adds to the windows of a key.
type PaneKey struct {
	Function, Key string
	// Start is the pane's first moment.
	Start     int64
	Partition int
}

// Pane is the state of an aggregate over the events of one key and partition between
// two moments.
type Pane struct {
	// End is the moment after the last.
	End int64
	// Changes counts how often it was changed.
	Changes uint64
	// State is encoded by the aggregate. It must not be changed.
	State []byte
}

// paneUpgrades has no step yet: format 1 is end int64, changes uint64, then the state.
var paneUpgrades upgrades

func windowKey(space byte, function, key string) []byte {
	b := append(make([]byte, 0, len(function)+len(key)+24), space)
	return tuple.AppendString(tuple.AppendString(b, function), key)
}

func paneKey(k PaneKey) []byte {
	b := tuple.AppendInt64(windowKey(spaceWindowPane, k.Function, k.Key), k.Start)
	return tuple.AppendUint64(b, uint64(k.Partition))
}

// GetPane returns a pane, or nil. That it is so is validated at commit.
func GetPane(u Unit, k PaneKey) (*Pane, error) {
	value, err := u.Get(paneKey(k))
	if err != nil || value == nil {
		return nil, err
	}
	return decodePane(k, value)
}

func decodePane(k PaneKey, value []byte) (*Pane, error) {
	body, err := paneUpgrades.body(value)
	if err != nil {
		return nil, unreadableWindow(k.Function, err)
	}
	t := tuple.Decode(body)
	p := &Pane{End: t.Int64(), Changes: t.Uint64()}
	if err := t.Err(); err != nil {
		return nil, unreadableWindow(k.Function, err)
	}
	p.State = t.Rest()
	return p, nil
}

// PutPane writes a pane.
func PutPane(u Unit, k PaneKey, p *Pane) error { return u.Put(paneKey(k), p.encode()) }

func (p *Pane) encode() []byte {
	value := append(make([]byte, 0, 17+len(p.State)), paneUpgrades.current())
	value = tuple.AppendUint64(tuple.AppendInt64(value, p.End), p.Changes)
	return append(value, p.State...)
}

// DeletePane removes a pane.
func DeletePane(u Unit, k PaneKey) error { return u.Delete(paneKey(k)) }

// ScanPanes visits the panes of a key that start at a moment or later, but before
// another, in order, those of all partitions, until visit returns false.
func ScanPanes(s Scanner, function, key string, from, until int64, visit func(PaneKey, *Pane) bool) error {
	base := windowKey(spaceWindowPane, function, key)
	return scanWindows(s, function, startsBetween(base, from, until), func(it store.Item) (bool, error) {
		t := tuple.Decode(it.Key[len(base):])
		k := PaneKey{Function: function, Key: key, Start: t.Int64(), Partition: int(t.Uint64())}
		if err := t.End(); err != nil {
			return false, unreadableWindow(function, err)
		}
		p, err := decodePane(k, bytes.Clone(it.Value))
		if err != nil {
			return false, err
		}
		return visit(k, p), nil
	})
}

// WindowDue says that a window is to be looked at when the event time has come so
// far; or, among early ones, when the clock has.
type WindowDue struct {
	At    int64
	Key   string
	Start int64
	// Free says that what is kept of the window is not needed any more. Without it
	// there is a result.
	Free bool
}

func windowDueKey(space byte, function string, d WindowDue) []byte {
	b := append(make([]byte, 0, len(function)+len(d.Key)+32), space)
	b = tuple.AppendInt64(tuple.AppendString(b, function), d.At)
	b = tuple.AppendInt64(tuple.AppendString(b, d.Key), d.Start)
	return tuple.AppendBool(b, d.Free)
}

// PutWindowDue notes that a window is to be looked at.
func PutWindowDue(u Unit, function string, d WindowDue) error {
	return u.Put(windowDueKey(spaceWindowDue, function, d), nil)
}

// DeleteWindowDue takes back what PutWindowDue noted.
func DeleteWindowDue(u Unit, function string, d WindowDue) error {
	return u.Delete(windowDueKey(spaceWindowDue, function, d))
}

// TakeWindowDue removes what PutWindowDue noted, and makes the commit depend on nobody
// noting it again meanwhile.
func TakeWindowDue(u Unit, function string, d WindowDue) error {
	return takeDue(u, windowDueKey(spaceWindowDue, function, d))
}

// PutWindowSoon notes that a window is to have an early result.
func PutWindowSoon(u Unit, function string, d WindowDue) error {
	return u.Put(windowDueKey(spaceWindowSoon, function, d), nil)
}

// TakeWindowSoon is TakeWindowDue for what PutWindowSoon noted.
func TakeWindowSoon(u Unit, function string, d WindowDue) error {
	return takeDue(u, windowDueKey(spaceWindowSoon, function, d))
}

func takeDue(u Unit, key []byte) error {
	if err := u.Validate(key); err != nil {
		return err
	}
	return u.Delete(key)
}

// ScanWindowsDue visits what PutWindowDue noted for a time and later, in order, until visit
// returns false. Who knows that there is nothing before a time does not begin there: keys
// that were deleted lately slow a scan down.
func ScanWindowsDue(s Scanner, function string, from int64, visit func(WindowDue) bool) error {
	return scanDue(s, spaceWindowDue, function, from, visit)
}

// ScanWindowsSoon is ScanWindowsDue for what PutWindowSoon noted.
func ScanWindowsSoon(s Scanner, function string, from int64, visit func(WindowDue) bool) error {
	return scanDue(s, spaceWindowSoon, function, from, visit)
}

func scanDue(s Scanner, space byte, function string, from int64, visit func(WindowDue) bool) error {
	base := functionKey(space, function)
	r := store.Range{Start: tuple.AppendInt64(bytes.Clone(base), from), End: tuple.After(base)}
	return scanWindows(s, function, r, func(it store.Item) (bool, error) {
		t := tuple.Decode(it.Key[len(base):])
		d := WindowDue{At: t.Int64(), Key: t.String(), Start: t.Int64(), Free: t.Bool()}
		if err := t.End(); err != nil {
			return false, unreadableWindow(function, err)
		}
		return visit(d), nil
	})
}

// ShownWindow is the latest result of a window.
type ShownWindow struct {
	Start, End int64
	// Revision is the result's number.
	Revision int
	// Changes is the sum of those of the panes that it was made of.
	Changes uint64
	// Final says that the window had ended.
	Final bool
}

// shownUpgrades has no step yet: format 1 is end int64, revision uint64, changes
// uint64, final bool.
var shownUpgrades upgrades

func shownKey(function, key string, start int64) []byte {
	return tuple.AppendInt64(windowKey(spaceWindowShow, function, key), start)
}

// PutShown notes the latest result of a window.
func PutShown(u Unit, function, key string, s *ShownWindow) error {
	return u.Put(shownKey(function, key, s.Start), s.encode())
}

func (s *ShownWindow) encode() []byte {
	value := tuple.AppendInt64([]byte{shownUpgrades.current()}, s.End)
	value = tuple.AppendUint64(tuple.AppendUint64(value, uint64(s.Revision)), s.Changes)
	return tuple.AppendBool(value, s.Final)
}

func decodeShown(function string, start int64, value []byte) (*ShownWindow, error) {
	body, err := shownUpgrades.body(value)
	if err != nil {
		return nil, unreadableWindow(function, err)
	}
	t := tuple.Decode(body)
	s := &ShownWindow{Start: start, End: t.Int64(), Revision: int(t.Uint64()), Changes: t.Uint64(), Final: t.Bool()}
	if err := t.End(); err != nil {
		return nil, unreadableWindow(function, err)
	}
	return s, nil
}

// DeleteShown forgets the results of a window.
func DeleteShown(u Unit, function, key string, start int64) error {
	return u.Delete(shownKey(function, key, start))
}

// ScanShown visits the latest results of a key's windows that start at a moment or
// later, but before another, in order, until visit returns false.
func ScanShown(s Scanner, function, key string, from, until int64, visit func(*ShownWindow) bool) error {
	base := windowKey(spaceWindowShow, function, key)
	return scanWindows(s, function, startsBetween(base, from, until), func(it store.Item) (bool, error) {
		t := tuple.Decode(it.Key[len(base):])
		start := t.Int64()
		if err := t.End(); err != nil {
			return false, unreadableWindow(function, err)
		}
		w, err := decodeShown(function, start, it.Value)
		if err != nil {
			return false, err
		}
		return visit(w), nil
	})
}

// AddLateEvents counts late events of a function.
func AddLateEvents(u Unit, function string, n int) error {
	return u.Add(functionKey(spaceWindowLate, function), int64(n))
}

// LateEvents returns how many late events a function had.
func LateEvents(v Viewer, function string) (int64, error) {
	return peekCounter(v, functionKey(spaceWindowLate, function))
}

// startsBetween is the range of the keys made of base and a moment.
func startsBetween(base []byte, from, until int64) store.Range {
	return store.Range{Start: tuple.AppendInt64(bytes.Clone(base), from), End: tuple.AppendInt64(bytes.Clone(base), until)}
}

// scanWindows is Scan with a visit that may fail.
func scanWindows(s Scanner, function string, r store.Range, visit func(store.Item) (bool, error)) error {
	var failed error
	err := s.Scan(r, func(it store.Item) (more bool) {
		more, failed = visit(it)
		return more && failed == nil
	})
	if err := errors.Join(err, failed); err != nil {
		return fmt.Errorf("windows of function %q: %w", function, err)
	}
	return nil
}

func unreadableWindow(function string, err error) error {
	return fmt.Errorf("%w: function %q: %w", ErrUnreadableWindow, function, err)
}
