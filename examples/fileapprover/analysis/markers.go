package analysis

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
)

// jpegSegment is a marker segment of a JPEG file (ITU T.81, annex B) before its first scan.
type jpegSegment struct {
	marker byte
	data   []byte
}

// JPEG markers used here.
const (
	jpegSOF2 = 0xC2 // start of frame, progressive
	jpegSOI  = 0xD8
	jpegEOI  = 0xD9
	jpegSOS  = 0xDA
	jpegAPP1 = 0xE1
)

// jpegSegments calls visit for each segment of a JPEG file until it returns false, the first scan begins or the
// file is damaged.
func jpegSegments(r *bufio.Reader, visit func(jpegSegment) bool) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil || head != [2]byte{0xFF, jpegSOI} {
		return
	}
	for {
		if b, err := r.ReadByte(); err != nil || b != 0xFF {
			return
		}
		marker := byte(0xFF)
		for marker == 0xFF { // fill bytes
			b, err := r.ReadByte()
			if err != nil {
				return
			}
			marker = b
		}
		if marker == jpegSOS || marker == jpegEOI {
			return
		}
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return
		}
		length := int(binary.BigEndian.Uint16(head[:]))
		if length < 2 {
			return
		}
		data := make([]byte, length-2)
		if _, err := io.ReadFull(r, data); err != nil || !visit(jpegSegment{marker, data}) {
			return
		}
	}
}

// progressiveJPEG reports whether a JPEG file is sent in several scans.
func progressiveJPEG(r *bufio.Reader) bool {
	progressive := false
	jpegSegments(r, func(s jpegSegment) bool {
		progressive = s.marker == jpegSOF2
		return !progressive
	})
	return progressive
}

// countGIFFrames counts the pictures of a GIF file (GIF89a specification) without decoding them. With an error it
// returns those before the damage.
func countGIFFrames(r *bufio.Reader) (int64, error) {
	damaged := errors.New("the file is damaged or cut short")
	var head [13]byte // signature, version, logical screen descriptor
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, damaged
	}
	if err := skipColorTable(r, head[10]); err != nil {
		return 0, damaged
	}
	for frames := int64(0); ; {
		kind, err := r.ReadByte()
		if err != nil {
			return frames, damaged
		}
		switch kind {
		case 0x3B: // trailer
			return frames, nil
		case 0x21: // extension: label, sub-blocks
			_, err = r.Discard(1)
		case 0x2C: // image: position, size, flags, colour table, code size, sub-blocks
			var image [9]byte
			if _, err = io.ReadFull(r, image[:]); err == nil {
				err = skipColorTable(r, image[8])
			}
			if err == nil {
				_, err = r.Discard(1)
			}
		default:
			return frames, damaged
		}
		if err == nil {
			err = skipSubBlocks(r)
		}
		if err != nil {
			return frames, damaged
		}
		if kind == 0x2C {
			frames++
		}
	}
}

// skipColorTable skips the colour table that a descriptor's flags announce.
func skipColorTable(r *bufio.Reader, flags byte) error {
	if flags&0x80 == 0 {
		return nil
	}
	_, err := r.Discard(3 << (flags&7 + 1))
	return err
}

func skipSubBlocks(r *bufio.Reader) error {
	for {
		n, err := r.ReadByte()
		if err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
		if _, err := r.Discard(int(n)); err != nil {
			return err
		}
	}
}
