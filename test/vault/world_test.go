package vault_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/control"
	"github.com/perdure/perdure/test/program"
)

// patience is how long something that must come may take.
const patience = 30 * time.Second

// binary is the app with failpoints, built once for those that need it.
var (
	binary = sync.OnceValues(func() (string, error) {
		dir, err := os.MkdirTemp("", "perdure-vault-")
		if err != nil {
			return "", err
		}
		built.Store(&dir)
		path := filepath.Join(dir, "app")
		return path, program.Build(context.Background(), path, "test/vault/app", "-tags", "failpoint")
	})
	built atomic.Pointer[string]
)

func TestMain(m *testing.M) {
	code := m.Run()
	if dir := built.Load(); dir != nil {
		_ = os.RemoveAll(*dir) // what is left is in the folder for temporary files
	}
	os.Exit(code)
}

// world is a running app and what was asked of its vault.
type world struct {
	*program.Program
	t     *testing.T
	heads string // the file that the heads of the audit log go to

	mu     sync.Mutex
	client *http.Client
	ledger ledger
}

func newWorld(t *testing.T) *world {
	t.Helper()
	path, err := binary()
	must(t, err)
	folder := t.TempDir()
	w := &world{
		t: t, heads: filepath.Join(folder, "heads"), ledger: newLedger(),
		Program: &program.Program{Binary: path, Data: filepath.Join(folder, "data")},
	}
	t.Cleanup(func() {
		w.Kill()
		if t.Failed() {
			t.Logf("the app wrote:\n%s", w.Tail())
		}
	})
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// start starts the app, with a client of its own: connections of its last life are dead.
func (w *world) start(env ...string) error {
	w.Env = append([]string{"VAULT_HEADS=" + w.heads}, env...)
	if err := w.Start(w.t.Context()); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.client != nil {
		w.client.CloseIdleConnections()
	}
	w.client = &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: 64,
		DialContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return control.Dial(ctx, w.Data) },
	}}
	return nil
}

// answer is what came of a request: a status and a body, or an error, after which it is not known whether it was done.
type answer struct {
	status int
	body   []byte
	err    error
}

func (a *answer) ok() bool { return a.err == nil && a.status < 300 }

func (a *answer) String() string { return fmt.Sprintf("%d %.300s %v", a.status, a.body, a.err) }

// into reads the body.
func (a *answer) into(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		t.Fatalf("%v: %v", a, err)
	}
}

// operate asks the app as the operator of the machine does, at a path below /perdure/v1/vault.
func (w *world) operate(method, path string, body any) answer {
	return w.control(method, "vault"+path, body)
}

// control asks the app as the operator of the machine does.
func (w *world) control(method, path string, body any) answer {
	w.mu.Lock()
	client := w.client
	w.mu.Unlock()
	return send(w.t.Context(), client, method, "http://perdure"+control.Prefix+path, body)
}

// ask asks the app as its users do.
func (w *world) ask(method, path string, body any) answer {
	return send(w.t.Context(), http.DefaultClient, method, w.URL()+path, body)
}

func send(ctx context.Context, client *http.Client, method, url string, body any) answer {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var sent io.Reader = http.NoBody
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return answer{err: err}
		}
		sent = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, url, sent)
	if err != nil {
		return answer{err: err}
	}
	r.Header.Set("Content-Type", "application/json")
	got, err := client.Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	return answer{got.StatusCode, text, err}
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
