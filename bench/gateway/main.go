// Command gateway gives the same requests to Perdure's gateway and to its peers, and prints one JSON line per result. See
// ../README.md, section "The gateway".
package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

//go:embed gateway.lua
var gatewayLua string

type options struct {
	engines   []engine
	workloads []workload
	conns     int
	duration  time.Duration
	rep       int
	table     string
	profile   string
	checkOnly bool
}

func main() {
	// A peer that is a library runs in a process of this program.
	if len(os.Args) == 4 && os.Args[1] == childFlag {
		fatal(runChild(os.Args[2], os.Args[3]))
		return
	}
	o, err := parse()
	fatal(err)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	fatal(run(ctx, o))
}

func parse() (o options, err error) {
	names := flag.String("engines", "", "which engines, separated by commas (default all)")
	loads := flag.String("workloads", "", "which workloads, separated by commas (default all but gateway-post and gateway-large)")
	flag.IntVar(&o.conns, "conns", 64, "connections, each with one request at a time")
	flag.DurationVar(&o.duration, "duration", 1500*time.Millisecond, "how long each measurement takes")
	flag.IntVar(&o.rep, "rep", 5, "repeats; the engines take turns in each")
	flag.StringVar(&o.table, "table", "", "write the results as tables in Markdown to this file")
	flag.StringVar(&o.profile, "profile", "", "an existing folder: perf writes a profile of each engine and workload to it, and figures suffer")
	flag.BoolVar(&o.checkOnly, "check", false, "only check that the engines do what they should")
	short := flag.Bool("short", false, "two repeats of one second: three to four minutes")
	flag.Parse()
	if *short {
		o.rep, o.duration = 2, time.Second
	}
	if o.engines, err = choose("-engines", *names, engines, func(e engine) string { return e.name }, func(engine) bool { return true }); err != nil {
		return o, err
	}
	o.workloads, err = choose("-workloads", *loads, workloads, func(w workload) string { return w.name }, func(w workload) bool { return !w.extra })
	return o, err
}

// choose returns what is named, or what is chosen without names.
func choose[T any](flag, names string, from []T, name func(T) string, usual func(T) bool) (chosen []T, err error) {
	if names == "" {
		for _, one := range from {
			if usual(one) {
				chosen = append(chosen, one)
			}
		}
		return chosen, nil
	}
	for wanted := range strings.SplitSeq(names, ",") {
		one, ok := find(from, func(t T) bool { return name(t) == wanted })
		if !ok {
			return nil, fmt.Errorf("%s: there is no %q", flag, wanted)
		}
		chosen = append(chosen, one)
	}
	return chosen, nil
}

func find[T any](all []T, ok func(T) bool) (found T, _ bool) {
	if i := slices.IndexFunc(all, ok); i >= 0 {
		return all[i], true
	}
	return found, false
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

// bench is what all measurements of a run have in common.
type bench struct {
	options
	dir      string
	issuer   *issuer
	upstream *process
}

func run(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "perdure-bench-gateway-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{options: o, dir: dir}
	if b.issuer, err = newIssuer(dir); err != nil {
		return err
	}
	if slices.ContainsFunc(o.engines, func(e engine) bool { return e.name == "perdure" }) {
		if err := buildPerdure(dir); err != nil {
			return fmt.Errorf("build: %w", err)
		}
	}
	if b.upstream, err = startUpstream(ctx, dir); err != nil {
		return fmt.Errorf("upstream: %w", err)
	}
	defer b.upstream.stop()
	wrong := b.check(ctx, o.engines)
	for name, err := range wrong {
		fmt.Fprintf(os.Stderr, "%s is left out: %v\n", name, err)
	}
	if o.checkOnly {
		if len(wrong) > 0 {
			return errors.New("not all engines do what they should")
		}
		return nil
	}
	b.engines = slices.DeleteFunc(slices.Clone(o.engines), func(e engine) bool { return wrong[e.name] != nil })
	rows, err := b.measureAll(ctx)
	if err != nil || o.table == "" {
		return err
	}
	return os.WriteFile(o.table, []byte(tables(rows, b.workloads)), 0o644)
}

func (b *bench) measureAll(ctx context.Context) (rows []row, err error) {
	for rep := range b.rep {
		for _, w := range b.workloads {
			taking := slices.DeleteFunc(slices.Clone(b.engines), func(e engine) bool { return !e.takes(&w) })
			for i := range taking {
				e := taking[(i+rep)%len(taking)]
				if ctx.Err() != nil {
					return nil, ctx.Err()
				}
				r, err := b.measure(ctx, e, &w)
				if err != nil {
					fmt.Fprintf(os.Stderr, "%s %s: %v\n", e.name, w.name, err)
					continue
				}
				r.Peer, r.Workload, r.Rep = e.name, w.name, rep+1
				rows = append(rows, r)
				if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
					return nil, err
				}
			}
		}
	}
	return rows, nil
}

// start starts an engine for a cell.
func (b *bench) start(ctx context.Context, e engine, c cell) (*process, string, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, "", err
	}
	dir, err := os.MkdirTemp(b.dir, e.name+"-")
	if err != nil {
		return nil, "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // nginx' worker is another user
		return nil, "", err
	}
	s := &setup{Dir: dir, Address: address, Upstream: b.upstream.address, KeyFile: b.issuer.keyFile, Cached: e.cached, cell: c, programs: b.dir}
	command, version, err := e.command(s)
	if err != nil {
		return nil, "", err
	}
	p, err := start(ctx, dir, address, command)
	return p, version, err
}

// measure starts an engine, gives it a workload, and takes its processor time.
func (b *bench) measure(ctx context.Context, e engine, w *workload) (row, error) {
	g, version := b.upstream, ""
	if e.command != nil {
		var err error
		if g, version, err = b.start(ctx, e, w.cell); err != nil {
			return row{}, err
		}
		defer g.stop()
	}
	t := newTraffic(w, b.issuer)
	if w.status == 429 { // what the limit lets pass
		first := *t
		first.status, first.body = []byte("HTTP/1.1 "), ""
		if _, err := load(ctx, g.address, &first, 1, 50*time.Millisecond); err != nil {
			return row{}, err
		}
	}
	for n := 0; n < 2*len(t.requests) && ctx.Err() == nil; { // warm up, until nothing is new
		samples, err := load(ctx, g.address, t, b.conns, b.duration/5)
		if err != nil {
			return row{}, err
		}
		n += len(samples)
	}
	if b.profile != "" {
		stop, err := g.profile(filepath.Join(b.profile, e.name+"-"+w.name+".perf"))
		if err != nil {
			return row{}, err
		}
		defer stop()
	}
	before, err := g.cpu()
	if err != nil {
		return row{}, err
	}
	began := time.Now()
	var samples []time.Duration
	if w.rate > 0 {
		samples, err = pace(ctx, g.address, t, b.conns, w.rate, b.duration)
	} else {
		samples, err = load(ctx, g.address, t, b.conns, b.duration)
	}
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
	r := row{
		Version: version, N: n, Concurrency: b.conns, Seconds: took.Seconds(), PerSecond: float64(n) / took.Seconds(),
		P50Ms: milliseconds(samples[n/2]), P99Ms: milliseconds(samples[n*99/100]),
	}
	if e.command != nil { // else it is the upstream's
		r.CPUMicrosPerOp, r.RSSMB = float64((after-before).Microseconds())/float64(n), g.rssMB()
	}
	return r, nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
