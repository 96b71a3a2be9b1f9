package proxy

import (
	"io"

	"github.com/perdure/perdure/gateway/internal/h1"
)

// readerBody is a Body that comes from a reader: of HTTP/2, whose framing others do.
type readerBody struct {
	r        io.Reader
	buf      []byte
	rest     []byte // what Read had no room for
	err      error
	max      int64 // negative for no limit
	n        int64
	trailers h1.Fields
	// ended fills trailers in when the end was read.
	ended func(trailers *h1.Fields)
}

func newReaderBody(r io.Reader) *readerBody { return &readerBody{r: r, max: -1} }

// Next implements Body.
func (b *readerBody) Next() ([]byte, error) {
	if p := b.rest; len(p) > 0 {
		b.rest = nil
		return p, nil
	}
	if b.buf == nil {
		b.buf = h1.Buffer()
	}
	for b.err == nil {
		n, err := b.r.Read(b.buf[:cap(b.buf)])
		b.n += int64(n)
		if b.err = err; err == io.EOF && b.ended != nil {
			b.ended(&b.trailers)
		}
		if b.max >= 0 && b.n > b.max {
			b.err = h1.ErrBodyTooLarge
			break
		}
		if n > 0 {
			return b.buf[:n], nil
		}
	}
	return nil, b.err
}

// Read implements Body.
func (b *readerBody) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	next, err := b.Next()
	n := copy(p, next)
	b.rest = next[n:]
	return n, err
}

// Buffered implements Body.
func (b *readerBody) Buffered() bool { return len(b.rest) > 0 || b.err != nil }

// Done implements Body.
func (b *readerBody) Done() bool { return b.err == io.EOF }

// Limit implements Body.
func (b *readerBody) Limit(n int64) {
	if b.max < 0 || n < b.max {
		b.max = n
	}
}

// Trailers implements Body.
func (b *readerBody) Trailers() *h1.Fields { return &b.trailers }

// free gives the buffer back.
func (b *readerBody) free() {
	if b.buf != nil {
		h1.PutBuffer(b.buf)
		b.buf = nil
	}
}
