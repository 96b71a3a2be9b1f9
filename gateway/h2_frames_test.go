package gateway_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// frames is a client's connection of HTTP/2, on which every frame is the test's.
type frames struct {
	*http2.Framer
	net.Conn
	encoder *hpack.Encoder
	head    bytes.Buffer
	sending bool // others write
}

// newFrames opens a connection and says hello. Nothing is checked: what is wrong is what is tried.
func (f *front) newFrames(t *testing.T, secure bool) *frames {
	t.Helper()
	var nc net.Conn
	var err error
	if secure {
		nc, err = tls.Dial("tcp", f.secure, &tls.Config{RootCAs: f.roots, ServerName: "gateway.test", NextProtos: []string{"h2"}})
	} else {
		nc, err = net.Dial("tcp", f.plain)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	c := &frames{Framer: http2.NewFramer(nc, nc), Conn: nc}
	c.AllowIllegalWrites = true
	c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.encoder = hpack.NewEncoder(&c.head)
	if _, err := io.WriteString(nc, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	return c
}

// block encodes fields, given as names and values.
func (c *frames) block(fields ...string) []byte {
	c.head.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = c.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}) // a buffer takes all
	}
	return bytes.Clone(c.head.Bytes())
}

// get is a request's head.
func (c *frames) get(more ...string) []byte {
	return c.block(append([]string{":method", "GET", ":scheme", "https", ":path", "/r/a?n=5", ":authority", "gateway.test"}, more...)...)
}

// post is a request's head that a body follows.
func (c *frames) post(more ...string) []byte {
	return c.block(append([]string{":method", "POST", ":scheme", "https", ":path", "/e/a", ":authority", "gateway.test"}, more...)...)
}

// open begins a stream.
func (c *frames) open(stream uint32, block []byte, end bool) error {
	return c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block, EndStream: end, EndHeaders: true})
}

// raw writes a frame as it is.
func (c *frames) raw(kind http2.FrameType, flags http2.Flags, stream uint32, payload string) error {
	return c.WriteRawFrame(kind, flags, stream, []byte(payload))
}

// outcome is what became of a connection.
type outcome struct {
	goAway http2.ErrCode // of the last GOAWAY
	left   bool          // there was one, or the connection was closed
	closed bool
	resets map[uint32]http2.ErrCode
	status map[uint32]string
	ended  map[uint32]bool
	pings  int
	data   int
	err    error
}

// read reads until enough is there, or the connection is closed.
func (c *frames) read(enough func(*outcome) bool) *outcome {
	o := &outcome{resets: map[uint32]http2.ErrCode{}, status: map[uint32]string{}, ended: map[uint32]bool{}}
	for enough == nil || !enough(o) {
		f, err := c.ReadFrame()
		if err != nil {
			o.left, o.closed, o.err = true, true, err
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				o.left, o.closed = false, false
			}
			return o
		}
		switch f := f.(type) {
		case *http2.GoAwayFrame:
			o.left, o.goAway = true, f.ErrCode
		case *http2.RSTStreamFrame:
			o.resets[f.StreamID] = f.ErrCode
		case *http2.MetaHeadersFrame:
			if s := f.PseudoValue("status"); s != "" {
				o.status[f.StreamID] = s
			}
			o.ended[f.StreamID] = o.ended[f.StreamID] || f.StreamEnded()
		case *http2.DataFrame:
			o.data += len(f.Data())
			o.ended[f.StreamID] = o.ended[f.StreamID] || f.StreamEnded()
		case *http2.SettingsFrame:
			if !f.IsAck() && !c.sending {
				_ = c.WriteSettingsAck() // it may have closed
			}
		case *http2.PingFrame:
			if f.IsAck() {
				o.pings++
			}
		}
	}
	return o
}

// answered is that a stream has come to its end.
func answered(stream uint32) func(*outcome) bool {
	return func(o *outcome) bool { return o.ended[stream] || o.resets[stream] != 0 || o.left }
}
