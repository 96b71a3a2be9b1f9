package httpapi_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/internal/httpapi"
)

type bodyIn struct {
	Body []byte `body:""`
}

func echoLength(_ context.Context, in *bodyIn) (*lengthOut, error) {
	return &lengthOut{len(in.Body)}, nil
}

type lengthOut struct {
	Length int `json:"length"`
}

// A sender who says nothing, or too little, is answered 408 after the grace.
func TestSlowBodies(t *testing.T) {
	t.Parallel()
	a := newApp(t, httpapi.New("POST /", echoLength))
	server := httptest.NewServer(httpapi.PaceWith(a.mux, 300*time.Millisecond, 1000))
	t.Cleanup(server.Close)

	_, answer := dial(t, server, "Content-Length: 10")
	if got := answer(); got != http.StatusRequestTimeout {
		t.Errorf("silence: status %d, want 408", got)
	}

	conn, answer := dial(t, server, "Content-Length: 100000")
	trickle := make(chan struct{})
	go func() { // never silent for long
		defer close(trickle)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for range tick.C {
			if _, err := conn.Write([]byte("x")); err != nil {
				return
			}
		}
	}()
	if got := answer(); got != http.StatusRequestTimeout {
		t.Errorf("a trickle: status %d, want 408", got)
	}
	_ = conn.Close()
	<-trickle
}

// A sender who says nothing is answered as well where nobody reads what it says.
func TestSlowBodiesThatNobodyReads(t *testing.T) {
	t.Parallel()
	a := newAppWith(t, known, httpapi.New("POST /", echoLength, httpapi.Require(auth.Authenticated())))
	for name, h := range map[string]http.Handler{"refused": a.mux, "not found": http.NotFoundHandler()} {
		server := httptest.NewServer(httpapi.PaceWith(h, 300*time.Millisecond, 1000))
		t.Cleanup(server.Close)
		_, answer := dial(t, server, "Content-Length: 10")
		if got := answer(); got < 400 || got >= 500 {
			t.Errorf("%s: status %d", name, got)
		}
	}
}

// A fast sender may take longer than the grace, the function too, and the connection
// serves the next request.
func TestPaceLetsOthersBe(t *testing.T) {
	t.Parallel()
	const grace = 200 * time.Millisecond
	slow := httpapi.New("POST /slow", func(ctx context.Context, in *struct {
		Body io.Reader `body:""`
	},
	) (*lengthOut, error) {
		half := make([]byte, 4)
		if _, err := io.ReadFull(in.Body, half); err != nil {
			return nil, err
		}
		for range 2 {
			wait := time.NewTimer(2 * grace)
			select {
			case <-wait.C:
			case <-ctx.Done(): // what a deadline that was left would do
				return nil, ctx.Err()
			}
			if rest, err := io.ReadAll(in.Body); err != nil {
				return nil, err
			} else if len(rest) > 0 {
				half = append(half, rest...)
			}
		}
		return &lengthOut{len(half)}, nil
	})
	a := newApp(t, httpapi.New("POST /", echoLength), slow)
	server := httptest.NewServer(httpapi.PaceWith(a.mux, grace, 1000))
	t.Cleanup(server.Close)
	post := func(path string, body io.Reader, want string) {
		t.Helper()
		res, err := server.Client().Post(server.URL+path, "application/octet-stream", body)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		got, err := io.ReadAll(res.Body)
		if err != nil || string(bytes.TrimSpace(got)) != want {
			t.Errorf("%s: %s, %v, want %s", path, got, err, want)
		}
	}
	post("/slow", bytes.NewReader([]byte("12345678")), `{"length":8}`)
	post("/", bytes.NewReader(make([]byte, 500_000)), `{"length":500000}`)

	r, w := io.Pipe()
	go func() {
		tick := time.NewTicker(30 * time.Millisecond)
		defer tick.Stop()
		for range 20 { // 600 ms, 10 times the rate that is needed
			<-tick.C
			_, _ = w.Write(make([]byte, 300))
		}
		_ = w.Close()
	}()
	post("/", r, `{"length":6000}`)
}
