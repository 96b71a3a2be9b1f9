package table

import (
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/perdure/perdure/internal/records"
)

// Key names a row: its name and the partition it is in. Rows of one partition
// are next to each other, in the order of their names, and can be scanned stably.
//
// The methods of a table take keys as paths, "row" or "partition/row", where "row"
// alone is in partition "". In a path "/" and "%" of the names themselves are
// percent-encoded (RFC 3986), as String does; the values of binding expressions
// such as {fileId} are encoded by the binding. So a key made of what a user sent
// is Key{Row: sent}.String().
type Key struct {
	Partition string `json:"partition,omitempty"`
	Row       string `json:"row"`
}

// String returns the path of k.
func (k Key) String() string {
	row := url.PathEscape(k.Row)
	if k.Partition == "" {
		return row
	}
	return url.PathEscape(k.Partition) + "/" + row
}

// ParseKey reads a path; ErrKey when it is none.
func ParseKey(path string) (Key, error) {
	partition, row, both := strings.Cut(path, "/")
	if !both {
		partition, row = "", path
	}
	k := Key{}
	var err error
	if k.Partition, err = url.PathUnescape(partition); err != nil {
		return Key{}, keyFault(path, "a % is written %25")
	}
	if k.Row, err = url.PathUnescape(row); err != nil {
		return Key{}, keyFault(path, "a % is written %25")
	}
	switch {
	case strings.Contains(row, "/"):
		return Key{}, keyFault(path, `want "row" or "partition/row"; a / inside a name is written %2F`)
	case both && partition == "":
		return Key{}, keyFault(path, "the partition is empty")
	}
	return k, k.check()
}

// check reports what keeps k from naming a row.
func (k Key) check() error {
	switch {
	case k.Row == "":
		return keyFault(k.String(), "the row is empty")
	case !utf8.ValidString(k.Partition) || !utf8.ValidString(k.Row):
		return keyFault(k.String(), "names are UTF-8")
	}
	if size := storedSize(k.Partition) + storedSize(k.Row); size > MaxKey {
		return fmt.Errorf("key %w: %d bytes, at most %d are allowed", ErrTooLarge, size, MaxKey)
	}
	return nil
}

// storedSize is the number of bytes that bounds count for s.
func storedSize(s string) int { return len(s) + strings.Count(s, "\x00") }

func keyFault(path, mend string) error {
	if len(path) > MaxKey {
		path = path[:MaxKey]
	}
	return fmt.Errorf("%w %q: %s", ErrKey, path, mend)
}

func (k Key) record(table string) records.RowKey {
	return records.RowKey{Table: table, Partition: k.Partition, Row: k.Row}
}
