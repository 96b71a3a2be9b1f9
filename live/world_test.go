package live_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/live"
	"github.com/perdure/perdure/table"
)

// Score is the row of the tests.
type Score struct {
	Owner  string `json:"owner"`
	Points int    `json:"points"`
}

var scores = table.Of[Score]("scores")

// world is a store in which scores are written, and an HTTP server for live endpoints.
type world struct {
	t         *testing.T
	clock     *clock.Manual
	store     store.Store
	env       *unit.Env
	committer *store.Committer
	http      *httptest.Server
	server    *live.Server
}

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func newWorld(t *testing.T, options ...live.Option) *world {
	t.Helper()
	w := &world{t: t, clock: clock.NewManual(noon), store: memory.New(nil)}
	w.env = &unit.Env{Snapshot: w.store.Snapshot, Now: w.clock.Now, Feeds: map[string]bool{"scores": true}}
	w.committer = store.NewCommitter(w.store, store.CommitterOptions{})
	t.Cleanup(func() {
		w.committer.Close()
		_ = w.store.Close()
	})
	w.open(options...)
	return w
}

// open serves an endpoint, in place of the one before.
func (w *world) open(options ...live.Option) {
	w.t.Helper()
	if w.server != nil {
		w.close()
	}
	var err error
	w.server, err = live.Table("GET /live/scores", scores, options...).Open(live.Config{
		Env: w.env, Store: w.store, Clock: w.clock, Log: slog.New(slog.DiscardHandler),
		TrustedOrigins: []string{"https://trusted.example"},
		Refuse: func(rw http.ResponseWriter, _ *http.Request, err error) {
			status := http.StatusForbidden
			if errors.Is(err, live.ErrFull) {
				status = http.StatusServiceUnavailable
			}
			http.Error(rw, err.Error(), status)
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.server.Start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.http = httptest.NewUnstartedServer(w.server)
	w.http.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if err := c.(*net.TCPConn).SetWriteBuffer(buffered); err != nil {
			w.t.Error(err)
		}
		return ctx
	}
	w.http.Start()
	w.t.Cleanup(w.close)
}

// buffered is how much the kernel keeps for a client that does not read, roughly.
const buffered = 64 << 10

// browser is the HTTP client of the tests.
var browser = &http.Client{Transport: &http.Transport{
	DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err == nil {
			err = conn.(*net.TCPConn).SetReadBuffer(buffered)
		}
		return conn, err
	},
}}

func (w *world) close() {
	w.server.End()
	w.http.Close()
	if err := w.server.Stop(context.Background()); err != nil {
		w.t.Error(err)
	}
}

func (w *world) run(fn func(ctx context.Context) error) {
	w.t.Helper()
	if err := unit.Run(w.t.Context(), w.env, w.committer, 10, fn); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) put(key, owner string, points int) {
	w.t.Helper()
	w.run(func(ctx context.Context) error { return scores.Put(ctx, key, &Score{owner, points}) })
}

func (w *world) remove(key string) {
	w.t.Helper()
	w.run(func(ctx context.Context) error { return scores.Delete(ctx, key) })
}

// stored returns the rows as "key=points", in order.
func (w *world) stored() (rows []string) {
	w.t.Helper()
	w.run(func(ctx context.Context) error {
		rows = nil
		for row, err := range scores.ScanAll(ctx) {
			if err != nil {
				return err
			}
			rows = append(rows, fmt.Sprintf("%s=%d", row.Key, row.Value.Points))
		}
		return nil
	})
	slices.Sort(rows)
	return rows
}

// trim removes all changes from the feed.
func (w *world) trim() {
	w.t.Helper()
	for p := range records.FeedPartitions {
		snap, err := w.store.Snapshot()
		if err != nil {
			w.t.Fatal(err)
		}
		var txn store.Txn
		_, err = records.TrimStream(&txn, snap, records.Partition{Stream: records.FeedStream("scores"), Number: p}, 1<<20,
			func(*records.Event, int64) bool { return true })
		if err == nil && !txn.Empty() {
			err = w.committer.Commit(w.t.Context(), &txn)
		}
		if err = errors.Join(err, snap.Close()); err != nil {
			w.t.Fatal(err)
		}
	}
}

// message is what a client gets.
type message struct {
	Event   string
	ID      string
	HasID   bool
	Changes []told
}

type told struct {
	Kind, Key string
	Row       *Score
	Time      time.Time
}

// String returns it as "event kind:key=points …".
func (m message) String() string {
	text := m.Event
	for _, c := range m.Changes {
		text += " " + c.Kind + ":" + c.Key
		if c.Row != nil {
			text += fmt.Sprint("=", c.Row.Points)
		}
	}
	return text
}

// connection is a client.
type connection struct {
	t      *testing.T
	next   func() (message, error)
	hangUp func()
	id     string // the last one
	rows   map[string]int
}

// errOver: the server has ended the connection.
var errOver = errors.New("over")

// dial connects by server-sent events or by WebSocket.
func (w *world) dial(socket bool, resume string, header ...string) *connection {
	w.t.Helper()
	c, answer, err := w.try(socket, resume, header...)
	if err != nil {
		w.t.Fatal(err)
	}
	if c == nil {
		w.t.Fatalf("answered %d", answer.StatusCode)
	}
	return c
}

// try is dial; the connection is nil if the request was answered otherwise.
func (w *world) try(socket bool, resume string, header ...string) (*connection, *http.Response, error) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	w.t.Cleanup(cancel)
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	url := w.http.URL + "/live/scores"
	c := &connection{t: w.t, hangUp: cancel, rows: map[string]int{}}
	if socket {
		conn, answer, err := websocket.Dial(ctx, url+"?resume="+resume, &websocket.DialOptions{HTTPHeader: h, HTTPClient: browser})
		if conn == nil {
			if answer == nil {
				return nil, nil, err
			}
			return nil, answer, nil
		}
		conn.SetReadLimit(64 << 20)
		c.hangUp = func() { _ = conn.CloseNow() }
		w.t.Cleanup(c.hangUp)
		c.next = func() (m message, err error) {
			_, data, err := conn.Read(ctx)
			if status := websocket.CloseStatus(err); status >= 0 {
				return message{Event: fmt.Sprint("close ", int(status))}, errOver
			}
			if err == nil {
				err = json.Unmarshal(data, &m)
				m.HasID = m.ID != "" || m.Event == "reset"
			}
			return m, err
		}
		return c, answer, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, nil, err
	}
	req.Header = h
	if resume != "" {
		req.Header.Set("Last-Event-ID", resume)
	}
	answer, err := browser.Do(req)
	if err != nil {
		return nil, nil, err
	}
	w.t.Cleanup(func() { _ = answer.Body.Close() })
	if answer.StatusCode != http.StatusOK {
		return nil, answer, nil
	}
	body := bufio.NewReader(answer.Body)
	c.next = func() (message, error) { return readEvent(body) }
	return c, answer, nil
}

// readEvent reads one server-sent event as browsers do; one without data has no name.
func readEvent(body *bufio.Reader) (m message, err error) {
	for {
		line, err := body.ReadString('\n')
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return m, errOver
		}
		if err != nil {
			return m, err
		}
		line = strings.TrimSuffix(line, "\n")
		field, value, _ := strings.Cut(line, ": ")
		switch field {
		case "":
			if line == "" {
				return m, nil
			}
		case "event":
			m.Event = value
		case "id":
			m.ID, m.HasID = value, true
		case "data":
			if value != "{}" {
				if err := json.Unmarshal([]byte(value), &m.Changes); err != nil {
					return m, err
				}
			}
		case ":":
		default:
			return m, fmt.Errorf("unknown line %q", line)
		}
	}
}

// get returns the next message and does what it says to the rows.
func (c *connection) get() message {
	c.t.Helper()
	m, err := c.next()
	if err != nil && !errors.Is(err, errOver) {
		c.t.Fatal(err)
	}
	if err != nil && m.Event == "" {
		m.Event = "over"
	}
	if m.HasID {
		c.id = m.ID
	}
	if m.Event == "reset" {
		c.rows = map[string]int{}
	}
	for _, change := range m.Changes {
		if change.Kind == "put" {
			c.rows[change.Key] = change.Row.Points
		} else {
			delete(c.rows, change.Key)
		}
	}
	return m
}

// want checks the next messages.
func (c *connection) want(messages ...string) {
	c.t.Helper()
	for _, want := range messages {
		if got := c.get().String(); got != want {
			c.t.Fatalf("got %q, want %q", got, want)
		}
	}
}

// table returns the rows that the client knows, as world.stored does.
func (c *connection) table() (rows []string) {
	for key, points := range c.rows {
		rows = append(rows, fmt.Sprintf("%s=%d", key, points))
	}
	slices.Sort(rows)
	return rows
}

// both runs a test by both protocols.
func both(t *testing.T, test func(t *testing.T, socket bool)) {
	t.Helper()
	for name, socket := range map[string]bool{"events": false, "websocket": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, socket)
		})
	}
}
