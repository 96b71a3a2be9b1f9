package analysis

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// maxStderrBytes bounds what is kept of a child's last words; a fatal error names its cause first.
const maxStderrBytes = 8 << 10

// runChild analyses file in a child process.
func runChild(ctx context.Context, file *os.File, o Options) (Result, error) {
	cmd, err := childCommand(file, o)
	if err != nil {
		return Result{}, err
	}
	stderr := &head{limit: maxStderrBytes}
	cmd.Stderr = stderr
	resultR, resultW, err := os.Pipe()
	if err != nil {
		return Result{}, fmt.Errorf("start analysis process: %w", err)
	}
	defer resultR.Close()
	lifelineR, lifelineW, err := os.Pipe()
	if err != nil {
		resultW.Close()
		return Result{}, fmt.Errorf("start analysis process: %w", err)
	}
	defer lifelineW.Close()
	cmd.ExtraFiles = []*os.File{resultW, lifelineR} // resultFD, lifelineFD
	err = cmd.Start()
	resultW.Close()
	lifelineR.Close()
	if err != nil {
		return Result{}, fmt.Errorf("start analysis process: %w", err)
	}

	limited, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	// Until the child is reaped its id, and so its group's, cannot belong to anybody else.
	killGroup := func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	stop := context.AfterFunc(limited, func() {
		killGroup()
		resultR.Close() // a descendant that left the group may still hold the other end
	})
	got, protocolErr := receive(resultR)
	timedOut := !stop()
	killGroup()
	waitErr := cmd.Wait()

	switch {
	case ctx.Err() != nil:
		return Result{}, fmt.Errorf("analyse file: %w", context.Cause(ctx))
	case got.done && protocolErr == nil:
		return got.result, nil
	case !got.ready:
		return Result{}, fmt.Errorf("%w: %v: %q", ErrChildFailed, waitErr, cleanLine(string(stderr.kept), 300))
	}
	reason := "unexpected output"
	switch {
	case timedOut:
		reason = fmt.Sprintf("exceeded the time limit of %v", o.Timeout)
	case protocolErr == nil:
		reason = deathReason(waitErr, stderr.kept)
	}
	got.result.Entries = append(got.result.Entries, Entry{
		Name: Explanation, Value: "stopped: " + reason, Source: SourceAnalysis,
	})
	return got.result, nil
}

// childCommand is this program again as an analysis child of its own group, with nothing of this process but the
// file.
func childCommand(file *os.File, o Options) (*exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start analysis process: %w", err)
	}
	child := childOptions{Memory: o.Memory, CPU: o.CPU, OCRTimeout: o.OCRTimeout}
	if path, err := exec.LookPath(o.Tesseract); err == nil && filepath.IsAbs(path) {
		child.Tesseract, child.TessdataPrefix = path, os.Getenv("TESSDATA_PREFIX")
	}
	arg, err := json.Marshal(child)
	if err != nil {
		return nil, fmt.Errorf("start analysis process: %w", err)
	}
	cmd := exec.Command(exe, childArgument, string(arg))
	cmd.Env = []string{}
	cmd.Dir = "/"
	cmd.Stdin = file
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second
	return cmd, nil
}

// deathReason says in words why a child ended early.
func deathReason(err error, stderr []byte) string {
	for _, known := range []struct{ trace, reason string }{
		{"out of memory", "exceeded the memory limit"},
		{"failed to allocate", "exceeded the memory limit"},       // the race detector
		{"address space collisions", "exceeded the memory limit"}, // the same
		{"cannot allocate memory", "exceeded the memory limit"},
		{"stack exceeds", "nested too deeply"},
		{cpuLimitReached, "exceeded the limit of processor time"},
	} {
		if bytes.Contains(stderr, []byte(known.trace)) {
			return known.reason
		}
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if s, ok := exit.Sys().(syscall.WaitStatus); ok && s.Signaled() {
			return fmt.Sprintf("the analysis process was ended by the system (%v)", s.Signal())
		}
	}
	return "the analysis process crashed on this file"
}

// head keeps the first limit bytes written to it and drops the rest.
type head struct {
	kept  []byte
	limit int
}

func (h *head) Write(p []byte) (int, error) {
	h.kept = append(h.kept, p[:min(len(p), h.limit-len(h.kept))]...)
	return len(p), nil
}
