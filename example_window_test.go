package perdure_test

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/stream"
	"github.com/perdure/perdure/window"
)

// Click is the event of the example.
type Click struct {
	Button string
	At     time.Time
}

var Clicks = stream.Of[Click]("clicks")

// Clicks are counted by button, in windows of one minute of their own time.
func ExampleOnWindow() {
	counts := make(chan string, 10)
	app := perdure.New(perdure.Config{Store: "memory:", Listen: "none", Hosts: []string{"localhost"}, Logger: slog.New(slog.DiscardHandler)})
	app.Add(perdure.OnWindow(Clicks,
		window.Tumbling(time.Minute, window.EventTime(func(c Click) time.Time { return c.At }), window.Idle(0)),
		func(c Click) string { return c.Button }, window.Count,
		func(_ context.Context, r window.Result[string, int]) error {
			counts <- fmt.Sprintf("%s %s: %d", r.Start.Format("15:04"), r.Key, r.Value)
			return nil
		}))
	ctx := context.Background()
	if err := app.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	defer app.Stop(ctx)

	noon := time.Date(2025, 6, 7, 12, 0, 0, 0, time.UTC)
	err := app.Unit(ctx, func(ctx context.Context) error {
		return Clicks.Append(ctx, Click{"ok", noon}, Click{"ok", noon.Add(30 * time.Second)}, Click{"ok", noon.Add(time.Minute)})
	})
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println(<-counts)
	fmt.Println(<-counts)
	// Output:
	// 12:00 ok: 2
	// 12:01 ok: 1
}
