package store

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The errors a store answers. Compare with errors.Is.
var (
	// ErrConflict: a condition of the transaction did not hold. The verdict is
	// a *ConflictError that names the key.
	ErrConflict = errors.New("store: condition failed")
	// ErrLeaseLost: the epoch is not the lease's current one, or it ran out.
	ErrLeaseLost = errors.New("store: lease lost")
	// ErrLeaseHeld: another owner holds the lease.
	ErrLeaseHeld = errors.New("store: lease held by another owner")
	// ErrOutcomeUnknown: a commit failed in a way that leaves open whether it
	// is durable. Only opening the store again tells.
	ErrOutcomeUnknown = errors.New("store: commit outcome unknown")
	// ErrMalformed: a transaction, lease or key breaks a bound of the contract.
	// The text says which.
	ErrMalformed = errors.New("store: malformed")
	// ErrClosed: the store has been closed.
	ErrClosed = errors.New("store: closed")
	// ErrLocked: another process has the store open.
	ErrLocked = errors.New("store: locked by another process")
	// ErrNewerFormat: the store was written by a newer release.
	ErrNewerFormat = errors.New("store: format is newer than this program")
)

// ConflictError says which condition failed. It matches ErrConflict.
type ConflictError struct {
	Key       []byte
	Want, Got Version
}

// Error implements error.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("store: condition failed: key %q has version %d, not %d", e.Key, e.Got, e.Want)
}

// Is makes errors.Is(err, ErrConflict) true.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// DecodeCounter returns the number a counter key holds. A nil value is 0.
func DecodeCounter(value []byte) (int64, error) {
	if value == nil {
		return 0, nil
	}
	if len(value) != 8 {
		return 0, fmt.Errorf("store: counter of %d bytes, want 8", len(value))
	}
	return int64(binary.BigEndian.Uint64(value)), nil
}

// EncodeCounter returns the value of a counter key that holds n.
func EncodeCounter(n int64) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(n))
}
