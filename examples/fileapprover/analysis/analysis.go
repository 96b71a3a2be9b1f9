// Package analysis finds out what an uploaded file is: length, digest and type of any file, and size, colours,
// EXIF fields, pages, text and words of the formats it knows.
//
// Files come from strangers, so no format is parsed in the calling process. [Analyzer.Run] starts the running program
// again as a child (see [MaybeChild]) with an empty environment and limits of memory, processor time, wall time, file
// size and open files. The child sends each finding as soon as it has it: when a file breaks the child, what was found
// before stays, and one more entry explains what happened. A hostile file is therefore a result, never an error.
package analysis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Sources say which part of the analysis found an [Entry].
const (
	SourceFile     = "file"     // length, digest and type of the bytes
	SourceImage    = "image"    // the decoded picture
	SourceEXIF     = "exif"     // the camera's fields inside a picture
	SourceOCR      = "ocr"      // text recognised in a picture
	SourcePDF      = "pdf"      // a PDF document
	SourceText     = "text"     // a text file
	SourceAnalysis = "analysis" // the analysis itself
)

// Explanation names the entries that say, in a sentence, why something is not known about a file.
const Explanation = "Explanation"

// ErrChildFailed says that the child process ended before it read the file: nothing is known about the file, and
// the cause is in the machine or its configuration.
var ErrChildFailed = errors.New("analysis process could not start")

// Entry is one finding. The value of a number is plain decimal without a unit; a truth value is true or false; a
// colour is six hexadecimal digits, such as C0FFEE.
type Entry struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Source string `json:"source"`
}

// Thumbnail is a small picture of an image file, encoded by this package and at most [ThumbnailSide] pixels wide
// and high.
type Thumbnail struct {
	ContentType string `json:"contentType"` // image/jpeg, or image/png for a picture that is not opaque
	Data        []byte `json:"data"`
}

// Result is what an analysis found. The same bytes give the same entries in the same order, except where a limit of
// time stopped the analysis.
type Result struct {
	Entries   []Entry
	Thumbnail *Thumbnail // nil when the file is no image that could be decoded
}

// Options configure an [Analyzer]. The zero value of each field means its default.
type Options struct {
	// Dir is the folder for the private, nameless copy of the file under analysis. Default: [os.TempDir].
	Dir string
	// MaxBytes is the longest file that is analysed. Default: 64 MiB.
	MaxBytes int64
	// Timeout ends an analysis by wall time. Default: 1 min. Keep it below the time the caller gives Run.
	Timeout time.Duration
	// CPU ends an analysis by processor time, in whole seconds. Default: 20 s.
	CPU time.Duration
	// Memory is what the child may allocate beyond what it has at its start, in bytes, at least
	// 64 MiB. Default: 1 GiB.
	Memory int64
	// Concurrent is how many analyses run at once; others wait. Default: 2.
	Concurrent int
	// Tesseract is the command that recognises text in pictures, a name looked up in PATH or a path.
	// Default: tesseract. Where it is not installed, an entry says so.
	Tesseract string
	// OCRTimeout ends the recognition of text. Default: 10 s.
	OCRTimeout time.Duration
}

func (o Options) withDefaults() Options {
	o.Dir = cmp.Or(o.Dir, os.TempDir())
	o.MaxBytes = cmp.Or(o.MaxBytes, 64<<20)
	o.Timeout = cmp.Or(o.Timeout, time.Minute)
	o.CPU = cmp.Or(o.CPU, 20*time.Second)
	o.Memory = cmp.Or(o.Memory, 1<<30)
	o.Concurrent = cmp.Or(o.Concurrent, 2)
	o.Tesseract = cmp.Or(o.Tesseract, "tesseract")
	o.OCRTimeout = cmp.Or(o.OCRTimeout, 10*time.Second)
	return o
}

// Analyzer runs analyses. It is safe for concurrent use.
type Analyzer struct {
	opts  Options
	slots chan struct{}
}

// New makes an analyzer. The program's main must call [MaybeChild] before anything else.
func New(o Options) *Analyzer {
	o = o.withDefaults()
	return &Analyzer{opts: o, slots: make(chan struct{}, o.Concurrent)}
}

// Run analyses the bytes of r. Whatever the bytes are, it answers a result; it fails only when the bytes cannot be
// read or staged, the child cannot be started ([ErrChildFailed] among others), or ctx ends.
func (a *Analyzer) Run(ctx context.Context, r io.Reader) (Result, error) {
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	case <-ctx.Done():
		return Result{}, fmt.Errorf("wait for an analysis slot: %w", context.Cause(ctx))
	}
	file, size, err := stage(ctx, a.opts.Dir, r, a.opts.MaxBytes)
	if err != nil {
		return Result{}, fmt.Errorf("stage file for analysis: %w", err)
	}
	defer file.Close()
	if size > a.opts.MaxBytes {
		return Result{Entries: []Entry{{
			Name:   Explanation,
			Value:  fmt.Sprintf("the file is longer than %d bytes and was not analysed", a.opts.MaxBytes),
			Source: SourceAnalysis,
		}}}, nil
	}
	return runChild(ctx, file, a.opts)
}

// stage copies at most limit+1 bytes of r to a private file that has no name any more when it returns, so that
// neither another user nor a crash can leave it behind.
func stage(ctx context.Context, dir string, r io.Reader, limit int64) (*os.File, int64, error) {
	f, err := os.CreateTemp(dir, "analysis-*")
	if err != nil {
		return nil, 0, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, 0, err
	}
	size, err := io.Copy(f, &contextReader{ctx: ctx, r: io.LimitReader(r, limit+1)})
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, size, nil
}

// contextReader fails once its context has ended.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}
