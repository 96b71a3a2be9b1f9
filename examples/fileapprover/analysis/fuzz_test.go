package analysis_test

import (
	"bytes"
	"encoding/json"
	"image"
	"image/color"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/perdure/perdure/examples/fileapprover/analysis"
)

// FuzzInspect feeds the readers of formats, which must answer bounded and clean entries for any bytes. What only the
// child's limits stop (memory, time) is out of its reach, hence the bound of the input.
func FuzzInspect(f *testing.F) {
	picture := framed(20, 10, color.White, color.NRGBA{200, 1, 1, 255})
	var tree bytes.Buffer
	tree.WriteString("<p>Größe\r\n")
	for _, seed := range [][]byte{
		nil,
		tree.Bytes(),
		[]byte("\xFF\xFEa\x00\x00\xD8"),
		pngFile(f, picture),
		withEXIF(jpegFile(f, picture), cameraEXIF()),
		cameraEXIF(),
		gifFile(f, 2),
		helloPDF("BT /F1 12 Tf 1 0 0 1 20 150 Tm [(Hel) -300 <6C6F>] TJ T* (a\\051\\\n) ' ET BI ID x EI"),
		helloPDF("BT /F2 1 Tf <0001> Tj ET", fontWithCharacterMap, pdfStream("", characterMap)),
		helloPDF("/X1 Do", pdfStream("/Subtype /Form", "/X1 Do (x) Tj")),
		deepPDF(50),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 64<<10 {
			t.Skip()
		}
		if config, _, err := image.DecodeConfig(bytes.NewReader(data)); err == nil && config.Width*config.Height > 1<<22 {
			t.Skip()
		}
		r := analysis.InspectInProcess(data)
		if len(r.Entries) < 3 || len(r.Entries) > 200 {
			t.Errorf("%d entries", len(r.Entries))
		}
		for _, e := range r.Entries {
			if e.Name == "" || e.Value == "" || e.Source == "" || len(e.Value) > 8<<10 || !utf8.ValidString(e.Value) ||
				strings.ContainsAny(e.Value, "\x00\x1b\u202e") {
				t.Errorf("entry %q", e)
			}
		}
		if r.Thumbnail != nil {
			config, _, err := image.DecodeConfig(bytes.NewReader(r.Thumbnail.Data))
			if err != nil || config.Width > analysis.ThumbnailSide || config.Height > analysis.ThumbnailSide {
				t.Errorf("thumbnail of %dx%d, %v", config.Width, config.Height, err)
			}
		}
	})
}

// FuzzReceive feeds the parent's reader of what a child sends.
func FuzzReceive(f *testing.F) {
	f.Add([]byte(`{"ready":true}` + "\n" + `{"entry":{"name":"Width","value":"1","source":"image"}}`))
	f.Add([]byte(`{"thumbnail":{"contentType":"image/jpeg","data":"/9j/"}}` + "\n" + `{"done":true}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, _, _ := analysis.Receive(data)
		for _, e := range entries {
			if e.Value != analysis.Clean(e.Value, 8<<10) {
				t.Errorf("unclean entry %q", e)
			}
			if _, err := json.Marshal(e); err != nil {
				t.Error(err)
			}
		}
	})
}

// FuzzClean checks that cleaning is bounded and that what is clean stays as it is: parent and child agree on it.
func FuzzClean(f *testing.F) {
	f.Add("a\r\nb\x00\u202ec\xff ", 5)
	f.Add(" \x00 x", 100)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		if limit < 3 || limit > 1000 {
			t.Skip()
		}
		once := analysis.Clean(s, limit)
		if len(once) > limit || !utf8.ValidString(once) || analysis.Clean(once, limit) != once {
			t.Errorf("clean(%q, %d) = %q, and again %q", s, limit, once, analysis.Clean(once, limit))
		}
	})
}
