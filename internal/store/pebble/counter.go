package pebble

import (
	"encoding/binary"
	"fmt"
	"io"

	engine "github.com/cockroachdb/pebble/v2"
	"github.com/perdure/perdure/internal/store"
)

// A stored value is the version of the commit that wrote it, eight bytes, big
// endian, and then the payload. A counter's payload is eight bytes as well, and
// so is the delta in its merge operands: merging keeps the greatest version and
// adds the rest, which makes a condition on a counter work without a read when
// it is written.
const (
	versionSize = 8
	counterSize = versionSize + 8
)

// counterMerger is part of the format: Pebble stores its name and refuses to
// open a folder that was written with another one.
var counterMerger = &engine.Merger{
	Name: "perdure.counter.v1",
	Merge: func(key, value []byte) (engine.ValueMerger, error) {
		m := &counterValue{}
		return m, m.add(key, value)
	},
}

// counterValue is the sum of the operands seen so far. Addition does not care
// about their order.
type counterValue struct {
	version store.Version
	sum     uint64
	buf     [counterSize]byte
}

func (c *counterValue) add(key, value []byte) error {
	version, payload, err := splitValue(key, value)
	if err != nil {
		return err
	}
	c.version = max(c.version, version)
	c.sum += counterOf(payload)
	return nil
}

// counterOf returns the number that a payload holds as a counter; any other
// value counts as 0.
func counterOf(payload []byte) uint64 {
	if len(payload) != counterSize-versionSize {
		return 0
	}
	return binary.BigEndian.Uint64(payload)
}

// MergeNewer implements pebble.ValueMerger.
func (c *counterValue) MergeNewer(value []byte) error { return c.add(nil, value) }

// MergeOlder implements pebble.ValueMerger.
func (c *counterValue) MergeOlder(value []byte) error { return c.add(nil, value) }

// Finish implements pebble.ValueMerger.
func (c *counterValue) Finish(bool) ([]byte, io.Closer, error) {
	putCounter(c.buf[:], c.version, c.sum)
	return c.buf[:], nil, nil
}

func putCounter(dst []byte, version store.Version, sum uint64) {
	binary.BigEndian.PutUint64(dst, uint64(version))
	binary.BigEndian.PutUint64(dst[versionSize:], sum)
}

// splitValue takes a stored value apart.
func splitValue(key, value []byte) (store.Version, []byte, error) {
	if len(value) < versionSize {
		return 0, nil, fmt.Errorf("store: corrupt: value of %d bytes at key %q", len(value), key)
	}
	return store.Version(binary.BigEndian.Uint64(value)), value[versionSize:], nil
}
