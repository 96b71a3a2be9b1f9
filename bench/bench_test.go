package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestPercentileIsNearestRank(t *testing.T) {
	t.Parallel()
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	tests := []struct {
		name   string
		sorted []time.Duration
		p      int
		want   time.Duration
	}{
		{"median of hundred", hundred, 50, 50},
		{"99th of hundred", hundred, 99, 99},
		{"all of hundred", hundred, 100, 100},
		{"one sample", []time.Duration{7}, 99, 7},
		{"99th of few is the largest", []time.Duration{1, 2, 3}, 99, 3},
		{"median of three", []time.Duration{1, 2, 3}, 50, 2},
	}
	for _, test := range tests {
		if got := percentile(test.sorted, test.p); got != test.want {
			t.Errorf("%s: got %d, want %d", test.name, got, test.want)
		}
	}
}

func TestRotateGivesEachEngineEachPlace(t *testing.T) {
	t.Parallel()
	names := []string{"a", "b", "c"}
	for shift, want := range []string{"abc", "bca", "cab", "abc"} {
		if got := strings.Join(rotate(names, shift), ""); got != want {
			t.Errorf("shift %d: got %s, want %s", shift, got, want)
		}
	}
	if !slices.Equal(names, []string{"a", "b", "c"}) {
		t.Errorf("the names themselves changed: %v", names)
	}
}

func TestParseMemory(t *testing.T) {
	t.Parallel()
	const status = "Name:\tbench\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nRssFile:\t     512 kB\nRssShmem:\t     256 kB\n"
	got, err := parseMemory(status)
	if err != nil {
		t.Fatal(err)
	}
	want := memory{peak: 2 << 20, current: 1 << 20, shmem: 256 << 10, file: 512 << 10}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if _, err := parseMemory("VmHWM:\t1 kB\n"); err == nil {
		t.Error("a status with fields missing was accepted")
	}
	if _, err := parseMemory(strings.Replace(status, "2048", "many", 1)); err == nil {
		t.Error("a status without a number was accepted")
	}
}

func TestSumMemoryOfThisProcess(t *testing.T) {
	t.Parallel()
	peak, current, err := sumMemory(0)
	if err != nil {
		t.Fatal(err)
	}
	if current <= 0 || peak < current {
		t.Errorf("peak %.1f MB, current %.1f MB", peak, current)
	}
}

func TestOptionsNameWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ args, want string }{
		{"-engines nosuch", `-engines: "nosuch"`},
		{"-workloads nosuch", `-workloads: "nosuch"`},
		{"-n -1", "-n must not"},
		{"-inflight 0", "-inflight must"},
		{"-payload 0", "-payload must"},
		{"-store mysql", "-store must"},
		{"-rep 0", "-rep must"},
		{"-limit 0s", "-limit must"},
		{"stray", `unexpected argument "stray"`},
	} {
		_, err := parseOptions(strings.Fields(test.args), io.Discard)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got error %v, want one with %q", test.args, err, test.want)
		}
	}
}

func TestTasksOf(t *testing.T) {
	t.Parallel()
	opts, err := parseOptions(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if tasks := tasksOf(opts, "goqite", "stream", 1); len(tasks) != 0 {
		t.Errorf("goqite has no stream and yet got %v", tasks)
	}
	if tasks := tasksOf(opts, "dbos", "seq-steps", 1); len(tasks) != 0 {
		t.Errorf("DBOS has one kind of step and yet got %v", tasks)
	}
	tasks := tasksOf(opts, "dbos", "replay", 2)
	if len(tasks) != 3 || tasks[0].N != 50 || tasks[2].N != 2000 || tasks[1].Step != "inline" || tasks[1].Rep != 2 {
		t.Errorf("replay: got %+v", tasks)
	}
	opts.n = 7
	if tasks := tasksOf(opts, "dbos", "replay", 1); len(tasks) != 1 || tasks[0].N != 7 {
		t.Errorf("replay with -n 7: got %+v", tasks)
	}
}

func TestVariantsOfVaults(t *testing.T) {
	t.Parallel()
	opts, err := parseOptions(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for engine, want := range map[string]string{
		"perdure": "sign ES256 https (n=2000), sign ES256 process (n=2000), sign RS256 https (n=2000), sign RS256 process (n=2000)",
		"openbao": "sign ES256 https (n=2000), sign RS256 https (n=2000)",
		"river":   "",
	} {
		var titles []string
		for _, task := range tasksOf(opts, engine, "sign", 1) {
			titles = append(titles, task.title())
		}
		if got := strings.Join(titles, ", "); got != want {
			t.Errorf("%s: got %s, want %s", engine, got, want)
		}
	}
}

func TestVariantsOfVerify(t *testing.T) {
	t.Parallel()
	opts, err := parseOptions(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for engine, want := range map[string]int{"perdure": 12, "go-oidc": 6, "dbos": 0} {
		if tasks := tasksOf(opts, engine, "verify", 1); len(tasks) != want {
			t.Errorf("%s: %d tasks, want %d", engine, len(tasks), want)
		}
	}
}

// Each library does all the checks, and each finds the rights in the token.
func TestLibrariesVerifyTheSame(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"perdure", "go-oidc", "jwx", "golang-jwt"} {
		for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
			t.Run(name+" "+alg, func(t *testing.T) {
				t.Parallel()
				p, err := findPeer(name)
				if err != nil {
					t.Fatal(err)
				}
				e, _, err := p.make(deps{workload: verified})
				if err != nil {
					t.Fatal(err)
				}
				if err := e.open(t.Context(), ""); err != nil {
					t.Fatal(err)
				}
				defer e.close()
				s := &session{task: task{Workload: verified, N: 10, Variant: variant{Algorithm: alg, Goroutines: 2}}, engine: e}
				s.verifier = e.(verifyEngine)
				result, err := measureVerify(t.Context(), s)
				if err != nil || result.N != 10*mostRounds {
					t.Errorf("n %d, error %v", result.N, err)
				}
			})
		}
	}
}

func TestSpinDoesAllAndStopsAtAnError(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	if _, err := spin(t.Context(), 1001, 2, func() error { calls.Add(1); return nil }); err != nil || calls.Load() != 1001 {
		t.Errorf("%d calls, error %v", calls.Load(), err)
	}
	broken := errors.New("broken")
	if _, err := spin(t.Context(), 1001, 2, func() error { return broken }); !errors.Is(err, broken) {
		t.Errorf("got error %v", err)
	}
}

func TestParseCPU(t *testing.T) {
	t.Parallel()
	const stat = "7 (a ) b) S 1 2 3 0 -1 4194304 10 0 0 0 250 50 0 0 20 0 8 0 99\n"
	if got, err := parseCPU(stat); err != nil || got != 3*time.Second {
		t.Errorf("got %s, %v", got, err)
	}
	for _, bad := range []string{"", "7 (a) S 1 2", strings.Replace(stat, "250", "x", 1)} {
		if got, err := parseCPU(bad); err == nil {
			t.Errorf("%q: got %s", bad, got)
		}
	}
}

func TestEachDoesEveryNumberOnce(t *testing.T) {
	t.Parallel()
	const n, concurrency = 1000, 7
	var done [n]atomic.Int32
	var running, most atomic.Int32
	samples, _, err := each(t.Context(), n, concurrency, func(_ context.Context, i int) error {
		now := running.Add(1)
		defer running.Add(-1)
		for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
		}
		done[i].Add(1)
		return nil
	})
	if err != nil || len(samples) != n {
		t.Fatalf("%d samples, error %v", len(samples), err)
	}
	for i := range done {
		if times := done[i].Load(); times != 1 {
			t.Fatalf("number %d was done %d times", i, times)
		}
	}
	if most.Load() > concurrency {
		t.Errorf("%d ran at once, allowed are %d", most.Load(), concurrency)
	}
}

func TestEachStopsAtTheFirstError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	var calls atomic.Int32
	_, _, err := each(t.Context(), 1000, 4, func(_ context.Context, i int) error {
		calls.Add(1)
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("got error %v", err)
	}
	if calls.Load() > 4 {
		t.Errorf("%d calls after the first error", calls.Load())
	}
}

func TestArrivalsCountEachWorkflowOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var a arrivals
		a.expect("w", 2)
		for _, id := range []string{"w-0", "w-0", "other-1", "w-2", "w-x"} {
			a.mark(id)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := a.wait(ctx); err == nil {
			t.Fatal("one of two workflows waits, and wait returned")
		}
		a.mark("w-1")
		if err := a.wait(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// fakeEngine runs workflows in memory, handles messages at once, and issues tokens that nobody has signed.
type fakeEngine struct {
	perdureVerifier
	waiting   func(string)
	handle    func(string)
	wrong     bool
	mu        sync.Mutex
	decisions map[string]chan string
}

func (e *fakeEngine) run(_ context.Context, _ string, k kind, in input) (string, error) {
	if e.wrong {
		return "wrong", nil
	}
	return expected(k, in), nil
}

func (e *fakeEngine) start(_ context.Context, id string, _ kind, _ input) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.decisions[id] = make(chan string, 1)
	e.waiting(id)
	return nil
}

func (e *fakeEngine) decision(id string) (chan string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if decision, ok := e.decisions[id]; ok {
		return decision, nil
	}
	return nil, fmt.Errorf("no workflow %s", id)
}

func (e *fakeEngine) raise(_ context.Context, id, decision string) error {
	arrived, err := e.decision(id)
	if err == nil {
		arrived <- decision
	}
	return err
}

func (e *fakeEngine) result(ctx context.Context, id string) (string, error) {
	decision, err := e.decision(id)
	if err != nil {
		return "", err
	}
	select {
	case text := <-decision:
		if e.wrong {
			text = "wrong"
		}
		return text, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (e *fakeEngine) send(_ context.Context, message string) error {
	if e.wrong {
		message = "wrong"
	}
	e.handle(message)
	return nil
}

func (e *fakeEngine) verify(ctx context.Context, token string) (caller, error) {
	if e.wrong {
		return caller{subject: "wrong"}, nil
	}
	return e.perdureVerifier.verify(ctx, token)
}

func (e *fakeEngine) issue(context.Context) (string, error) {
	if e.wrong {
		return "wrong", nil
	}
	return "eyJhbGciOiJFUzI1NiJ9.e30.x", nil // {"alg":"ES256"}
}

func (e *fakeEngine) refresh(ctx context.Context, _ int) (string, error) { return e.issue(ctx) }

// The vault of the fake engine has one value and signs by one key.

func (e *fakeEngine) get(context.Context, string) (string, error) {
	if e.wrong {
		return "another value", nil
	}
	return "sss", nil
}

func (e *fakeEngine) set(context.Context, string, string) error { return nil }

func (e *fakeEngine) sign(_ context.Context, digest []byte) ([]byte, error) {
	if e.wrong {
		return make([]byte, 64), nil
	}
	r, s, err := ecdsa.Sign(rand.Reader, fakeKey, digest)
	if err != nil {
		return nil, err
	}
	return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...), nil
}

func (e *fakeEngine) public(context.Context) (crypto.PublicKey, error) {
	return &fakeKey.PublicKey, nil
}

var fakeKey, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // never fails

func (e *fakeEngine) drained(context.Context, int) error { return nil }

func newFakeSession(workload string, n int, wrong bool) *session {
	a, h := &arrivals{}, &handled{}
	e := &fakeEngine{waiting: a.mark, handle: h.mark, wrong: wrong, decisions: map[string]chan string{}}
	return &session{
		task: task{
			Engine: "fake", Workload: workload, Variant: variant{Algorithm: "ES256"}, Step: "activity",
			N: n, Inflight: 4, Payload: 3, Rep: 1, Started: time.Now(),
		},
		engine:   e,
		flows:    e,
		messages: e,
		verifier: e,
		tokens:   e,
		vault:    e,
		arrivals: a,
		handled:  h,
	}
}

func TestWorkloadsFillTheirRows(t *testing.T) {
	t.Parallel()
	for _, w := range workloads() {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			const n = 12
			result, err := w.measure(t.Context(), newFakeSession(w.name, n, false))
			if err != nil {
				t.Fatal(err)
			}
			wantN, wantActivities := n*mostRounds, 0 // the fake engine is fast
			switch w.name {
			case "seq", "seq-steps", "latency":
				wantActivities = sequenceLength
			case "fanout", "replay":
				wantN, wantActivities = mostRounds, n
			case "human":
				wantN = n * humanMostRounds
			case "waiting":
				wantN = n
			}
			if result.N != wantN || result.Activities != wantActivities {
				t.Errorf("n %d, activities %d; want %d and %d", result.N, result.Activities, wantN, wantActivities)
			}
			identity := slices.Contains([]string{verified, issued, refreshed}, w.needs)
			inVault := slices.Contains([]string{kept, signed}, w.needs)
			if result.Workload != w.name || result.PayloadBytes != 3 && !identity && !inVault || result.Step != "activity" {
				t.Errorf("got %+v", result)
			}
			without := w.name == "waiting" || w.name == "verify"
			if hasSamples := result.P50Ms != nil && result.P99Ms != nil; hasSamples == without {
				t.Errorf("p50 and p99 present: %t", hasSamples)
			}
			if (result.CPUMicrosPerOp != nil) != identity { // the fake vault has no process of its own
				t.Error("cpu_us_per_op is for the workloads about identity, and only for them")
			}
			if (result.WaitingRSSMB != nil) != (w.name == "waiting") {
				t.Error("waiting_rss_mb is for the waiting workload, and only for it")
			}
		})
	}
}

func TestWorkloadsRefuseWrongResults(t *testing.T) {
	t.Parallel()
	for _, w := range workloads() {
		if w.name == "waiting" {
			continue // it ends no workflow in its first process
		}
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			_, err := w.measure(t.Context(), newFakeSession(w.name, 12, true))
			want := `returned "wrong"`
			switch w.needs {
			case queued, streamed:
				want = "acknowledged and not handled"
			case kept:
				want = `is "another value"`
			case signed:
				want = "does not verify"
			}
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got error %v", err)
			}
		})
	}
}

func TestReadyNeedsAnEndedWorkflow(t *testing.T) {
	t.Parallel()
	s := newFakeSession("waiting", 4, false)
	if _, err := measureReady(t.Context(), s); err == nil {
		t.Error("ready, though the workflow does not exist")
	}
	if _, err := measureWaiting(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	result, err := measureReady(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if result.ReadySeconds == nil || *result.ReadySeconds <= 0 {
		t.Errorf("ready_seconds: %v", result.ReadySeconds)
	}
}
