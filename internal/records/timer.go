package records

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/perdure/perdure/internal/store"
)

// TimerKind says what happens when a timer fires.
type TimerKind uint8

// The kinds of timer. The numbers are stored.
const (
	// TimerCall answers the call Seq of the instance.
	TimerCall TimerKind = 1
	// TimerTask makes the next attempt of the activity Seq, or ends the wait
	// for its completion from outside.
	TimerTask TimerKind = 2
	// TimerCleanUp ends the time that a canceled instance has to clean up.
	TimerCleanUp TimerKind = 3
	// TimerRetention purges the ended instance.
	TimerRetention TimerKind = 4
	// TimerStart lets an instance begin that was started for a later time.
	TimerStart TimerKind = 5
)

// Timer is something that is due for an instance.
type Timer struct {
	Due  int64 // Unix nanoseconds
	Key  InstanceKey
	Seq  uint32
	Kind TimerKind
}

func timerKey(t Timer) []byte {
	b := binary.BigEndian.AppendUint64(append(make([]byte, 0, 24), spaceTimer), uint64(max(t.Due, 0)))
	b = binary.BigEndian.AppendUint64(b, uint64(t.Key))
	b = binary.BigEndian.AppendUint32(b, t.Seq)
	return append(b, byte(t.Kind))
}

// PutTimer sets a timer.
func PutTimer(w Writer, t Timer) { w.Put(timerKey(t), nil) }

// DeleteTimer removes a timer.
func DeleteTimer(w Writer, t Timer) { w.Delete(timerKey(t)) }

// HasTimer reports whether t is set.
func HasTimer(r store.Reader, t Timer) (bool, error) {
	_, version, err := r.Get(timerKey(t))
	return version != 0, err
}

// Before reports whether t comes before u in the order of ReadTimers.
func (t Timer) Before(u Timer) bool { return bytes.Compare(timerKey(t), timerKey(u)) < 0 }

// Next returns the first place after t in that order.
func (t Timer) Next() Timer {
	t.Kind++
	return t
}

// ReadTimers returns up to limit timers from the place of from on, which counts,
// that are due before until, the earliest first.
func ReadTimers(r store.Reader, from Timer, until time.Time, limit int) ([]Timer, error) {
	var timers []Timer
	scan := store.Range{Start: timerKey(from), End: timerKey(Timer{Due: until.UnixNano()})}
	err := r.Scan(scan, func(it store.Item) bool {
		if len(it.Key) != 1+8+8+4+1 {
			return true
		}
		timers = append(timers, Timer{
			Due:  int64(binary.BigEndian.Uint64(it.Key[1:])),
			Key:  InstanceKey(binary.BigEndian.Uint64(it.Key[9:])),
			Seq:  binary.BigEndian.Uint32(it.Key[17:]),
			Kind: TimerKind(it.Key[21]),
		})
		return len(timers) < limit
	})
	return timers, err
}
