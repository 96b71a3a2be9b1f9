// Package live_test drives the module for pages, /perdure/live.js, in a real browser.
package live_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/live"
	"github.com/perdure/perdure/table"
	"github.com/perdure/perdure/test/e2e/browser"
)

type score struct {
	Points int `json:"points"`
}

var scores = table.Of[score]("scores")

const page = `<!doctype html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,"><title>Scores</title>
<p id="sse"></p><p id="websocket"></p><script type="module" src="/page.js"></script>`

const script = `import { connect } from "/perdure/live.js";
window.states = { sse: [], websocket: [] };
for (const transport of ["sse", "websocket"]) {
  const show = (rows) => {
    document.getElementById(transport).textContent =
      [...rows].sort().map(([key, row]) => key + "=" + row.points).join(" ");
  };
  const connection = connect("/live/scores", {
    transport, change: show, state: (name) => window.states[transport].push(name),
  });
  window["close_" + transport] = () => connection.close();
}`

func serve(mime, text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", mime)
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; connect-src 'self'; img-src data:")
		_, _ = w.Write([]byte(text)) // the browser may have left
	})
}

func start(t *testing.T, data, listen string) *perdure.App {
	t.Helper()
	app := perdure.New(perdure.Config{Data: data, Listen: listen, Logger: slog.New(slog.DiscardHandler)})
	app.Add(
		live.Table("GET /live/scores", scores),
		perdure.Handle("GET /{$}", serve("text/html; charset=utf-8", page)),
		perdure.Handle("GET /page.js", serve("text/javascript", script)),
	)
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, app) })
	return app
}

func stop(t *testing.T, app *perdure.App) {
	t.Helper()
	if err := app.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

func put(t *testing.T, app *perdure.App, key string, points int) {
	t.Helper()
	err := app.Unit(context.Background(), func(ctx context.Context) error { return scores.Put(ctx, key, &score{points}) })
	if err != nil {
		t.Fatal(err)
	}
}

func TestPageFollowsATable(t *testing.T) {
	data := t.TempDir()
	app := start(t, data, "localhost:0")
	put(t, app, "p/1", 1)
	p := browser.Open(t, "http://"+app.Addr().String()+"/")
	shows := func(what, want string) {
		t.Helper()
		for _, transport := range []string{"sse", "websocket"} {
			p.Wait(what+" by "+transport, fmt.Sprintf("document.getElementById(%q).textContent === %q", transport, want))
		}
	}
	shows("the rows", "p/1=1")
	put(t, app, "p/2", 2)
	put(t, app, "p/1", 3)
	shows("changes", "p/1=3 p/2=2")

	// The app is away, and rows change before the page has come back.
	address := app.Addr().String()
	stop(t, app)
	p.Wait("the loss", "states.sse.at(-1) !== 'live' && states.websocket.at(-1) !== 'live'")
	offline := start(t, data, "localhost:0")
	put(t, offline, "p/3", 3)
	stop(t, offline)
	app = start(t, data, address)
	shows("what it missed", "p/1=3 p/2=2 p/3=3")
	put(t, app, "p/2", 9)
	shows("changes after the return", "p/1=3 p/2=9 p/3=3")

	p.Wait("the end", "(close_sse(), close_websocket(), states.sse.at(-1) === 'closed' && states.websocket.at(-1) === 'closed')")
	for _, complaint := range p.Complaints() {
		t.Log(complaint) // the requests while the app was away
	}
}
