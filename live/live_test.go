package live_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure/live"
	"github.com/perdure/perdure/table"
)

func TestSnapshotThenChanges(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, socket bool) {
		w := newWorld(t)
		w.put("p/1", "ada", 1)
		w.put("p/2", "bob", 2)
		w.remove("p/1")
		c := w.dial(socket, "")
		c.want("reset", "changes put:p/2=2", "ready")
		w.put("p/2", "bob", 3)
		c.want("changes put:p/2=3")
		w.remove("p/2")
		c.want("changes delete:p/2")
		w.run(func(ctx context.Context) error { // one unit, one message
			return errors.Join(scores.Put(ctx, "p/a b", &Score{Points: 1}), scores.Put(ctx, "p/2", &Score{Points: 2}))
		})
		c.want("changes put:p/a%20b=1 put:p/2=2")
	})
}

func TestEmptyTable(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, socket bool) {
		w := newWorld(t)
		c := w.dial(socket, "")
		c.want("reset", "ready")
		w.put("1", "ada", 1)
		c.want("changes put:1=1")
	})
}

// Who comes back gets what has happened, and nothing twice.
func TestResume(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, socket bool) {
		w := newWorld(t)
		w.put("p/1", "ada", 1)
		c := w.dial(socket, "")
		c.want("reset", "changes put:p/1=1", "ready")
		w.put("p/2", "ada", 2)
		c.want("changes put:p/2=2")
		c.hangUp()
		w.dial(socket, c.id).want("ready")
		w.put("p/3", "ada", 3)
		w.remove("p/1")
		w.open() // the server is another one
		again := w.dial(socket, c.id)
		again.want("changes put:p/3=3 delete:p/1", "ready")
		w.put("q/4", "ada", 4)
		again.want("changes put:q/4=4")
	})
}

func TestResumeFromWhatIsNotKept(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, socket bool) {
		w := newWorld(t)
		c := w.dial(socket, "")
		c.want("reset", "ready")
		w.put("p/1", "ada", 1)
		c.want("changes put:p/1=1")
		w.put("p/1", "ada", 2)
		w.trim()
		w.dial(socket, c.id).want("reset", "changes put:p/1=2", "ready")
		for _, wrong := range []string{"x", "1-2-3", "zz-0-0-0-0-0-0-0", "0-0-0-0-0-0-0-0-0", "-1-0-0-0-0-0-0-0"} {
			w.dial(socket, wrong).want("reset", "changes put:p/1=2", "ready")
		}
	})
}

// While rows change, clients come and go; at the end each knows all rows.
func TestNothingIsLostOrDoubled(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, socket bool) {
		w := newWorld(t, live.Buffer(100_000))
		for i := range 600 { // a snapshot of several messages
			w.put(fmt.Sprintf("%d/%d", i%7, i), "ada", 0)
		}
		writers, readers := sync.WaitGroup{}, sync.WaitGroup{}
		for n := range 3 {
			writers.Go(func() {
				for i := range 200 {
					key := fmt.Sprintf("%d/%d", i%7, 3*i+n)
					w.put(key, "ada", i+1)
					if i%5 == 0 {
						w.remove(key)
					}
				}
			})
		}
		for range 4 {
			readers.Go(func() {
				var c *connection
				rows, id, last := map[string]int{}, "", false
				for !last {
					c = w.dial(socket, id)
					c.rows, c.id = rows, id
					for range 30 {
						if m := c.get(); slices.ContainsFunc(m.Changes, func(c told) bool { return c.Key == "last" }) {
							last = true
							break
						}
					}
					c.hangUp()
					rows, id = c.rows, c.id
				}
				// Other partitions of the feed may still be on their way.
				c = w.dial(socket, id)
				c.rows = rows
				for c.get().Event != "ready" {
				}
				if got, want := c.table(), w.stored(); !slices.Equal(got, want) {
					t.Errorf("the client knows %d rows, want %d: %q, %q", len(got), len(want), got, want)
				}
			})
		}
		writers.Wait()
		w.put("last", "ada", 1)
		readers.Wait()
	})
}

func TestFilter(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, socket bool) {
		w := newWorld(t, live.Filter(func(r *http.Request) (func(table.Key, *Score) bool, error) {
			switch user := r.Header.Get("User"); user {
			case "":
				return nil, errors.New("who are you")
			case "root":
				return nil, nil
			default:
				return func(_ table.Key, s *Score) bool { return s.Owner == user }, nil
			}
		}))
		w.put("p/1", "ada", 1)
		w.put("p/2", "bob", 2)
		if c, answer, err := w.try(socket, ""); c != nil || err != nil || answer.StatusCode != http.StatusForbidden {
			t.Fatalf("without a user: %v, %v", answer, err)
		}
		ada, bob, root := w.dial(socket, "", "User", "ada"), w.dial(socket, "", "User", "bob"), w.dial(socket, "", "User", "root")
		ada.want("reset", "changes put:p/1=1", "ready")
		bob.want("reset", "changes put:p/2=2", "ready")
		root.want("reset", "changes put:p/1=1 put:p/2=2", "ready")
		w.put("p/1", "bob", 10) // changes hands
		ada.want("changes delete:p/1")
		bob.want("changes put:p/1=10")
		root.want("changes put:p/1=10")
		w.remove("p/2") // never ada's
		bob.want("changes delete:p/2")
		root.want("changes delete:p/2")
		w.put("p/3", "ada", 3)
		ada.want("changes put:p/3=3")
		// What others did is no part of what is resumed.
		ada.hangUp()
		w.put("p/4", "bob", 4)
		w.put("p/3", "ada", 5)
		w.dial(socket, ada.id, "User", "ada").want("changes put:p/3=5", "ready")
	})
}

func TestPartition(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, socket bool) {
		w := newWorld(t, live.Partition(func(r *http.Request) (string, error) {
			if p := r.Header.Get("Room"); p != "" {
				return p, nil
			}
			return "", errors.New("no room")
		}))
		w.put("a/1", "ada", 1)
		w.put("b/1", "ada", 2)
		c := w.dial(socket, "", "Room", "a")
		c.want("reset", "changes put:a/1=1", "ready")
		w.put("b/1", "ada", 3)
		w.put("a/2", "ada", 4)
		c.want("changes put:a/2=4")
		if c, answer, err := w.try(socket, ""); c != nil || err != nil || answer.StatusCode != http.StatusForbidden {
			t.Errorf("without a room: %v, %v", answer, err)
		}
	})
}

// A client that does not read is disconnected, is told so, and may come back.
func TestSlowClientsAreDropped(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, socket bool) {
		w := newWorld(t, live.Buffer(4))
		c := w.dial(socket, "")
		c.want("reset", "ready")
		// More changes in one commit than may wait.
		w.run(func(ctx context.Context) error {
			for i := range 5 {
				if err := scores.Put(ctx, fmt.Sprint("p/", i), &Score{Points: i}); err != nil {
					return err
				}
			}
			return nil
		})
		if socket {
			c.want("close 1013")
		} else {
			c.want("slow", "over")
		}
		w.dial(socket, c.id).want("changes put:p/0=0 put:p/1=1 put:p/2=2 put:p/3=3 put:p/4=4", "ready")
	})
}

// A client that takes nothing at all does not keep the others waiting, nor the server.
func TestBlockedClient(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, socket bool) {
		w := newWorld(t, live.Buffer(16), live.WriteTimeout(50*time.Millisecond))
		blocked, other := w.dial(socket, ""), w.dial(socket, "")
		blocked.want("reset", "ready")
		other.want("reset", "ready")
		large := strings.Repeat("x", buffered)
		for i := range 24 {
			w.run(func(ctx context.Context) error { return scores.Put(ctx, "1", &Score{large, i}) })
			other.want(fmt.Sprint("changes put:1=", i))
		}
	})
}

func TestBoundOnSubscribers(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, socket bool) {
		w := newWorld(t, live.MaxSubscribers(1))
		c := w.dial(socket, "")
		c.want("reset", "ready")
		refused, answer, err := w.try(socket, "")
		if refused != nil || err != nil || answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" {
			t.Errorf("the second one: %v, %v", answer, err)
		}
	})
}

func TestPagesOfOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, socket bool) {
		w := newWorld(t)
		for _, header := range [][]string{
			{"Origin", "https://evil.example"},
			{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"},
			{"Origin", w.http.URL, "Sec-Fetch-Site", "same-site"},
			{"Origin", "null"},
		} {
			if c, answer, err := w.try(socket, "", header...); c != nil || err != nil || answer.StatusCode != http.StatusForbidden {
				t.Errorf("%q: %v, %v", header, answer, err)
			}
		}
		for _, header := range [][]string{
			{"Origin", w.http.URL},
			{"Origin", w.http.URL, "Sec-Fetch-Site", "same-origin"},
			{"Origin", "https://trusted.example", "Sec-Fetch-Site", "cross-site"},
			{},
		} {
			w.dial(socket, "", header...).want("reset", "ready")
		}
	})
}

func TestHeartbeats(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, socket bool) {
		w := newWorld(t, live.Heartbeat(time.Second), live.Filter(func(*http.Request) (func(table.Key, *Score) bool, error) {
			return func(_ table.Key, s *Score) bool { return s.Owner == "ada" }, nil
		}))
		c := w.dial(socket, "")
		c.want("reset", "ready")
		ready := c.id
		w.put("p/1", "bob", 1)
		w.put("p/1", "ada", 1)
		c.want("changes put:p/1=1")
		seen := c.id
		if seen == ready {
			t.Error("a message has the id of the one before")
		}
		beat := func() {
			t.Helper()
			if err := w.clock.WaitTimers(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			w.clock.Advance(time.Second)
			m := c.get()
			if want := map[bool]string{true: "heartbeat", false: ""}[socket]; m.String() != want {
				t.Fatalf("got %q, want a heartbeat", m)
			}
		}
		beat()
		if c.id != seen {
			t.Errorf("the id is %q after a heartbeat, want %q", c.id, seen)
		}
	})
}

func TestEndOfTheServer(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, socket bool) {
		w := newWorld(t)
		c := w.dial(socket, "")
		c.want("reset", "ready")
		w.server.End()
		if socket {
			c.want("close 1001")
		} else {
			c.want("end", "over")
		}
		if err := w.server.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if c, answer, err := w.try(socket, ""); c != nil || err != nil || answer.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("after the end: %v, %v", answer, err)
		}
	})
}

func TestHead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	answer, err := http.Head(w.http.URL + "/live/scores")
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "text/event-stream" || answer.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("answered %v", answer)
	}
}

func TestBadEndpoints(t *testing.T) {
	t.Parallel()
	for want, option := range map[string]live.Option{
		"positive":        live.Buffer(0),
		"no function":     live.Partition(nil),
		"Filter has no":   live.Filter[Score](nil),
		"the rows are of": live.Filter(func(*http.Request) (func(table.Key, *int) bool, error) { return nil, nil }),
	} {
		if _, err := live.Table("GET /live", scores, option).Open(live.Config{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	all := live.Filter(func(*http.Request) (func(table.Key, *Score) bool, error) { return nil, nil })
	if _, err := live.Table("GET /live", scores, all, all).Open(live.Config{}); err == nil {
		t.Error("two filters were accepted")
	}
}

func TestScript(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	live.Script().ServeHTTP(w, httptest.NewRequest("GET", live.ScriptPath, nil))
	if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/javascript") || !strings.Contains(w.Body.String(), "export function connect") {
		t.Errorf("answered %d %v", w.Code, w.Header())
	}
	again := httptest.NewRequest("GET", live.ScriptPath, nil)
	again.Header.Set("If-None-Match", w.Header().Get("ETag"))
	w = httptest.NewRecorder()
	if live.Script().ServeHTTP(w, again); w.Code != http.StatusNotModified {
		t.Errorf("answered %d to a request with the tag", w.Code)
	}
}

// bomb panics when it is decoded.
type bomb struct{}

func (*bomb) UnmarshalJSON([]byte) error { panic("bomb") }

// TestRowThatPanics: a row that cannot be decoded does no harm to the app.
func TestRowThatPanics(t *testing.T) {
	t.Parallel()
	if row := live.Table("GET /bombs", table.Of[bomb]("bombs")).RowOf([]byte("{}")); row != nil {
		t.Errorf("got %v", row)
	}
}
