// Command soak sends names through the names example, kills it meanwhile, and checks at the
// end that every name was counted once: by name and by first letter.
//
// The program under test is the real one in a process of its own, on a folder of the disk.
// Each batch carries an Idempotency-Key and is sent again until it is accepted. The last
// line of the output says what was counted; if that is not what was sent, the folder is
// kept and the exit status is 1.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/perdure/perdure/test/program"
)

func main() {
	var s settings
	flag.IntVar(&s.events, "events", 1_000_000, "how many names are sent")
	flag.IntVar(&s.batch, "batch", 1000, "names in a request, at most 1000")
	flag.IntVar(&s.kills, "kills", 3, "how often the program is killed")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := s.run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// settings say what is done.
type settings struct {
	events, batch, kills int
}

func (s settings) check() error {
	if s.events < 1 || s.batch < 1 || s.batch > 1000 || s.kills < 0 {
		return errors.New("want -events from 1, -batch from 1 to 1000 and -kills from 0 on")
	}
	if batches := s.batches(); s.kills >= batches {
		return fmt.Errorf("%d kills in %d batches: send more events, or in smaller batches", s.kills, batches)
	}
	return nil
}

func (s settings) batches() int { return (s.events + s.batch - 1) / s.batch }

func (s settings) run(ctx context.Context, out io.Writer) (err error) {
	if err := s.check(); err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "perdure-soak-")
	if err != nil {
		return err
	}
	p := &program.Program{
		Binary: filepath.Join(folder, "names"), Data: filepath.Join(folder, "data"),
		Env: []string{"NAMES_EACH=0", "NAMES_KEEP=24h"},
	}
	if err := program.Build(ctx, p.Binary, "examples/names"); err != nil {
		return errors.Join(err, os.RemoveAll(folder))
	}
	defer p.Kill()
	report, err := s.play(ctx, p)
	if err != nil {
		return fmt.Errorf("%w\nthe folder is kept: %s\nthe program wrote:\n%s", err, folder, p.Tail())
	}
	fmt.Fprintln(out, report)
	return os.RemoveAll(folder)
}
