package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// devEnv tells the app that it is under development.
const devEnv = "PERDURE_DEV"

// The times of a developer's loop.
const (
	// lookEvery is how often files are looked at.
	lookEvery = 300 * time.Millisecond
	// stopTimeout is how long an app may take to stop.
	stopTimeout = 30 * time.Second
)

func (p *program) devCommand() *cobra.Command {
	d := &dev{program: p}
	cmd := &cobra.Command{
		Use: "dev [PACKAGE]", Short: "Build and run an app, again each time a file changes",
		Long: `Build and run the app in this folder, or in a package below it, again each time a
file changes. While it does not build, the old one runs on. The app is told by
PERDURE_DEV=1 that it is under development.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if d.debug < 0 || d.debug > 65535 {
				return errors.New("--debug: want a port from 1 to 65535")
			}
			return cobra.MaximumNArgs(1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			d.pkg = append(args, ".")[0]
			if cmd.Flags().Changed("data") {
				d.env = append(d.env, dataEnv+"="+p.data)
			}
			return runs(func(ctx context.Context, _ []string) error { return d.run(ctx) })(cmd, args)
		},
	}
	cmd.Flags().IntVar(&d.debug, "debug", 0, "port of this machine for a debugger")
	return cmd
}

// dev builds and runs an app.
type dev struct {
	*program
	pkg   string
	debug int
	env   []string

	dir    string // for the program
	builds int
	app    *exec.Cmd
	ended  chan error // what became of app; nil while none runs
}

// run builds and runs the app until ctx ends.
func (d *dev) run(ctx context.Context) (err error) {
	if d.debug != 0 {
		if _, err := exec.LookPath("dlv"); err != nil {
			return errors.New("--debug needs Delve: install it by go install github.com/go-delve/delve/cmd/dlv@latest")
		}
	}
	if d.dir, err = os.MkdirTemp("", "perdure-dev-"); err != nil {
		return err
	}
	defer os.RemoveAll(d.dir)
	defer d.stop()
	files := look(".")
	d.restart(ctx)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for changed := false; ; {
		select {
		case <-ctx.Done():
			return nil
		case err := <-d.ended:
			d.ended = nil
			d.hint("The app has ended: %v. It starts again when a file changes.", orDone(err))
		case <-tick.C:
			now := look(".")
			switch same := now == files; {
			case !same:
				changed, files = true, now
			case changed: // and nothing more since the last look
				changed = false
				d.restart(ctx)
			}
		}
	}
}

func orDone(err error) any {
	if err == nil {
		return "it was done"
	}
	return err
}

// restart builds the app and runs it in place of the old one, which goes on if the new
// one does not build.
func (d *dev) restart(ctx context.Context) {
	d.builds++
	path := filepath.Join(d.dir, "app-"+strconv.Itoa(d.builds))
	args := []string{"build", "-o", path}
	if d.debug != 0 {
		args = append(args, "-gcflags=all=-N -l")
	}
	build := exec.CommandContext(ctx, "go", append(args, d.pkg)...)
	build.Stdout, build.Stderr = d.err, d.err
	started := time.Now()
	if err := build.Run(); err != nil {
		if ctx.Err() == nil {
			old := "Nothing runs"
			if d.ended != nil {
				old = "The old app runs on"
			}
			d.hint("It does not build: %v. %s.", err, old)
		}
		return
	}
	d.hint("Built in %v.", time.Since(started).Round(10*time.Millisecond))
	d.stop()
	d.start(path)
}

// start runs a program.
func (d *dev) start(path string) {
	d.app = exec.Command(path)
	if d.debug != 0 {
		address := fmt.Sprintf("127.0.0.1:%d", d.debug)
		d.app = exec.Command("dlv", "exec", "--headless", "--listen="+address, "--api-version=2", "--accept-multiclient", "--continue", path)
		d.hint("A debugger can connect to %s.", address)
	}
	d.app.Env = append(append(os.Environ(), devEnv+"=1"), d.env...)
	d.app.Stdin, d.app.Stdout, d.app.Stderr = nil, d.out, d.err
	ownGroup(d.app)
	if err := d.app.Start(); err != nil {
		d.hint("It does not start: %v.", err)
		return
	}
	app, ended := d.app, make(chan error, 1)
	d.ended = ended
	go func() { ended <- app.Wait() }()
}

// stop stops the app in order, and ends it when that takes too long.
func (d *dev) stop() {
	if d.ended == nil {
		return
	}
	interrupt(d.app)
	select {
	case <-d.ended:
	case <-time.After(stopTimeout):
		d.hint("The app did not stop within %v, so it was killed.", stopTimeout)
		kill(d.app)
		<-d.ended
	}
	d.ended = nil
}
