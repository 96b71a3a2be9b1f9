package blobstore

import (
	"errors"
	"io"
	"io/fs"
)

// section is a part of an open file.
type section struct {
	io.ReadSeekCloser
	start, size int64
	at          int64 // from start
}

// newSection takes f over: an error closes it.
func newSection(f io.ReadSeekCloser, start, size int64) (*section, error) {
	s := &section{ReadSeekCloser: f, start: start, size: size}
	if _, err := s.Seek(0, io.SeekStart); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return s, nil
}

// Read implements io.Reader.
func (s *section) Read(p []byte) (int, error) {
	left := s.size - s.at
	if left <= 0 {
		return 0, io.EOF
	}
	n, err := s.ReadSeekCloser.Read(p[:min(int64(len(p)), left)])
	s.at += int64(n)
	return n, err
}

// Seek implements io.Seeker.
func (s *section) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += s.at
	case io.SeekEnd:
		offset += s.size
	}
	if offset < 0 {
		return 0, fs.ErrInvalid
	}
	if _, err := s.ReadSeekCloser.Seek(s.start+offset, io.SeekStart); err != nil {
		return 0, err
	}
	s.at = offset
	return offset, nil
}
