package analysis

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"strings"

	"github.com/gabriel-vasile/mimetype"
)

// source is the file under analysis. Readers of formats take sections of it and share no position.
type source interface {
	io.ReaderAt
	size() int64
}

type fileSource struct {
	*os.File
	length int64
}

func (s fileSource) size() int64 { return s.length }

// section returns a reader of the whole of s with a position of its own.
func section(s source) *io.SectionReader {
	return io.NewSectionReader(s, 0, s.size())
}

// inspect analyses an open file and hands each finding to f at once.
func inspect(ctx context.Context, file *os.File, f *findings, o childOptions) {
	info, err := file.Stat()
	if err != nil {
		f.explain(SourceAnalysis, "the file could not be opened")
		return
	}
	inspectSource(ctx, fileSource{file, info.Size()}, f, o)
}

func inspectSource(ctx context.Context, src source, f *findings, o childOptions) {
	f.addInt(SourceFile, "ContentLength", src.size())
	digest := sha256.New()
	if _, err := io.Copy(digest, section(src)); err != nil {
		f.explain(SourceFile, "the file could not be read")
		return
	}
	f.add(SourceFile, "SHA256", hex.EncodeToString(digest.Sum(nil)))
	if src.size() == 0 {
		f.add(SourceFile, "ContentType", "application/octet-stream")
		f.explain(SourceFile, "the file is empty")
		return
	}
	var kind *mimetype.MIME
	f.guard(SourceFile, "the type of the file", func() { kind, _ = mimetype.DetectReader(section(src)) })
	if kind == nil {
		return
	}
	f.add(SourceFile, "ContentType", kind.String())

	// The first reader for the type or for one that it is a special case of, such as PNG of an animated PNG.
	for m := kind; m != nil; m = m.Parent() {
		media := mediaType(m)
		switch {
		case imageReaders[media] != nil:
			inspectImage(ctx, src, media, f, o)
			return
		case media == "application/pdf":
			f.guard(SourcePDF, "the document", func() { inspectPDF(ctx, src, f) })
			return
		case media == "text/plain":
			f.guard(SourceText, "the text", func() { inspectText(src, kind.String(), f) })
			return
		}
	}
	f.explain(SourceAnalysis, "files of type %s are not analysed further", mediaType(kind))
}

// mediaType is a type without its parameters.
func mediaType(m *mimetype.MIME) string {
	media, _, _ := strings.Cut(m.String(), ";")
	return media
}
