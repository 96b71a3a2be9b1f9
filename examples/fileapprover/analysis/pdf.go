package analysis

import (
	"context"
	"errors"

	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu/model"
)

const (
	maxPDFTextPages   = 100
	maxPDFStreamBytes = 16 << 20 // decoded bytes of one stream
)

// Without this pdfcpu writes a folder of its own into the user's home.
func init() { model.ConfigPath = "disable" }

// pdfConfiguration has bounds that fit a child process.
func pdfConfiguration() *model.Configuration {
	c := model.NewDefaultConfiguration()
	c.Cmd = model.EXTRACTCONTENT
	c.Offline = true
	c.Limits.MaxStreamBytes = 64 << 20
	c.Limits.MaxDecodeBytes = maxPDFStreamBytes
	c.Limits.MaxObjectCount = 1_000_000
	c.Limits.MaxObjectStreamCount = 100_000
	c.Limits.MaxXRefEntries = 1_000_000
	return c
}

// inspectPDF finds version, pages, title, author and text of a PDF document (ISO 32000).
func inspectPDF(ctx context.Context, src source, f *findings) {
	doc, err := pdfcpu.ReadWithContext(ctx, section(src), pdfConfiguration())
	switch {
	case errors.Is(err, pdfcpu.ErrWrongPassword):
		f.addBool(SourcePDF, "Encrypted", true)
		f.explain(SourcePDF, "the document is encrypted and opens only with a password")
		return
	case errors.Is(err, pdfcpu.ErrUnsupportedEncryptionFeature):
		f.addBool(SourcePDF, "Encrypted", true)
		f.explain(SourcePDF, "the document is encrypted in a way this analysis does not know")
		return
	case err != nil:
		// The error depends on the order in which pdfcpu met the damage, which is random.
		f.explain(SourcePDF, "the document could not be read: it is damaged or cut short")
		return
	}
	f.add(SourcePDF, "Version", doc.VersionString())
	f.addBool(SourcePDF, "Encrypted", doc.E != nil)
	if err := doc.EnsurePageCount(); err != nil || doc.PageCount < 0 {
		f.explain(SourcePDF, "the pages of the document could not be found")
		return
	}
	f.addInt(SourcePDF, "PageCount", int64(doc.PageCount))
	f.guard(SourcePDF, "the title and author", func() { inspectPDFInfo(doc, f) })
	f.guard(SourcePDF, "the text", func() { inspectPDFText(doc, f) })
}

// inspectPDFInfo reports the entries of the information dictionary that name the document.
func inspectPDFInfo(doc *model.Context, f *findings) {
	if doc.Info == nil {
		return
	}
	info, err := doc.DereferenceDict(*doc.Info)
	if err != nil || info == nil {
		return
	}
	for _, key := range []string{"Title", "Author", "Subject", "Keywords", "Creator", "Producer"} {
		value, found := info.Find(key)
		if !found {
			continue
		}
		if text, err := doc.DereferenceText(value); err == nil {
			f.add(SourcePDF, key, cleanLine(text, 500))
		}
	}
}
