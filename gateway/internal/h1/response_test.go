package h1_test

import (
	"strings"
	"testing"

	"github.com/perdure/perdure/gateway/internal/h1"
)

func TestResponsesThatAreRefused(t *testing.T) {
	t.Parallel()
	const ok = "HTTP/1.1 200 OK"
	for _, tc := range []struct{ name, head string }{
		{"no HTTP", "hello\r\n\r\n"},
		{"HTTP/0.9", "<html>" + strings.Repeat("x", 40<<10)},
		{"empty line first", "\r\n" + lines(ok)},
		{"version 2", lines("HTTP/2.0 200 OK")},
		{"lower-case version", lines("http/1.1 200 OK")},
		{"two spaces", lines("HTTP/1.1  200 OK")},
		{"short status", lines("HTTP/1.1 20 OK")},
		{"long status", lines("HTTP/1.1 2000 OK")},
		{"signed status", lines("HTTP/1.1 +20 OK")},
		{"status 099", lines("HTTP/1.1 099 OK")},
		{"status 600", lines("HTTP/1.1 600 OK")},
		{"control in the reason", lines("HTTP/1.1 200 O\x01K")},
		{"bare LF", "HTTP/1.1 200 OK\n\r\n"},
		{"bare CR", lines(ok, "X: a\rb")},
		{"folded line", lines(ok, "X: a", " b")},
		{"space before the colon", lines(ok, "Content-Length : 5")},
		{"both framings", lines(ok, "Content-Length: 5", "Transfer-Encoding: chunked")},
		{"two lengths", lines(ok, "Content-Length: 5", "Content-Length: 6")},
		{"two equal lengths", lines(ok, "Content-Length: 5", "Content-Length: 5")},
		{"bad length", lines(ok, "Content-Length: 5 5")},
		{"negative length", lines(ok, "Content-Length: -5")},
		{"chunked twice", lines(ok, "Transfer-Encoding: chunked, chunked")},
		{"another coding", lines(ok, "Transfer-Encoding: gzip")},
		{"coding in HTTP/1.0", lines("HTTP/1.0 200 OK", "Transfer-Encoding: chunked")},
		{"204 with a body", lines("HTTP/1.1 204 No Content", "Content-Length: 5")},
		{"204 that is chunked", lines("HTTP/1.1 204 No Content", "Transfer-Encoding: chunked")},
		{"100 with a body", lines("HTTP/1.1 100 Continue", "Content-Length: 5")},
		{"too many fields", lines(ok, strings.Repeat("X: a\r\n", 200)+"Y: z")},
		{"too large", lines(ok, "X: "+strings.Repeat("a", 40<<10))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var r h1.Response
			if n, err := r.Parse([]byte(tc.head), "GET", &limits); err == nil {
				t.Errorf("Parse = %d, want a refusal", n)
			}
		})
	}
}

func TestResponsesThatAreTaken(t *testing.T) {
	t.Parallel()
	const ok = "HTTP/1.1 200 OK"
	for _, tc := range []struct {
		name, head, method string
		status             int
		length             int64
		body, closes       bool
	}{
		{"length", lines(ok, "Content-Length: 5"), "GET", 200, 5, true, false},
		{"length to HEAD", lines(ok, "Content-Length: 5"), "HEAD", 200, 5, false, false},
		{"chunked to HEAD", lines(ok, "Transfer-Encoding: chunked"), "HEAD", 200, -1, false, false},
		{"nothing to HEAD", lines(ok), "HEAD", 200, 0, false, false},
		{"no body", lines(ok, "Content-Length: 0"), "GET", 200, 0, false, false},
		{"chunked", lines(ok, "Transfer-Encoding: chunked"), "GET", 200, -1, true, false},
		{"until close", lines(ok), "GET", 200, -1, true, true},
		{"close", lines(ok, "Content-Length: 5", "Connection: close"), "GET", 200, 5, true, true},
		{"HTTP/1.0", lines("HTTP/1.0 200 OK", "Content-Length: 5"), "GET", 200, 5, true, true},
		{"HTTP/1.0 that stays", lines("HTTP/1.0 200 OK", "Content-Length: 5", "Connection: keep-alive"), "GET", 200, 5, true, false},
		{"no reason", lines("HTTP/1.1 200 ", "Content-Length: 5"), "GET", 200, 5, true, false},
		{"no space before the reason", lines("HTTP/1.1 200", "Content-Length: 5"), "GET", 200, 5, true, false},
		{"204", lines("HTTP/1.1 204 No Content"), "GET", 204, 0, false, false},
		{"204 with a length of 0", lines("HTTP/1.1 204 No Content", "Content-Length: 0"), "GET", 204, 0, false, false},
		{"304 with a length", lines("HTTP/1.1 304 Not Modified", "Content-Length: 5"), "GET", 304, 5, false, false},
		{"100", lines("HTTP/1.1 100 Continue"), "GET", 100, 0, false, false},
		{"103", lines("HTTP/1.1 103 Early Hints", "Link: x"), "GET", 103, 0, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var r h1.Response
			n, err := r.Parse([]byte(tc.head+"rest"), tc.method, &limits)
			if n != len(tc.head) || err != nil {
				t.Fatalf("Parse = %d, %v, want %d", n, err, len(tc.head))
			}
			if r.Status != tc.status || r.Length != tc.length || r.HasBody(tc.method) != tc.body || r.Close != tc.closes {
				t.Errorf("status %d, length %d, body %v, close %v", r.Status, r.Length, r.HasBody(tc.method), r.Close)
			}
		})
	}
}
