package perdure_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/durable"
)

var (
	work    = durable.NewActivity[string, string]("work")
	process = durable.NewOrchestration[string, string]("process")
)

func workOnce(ctx *durable.Context, in string) (string, error) { return work.Call(ctx, in) }

func echo(context.Context, string) (string, error) { return "done", nil }

type pong struct {
	Body string `body:"text/plain"`
}

func ping(context.Context, *empty) (*pong, error) { return &pong{"pong"}, nil }

// No parallel tests run beside it: it counts goroutines and files.
func TestNothingIsLeftBehind(t *testing.T) {
	idleWorkers := goleak.IgnoreTopFunction("github.com/perdure/perdure/internal/engine.(*pool).loop") // end by themselves
	before := goleak.IgnoreCurrent()
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, change := range map[string]func(*perdure.Config){
		"memory": func(c *perdure.Config) { c.Data = "" },
		"folder": func(c *perdure.Config) { c.Store = "" },
		"port in use": func(c *perdure.Config) {
			c.Listen = taken.Addr().String()
		},
		"port in use, folder": func(c *perdure.Config) {
			c.Store, c.Listen = "", taken.Addr().String()
		},
		"bad blobs": func(c *perdure.Config) {
			c.Store, c.Blobs = "", "ftp:x"
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.config.Listen, w.config.Data = "localhost:0", t.TempDir()
			change(&w.config)
			app := perdure.New(w.config)
			app.Add(items, documents, perdure.HTTP("GET /ping", ping), perdure.OnBlob(documents, "{id}", nothing[empty]),
				process.Impl(workOnce), work.Impl(echo))
			if err := app.Start(t.Context()); err == nil {
				if out, err := process.RunWith(t.Context(), app.Durable(), "in"); out != "done" || err != nil {
					t.Errorf("got %q, %v", out, err)
				}
				client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
				res, err := client.Get("http://" + app.Addr().String() + "/ping")
				if err != nil {
					t.Fatal(err)
				}
				res.Body.Close()
			} else if app.Addr() != nil || app.Durable() != nil {
				t.Error("an app that did not start looks as if it runs")
			}
			if err := app.Stop(t.Context()); err != nil {
				t.Error(err)
			}
			left, err := filepath.Glob(filepath.Join(temporary, "perdure-*"))
			if err != nil || len(left) != 0 {
				t.Errorf("temporary files %v, %v", left, err)
			}
			if strings.HasPrefix(name, "port in use") {
				if made, _ := os.ReadDir(w.config.Data); len(made) != 0 {
					t.Errorf("the folder has %v: an app whose port is in use touches nothing", made)
				}
			}
		})
	}
	goleak.VerifyNone(t, before, idleWorkers)
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	w := newWorld(t)
	w.config.Listen = taken.Addr().String()
	app := perdure.New(w.config)
	app.Add(perdure.HTTP("GET /ping", ping))
	err = app.Run(t.Context())
	if err == nil {
		t.Fatal("the app has run")
	}
	contains(t, err.Error(), "another program listens on "+w.config.Listen, "Config.Listen", "PERDURE_LISTEN")
}

func TestAppStartsAndStopsOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Listen = "localhost:0"
	app := perdure.New(w.config)
	app.Add(items, perdure.HTTP("GET /ping", ping))
	if err := app.Stop(t.Context()); err != nil {
		t.Errorf("stop before the start: %v", err)
	}
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := app.Start(t.Context()); !errors.Is(err, perdure.ErrConfig) || !strings.Contains(err.Error(), "another with New") {
		t.Errorf("second start: %v", err)
	}
	for range 2 {
		if err := app.Stop(t.Context()); err != nil {
			t.Errorf("stop: %v", err)
		}
	}
	if err := app.Run(t.Context()); !errors.Is(err, perdure.ErrConfig) {
		t.Errorf("run after the stop: %v", err)
	}
	if app.Addr() != nil {
		t.Error("a stopped app has an address")
	}
}

func TestAppThatDoesNotRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	unstarted := perdure.New(w.config)
	stopped := w.start(items)
	stopped.stop()
	for name, app := range map[string]*perdure.App{"unstarted": unstarted, "stopped": stopped.App} {
		letters := app.DeadLetters()
		_, _, list := letters.List(t.Context(), "", "", 0)
		_, count := letters.Count(t.Context(), "")
		_, getOne := letters.Get(t.Context(), "f", perdure.DeadLetterID{})
		for what, err := range map[string]error{
			"Unit": app.Unit(t.Context(), func(context.Context) error { return nil }),
			"List": list, "Count": count, "Get": getOne,
			"Resend": letters.Resend(t.Context(), "f", perdure.DeadLetterID{}),
			"Drop":   letters.Drop(t.Context(), "f", perdure.DeadLetterID{}),
		} {
			if !errors.Is(err, perdure.ErrNotRunning) {
				t.Errorf("%s: %s: %v, want ErrNotRunning", name, what, err)
			}
		}
		if app.Durable() != nil || app.Addr() != nil {
			t.Errorf("%s: has a client or an address", name)
		}
		r := &running{app, w}
		r.do("GET", "/", "").problem(t, http.StatusServiceUnavailable)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Listen = "localhost:0"
	app := perdure.New(w.config)
	app.Add(perdure.HTTP("GET /ping", ping))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx) }()
	waitFor(t, func() bool { return app.Addr() != nil })
	cancel()
	if err := get(t, ended); err != nil {
		t.Errorf("run: %v", err)
	}
	if _, err := net.Dial("tcp", fmt.Sprint(app.Addr())); err == nil {
		t.Error("the port is still open")
	}

	app = perdure.New(w.config)
	if err := app.Run(ctx); err != nil {
		t.Errorf("run with a context that has ended: %v", err)
	}
}

func TestRunEndsWithStop(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := perdure.New(w.config)
	ended := make(chan error, 1)
	go func() { ended <- app.Run(t.Context()) }()
	waitFor(t, func() bool { return app.Durable() != nil })
	if err := app.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := get(t, ended); err != nil {
		t.Errorf("run: %v", err)
	}
}

func TestAppThatCannotGoOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.start(perdure.HTTP("GET /ping", ping))
	r.Break(errors.New("the disk is full of secrets"))
	r.Break(errors.New("later"))
	if a := r.do("GET", "/healthz", ""); strings.Contains(a.body, "secrets") || a.problem(t, http.StatusServiceUnavailable) == "" {
		t.Errorf("got %+v", a)
	}
	if a := r.do("GET", "/openapi.json", ""); a.status != 200 {
		t.Errorf("got %+v", a)
	}

	app := perdure.New(w.config)
	ended := make(chan error, 1)
	go func() { ended <- app.Run(t.Context()) }()
	waitFor(t, func() bool { return app.Durable() != nil })
	cause := errors.New("the disk is gone")
	app.Break(cause)
	if err := get(t, ended); !errors.Is(err, cause) {
		t.Errorf("run: %v, want the cause", err)
	}
}

func TestAppServesItsAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Listen = "127.0.0.1:0"
	app := w.start(perdure.HTTP("GET /ping", ping))
	host, port, err := net.SplitHostPort(app.Addr().String())
	if err != nil || host != "127.0.0.1" || port == "0" {
		t.Fatalf("address %v", app.Addr())
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, name := range []string{"127.0.0.1", "localhost", "[::1]", "LOCALHOST"} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+app.Addr().String()+"/ping", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = name + ":" + port
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != 200 || string(body) != "pong" {
			t.Errorf("host %s: %d %q, %v", name, res.StatusCode, body, err)
		}
	}
}

// What runs when the app is told to stop may end, and uses the app to the end.
func TestStopWaitsForWhatRuns(t *testing.T) {
	t.Parallel()
	w := newLasting(t)
	w.config.Listen = "localhost:0"
	began, goOn := make(chan string, 3), make(chan struct{})
	var app *perdure.App
	hold := func(ctx context.Context, what string) error {
		began <- what
		<-goOn
		return nil
	}
	app = perdure.New(w.config)
	app.Add(items, documents, process.Impl(workOnce),
		work.Impl(func(ctx context.Context, _ string) (string, error) {
			return "done", errors.Join(hold(ctx, "activity"), items.Put(ctx, "activity", &item{Count: 1}))
		}),
		perdure.OnBlob(documents, "{id}", func(ctx context.Context, _ *empty) (*empty, error) {
			return nil, errors.Join(hold(ctx, "trigger"), items.Put(ctx, "trigger", &item{Count: 1}))
		}),
		perdure.HTTP("POST /slow", func(ctx context.Context, _ *empty) (*pong, error) {
			err := hold(ctx, "request")
			return &pong{"pong"}, errors.Join(err, app.Unit(ctx, func(ctx context.Context) error {
				return items.Put(ctx, "request", &item{Count: 1})
			}))
		}, perdure.NoUnit()))
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := &running{app, w}
	r.write("n", "bytes")
	if _, err := process.StartWith(t.Context(), app.Durable(), "in", durable.ID("p")); err != nil {
		t.Fatal(err)
	}
	answered := make(chan string, 1)
	go func() {
		res, err := http.Post("http://"+app.Addr().String()+"/slow", "", nil)
		if err != nil {
			answered <- err.Error()
			return
		}
		defer res.Body.Close()
		answered <- res.Status
	}()
	for range 3 {
		get(t, began)
	}
	address := app.Addr().String()
	stopped := make(chan error, 1)
	go func() { stopped <- app.Stop(context.Background()) }()
	waitFor(t, func() bool { // nothing new is taken
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	r.do("GET", "/healthz", "").problem(t, http.StatusServiceUnavailable)
	close(goOn)
	if err := get(t, stopped); err != nil {
		t.Errorf("stop: %v", err)
	}
	if status := get(t, answered); status != "200 OK" {
		t.Errorf("the request that ran was answered %q", status)
	}
	again := w.start(items, documents, process.Impl(workOnce), work.Impl(echo))
	for _, key := range []string{"activity", "trigger", "request"} {
		if again.item(key).Count != 1 {
			t.Errorf("what the %s wrote is not there", key)
		}
	}
}

// What does not end in time is cut off, wrote nothing, and runs again.
func TestStopCutsOffWhatTakesTooLong(t *testing.T) {
	t.Parallel()
	w := newLasting(t)
	began := make(chan string, 2)
	hold := func(ctx context.Context, what string) {
		began <- what
		<-ctx.Done()
	}
	r := w.start(items, documents, process.Impl(workOnce),
		work.Impl(func(ctx context.Context, _ string) (string, error) {
			err := items.Put(ctx, "activity", &item{Count: 99})
			hold(ctx, "activity")
			return "", errors.Join(err, ctx.Err()) // which is not a failure of the activity
		}),
		perdure.OnBlob(documents, "{id}", func(ctx context.Context, _ *empty) (*empty, error) {
			err := items.Put(ctx, "trigger", &item{Count: 99})
			hold(ctx, "trigger")
			return nil, err // as if nothing had happened
		}))
	r.write("n", "bytes")
	if _, err := process.StartWith(t.Context(), r.Durable(), "in", durable.ID("p")); err != nil {
		t.Fatal(err)
	}
	get(t, began)
	get(t, began)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Stop(ctx); err == nil {
		t.Error("nobody says that runs were cut off")
	}
	again := w.start(items, documents, process.Impl(workOnce), work.Impl(echo),
		perdure.OnBlob(documents, "{id}", func(ctx context.Context, _ *empty) (*empty, error) {
			return nil, items.Insert(ctx, "trigger", &item{Count: 1})
		}))
	if out, err := process.WaitWith(t.Context(), again.Durable(), "p"); out != "done" || err != nil {
		t.Errorf("the activity's instance: %q, %v", out, err)
	}
	again.settle()
	if got := again.item("trigger").Count; got != 1 {
		t.Errorf("the trigger's row has count %d, want 1", got)
	}
	if got := again.item("activity").Count; got != 0 {
		t.Errorf("the activity that was cut off wrote count %d", got)
	}
}

func TestRestartResumes(t *testing.T) {
	t.Parallel()
	w := newLasting(t)
	decided := durable.NewEvent[string]("decided")
	waits := process.Impl(func(ctx *durable.Context, _ string) (string, error) { return decided.Wait(ctx) })
	first := w.start(items, documents, waits)
	if _, err := process.StartWith(t.Context(), first.Durable(), "in", durable.ID("p")); err != nil {
		t.Fatal(err)
	}
	first.write("n", "bytes")
	first.unit(func(ctx context.Context) error { return items.Put(ctx, "k", &item{Count: 7}) })
	first.stop()

	second := w.start(items, documents, waits)
	if got := second.item("k").Count; got != 7 {
		t.Errorf("count %d, want 7", got)
	}
	second.unit(func(ctx context.Context) error {
		r, err := documents.Open(ctx, "n")
		if err != nil {
			return err
		}
		defer r.Close()
		if b, err := io.ReadAll(r); string(b) != "bytes" || err != nil {
			t.Errorf("blob has %q, %v", b, err)
		}
		return decided.Raise(ctx, "p", "yes")
	})
	if out, err := process.WaitWith(t.Context(), second.Durable(), "p"); out != "yes" || err != nil {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestOneFolderHasOneApp(t *testing.T) {
	t.Parallel()
	w := newLasting(t)
	first := w.start(items)
	other := perdure.New(w.config)
	err := other.Start(t.Context())
	if err == nil {
		t.Fatal("a second app runs on the folder")
	}
	contains(t, err.Error(), w.config.Data, "in use")

	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSecondProcess$")
	child.Env = append(os.Environ(), folderOfOther+"="+w.config.Data)
	out, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	contains(t, string(out), "refused: ", w.config.Data, "in use")
	first.unit(func(ctx context.Context) error { return items.Put(ctx, "k", &item{}) })
	first.stop()

	child = exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSecondProcess$")
	child.Env = append(os.Environ(), folderOfOther+"="+w.config.Data)
	if out, err = child.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	contains(t, string(out), "started")
}

const folderOfOther = "PERDURE_TEST_FOLDER"

// TestSecondProcess is what TestOneFolderHasOneApp runs in a process of its own.
func TestSecondProcess(t *testing.T) {
	folder := os.Getenv(folderOfOther)
	if folder == "" {
		return // nothing to do but as that child
	}
	app := perdure.New(perdure.Config{Data: folder})
	app.Add(items)
	if err := app.Start(t.Context()); err != nil {
		fmt.Println("refused:", err)
		return
	}
	fmt.Println("started")
	if err := app.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// Two apps of the same declarations share nothing.
func TestAppsShareNothing(t *testing.T) {
	t.Parallel()
	one := newWorld(t).start(items, documents, process.Impl(workOnce), work.Impl(echo))
	two := newLasting(t).start(items, documents, process.Impl(workOnce), work.Impl(func(context.Context, string) (string, error) {
		return "two", nil
	}))
	one.unit(func(ctx context.Context) error { return items.Put(ctx, "k", &item{Count: 1}) })
	one.write("n", "one")
	if got := two.item("k"); got.Count != 0 {
		t.Errorf("the other app has %+v", got)
	}
	two.unit(func(ctx context.Context) error {
		if _, err := documents.Stat(ctx, "n"); !errors.Is(err, perdure.ErrNotFound) {
			t.Errorf("the other app's blob: %v", err)
		}
		return nil
	})
	for want, app := range map[string]*running{"done": one, "two": two} {
		if out, err := process.RunWith(t.Context(), app.Durable(), "in", durable.ID("p")); out != want || err != nil {
			t.Errorf("got %q, %v, want %q", out, err, want)
		}
	}
}

// waitFor waits for what another goroutine makes true.
func waitFor(t *testing.T, cond func() bool) {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	for tick := time.NewTicker(time.Millisecond); !cond(); {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatal("it did not come true within 30 seconds")
		}
	}
}
