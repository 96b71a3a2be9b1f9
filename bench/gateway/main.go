// Command gateway gives the same requests to Perdure's gateway and to its peers, and prints one JSON line per result. See
// ../README.md, section "The gateway".
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"time"
)

type options struct {
	engines   []string
	workloads []string
	conns     int
	duration  time.Duration
	rep       int
}

func main() {
	// A peer that is a library runs in a process of this program.
	if len(os.Args) == 5 && os.Args[1] == childFlag {
		fatal(runChild(os.Args[2], os.Args[3], os.Args[4]))
		return
	}
	var o options
	engines := flag.String("engines", strings.Join(names(peers), ","), "which engines, separated by commas")
	loads := flag.String("workloads", strings.Join(names(workloads), ","), "which workloads, separated by commas")
	flag.IntVar(&o.conns, "conns", 64, "connections, each with one request at a time")
	flag.DurationVar(&o.duration, "duration", 3*time.Second, "how long each measurement takes")
	flag.IntVar(&o.rep, "rep", 1, "repeats; the engines take turns in each")
	flag.Parse()
	o.engines, o.workloads = strings.Split(*engines, ","), strings.Split(*loads, ",")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	fatal(run(ctx, o))
}

func fatal(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// row is one result as it is printed.
type row struct {
	Peer           string  `json:"peer"`
	Version        string  `json:"version"`
	Workload       string  `json:"workload"`
	N              int     `json:"n"`
	Concurrency    int     `json:"concurrency"`
	Seconds        float64 `json:"seconds"`
	PerSecond      float64 `json:"per_second"`
	CPUMicrosPerOp float64 `json:"cpu_us_per_op"`
	P50Ms          float64 `json:"p50_ms"`
	P99Ms          float64 `json:"p99_ms"`
	RSSMB          float64 `json:"rss_mb"`
	Rep            int     `json:"rep"`
}

func run(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "perdure-bench-gateway-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	upstream, err := startUpstream(ctx, dir)
	if err != nil {
		return fmt.Errorf("upstream: %w", err)
	}
	defer upstream.stop()
	for rep := range o.rep {
		for _, load := range o.workloads {
			w, ok := workloads[load]
			if !ok {
				return fmt.Errorf("-workloads: no workload %q", load)
			}
			for i := range o.engines {
				name := o.engines[(i+rep)%len(o.engines)]
				p, ok := peers[name]
				if !ok {
					return fmt.Errorf("-engines: no engine %q", name)
				}
				if ctx.Err() != nil {
					return ctx.Err()
				}
				r, err := measure(ctx, o, dir, name, p, w, upstream.address)
				if err != nil {
					fmt.Fprintf(os.Stderr, "%s %s: %v\n", name, load, err)
					continue
				}
				r.Peer, r.Workload, r.Rep = name, load, rep+1
				if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// measure starts an engine, gives it a workload, and takes its processor time.
func measure(ctx context.Context, o options, dir, name string, p peer, w workload, upstream string) (row, error) {
	address, err := freeAddress()
	if err != nil {
		return row{}, err
	}
	command, version, err := p(dir, address, upstream)
	if err != nil {
		return row{}, err
	}
	g, err := start(ctx, dir, name, address, command)
	if err != nil {
		return row{}, err
	}
	defer g.stop()
	if _, err := load(ctx, address, w, o.conns, o.duration/5); err != nil { // warm up
		return row{}, err
	}
	before, err := g.cpu()
	if err != nil {
		return row{}, err
	}
	began := time.Now()
	samples, err := load(ctx, address, w, o.conns, o.duration)
	if err != nil {
		return row{}, err
	}
	took := time.Since(began)
	after, err := g.cpu()
	if err != nil {
		return row{}, err
	}
	n := len(samples)
	if n == 0 {
		return row{}, errors.New("nothing was answered")
	}
	slices.Sort(samples)
	return row{
		Version: version, N: n, Concurrency: o.conns, Seconds: took.Seconds(), PerSecond: float64(n) / took.Seconds(),
		CPUMicrosPerOp: float64((after - before).Microseconds()) / float64(n),
		P50Ms:          milliseconds(samples[n/2]), P99Ms: milliseconds(samples[n*99/100]), RSSMB: g.rssMB(),
	}, nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func names[T any](m map[string]T) []string {
	var all []string
	for name := range m {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// peer makes the command that runs an engine at address before upstream, and says which version it is.
type peer func(dir, address, upstream string) (*exec.Cmd, string, error)
