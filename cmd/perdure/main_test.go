package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/blob"
	"github.com/perdure/perdure/durable"
	"github.com/perdure/perdure/internal/control"
	"github.com/perdure/perdure/table"
)

// Scripts run the command and an app, "shop", as programs of their own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"perdure": main,
		"shop":    shop,
		"edit":    editor,
		"members": members,
		"keeper":  keeper,
		"chained": chained,
		"signin":  signIn,
		"query":   query,
		"ask":     askGateway,
	})
}

var (
	orders   = table.Of[order]("orders")
	invoices = blob.Container("invoices")
	approved = durable.NewEvent[bool]("Approved")
	process  = durable.NewOrchestration[string, string]("Process")
)

type order struct {
	Item string `json:"item"`
}

// shop is the app of the scripts. It books an invoice that has a number in it; others
// are dead letters.
func shop() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	config := perdure.ConfigFromEnv(perdure.Config{Title: "Shop", Version: "7", Listen: "localhost:0"})
	var required []perdure.HTTPOption
	var guarded perdure.Part = perdure.Guarded(auth.Anonymous())
	if os.Getenv("SHOP_GUARDED") != "" {
		config.Auth = auth.AuthenticatorFunc(func(*http.Request) (*auth.Principal, error) { return nil, nil })
		required = append(required, perdure.Require(auth.All(auth.Permission("look:shop"), auth.Role("clerk")).Named("may look")))
		guarded = perdure.Guarded(auth.Permission("look:shop"), perdure.Handle("GET /page", http.NotFoundHandler()))
	}
	app := perdure.New(config)
	app.Add(orders, invoices, guarded,
		process.Impl(func(ctx *durable.Context, id string) (string, error) {
			yes, err := approved.Wait(ctx)
			if err == nil && !yes {
				err = errors.New("nobody wants it")
			}
			return "sent: " + id, err
		}),
		perdure.HTTP("GET /x", func(context.Context, *struct{}) (*struct{}, error) { return nil, nil }, required...),
		perdure.OnBlob(invoices, "{id}", book, perdure.FunctionName("book"), perdure.Policy{Concurrency: 1}),
	)
	if err := app.Start(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	err := app.Unit(ctx, func(ctx context.Context) error {
		for i, item := range os.Args[1:] {
			err := orders.Put(ctx, fmt.Sprintf("bolts/%d", i), &order{Item: item})
			if err == nil {
				_, err = invoices.Write(ctx, fmt.Sprint("invoice-", i), strings.NewReader(item))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = app.Settle(ctx)
	}
	if err == nil {
		err = os.WriteFile("settled", nil, 0o600)
	}
	if err == nil {
		<-ctx.Done()
		err = app.Stop(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type bookIn struct {
	ID   string `path:"id"`
	Text string `bind:"invoices/{id}"`
	Blob struct {
		Name string `json:"name"`
	} `body:""`
}

func book(_ context.Context, in *bookIn) (*struct{}, error) {
	if in.Blob.Name != "mended" && !strings.ContainsAny(in.Text, "0123456789") {
		return nil, perdure.Permanent(fmt.Errorf("invoice %q has no amount", in.ID))
	}
	return nil, nil
}

// editor changes the name in the JSON file it is called with.
func editor() {
	b, err := os.ReadFile(os.Args[1])
	if err == nil {
		err = os.WriteFile(os.Args[1], []byte(strings.Replace(string(b), `"invoice-0"`, `"mended"`, 1)), 0o600)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func TestScripts(t *testing.T) {
	t.Parallel()
	params := scripts(t)
	params.Dir = "testdata/script"
	testscript.Run(t, params)
}

// scripts returns how scripts run, with variables of the environment beside those that all have.
func scripts(t *testing.T, variables ...string) testscript.Params {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	environment, err := exec.Command("go", "env", "GOCACHE", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	goCache, modCache, _ := strings.Cut(strings.TrimSpace(string(environment)), "\n")
	return testscript.Params{
		RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			e.Vars = append(e.Vars, "ROOT="+root, "GOCACHE="+goCache, "GOMODCACHE="+modCache,
				// What the module needs is there; nothing is fetched.
				"GOPROXY=off", "GOFLAGS=-buildvcs=false -ldflags=-w", "GOWORK=off", "GOTOOLCHAIN=local",
				// With the race detector each of hundreds of commands would wait a second before it ends.
				"GORACE=atexit_sleep_ms=0",
				"PERDURE_DATA="+filepath.Join(e.WorkDir, "data"), "PERDURE_LISTEN=localhost:0")
			e.Vars = append(e.Vars, variables...)
			return nil
		},
		Condition: func(condition string) (bool, error) {
			if condition == "full" {
				return !testing.Short(), nil
			}
			return false, fmt.Errorf("no such condition: %s", condition)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"await": await,
			"setid": setID,
		},
	}
}

// await waits until a file is there, or has a text in it, or until an app runs on a data
// folder.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 || len(args) > 2 {
		ts.Fatalf("usage: await app FOLDER | await FILE [TEXT]")
	}
	ready := func() bool {
		if args[0] == "app" {
			conn, err := control.Dial(context.Background(), ts.MkAbs(args[1]))
			return err == nil && conn.Close() == nil
		}
		b, err := os.ReadFile(ts.MkAbs(args[0]))
		return err == nil && (len(args) == 1 || strings.Contains(string(b), args[1]))
	}
	for range 1200 {
		if ready() {
			return
		}
		<-time.After(100 * time.Millisecond)
	}
	if len(args) == 2 && args[0] != "app" {
		ts.Logf("%s:\n%s", args[0], ts.ReadFile(args[0]))
	}
	ts.Fatalf("waited two minutes in vain for %v", args)
}

// setID sets ID to the first id of a dead letter in the output of the last command.
func setID(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: setid")
	}
	for _, word := range strings.Fields(ts.ReadFile("stdout")) {
		if len(word) == 26 && strings.ToLower(word) == word {
			ts.Setenv("ID", word)
			return
		}
	}
	ts.Fatalf("no id in the output")
}
