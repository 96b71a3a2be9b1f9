package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// arrivals learns which workflows have begun to wait. A workflow may say so more than once, because some engines
// run it again from the beginning; it is counted once.
type arrivals struct {
	mu     sync.Mutex
	prefix string
	seen   []bool
	left   int
	all    chan struct{}
}

// expect begins to count the workflows that instanceID names with this prefix and the numbers below n.
func (a *arrivals) expect(prefix string, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.prefix, a.seen, a.left, a.all = prefix, make([]bool, n), n, make(chan struct{})
}

// mark notes that the workflow with this id waits.
func (a *arrivals) mark(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	number, ok := strings.CutPrefix(id, a.prefix+"-")
	if !ok {
		return
	}
	i, err := strconv.Atoi(number)
	if err != nil || i >= len(a.seen) || a.seen[i] {
		return
	}
	a.seen[i] = true
	if a.left--; a.left == 0 {
		close(a.all)
	}
}

// wait returns when all expected workflows wait.
func (a *arrivals) wait(ctx context.Context) error {
	a.mu.Lock()
	all := a.all
	a.mu.Unlock()
	select {
	case <-all:
		return nil
	case <-ctx.Done():
		a.mu.Lock()
		defer a.mu.Unlock()
		return fmt.Errorf("%d of %d workflows have not begun to wait: %w", a.left, len(a.seen), ctx.Err())
	}
}

// instanceID names the i-th workflow of a group.
func instanceID(prefix string, i int) string { return prefix + "-" + strconv.Itoa(i) }
