package signedurl

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"mime"
	"net/http"
	"path"
	"time"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
)

// FilenameKey is the metadata entry that holds the name under which a download is
// saved. Without it, it is the last part of the blob's name.
const FilenameKey = "filename"

// Handler serves the links to read of a Signer. It answers GET and HEAD, with ranges; 403
// for a link that is not valid or has expired, 404 for one whose blob was deleted
// or replaced since.
//
// What is served came from users, so browsers are told to save it, to take its
// type as declared, to run nothing of it and to keep no copy.
type Handler struct {
	Signer *Signer
	// Snapshot opens a view of the latest durable state.
	Snapshot func() (store.Snapshot, error)
	// Open opens an object; an error matching fs.ErrNotExist when it is gone.
	Open func(ctx context.Context, key string) (io.ReadSeekCloser, error)
	// Now is the app's clock.
	Now func() time.Time
	// Fail answers with an error; plain text when nil.
	Fail func(w http.ResponseWriter, r *http.Request, status int, detail string)
	// Log takes errors that the client is not told; slog.Default when nil.
	Log *slog.Logger
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", "private, no-store")
	header.Set("Content-Security-Policy", "sandbox")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		h.fail(w, r, http.StatusMethodNotAllowed, "A link to a file is read with GET or HEAD.")
		return
	}
	// RequestURI, not URL: only that is the text the client sent.
	claim, err := h.Signer.Verify(r.RequestURI, h.Now())
	if errors.Is(err, ErrExpired) {
		h.fail(w, r, http.StatusForbidden, "This link has expired.")
		return
	}
	if err != nil {
		h.fail(w, r, http.StatusForbidden, "This link is not valid.")
		return
	}
	blob, err := h.find(claim)
	if err != nil {
		h.internal(w, r, err)
		return
	}
	if blob == nil {
		h.fail(w, r, http.StatusNotFound, "The file of this link is not there any more.")
		return
	}
	content, err := h.Open(r.Context(), blob.Object)
	if errors.Is(err, fs.ErrNotExist) { // deleted and collected in this moment
		h.fail(w, r, http.StatusNotFound, "The file of this link is not there any more.")
		return
	}
	if err != nil {
		h.internal(w, r, err)
		return
	}
	defer func() { _ = content.Close() }() // it was only read

	header.Set("Content-Type", contentType(blob))
	header.Set("Content-Disposition", Disposition(claim.Name, blob))
	header.Set("ETag", `"`+blob.ETag+`"`)
	http.ServeContent(w, r, "", blob.Created, content)
}

// contentType is the type a blob is served as.
func contentType(b *records.Blob) string {
	return cmp.Or(b.ContentType, "application/octet-stream")
}

// find returns the blob of a claim, nil when its name stands for another object
// or for none.
func (h *Handler) find(c Claim) (blob *records.Blob, err error) {
	snap, err := h.Snapshot()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, snap.Close()) }()
	blob, err = records.ReadBlob(snap, records.BlobKey{Container: c.Container, Name: c.Name})
	if err != nil || blob == nil || blob.Object != c.Object {
		return nil, err
	}
	return blob, nil
}

// Disposition is the header that makes a browser save the file under its name
// (RFC 6266); a name that is not plain ASCII goes into filename* (RFC 8187).
func Disposition(name string, b *records.Blob) string {
	if own := b.Metadata[FilenameKey]; own != "" {
		name = own
	}
	return mime.FormatMediaType("attachment", map[string]string{"filename": path.Base(name)})
}

func (h *Handler) fail(w http.ResponseWriter, r *http.Request, status int, detail string) {
	if h.Fail != nil {
		h.Fail(w, r, status, detail)
		return
	}
	http.Error(w, detail, status)
}

func (h *Handler) internal(w http.ResponseWriter, r *http.Request, err error) {
	log := h.Log
	if log == nil {
		log = slog.Default()
	}
	log.ErrorContext(r.Context(), "serving a blob failed", "error", fmt.Errorf("signedurl: %w", err))
	h.fail(w, r, http.StatusInternalServerError, "The file could not be read.")
}
