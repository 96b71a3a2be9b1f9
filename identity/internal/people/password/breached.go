package password

import (
	"bufio"
	"bytes"
	"crypto/sha1" // the lists are published as SHA-1; it protects nothing here
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// MaxPlainList bounds how many lines a plain list may have: it is kept in memory.
const MaxPlainList = 5_000_000

const (
	hexBytes = 2 * sha1.Size
	maxLine  = 256
)

// BreachedList are passwords that have leaked. It is safe for concurrent use.
//
// Its file is one of two kinds, told by the first line: lines of a SHA-1 in hexadecimal digits,
// a colon and a count, sorted, as "Have I Been Pwned" publishes them, of any size, searched on
// disk; or a plain list with a password on each line, of at most MaxPlainList lines, kept in memory.
type BreachedList struct {
	file  *os.File
	size  int64
	plain []uint64 // the first eight bytes of the SHA-1s, sorted
}

// OpenBreachedList opens a list.
func OpenBreachedList(path string) (list *BreachedList, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("list of breached passwords: %w", err)
	}
	defer func() {
		if err != nil {
			f.Close()
			err = fmt.Errorf("list of breached passwords %q: %w", path, err)
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	b := &BreachedList{file: f, size: info.Size()}
	first, _, err := b.lineAt(0)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, errLongLine) {
		return nil, err
	}
	if isHash(first) {
		return b, b.checkOrder()
	}
	if b.plain, err = readPlain(f); err != nil {
		return nil, err
	}
	b.file = nil
	return b, f.Close()
}

// Close closes the file.
func (b *BreachedList) Close() error {
	if b.file == nil {
		return nil
	}
	return b.file.Close()
}

// Has reports whether the list has a password.
func (b *BreachedList) Has(password string) (bool, error) {
	sum := sha1.Sum([]byte(password))
	if b.file == nil {
		_, found := slices.BinarySearch(b.plain, binary.BigEndian.Uint64(sum[:]))
		return found, nil
	}
	want := bytes.ToUpper([]byte(hex.EncodeToString(sum[:])))
	low, high := int64(0), b.size // the line is one that begins in [low, high)
	for low < high {
		middle := low + (high-low)/2
		line, next, err := b.lineFrom(middle, low)
		if errors.Is(err, io.EOF) {
			high = middle
			continue
		}
		if err != nil {
			return false, fmt.Errorf("list of breached passwords: %w", err)
		}
		if !isHash(line) {
			return false, errors.New("list of breached passwords: a line is no hash")
		}
		switch bytes.Compare(want, bytes.ToUpper(line[:hexBytes])) {
		case 0:
			return true, nil
		case 1:
			low = next
		default:
			high = middle
		}
	}
	return false, nil
}

// lineFrom returns the first line that begins at or after offset, which is not before the start of
// a line at low, and where the one after it begins.
func (b *BreachedList) lineFrom(offset, low int64) (line []byte, next int64, err error) {
	if offset > low {
		_, begin, err := b.lineAt(offset - 1) // the rest of the line before
		if err != nil {
			return nil, 0, err
		}
		offset = begin
	}
	return b.lineAt(offset)
}

var errLongLine = errors.New("a line is too long")

func (b *BreachedList) lineAt(offset int64) (line []byte, next int64, err error) {
	buffer := make([]byte, maxLine)
	n, err := b.file.ReadAt(buffer, offset)
	if n == 0 {
		return nil, 0, err
	}
	buffer = buffer[:n]
	if end := bytes.IndexByte(buffer, '\n'); end >= 0 {
		return bytes.TrimSuffix(buffer[:end], []byte("\r")), offset + int64(end) + 1, nil
	}
	if n == maxLine {
		return nil, 0, errLongLine
	}
	return buffer, offset + int64(n), nil // the last line
}

func isHash(line []byte) bool {
	if len(line) < hexBytes || len(line) > hexBytes && line[hexBytes] != ':' {
		return false
	}
	_, err := hex.DecodeString(string(line[:hexBytes]))
	return err == nil
}

// checkOrder looks at some lines, because an unsorted list would be searched in vain.
func (b *BreachedList) checkOrder() error {
	const samples = 256
	var before []byte
	for i := range int64(samples) {
		line, _, err := b.lineFrom(b.size/samples*i, 0)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if !isHash(line) {
			return errors.New("a line is no hash")
		}
		line = bytes.ToUpper(line[:hexBytes])
		if bytes.Compare(line, before) < 0 {
			return errors.New("its hashes are not sorted")
		}
		before = line
	}
	return nil
}

func readPlain(f *os.File) ([]uint64, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	var sums []uint64
	lines := bufio.NewScanner(f)
	lines.Buffer(make([]byte, 0, 4096), 64<<10)
	for lines.Scan() {
		line := lines.Bytes() // without its end, be it \n or \r\n
		if len(line) == 0 {
			continue
		}
		if len(sums) == MaxPlainList {
			return nil, fmt.Errorf("more than %d lines: sort the SHA-1 of each instead", MaxPlainList)
		}
		if p, err := Normalize(string(line)); err == nil {
			line = []byte(p)
		}
		sum := sha1.Sum(line)
		sums = append(sums, binary.BigEndian.Uint64(sum[:]))
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	slices.Sort(sums)
	return slices.Compact(sums), nil
}
