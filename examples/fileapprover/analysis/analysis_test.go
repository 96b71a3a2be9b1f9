package analysis_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"image"
	"image/color"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
	"golang.org/x/sys/unix"

	"github.com/perdure/perdure/examples/fileapprover/analysis"
)

// TestMain makes the test program an analysis child when it was started as one, and a program that analyses its
// standard input with the given tesseract when a test asks for it.
func TestMain(m *testing.M) {
	analysis.MaybeChild()
	if tesseract := os.Getenv("ANALYSE_STDIN_WITH"); tesseract != "" {
		o := analysis.Options{Tesseract: tesseract, Timeout: time.Hour, OCRTimeout: time.Hour}
		_, err := analysis.New(o).Run(context.Background(), os.Stdin)
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// options are those of a test without OCR.
func options(t testing.TB) analysis.Options {
	return analysis.Options{Dir: t.TempDir(), Tesseract: "/nowhere/tesseract"}
}

func run(t *testing.T, o analysis.Options, data []byte) analysis.Result {
	t.Helper()
	got, err := analysis.New(o).Run(t.Context(), bytes.NewReader(data))
	if err != nil {
		t.Fatalf("run: %v", err)
	}
	return got
}

// values returns the values of entries by source and name, several of one name joined by a bar.
func values(entries []analysis.Entry) map[string]string {
	m := map[string]string{}
	for _, e := range entries {
		key := e.Source + "/" + e.Name
		if m[key] != "" {
			m[key] += "|"
		}
		m[key] += e.Value
	}
	return m
}

func expect(t *testing.T, r analysis.Result, want map[string]string) {
	t.Helper()
	got := values(r.Entries)
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s = %q, want %q", key, got[key], value)
		}
	}
	if t.Failed() {
		t.Logf("entries: %q", r.Entries)
	}
}

// expectExplained checks that some explanation holds the words.
func expectExplained(t *testing.T, r analysis.Result, words string) {
	t.Helper()
	for _, e := range r.Entries {
		if e.Name == analysis.Explanation && strings.Contains(e.Value, words) {
			return
		}
	}
	t.Errorf("no explanation with %q in %q", words, r.Entries)
}

func TestPNG(t *testing.T) {
	t.Parallel()
	blue, coffee := color.NRGBA{0x10, 0x20, 0xA0, 255}, color.NRGBA{0xC0, 0xFF, 0xEE, 255}
	data := pngFile(t, framed(320, 200, blue, coffee))
	r := run(t, options(t), data)
	expect(t, r, map[string]string{
		"file/ContentType":              "image/png",
		"image/Format":                  "Png",
		"image/Width":                   "320",
		"image/Height":                  "200",
		"image/DominantColorBackground": "1020A0",
		"image/DominantColorForeground": "C0FFEE",
		"image/DominantColors":          "1020A0,C0FFEE",
		"image/AccentColor":             "1020A0",
		"image/IsBlackAndWhite":         "false",
		"image/HasAlpha":                "false",
		"ocr/Explanation":               "text in pictures is not recognised: tesseract is not installed",
		"analysis/Explanation":          "",
	})
	if r.Thumbnail == nil {
		t.Fatal("no thumbnail")
	}
	config, format, err := image.DecodeConfig(bytes.NewReader(r.Thumbnail.Data))
	if err != nil || format != "jpeg" || config.Width != 256 || config.Height != 160 {
		t.Errorf("thumbnail is %s %dx%d, %v", format, config.Width, config.Height, err)
	}
}

func TestPNGBlackAndWhiteWithAlpha(t *testing.T) {
	t.Parallel()
	img := framed(64, 64, color.White, color.Black)
	img.SetNRGBA(0, 0, color.NRGBA{})
	r := run(t, options(t), pngFile(t, img))
	expect(t, r, map[string]string{
		"image/IsBlackAndWhite": "true",
		"image/HasAlpha":        "true",
		"image/DominantColors":  "FFFFFF,000000",
	})
	if r.Thumbnail == nil || r.Thumbnail.ContentType != "image/png" {
		t.Errorf("the thumbnail lost its transparency: %+v", r.Thumbnail)
	}
}

func TestJPEGWithEXIF(t *testing.T) {
	t.Parallel()
	img := framed(300, 100, color.White, color.NRGBA{200, 30, 30, 255})
	r := run(t, options(t), withEXIF(jpegFile(t, img), cameraEXIF()))
	expect(t, r, map[string]string{
		"file/ContentType":     "image/jpeg",
		"image/Width":          "300",
		"image/Height":         "100",
		"exif/Make":            "Acme",
		"exif/Model":           "Model 7",
		"exif/Orientation":     "6",
		"exif/ExposureTime":    "1/125",
		"exif/ISOSpeedRatings": "100",
		"exif/Artist":          "Ann<b>x",
		"exif/Explanation":     "",
	})
	config, _, err := image.DecodeConfig(bytes.NewReader(r.Thumbnail.Data))
	if err != nil || config.Width != 85 || config.Height != 256 {
		t.Errorf("the thumbnail was not turned: %dx%d, %v", config.Width, config.Height, err)
	}
}

func TestGIFCountsFrames(t *testing.T) {
	t.Parallel()
	expect(t, run(t, options(t), gifFile(t, 7)), map[string]string{
		"image/Format": "Gif", "image/Width": "16", "image/Height": "8", "image/FrameCount": "7",
		"image/IsBlackAndWhite": "true", "image/Explanation": "",
	})
}

func TestOtherPictures(t *testing.T) {
	t.Parallel()
	img := framed(24, 12, color.White, color.NRGBA{0, 128, 0, 255})
	var bmpData, tiffData bytes.Buffer
	if err := errors.Join(bmp.Encode(&bmpData, img), tiff.Encode(&tiffData, img, nil)); err != nil {
		t.Fatal(err)
	}
	webp, err := base64.StdEncoding.DecodeString("UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA")
	if err != nil {
		t.Fatal(err)
	}
	plain := pngFile(t, img)
	const behindHeader = 8 + 25
	animated := appendChunk(bytes.Clone(plain[:behindHeader]), "acTL", []byte{0, 0, 0, 1, 0, 0, 0, 0})
	withFields := appendChunk(bytes.Clone(plain[:behindHeader]), "eXIf", cameraEXIF())
	for name, c := range map[string]struct {
		data                []byte
		format, width, make string
	}{
		"bmp":          {bmpData.Bytes(), "Bmp", "24", ""},
		"tiff":         {tiffData.Bytes(), "Tiff", "24", ""},
		"webp":         {webp, "Webp", "1", ""},
		"animated png": {append(animated, plain[behindHeader:]...), "Png", "24", ""},
		"png and exif": {append(withFields, plain[behindHeader:]...), "Png", "24", "Acme"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := run(t, options(t), c.data)
			expect(t, r, map[string]string{
				"image/Format": c.format, "image/Width": c.width, "exif/Make": c.make,
				"image/Explanation": "", "exif/Explanation": "",
			})
			if r.Thumbnail == nil {
				t.Error("no thumbnail")
			}
		})
	}
}

func TestPDF(t *testing.T) {
	t.Parallel()
	r := run(t, options(t), helloPDF("BT /F1 12 Tf 20 150 Td (Hello Perdure) Tj 0 -14 Td [(Sec) -10 (ond) -300 (line)] TJ ET"))
	expect(t, r, map[string]string{
		"file/ContentType": "application/pdf",
		"pdf/Version":      "1.4",
		"pdf/Encrypted":    "false",
		"pdf/PageCount":    "2",
		"pdf/Title":        "A (short) title",
		"pdf/Author":       "Émile",
		"pdf/Text":         "Hello Perdure\nSecond line",
		"pdf/Explanation":  "",
	})
}

func TestText(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		data                                     string
		kind, encoding, lines, words, characters string
	}{
		"utf8":    {"Grüße an alle\nzweite Zeile", "text/plain; charset=utf-8", "UTF-8", "2", "5", "26"},
		"bom":     {"\xEF\xBB\xBFab\r\n\r\ncd\r", "text/plain; charset=utf-8", "UTF-8", "3", "2", "9"},
		"utf16le": {"\xFF\xFEa\x00 \x00b\x00\n\x00", "text/plain; charset=utf-16le", "UTF-16LE", "1", "2", "4"},
		"utf16be": {"\xFE\xFF\x00a\x00 \x00b", "text/plain; charset=utf-16be", "UTF-16BE", "1", "2", "3"},
		"latin":   {"Gr\xFC\xDFe an alle, sch\xF6n\n", "text/plain; charset=iso-8859-1", "windows-1252", "1", "4", "21"},
		"html":    {"<!DOCTYPE html><html><p>Hi</p></html>", "text/html; charset=utf-8", "UTF-8", "1", "2", "37"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expect(t, run(t, options(t), []byte(c.data)), map[string]string{
				"file/ContentType": c.kind, "text/Encoding": c.encoding, "text/LineCount": c.lines,
				"text/WordCount": c.words, "text/CharacterCount": c.characters,
			})
		})
	}
}

func TestOtherTypesAreExplained(t *testing.T) {
	t.Parallel()
	zip := []byte("PK\x05\x06" + strings.Repeat("\x00", 18))
	r := run(t, options(t), zip)
	expect(t, r, map[string]string{
		"file/ContentLength":   "22",
		"file/SHA256":          "8739c76e681f900923b900c9df0ef75cf421d39cabb54650c4b9ad19b6a76d85",
		"file/ContentType":     "application/zip",
		"analysis/Explanation": "files of type application/zip are not analysed further",
	})
}

func TestSameFileGivesSameEntries(t *testing.T) {
	t.Parallel()
	for _, data := range [][]byte{
		withEXIF(jpegFile(t, framed(90, 40, color.White, color.NRGBA{200, 30, 30, 255})), cameraEXIF()),
		helloPDF("BT /F1 12 Tf (Hello) Tj ET"),
	} {
		first := analysis.InspectInProcess(data)
		for range 20 {
			if again := analysis.InspectInProcess(data); !reflect.DeepEqual(again, first) {
				t.Fatalf("entries differ:\n%q\n%q", first.Entries, again.Entries)
			}
		}
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	t.Parallel()
	o := options(t)
	run(t, o, []byte("text"))
	left, err := os.ReadDir(o.Dir)
	if err != nil || len(left) != 0 {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
}

func TestTooLongFileIsExplained(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.MaxBytes = 10
	expectExplained(t, run(t, o, []byte("12345678901")), "longer than 10 bytes")
	expect(t, run(t, o, []byte("1234567890")), map[string]string{"file/ContentLength": "10"})
}

func TestTroubleOfTheMachineIsAnError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken disk")
	if _, err := analysis.New(options(t)).Run(t.Context(), iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("unreadable file: %v", err)
	}
	o := options(t)
	o.Dir = filepath.Join(o.Dir, "absent")
	if _, err := analysis.New(o).Run(t.Context(), strings.NewReader("x")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent folder: %v", err)
	}
	o = options(t)
	o.Memory = 1
	if _, err := analysis.New(o).Run(t.Context(), strings.NewReader("x")); !errors.Is(err, analysis.ErrChildFailed) {
		t.Errorf("child that cannot start: %v", err)
	}
}

func TestCancelWhileReadingIsAnError(t *testing.T) {
	t.Parallel()
	gone := errors.New("the caller is gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	endless := readerFunc(func(p []byte) (int, error) {
		cancel(gone)
		return len(p), nil
	})
	if _, err := analysis.New(options(t)).Run(ctx, endless); !errors.Is(err, gone) {
		t.Errorf("cancelled run: %v", err)
	}
}

type readerFunc func([]byte) (int, error)

func (r readerFunc) Read(p []byte) (int, error) { return r(p) }

// hangingTesseract gives options whose tesseract runs some commands and then hangs, and two channels: one is closed
// when tesseract runs, the other when it and all it started are gone.
func hangingTesseract(t *testing.T, before ...string) (analysis.Options, <-chan struct{}, <-chan struct{}) {
	t.Helper()
	fifo := filepath.Join(t.TempDir(), "alive")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	o := fakeTesseract(t, "exec 9>"+fifo+"; echo >&9; "+strings.Join(before, "")+"sleep 1000; true")
	o.OCRTimeout = time.Hour
	o.Timeout = time.Hour
	started, ended := make(chan struct{}), make(chan struct{})
	go func() {
		f, err := os.Open(fifo)
		if err != nil {
			return
		}
		defer f.Close()
		if _, err := io.ReadFull(f, make([]byte, 1)); err == nil {
			close(started)
		}
		if _, err := io.Copy(io.Discard, f); err == nil {
			close(ended)
		}
	}()
	return o, started, ended
}

func TestCancelKillsTheChildAndWhatItStarted(t *testing.T) {
	t.Parallel()
	o, started, ended := hangingTesseract(t)
	gone := errors.New("the caller is gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-started
		cancel(gone)
	}()
	_, err := analysis.New(o).Run(ctx, bytes.NewReader(pngFile(t, framed(9, 9, color.White, color.Black))))
	if !errors.Is(err, gone) {
		t.Errorf("cancelled run: %v", err)
	}
	<-ended
}

func TestChildEndsWithItsParent(t *testing.T) {
	t.Parallel()
	o, started, ended := hangingTesseract(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(exe)
	parent.Env = append(os.Environ(), "ANALYSE_STDIN_WITH="+o.Tesseract)
	parent.Stdin = bytes.NewReader(pngFile(t, framed(9, 9, color.White, color.Black)))
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	<-started
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	<-ended
}

// The child has nothing of its parent's environment and files, and what it starts has its limits and none of its
// files.
func TestChildIsConfined(t *testing.T) {
	t.Parallel()
	inherited, err := unix.FcntlInt(2, unix.F_DUPFD, 500)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(inherited)
	o := fakeTesseract(t, fmt.Sprintf(`cat >/dev/null
wc -c </proc/$PPID/environ; ulimit -f; ulimit -n; ulimit -c; ulimit -t; pwd
for fd in 3 4 5 6 7 8 9 %[1]d; do [ -e /proc/$$/fd/$fd ] && echo "handed on: $fd"; done
[ -e /proc/$PPID/fd/%[1]d ] && echo "inherited: %[1]d"
exit 0`, inherited))
	o.CPU = 7 * time.Second
	expect(t, run(t, o, pngFile(t, framed(9, 9, color.White, color.Black))), map[string]string{
		"ocr/Text": "0\n0\n32\n0\n7\n/",
	})
}

func TestTesseractEndsWithAChildThatIsKilled(t *testing.T) {
	t.Parallel()
	o, _, ended := hangingTesseract(t, "kill -9 $PPID;")
	r := run(t, o, pngFile(t, framed(9, 9, color.White, color.Black)))
	expect(t, r, map[string]string{
		"analysis/Explanation": "stopped: the analysis process was ended by the system (killed)",
	})
	<-ended
}

func TestTimeoutKeepsWhatWasFound(t *testing.T) {
	t.Parallel()
	o, _, ended := hangingTesseract(t)
	o.Timeout = 3 * time.Second
	r := run(t, o, pngFile(t, framed(9, 9, color.White, color.Black)))
	expect(t, r, map[string]string{
		"image/Width":          "9",
		"analysis/Explanation": "stopped: exceeded the time limit of 3s",
	})
	<-ended
}

// fakeTesseract writes a program that stands in for tesseract.
func fakeTesseract(t *testing.T, script string) analysis.Options {
	t.Helper()
	o := options(t)
	o.Tesseract = filepath.Join(t.TempDir(), "tesseract")
	if err := os.WriteFile(o.Tesseract, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestOCR(t *testing.T) {
	t.Parallel()
	picture := pngFile(t, framed(40, 20, color.White, color.Black))
	for name, c := range map[string]struct{ script, entry, want string }{
		"text":    {`[ "$1 $2" = "stdin stdout" ] && head -c 4 | tail -c 3; echo " seen"; env | grep -c HOME || true`, "ocr/Text", "PNG seen\n0"},
		"nothing": {"cat >/dev/null", "ocr/Explanation", "no text was recognised"},
		"fails":   {"cat >/dev/null; exit 3", "ocr/Explanation", "the recognition of text failed: tesseract ended with exit status 3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expect(t, run(t, fakeTesseract(t, c.script), picture), map[string]string{c.entry: c.want})
		})
	}
	t.Run("flood", func(t *testing.T) {
		t.Parallel()
		r := run(t, fakeTesseract(t, "cat >/dev/null; exec yes word"), picture)
		if text := values(r.Entries)["ocr/Text"]; len(text) > 8<<10 || !strings.HasPrefix(text, "word\nword") {
			t.Errorf("text of %d bytes", len(text))
		}
	})
	t.Run("hangs", func(t *testing.T) {
		t.Parallel()
		o := fakeTesseract(t, "exec sleep 1000")
		o.OCRTimeout = 200 * time.Millisecond
		r := run(t, o, picture)
		expect(t, r, map[string]string{"analysis/Explanation": ""})
		expectExplained(t, r, "exceeded its limit of 200ms")
	})
}
