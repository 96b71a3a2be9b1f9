// Command crash kills the file approver again and again, at named points and at random,
// and checks after each restart that nothing it had acknowledged is lost, nothing
// happened twice, and everything goes on to its end.
//
// The program under test is the real one, built with the tag failpoint, in a process
// of its own on a folder of the disk. Settings come from the environment:
//
//	CRASH_KILLS  how many kills (default 200)
//	CRASH_SEED   the seed of the plan, the uploads and the decisions (default: the time)
//	CRASH_POINT  kill at this point only, and at random
//	CRASH_RACE   1: every second start is of a build with the race detector
//
// The last line of its output is "N kills, 0 lost". Otherwise it says what was lost and
// how to repeat the run, keeps the folder, and exits with status 1. A seed repeats the
// plan, not the moments: these are the machine's.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/perdure/perdure/internal/failpoint"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "crash:", err)
		os.Exit(1)
	}
}

// settings are what the environment says.
type settings struct {
	kills int
	seed  uint64
	point failpoint.Point // empty: all of them
	race  bool
}

func settingsFromEnv() (settings, error) {
	s := settings{kills: 200, seed: uint64(time.Now().UnixNano()) % 1_000_000, race: os.Getenv("CRASH_RACE") == "1"}
	if v := os.Getenv("CRASH_KILLS"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return s, fmt.Errorf("CRASH_KILLS %q: want a number from 1 on", v)
		}
		s.kills = n
	}
	if v := os.Getenv("CRASH_SEED"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			return s, fmt.Errorf("CRASH_SEED %q: want a number", v)
		}
		s.seed = n
	}
	if v := failpoint.Point(os.Getenv("CRASH_POINT")); v != "" {
		if !slices.Contains(failpoint.All(), v) {
			return s, fmt.Errorf("CRASH_POINT %q: the points are %q", v, failpoint.All())
		}
		s.point = v
	}
	return s, nil
}

// command is how this run is repeated.
func (s settings) command() string {
	c := fmt.Sprintf("CRASH_SEED=%d CRASH_KILLS=%d ", s.seed, s.kills)
	if s.point != "" {
		c += fmt.Sprintf("CRASH_POINT=%s ", s.point)
	}
	if s.race {
		c += "CRASH_RACE=1 "
	}
	return c + "go run ./test/crash"
}

func run(ctx context.Context) (err error) {
	s, err := settingsFromEnv()
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "perdure-crash-")
	if err != nil {
		return err
	}
	fmt.Printf("%d kills, seed %d\n", s.kills, s.seed)
	listen, err := freeAddress()
	if err != nil {
		return err
	}
	w := &world{settings: s, listen: listen, data: filepath.Join(folder, "data"), book: newBook(s.seed), hits: map[string]int{}}
	if w.binaries, err = build(ctx, folder, s.race); err != nil {
		return errors.Join(err, os.RemoveAll(folder))
	}
	start := time.Now()
	err = w.play(ctx)
	w.report(time.Since(start))
	if err != nil {
		return fmt.Errorf("after kill %d: %w\nthe folder is kept: %s\nto repeat: %s", w.killed, err, folder, s.command())
	}
	fmt.Printf("%d kills, 0 lost\n", w.killed)
	return os.RemoveAll(folder)
}
