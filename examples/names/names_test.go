package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/perduretest"
)

// quiet is the app without names of its own.
func quiet() []perdure.Part { return settings{keep: 10 * time.Minute}.parts() }

// sums adds up what is counted, of names and of letters.
func sums(app *perduretest.App) (names, letters map[string]int) {
	names, letters = map[string]int{}, map[string]int{}
	app.Unit(func(ctx context.Context) error {
		clear(names)
		clear(letters)
		for row, err := range Counts.ScanAll(ctx) {
			if err != nil {
				return err
			}
			of := names
			if row.Value.Of == "letter" {
				of = letters
			}
			of[row.Value.Key] += row.Value.Count
		}
		return nil
	})
	return names, letters
}

func TestNamesAreCounted(t *testing.T) {
	t.Parallel()
	app := perduretest.Start(t, perdure.Config{}, quiet()...)
	app.Do("POST", "/api/names", Batch{Names: []Name{"Ada", "ada", "Alan", "Grace"}}).Want(202)
	if names, _ := sums(app); len(names) != 0 {
		t.Errorf("before the window has ended %v are counted", names)
	}
	app.Advance(10 * time.Second)
	names, letters := sums(app)
	if fmt.Sprint(names) != "map[ada:2 alan:1 grace:1]" || fmt.Sprint(letters) != "map[a:3 g:1]" {
		t.Errorf("names %v, letters %v", names, letters)
	}
	app.Unit(func(ctx context.Context) error {
		raw := 0
		for _, err := range RawNames.List(ctx) {
			if err != nil {
				return err
			}
			raw++
		}
		if raw != 1 {
			t.Errorf("%d raw batches", raw)
		}
		return nil
	})
	app.WantNoDeadLetters()
}

func TestTimerMakesNames(t *testing.T) {
	t.Parallel()
	app := perduretest.Start(t, perdure.Config{}, settings{each: 7, keep: time.Minute}.parts()...)
	app.Advance(40 * time.Second)
	total := 0
	names, _ := sums(app)
	for _, n := range names {
		total += n
	}
	if total < 7*30 || total > 7*41 {
		t.Errorf("%d names in 40 seconds, 7 each second", total)
	}
	app.WantNoDeadLetters()
}

func TestOldCountsAreDeleted(t *testing.T) {
	t.Parallel()
	app := perduretest.Start(t, perdure.Config{}, quiet()...)
	app.Do("POST", "/api/names", Batch{Names: []Name{"Ada"}}).Want(202)
	app.Advance(9 * time.Minute)
	if names, _ := sums(app); len(names) != 1 {
		t.Errorf("after 9 minutes %v is left", names)
	}
	app.Advance(2 * time.Minute)
	if names, letters := sums(app); len(names)+len(letters) != 0 {
		t.Errorf("after 11 minutes %v and %v are left", names, letters)
	}
}

func TestBadBatches(t *testing.T) {
	t.Parallel()
	app := perduretest.Start(t, perdure.Config{}, quiet()...)
	app.Do("POST", "/api/names", Batch{}).Want(422)
	app.Do("POST", "/api/names", Batch{Names: make([]Name, maxBatch+1)}).Want(422)
	app.Do("POST", "/api/names", Batch{Names: []Name{"Ada", ""}}).Want(422)
	app.Do("POST", "/api/names", Batch{Names: []Name{Name(strings.Repeat("a", maxName+1))}}).Want(422)
	app.Do("POST", "/api/names", map[string]any{"name": []string{"Ada"}}).Want(400)
	app.Do("POST", "/api/names", "Ada").Want(415)
}

// TestCrashes: whichever commit is the last one before a crash, each name is counted once.
func TestCrashes(t *testing.T) {
	t.Parallel()
	perduretest.CrashEverywhere(t, perdure.Config{}, quiet, func(t *testing.T, app *perduretest.App) {
		app.Do("POST", "/api/names", Batch{Names: []Name{"Ada", "Alan"}}).Want(202)
		app.Advance(5 * time.Second)
		app.Do("POST", "/api/names", Batch{Names: []Name{"Ada"}}).Want(202)
		app.Advance(10 * time.Second)
		names, letters := sums(app)
		if fmt.Sprint(names) != "map[ada:2 alan:1]" || fmt.Sprint(letters) != "map[a:3]" {
			t.Errorf("names %v, letters %v", names, letters)
		}
		app.WantNoDeadLetters()
	})
}
