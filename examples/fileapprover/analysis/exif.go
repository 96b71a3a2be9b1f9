package analysis

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/rwcarlsen/goexif/exif"
	"github.com/rwcarlsen/goexif/tiff"
)

// Bounds of EXIF data. The reader behind [exif.Decode] follows chains of directories without end and copies what
// overlapping fields point at, so these are checked before it sees the data.
const (
	maxEXIFBytes       = 16 << 20 // of the block, or of a whole TIFF file
	maxEXIFDirectories = 16
	maxEXIFFields      = 2000
	maxEXIFValueBytes  = 1 << 20 // of all values together
	maxEXIFEntries     = 80      // reported
	maxEXIFValueLength = 200     // reported of one value
)

// inspectEXIF reports the EXIF fields of a picture by name and returns its orientation, 1 when it has none.
func inspectEXIF(src source, media string, f *findings) (orientation int) {
	orientation = 1
	block, err := exifBlock(src, media)
	if err == nil && block == nil {
		return orientation
	}
	if err == nil {
		err = checkEXIF(block)
	}
	var x *exif.Exif
	if err == nil {
		x, err = exif.Decode(bytes.NewReader(block))
		if x != nil && !exif.IsCriticalError(err) {
			err = nil // some directories could be read
		}
	}
	if err != nil {
		f.explain(SourceEXIF, "the EXIF fields could not be read: %v", err)
		return orientation
	}
	var fields exifFields
	if err := x.Walk(&fields); err != nil {
		f.explain(SourceEXIF, "the EXIF fields could not be read: %v", err)
		return orientation
	}
	slices.SortFunc(fields, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	for i, e := range fields {
		if i == maxEXIFEntries {
			f.explain(SourceEXIF, "%d more EXIF fields are not listed", len(fields)-i)
			break
		}
		f.add(SourceEXIF, e.Name, e.Value)
	}
	if tag, err := x.Get(exif.Orientation); err == nil && tag.Count == 1 {
		if n, err := tag.Int(0); err == nil {
			orientation = n
		}
	}
	return orientation
}

// exifFields collects the fields that a person can read.
type exifFields []Entry

// Walk adds one field; it implements [exif.Walker].
func (fields *exifFields) Walk(name exif.FieldName, tag *tiff.Tag) error {
	switch name {
	case exif.MakerNote, exif.ExifIFDPointer, exif.GPSInfoIFDPointer, exif.InteroperabilityIFDPointer,
		exif.ThumbJPEGInterchangeFormat, exif.ThumbJPEGInterchangeFormatLength:
		return nil // data of a maker's own form, and places in the file
	}
	if value := cleanLine(exifValue(tag), maxEXIFValueLength); value != "" {
		*fields = append(*fields, Entry{Name: string(name), Value: value})
	}
	return nil
}

// exifValue writes a value: numbers in decimal, several separated by commas, fractions as 1/125. Bytes that are no
// text are left out.
func exifValue(tag *tiff.Tag) string {
	switch tag.Format() {
	case tiff.StringVal:
		s, _ := tag.StringVal()
		return s
	case tiff.UndefVal:
		// UserComment starts with eight bytes that name its character set.
		s := strings.TrimRight(strings.TrimPrefix(string(tag.Val), "ASCII\x00\x00\x00"), "\x00 ")
		if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
			return ""
		}
		return s
	}
	var parts []string
	for i := range min(int(tag.Count), 16) {
		switch tag.Format() {
		case tiff.IntVal:
			n, _ := tag.Int64(i)
			parts = append(parts, fmt.Sprint(n))
		case tiff.FloatVal:
			n, _ := tag.Float(i)
			parts = append(parts, fmt.Sprint(n))
		case tiff.RatVal:
			n, d, _ := tag.Rat2(i)
			parts = append(parts, fmt.Sprintf("%d/%d", n, d))
		}
	}
	return strings.Join(parts, ",")
}

// exifBlock returns the EXIF data of a picture in TIFF form, nil when it has none.
func exifBlock(src source, media string) ([]byte, error) {
	const intro = "Exif\x00\x00"
	var block []byte
	switch media {
	case "image/jpeg":
		jpegSegments(buffered(src), func(s jpegSegment) bool {
			if data, ok := bytes.CutPrefix(s.data, []byte(intro)); ok && s.marker == jpegAPP1 {
				block = data
			}
			return block == nil
		})
		return block, nil
	case "image/png": // signature, then chunks: length, type, data, check sum
		return chunk(src, 8, "eXIf", func(head []byte) (string, int64, int64) {
			n := int64(binary.BigEndian.Uint32(head))
			return string(head[4:8]), n, n + 4
		})
	case "image/webp": // RIFF header, then chunks: type, length, data, padding to even
		block, err := chunk(src, 12, "EXIF", func(head []byte) (string, int64, int64) {
			n := int64(binary.LittleEndian.Uint32(head[4:]))
			return string(head[:4]), n, n + n%2
		})
		return bytes.TrimPrefix(block, []byte(intro)), err
	case "image/tiff":
		if src.size() > maxEXIFBytes {
			return nil, fmt.Errorf("the file is longer than %d bytes", maxEXIFBytes)
		}
		return io.ReadAll(section(src))
	}
	return nil, nil
}

// chunk finds the data of the first chunk of a type in a file of chunks with heads of eight bytes. parse returns the
// type, the length of the data and the distance from their start to the next chunk.
func chunk(src source, at int64, want string, parse func(head []byte) (string, int64, int64)) ([]byte, error) {
	var head [8]byte
	for at+8 <= src.size() {
		if _, err := src.ReadAt(head[:], at); err != nil {
			return nil, err
		}
		kind, length, next := parse(head[:])
		at += 8
		if kind != want {
			at += next
			continue
		}
		if length > maxEXIFBytes || at+length > src.size() {
			return nil, errors.New("they are cut short or too long")
		}
		data := make([]byte, length)
		_, err := src.ReadAt(data, at)
		if err == io.EOF {
			err = nil
		}
		return data, err
	}
	return nil, nil
}

// checkEXIF walks the directories of a TIFF block as the reader will and refuses what is beyond the bounds.
func checkEXIF(block []byte) error {
	errCut := errors.New("they are cut short")
	errBounds := errors.New("they are too many or refer to each other without end")
	var order binary.ByteOrder
	switch {
	case len(block) < 8:
		return errCut
	case bytes.HasPrefix(block, []byte("II*\x00")):
		order = binary.LittleEndian
	case bytes.HasPrefix(block, []byte("MM\x00*")):
		order = binary.BigEndian
	default: // the reader would search anything else for a block that was not checked
		return errors.New("they are not in TIFF form")
	}
	const exifPointer, gpsPointer, interopPointer = 0x8769, 0x8825, 0xA005
	size := map[uint16]uint64{1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
	seen := map[uint32]bool{}
	fields, valueBytes := 0, uint64(0)
	pending := []uint32{order.Uint32(block[4:])}
	for len(pending) > 0 {
		at := pending[0]
		pending = pending[1:]
		if at == 0 {
			continue
		}
		if uint64(at)+2 > uint64(len(block)) {
			return errCut
		}
		if seen[at] || len(seen) == maxEXIFDirectories {
			return errBounds
		}
		seen[at] = true
		n := int(order.Uint16(block[at:]))
		end := uint64(at) + 2 + 12*uint64(n)
		if fields += n; fields > maxEXIFFields {
			return errBounds
		}
		if end+4 > uint64(len(block)) {
			return errCut
		}
		for i := range n {
			field := block[uint64(at)+2+12*uint64(i):]
			kind, count := order.Uint16(field[2:]), order.Uint32(field[4:])
			valueBytes += size[kind] * uint64(count)
			if valueBytes > maxEXIFValueBytes {
				return errBounds
			}
			switch order.Uint16(field) {
			case exifPointer, gpsPointer, interopPointer:
				if kind != 4 || count != 1 { // the reader would take another number for the place
					return errors.New("they refer to places that do not exist")
				}
				pending = append(pending, order.Uint32(field[8:]))
			}
		}
		pending = append(pending, order.Uint32(block[end:]))
	}
	return nil
}
