// Command bench gives the same work to Perdure and to its peers and prints one JSON line per result on
// standard output. README.md says how to run it and what each number means.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are what the command line asks for.
type options struct {
	engines   []string
	workloads []string
	n         int
	inflight  int
	payload   int
	store     string
	reps      int
	limit     time.Duration
	dir       string
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == childFlag {
		os.Exit(childMain(os.Args[2]))
	}
	if len(os.Args) == 3 && os.Args[1] == serveFlag {
		os.Exit(serveMain(os.Args[2]))
	}
	opts, err := parseOptions(os.Args[1:], os.Stderr)
	if err != nil {
		if err != flag.ErrHelp {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, opts, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parseOptions(args []string, usage io.Writer) (options, error) {
	var opts options
	var engineList, workloadList string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.StringVar(&engineList, "engines", strings.Join(engineNames(), ","), "engines, separated by commas")
	flags.StringVar(&workloadList, "workloads", strings.Join(workloadNames(), ","), "workloads, separated by commas")
	flags.IntVar(&opts.n, "n", 0, "size of each workload; 0 means each workload's own default")
	flags.IntVar(&opts.inflight, "inflight", 100, "workflows in flight at once")
	flags.IntVar(&opts.payload, "payload", 16, "bytes of text given to each activity, or carried by each event")
	flags.StringVar(&opts.store, "store", "sqlite", "store of the peers that offer a choice: sqlite or postgres")
	flags.IntVar(&opts.reps, "rep", 1, "repeats; the order of the engines is rotated in each")
	flags.DurationVar(&opts.limit, "limit", 5*time.Minute, "longest time one workload may take on one engine")
	flags.StringVar(&opts.dir, "dir", ".", "folder on a real disk in which the engines' data folders are made and removed")
	if err := flags.Parse(args); err != nil {
		return opts, err
	}
	if flags.NArg() > 0 {
		return opts, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	opts.engines = strings.Split(engineList, ",")
	opts.workloads = strings.Split(workloadList, ",")
	return opts, opts.validate()
}

func (o options) validate() error {
	for _, name := range o.engines {
		if !slices.Contains(engineNames(), name) {
			return fmt.Errorf("-engines: %q is unknown; known are %s", name, strings.Join(engineNames(), ", "))
		}
	}
	for _, name := range o.workloads {
		if !slices.Contains(workloadNames(), name) {
			return fmt.Errorf("-workloads: %q is unknown; known are %s", name, strings.Join(workloadNames(), ", "))
		}
	}
	switch {
	case o.n < 0:
		return fmt.Errorf("-n must not be negative, got %d", o.n)
	case o.inflight < 1:
		return fmt.Errorf("-inflight must be at least 1, got %d", o.inflight)
	case o.payload < 1:
		return fmt.Errorf("-payload must be at least 1, got %d", o.payload)
	case o.store != "sqlite" && o.store != "postgres":
		return fmt.Errorf("-store must be sqlite or postgres, got %q", o.store)
	case o.reps < 1:
		return fmt.Errorf("-rep must be at least 1, got %d", o.reps)
	case o.limit <= 0:
		return fmt.Errorf("-limit must be positive, got %s", o.limit)
	}
	return nil
}

// run measures every engine on every workload and writes the rows to out. Engines that cannot be had, and
// workloads that fail, are named on standard error and left out.
func run(ctx context.Context, opts options, out io.Writer) error {
	base, err := os.MkdirTemp(opts.dir, ".run-*")
	if err != nil {
		return fmt.Errorf("make a folder for the engines' data: %w", err)
	}
	defer os.RemoveAll(base)
	if base, err = filepath.Abs(base); err != nil {
		return err
	}
	if err := requireRealDisk(base); err != nil {
		return err
	}
	// A server that refuses to run as root runs as another user, who must be able to reach its folder.
	if err := os.Chmod(base, 0o755); err != nil {
		return err
	}

	rows := json.NewEncoder(out)
	for rep := range opts.reps {
		for _, name := range opts.workloads {
			disk, err := measureSync(base)
			if err != nil {
				return fmt.Errorf("measure the disk: %w", err)
			}
			disk.Rep = rep + 1
			if err := rows.Encode(disk); err != nil {
				return err
			}
			for _, engine := range rotate(opts.engines, rep) {
				for _, task := range tasksOf(opts, engine, name, rep+1) {
					row, err := runTask(ctx, base, task)
					if ctx.Err() != nil {
						return ctx.Err()
					}
					if err != nil {
						fmt.Fprintf(os.Stderr, "bench: %s, %s: %v\n", engine, task.title(), err)
						continue
					}
					if err := rows.Encode(row); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// rotate returns names shifted by shift places, so that each engine takes each place in turn.
func rotate(names []string, shift int) []string {
	shift %= len(names)
	return append(slices.Clone(names[shift:]), names[:shift]...)
}
