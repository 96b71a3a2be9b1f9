//go:build failpoint

package failpoint

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// armed is where this process dies.
var armed = fromEnvironment()

type target struct {
	point Point
	left  atomic.Int64 // passings up to the last
}

// Hit is passed when the program reaches p. It does not return if that is where
// the process is to die.
func Hit(p Point) {
	if armed == nil || p != armed.point || armed.left.Add(-1) != 0 {
		return
	}
	// Not os.Exit: nothing of the process may run any more, no exit handler and
	// no other goroutine's clean-up.
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// fromEnvironment reads Env. A mistake in it ends the process: a crash test that
// kills nobody would pass.
func fromEnvironment() *target {
	value := os.Getenv(Env)
	if value == "" {
		return nil
	}
	t, err := parse(value)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s=%q: %v\n", Env, value, err)
		os.Exit(2)
	}
	return t
}

func parse(value string) (*target, error) {
	name, count, counted := strings.Cut(value, ":")
	if !slices.Contains(All(), Point(name)) {
		return nil, fmt.Errorf("there is no point %q; the points are %q", name, All())
	}
	n := int64(1)
	if counted {
		var err error
		if n, err = strconv.ParseInt(count, 10, 64); err != nil || n < 1 {
			return nil, fmt.Errorf("want a number from 1 on after the colon, got %q", count)
		}
	}
	t := &target{point: Point(name)}
	t.left.Store(n)
	return t, nil
}
