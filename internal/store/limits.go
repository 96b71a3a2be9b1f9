package store

import "fmt"

// The bounds every store keeps. A transaction that breaks one is refused with
// ErrMalformed; the others of its group are not disturbed.
const (
	// MaxKeySize is the greatest length of a key, in bytes.
	MaxKeySize = 1024
	// MaxTxnSize is the greatest Txn.Size, in bytes.
	MaxTxnSize = 64 << 20
	// MaxNameSize is the greatest length of a lease's name and owner, in bytes.
	MaxNameSize = 255
	// ReservedSpace is the space in which a store may keep records of its own.
	// No transaction may name a key in it and no reader sees one.
	ReservedSpace byte = 0xFF
)

// ValidKey reports whether key may be used: neither empty nor too long, and not
// in the reserved space.
func ValidKey(key []byte) bool {
	return len(key) > 0 && len(key) <= MaxKeySize && key[0] != ReservedSpace
}

// Size is the number of bytes of keys and values in the transaction, as bounds
// on transactions and groups count them.
func (t *Txn) Size() int {
	n := 0
	for i := range t.Conditions {
		n += len(t.Conditions[i].Key)
	}
	for i := range t.Ops {
		op := &t.Ops[i]
		n += op.size()
	}
	return n
}

// size is the operation's part of Txn.Size.
func (op *Op) size() int {
	n := len(op.Key) + len(op.Value) + len(op.End)
	if op.Kind == OpAppend {
		n += PositionSize
	}
	return n
}

// Validate reports, as an ErrMalformed, the first thing that no store accepts.
func (t *Txn) Validate() error {
	if len(t.Lease.Name) > MaxNameSize {
		return fmt.Errorf("%w: lease name of %d bytes, at most %d are allowed", ErrMalformed, len(t.Lease.Name), MaxNameSize)
	}
	for i := range t.Conditions {
		if key := t.Conditions[i].Key; !ValidKey(key) {
			return fmt.Errorf("%w: condition %d: %s", ErrMalformed, i, keyFault(key))
		}
	}
	size := 0
	for i := range t.Ops {
		op := &t.Ops[i]
		if !ValidKey(op.Key) {
			return fmt.Errorf("%w: operation %d: %s", ErrMalformed, i, keyFault(op.Key))
		}
		switch op.Kind {
		case OpPut, OpDelete, OpAdd:
		case OpDeleteRange:
			if len(op.End) == 0 || len(op.End) > MaxKeySize {
				return fmt.Errorf("%w: operation %d: range end of %d bytes, want 1 to %d", ErrMalformed, i, len(op.End), MaxKeySize)
			}
		case OpAppend:
			if len(op.Key) > MaxKeySize-PositionSize {
				return fmt.Errorf("%w: operation %d: log of %d bytes, want 1 to %d", ErrMalformed, i, len(op.Key), MaxKeySize-PositionSize)
			}
		default:
			return fmt.Errorf("%w: operation %d: unknown kind %d", ErrMalformed, i, op.Kind)
		}
		size += op.size()
	}
	if size > MaxTxnSize {
		return fmt.Errorf("%w: transaction of %d bytes, at most %d are allowed", ErrMalformed, size, MaxTxnSize)
	}
	return nil
}

// keyFault says what is wrong with a key that is not valid.
func keyFault(key []byte) string {
	if len(key) > 0 && key[0] == ReservedSpace {
		return fmt.Sprintf("key in the reserved space %#x", ReservedSpace)
	}
	return fmt.Sprintf("key of %d bytes, want 1 to %d", len(key), MaxKeySize)
}
