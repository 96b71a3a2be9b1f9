package engine

// Idle returns how many instances wait in memory.
func (e *Engine) Idle() int {
	e.instances.idleMu.Lock()
	defer e.instances.idleMu.Unlock()
	return e.instances.idle.Len()
}

// Held returns how many timers are in memory.
func (e *Engine) Held() int {
	e.timers.mu.Lock()
	defer e.timers.mu.Unlock()
	return len(e.timers.heap)
}

// MaxHeld is how many timers are read into memory at a time.
const MaxHeld = maxHeld
