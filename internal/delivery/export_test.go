package delivery

import "time"

// InMemory returns how many deliveries of a function memory knows of.
func (d *Dispatcher) InMemory(function string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.byName[function]
	return len(f.ready.refs) + len(f.waiting.refs) + len(f.suspects)
}

// Delay returns the wait after a number of failed attempts.
func (p Policy) Delay(failed int) time.Duration { return p.withDefaults().Backoff.delay(failed) }

// Ref says where a delivery is stored.
type Ref = ref
