package poison_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/perdure/perdure/internal/poison"
)

// The environment of a child process: the journal it holds, and how it dies.
const (
	envJournal = "POISON_TEST_JOURNAL"
	envDeath   = "POISON_TEST_DEATH"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(envJournal); path != "" {
		hold(path, os.Getenv(envDeath))
	}
	os.Exit(m.Run())
}

// hold enters five runs, leaves two of them, says so and dies.
func hold(path, death string) {
	j, err := poison.Open(path)
	if err != nil {
		panic(err)
	}
	for i := range 5 {
		s := j.Enter(poison.Delivery, fmt.Appendf(nil, "run-%d", i))
		if i%2 == 1 {
			j.Leave(s)
		}
	}
	fmt.Println("holding")
	switch death {
	case "panic":
		panic("as asked")
	case "exit":
		os.Exit(7)
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // until killed
}

func TestProcessDeathKeepsEntries(t *testing.T) {
	t.Parallel()
	for _, death := range []string{"kill", "exit", "panic"} {
		t.Run(death, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "running.journal")
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), envJournal+"="+path, envDeath+"="+death)
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			defer stdin.Close()
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			if death == "kill" {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			var exit *exec.ExitError
			if err := cmd.Wait(); !errors.As(err, &exit) {
				t.Fatalf("child ended with %v, want a death", err)
			}
			j := mustOpen(t, poison.Open, path)
			if got, want := ids(j, poison.Delivery), []string{"run-0", "run-2", "run-4"}; !slices.Equal(got, want) {
				t.Errorf("left %q, want %q", got, want)
			}
		})
	}
}
