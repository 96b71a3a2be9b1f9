package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"
)

const (
	// childFlag makes this program measure one task, given as JSON, instead of reading a command line.
	childFlag = "-child"
	// reportFile is the file descriptor on which a child writes its report; whatever an engine prints on standard
	// output goes to standard error.
	reportFile = 3
	// closeTime is how long an engine may take to stop before its process ends anyway.
	closeTime = 10 * time.Second
)

// task is one measurement that a child process makes.
type task struct {
	Engine   string
	Workload string
	Variant  variant
	Step     string
	Inline   bool
	N        int
	Inflight int
	Payload  int
	Store    string
	Rep      int
	Limit    time.Duration
	Dir      string
	Restart  bool      // the second process of the waiting workload
	Started  time.Time // when the process was started
}

// crashes says whether the process ends without closing the engine, together with the engine's server: the next process
// shall find what a crash leaves.
func (t task) crashes() bool { return t.Workload == "waiting" && !t.Restart }

func (t task) title() string {
	title := t.Workload
	for _, word := range []string{t.Variant.Algorithm, t.Variant.Via} {
		if word != "" {
			title += " " + word
		}
	}
	return fmt.Sprintf("%s (n=%d)", title, t.N)
}

// tasksOf returns what is to be measured on an engine for one workload: nothing, if the workload needs what the
// engine does not have.
func tasksOf(opts options, engineName, workloadName string, rep int) []task {
	p, _ := findPeer(engineName)
	w, _ := findWorkload(workloadName)
	if w.needsBoth && !p.both || !slices.Contains(p.does, w.needs) {
		return nil
	}
	sizes := w.sizes(p)
	if opts.n > 0 {
		sizes = []int{opts.n}
	}
	step := p.step
	switch {
	case w.needsBoth:
		step = "inline"
	case w.needs != workflows:
		step = ""
	}
	variants := []variant{{}}
	if w.variants != nil {
		variants = w.variants(p)
	}
	var tasks []task
	for _, v := range variants {
		for _, n := range sizes {
			tasks = append(tasks, task{
				Engine: engineName, Workload: workloadName, Variant: v, Step: step, Inline: w.needsBoth,
				N: n, Inflight: opts.inflight, Payload: opts.payload, Store: opts.store, Rep: rep, Limit: opts.limit,
			})
		}
	}
	return tasks
}

// runTask measures a task in a child process on a fresh folder. The waiting workload takes two processes on one folder,
// of which the first crashes.
func runTask(ctx context.Context, base string, t task) (row, error) {
	dir, err := os.MkdirTemp(base, t.Engine+"-*")
	if err != nil {
		return row{}, err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		return row{}, err
	}
	t.Dir = dir
	result, err := runChild(ctx, t)
	if err != nil || !t.crashes() {
		return result, err
	}
	t.Restart = true
	again, err := runChild(ctx, t)
	if err != nil {
		return row{}, fmt.Errorf("after the restart: %w", err)
	}
	result.ReadySeconds = again.ReadySeconds
	return result, nil
}

// runChild starts this program again for one task and reads its report.
func runChild(ctx context.Context, t task) (row, error) {
	program, err := os.Executable()
	if err != nil {
		return row{}, err
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return row{}, err
	}
	defer reader.Close()

	// The child keeps to the limit itself, unless the engine's own calls do not heed it.
	ctx, cancel := context.WithTimeoutCause(ctx, t.Limit+2*closeTime, fmt.Errorf("hangs; ended after %s (-limit)", t.Limit))
	defer cancel()
	t.Started = time.Now()
	encoded, err := json.Marshal(t)
	if err != nil {
		writer.Close()
		return row{}, err
	}
	command := exec.CommandContext(ctx, program, childFlag, string(encoded))
	command.Stdout = os.Stderr
	command.Stderr = os.Stderr
	command.ExtraFiles = []*os.File{writer}
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = closeTime
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err = command.Start()
	writer.Close()
	if err != nil {
		return row{}, err
	}
	var answer report
	decodeErr := json.NewDecoder(reader).Decode(&answer)
	waitErr := command.Wait()
	switch {
	case decodeErr != nil && ctx.Err() != nil:
		return row{}, context.Cause(ctx)
	case decodeErr != nil:
		return row{}, fmt.Errorf("the engine's process ended without a result: %w", errors.Join(waitErr, decodeErr))
	case answer.Error != "":
		return row{}, errors.New(answer.Error)
	}
	return answer.Row, nil
}

// report is what a child process tells its parent: a row, or why there is none.
type report struct {
	Row   row
	Error string
}

// childMain measures the task given as JSON and returns the exit code.
func childMain(encoded string) int {
	var t task
	var answer report
	err := json.Unmarshal([]byte(encoded), &t)
	if err == nil {
		answer.Row, err = measure(t)
	}
	if err != nil {
		answer.Error = err.Error()
	}
	if err := json.NewEncoder(os.NewFile(reportFile, "report")).Encode(answer); err != nil {
		fmt.Fprintln(os.Stderr, "bench: report to the parent process:", err)
		return 1
	}
	return 0
}

// measure opens the engine, measures the task and closes the engine.
func measure(t task) (row, error) {
	p, err := findPeer(t.Engine)
	if err != nil {
		return row{}, err
	}
	w, err := findWorkload(t.Workload)
	if err != nil {
		return row{}, err
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), t.Limit,
		fmt.Errorf("not finished within %s (-limit)", t.Limit))
	defer cancel()

	seen, done := &arrivals{}, &handled{}
	e, f, err := p.make(deps{
		store: t.Store, inflight: t.Inflight, evict: t.Workload == "waiting", waiting: seen.mark,
		workload: t.Workload, variant: t.Variant, handle: done.mark,
	})
	if err != nil {
		return row{}, err
	}
	if err := e.open(ctx, t.Dir); err != nil {
		return row{}, errors.Join(fmt.Errorf("open the engine: %w", err), e.close())
	}
	s := &session{task: t, engine: e, facts: f, arrivals: seen, handled: done, settle: settleTime}
	s.flows, _ = e.(workflowEngine)
	s.messages, _ = e.(messageEngine)
	s.verifier, _ = e.(verifyEngine)
	s.tokens, _ = e.(tokenEngine)
	s.vault, _ = e.(vaultEngine)
	if t.Restart {
		w.measure = measureReady
	}
	result, err := w.measure(ctx, s)
	if err == nil {
		err = s.addUse(&result)
	} else if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if t.crashes() && err == nil {
		return result, killServer(e.server())
	}
	return result, errors.Join(err, closeInTime(e))
}

// newRow returns a row with what is known of the engine and the task.
func (s *session) newRow(concurrency int) row {
	return row{
		Peer: s.task.Engine, Version: s.facts.version, Store: s.facts.store, Durability: s.facts.durability,
		Workload: s.task.Workload, Step: s.task.Step, Concurrency: concurrency,
		Algorithm: s.task.Variant.Algorithm, Via: s.task.Variant.Via, Cached: s.task.Variant.Cached,
		PayloadBytes: s.task.Payload, Rep: s.task.Rep,
	}
}

// addUse adds the memory and the disk that the engine has used.
func (s *session) addUse(r *row) error {
	peak, _, err := sumMemory(s.engine.server())
	if err != nil {
		return err
	}
	bytes, err := diskUse(s.task.Dir)
	if err != nil {
		return err
	}
	r.PeakRSSMB, r.DBBytes = new(peak), new(bytes)
	return nil
}

// closeInTime closes the engine, but does not wait longer than closeTime: several engines wait for workflows that wait.
func closeInTime(e engine) error {
	done := make(chan error, 1)
	go func() { done <- e.close() }()
	select {
	case err := <-done:
		return err
	case <-time.After(closeTime):
		return nil
	}
}
