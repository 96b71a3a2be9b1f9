package h1

import (
	"net/http"
	"sync"
	"time"
)

// Switch answers 101 with fields, those of the upstream's response, which has agreed to
// the switch that the client has asked for; see SwitchesTo. Then it passes bytes both ways until both sides have ended or nothing
// has passed for the idle time.
func (c *ServerConn) Switch(up *ClientConn, fields *Fields, idle time.Duration) error {
	protocol := up.Response.upgrade
	c.grab()
	c.phase, c.keep = phaseTunnel, false
	c.out = appendStatusLine(c.out, http.StatusSwitchingProtocols, nil)
	c.out = fields.append(c.out)
	c.out = append(c.out, "Connection: Upgrade\r\nUpgrade: "...)
	c.out = append(c.out, protocol...)
	c.out = append(c.out, "\r\n\r\n"...)
	if err := c.Flush(); err != nil {
		return err
	}
	var both sync.WaitGroup
	both.Go(func() { relay(&up.conn, &c.conn, idle) })
	relay(&c.conn, &up.conn, idle)
	both.Wait()
	return nil
}

// relay copies from one connection to another until the end or an error. Both sides are
// told of an end; an error, or silence, ends both directions.
func relay(to, from *conn, idle time.Duration) {
	for {
		if p := from.buffered(); len(p) > 0 {
			to.armWrite(idle)
			if to.write(p, nil) != nil {
				break
			}
			to.armWrite(0)
			from.skip(len(p))
			// Bytes one way keep the other way open.
			to.armRead(idle)
		}
		from.room(bufferSize)
		from.armRead(idle)
		if err := from.fill(); err != nil {
			if half, ok := to.net.(interface{ CloseWrite() error }); ok && isEOF(err) && half.CloseWrite() == nil {
				return
			}
			break
		}
	}
	_ = to.net.Close() // the other direction ends with it
	_ = from.net.Close()
}
