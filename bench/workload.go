package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// sequenceLength is the number of activities of a workflow in the workloads seq, seq-steps and latency.
const sequenceLength = 5

// workload is one kind of measurement.
type workload struct {
	name string
	// sizes are the default sizes; there is one row for each.
	sizes func(p peer) []int
	// needs is what an engine must be able to do.
	needs string
	// needsBoth leaves out engines that do not have inline steps beside activities.
	needsBoth bool
	// variants are measured one after another, each with a row for each size; nil is one.
	variants func(p peer) []variant
	measure  func(ctx context.Context, s *session) (row, error)
}

// variant is one of several ways to measure a workload. What a workload does not have is empty.
type variant struct {
	Algorithm  string // by which tokens, or digests, are signed
	Via        string // how a vault is used: https or process
	Cached     *bool  // whether tokens that were verified are remembered
	Goroutines int    // at once, where that does not follow from -inflight
}

func size(sizes ...int) func(peer) []int { return func(peer) []int { return sizes } }

// workloads are all measurements, in the order in which they run.
func workloads() []workload {
	return []workload{
		{name: "seq", needs: workflows, sizes: size(2000), measure: measureSequence},
		{name: "seq-steps", needs: workflows, sizes: size(2000), needsBoth: true, measure: measureSequence},
		{name: "latency", needs: workflows, sizes: size(200), measure: measureLatency},
		{name: "fanout", needs: workflows, sizes: size(1000), measure: measureFanOut},
		{name: "human", needs: workflows, sizes: size(1000), measure: measureHuman},
		{name: "replay", needs: workflows, sizes: size(50, 500, 2000), measure: measureReplay},
		{name: "waiting", needs: workflows, sizes: func(p peer) []int { return []int{p.waitingN} }, measure: measureWaiting},
		{name: "queue", needs: queued, sizes: size(20_000), measure: measureMessages},
		{name: "stream", needs: streamed, sizes: size(20_000), measure: measureMessages},
		{name: "verify", needs: verified, sizes: size(10_000), variants: verifyVariants, measure: measureVerify},
		{name: "tokens", needs: issued, sizes: size(2000), variants: algorithms("RS256", "ES256"), measure: measureTokens},
		{name: "refresh", needs: refreshed, sizes: size(2000), variants: algorithms("ES256"), measure: measureRefresh},
		{name: "secret-get", needs: kept, sizes: size(2000), variants: vaultVariants(""), measure: measureSecretGet},
		{name: "secret-set", needs: kept, sizes: size(2000), variants: vaultVariants(""), measure: measureSecretSet},
		{name: "sign", needs: signed, sizes: size(2000), variants: vaultVariants("ES256", "RS256"), measure: measureSign},
	}
}

func workloadNames() []string {
	var names []string
	for _, w := range workloads() {
		names = append(names, w.name)
	}
	return names
}

func findWorkload(name string) (workload, error) {
	for _, w := range workloads() {
		if w.name == name {
			return w, nil
		}
	}
	return workload{}, fmt.Errorf("no workload is called %q", name)
}

// session is one measurement of one engine in its own process.
type session struct {
	task     task
	engine   engine
	flows    workflowEngine // nil if it runs no workflows
	messages messageEngine  // nil if it carries no messages
	verifier verifyEngine   // nil if it verifies no tokens
	tokens   tokenEngine    // nil if it issues no tokens
	vault    vaultEngine    // nil if it is no vault
	facts    facts
	arrivals *arrivals
	handled  *handled
	settle   time.Duration // pause after the last workflow has said that it waits, for engines to store that
}

// input returns what a workflow with this many activities is started with.
func (s *session) input(activities int) input {
	return input{
		Activities: activities,
		Text:       strings.Repeat("x", s.task.Payload),
		Inline:     s.task.Inline,
	}
}

// runOne runs a workflow to its end and checks its result.
func (s *session) runOne(ctx context.Context, id string, k kind, in input) error {
	result, err := s.flows.run(ctx, id, k, in)
	if err != nil {
		return fmt.Errorf("workflow %s: %w", id, err)
	}
	return checkResult(id, result, expected(k, in))
}

// decision is the text that the event of an approval workflow carries.
func (s *session) decision() string { return strings.Repeat("d", s.task.Payload) }

// awaitDecided waits for an approval workflow and checks its result.
func (s *session) awaitDecided(ctx context.Context, id string) error {
	result, err := s.flows.result(ctx, id)
	if err != nil {
		return fmt.Errorf("workflow %s: %w", id, err)
	}
	return checkResult(id, result, s.decision())
}

func checkResult(id, got, want string) error {
	if got != want {
		return fmt.Errorf("workflow %s returned %.40q, expected %.40q", id, got, want)
	}
	return nil
}

// each calls do for the numbers below n, concurrency of them at once, and returns how long each call and the whole
// took. The first error ends it.
func each(ctx context.Context, n, concurrency int, do func(ctx context.Context, i int) error) ([]time.Duration, time.Duration, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	samples := make([]time.Duration, n)
	var next atomic.Int64
	var group sync.WaitGroup
	begin := time.Now()
	for range min(n, concurrency) {
		group.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				start := time.Now()
				if err := do(ctx, i); err != nil {
					cancel(err)
					return
				}
				samples[i] = time.Since(start)
			}
		})
	}
	group.Wait()
	return samples, time.Since(begin), context.Cause(ctx)
}

const (
	// leastTime is measured at least: on a fast engine one round is too short to say much.
	leastTime = time.Second
	// mostRounds bounds the rounds of a workload.
	mostRounds = 50
)

// repeat calls measure until leastTime has been measured, at most the given number of times, and returns all samples and
// the time of all rounds.
func repeat(most int, measure func(round int) ([]time.Duration, time.Duration, error)) ([]time.Duration, time.Duration, error) {
	var all []time.Duration
	var total time.Duration
	for round := 0; round < most && total < leastTime; round++ {
		samples, took, err := measure(round)
		if err != nil {
			return nil, 0, err
		}
		all = append(all, samples...)
		total += took
	}
	return all, total, nil
}

// measureClosedLoop runs workflows of five activities, concurrency of them at a time, after warmUp of them that do not
// count. A sample is start to result.
func (s *session) measureClosedLoop(ctx context.Context, warmUp, concurrency int) (row, error) {
	in := s.input(sequenceLength)
	loop := func(prefix string, n int) ([]time.Duration, time.Duration, error) {
		return each(ctx, n, concurrency, func(ctx context.Context, i int) error {
			return s.runOne(ctx, instanceID(prefix, i), sequence, in)
		})
	}
	if _, _, err := loop("warm", warmUp); err != nil {
		return row{}, err
	}
	samples, total, err := repeat(mostRounds, func(round int) ([]time.Duration, time.Duration, error) {
		return loop(instanceID(s.task.Workload, round), s.task.N)
	})
	if err != nil {
		return row{}, err
	}
	result := s.newRow(concurrency)
	result.setTotals(len(samples), sequenceLength, total)
	result.setPercentiles(samples)
	return result, nil
}
