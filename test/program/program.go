// Package program runs a program of this module in a process of its own, for tests that
// kill it and start it again.
package program

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"syscall"
	"time"
)

// Patience is how long a program may take to start.
const Patience = time.Minute

// Build builds the program of a package of this module, such as "examples/names", with
// flags of go build.
func Build(ctx context.Context, binary, pkg string, flags ...string) error {
	args := append([]string{"build", "-buildvcs=false", "-ldflags=-w", "-o", binary}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, "github.com/perdure/perdure/"+pkg)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", cmd, err, out)
	}
	return nil
}

// Program is an app that can be started again after each kill. It is safe for concurrent
// use, but for Start.
type Program struct {
	// Binary is the program, Data its folder.
	Binary, Data string
	// Env is its environment besides that of this process, PERDURE_DATA and
	// PERDURE_LISTEN.
	Env []string
	// Attributes start its process in another way, such as by another user; nil for the usual one.
	Attributes *syscall.SysProcAttr

	mu      sync.Mutex
	process *exec.Cmd
	exited  chan struct{}
	url     string // empty while it is not ready
	output  bytes.Buffer
}

// output takes what the program writes.
type output struct{ *Program }

// Write implements io.Writer.
func (p output) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.Write(b)
}

// Tail is the end of what the program wrote.
func (p *Program) Tail() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.output.Bytes()
	return string(b[max(0, len(b)-4<<10):])
}

// address is where the program says that it listens.
var address = regexp.MustCompile(`perdure is ready.* url=(http://\S+)`)

// Start starts the program and returns when it is ready.
func (p *Program) Start(ctx context.Context) error {
	process, exited := exec.Command(p.Binary), make(chan struct{})
	process.Env = append(os.Environ(), append(p.Env, "PERDURE_LISTEN=localhost:0", "PERDURE_DATA="+p.Data)...)
	process.Stdout, process.Stderr = output{p}, output{p}
	process.SysProcAttr = p.Attributes
	p.mu.Lock()
	p.output.Reset()
	p.mu.Unlock()
	if err := process.Start(); err != nil {
		return err
	}
	go func() {
		_ = process.Wait() // it is killed
		close(exited)
	}()
	p.mu.Lock()
	p.process, p.exited = process, exited
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	for {
		p.mu.Lock()
		m := address.FindSubmatch(p.output.Bytes())
		p.mu.Unlock()
		if m != nil && healthy(ctx, string(m[1])) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.url = string(m[1])
			return nil
		}
		select {
		case <-exited:
			return errors.New("the program ended by itself")
		case <-ctx.Done():
			return fmt.Errorf("the program is not ready: %w", ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func healthy(ctx context.Context, url string) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/healthz", nil)
	if err != nil {
		return false
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// URL returns where the program answers; empty while it does not.
func (p *Program) URL() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.url
}

// PID returns the id of the program's process; 0 while there is none.
func (p *Program) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.process == nil {
		return 0
	}
	return p.process.Process.Pid
}

// Died waits until the program has died at a failpoint, that is, by SIGKILL. Another end
// is an error.
func (p *Program) Died(ctx context.Context) error {
	state, err := p.end(ctx)
	if err != nil {
		return err
	}
	if status, ok := state.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		return fmt.Errorf("the program ended by itself: %v", state)
	}
	return nil
}

// Stop ends the program as an operator does, by SIGTERM.
func (p *Program) Stop(ctx context.Context) error {
	p.mu.Lock()
	process := p.process
	p.mu.Unlock()
	if err := process.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	state, err := p.end(ctx)
	if err == nil && !state.Success() {
		err = fmt.Errorf("the program did not stop well: %v", state)
	}
	return err
}

// end waits until the program has ended.
func (p *Program) end(ctx context.Context) (*os.ProcessState, error) {
	p.mu.Lock()
	process, exited := p.process, p.exited
	p.mu.Unlock()
	select {
	case <-exited:
		p.Kill() // it is dead, and does not answer any more
		return process.ProcessState, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("the program lives: %w", context.Cause(ctx))
	}
}

// Kill ends the program by SIGKILL.
func (p *Program) Kill() {
	p.mu.Lock()
	process, exited := p.process, p.exited
	p.url, p.process = "", nil
	p.mu.Unlock()
	if process == nil {
		return
	}
	_ = process.Process.Kill() // it may be dead
	<-exited
}
