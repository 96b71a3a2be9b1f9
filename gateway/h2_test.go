package gateway_test

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/perdure/perdure/gateway"
)

// What RFC 9113 forbids ends the stream or the connection with the code that it names, and never reaches an upstream; what it allows
// is answered. These are the cases of h2spec, and the floods that became known since.
func TestAbuseHTTP2Rules(t *testing.T) {
	t.Parallel()
	const (
		headers  = http2.FrameHeaders
		protocol = http2.ErrCodeProtocol
		size     = http2.ErrCodeFrameSize
		flow     = http2.ErrCodeFlowControl
		closed   = http2.ErrCodeStreamClosed
		squeezed = http2.ErrCodeCompression
		refused  = http2.ErrCodeRefusedStream
	)
	many := func(n int, f func(i int) error) error {
		for i := range n {
			if err := f(i); err != nil {
				return nil //nolint:nilerr // closed already: as well
			}
		}
		return nil
	}
	var wrong atomic.Int64
	up := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Wrong") != "" || strings.Contains(r.URL.Path, "wrong") {
			wrong.Add(1)
		}
		answers(func(string, string) {}).ServeHTTP(w, r)
	}))
	g := open(t, `
_format_version: "3.0"
services:
- {name: up, url: "`+up+`", routes: [{name: all, paths: [/], strip_path: false}]}
`, func(o *gateway.Options) { o.NoHeaders = true })
	// Each case has its connection, on which stream 1 has been answered unless it is said to be bare. Stream is the one that is to be
	// reset with one of the codes; where it is 0 it is the connection that must end with one. A server may always end the connection
	// for an error of a stream (section 5.4.2), or answer 4xx for a request that is malformed (8.1.1), never pass it on.
	for _, tt := range []struct {
		name   string
		bare   bool
		do     func(c *frames) error
		stream uint32
		codes  []http2.ErrCode // none: the connection is closed, or a GOAWAY has any code
		status string          // the stream is answered so
	}{
		{name: "5.1 idle: DATA", do: func(c *frames) error { return c.WriteData(3, true, []byte("x")) }, codes: []http2.ErrCode{protocol, closed}},
		{name: "5.1 idle: RST_STREAM", do: func(c *frames) error { return c.WriteRSTStream(3, http2.ErrCodeCancel) }, codes: []http2.ErrCode{protocol}},
		{name: "5.1 idle: WINDOW_UPDATE", do: func(c *frames) error { return c.WriteWindowUpdate(3, 100) }, codes: []http2.ErrCode{protocol}},
		{name: "5.1 idle: CONTINUATION", do: func(c *frames) error { return c.WriteContinuation(3, true, c.get()) }, codes: []http2.ErrCode{protocol}},
		{name: "5.1 half-closed: DATA", do: func(c *frames) error {
			return errors.Join(c.open(3, c.get(), true), c.WriteData(3, true, []byte("x")))
		}, stream: 3, codes: []http2.ErrCode{closed}},
		{name: "5.1 half-closed: HEADERS", do: func(c *frames) error {
			return errors.Join(c.open(3, c.get(), true), c.open(3, c.get(), true))
		}, stream: 3, codes: []http2.ErrCode{closed, protocol}},
		{name: "5.1 closed: DATA", do: func(c *frames) error { return c.WriteData(1, true, []byte("x")) }, stream: 1, codes: []http2.ErrCode{closed}},
		{name: "5.1 closed: HEADERS", do: func(c *frames) error { return c.open(1, c.get(), true) }, codes: []http2.ErrCode{closed, protocol}},
		{name: "5.1 closed by RST_STREAM: DATA", do: func(c *frames) error {
			return errors.Join(c.open(3, c.post(), false), c.WriteRSTStream(3, http2.ErrCodeCancel), c.WriteData(3, true, []byte("x")))
		}, stream: 3, codes: []http2.ErrCode{closed}},
		{name: "5.1.1 stream of an even number", do: func(c *frames) error { return c.open(2, c.get(), true) }, codes: []http2.ErrCode{protocol}},
		{name: "5.1.1 stream of a number that went down", do: func(c *frames) error {
			return errors.Join(c.open(7, c.get(), true), c.open(5, c.get(), true))
		}, codes: []http2.ErrCode{protocol, closed}},
		{name: "5.1.2 more streams than allowed", do: func(c *frames) error {
			return many(400, func(i int) error { return c.open(uint32(2*i+3), c.post(), false) })
		}, stream: 797, codes: []http2.ErrCode{refused, protocol}},
		{name: "5.3.1 stream that depends on itself", do: func(c *frames) error {
			return c.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: c.get(), EndStream: true, EndHeaders: true, Priority: http2.PriorityParam{StreamDep: 3, Weight: 1}})
		}, stream: 3, codes: []http2.ErrCode{protocol}},
		{name: "5.5 unknown frame", do: func(c *frames) error {
			return errors.Join(c.raw(0x77, 0xff, 0, "whatever"), c.open(3, c.get(), true))
		}, stream: 3, status: "200"},
		{name: "5.5 unknown frame within a head", do: func(c *frames) error {
			return errors.Join(c.raw(headers, http2.FlagHeadersEndStream, 3, string(c.get())), c.raw(0x77, 0, 3, "x"))
		}, codes: []http2.ErrCode{protocol}},
		{name: "3.4 no preface", bare: true, do: func(c *frames) error { _, err := io.WriteString(c.Conn, "x"); return err }, codes: nil},
		{name: "3.4 something else than SETTINGS first", bare: true, do: func(c *frames) error { return c.WritePing(false, [8]byte{}) }, codes: []http2.ErrCode{protocol}},
		{name: "4.2 frame larger than allowed", do: func(c *frames) error {
			return errors.Join(c.open(3, c.post(), false), c.raw(http2.FrameData, 0, 3, strings.Repeat("x", 2<<20)))
		}, codes: []http2.ErrCode{size}},
		{name: "4.3 head that is no HPACK", do: func(c *frames) error { return c.raw(headers, 5, 3, "\xff\xff\xff\xff\xff\xff\xff") }, codes: []http2.ErrCode{squeezed}},
		{name: "4.3 table size beyond what was allowed", do: func(c *frames) error { return c.raw(headers, 5, 3, "\x3f\xe1\xff\xff\x03"+string(c.get())) }, codes: []http2.ErrCode{squeezed}},
		{name: "4.3 head within another", do: func(c *frames) error {
			return errors.Join(c.raw(headers, http2.FlagHeadersEndStream, 3, string(c.get())), c.open(5, c.get(), true))
		}, codes: []http2.ErrCode{protocol}},
		{name: "6.1 DATA on stream 0", do: func(c *frames) error { return c.raw(http2.FrameData, 0, 0, "x") }, codes: []http2.ErrCode{protocol}},
		{name: "6.1 DATA with more padding than there is", do: func(c *frames) error {
			return errors.Join(c.open(3, c.post(), false), c.raw(http2.FrameData, http2.FlagDataPadded, 3, "\x09x"))
		}, codes: []http2.ErrCode{protocol}},
		{name: "6.2 HEADERS on stream 0", do: func(c *frames) error { return c.raw(headers, 5, 0, string(c.get())) }, codes: []http2.ErrCode{protocol}},
		{name: "6.2 HEADERS with more padding than there is", do: func(c *frames) error { return c.raw(headers, 5|http2.FlagHeadersPadded, 3, "\xff"+string(c.get())) }, stream: 3, codes: []http2.ErrCode{protocol}},
		{name: "6.3 PRIORITY on stream 0", do: func(c *frames) error { return c.raw(http2.FramePriority, 0, 0, "\x00\x00\x00\x01\x01") }, codes: []http2.ErrCode{protocol}},
		{name: "6.3 PRIORITY of a wrong size", do: func(c *frames) error { return c.raw(http2.FramePriority, 0, 3, "\x00\x00\x01") }, stream: 3, codes: []http2.ErrCode{size}},
		{name: "6.4 RST_STREAM on stream 0", do: func(c *frames) error { return c.raw(http2.FrameRSTStream, 0, 0, "\x00\x00\x00\x08") }, codes: []http2.ErrCode{protocol}},
		{name: "6.4 RST_STREAM of a wrong size", do: func(c *frames) error {
			return errors.Join(c.open(3, c.post(), false), c.raw(http2.FrameRSTStream, 0, 3, "\x00\x00\x08"))
		}, codes: []http2.ErrCode{size}},
		{name: "6.5 SETTINGS with ACK and content", do: func(c *frames) error {
			return c.raw(http2.FrameSettings, http2.FlagSettingsAck, 0, "\x00\x03\x00\x00\x00\x01")
		}, codes: []http2.ErrCode{size}},
		{name: "6.5 SETTINGS on a stream", do: func(c *frames) error { return c.raw(http2.FrameSettings, 0, 1, "\x00\x03\x00\x00\x00\x01") }, codes: []http2.ErrCode{protocol}},
		{name: "6.5 SETTINGS of a wrong size", do: func(c *frames) error { return c.raw(http2.FrameSettings, 0, 0, "\x00\x03\x00") }, codes: []http2.ErrCode{size}},
		{name: "6.5.2 ENABLE_PUSH of 2", do: func(c *frames) error { return c.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 2}) }, codes: []http2.ErrCode{protocol}},
		{name: "6.5.2 INITIAL_WINDOW_SIZE beyond 2^31-1", do: func(c *frames) error {
			return c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31})
		}, codes: []http2.ErrCode{flow}},
		{name: "6.5.2 MAX_FRAME_SIZE below 2^14", do: func(c *frames) error { return c.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 100}) }, codes: []http2.ErrCode{protocol}},
		{name: "6.5.2 MAX_FRAME_SIZE beyond 2^24-1", do: func(c *frames) error {
			return c.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 24})
		}, codes: []http2.ErrCode{protocol}},
		{name: "6.5.2 unknown setting", do: func(c *frames) error {
			return errors.Join(c.WriteSettings(http2.Setting{ID: 0x7777, Val: 1}), c.open(3, c.get(), true))
		}, stream: 3, status: "200"},
		{name: "6.6 PUSH_PROMISE of a client", do: func(c *frames) error { return c.raw(http2.FramePushPromise, 4, 1, "\x00\x00\x00\x02"+string(c.get())) }, codes: []http2.ErrCode{protocol}},
		{name: "6.7 PING on a stream", do: func(c *frames) error { return c.raw(http2.FramePing, 0, 1, "12345678") }, codes: []http2.ErrCode{protocol}},
		{name: "6.7 PING of a wrong size", do: func(c *frames) error { return c.raw(http2.FramePing, 0, 0, "1234567") }, codes: []http2.ErrCode{size}},
		{name: "6.8 GOAWAY on a stream", do: func(c *frames) error { return c.raw(http2.FrameGoAway, 0, 1, "12345678") }, codes: []http2.ErrCode{protocol}},
		{name: "6.9 WINDOW_UPDATE of 0", do: func(c *frames) error { return c.raw(http2.FrameWindowUpdate, 0, 0, "\x00\x00\x00\x00") }, codes: []http2.ErrCode{protocol}},
		{name: "6.9 WINDOW_UPDATE of 0 on a stream", do: func(c *frames) error {
			return errors.Join(c.open(3, c.post(), false), c.raw(http2.FrameWindowUpdate, 0, 3, "\x00\x00\x00\x00"))
		}, stream: 3, codes: []http2.ErrCode{protocol}},
		{name: "6.9 WINDOW_UPDATE of a wrong size", do: func(c *frames) error { return c.raw(http2.FrameWindowUpdate, 0, 0, "\x00\x00\x01") }, codes: []http2.ErrCode{size}},
		{name: "6.9.1 window of the connection beyond 2^31-1", do: func(c *frames) error {
			return errors.Join(c.WriteWindowUpdate(0, 1<<31-1), c.WriteWindowUpdate(0, 1<<31-1))
		}, codes: []http2.ErrCode{flow}},
		{name: "6.9.1 window of a stream beyond 2^31-1", do: func(c *frames) error {
			return errors.Join(c.open(3, c.post(), false), c.WriteWindowUpdate(3, 1<<31-1), c.WriteWindowUpdate(3, 1<<31-1))
		}, stream: 3, codes: []http2.ErrCode{flow}},
		{name: "6.9.1 more data than the window", do: func(c *frames) error {
			return errors.Join(c.open(3, c.post(), false), many(2000, func(int) error { return c.WriteData(3, false, make([]byte, 16<<10)) }))
		}, stream: 3, codes: []http2.ErrCode{flow}},
		{name: "6.10 CONTINUATION after the end of a head", do: func(c *frames) error {
			return errors.Join(c.open(3, c.post(), false), c.WriteContinuation(3, true, c.block("x", "y")))
		}, codes: []http2.ErrCode{protocol}},
		{name: "6.10 CONTINUATION of another stream", do: func(c *frames) error {
			return errors.Join(c.raw(headers, http2.FlagHeadersEndStream, 3, string(c.get())), c.WriteContinuation(5, true, c.block("x", "y")))
		}, codes: []http2.ErrCode{protocol}},
		{name: "6.10 CONTINUATION", do: func(c *frames) error {
			block := string(c.get())
			return errors.Join(c.raw(headers, http2.FlagHeadersEndStream, 3, block[:1]), c.WriteContinuation(3, false, []byte(block[1:2])), c.WriteContinuation(3, true, []byte(block[2:])))
		}, stream: 3, status: "200"},
		{name: "8.1 trailers without the end of the stream", do: func(c *frames) error {
			return errors.Join(c.open(3, c.post(), false), c.open(3, c.block("x", "y"), false))
		}, stream: 3, codes: []http2.ErrCode{protocol}},
		{name: "8.1 pseudo-field in a trailer", do: func(c *frames) error {
			return errors.Join(c.open(3, c.post(), false), c.open(3, c.block(":path", "/wrong"), true))
		}, stream: 3, codes: []http2.ErrCode{protocol}},
		{name: "8.1.1 less body than Content-Length", do: func(c *frames) error {
			return errors.Join(c.open(3, c.post("content-length", "5"), false), c.WriteData(3, true, []byte("abc")))
		}, stream: 3, codes: []http2.ErrCode{protocol}, status: "400"},
		{name: "8.1.1 more body than Content-Length", do: func(c *frames) error {
			return errors.Join(c.open(3, c.post("content-length", "2"), false), c.WriteData(3, true, []byte("abc")))
		}, stream: 3, codes: []http2.ErrCode{protocol}, status: "400"},
		{name: "8.1.1 no body, and Content-Length", do: func(c *frames) error { return c.open(3, c.post("content-length", "5"), true) }, stream: 3, codes: []http2.ErrCode{protocol}, status: "400"},
		{name: "8.2 name in upper case", do: func(c *frames) error { return c.open(3, c.get("X-Wrong", "1"), true) }, stream: 3, codes: []http2.ErrCode{protocol}},
		{name: "8.2 name with a space", do: func(c *frames) error { return c.open(3, c.get("x wrong", "1"), true) }, stream: 3, codes: []http2.ErrCode{protocol}},
		{name: "8.2 name with a colon", do: func(c *frames) error { return c.open(3, c.get("x-wrong:", "1"), true) }, stream: 3, codes: []http2.ErrCode{protocol}},
		{name: "8.2 empty name", do: func(c *frames) error { return c.open(3, c.get("", "1", "x-wrong", "1"), true) }, stream: 3, codes: []http2.ErrCode{protocol}},
		{name: "8.2 value with a line break", do: func(c *frames) error { return c.open(3, c.get("x-wrong", "1\r\nx: y"), true) }, stream: 3, codes: []http2.ErrCode{protocol}},
		{name: "8.2 value with a NUL", do: func(c *frames) error { return c.open(3, c.get("x-wrong", "1\x00"), true) }, stream: 3, codes: []http2.ErrCode{protocol}},
		{name: "8.2.2 Connection", do: func(c *frames) error { return c.open(3, c.get("x-wrong", "1", "connection", "keep-alive"), true) }, stream: 3, codes: []http2.ErrCode{protocol}, status: "400"},
		{name: "8.2.2 Transfer-Encoding", do: func(c *frames) error {
			return c.open(3, c.get("x-wrong", "1", "transfer-encoding", "chunked"), true)
		}, stream: 3, codes: []http2.ErrCode{protocol}, status: "400"},
		{name: "8.2.2 Upgrade", do: func(c *frames) error { return c.open(3, c.get("x-wrong", "1", "upgrade", "websocket"), true) }, stream: 3, codes: []http2.ErrCode{protocol}, status: "400"},
		{name: "8.2.2 Keep-Alive", do: func(c *frames) error { return c.open(3, c.get("x-wrong", "1", "keep-alive", "1"), true) }, stream: 3, codes: []http2.ErrCode{protocol}, status: "400"},
		{name: "8.2.2 Proxy-Connection", do: func(c *frames) error {
			return c.open(3, c.get("x-wrong", "1", "proxy-connection", "close"), true)
		}, stream: 3, codes: []http2.ErrCode{protocol}, status: "400"},
		{name: "8.2.2 TE of something else than trailers", do: func(c *frames) error { return c.open(3, c.get("x-wrong", "1", "te", "gzip"), true) }, stream: 3, codes: []http2.ErrCode{protocol}, status: "400"},
		{name: "8.2.2 TE of trailers", do: func(c *frames) error { return c.open(3, c.get("te", "trailers"), true) }, stream: 3, status: "200"},
		{name: "8.3 unknown pseudo-field", do: func(c *frames) error {
			return c.open(3, c.block(":method", "GET", ":scheme", "https", ":path", "/wrong", ":authority", "a", ":x", "y"), true)
		}, stream: 3, codes: []http2.ErrCode{protocol}},
		{name: "8.3 pseudo-field of responses", do: func(c *frames) error {
			return c.open(3, c.block(":method", "GET", ":scheme", "https", ":path", "/wrong", ":authority", "a", ":status", "200"), true)
		}, stream: 3, codes: []http2.ErrCode{protocol}},
		{name: "8.3 pseudo-field after another", do: func(c *frames) error {
			return c.open(3, c.block(":method", "GET", ":scheme", "https", "x", "y", ":path", "/wrong", ":authority", "a"), true)
		}, stream: 3, codes: []http2.ErrCode{protocol}},
		{name: "8.3.1 empty path", do: func(c *frames) error {
			return c.open(3, c.block(":method", "GET", ":scheme", "https", ":path", "", ":authority", "a", "x-wrong", "1"), true)
		}, stream: 3, codes: []http2.ErrCode{protocol}},
		{name: "8.3.1 path that does not begin with a slash", do: func(c *frames) error {
			return c.open(3, c.block(":method", "GET", ":scheme", "https", ":path", "wrong", ":authority", "a"), true)
		}, stream: 3, codes: []http2.ErrCode{protocol}},
		{name: "8.3.1 path with a space", do: func(c *frames) error {
			return c.open(3, c.block(":method", "GET", ":scheme", "https", ":path", "/wrong HTTP/1.1", ":authority", "a"), true)
		}, stream: 3, codes: []http2.ErrCode{protocol}, status: "400"},
		{name: "8.3.1 path with a line break", do: func(c *frames) error {
			return c.open(3, c.block(":method", "GET", ":scheme", "https", ":path", "/wrong\r\nX: y", ":authority", "a"), true)
		}, stream: 3, codes: []http2.ErrCode{protocol}, status: "400"},
		{name: "8.3.1 no method", do: func(c *frames) error {
			return c.open(3, c.block(":scheme", "https", ":path", "/wrong", ":authority", "a"), true)
		}, stream: 3, codes: []http2.ErrCode{protocol}},
		{name: "8.3.1 method with a space", do: func(c *frames) error {
			return c.open(3, c.block(":method", "GET /wrong", ":scheme", "https", ":path", "/wrong", ":authority", "a"), true)
		}, stream: 3, codes: []http2.ErrCode{protocol}, status: "400"},
		{name: "8.3.1 no scheme", do: func(c *frames) error {
			return c.open(3, c.block(":method", "GET", ":path", "/wrong", ":authority", "a"), true)
		}, stream: 3, codes: []http2.ErrCode{protocol}},
		{name: "8.3.1 no path", do: func(c *frames) error {
			return c.open(3, c.block(":method", "GET", ":scheme", "https", ":authority", "a", "x-wrong", "1"), true)
		}, stream: 3, codes: []http2.ErrCode{protocol}},
		{name: "8.3.1 method twice", do: func(c *frames) error {
			return c.open(3, c.block(":method", "GET", ":method", "GET", ":scheme", "https", ":path", "/wrong", ":authority", "a"), true)
		}, stream: 3, codes: []http2.ErrCode{protocol}},
		{name: "8.3.1 path twice", do: func(c *frames) error {
			return c.open(3, c.block(":method", "GET", ":scheme", "https", ":path", "/r/a", ":path", "/wrong", ":authority", "a"), true)
		}, stream: 3, codes: []http2.ErrCode{protocol}},
		{name: "8.3.1 authority with userinfo", do: func(c *frames) error {
			return c.open(3, c.block(":method", "GET", ":scheme", "https", ":path", "/wrong", ":authority", "a@b"), true)
		}, stream: 3, codes: []http2.ErrCode{protocol}, status: "400"},
		{name: "8.3.1 authority with a path", do: func(c *frames) error {
			return c.open(3, c.block(":method", "GET", ":scheme", "https", ":path", "/wrong", ":authority", "a/b"), true)
		}, stream: 3, codes: []http2.ErrCode{protocol}, status: "400"},
		{name: "8.3.1 another Host than the authority", do: func(c *frames) error { return c.open(3, c.get("host", "other.test", "x-wrong", "1"), true) }, stream: 3, codes: []http2.ErrCode{protocol}, status: "400"},
		{name: "8.5 CONNECT", do: func(c *frames) error {
			return c.open(3, c.block(":method", "CONNECT", ":authority", "127.0.0.1:22"), false)
		}, stream: 3, codes: []http2.ErrCode{protocol}, status: "405"},
		{name: "8.4 fields of more than allowed", do: func(c *frames) error {
			var fields []string
			for i := range 40 {
				fields = append(fields, "x-wrong-"+strconv.Itoa(i), strings.Repeat("x", 1000))
			}
			return c.open(3, c.get(append(fields, "x-wrong", "1")...), true)
		}, stream: 3, codes: []http2.ErrCode{protocol, http2.ErrCodeEnhanceYourCalm}, status: "431"},
		{name: "CONTINUATION flood (CVE-2023-45288)", do: func(c *frames) error {
			return errors.Join(c.raw(headers, http2.FlagHeadersEndStream, 3, string(c.get())), many(20_000, func(i int) error {
				return c.WriteContinuation(3, false, c.block("x-wrong-"+strconv.Itoa(i%100), strings.Repeat("y", 4000)))
			}))
		}, codes: []http2.ErrCode{protocol, http2.ErrCodeEnhanceYourCalm}},
	} {
		for _, secure := range []bool{true, false} {
			name := tt.name + " by TLS"
			if !secure {
				name = tt.name + " without TLS"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				c := g.newFrames(t, secure)
				if !tt.bare {
					if err := errors.Join(c.WriteSettings(), c.open(1, c.get(), true)); err != nil {
						t.Fatal(err)
					}
					if o := c.read(answered(1)); o.status[1] != "200" {
						t.Fatalf("the first request was answered %+v, %v", o, o.err)
					}
				}
				c.sending = true
				sent := make(chan error, 1)
				go func() { sent <- tt.do(c) }() // it may be closed, or not read, in the middle
				enough := func(o *outcome) bool { return o.left }
				if tt.stream != 0 {
					enough = answered(tt.stream)
				}
				o := c.read(enough)
				code, reset := o.resets[tt.stream]
				ok := o.left && (o.closed && o.goAway == 0 || len(tt.codes) == 0 || contains(tt.codes, o.goAway))
				ok = ok || tt.stream != 0 && (reset && contains(tt.codes, code) || tt.status != "" && o.status[tt.stream] == tt.status)
				if tt.status == "200" {
					ok = o.status[tt.stream] == "200"
				}
				if !ok {
					t.Errorf("%s: %+v, want stream %d with %v or status %q", tt.name, o, tt.stream, tt.codes, tt.status)
				}
				_ = c.Close()
				<-sent
			})
		}
	}
	t.Cleanup(func() {
		if n := wrong.Load(); n != 0 {
			t.Errorf("%d requests that break the rules came to the upstream", n)
		}
	})
}

func contains(codes []http2.ErrCode, code http2.ErrCode) bool {
	for _, c := range codes {
		if c == code {
			return true
		}
	}
	return false
}

// A flood costs its sender the connection, or nobody anything: others are served meanwhile.
func TestAbuseHTTP2Floods(t *testing.T) {
	t.Parallel()
	var arrived atomic.Int64
	up := serve(t, answers(func(string, string) { arrived.Add(1) }))
	g := open(t, `
_format_version: "3.0"
services:
- {name: up, url: "`+up+`", routes: [{name: all, paths: [/], strip_path: false}]}
`)
	n := 2000
	if soaking() {
		n = 500_000
	}
	for name, flood := range map[string]func(c *frames, i int) error{
		"rapid reset (CVE-2023-44487)": func(c *frames, i int) error {
			stream := uint32(2*i + 1)
			return errors.Join(c.open(stream, c.get(), true), c.WriteRSTStream(stream, http2.ErrCodeCancel))
		},
		"made to reset (CVE-2025-8671)": func(c *frames, i int) error {
			stream := uint32(2*i + 1)
			return errors.Join(c.open(stream, c.get(), true), c.WriteRawFrame(http2.FrameWindowUpdate, 0, stream, make([]byte, 4)))
		},
		"SETTINGS": func(c *frames, _ int) error { return c.WriteSettings() },
		"PING":     func(c *frames, _ int) error { return c.WritePing(false, [8]byte{}) },
		"PRIORITY": func(c *frames, i int) error {
			return c.WritePriority(uint32(2*i+1), http2.PriorityParam{StreamDep: 0, Weight: 1})
		},
		"CONTINUATION of nothing": func(c *frames, i int) error {
			if i == 0 {
				return c.WriteRawFrame(http2.FrameHeaders, 0, 1, c.get())
			}
			return c.WriteContinuation(1, false, nil)
		},
		"empty DATA": func(c *frames, i int) error {
			if i == 0 {
				return c.open(1, c.post(), false)
			}
			return c.WriteData(1, false, nil)
		},
		"RST_STREAM of a closed stream": func(c *frames, i int) error {
			if i == 0 {
				return c.open(1, c.get(), true)
			}
			return c.WriteRSTStream(1, http2.ErrCodeCancel)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := g.newFrames(t, true)
			if err := c.SetDeadline(time.Now().Add(soak(t, 0) + 20*time.Second)); err != nil {
				t.Fatal(err)
			}
			if err := c.WriteSettings(); err != nil {
				t.Fatal(err)
			}
			sent := 0
			read := strings.HasPrefix(name, "rapid") || strings.HasPrefix(name, "made")
			c.sending = true
			done := make(chan struct{})
			go func() { // it is read where that makes the flood worse, and not where the answers are what piles up
				defer close(done)
				if read {
					c.read(nil)
				}
			}()
			_ = c.SetWriteDeadline(time.Now().Add(soak(t, time.Second/2)))
			for ; sent < n; sent++ {
				if flood(c, sent) != nil {
					break
				}
			}
			_, slowest := g.served(t, 1, 50*time.Millisecond)
			t.Logf("%d of %d were sent; meanwhile others waited %v", sent, n, slowest)
			if slowest > 5*time.Second {
				t.Errorf("a request of another took %v", slowest)
			}
			_ = c.Close()
			<-done
		})
	}
}
