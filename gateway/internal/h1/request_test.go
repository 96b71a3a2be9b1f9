package h1_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/perdure/perdure/gateway/internal/h1"
)

var limits = h1.Limits{Head: 32 << 10, Target: 16 << 10, Fields: 128, ChunkExt: 4 << 10, Trailers: 4 << 10}

// lines joins lines with CRLF, and ends the head.
func lines(l ...string) string { return strings.Join(l, "\r\n") + "\r\n\r\n" }

func TestRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	const get = "GET / HTTP/1.1"
	for _, tc := range []struct {
		name   string
		head   string
		status int
		reason string
	}{
		// RFC 9112 section 2.2: lines end in CRLF.
		{"bare LF after the request line", get + "\nHost: a\r\n\r\n", 400, "CRLF"},
		{"bare LF after a field", get + "\r\nHost: a\n\r\n", 400, "CRLF"},
		{"bare LF ends the head", get + "\r\nHost: a\r\n\n", 400, "CRLF"},
		{"bare CR in a field", get + "\r\nHost: a\r\nX: a\rb\r\n\r\n", 400, "control"},
		{"CR CR LF", get + "\r\nHost: a\r\r\n\r\n", 400, "control"},
		{"two empty lines first", "\r\n\r\n" + lines(get, "Host: a"), 400, "request line"},
		{"LF first", "\n" + lines(get, "Host: a"), 400, "request line"},
		{"NUL in a value", lines(get, "Host: a", "X: a\x00b"), 400, "control"},
		{"NUL in a name", lines(get, "Host: a", "X\x00: a"), 400, "name"},
		{"DEL in a value", lines(get, "Host: a", "X: a\x7fb"), 400, "control"},
		{"vertical tab in a value", lines(get, "Host: a", "X: a\x0bb"), 400, "control"},
		// Section 3: the request line.
		{"no version", lines("GET /", "Host: a"), 400, "request line"},
		{"two spaces before the target", lines("GET  / HTTP/1.1", "Host: a"), 400, "request line"},
		{"two spaces before the version", lines("GET /  HTTP/1.1", "Host: a"), 400, "request line"},
		{"space after the version", lines("GET / HTTP/1.1 ", "Host: a"), 400, "request line"},
		{"tab as a space", lines("GET\t/ HTTP/1.1", "Host: a"), 400, "token"},
		{"space in the target", lines("GET /a b HTTP/1.1", "Host: a"), 400, "request line"},
		{"space first", lines(" GET / HTTP/1.1", "Host: a"), 400, "request line"},
		{"method is no token", lines("G@T / HTTP/1.1", "Host: a"), 400, "token"},
		{"method is empty", lines(" / HTTP/1.1", "Host: a"), 400, "request line"},
		{"lower-case version", lines("GET / http/1.1", "Host: a"), 400, "request line"},
		{"version 1.10", lines("GET / HTTP/1.10", "Host: a"), 400, "request line"},
		{"version 01.1", lines("GET / HTTP/01.1", "Host: a"), 400, "request line"},
		{"version 0.9", lines("GET / HTTP/0.9", "Host: a"), 505, "version"},
		{"version 1.2", lines("GET / HTTP/1.2", "Host: a"), 505, "version"},
		{"version 2.0", lines("GET / HTTP/2.0", "Host: a"), 505, "version"},
		{"HTTP/0.9 request", "GET /\r\n", 400, "request line"},
		{"TLS on a plain port", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 400, "request line"},
		{"fragment", lines("GET /a#b HTTP/1.1", "Host: a"), 400, "target"},
		{"control in the target", lines("GET /a\x01 HTTP/1.1", "Host: a"), 400, "target"},
		{"target without a slash", lines("GET a HTTP/1.1", "Host: a"), 400, "target"},
		{"asterisk with GET", lines("GET * HTTP/1.1", "Host: a"), 400, "target"},
		{"authority form without CONNECT", lines("GET a:80 HTTP/1.1", "Host: a"), 400, "target"},
		{"another scheme", lines("GET ftp://a/ HTTP/1.1", "Host: a"), 400, "target"},
		{"absolute form without a host", lines("GET http:///x HTTP/1.1", "Host: a"), 400, "target"},
		{"absolute form with userinfo", lines("GET http://u@a/ HTTP/1.1", "Host: a"), 400, "target"},
		{"CONNECT", lines("CONNECT a:443 HTTP/1.1", "Host: a"), 405, "CONNECT"},
		// Section 3.2: Host.
		{"no Host", lines(get), 400, "Host"},
		{"two Hosts", lines(get, "Host: a", "Host: b"), 400, "Host"},
		{"two equal Hosts", lines(get, "Host: a", "host: a"), 400, "Host"},
		{"two Hosts in HTTP/1.0", lines("GET / HTTP/1.0", "Host: a", "Host: b"), 400, "Host"},
		{"absolute form without Host", lines("GET http://a/ HTTP/1.1"), 400, "Host"},
		{"Host with a path", lines(get, "Host: a/b"), 400, "Host"},
		{"Host with userinfo", lines(get, "Host: u@a"), 400, "Host"},
		{"Host with a space", lines(get, "Host: a b"), 400, "Host"},
		{"Host with a list", lines(get, "Host: a, b"), 400, "Host"},
		{"Host with a bad port", lines(get, "Host: a:8x"), 400, "Host"},
		{"Host with two ports", lines(get, "Host: a:80:90"), 400, "Host"},
		{"Host with an open bracket", lines(get, "Host: [::1"), 400, "Host"},
		{"Host with text after the bracket", lines(get, "Host: [::1]a"), 400, "Host"},
		{"Host with a quote", lines(get, `Host: "a"`), 400, "Host"},
		{"Host that is not UTF-8", lines(get, "Host: a\xff"), 400, "Host"},
		// Section 5: field lines.
		{"folded line", lines(get, "Host: a", "X: a", " b"), 400, "folded"},
		{"line folded by a tab", lines(get, "Host: a", "X: a", "\tb"), 400, "folded"},
		{"folded first line", lines(get, " Host: a"), 400, "folded"},
		{"space before the colon", lines(get, "Host: a", "X : a"), 400, "name"},
		{"tab before the colon", lines(get, "Host: a", "X\t: a"), 400, "name"},
		{"space before the colon of a length", lines(get, "Host: a", "Content-Length : 5"), 400, "name"},
		{"space before the colon of a coding", lines(get, "Host: a", "Transfer-Encoding : chunked"), 400, "name"},
		{"no colon", lines(get, "Host: a", "X"), 400, "name"},
		{"no name", lines(get, "Host: a", ": x"), 400, "name"},
		{"name that is no token", lines(get, "Host: a", "X(y): x"), 400, "name"},
		{"name with 8 bits", lines(get, "Host: a", "X\xe9: x"), 400, "name"},
		// Section 6: framing.
		{"CL.TE", lines("POST / HTTP/1.1", "Host: a", "Content-Length: 6", "Transfer-Encoding: chunked"), 400, "both"},
		{"TE.CL", lines("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", "Content-Length: 6"), 400, "both"},
		{"CL.0 with a coding", lines("POST / HTTP/1.1", "Host: a", "Content-Length: 0", "Transfer-Encoding: chunked"), 400, "both"},
		{"CL and an unknown coding", lines("POST / HTTP/1.1", "Host: a", "Content-Length: 6", "Transfer-Encoding: x"), 400, "both"},
		{"two lengths", lines("POST / HTTP/1.1", "Host: a", "Content-Length: 6", "Content-Length: 5"), 400, "more than one Content-Length"},
		{"two equal lengths", lines("POST / HTTP/1.1", "Host: a", "Content-Length: 6", "Content-Length: 6"), 400, "more than one Content-Length"},
		{"list of equal lengths", lines("POST / HTTP/1.1", "Host: a", "Content-Length: 6, 6"), 400, "malformed Content-Length"},
		{"signed length", lines("POST / HTTP/1.1", "Host: a", "Content-Length: +6"), 400, "malformed Content-Length"},
		{"negative length", lines("POST / HTTP/1.1", "Host: a", "Content-Length: -6"), 400, "malformed Content-Length"},
		{"hexadecimal length", lines("POST / HTTP/1.1", "Host: a", "Content-Length: 0x6"), 400, "malformed Content-Length"},
		{"length with a fraction", lines("POST / HTTP/1.1", "Host: a", "Content-Length: 6.0"), 400, "malformed Content-Length"},
		{"length with an underscore", lines("POST / HTTP/1.1", "Host: a", "Content-Length: 1_0"), 400, "malformed Content-Length"},
		{"length with a space", lines("POST / HTTP/1.1", "Host: a", "Content-Length: 6 6"), 400, "malformed Content-Length"},
		{"empty length", lines("POST / HTTP/1.1", "Host: a", "Content-Length:"), 400, "malformed Content-Length"},
		{"length that overflows", lines("POST / HTTP/1.1", "Host: a", "Content-Length: 18446744073709551622"), 400, "malformed Content-Length"},
		{"two codings", lines("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), 400, "Transfer-Encoding"},
		{"TE.TE: another one after chunked", lines("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", "Transfer-Encoding: x"), 400, "Transfer-Encoding"},
		{"TE.TE: identity first", lines("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: identity", "Transfer-Encoding: chunked"), 400, "Transfer-Encoding"},
		{"chunked twice", lines("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked, chunked"), 400, "Transfer-Encoding"},
		{"chunked is not the last", lines("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked, gzip"), 400, "Transfer-Encoding"},
		{"xchunked", lines("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: xchunked"), 400, "Transfer-Encoding"},
		{"chunked with a parameter", lines("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked;q=1"), 400, "Transfer-Encoding"},
		{"quoted chunked", lines("POST / HTTP/1.1", "Host: a", `Transfer-Encoding: "chunked"`), 400, "Transfer-Encoding"},
		{"chunked with a comma", lines("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked,"), 400, "Transfer-Encoding"},
		{"comma and chunked", lines("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: ,chunked"), 400, "Transfer-Encoding"},
		{"chunked with a vertical tab", lines("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: \x0bchunked"), 400, "control"},
		{"empty coding", lines("POST / HTTP/1.1", "Host: a", "Transfer-Encoding:"), 400, "Transfer-Encoding"},
		{"identity", lines("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: identity"), 400, "Transfer-Encoding"},
		{"gzip and chunked", lines("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: gzip, chunked"), 501, "not supported"},
		{"coding in HTTP/1.0", lines("POST / HTTP/1.0", "Host: a", "Transfer-Encoding: chunked"), 400, "HTTP/1.0"},
		// RFC 9110 section 10.1.1.
		{"another expectation", lines("POST / HTTP/1.1", "Host: a", "Content-Length: 1", "Expect: x"), 417, "expectation"},
		// Limits.
		{"long target", lines("GET /"+strings.Repeat("a", 17<<10)+" HTTP/1.1", "Host: a"), 414, "target"},
		{"endless target", "GET /" + strings.Repeat("a", 40<<10), 414, "target"},
		{"large head", lines(get, "Host: a", "X: "+strings.Repeat("a", 33<<10)), 431, "head"},
		{"endless head", get + "\r\nX: " + strings.Repeat("a", 33<<10), 431, "head"},
		{"many fields", lines(get, "Host: a", strings.Repeat("X: a\r\n", 200)+"Y: z"), 431, "fields"},
		{"many connection options", lines(get, "Host: a", "Connection: "+strings.Repeat("a,", 40)+"b"), 431, "fields"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var whole, split h1.Request
			_, err := whole.Parse([]byte(tc.head), &limits)
			var protocol *h1.ProtocolError
			if !errors.As(err, &protocol) {
				t.Fatalf("Parse = %v, want a refusal", err)
			}
			if protocol.Status != tc.status || !strings.Contains(protocol.Reason, tc.reason) {
				t.Errorf("refused by %d %q, want %d with %q", protocol.Status, protocol.Reason, tc.status, tc.reason)
			}
			for n := range len(tc.head) + 1 { // byte by byte it must not be taken either
				if k, err := split.Parse([]byte(tc.head)[:n], &limits); k > 0 {
					t.Fatalf("taken after %d bytes", n)
				} else if err != nil {
					return
				}
				split.Reset()
				if n > 2000 {
					return
				}
			}
			t.Error("not refused in parts")
		})
	}
}

func TestRequestsThatAreTaken(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, head string
		want       string // method host path?query length chunked close expect upgrade
	}{
		{"simple", lines("GET / HTTP/1.1", "Host: a"), "GET a / 0"},
		{"query", lines("GET /a?b=c?d HTTP/1.1", "Host: a:80"), "GET a:80 /a?b=c?d 0"},
		{"empty query", lines("GET /a? HTTP/1.1", "Host: a"), "GET a /a? 0"},
		{"one empty line first", "\r\n" + lines("GET / HTTP/1.1", "Host: a"), "GET a / 0"},
		{"whitespace around a value", lines("GET / HTTP/1.1", "Host:\t a \t"), "GET a / 0"},
		{"empty Host", lines("GET / HTTP/1.1", "Host:"), "GET  / 0"},
		{"IPv6 Host", lines("GET / HTTP/1.1", "Host: [::1]:80"), "GET [::1]:80 / 0"},
		{"8 bits in a value", lines("GET / HTTP/1.1", "Host: a", "X: \xe9"), "GET a / 0"},
		{"any token as a method", lines("M-SEARCH! / HTTP/1.1", "Host: a"), "M-SEARCH! a / 0"},
		{"length", lines("POST / HTTP/1.1", "Host: a", "Content-Length: 007"), "POST a / 7"},
		{"chunked", lines("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: Chunked"), "POST a / -1 chunked"},
		{"expect", lines("POST / HTTP/1.1", "Host: a", "Content-Length: 1", "Expect: 100-Continue"), "POST a / 1 expect"},
		{"expect without a body", lines("POST / HTTP/1.1", "Host: a", "Expect: 100-continue"), "POST a / 0"},
		{"close", lines("GET / HTTP/1.1", "Host: a", "Connection: x, Close"), "GET a / 0 close"},
		{"HTTP/1.0", lines("GET / HTTP/1.0"), "GET  / 0 close"},
		{"HTTP/1.0 with keep-alive", lines("GET / HTTP/1.0", "Connection: keep-alive"), "GET  / 0"},
		{"upgrade", lines("GET / HTTP/1.1", "Host: a", "Connection: Upgrade", "Upgrade: websocket"), "GET a / 0 upgrade=websocket"},
		{"upgrade that Connection does not name", lines("GET / HTTP/1.1", "Host: a", "Upgrade: websocket"), "GET a / 0"},
		{"upgrade in HTTP/1.0", lines("GET / HTTP/1.0", "Connection: Upgrade", "Upgrade: websocket"), "GET  / 0 close"},
		// RFC 9112 section 3.2.2: the authority of the target counts.
		{"absolute form", lines("GET http://b:81/x?y HTTP/1.1", "Host: a"), "GET b:81 /x?y 0"},
		{"absolute form without a path", lines("GET HTTPS://b HTTP/1.1", "Host: a"), "GET b / 0"},
		{"absolute form with a query alone", lines("GET http://b?x HTTP/1.1", "Host: a"), "GET b /?x 0"},
		{"absolute form of the server", lines("OPTIONS http://b HTTP/1.1", "Host: a"), "OPTIONS b * 0"},
		{"asterisk form", lines("OPTIONS * HTTP/1.1", "Host: a"), "OPTIONS a * 0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var r h1.Request
			if n, err := r.Parse([]byte(tc.head+"rest"), &limits); n != len(tc.head) || err != nil {
				t.Fatalf("Parse = %d, %v, want %d", n, err, len(tc.head))
			}
			if got := describe(&r); got != tc.want {
				t.Errorf("parsed %q, want %q", got, tc.want)
			}
			var slow h1.Request // the same, byte by byte
			for n := range len(tc.head) {
				if k, err := slow.Parse([]byte(tc.head)[:n:n], &limits); k != 0 || err != nil {
					t.Fatalf("Parse of %d bytes = %d, %v", n, k, err)
				}
				slow.Reset() // they are another array each time
			}
			if n, err := slow.Parse([]byte(tc.head), &limits); n != len(tc.head) || err != nil {
				t.Fatalf("Parse of all = %d, %v", n, err)
			}
		})
	}
}

func TestHeadThatComesInParts(t *testing.T) {
	t.Parallel()
	head := []byte(lines("POST /x HTTP/1.1", "Host: a", "X-Long: "+strings.Repeat("v", 100), "Content-Length: 3"))
	var r h1.Request
	for n := range len(head) {
		if k, err := r.Parse(head[:n], &limits); k != 0 || err != nil {
			t.Fatalf("Parse of %d bytes = %d, %v", n, k, err)
		}
	}
	if n, err := r.Parse(head, &limits); n != len(head) || err != nil {
		t.Fatalf("Parse = %d, %v", n, err)
	}
	if got, want := describe(&r), "POST a /x 3"; got != want || r.Fields.Len() != 3 {
		t.Errorf("parsed %q with %d fields, want %q with 3", got, r.Fields.Len(), want)
	}
}

func TestParseAllocatesNothing(t *testing.T) {
	head := []byte(lines("GET /path?query HTTP/1.1", "Host: example.com", "User-Agent: x", "Accept: */*", "Connection: keep-alive", "Cookie: a=b"))
	var r h1.Request
	if n := testing.AllocsPerRun(100, func() {
		r.Reset()
		if _, err := r.Parse(head, &limits); err != nil {
			t.Fatal(err)
		}
		r.Fields.RemoveHopByHop()
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func BenchmarkParse(b *testing.B) {
	head := []byte(lines("GET /api/things?id=7 HTTP/1.1", "Host: example.com", "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "Accept-Encoding: gzip, deflate, br", "Accept-Language: en",
		"Connection: keep-alive", "Cookie: session=0123456789abcdef0123456789abcdef", "Cache-Control: no-cache"))
	var r h1.Request
	b.SetBytes(int64(len(head)))
	for b.Loop() {
		r.Reset()
		if _, err := r.Parse(head, &limits); err != nil {
			b.Fatal(err)
		}
		r.Fields.RemoveHopByHop()
	}
}

// describe says what was parsed.
func describe(r *h1.Request) string {
	s := r.Method + " " + string(r.Host) + " " + string(r.Path)
	if r.HasQuery {
		s += "?" + string(r.Query)
	}
	s += " " + itoa(r.Length)
	for _, flag := range []struct {
		on   bool
		name string
	}{{r.Chunked, " chunked"}, {r.Close, " close"}, {r.Expect, " expect"}, {r.Upgrade() != nil, " upgrade=" + string(r.Upgrade())}} {
		if flag.on {
			s += flag.name
		}
	}
	return s
}
