package poison

import (
	"encoding/binary"
	"math/bits"
	"sync/atomic"
)

// The file is a header, of which the first word is magic, then the slots, all in
// words of the machine's own byte order: only the machine that died reads it.
//
//	word 0     checksum of the words below; 0 while the slot is empty
//	word 1     kind, length of the id << 8
//	word 2…7   the id, filled up with zeros
const (
	idWords     = 6
	slotWords   = 2 + idWords
	headerWords = slotWords
	fileWords   = headerWords + Slots*slotWords

	// magic names the file and its format; the last byte counts formats.
	magic uint64 = 'P'<<56 | 'e'<<48 | 'r'<<40 | 'd'<<32 | 'r'<<24 | 'u'<<16 | 'n'<<8 | 1
)

// writeSlot fills an empty slot. The checksum comes last: a process that dies on
// the way leaves the slot empty.
func writeSlot(slot *[slotWords]uint64, kind Kind, id []byte) {
	var padded [MaxID]byte
	n := copy(padded[:], id)
	slot[1] = uint64(kind) | uint64(n)<<8
	for i := range idWords {
		slot[2+i] = binary.NativeEndian.Uint64(padded[i*8:])
	}
	atomic.StoreUint64(&slot[0], checksum(slot))
}

// clearSlot empties a slot. It reports whether it was filled.
func clearSlot(slot *[slotWords]uint64) bool { return atomic.SwapUint64(&slot[0], 0) != 0 }

// readSlot returns what a slot holds; false when it is empty, torn or of a kind
// that this release does not know.
func readSlot(slot *[slotWords]uint64) (kind Kind, id []byte, ok bool) {
	if slot[0] == 0 || slot[0] != checksum(slot) {
		return 0, nil, false
	}
	kind = Kind(slot[1])
	n := slot[1] >> 8
	if n > MaxID || kind < Turn || kind > Stream {
		return 0, nil, false
	}
	var padded []byte
	for _, word := range slot[2:] {
		padded = binary.NativeEndian.AppendUint64(padded, word)
	}
	return kind, padded[:n], true
}

// checksum mixes what a slot holds. It guards against accidents, not intent, and
// is never zero.
func checksum(slot *[slotWords]uint64) uint64 {
	sum := magic
	for _, word := range slot[1:] {
		high, low := bits.Mul64(sum^word, 0x9e3779b97f4a7c15)
		sum = bits.RotateLeft64(high^low, 29) + word
	}
	return sum | 1
}
