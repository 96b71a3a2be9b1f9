package poison

import "sync"

// turnstile lets one suspect run at a time.
type turnstile struct {
	mu      sync.Mutex
	busy    bool
	waiting []func()
}

// Alone asks to run a suspect, something that was charged with a process death.
// One suspect runs at a time, whatever its kind, so that the next death charges
// the right one. When another is running, ok is false and retry is called once,
// from another goroutine, when it is worth asking again; those who wait are
// called in the order in which they asked. Release must be called once when the
// suspect has ended.
func (j *Journal) Alone(retry func()) (release func(), ok bool) {
	t := &j.alone
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.busy {
		t.waiting = append(t.waiting, retry)
		return nil, false
	}
	t.busy = true
	return sync.OnceFunc(t.release), true
}

func (t *turnstile) release() {
	t.mu.Lock()
	t.busy = false
	waiting := t.waiting
	t.waiting = nil
	t.mu.Unlock()
	// Everyone asks again: the first might not want to any more.
	go func() {
		for _, retry := range waiting {
			retry()
		}
	}()
}
