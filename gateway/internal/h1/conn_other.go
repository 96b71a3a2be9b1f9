//go:build !linux

package h1

type reading struct{}

type writing struct{}

func (c *conn) initRaw() {}

func (c *conn) read() (int, error) { return c.portableRead() }

// ask writes p and waits for what comes back, as fill does.
func (c *conn) ask(p []byte, _ bool) error {
	if err := c.write(p, nil); err != nil {
		return err
	}
	return c.fill()
}

func (c *conn) writeAll(p, q []byte) error { return c.portableWrite(p, q) }

func (c *conn) peerLeft() bool { return false }

func (c *conn) stale() bool { return false }
