package analysis_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"image/jpeg"
	"image/png"
	"strings"
	"testing"
)

// framed is a picture of one colour with a rectangle of another in its middle.
func framed(w, h int, background, foreground color.Color) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	draw.Draw(img, img.Rect, image.NewUniform(background), image.Point{}, draw.Src)
	middle := image.Rect(w/4, h/4, w-w/4, h-h/4)
	draw.Draw(img, middle, image.NewUniform(foreground), image.Point{}, draw.Src)
	return img
}

func pngFile(tb testing.TB, img image.Image) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func jpegFile(tb testing.TB, img image.Image) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// withEXIF puts an EXIF segment behind the start of a JPEG file.
func withEXIF(jpegData, block []byte) []byte {
	data := append([]byte("Exif\x00\x00"), block...)
	out := append([]byte{}, jpegData[:2]...)
	out = append(out, 0xFF, 0xE1)
	out = binary.BigEndian.AppendUint16(out, uint16(len(data)+2))
	return append(append(out, data...), jpegData[2:]...)
}

// exifField is one field of a directory; a value longer than four bytes is stored behind the directory.
type exifField struct {
	tag, kind uint16
	count     uint32
	value     []byte
}

// exifBlock builds a little-endian TIFF block of one directory whose end points to next.
func exifBlock(next uint32, fields ...exifField) []byte {
	le := binary.LittleEndian
	b := []byte("II*\x00\x08\x00\x00\x00")
	b = le.AppendUint16(b, uint16(len(fields)))
	behind := uint32(8 + 2 + 12*len(fields) + 4)
	var values []byte
	for _, f := range fields {
		b = le.AppendUint16(b, f.tag)
		b = le.AppendUint16(b, f.kind)
		b = le.AppendUint32(b, f.count)
		if len(f.value) <= 4 {
			b = append(b, append(append([]byte{}, f.value...), 0, 0, 0, 0)[:4]...)
			continue
		}
		b = le.AppendUint32(b, behind+uint32(len(values)))
		values = append(values, f.value...)
	}
	b = le.AppendUint32(b, next)
	return append(b, values...)
}

func cameraEXIF() []byte {
	return exifBlock(0,
		exifField{0x010F, 2, 6, []byte("Acme\x00\x00")},                      // Make
		exifField{0x0110, 2, 8, []byte("Model 7\x00")},                       // Model
		exifField{0x0112, 3, 1, []byte{6, 0}},                                // Orientation: turned right
		exifField{0x829A, 5, 1, []byte{1, 0, 0, 0, 125, 0, 0, 0}},            // ExposureTime
		exifField{0x8827, 3, 1, []byte{100, 0}},                              // ISOSpeedRatings
		exifField{0x013B, 2, 12, []byte("Ann\x07<b>\xE2\x80\xAEx\x00")[:12]}, // Artist, with a bell and a bidi control
	)
}

// hugePNG has a header of w by h grey pixels and data that inflates to as many zero bytes as wanted.
func hugePNG(tb testing.TB, w, h uint32, inflated int) []byte {
	tb.Helper()
	b := []byte("\x89PNG\r\n\x1a\n")
	b = appendChunk(b, "IHDR", pngHeader(w, h))
	var idat bytes.Buffer
	z, err := zlib.NewWriterLevel(&idat, zlib.BestCompression)
	if err != nil {
		tb.Fatal(err)
	}
	zeros := make([]byte, 1<<16)
	for n := 0; n < inflated; n += len(zeros) {
		if _, err := z.Write(zeros); err != nil {
			tb.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		tb.Fatal(err)
	}
	return appendChunk(appendChunk(b, "IDAT", idat.Bytes()), "IEND", nil)
}

// slowJPEG is a small file of a grey progressive picture whose every scan says, in a few bytes, that no block
// changes; the decoder visits all of them each time.
func slowJPEG() []byte {
	const side, scans = 5000, 20_000
	const blocks, maxRun = (side / 8) * (side / 8), 1<<15 - 1
	b := []byte{0xFF, 0xD8, 0xFF, 0xDB, 0, 67, 0}
	b = append(b, bytes.Repeat([]byte{1}, 64)...)
	b = append(b, 0xFF, 0xC2, 0, 11, 8, side>>8, side&0xFF, side>>8, side&0xFF, 1, 1, 0x11, 0)
	// One code of one bit: a run of blocks that have ended, its length in 14 more bits.
	b = append(b, 0xFF, 0xC4, 0, 20, 0x10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xE0)
	scan := []byte{0xFF, 0xDA, 0, 8, 1, 1, 0x00, 1, 63, 0x00}
	bits, pending := 0, 0
	for range (blocks + maxRun - 1) / maxRun {
		bits, pending = bits<<15|1<<14-1, pending+15
		for ; pending >= 8; pending -= 8 {
			if scan = append(scan, byte(bits>>(pending-8))); scan[len(scan)-1] == 0xFF {
				scan = append(scan, 0)
			}
		}
		bits &= 1<<pending - 1
	}
	scan = append(scan, byte(bits<<(8-pending)))
	return append(append(b, bytes.Repeat(scan, scans)...), 0xFF, 0xD9)
}

// pngHeader is that of a grey picture of eight bits without interlacing.
func pngHeader(w, h uint32) []byte {
	size := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, w), h)
	return append(size, 8, 0, 0, 0, 0)
}

func appendChunk(b []byte, kind string, data []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	start := len(b)
	b = append(append(b, kind...), data...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[start:]))
}

func gifFile(tb testing.TB, frames int) []byte {
	tb.Helper()
	palette := color.Palette{color.Black, color.White}
	var g gif.GIF
	for range frames {
		g.Image = append(g.Image, image.NewPaletted(image.Rect(0, 0, 16, 8), palette))
		g.Delay = append(g.Delay, 1)
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, &g); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// pdfFile builds a PDF document with a correct cross-reference table. objects[i] is the body of object i+1; object
// 1 is the catalog; trailer is added to the trailer dictionary.
func pdfFile(trailer string, objects ...string) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.4\n%\xE2\xE3\xCF\xD3\n")
	offsets := make([]int, len(objects))
	for i, body := range objects {
		offsets[i] = b.Len()
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, body)
	}
	start := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, offset := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", offset)
	}
	fmt.Fprintf(&b, "trailer\n<< /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, trailer, start)
	return b.Bytes()
}

func pdfStream(dict, data string) string {
	return fmt.Sprintf("<< /Length %d %s >>\nstream\n%s\nendstream", len(data), dict, data)
}

// helloPDF is a document of two pages whose first shows content with a Helvetica font F1.
func helloPDF(content string, more ...string) []byte {
	objects := []string{
		"<< /Type /Catalog /Pages 2 0 R >>",
		"<< /Type /Pages /Kids [3 0 R 4 0 R] /Count 2 /Resources << /Font << /F1 5 0 R /F2 8 0 R >> /XObject << /X1 8 0 R >> >> >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Contents 6 0 R >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] >>",
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
		pdfStream("", content),
		`<< /Title (A \(short\) title) /Author <FEFF00C9006D0069006C0065> >>`,
	}
	return pdfFile("/Info 7 0 R", append(objects, more...)...)
}

// deepPDF is a document with an array nested n deep.
func deepPDF(n int) []byte {
	return pdfFile("", "<< /Type /Catalog /Pages 2 0 R /Deep "+strings.Repeat("[", n)+strings.Repeat("]", n)+" >>",
		"<< /Type /Pages /Kids [] /Count 0 >>")
}
