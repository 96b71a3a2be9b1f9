//go:build failpoint

package failpoint

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for value, left := range map[string]int64{
		"engine.applied": 1, "engine.applied:1": 1, "engine.applied:30": 30,
		"": 0, "engine": 0, "engine.applied:": 0, "engine.applied:0": 0, "engine.applied:-1": 0, "engine.applied:x": 0,
	} {
		got, err := parse(value)
		switch {
		case (err == nil) != (left > 0):
			t.Errorf("%q: %v", value, err)
		case err == nil && (got.point != EngineApplied || got.left.Load() != left):
			t.Errorf("%q: %q at passing %d", value, got.point, got.left.Load())
		}
	}
}

// TestHit runs itself in a process that is to die at the third passing.
func TestHit(t *testing.T) { // twice: once in the process that dies
	if os.Getenv(Env) != "" {
		for i := range 5 {
			Hit(EngineCommitted)
			Hit(EngineApplied)
			os.Stdout.WriteString(strings.Repeat("|", i+1) + "\n")
		}
		return
	}
	t.Parallel()
	cmd := exec.Command(os.Args[0], "-test.run=^TestHit$")
	cmd.Env = append(os.Environ(), Env+"="+string(EngineApplied)+":3")
	out, err := cmd.Output()
	if err == nil {
		t.Fatal("it lives")
	}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Errorf("it ended by %v", cmd.ProcessState)
	}
	if string(out) != "|\n||\n" {
		t.Errorf("it wrote %q", out)
	}
}
