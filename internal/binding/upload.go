package binding

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/perdure/perdure/internal/problem"
)

// Upload is a body field for a file: the raw body of the request, or a named
// field of a multipart form. Its bytes are streamed: they are read once, by the
// function, and never kept in memory.
type Upload struct {
	// Name is the file's name as the sender gave it, without folders and control
	// characters, cut to 255 bytes of UTF-8; it may be empty. It is not to be
	// trusted.
	Name string
	// DeclaredType is the media type as the sender gave it; it may be empty. It
	// is not to be trusted.
	DeclaredType string
	// Body are the bytes. Reading more than the function's limit fails with an
	// error that is answered 413.
	Body io.Reader
}

// errConsumed: a body was read by an earlier run of the function, which was
// discarded because of a conflict.
var errConsumed = &problem.Error{
	Status:     http.StatusServiceUnavailable,
	Detail:     "Others changed what this request works on while its body was read. Nothing was done; send it again.",
	RetryAfter: time.Second,
}

// errEnded: a body was read after its request was answered.
var errEnded = errors.New("binding: the body was read after the request had ended")

// stream is a body that can be read once. Bytes that go straight into a blob can
// be used by each run: they are staged by the first.
type stream struct {
	mu     sync.Mutex
	r      io.Reader
	lost   bool // bytes were read that another run would miss
	ended  bool // the request is over
	staged *staged
	used   bool // the current run used what is staged
}

// staged is an object that holds the bytes.
type staged struct {
	key    string
	size   int64
	remove func(key string)
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended:
		return 0, errEnded
	case s.staged != nil:
		return 0, errConsumed
	}
	s.lost = true
	return s.r.Read(p)
}

// Stage has create write the bytes into a new object and returns its key and
// size. A later run of the same request gets the same object, and create is not
// called again. The request owns the object until a unit that used it has
// committed: when none does, it calls remove.
//
// Blob containers look for this method on what they are given to write.
func (s *stream) Stage(create func(io.Reader) (key string, size int64, err error), remove func(key string)) (string, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return "", 0, errEnded
	}
	if s.staged == nil {
		key, size, err := create(s.r)
		if err != nil {
			s.lost = true
			return "", 0, err
		}
		s.staged = &staged{key, size, remove}
	}
	s.used = true
	return s.staged.key, s.staged.size, nil
}

// rewind makes the stream ready for a run; it fails when bytes are gone.
func (s *stream) rewind() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used = false
	if s.lost {
		return errConsumed
	}
	return nil
}

// settle ends the stream. Staged bytes that no unit has taken over are removed.
func (s *stream) settle(o Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	if s.staged != nil && (o == Discarded || o == Committed && !s.used) {
		s.staged.remove(s.staged.key)
	}
}

// incoming is a body as its sender delivers it: that it breaks off is the sender's fault.
type incoming struct{ r io.Reader }

// Read implements io.Reader.
func (i incoming) Read(p []byte) (int, error) {
	n, err := i.r.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // a body cut short is a wrapped io.EOF
		err = unreadable(err)
	}
	return n, err
}

// limited fails with *http.MaxBytesError after limit bytes.
type limited struct {
	r           io.Reader
	left, limit int64
}

// Read implements io.Reader.
func (l *limited) Read(p []byte) (int, error) {
	if l.left < 0 {
		return 0, &http.MaxBytesError{Limit: l.limit}
	}
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.r.Read(p)
	if int64(n) > l.left { // one byte too many was there
		n, err = int(l.left), &http.MaxBytesError{Limit: l.limit}
		l.left = -1
		return n, err
	}
	l.left -= int64(n)
	return n, err
}
