package guides_test

import (
	"context"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/durable"
	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/table"
)

// Job is a row of the guide's table.
type Job struct {
	Done time.Time `json:"done"`
	Note string    `json:"note"`
}

var (
	jobs = table.Of[Job]("jobs")
	// Import is an orchestration of the guide.
	Import = durable.NewOrchestration[string, string]("Import")
)

// What follows is in the guide, word for word.

type cleanUpIn struct {
	Tick perdure.Tick     `body:""`
	Old  []table.Row[Job] `bind:"jobs/done/*,limit=1000"`
}

func cleanUp(ctx context.Context, in *cleanUpIn) (*struct{}, error) {
	for _, row := range in.Old {
		if in.Tick.Scheduled.Sub(row.Value.Done) < 24*time.Hour {
			continue
		}
		if err := jobs.Delete(ctx, row.Key.String()); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

type reportOfDay struct {
	Report *Job `bind:"jobs/reports/{timer.scheduled}"`
}

type noteIn struct {
	Ended perdure.Ended `body:""`
}

type noteOut struct {
	Job *Job `bind:"jobs/ended/{orchestration.id}"`
}

func noteEnd(_ context.Context, in *noteIn) (*noteOut, error) {
	return &noteOut{&Job{Note: string(in.Ended.State) + " " + in.Ended.Failure}}, nil
}

// The end of what is in the guide.

func reportDay(_ context.Context, _ *struct{}) (*reportOfDay, error) {
	return &reportOfDay{&Job{Note: "report"}}, nil
}

func TestTimersGuide(t *testing.T) {
	t.Parallel()
	now := clock.NewManual(time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC))
	app := perdure.New(perdure.Config{Store: "memory:", Data: t.TempDir(), Listen: "none", Hosts: []string{"example.com"}})
	app.Add(jobs, Import.Impl(func(*durable.Context, string) (string, error) { return "done", nil }))
	app.Add(perdure.OnTimer("clean-up", "0 30 3 * * *", cleanUp, perdure.Zone("Europe/Berlin")))
	app.Add(perdure.OnEnded(Import, noteEnd))
	app.Add(perdure.OnTimer("report", "@daily", reportDay))
	if err := app.Start(clock.With(t.Context(), now)); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = app.Stop(context.Background()) }()
	unit := func(fn func(ctx context.Context) error) {
		t.Helper()
		if err := app.Unit(context.Background(), fn); err != nil {
			t.Fatal(err)
		}
	}
	unit(func(ctx context.Context) error {
		if err := jobs.Put(ctx, "done/old", &Job{Done: now.Now().Add(-24 * time.Hour)}); err != nil {
			return err
		}
		return jobs.Put(ctx, "done/new", &Job{Done: now.Now()})
	})
	if _, err := Import.StartWith(t.Context(), app.Durable(), "x", durable.ID("i1")); err != nil {
		t.Fatal(err)
	}
	for range 24 {
		now.Advance(time.Hour)
		if err := app.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	unit(func(ctx context.Context) error {
		rows, _, err := table.Page(jobs.ScanAll(ctx), 10)
		var keys []string
		for _, row := range rows {
			keys = append(keys, row.Key.String()+" "+row.Value.Note)
		}
		want := []string{"done/new ", "ended/i1 Completed ", "reports/2026-03-05T00:00:00Z report"}
		if len(keys) != 3 || keys[0] != want[0] || keys[1] != want[1] || keys[2] != want[2] {
			t.Errorf("rows %q, want %q", keys, want)
		}
		return err
	})
}
