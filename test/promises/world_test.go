package promises_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/failpoint"
	"github.com/perdure/perdure/test/program"
)

// patience is how long something that must come may take.
const patience = 30 * time.Second

// The programs, built once: the app with failpoints, and the command.
var app, command string

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		fmt.Println("no processes are killed in a short run")
		return
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	folder, err := os.MkdirTemp("", "perdure-promises-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	app, command = filepath.Join(folder, "app"), filepath.Join(folder, "perdure")
	if err := program.Build(context.Background(), app, "test/promises/app", "-tags", "failpoint"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := program.Build(context.Background(), command, "cmd/perdure"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// world is a running app and what was sent to it.
type world struct {
	*program.Program
	t      *testing.T
	env    []string
	broken string // the file of keys that the dependency refuses

	senders  sync.WaitGroup
	accepted atomic.Int64

	mu   sync.Mutex
	sent map[string]int // the events of each key, all of them accepted in the end
}

// newWorld starts an app that is killed when the test ends.
func newWorld(t *testing.T, env ...string) *world {
	t.Helper()
	folder := t.TempDir()
	w := &world{
		t: t, broken: filepath.Join(folder, "broken"), sent: map[string]int{},
		Program: &program.Program{Binary: app, Data: filepath.Join(folder, "data")},
	}
	w.env = append(env, "PROMISES_BROKEN="+w.broken)
	t.Cleanup(func() {
		w.Kill()
		w.senders.Wait()
		if t.Failed() {
			t.Logf("the app wrote:\n%s", w.Tail())
		}
	})
	w.start()
	return w
}

// start starts the app.
func (w *world) start() {
	w.t.Helper()
	w.Env = w.env
	w.must(w.Start(w.t.Context()))
}

// startDoomed starts the app such that it dies when it passes a point for the nth time,
// which may be before it is ready.
func (w *world) startDoomed(point failpoint.Point, nth int) {
	w.t.Helper()
	w.Env = append(w.env[:len(w.env):len(w.env)], fmt.Sprintf("%s=%s:%d", failpoint.Env, point, nth))
	if err := w.Start(w.t.Context()); err != nil {
		w.died()
	}
}

// died waits until the app is dead, without doing anything about it.
func (w *world) died() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	w.must(w.Died(ctx))
}

// stop ends the app as an operator does.
func (w *world) stop() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	w.must(w.Stop(ctx))
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// send begins to send more events of each key, in their order, each until it is
// accepted.
func (w *world) send(each int, keys ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, key := range keys {
		from := w.sent[key]
		w.sent[key] = from + each
		w.senders.Go(func() {
			for seq := from + 1; seq <= from+each; seq++ {
				if err := w.post(key, seq); err != nil {
					w.t.Error(err)
					return
				}
				w.accepted.Add(1)
			}
		})
	}
}

// allAccepted waits until everything is accepted that was to be sent.
func (w *world) allAccepted() {
	w.t.Helper()
	w.senders.Wait()
	if w.t.Failed() {
		w.t.FailNow()
	}
}

// post sends one event, again and again until it is accepted.
func (w *world) post(key string, seq int) error {
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	for {
		status, text, err := w.try(ctx, key, seq)
		switch {
		case err == nil && status == http.StatusAccepted:
			return nil
		case err == nil && status < http.StatusInternalServerError:
			return fmt.Errorf("event %s-%d is refused: %d %s", key, seq, status, text)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("event %s-%d is not accepted: %d %s %w", key, seq, status, text, err)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func (w *world) try(ctx context.Context, key string, seq int) (status int, text []byte, err error) {
	body := fmt.Sprintf(`{"key":%q,"seq":%d}`, key, seq)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL()+"/events", strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", fmt.Sprintf("%s-%d", key, seq))
	return do(r)
}

func do(r *http.Request) (status int, body []byte, err error) {
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	body, err = io.ReadAll(answer.Body)
	return answer.StatusCode, body, err
}

// get asks the app for a page.
func (w *world) get(path string, headers ...string) []byte {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.URL()+path, nil)
	w.must(err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	status, body, err := do(r)
	w.must(err)
	if status != http.StatusOK {
		w.t.Fatalf("%s: %d %s", path, status, body)
	}
	return body
}

// perdure runs the command on the app and decodes its answer.
func (w *world) perdure(answer any, args ...string) {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), command, append(args, "--json", "--data", w.Data)...)
	var failure bytes.Buffer
	cmd.Stderr = &failure
	out, err := cmd.Output()
	if err != nil {
		w.t.Fatalf("perdure %s: %v\n%s", strings.Join(args, " "), err, &failure)
	}
	w.must(json.Unmarshal(out, answer))
}

// breaks has the dependency refuse these keys from now on; "*" stands for all.
func (w *world) breaks(keys ...string) {
	w.t.Helper()
	next := w.broken + ".next"
	w.must(os.WriteFile(next, []byte(strings.Join(keys, "\n")), 0o600))
	w.must(os.Rename(next, w.broken))
}

// until waits for a condition, which says what is still missing.
func (w *world) until(condition func() (missing string)) {
	w.t.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	late := time.After(patience)
	for {
		missing := condition()
		if missing == "" {
			return
		}
		select {
		case <-late:
			w.t.Fatalf("after %v: %s", patience, missing)
		case <-again.C:
		}
	}
}
