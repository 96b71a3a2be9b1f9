package blobstore

import "io"

// SetRandom replaces the source of keys.
func (d *Dir) SetRandom(r io.Reader) { d.random = r }

// CopyBuffer is the size of one read.
const CopyBuffer = copyBuffer
