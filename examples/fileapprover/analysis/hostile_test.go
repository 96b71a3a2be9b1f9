package analysis_test

import (
	"bytes"
	"encoding/binary"
	"image/color"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/examples/fileapprover/analysis"
)

// TestHostileFiles checks that each file is explained and that the child survives it.
func TestHostileFiles(t *testing.T) {
	t.Parallel()
	le := binary.LittleEndian
	picture := framed(60, 60, color.White, color.NRGBA{1, 2, 200, 255})
	pngData, jpegData := pngFile(t, picture), jpegFile(t, picture)
	garbage := make([]byte, 4096)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(garbage)
	pdf := helloPDF("BT /F1 12 Tf (Hello) Tj ET")

	for name, c := range map[string]struct {
		data        []byte
		contentType string
		explanation string
	}{
		"empty":                 {nil, "application/octet-stream", "the file is empty"},
		"garbage":               {garbage, "application/octet-stream", "are not analysed further"},
		"html called png":       {[]byte("<html><script>alert(1)</script></html>"), "text/html; charset=utf-8", ""},
		"png cut in its header": {pngData[:20], "image/png", "could not be decoded"},
		"png cut in its data":   {pngData[:len(pngData)-30], "image/png", "could not be decoded"},
		"png signature only":    {pngData[:8], "image/png", "could not be decoded"},
		"jpeg cut":              {jpegData[:len(jpegData)/2], "image/jpeg", "could not be decoded"},
		"png of huge size":      {hugePNG(t, 1<<31-1, 1<<31-1, 0), "image/png", "could not be decoded"},
		"png of large size":     {hugePNG(t, 100_000, 100_000, 0), "image/png", "more than this analysis decodes"},
		"png of no size":        {hugePNG(t, 0, 0, 0), "image/png", "could not be decoded"},
		"png that inflates to more than its size": {hugePNG(t, 10, 10, 8<<20), "image/png", "could not be decoded"},
		"gif cut":            {gifFile(t, 3)[:70], "image/gif", "could not be read"},
		"gif of many frames": {gifOfFrames(t, 100_000), "image/gif", ""},
		"bmp of huge size":   {hugeBMP(), "image/bmp", "could not be decoded"},
		"pdf cut":            {pdf[:len(pdf)/3], "application/pdf", "could not be read"},
		"pdf header only":    {[]byte("%PDF-1.7\n"), "application/pdf", "could not be read"},
		"pdf nested deep":    {deepPDF(100_000), "application/pdf", "could not be read"},
		"pdf whose pages are a circle": {pdfFile("", "<< /Type /Catalog /Pages 2 0 R >>",
			"<< /Type /Pages /Kids [2 0 R] /Count 5 /Parent 2 0 R >>"), "application/pdf", "could not be read"},
		"pdf of pages that do not exist": {pdfFile("", "<< /Type /Catalog /Pages 2 0 R >>",
			"<< /Type /Pages /Kids [] /Count 999999999 >>"), "application/pdf", "could not be read"},
		"pdf whose form shows itself": {helloPDF("/X1 Do", pdfStream("/Type /XObject /Subtype /Form",
			strings.Repeat("/X1 Do ", 100))), "application/pdf", "no text could be extracted"},
		"pdf without text": {helloPDF("0 0 10 10 re f"), "application/pdf", "no text could be extracted"},
		"exif directory that is its own next": {withEXIF(jpegData, exifBlock(8,
			exifField{0x0112, 3, 1, []byte{1, 0}})), "image/jpeg", "refer to each other without end"},
		"exif directories in a circle": {withEXIF(jpegData, exifCircle()), "image/jpeg", "refer to each other without end"},
		"exif fields that overlap": {withEXIF(jpegData, exifBlock(0, bytesFields(1500)...)),
			"image/jpeg", "they are too many"},
		"exif cut": {withEXIF(jpegData, exifBlock(0, exifField{0x010F, 2, 4000, []byte("Acme\x00")})),
			"image/jpeg", "EXIF fields could not be read"},
		"exif block inside another": {withEXIF(jpegData, append([]byte("hidden  "), withEXIF(jpegData, exifCircle())[2:]...)),
			"image/jpeg", "not in TIFF form"},
		"exif pointer of two bytes": {withEXIF(jpegData, exifBlock(0, exifField{0x8769, 3, 1, []byte{8, 0, 9, 9}})),
			"image/jpeg", "places that do not exist"},
		"exif count that overflows": {withEXIF(jpegData, exifBlock(0, exifField{0x0112, 3, 1<<31 + 1, []byte{1, 0}})),
			"image/jpeg", "they are too many"},
		"exif orientation without value": {withEXIF(jpegData, exifBlock(0, exifField{0x0112, 2, 1, []byte{0}})),
			"image/jpeg", ""},
		"exif garbage": {withEXIF(jpegData, append([]byte("II*\x00"), garbage[:900]...)), "image/jpeg", "EXIF"},
		"tiff garbage": {append(le.AppendUint32([]byte("II*\x00"), 8), garbage...), "image/tiff", "could not be decoded"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := run(t, options(t), c.data)
			expect(t, r, map[string]string{"file/ContentType": c.contentType})
			if c.explanation != "" {
				expectExplained(t, r, c.explanation)
			}
			for _, e := range r.Entries {
				if strings.HasPrefix(e.Value, "stopped:") {
					t.Errorf("the child did not survive: %q", e.Value)
				}
			}
		})
	}
}

// gifOfFrames repeats the first picture of a GIF file.
func gifOfFrames(t *testing.T, n int) []byte {
	data := gifFile(t, 1)
	start := bytes.IndexByte(data[13:], 0x2C) + 13
	frame := data[start : len(data)-1]
	out := append([]byte{}, data[:start]...)
	return append(append(out, bytes.Repeat(frame, n)...), 0x3B)
}

func hugeBMP() []byte {
	le := binary.LittleEndian
	b := []byte("BM\x00\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00")
	b = le.AppendUint32(le.AppendUint32(b, 1<<30), 1<<30)
	return append(b, append([]byte{1, 0, 24, 0}, make([]byte, 24)...)...)
}

// exifCircle is two directories that name each other as next.
func exifCircle() []byte {
	first := exifBlock(26, exifField{0x0112, 3, 1, []byte{1, 0}})
	second := exifBlock(8, exifField{0x0112, 3, 1, []byte{1, 0}})[8:]
	return append(first, second...)
}

// bytesFields are fields that all claim the same 20,000 bytes.
func bytesFields(n int) []exifField {
	fields := make([]exifField, n)
	for i := range fields {
		fields[i] = exifField{0x927C, 1, 20_000, nil}
	}
	fields[0].value = make([]byte, 20_000)
	return fields
}

// The picture passes the check of its header and needs more than the child may have.
func TestMemoryLimitStopsTheChild(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Memory = 64 << 20
	r := run(t, o, hugePNG(t, 12_000, 12_000, 0))
	expect(t, r, map[string]string{
		"image/Width":          "12000",
		"image/Height":         "12000",
		"analysis/Explanation": "stopped: exceeded the memory limit",
	})
}

func TestProcessorTimeLimitStopsTheChild(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.CPU = time.Second
	o.Timeout = time.Hour
	r := run(t, o, slowJPEG())
	expect(t, r, map[string]string{
		"image/Width":          "5000",
		"analysis/Explanation": "stopped: exceeded the limit of processor time",
	})
}

// A child that a file took over cannot make the parent keep more than the bounds say.
func TestWhatAChildSendsIsNotTrusted(t *testing.T) {
	t.Parallel()
	entry := `{"entry":{"name":"Width","value":"1","source":"image"}}` + "\n"
	for name, c := range map[string]struct {
		data    string
		entries int
		ok      bool
	}{
		"fine":              {`{"ready":true}` + "\n" + entry + `{"done":true}` + "\n", 1, true},
		"no json":           {entry + "x\n", 1, false},
		"too many":          {strings.Repeat(entry, 300), 200, false},
		"unknown source":    {`{"entry":{"name":"a","value":"1","source":"parent"}}`, 0, false},
		"control character": {`{"entry":{"name":"a","value":"\u001b[2J","source":"file"}}`, 0, false},
		"text direction":    {`{"entry":{"name":"a","value":"a\u202eb","source":"file"}}`, 0, false},
		"long value":        {`{"entry":{"name":"a","value":"` + strings.Repeat("v", 9000) + `","source":"file"}}`, 0, false},
		"long line":         {strings.Repeat(" ", 1<<20), 0, false},
		"html as thumbnail": {`{"thumbnail":{"contentType":"image/png","data":"PGh0bWw+"}}`, 0, false},
		"type of thumbnail": {`{"thumbnail":{"contentType":"text/html","data":"/9j/"}}`, 0, false},
		"after the end":     {`{"done":true}` + "\n" + entry, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			entries, _, err := analysis.Receive([]byte(c.data))
			if len(entries) != c.entries || (err == nil) != c.ok {
				t.Errorf("%d entries, %v; want %d, ok %v", len(entries), err, c.entries, c.ok)
			}
		})
	}
}
