package records

import (
	"testing"
	"time"
)

func FuzzDecodeExpiry(f *testing.F) {
	f.Add(expiryKey(time.Unix(1, 2), RowKey{"t", "p", "r"}))
	f.Add([]byte{spaceExpiry})
	f.Fuzz(func(t *testing.T, key []byte) {
		if len(key) == 0 {
			return
		}
		at, k, err := decodeExpiry(key)
		if err != nil {
			return
		}
		if again := expiryKey(at, k); string(again[1:]) != string(key[1:]) {
			t.Fatalf("%q decodes and encodes as %q", key, again)
		}
	})
}
