package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a running engine, with the processes that it has started.
type process struct {
	address string
	command *exec.Cmd
	log     *os.File
}

// start runs a command and waits until it accepts connections. It dies with this process.
func start(ctx context.Context, dir, address string, command *exec.Cmd) (*process, error) {
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := command.Start(); err != nil {
		log.Close()
		return nil, err
	}
	p := &process{address: address, command: command, log: log}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return p, nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			p.stop()
			text, _ := os.ReadFile(log.Name())
			return nil, fmt.Errorf("does not listen: %w\n%s", err, text)
		}
	}
}

func (p *process) stop() {
	_ = p.command.Process.Signal(syscall.SIGTERM) // gone: as well
	_ = p.command.Wait()                          // how it ends does not matter
	p.log.Close()
}

// tree returns the process and those that it has started, and so on. A child is in the list of the thread that made it.
func (p *process) tree() []int {
	all := []int{p.command.Process.Pid}
	for i := 0; i < len(all); i++ {
		lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", all[i])) // the pattern is good
		for _, list := range lists {
			text, _ := os.ReadFile(list) // the thread has ended: none
			for _, field := range strings.Fields(string(text)) {
				if child, err := strconv.Atoi(field); err == nil {
					all = append(all, child)
				}
			}
		}
	}
	return all
}

// profile has perf write a profile of all of them to a file until it is stopped.
func (p *process) profile(file string) (stop func(), err error) {
	var pids []string
	for _, pid := range p.tree() {
		pids = append(pids, strconv.Itoa(pid))
	}
	perf := exec.Command("perf", "record", "-q", "-g", "-F", "999", "-o", file, "-p", strings.Join(pids, ","))
	perf.Stderr = os.Stderr
	if err := perf.Start(); err != nil {
		return nil, err
	}
	return func() {
		_ = perf.Process.Signal(os.Interrupt) // gone: as well
		_ = perf.Wait()                       // says that it was interrupted
	}, nil
}

// cpu returns the processor time of all of them, in steps of 10 ms.
func (p *process) cpu() (time.Duration, error) {
	var ticks int64
	for _, pid := range p.tree() {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, err
		}
		fields := strings.Fields(string(text)[strings.LastIndex(string(text), ") ")+2:])
		for _, field := range fields[11:13] { // utime and stime
			n, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				return 0, err
			}
			ticks += n
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// rssMB returns the resident memory of all of them.
func (p *process) rssMB() (mb float64) {
	for _, pid := range p.tree() {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if fields := strings.Fields(string(text)); len(fields) > 1 {
			pages, _ := strconv.ParseFloat(fields[1], 64)
			mb += pages * float64(os.Getpagesize()) / (1 << 20)
		}
	}
	return mb
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
