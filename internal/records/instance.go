package records

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/perdure/perdure/internal/history"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/tuple"
)

// Writer takes the writes of an operation. *store.Txn is one.
type Writer interface {
	Put(key, value []byte)
	Delete(key []byte)
	DeleteRange(start, end []byte)
}

// MaxID bounds the length of instance ids, event names and tags, in bytes.
const MaxID = 256

// InstanceKey is the short number by which the store knows an instance. Numbers
// grow with creation and are never used twice.
type InstanceKey uint64

// State says where an instance stands.
type State uint8

// The states of an instance. The numbers are stored.
const (
	// Running: it works or waits.
	Running State = 1
	// Suspended: it was told to pause; what arrives is kept.
	Suspended State = 2
	// Stalled: it cannot go on until it is repaired; what arrives is kept.
	Stalled State = 3
	// Completed: its code returned a result.
	Completed State = 4
	// Failed: its code returned an error.
	Failed State = 5
	// Canceled: it was asked to end and did.
	Canceled State = 6
	// Terminated: it was ended without being asked.
	Terminated State = 7
)

var stateNames = [...]string{"", "Running", "Suspended", "Stalled", "Completed", "Failed", "Canceled", "Terminated"}

// String returns the state's name.
func (s State) String() string {
	if s == 0 || int(s) >= len(stateNames) {
		return fmt.Sprintf("State(%d)", uint8(s))
	}
	return stateNames[s]
}

// Ended reports whether an instance in this state does nothing any more.
func (s State) Ended() bool { return s >= Completed }

// Instance is the record of an instance: what is known of it without reading its
// history. It is written only when it changes, not with every turn.
type Instance struct {
	ID      string
	Name    string
	State   State
	Created time.Time
	Ended   time.Time
	Output  json.RawMessage
	Failure *history.Failure
	Status  json.RawMessage
	Tags    map[string]string
	// Trace are the headers of the trace in which it was started, if any.
	Trace map[string]string
	// Reason says why it is suspended, stalled, canceled or terminated.
	Reason string
	// Parent, unless zero, is the instance that waits for this one, and
	// ParentSeq its call, made in the generation that began at ParentBase.
	Parent     InstanceKey
	ParentSeq  uint32
	ParentBase uint32
	// Base is the first turn of the current generation.
	Base uint32
	// InputHash tells a repeated start from a different one.
	InputHash uint64
	// CleanUpBy is when a canceled instance is terminated if it still runs.
	CleanUpBy time.Time
	// StartAt, unless zero, is when it begins to run.
	StartAt time.Time
}

// instanceUpgrades has no step yet: format 1 is what Instance.encode writes.
var instanceUpgrades upgrades

func instanceKey(space byte, k InstanceKey) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, 32), space), uint64(k))
}

func instanceIDKey(id string) []byte {
	return append(append(make([]byte, 0, len(id)+1), spaceInstanceID), id...)
}

// stateKey is the entry of the listing index: newest last within a state.
func stateKey(s State, created time.Time, k InstanceKey) []byte {
	b := append(make([]byte, 0, 24), spaceInstanceState, byte(s))
	b = binary.BigEndian.AppendUint64(b, uint64(created.UnixNano()))
	return binary.BigEndian.AppendUint64(b, uint64(k))
}

// RecordKey is the key of the instance's record, for conditions.
func (k InstanceKey) RecordKey() []byte { return instanceKey(spaceInstance, k) }

// IDKey is the key that maps an instance id, for conditions.
func IDKey(id string) []byte { return instanceIDKey(id) }

// PutInstance writes the record of an instance.
func PutInstance(w Writer, k InstanceKey, in *Instance) {
	w.Put(k.RecordKey(), in.encode())
}

// CreateInstance writes everything that makes a new instance known. Busy is as in
// MarkInstance.
func CreateInstance(w Writer, k InstanceKey, in *Instance, busy bool) {
	w.Put(instanceIDKey(in.ID), binary.BigEndian.AppendUint64(nil, uint64(k)))
	MarkInstance(w, k, in, busy)
	PutInstance(w, k, in)
}

// MarkInstance lists an instance under its state, and says there whether it has work
// that a restart must resume.
func MarkInstance(w Writer, k InstanceKey, in *Instance, busy bool) {
	w.Put(stateKey(in.State, in.Created, k), busyMark(busy))
}

// UnlistInstance removes an instance from the listing of a state that it has left.
func UnlistInstance(w Writer, k InstanceKey, in *Instance, from State) {
	w.Delete(stateKey(from, in.Created, k))
}

// busyMark is the value of an entry of the listing.
func busyMark(busy bool) []byte {
	if busy {
		return []byte{1}
	}
	return nil
}

// IsBusy reports whether an instance is marked busy.
func IsBusy(r store.Reader, k InstanceKey, in *Instance) (bool, error) {
	value, _, err := r.Get(stateKey(in.State, in.Created, k))
	return len(value) > 0, err
}

// BusyInstances visits the instances that are marked busy, oldest first within a state.
func BusyInstances(r store.Reader, visit func(InstanceKey) bool) error {
	start, end := []byte{spaceInstanceState}, []byte{spaceInstanceState, byte(Completed)}
	return r.Scan(store.Range{Start: start, End: end}, func(it store.Item) bool {
		return len(it.Value) == 0 || len(it.Key) != 2+8+8 || visit(InstanceKey(binary.BigEndian.Uint64(it.Key[10:])))
	})
}

// FindInstance returns the key of the instance called id, or 0.
func FindInstance(r store.Reader, id string) (InstanceKey, error) {
	value, _, err := r.Get(instanceIDKey(id))
	if err != nil {
		return 0, err
	}
	return DecodeInstanceKey(value), nil
}

// DecodeInstanceKey reads the value that an instance id maps to; 0 for none.
func DecodeInstanceKey(value []byte) InstanceKey {
	if len(value) != 8 {
		return 0
	}
	return InstanceKey(binary.BigEndian.Uint64(value))
}

// GetInstance returns the record of instance k, or nil.
func GetInstance(r store.Reader, k InstanceKey) (*Instance, error) {
	value, _, err := r.Get(k.RecordKey())
	if err != nil || value == nil {
		return nil, err
	}
	return DecodeInstance(value)
}

// PurgeInstance removes everything that instance k has left.
func PurgeInstance(w Writer, k InstanceKey, in *Instance) {
	w.Delete(instanceIDKey(in.ID))
	w.Delete(stateKey(in.State, in.Created, k))
	w.Delete(k.RecordKey())
	for _, space := range []byte{spaceHistory, spaceInbox, spaceTask} {
		prefix := instanceKey(space, k)
		w.DeleteRange(prefix, tuple.After(prefix))
	}
}

// ListInstances visits instance records of one state, newest first, beginning
// after cursor (nil: with the newest), until visit returns false. The cursor it
// hands out goes on after the record it came with.
func ListInstances(r store.Reader, s State, cursor []byte, visit func(k InstanceKey, in *Instance, cursor []byte) bool) error {
	prefix := []byte{spaceInstanceState, byte(s)}
	scan := store.Range{Start: prefix, End: tuple.After(prefix), Reverse: true}
	if cursor != nil {
		scan.End = append(prefix[:2:2], cursor...)
	}
	// The records are read after the scan has yielded a page of keys, so that
	// no read happens inside the scan.
	for {
		keys, err := page(r, scan, 128)
		if err != nil || len(keys) == 0 {
			return err
		}
		for _, key := range keys {
			if len(key) != 2+8+8 {
				return fmt.Errorf("records: listing key of %d bytes", len(key))
			}
			k := InstanceKey(binary.BigEndian.Uint64(key[10:]))
			in, err := GetInstance(r, k)
			if err != nil {
				return err
			}
			if in != nil && !visit(k, in, key[2:]) {
				return nil
			}
		}
		scan.End = keys[len(keys)-1]
	}
}

// CountInstances counts the instances of one state by its listing index.
func CountInstances(r store.Reader, s State) (int, error) {
	prefix := []byte{spaceInstanceState, byte(s)}
	n := 0
	err := r.Scan(store.Range{Start: prefix, End: tuple.After(prefix)}, func(store.Item) bool {
		n++
		return true
	})
	return n, err
}

// page returns up to n keys of a range.
func page(r store.Reader, scan store.Range, n int) ([][]byte, error) {
	var keys [][]byte
	err := r.Scan(scan, func(it store.Item) bool {
		keys = append(keys, append([]byte(nil), it.Key...))
		return len(keys) < n
	})
	return keys, err
}

// keyBlock is the meta key that holds the end of the numbers handed out.
var keyBlock = []byte{spaceMeta, 'k'}

// ReserveKeys returns the operation that reserves the n numbers from next, and
// the condition under which it holds. Numbers are handed out only after the
// reservation is durable, so that none is used twice, whatever crashes.
func ReserveKeys(r store.Reader, n uint64) (next InstanceKey, txn *store.Txn, err error) {
	value, version, err := r.Get(keyBlock)
	if err != nil {
		return 0, nil, err
	}
	from := max(uint64(DecodeInstanceKey(value)), 1)
	txn = &store.Txn{}
	txn.Require(keyBlock, version)
	txn.Put(keyBlock, binary.BigEndian.AppendUint64(nil, from+n))
	return InstanceKey(from), txn, nil
}
