package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// toolsDir is where setup.sh puts the servers of peers that have one.
const toolsDir = ".tools"

// serverStartTime and serverStopTime bound how long a server may take to start and to stop.
const (
	serverStartTime = time.Minute
	serverStopTime  = 8 * time.Second
)

// process is a server that an engine works with. It dies with this process.
type process struct {
	command *exec.Cmd
	log     *os.File
	ended   chan struct{}
	err     error // why it ended; set before ended is closed
}

// startProcess starts a server whose output goes to a file beside its data.
func startProcess(dir string, command *exec.Cmd) (*process, error) {
	log, err := os.Create(filepath.Join(dir, "server.log"))
	if err != nil {
		return nil, err
	}
	command.Stdout, command.Stderr = log, log
	if command.SysProcAttr == nil {
		command.SysProcAttr = &syscall.SysProcAttr{}
	}
	command.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if err := command.Start(); err != nil {
		log.Close()
		return nil, err
	}
	p := &process{command: command, log: log, ended: make(chan struct{})}
	go func() {
		p.err = command.Wait()
		close(p.ended)
	}()
	return p, nil
}

// pid is safe to call on nil, which stands for no server.
func (p *process) pid() int {
	if p == nil {
		return 0
	}
	return p.command.Process.Pid
}

// awaitReady calls ready until it returns nil. It fails with the server's last words when the server ends instead.
func (p *process) awaitReady(ctx context.Context, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, serverStartTime)
	defer cancel()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended: %w\n%s", filepath.Base(p.command.Path), p.err, p.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w\n%s", filepath.Base(p.command.Path), err, p.lastWords())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (p *process) lastWords() string {
	const enough = 2000
	text, _ := os.ReadFile(p.log.Name())
	return string(text[max(0, len(text)-enough):])
}

// stop ends the server with the given signal, and kills it when it does not obey in time.
func (p *process) stop(signal os.Signal) error {
	if p == nil {
		return nil
	}
	defer p.log.Close()
	if err := p.command.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(serverStopTime):
		err := p.command.Process.Kill()
		<-p.ended
		return err
	}
}

// killServer kills a server and its processes, and returns when they are gone. Without a server (0) it does nothing.
func killServer(server int) error {
	if server == 0 {
		return nil
	}
	for _, pid := range processTree(server) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	for deadline := time.Now().Add(serverStopTime); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if syscall.Kill(server, 0) != nil {
			return nil
		}
	}
	return fmt.Errorf("server process %d does not end", server)
}

// findProgram looks for a program among the files that setup.sh has put below toolsDir, then on the path.
func findProgram(name string, inTools ...string) (string, error) {
	path, err := filepath.Abs(filepath.Join(append([]string{toolsDir}, inTools...)...))
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	path, err = exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s is not installed; ./setup.sh installs it: %w", name, err)
	}
	return path, nil
}

// freePort returns a TCP port on loopback that was free a moment ago.
func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// savedPorts returns n ports that were free when dir was first used; later processes on dir get the same ones.
func savedPorts(dir string, n int) ([]int, error) {
	file := filepath.Join(dir, "ports.json")
	var ports []int
	text, err := os.ReadFile(file)
	if err == nil {
		return ports, json.Unmarshal(text, &ports)
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	for range n {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	if text, err = json.Marshal(ports); err != nil {
		return nil, err
	}
	return ports, os.WriteFile(file, text, 0o644)
}
