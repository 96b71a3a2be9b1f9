package h1

import (
	"io"
	"time"
)

// framing is how a body ends.
type framing uint8

const (
	framedNone framing = iota
	framedLength
	framedChunked
	framedClose
)

// Body is the body of a message that is being received. It is read by one goroutine.
type Body struct {
	c       *conn
	framing framing
	left    int64 // of framedLength
	chunks  chunked
	limits  *Limits
	timeout time.Duration
	max     int64 // of the whole body, -1 for no limit
	read    int64
	before  func() error // called before the first wait for bytes
	err     error        // io.EOF after the end
	rest    []byte       // what Read had no room for

	trailers Fields
}

func (b *Body) init(c *conn, limits *Limits, timeout time.Duration) {
	trailers := b.trailers
	trailers.Reset()
	*b = Body{c: c, limits: limits, timeout: timeout, max: -1, trailers: trailers, err: io.EOF}
}

func (b *Body) begin(f framing, length int64) {
	b.framing, b.left, b.err = f, length, nil
	if f == framedNone || f == framedLength && length == 0 {
		b.framing, b.err = framedNone, io.EOF
	}
}

// Next returns bytes that have come, at least one; it waits for them if need be. They
// are valid until the next call. At the end it returns io.EOF.
func (b *Body) Next() ([]byte, error) {
	if p := b.rest; len(p) > 0 {
		b.rest = nil
		return p, nil
	}
	for b.err == nil {
		if p := b.take(); len(p) > 0 {
			return p, nil
		}
		if b.err == nil {
			b.err = b.fill()
		}
	}
	return nil, b.err
}

// Buffered reports whether Next would return something, or the end, without waiting.
func (b *Body) Buffered() bool {
	if len(b.rest) > 0 || b.err != nil {
		return true
	}
	if b.framing == framedChunked {
		b.advance() // what follows the data may be the end
	}
	return b.err != nil || b.c.start < b.c.end && (b.framing != framedChunked || b.chunks.left > 0)
}

// advance reads the framing of a chunked body that is in the buffer.
func (b *Body) advance() {
	used, err := b.chunks.advance(b.c.buffered(), b.limits, &b.trailers)
	b.c.skip(used)
	switch {
	case err != nil:
		b.err = err
	case b.chunks.done:
		b.err = io.EOF
	}
}

// take takes what is in the buffer.
func (b *Body) take() (p []byte) {
	p = b.c.buffered()
	switch b.framing {
	case framedLength:
		p = p[:min(int64(len(p)), b.left)]
		b.left -= int64(len(p))
	case framedChunked:
		if b.advance(); b.err != nil {
			return nil
		}
		p = b.c.buffered()
		p = p[:min(int64(len(p)), b.chunks.left)]
		b.chunks.left -= int64(len(p))
	}
	b.c.skip(len(p))
	b.read += int64(len(p))
	switch {
	case b.max >= 0 && b.read > b.max:
		b.err = ErrBodyTooLarge
		return nil
	case b.framing == framedLength && b.left == 0:
		b.err = io.EOF
	}
	return p
}

func (b *Body) fill() error {
	if b.before != nil {
		before := b.before
		b.before = nil
		if err := before(); err != nil {
			return err
		}
	}
	if !b.c.armRead(b.timeout) {
		return ErrTimeout
	}
	b.c.hold()
	b.c.room(bufferSize + b.limits.ChunkExt + b.limits.Trailers)
	err := b.c.fill()
	if err == io.EOF && b.framing != framedClose {
		return ErrTruncated
	}
	return err
}

// Read implements io.Reader.
func (b *Body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	next, err := b.Next()
	n := copy(p, next)
	b.rest = next[n:]
	return n, err
}

// Limit makes a body of more than n bytes end with ErrBodyTooLarge.
func (b *Body) Limit(n int64) {
	if b.max < 0 || n < b.max {
		b.max = n
	}
}

// Done reports whether the body was read to its end.
func (b *Body) Done() bool { return b.err == io.EOF }

// Trailers are the fields after a chunked body, once its end was read.
func (b *Body) Trailers() *Fields { return &b.trailers }
