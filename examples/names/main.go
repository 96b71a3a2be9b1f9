// Command names counts names as they come in, live. It shows Perdure's parts for events at
// work: a timer makes names and sends them to a queue, a function keeps each batch as a
// blob and appends its names to a stream, windows of five seconds count them into a table,
// and the changes of the table move a chart in the browser. Another timer deletes what is
// old.
//
// It serves http://localhost:8081 and keeps everything in the folder names-data.
// PERDURE_LISTEN and PERDURE_DATA override both; NAMES_EACH says how many names the timer
// makes each second (default 20, 0 for none), NAMES_KEEP how long counts are kept (a Go
// duration, default 10m).
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/examples/names/web"
	"github.com/perdure/perdure/live"
	"github.com/perdure/perdure/window"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s, err := settingsFromEnv()
	if err != nil {
		log.Fatal(err)
	}
	app := perdure.New(perdure.ConfigFromEnv(perdure.Config{
		Title: "Names", Version: "1", Listen: "localhost:8081", Data: "names-data",
	}))
	app.Add(s.parts()...)
	if err := app.Run(ctx); err != nil {
		log.Fatal(err)
	}
}

// parts is the application.
func (s settings) parts() []perdure.Part {
	// A name whose commit took long is late, and corrects the count.
	fiveSeconds := window.Tumbling(5*time.Second, window.Lateness(time.Minute))
	return []perdure.Part{
		RawNames,
		perdure.OnTimer("make-names", "@every 1s", s.makeNames, perdure.CatchUpNone),
		perdure.HTTP("POST /api/names", addNames, perdure.Summary("Count names of your own")),
		perdure.OnQueue(NewNames, saveNames),
		perdure.OnWindow(Names, fiveSeconds, Name.Self, window.Count, keep("name"), perdure.FunctionName("count-names")),
		perdure.OnWindow(Names, fiveSeconds, Name.Letter, window.Count, keep("letter"), perdure.FunctionName("count-letters")),
		perdure.OnTimer("delete-old", "@every 10s", s.deleteOld),
		live.Table("GET /live/counts", Counts),
		perdure.Handle("GET /{$}", web.Handler()),
		perdure.Handle("GET /assets/", web.Handler()),
	}
}

// settings are what the environment says.
type settings struct {
	each int
	keep time.Duration
}

func settingsFromEnv() (s settings, err error) {
	s = settings{each: 20, keep: 10 * time.Minute}
	if v := os.Getenv("NAMES_EACH"); v != "" {
		if s.each, err = strconv.Atoi(v); err != nil || s.each < 0 || s.each > maxBatch {
			return s, fmt.Errorf("NAMES_EACH %q: want a number from 0 to %d", v, maxBatch)
		}
	}
	if v := os.Getenv("NAMES_KEEP"); v != "" {
		if s.keep, err = time.ParseDuration(v); err != nil || s.keep <= 0 {
			return s, fmt.Errorf("NAMES_KEEP %q: want a duration such as 10m", v)
		}
	}
	return s, nil
}
