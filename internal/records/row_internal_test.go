package records

import (
	"errors"
	"reflect"
	"testing"
	"time"
)

var sampleRow = Row{
	Tag:     0x0102030405060708,
	Written: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
	Expires: time.Date(2026, 1, 2, 3, 4, 6, 7, time.UTC),
	Entries: []IndexEntry{{"state", []byte("open\x00\x01")}, {"n", []byte{0}}},
	Data:    []byte(`{"a":1}`),
}

// Pinned: these bytes are in users' stores.
func TestRowFormatIsFixed(t *testing.T) {
	t.Parallel()
	const want = "\x01" +
		"\x01\x02\x03\x04\x05\x06\x07\x08" +
		"\x80\x00\x00\x00\x69\x57\x35\xa5\x00\x00\x00\x06" +
		"\x01\x80\x00\x00\x00\x69\x57\x35\xa6\x00\x00\x00\x07" +
		"\x01state\x00\x01open\x00\xff\x01\x00\x01" +
		"\x01n\x00\x01\x00\xff\x00\x01" +
		"\x00" + `{"a":1}`
	if got := string(sampleRow.encode()); got != want {
		t.Errorf("encoded as %q, want %q", got, want)
	}
	row, err := decodeRow([]byte(want))
	if err != nil || !reflect.DeepEqual(*row, sampleRow) {
		t.Errorf("decoded as %+v, %v", row, err)
	}
}

func TestRowKeysAreFixed(t *testing.T) {
	t.Parallel()
	k := RowKey{"t", "p", "r"}
	for name, c := range map[string]struct {
		got  []byte
		want string
	}{
		"row":          {rowKey(k), "\x20t\x00\x01p\x00\x01r\x00\x01"},
		"partition":    {partitionKey(spacePartition, "t", "p"), "\x21t\x00\x01p\x00\x01"},
		"entry":        {entryKey(k, IndexEntry{"i", []byte{7}}), "\x22t\x00\x01i\x00\x01\x07p\x00\x01r\x00\x01"},
		"expiry":       {expiryKey(time.Unix(1, 2), k), "\x24\x80\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x02t\x00\x01p\x00\x01r\x00\x01"},
		"index change": {indexKey(spaceIndexChange, "t", "i"), "\x23t\x00\x01i\x00\x01"},
	} {
		if string(c.got) != c.want {
			t.Errorf("%s: %q, want %q", name, c.got, c.want)
		}
	}
}

func TestNewerRowIsRefused(t *testing.T) {
	t.Parallel()
	value := sampleRow.encode()
	value[0]++
	if _, err := decodeRow(value); !errors.Is(err, ErrNewerRecord) {
		t.Errorf("error %v, want ErrNewerRecord", err)
	}
}

func FuzzDecodeRow(f *testing.F) {
	f.Add(sampleRow.encode())
	f.Add((&Row{}).encode())
	f.Add([]byte{})
	f.Add([]byte{1, 1})
	f.Fuzz(func(t *testing.T, value []byte) {
		row, err := decodeRow(value)
		if err != nil {
			return
		}
		if again := row.encode(); string(again) != string(value) {
			t.Fatalf("%q decodes and encodes as %q", value, again)
		}
	})
}

func FuzzDecodeEntry(f *testing.F) {
	f.Add([]byte("\x01p\x00\x01r\x00\x01"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, value []byte) {
		k, err := decodeEntry("t", value)
		if err == nil && k.Table != "t" {
			t.Fatalf("entry %q names %+v", value, k)
		}
	})
}
