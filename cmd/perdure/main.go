// Command perdure makes apps and manages those that run.
//
// It speaks to the app that runs on a data folder, --data, through a socket in that
// folder, which only the user who started the app can open. "perdure help" lists what it
// can do.
//
// Its exit code is 0 when it did what it was asked for; 1 when that failed or was
// refused; 2 when it was not asked well; 3 when no app runs on the folder; 4 when what
// it was asked about does not exist; 5 when it was asked to look for differences or
// weaknesses, and there are some.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/perdure/perdure/internal/control"
)

// The exit codes.
const (
	exitDone    = 0
	exitFailed  = 1
	exitUsage   = 2
	exitNoApp   = 3
	exitMissing = 4
	exitFound   = 5
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run runs the command and returns its exit code.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	p := &program{in: in, out: out, err: errOut}
	root := p.command()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	called, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	if errors.Is(err, errFound) {
		return exitFound
	}
	if ended := (*exitError)(nil); errors.As(err, &ended) {
		return ended.code
	}
	fmt.Fprintln(errOut, "perdure:", printable(inOneLine(err.Error())))
	var (
		failed  *failedError
		refused *control.RefusedError
	)
	switch {
	case !errors.As(err, &failed):
		fmt.Fprintf(errOut, "Run '%s --help' for how it is used.\n", called.CommandPath())
		return exitUsage
	case errors.Is(err, control.ErrNoApp):
		fmt.Fprintln(errOut, "Start the app, or name the folder of another one by --data.")
		return exitNoApp
	case errors.As(err, &refused) && refused.Status == http.StatusNotFound:
		return exitMissing
	}
	return exitFailed
}

// inOneLine writes the suggestions of cobra behind its error.
func inOneLine(text string) string {
	before, after, found := strings.Cut(text, "\n\nDid you mean this?\n")
	if !found {
		return text
	}
	return before + ": did you mean " + strings.Join(strings.Fields(after), " or ") + "?"
}

// errFound says that a command has printed the differences or weaknesses that it looked for.
var errFound = errors.New("there are some")

// failedError is what went wrong while the command did what it was asked for; every other
// error is a mistake in what it was asked.
type failedError struct{ error }

// Unwrap returns the cause.
func (e *failedError) Unwrap() error { return e.error }
