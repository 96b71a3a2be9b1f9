package store_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/perdure/perdure/internal/store"
)

func TestValidateSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		want  string
		build func(t *store.Txn)
	}{
		{"operation 1: key of 0 bytes, want 1 to 1024", func(t *store.Txn) { t.Put([]byte("k"), nil); t.Delete(nil) }},
		{"condition 0: key of 1025 bytes, want 1 to 1024", func(t *store.Txn) { t.Require(make([]byte, 1025), 1) }},
		{"operation 0: key in the reserved space 0xff", func(t *store.Txn) { t.Add([]byte{0xFF}, 1) }},
		{"operation 0: range end of 0 bytes, want 1 to 1024", func(t *store.Txn) { t.DeleteRange([]byte("k"), nil) }},
		{"operation 0: unknown kind 9", func(t *store.Txn) { t.Ops = []store.Op{{Kind: 9, Key: []byte("k")}} }},
		{"operation 0: log of 1017 bytes, want 1 to 1016", func(t *store.Txn) { t.Append(make([]byte, 1017), nil) }},
		{"transaction of 67108866 bytes, at most 67108864 are allowed", func(t *store.Txn) { t.Put([]byte("k"), make([]byte, 64<<20+1)) }},
		{"lease name of 256 bytes, at most 255 are allowed", func(t *store.Txn) { t.Lease.Name = strings.Repeat("x", 256) }},
	} {
		txn := &store.Txn{}
		c.build(txn)
		err := txn.Validate()
		if !errors.Is(err, store.ErrMalformed) || !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("got %v, want an ErrMalformed that ends with %q", err, c.want)
		}
	}
}

func TestTxnSizeAndEmpty(t *testing.T) {
	t.Parallel()
	txn := &store.Txn{}
	txn.Require([]byte("cond"), 1)
	if !txn.Empty() {
		t.Error("a transaction with conditions alone writes nothing")
	}
	txn.Put([]byte("key"), []byte("value"))
	txn.DeleteRange([]byte("a"), []byte("bb"))
	txn.Add([]byte("n"), 1)
	txn.Delete([]byte("d"))
	txn.Append([]byte("log"), []byte("v"))
	if got, want := txn.Size(), 4+3+5+1+2+1+1+3+8+1; got != want {
		t.Errorf("Size is %d, want %d", got, want)
	}
	if txn.Empty() {
		t.Error("Empty")
	}
}

func TestConflictErrorMatches(t *testing.T) {
	t.Parallel()
	err := error(&store.ConflictError{Key: []byte("k\x00"), Want: 1, Got: 2})
	if !errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrClosed) {
		t.Errorf("%v matches the wrong errors", err)
	}
	if want := `store: condition failed: key "k\x00" has version 2, not 1`; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

func FuzzDecodeCounter(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 7})
	f.Add([]byte{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF})
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, value []byte) {
		n, err := store.DecodeCounter(value)
		if ok := value == nil || len(value) == 8; ok != (err == nil) {
			t.Errorf("%d bytes: %d, %v", len(value), n, err)
		}
	})
}
