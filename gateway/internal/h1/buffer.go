package h1

import "sync"

// bufferSize is what a connection reads into at first: a head and a small body.
const bufferSize = 16 << 10

// buffers are those of bufferSize. Larger ones are left to the garbage collector.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

func getBuffer() []byte { return buffers.Get().(*[bufferSize]byte)[:] }

// putBuffer takes a buffer back. One that is not of the pool's size is dropped.
func putBuffer(b []byte) {
	if cap(b) == bufferSize {
		buffers.Put((*[bufferSize]byte)(b[:bufferSize]))
	}
}
