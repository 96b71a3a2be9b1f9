package analysis_test

import (
	"bytes"
	"image/color"
	"testing"

	"github.com/perdure/perdure/examples/fileapprover/analysis"
)

// BenchmarkRun measures one analysis, the start of its child included and without OCR.
func BenchmarkRun(b *testing.B) {
	photo := framed(4000, 3000, color.White, color.NRGBA{200, 30, 30, 255})
	for i := range photo.Pix {
		if i%4 != 3 {
			photo.Pix[i] = byte(i * i >> 7)
		}
	}
	for _, c := range []struct {
		name string
		data []byte
	}{
		{"text", []byte("hello")},
		{"png", pngFile(b, framed(320, 200, color.White, color.Black))},
		{"pdf", helloPDF("BT /F1 12 Tf (Hello) Tj ET")},
		{"jpeg-12MP", jpegFile(b, photo)},
	} {
		b.Run(c.name, func(b *testing.B) {
			a := analysis.New(options(b))
			for b.Loop() {
				if _, err := a.Run(b.Context(), bytes.NewReader(c.data)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
