package httpapi_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/perdure/perdure/internal/httpapi"
)

// A client that sends its whole body before it reads an answer gets one all the same,
// and a client that waits for permission gets it without sending anything.
func TestRefusedBodyIsAnswered(t *testing.T) {
	t.Parallel()
	type in struct {
		Body []byte `body:""`
	}
	a := newApp(t, httpapi.New("POST /", func(context.Context, *in) (*struct{}, error) { return nil, nil }, httpapi.MaxBody(10)))
	server := httptest.NewServer(a.mux)
	t.Cleanup(server.Close)

	const size = 32 << 20 // more than the buffers of a connection
	body := bytes.Repeat([]byte("x"), size)
	for name, tt := range map[string]struct{ head, begin, end string }{
		"declared": {head: fmt.Sprintf("Content-Length: %d", size)},
		"chunked":  {head: "Transfer-Encoding: chunked", begin: fmt.Sprintf("%x\r\n", size), end: "\r\n0\r\n\r\n"},
	} {
		conn, answer := dial(t, server, tt.head)
		for _, part := range [][]byte{[]byte(tt.begin), body, []byte(tt.end)} {
			if _, err := conn.Write(part); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if got := answer(); got != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: status %d", name, got)
		}
	}

	conn, answer := dial(t, server, fmt.Sprintf("Content-Length: %d\r\nExpect: 100-continue", size))
	if got := answer(); got != http.StatusRequestEntityTooLarge {
		t.Errorf("a client that asks first: status %d", got)
	}
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Errorf("after the answer: %v", err)
	}
}

// dial sends the head of a request. Answer reads the status of what comes back.
func dial(t *testing.T, server *httptest.Server, head string) (conn net.Conn, answer func() int) {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n", head); err != nil {
		t.Fatal(err)
	}
	return conn, func() int {
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			t.Error(err)
		}
		return res.StatusCode
	}
}
