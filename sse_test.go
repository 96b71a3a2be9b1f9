package perdure_test

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure"
)

// ticking answers with events until the client leaves or the app stops.
func ticking(ctx context.Context, in *struct {
	From string `header:"Last-Event-ID"`
},
) (*struct {
	Events perdure.Events `body:""`
}, error,
) {
	return &struct {
		Events perdure.Events `body:""`
	}{func(yield func(perdure.ServerSentEvent, error) bool) {
		yield(perdure.ServerSentEvent{ID: in.From + "1", Data: "hello"}, nil)
		<-ctx.Done()
	}}, nil
}

// An app that stops does not wait for streams that have no end.
func TestEventsAndStop(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Listen, w.config.Hosts, w.config.ShutdownTimeout = "localhost:0", nil, time.Hour
	r := w.start(perdure.HTTP("GET /events", ticking))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.Addr().String()+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Last-Event-ID", "4")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	lines := bufio.NewReader(res.Body)
	for _, want := range []string{"id: 41\n", "data: hello\n", "\n"} {
		if got, err := lines.ReadString('\n'); got != want || err != nil {
			t.Fatalf("got %q, %v, want %q", got, err, want)
		}
	}
	r.stop()
	if rest, err := lines.ReadString('\n'); rest != "" {
		t.Errorf("after the stop: %q, %v", rest, err)
	}
}

// localhost is both its addresses.
func TestListensOnBothAddresses(t *testing.T) {
	t.Parallel()
	if probe, err := net.Listen("tcp6", "[::1]:0"); err != nil {
		t.Skip("no IPv6 here")
	} else if err := probe.Close(); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.config.Listen, w.config.Hosts = "localhost:0", nil
	r := w.start(perdure.HTTP("GET /", func(context.Context, *empty) (*empty, error) { return nil, nil }))
	_, port, err := net.SplitHostPort(r.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "[::1]", "localhost"} {
		res, err := http.Get("http://" + host + ":" + port + "/")
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusNoContent {
			t.Errorf("%s: %d", host, res.StatusCode)
		}
	}
	taken := newWorld(t)
	taken.config.Listen, taken.config.Hosts = "localhost:"+port, nil
	app := perdure.New(taken.config)
	app.Add(perdure.HTTP("GET /", func(context.Context, *empty) (*empty, error) { return nil, nil }))
	if err := app.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "another program listens") {
		t.Errorf("a second app on the port: %v", err)
	}
	r.stop()
	for _, host := range []string{"127.0.0.1", "::1"} {
		if conn, err := net.Dial("tcp", net.JoinHostPort(host, port)); err == nil {
			t.Errorf("%s is open after the stop", host)
			_ = conn.Close()
		}
	}
}
