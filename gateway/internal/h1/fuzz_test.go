package h1_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"

	"github.com/perdure/perdure/gateway/internal/h1"
)

// FuzzRequest compares with net/http: what is taken here must be taken there, with the
// same meaning where a body begins and how long it is.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		lines("GET / HTTP/1.1", "Host: a"),
		"\r\n" + lines("POST /x?y HTTP/1.1", "Host: a:80", "Content-Length: 5") + "hello",
		lines("POST http://b/x HTTP/1.1", "Host: a", "Transfer-Encoding: chunked") + "0\r\n\r\n",
		lines("POST / HTTP/1.1", "Host: a", "Content-Length: 5", "Transfer-Encoding: chunked"),
		lines("OPTIONS * HTTP/1.0", "Connection: keep-alive, x", "X: y"),
		lines("GET / HTTP/1.1", "Host: [::1]", "Connection: Upgrade", "Upgrade: websocket"),
		lines("GET / HTTP/1.1", "Host: a", "X : y"),
		lines("GET / HTTP/1.1", "Host: a", "X: y", " z"),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var r h1.Request
		n, err := r.Parse(data, &limits)
		if err != nil || n == 0 || r.Method == "" {
			return
		}
		if n > len(data) || !bytes.HasSuffix(data[:n], []byte("\r\n\r\n")) {
			t.Fatalf("a head of %d bytes", n)
		}
		input := bufio.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\r\n"))))
		other, err := http.ReadRequest(input)
		if err != nil {
			if excused(err) {
				return
			}
			t.Fatalf("taken, but net/http says %v: %q", err, data)
		}
		if other.Method != r.Method || other.RequestURI != string(r.Target) {
			t.Fatalf("%q %q, net/http %q %q", r.Method, r.Target, other.Method, other.RequestURI)
		}
		if r.Scheme == "" && other.Host != string(r.Host) {
			t.Fatalf("Host %q, net/http %q", r.Host, other.Host)
		}
		length := other.ContentLength
		if r.Length != length || r.Chunked != (len(other.TransferEncoding) > 0) {
			t.Fatalf("length %d chunked %v, net/http %d %q: %q", r.Length, r.Chunked, length, other.TransferEncoding, data)
		}
		r.Fields.RemoveHopByHop()
		for name, value := range r.Fields.All() {
			if bytes.ContainsAny(value, "\r\n\x00") || bytes.ContainsAny(name, "\r\n\x00: ") {
				t.Fatalf("field %q: %q", name, value)
			}
		}
		if !r.Close && other.Close {
			t.Fatalf("kept, but net/http closes: %q", data)
		}
	})
}

// excused are refusals of net/http that no reader of the message depends on.
func excused(err error) bool {
	text := err.Error()
	for _, reason := range []string{
		"invalid method",             // it is a token: net/http has no others
		"parse ",                     // of the URI, for what is in it
		"invalid URL escape",         // the same
		"malformed HTTP request",     // of the URI
		"bad Content-Length",         // of more than 18 digits, which are refused here
		"too many",                   // its limits
		"unsupported transfer enc",   // not reached: refused here
		"malformed MIME header",      // its own limits of names
		"malformed Host header",      // escapes in it
		"invalid Host header",        // the same
		"PRI",                        // HTTP/2
		"invalid header field value", // Upgrade and the like
	} {
		if strings.Contains(text, reason) {
			return true
		}
	}
	return false
}

// FuzzResponse compares with net/http in the same way.
func FuzzResponse(f *testing.F) {
	for _, seed := range []string{
		lines("HTTP/1.1 200 OK", "Content-Length: 5") + "hello",
		lines("HTTP/1.1 200", "Transfer-Encoding: chunked") + "0\r\n\r\n",
		lines("HTTP/1.0 204 No Content", "Connection: keep-alive"),
		lines("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket"),
		lines("HTTP/1.1 304 Not Modified", "Content-Length: 5"),
	} {
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, get bool) {
		method := http.MethodHead
		if get {
			method = http.MethodGet
		}
		var r h1.Response
		n, err := r.Parse(data, method, &limits)
		if err != nil || n == 0 {
			return
		}
		if n > len(data) || !bytes.HasSuffix(data[:n], []byte("\r\n\r\n")) {
			t.Fatalf("a head of %d bytes", n)
		}
		other, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(data)), &http.Request{Method: method})
		if err != nil {
			if excused(err) {
				return
			}
			t.Fatalf("taken, but net/http says %v: %q", err, data)
		}
		if other.StatusCode != r.Status {
			t.Fatalf("status %d, net/http %d", r.Status, other.StatusCode)
		}
		if !r.HasBody(method) || r.Interim() || r.Status == http.StatusSwitchingProtocols {
			return
		}
		if r.Length != other.ContentLength || r.Chunked != (len(other.TransferEncoding) > 0) {
			t.Fatalf("length %d chunked %v, net/http %d %q: %q", r.Length, r.Chunked, other.ContentLength, other.TransferEncoding, data)
		}
	})
}

// FuzzChunked compares with net/http's reader of chunks: what is taken here must be
// read there in the same way. However the bytes are split, the result is the same.
func FuzzChunked(f *testing.F) {
	for _, seed := range []string{
		"0\r\n\r\n", "3\r\nabc\r\n0\r\n\r\n", "3;a=\"b\"\r\nabc\r\n0\r\nX: y\r\n\r\n", "A\r\n0123456789\r\n1\r\nx\r\n00\r\n\r\n",
		"3\nabc\n0\n\n", "fffffffffffffff0\r\n",
	} {
		f.Add([]byte(seed), 3)
	}
	f.Fuzz(func(t *testing.T, data []byte, split int) {
		if split < 1 || split > 1<<10 {
			split = 1
		}
		whole, used, err := h1.ReadChunked(data, len(data)+1, &limits)
		parts, usedParts, errParts := h1.ReadChunked(data, split, &limits)
		if (err == nil) != (errParts == nil) || err == nil && (used != usedParts || !bytes.Equal(whole, parts)) {
			t.Fatalf("%q %d %v at once, %q %d %v in parts of %d", whole, used, err, parts, usedParts, errParts, split)
		}
		if err != nil {
			return
		}
		other, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(data)))
		if err != nil || !bytes.Equal(other, whole) {
			t.Fatalf("%q, net/http %q, %v: %q", whole, other, err, data)
		}
	})
}
