package h1

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// On Linux sockets are read and written by system calls that the scheduler is not told
// of: the sockets do not block, and a call that cannot block needs no other thread in
// its place. The runtime's poller waits for them, as for every connection.

// reading and writing are the operations in progress; the functions are made once for
// each connection, so that an operation allocates nothing.
type reading struct {
	f     func(fd uintptr) bool
	n     int
	errno syscall.Errno
	// first is written before the read: whoever waits for an answer to it need not
	// look whether it is there already.
	first []byte
	wrote int
	check bool // whether something has come before it is written
	stale bool // it has
}

type writing struct {
	f     func(fd uintptr) bool
	p, q  []byte
	errno syscall.Errno
}

func (c *conn) initRaw() {
	socket, encrypted := c.net, false
	if tc, ok := socket.(*tls.Conn); ok {
		socket, encrypted = tc.NetConn(), true
	}
	var raw syscall.RawConn
	var err error
	switch socket := socket.(type) { // nothing that wraps them and wants to see what passes
	case *net.TCPConn:
		raw, err = socket.SyscallConn()
	case *net.UnixConn:
		raw, err = socket.SyscallConn()
	default:
		return
	}
	if err != nil {
		return // closed: the first read says so
	}
	c.peek = raw
	if encrypted {
		return
	}
	c.raw = raw
	c.reading.f, c.writing.f = c.tryRead, c.tryWrite
}

// read reads once into the buffer, which it gets only when there is something to read:
// connections that wait hold none.
func (c *conn) read() (int, error) {
	if c.raw == nil {
		return c.portableRead()
	}
	if err := c.raw.Read(c.reading.f); err != nil {
		return 0, err
	}
	return c.readDone()
}

func (c *conn) readDone() (int, error) {
	switch {
	case c.reading.errno != 0:
		return 0, os.NewSyscallError("read", c.reading.errno)
	case c.reading.n == 0:
		return 0, io.EOF
	}
	return c.reading.n, nil
}

func (c *conn) tryRead(fd uintptr) bool {
	r := &c.reading
	if r.first != nil {
		if r.check {
			something, left := peek(fd)
			if r.stale = something || left; r.stale {
				return true
			}
			r.check = false
		}
		// The poller was reset before this, so that whatever comes from now on wakes
		// the reader: it can wait without having looked.
		if r.wrote, r.errno = rawWrite(fd, r.first); r.errno == 0 && r.wrote == len(r.first) {
			r.first = nil
			return false
		}
		return true
	}
	none := c.buf == nil
	if none {
		c.buf = getBuffer()
	}
	for {
		n, _, errno := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(&c.buf[c.end])), uintptr(len(c.buf)-c.end))
		switch errno {
		case 0:
			r.n, r.errno = int(n), 0
			return true
		case syscall.EINTR:
		case syscall.EAGAIN:
			if none {
				putBuffer(c.buf)
				c.buf = nil
			}
			return false
		default:
			r.n, r.errno = 0, errno
			return true
		}
	}
}

// ask writes p and waits for what comes back, as fill does. With check it writes nothing
// and returns errStale if the peer has closed the connection, or sent something unasked:
// that would be taken for the answer.
func (c *conn) ask(p []byte, check bool) error {
	if c.raw == nil {
		if check && c.stale() {
			return errStale
		}
		if err := c.write(p, nil); err != nil {
			return err
		}
		return c.fill()
	}
	c.asking.Store(c.sweeper.tick())
	defer c.asking.Store(0)
	r := &c.reading
	r.first, r.wrote, r.errno, r.check, r.stale = p, 0, 0, check, false
	err := c.raw.Read(r.f)
	if r.stale {
		r.first = nil
		return errStale
	}
	if unfinished := r.first != nil; unfinished {
		r.first = nil
		switch {
		case err != nil:
			return c.readError(err)
		case r.errno != 0 && r.errno != syscall.EAGAIN && r.errno != syscall.EINTR:
			return os.NewSyscallError("write", r.errno)
		}
		if err := c.write(p[r.wrote:], nil); err != nil {
			return err
		}
		return c.fill()
	}
	if err != nil {
		return c.readError(err)
	}
	n, err := c.readDone()
	if n > 0 {
		c.end += n
		return nil
	}
	return c.readError(err)
}

func (c *conn) writeAll(p, q []byte) error {
	if c.raw == nil {
		return c.portableWrite(p, q)
	}
	w := &c.writing
	w.p, w.q, w.errno = p, q, 0
	err := c.raw.Write(w.f)
	w.p, w.q = nil, nil
	if err != nil {
		return err
	}
	if w.errno != 0 {
		return os.NewSyscallError("write", w.errno)
	}
	return nil
}

func (c *conn) tryWrite(fd uintptr) bool {
	w := &c.writing
	for len(w.p)+len(w.q) > 0 {
		var n int
		var errno syscall.Errno
		switch {
		case len(w.p) == 0:
			n, errno = rawWrite(fd, w.q)
		case len(w.q) == 0:
			n, errno = rawWrite(fd, w.p)
		default:
			n, errno = rawWrite2(fd, w.p, w.q)
		}
		switch errno {
		case 0:
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return false
		default:
			w.errno = errno
			return true
		}
		if n >= len(w.p) {
			w.q = w.q[n-len(w.p):]
			w.p = nil
		} else {
			w.p = w.p[n:]
		}
	}
	return true
}

func rawWrite(fd uintptr, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

func rawWrite2(fd uintptr, p, q []byte) (int, syscall.Errno) {
	vectors := [2]syscall.Iovec{{Base: &p[0]}, {Base: &q[0]}}
	vectors[0].SetLen(len(p))
	vectors[1].SetLen(len(q))
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&vectors)), 2)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// peerLeft reports whether the peer has closed the connection, or its side of it, also
// when there is something to read before that. It may be called by any goroutine.
func (c *conn) peerLeft() (left bool) {
	if c.peek == nil {
		return false
	}
	_ = c.peek.Control(func(fd uintptr) { // closed: its user knows
		set := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(set, 0)
		left = n > 0 && err == nil
	})
	return left
}

// stale reports whether something has come, or the end, on a connection that nobody
// reads. It may be called by any goroutine.
func (c *conn) stale() (stale bool) {
	if c.peek == nil {
		return false
	}
	err := c.peek.Control(func(fd uintptr) {
		something, left := peek(fd)
		stale = something || left
	})
	return stale || err != nil
}

func peek(fd uintptr) (something, left bool) {
	var b [1]byte
	n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b)), 1, syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
	switch errno {
	case 0:
		return n > 0, n == 0
	case syscall.EAGAIN, syscall.EINTR:
		return false, false
	}
	return false, true
}
