package h1

import (
	"io"
	"net"
)

const (
	// spliceMin is from how many bytes on a body is passed on inside the kernel.
	spliceMin = 256 << 10
	// spliceMost is how much is passed on before the time limits begin anew. They are for
	// the whole of it here, so that it must not be much.
	spliceMost = 64 << 10
)

// Splice passes on what is left of a response's body inside the kernel, if it is large,
// and both sides are plain TCP with the same Content-Length. It returns how much that was;
// 0 says that it cannot be done.
func (c *ServerConn) Splice(b *Body) (int64, error) {
	to, ok := c.conn.net.(*net.TCPConn)
	from, ok2 := b.c.net.(*net.TCPConn)
	if !ok || !ok2 || c.head || b.err != nil || b.framing != framedLength || b.left < spliceMin || len(b.rest) > 0 || b.max >= 0 ||
		c.framing != framedLength || c.left != b.left || b.c.start != b.c.end {
		return 0, nil
	}
	if err := c.Flush(); err != nil {
		return 0, err
	}
	limit := max(b.timeout, c.server.Timeouts.Write)
	var total int64
	for b.left > 0 {
		if !b.c.armRead(limit) || !c.conn.armWrite(limit) {
			return total, ErrTimeout
		}
		part := io.LimitedReader{R: from, N: min(b.left, spliceMost)}
		n, err := to.ReadFrom(&part)
		total += n
		b.left -= n
		b.read += n
		c.left -= n
		if err != nil {
			return total, writeError(err)
		}
		if n == 0 {
			return total, ErrTruncated
		}
	}
	c.conn.armWrite(0)
	b.err = io.EOF
	return total, nil
}
