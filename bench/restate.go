package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	restate "github.com/restatedev/sdk-go"
	"github.com/restatedev/sdk-go/ingress"
	restateserver "github.com/restatedev/sdk-go/server"
)

// restateWorkflow is the name of the service that holds a kind of workflow; all its workflows have the handler run, and
// approval has decide as well.
var restateWorkflow = map[kind]string{sequence: "Sequence", parallel: "Parallel", approval: "Approval"}

// restateEngine is Restate: a server process keeps the log and calls the handlers in this process over HTTP/2. A step
// (restate.Run) runs inline and its result is stored by the server.
type restateEngine struct {
	deps    deps
	program string
	process *process
	ingress *ingress.Client
	stop    context.CancelFunc
}

func newRestate(d deps) (engine, facts, error) {
	const serverPackage = "node_modules/@restatedev/restate-server-linux-x64/bin/restate-server"
	program, err := findProgram("restate-server", serverPackage)
	if err != nil {
		return nil, facts{}, err
	}
	output, err := exec.Command(program, "--version").Output()
	if err != nil {
		return nil, facts{}, fmt.Errorf("ask Restate for its version: %w", err)
	}
	serverVersion := strings.TrimPrefix(strings.TrimSpace(string(output)), "restate-server ")
	return &restateEngine{deps: d, program: program}, facts{
		version:    serverVersion + ", sdk-go " + moduleVersion("github.com/restatedev/sdk-go"),
		store:      "server: own log on RocksDB",
		durability: "as shipped: WAL with fsync",
	}, nil
}

func (e *restateEngine) open(ctx context.Context, dir string) error {
	// The server remembers addresses, so that the second process on a folder has to use the ports of the first.
	ports, err := savedPorts(dir, 4)
	if err != nil {
		return err
	}
	nodePort, ingressPort, adminPort, handlerPort := ports[0], ports[1], ports[2], ports[3]
	command := exec.Command(e.program, "--no-logo")
	command.Dir = dir
	command.Env = append(os.Environ(),
		"RESTATE_BASE_DIR="+filepath.Join(dir, "restate"),
		"RESTATE_NODE_NAME=bench",
		"RESTATE_LISTEN_MODE=tcp",
		"RESTATE_BIND_IP=127.0.0.1",
		fmt.Sprintf("RESTATE_BIND_PORT=%d", nodePort),
		fmt.Sprintf("RESTATE_INGRESS__BIND_PORT=%d", ingressPort),
		fmt.Sprintf("RESTATE_ADMIN__BIND_PORT=%d", adminPort),
		"RESTATE_DISABLE_TELEMETRY=true",
		"RESTATE_LOG_FILTER=warn",
	)
	if e.process, err = startProcess(dir, command); err != nil {
		return err
	}
	if err := e.serveHandlers(fmt.Sprintf("127.0.0.1:%d", handlerPort)); err != nil {
		return err
	}
	// A client with the default transport opens and closes a connection for nearly each of many concurrent calls.
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, 2*e.deps.inflight
	e.ingress = ingress.NewClient(fmt.Sprintf("http://127.0.0.1:%d", ingressPort),
		ingress.WithHttpClient(&http.Client{Transport: transport}))
	return e.process.awaitReady(ctx, func(ctx context.Context) error {
		if err := getOK(ctx, fmt.Sprintf("http://127.0.0.1:%d/restate/health", ingressPort)); err != nil {
			return err
		}
		return registerHandlers(ctx, fmt.Sprintf("http://127.0.0.1:%d/deployments", adminPort),
			fmt.Sprintf("http://127.0.0.1:%d", handlerPort))
	})
}

// serveHandlers begins to serve the workflows to the server.
func (e *restateEngine) serveHandlers(address string) error {
	// It logs an error for each workflow that waits when the server ends, which is no error here.
	endpoint := restateserver.NewRestate().WithLogger(slog.DiscardHandler, true).
		Bind(restate.NewWorkflow(restateWorkflow[sequence]).
			Handler("run", restate.NewWorkflowHandler(restateSequence))).
		Bind(restate.NewWorkflow(restateWorkflow[parallel]).
			Handler("run", restate.NewWorkflowHandler(restateParallel))).
		Bind(restate.NewWorkflow(restateWorkflow[approval]).
			Handler("run", restate.NewWorkflowHandler(e.approval)).
			Handler("decide", restate.NewWorkflowSharedHandler(restateDecide)))
	var ctx context.Context
	ctx, e.stop = context.WithCancel(context.Background())
	go func() {
		if err := endpoint.Start(ctx, address); err != nil {
			fmt.Fprintln(os.Stderr, "restate: serve the handlers:", err)
		}
	}()
	return nil
}

// registerHandlers tells the server where the handlers are.
func registerHandlers(ctx context.Context, deployments, handlers string) error {
	body, err := json.Marshal(map[string]any{"uri": handlers, "force": true})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, deployments, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	return expectOK(request)
}

func getOK(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	return expectOK(request)
}

func expectOK(request *http.Request) error {
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	if err == nil && response.StatusCode/100 != 2 {
		err = fmt.Errorf("%s: %s: %s", request.URL, response.Status, text)
	}
	return err
}

func restateSequence(ctx restate.WorkflowContext, in input) (result string, err error) {
	for range in.Activities {
		result, err = restate.Run(ctx, func(restate.RunContext) (string, error) { return greet(in.Text), nil },
			restate.WithName("greet"))
		if err != nil {
			return "", err
		}
	}
	return result, nil
}

func restateParallel(ctx restate.WorkflowContext, in input) (string, error) {
	calls := make([]restate.RunAsyncFuture[string], in.Activities)
	for i := range calls {
		calls[i] = restate.RunAsync(ctx, func(restate.RunContext) (string, error) { return greet(in.Text), nil },
			restate.WithName("greet"))
	}
	results := make([]string, in.Activities)
	for i := range calls {
		var err error
		if results[i], err = calls[i].Result(); err != nil {
			return "", err
		}
	}
	return countGreetings(results, in.Text), nil
}

func (e *restateEngine) approval(ctx restate.WorkflowContext, _ input) (string, error) {
	e.deps.waiting(restate.Key(ctx))
	return restate.Promise[string](ctx, decisionEvent).Result()
}

func restateDecide(ctx restate.WorkflowSharedContext, decision string) (restate.Void, error) {
	return restate.Void{}, restate.Promise[string](ctx, decisionEvent).Resolve(decision)
}

func (e *restateEngine) run(ctx context.Context, id string, k kind, in input) (string, error) {
	return ingress.Workflow[input, string](e.ingress, restateWorkflow[k], id, "run").Request(ctx, in)
}

func (e *restateEngine) start(ctx context.Context, id string, k kind, in input) error {
	_, err := ingress.WorkflowSend[input](e.ingress, restateWorkflow[k], id, "run").Send(ctx, in)
	return err
}

func (e *restateEngine) raise(ctx context.Context, id, decision string) error {
	_, err := ingress.WorkflowSend[string](e.ingress, restateWorkflow[approval], id, "decide").Send(ctx, decision)
	return err
}

func (e *restateEngine) result(ctx context.Context, id string) (string, error) {
	return ingress.WorkflowHandle[string](e.ingress, restateWorkflow[approval], id).Attach(ctx)
}

func (e *restateEngine) server() int { return e.process.pid() }

func (e *restateEngine) close() error {
	if e.stop != nil {
		defer e.stop()
	}
	return e.process.stop(syscall.SIGTERM)
}
