package httpapi_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/binding"
	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/httpapi"
	"github.com/perdure/perdure/table"
)

type eventsIn struct {
	From string `header:"Last-Event-ID"`
}

type eventsOut struct {
	Events binding.Events `body:""`
}

// eventServer serves one function whose events come through a channel. Ended is closed
// when its sequence has ended.
type eventServer struct {
	*httptest.Server
	t      *testing.T
	app    *app
	clock  *clock.Manual
	close  context.CancelFunc
	events chan binding.ServerSentEvent
	ended  chan struct{}
}

func newEventServer(t *testing.T, last error) *eventServer {
	t.Helper()
	s := &eventServer{
		t: t, app: newApp(t), clock: clock.NewManual(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)),
		events: make(chan binding.ServerSentEvent), ended: make(chan struct{}),
	}
	f := httpapi.New("GET /events", func(ctx context.Context, in *eventsIn) (*eventsOut, error) {
		if err := metadata.Put(ctx, "row", &meta{Owner: in.From}); err != nil {
			return nil, err
		}
		return &eventsOut{func(yield func(binding.ServerSentEvent, error) bool) {
			defer close(s.ended)
			if !yield(binding.ServerSentEvent{ID: "1", Data: "after " + in.From}, nil) {
				return
			}
			for {
				select {
				case e, ok := <-s.events:
					if !ok {
						if last != nil {
							yield(binding.ServerSentEvent{}, last)
						}
						return
					}
					if !yield(e, nil) {
						return
					}
				case <-ctx.Done():
					return
				}
			}
		}}, nil
	})
	cfg := s.app.cfg
	cfg.Clock = s.clock
	cfg.Closing, s.close = context.WithCancel(context.Background())
	t.Cleanup(s.close)
	mux := http.NewServeMux()
	if err := httpapi.Register(mux, cfg, f); err != nil {
		t.Fatal(err)
	}
	s.Server = httptest.NewServer(httpapi.Pace(mux))
	t.Cleanup(s.Close)
	return s
}

// connect opens the stream. Next returns its next line, and false at its end.
func (s *eventServer) connect(method string) (res *http.Response, next func() (string, error)) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+"/events", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Last-Event-ID", "0")
	if res, err = s.Client().Do(req); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = res.Body.Close() })
	lines := bufio.NewReader(res.Body)
	return res, func() (string, error) {
		line, err := lines.ReadString('\n')
		return strings.TrimSuffix(line, "\n"), err
	}
}

func expect(t *testing.T, next func() (string, error), want ...string) {
	t.Helper()
	for _, line := range want {
		if got, err := next(); got != line || err != nil {
			t.Fatalf("got %q, %v, want %q", got, err, line)
		}
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	s := newEventServer(t, nil)
	res, next := s.connect(http.MethodGet)
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %d %v", res.StatusCode, res.Header)
	}
	expect(t, next, "id: 1", "data: after 0", "")
	s.app.unit(func(ctx context.Context) error { // the unit has committed before
		row, err := metadata.Get(ctx, "row")
		if err == nil && row.Owner != "0" {
			t.Errorf("got %+v", row)
		}
		return err
	})
	s.events <- binding.ServerSentEvent{Event: "count", Data: "1\n2"}
	expect(t, next, "event: count", "data: 1", "data: 2", "")

	if err := s.clock.WaitTimers(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	s.clock.Advance(15 * time.Second)
	expect(t, next, ": keep-alive", "")
	if err := s.clock.WaitTimers(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	s.clock.Advance(10 * time.Second)
	s.events <- binding.ServerSentEvent{Data: "soon"}
	expect(t, next, "data: soon", "")
	s.clock.Advance(5 * time.Second) // not silent for 15 s: the next line is an event
	s.events <- binding.ServerSentEvent{Data: "end"}
	close(s.events)
	expect(t, next, "data: end", "")
	if _, err := next(); err != io.EOF { //nolint:errorlint // a body cut short is a wrapped io.EOF
		t.Errorf("at the end: %v, want EOF", err)
	}
}

func TestEventsEndWithTheirClient(t *testing.T) {
	t.Parallel()
	s := newEventServer(t, nil)
	res, next := s.connect(http.MethodGet)
	expect(t, next, "id: 1")
	if err := res.Body.Close(); err != nil {
		t.Fatal(err)
	}
	wait(t, s.ended)
}

func TestEventsEndWithTheApp(t *testing.T) {
	t.Parallel()
	s := newEventServer(t, nil)
	_, next := s.connect(http.MethodGet)
	expect(t, next, "id: 1", "data: after 0", "")
	s.close()
	wait(t, s.ended)
	if _, err := next(); err != io.EOF { //nolint:errorlint // a body cut short is a wrapped io.EOF
		t.Errorf("at the end: %v, want EOF", err)
	}
}

// An error breaks the connection off, so that the client does not take it for an end.
func TestEventsFail(t *testing.T) {
	t.Parallel()
	s := newEventServer(t, errors.New("the disk is on fire"))
	_, next := s.connect(http.MethodGet)
	expect(t, next, "id: 1", "data: after 0", "")
	close(s.events)
	if _, err := next(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("at the end: %v, want a broken connection", err)
	}
	if log := s.app.log.String(); !strings.Contains(log, "the disk is on fire") {
		t.Errorf("the log says %q", log)
	}
}

func TestHeadOfEvents(t *testing.T) {
	t.Parallel()
	s := newEventServer(t, nil)
	res, _ := s.connect(http.MethodHead)
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("got %d %v", res.StatusCode, res.Header)
	}
}

func wait(t *testing.T, ended <-chan struct{}) {
	t.Helper()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("it goes on")
	}
}

type writtenOut struct {
	Type string                `header:"Content-Type"`
	Body func(io.Writer) error `body:"text/csv"`
}

// A body that is written is sent while it is written, after the commit; where it breaks
// off, the connection does.
func TestWrittenBody(t *testing.T) {
	t.Parallel()
	first := make(chan struct{})
	a := newApp(t,
		httpapi.New("GET /rows", func(ctx context.Context, _ *struct{}) (*writtenOut, error) {
			if err := metadata.Put(ctx, "row", &meta{Count: 1}); err != nil {
				return nil, err
			}
			return &writtenOut{Body: func(w io.Writer) error {
				if _, err := io.WriteString(w, "a,b\n"); err != nil {
					return err
				}
				<-first // sent before there is more
				_, err := io.WriteString(w, "1,2\n")
				return err
			}}, nil
		}),
		httpapi.New("GET /broken", func(context.Context, *struct{}) (*writtenOut, error) {
			return &writtenOut{Body: func(w io.Writer) error {
				_, err := io.WriteString(w, "a,b\n")
				return errors.Join(err, table.ErrChanged)
			}}, nil
		}),
		httpapi.New("GET /panics", func(context.Context, *struct{}) (*writtenOut, error) {
			return &writtenOut{Body: func(io.Writer) error { panic("on purpose") }}, nil
		}),
		httpapi.New("GET /nothing", func(context.Context, *struct{}) (*writtenOut, error) { return &writtenOut{}, nil }))
	server := httptest.NewServer(a.mux)
	t.Cleanup(server.Close)
	get := func(path string) *http.Response {
		t.Helper()
		res, err := server.Client().Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = res.Body.Close() })
		return res
	}
	res := get("/rows")
	lines := bufio.NewReader(res.Body)
	if line, err := lines.ReadString('\n'); line != "a,b\n" || err != nil || res.Header.Get("Content-Type") != "text/csv" {
		t.Errorf("got %q, %v, %v", line, err, res.Header)
	}
	a.unit(func(ctx context.Context) error {
		_, err := metadata.Get(ctx, "row")
		return err
	})
	close(first)
	if rest, err := io.ReadAll(lines); string(rest) != "1,2\n" || err != nil {
		t.Errorf("got %q, %v", rest, err)
	}
	if _, err := io.ReadAll(get("/broken").Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a body that breaks off ends with %v", err)
	}
	if res, err := server.Client().Get(server.URL + "/panics"); err == nil {
		t.Errorf("a body that panics is answered with %d", res.StatusCode)
	} else if !strings.Contains(a.log.String(), "on purpose") {
		t.Errorf("the log says %q", a.log)
	}
	if res := get("/nothing"); res.StatusCode != http.StatusNoContent {
		t.Errorf("no body: %d", res.StatusCode)
	}
}

// Every method reaches its function, also those that nobody has heard of.
func TestMethods(t *testing.T) {
	t.Parallel()
	methods := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "M-SEARCH"}
	var functions []*httpapi.Function
	for _, method := range methods {
		functions = append(functions, httpapi.New(method+" /thing", func(context.Context, *struct{}) (*methodOut, error) {
			return &methodOut{method}, nil
		}))
	}
	a := newApp(t, functions...)
	server := httptest.NewServer(httpapi.Problems(a.mux))
	t.Cleanup(server.Close)
	for _, method := range methods {
		req, err := http.NewRequestWithContext(t.Context(), method, server.URL+"/thing", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if got := res.Header.Get("X-Method"); res.StatusCode != http.StatusNoContent || got != method {
			t.Errorf("%s: %d by the function of %q", method, res.StatusCode, got)
		}
	}
}

type methodOut struct {
	Method string `header:"X-Method"`
}
