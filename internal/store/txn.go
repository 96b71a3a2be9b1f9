package store

import "encoding/binary"

// Txn is one atomic change: every operation happens if every condition holds and
// the lease, if any, is still held; otherwise nothing happens. Operations apply
// in the order given. A Txn is not safe for concurrent use and must not be
// changed from when it was given to a store until the store has answered; the
// store keeps nothing of it after that.
type Txn struct {
	// Lease, unless its name is empty, must be current for the commit to count.
	Lease Lease
	// Conditions are checked against the state just before this transaction.
	Conditions []Condition
	Ops        []Op
}

// Lease names an epoch that must still be the current, unexpired one.
type Lease struct {
	Name  string
	Epoch uint64
}

// Condition demands that a key still has the version that was read. Version 0
// demands that it is absent.
type Condition struct {
	Key     []byte
	Version Version
}

// OpKind says what an Op does.
type OpKind uint8

// The kinds of operation.
const (
	// OpPut sets a key to a value.
	OpPut OpKind = iota + 1
	// OpDelete removes a key; removing an absent key is no error.
	OpDelete
	// OpDeleteRange removes every key in [Key, End). End must be given; a range
	// that ends at or before its start holds no key. It is meant for purges:
	// many small ranges cost more than the point deletes they replace.
	OpDeleteRange
	// OpAdd adds Delta to the counter at Key without reading it. A counter's
	// value is eight bytes, big endian, two's complement (DecodeCounter), and
	// wraps around. An absent counter counts as 0; adding 0 makes it present.
	// A key is either always a counter or never: adding to a value that is not
	// eight bytes long counts that value as 0.
	OpAdd
	// OpAppend puts Value at the next position of the log at Key, without a
	// condition and without a conflict between those who append. The log's key
	// is a counter: the number of values ever appended. It goes up by one, and
	// the value is put at PositionKey of its new number. So positions begin with
	// 1, have no gaps and follow the order of commits. Removing old positions
	// leaves the counter; removing the counter begins again with 1.
	OpAppend
)

// Op is one operation of a transaction.
type Op struct {
	Kind  OpKind
	Key   []byte
	Value []byte // OpPut, OpAppend
	End   []byte // OpDeleteRange
	Delta int64  // OpAdd
}

// Put appends an operation that sets key to value. Neither slice may be changed
// afterwards.
func (t *Txn) Put(key, value []byte) { t.Ops = append(t.Ops, Op{Kind: OpPut, Key: key, Value: value}) }

// Delete appends an operation that removes key.
func (t *Txn) Delete(key []byte) { t.Ops = append(t.Ops, Op{Kind: OpDelete, Key: key}) }

// DeleteRange appends an operation that removes every key in [start, end).
func (t *Txn) DeleteRange(start, end []byte) {
	t.Ops = append(t.Ops, Op{Kind: OpDeleteRange, Key: start, End: end})
}

// Add appends an operation that adds delta to the counter at key.
func (t *Txn) Add(key []byte, delta int64) {
	t.Ops = append(t.Ops, Op{Kind: OpAdd, Key: key, Delta: delta})
}

// Append appends an operation that puts value at the next position of log. A log's
// key has at most MaxKeySize-PositionSize bytes. Neither slice may be changed
// afterwards.
func (t *Txn) Append(log, value []byte) {
	t.Ops = append(t.Ops, Op{Kind: OpAppend, Key: log, Value: value})
}

// PositionSize is the number of bytes that PositionKey adds to a log's key.
const PositionSize = 8

// PositionKey returns the key of a position of log: the log's key, then the
// position in eight bytes, big endian. The keys of a log sort like its positions
// and come after its counter.
func PositionKey(log []byte, position uint64) []byte {
	key := append(make([]byte, 0, len(log)+PositionSize), log...)
	return binary.BigEndian.AppendUint64(key, position)
}

// Require appends the condition that key still has version v.
func (t *Txn) Require(key []byte, v Version) {
	t.Conditions = append(t.Conditions, Condition{Key: key, Version: v})
}

// Empty reports whether the transaction would change nothing.
func (t *Txn) Empty() bool { return len(t.Ops) == 0 }
