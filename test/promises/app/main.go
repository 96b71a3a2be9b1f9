// Command app is what the tests of the promises kill and count: every event of a request
// goes through a queue and a stream that keep its order by key, through the feed of a
// table's changes, and through an orchestration of its own. What a function does is added
// to what the store has of it, so that whatever is lost, doubled or out of order shows.
//
// PROMISES_BROKEN names a file of keys whose events a dependency refuses, one in a line;
// "*" stands for all. It is read each time. PROMISES_ATTEMPTS says how often an event is
// tried (default 1000), PROMISES_HOOK what is told of dead letters, and PROMISES_SECRET
// the secret of that.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/perdure/perdure"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	attempts := 1000
	if v := os.Getenv("PROMISES_ATTEMPTS"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			log.Fatalf("PROMISES_ATTEMPTS %q: want a number", v)
		}
		attempts = n
	}
	app := perdure.New(perdure.ConfigFromEnv(perdure.Config{
		Title: "Promises",
		DeadLetterWebhook: perdure.DeadLetterWebhook{
			URL: os.Getenv("PROMISES_HOOK"), Secret: os.Getenv("PROMISES_SECRET"), AllowPrivate: true,
		},
	}))
	app.Add(parts(&dependency{file: os.Getenv("PROMISES_BROKEN"), seen: map[string]bool{}}, attempts)...)
	if err := app.Run(ctx); err != nil {
		log.Fatal(err)
	}
}

// parts is the application.
func parts(d *dependency, attempts int) []perdure.Part {
	policy := perdure.Policy{Attempts: attempts, Initial: 5 * time.Millisecond, Max: 50 * time.Millisecond}
	parts := []perdure.Part{
		Seen, Latest, Counts, Ticks,
		perdure.HTTP("POST /events", accept),
		perdure.HTTP("GET /report", report),
		perdure.OnQueue(Jobs, d.handleJob, policy),
		perdure.OnStream(Facts, d.handleFact, policy),
		perdure.OnChange(Latest, noteChange, policy),
		Follow.Impl(follow), Note.Impl(note),
		perdure.OnEnded(Follow, noteEnd, policy),
	}
	for name, catchUp := range map[string]perdure.CatchUp{
		"all": perdure.CatchUpAll, "last": perdure.CatchUpLast, "none": perdure.CatchUpNone,
	} {
		parts = append(parts, perdure.OnTimer(name, "@every 1s", noteTick, catchUp, policy))
	}
	return parts
}

// dependency is what the functions need and do not have: it refuses the keys of a file,
// and each fifth event when it first sees it.
type dependency struct {
	file string

	mu   sync.Mutex
	seen map[string]bool
}

var errShaken = errors.New("the dependency is shaken: try again")

// call asks for something that an event needs in a place.
func (d *dependency) call(place string, e *Event) error {
	broken, err := os.ReadFile(d.file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for key := range strings.FieldsSeq(string(broken)) {
		if key == e.Key || key == "*" {
			return fmt.Errorf("the dependency refuses key %q", e.Key)
		}
	}
	id := fmt.Sprintf("%s/%s/%d", place, e.Key, e.Seq)
	d.mu.Lock()
	defer d.mu.Unlock()
	if e.Seq%5 == 0 && !d.seen[id] {
		d.seen[id] = true
		return errShaken
	}
	return nil
}
