package analysis

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/png"
	"io"
	"os/exec"
	"time"

	"golang.org/x/image/draw"
)

const (
	maxOCRSide   = 2500     // pixels along the longer side of what tesseract reads
	maxOCROutput = 64 << 10 // bytes read of its answer
)

// inspectOCR recognises text in a picture. Tesseract does not see the file: it gets a grey PNG drawn from the
// decoded pixels, and it inherits the limits and the group of this process.
func inspectOCR(ctx context.Context, img image.Image, f *findings, o childOptions) {
	if o.Tesseract == "" {
		f.explain(SourceOCR, "text in pictures is not recognised: tesseract is not installed")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, o.OCRTimeout)
	defer cancel()
	text, err := recognise(ctx, img, o)
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		f.explain(SourceOCR, "the recognition of text exceeded its limit of %v", o.OCRTimeout)
	case errors.As(err, &exit):
		f.explain(SourceOCR, "the recognition of text failed: tesseract ended with %v", exit.ProcessState)
	case err != nil:
		f.explain(SourceOCR, "the recognition of text failed: %v", err)
	case clean(text, maxValueBytes) == "":
		f.explain(SourceOCR, "no text was recognised")
	default:
		f.add(SourceOCR, "Text", text)
	}
}

func recognise(ctx context.Context, img image.Image, o childOptions) (string, error) {
	var input bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := encoder.Encode(&input, grayscale(img)); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, o.Tesseract, "stdin", "stdout")
	cmd.Dir = "/"
	cmd.Env = []string{"OMP_THREAD_LIMIT=1"}
	if o.TessdataPrefix != "" {
		cmd.Env = append(cmd.Env, "TESSDATA_PREFIX="+o.TessdataPrefix)
	}
	cmd.Stdin = &input
	cmd.WaitDelay = time.Second
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	text, readErr := io.ReadAll(io.LimitReader(stdout, maxOCROutput))
	if len(text) == maxOCROutput {
		// The rest is not wanted; what is there is the answer.
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return string(text), nil
	}
	return string(text), errors.Join(readErr, cmd.Wait())
}

// grayscale draws img grey on white, scaled down to maxOCRSide.
func grayscale(img image.Image) *image.Gray {
	b := img.Bounds()
	w, h := b.Dx(), b.Dy()
	if longer := max(w, h); longer > maxOCRSide {
		w, h = max(1, w*maxOCRSide/longer), max(1, h*maxOCRSide/longer)
	}
	gray := image.NewGray(image.Rect(0, 0, w, h))
	draw.Draw(gray, gray.Bounds(), image.White, image.Point{}, draw.Src)
	draw.ApproxBiLinear.Scale(gray, gray.Bounds(), img, b, draw.Over, nil)
	return gray
}
