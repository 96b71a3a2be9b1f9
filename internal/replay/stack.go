package replay

import (
	"bytes"
	"fmt"
	"runtime"
)

// maxStacks bounds the memory that Stack may use for the stacks of all goroutines.
const maxStacks = 64 << 20

// Stack returns the stack of the goroutine that runs the machine's code, or "" if
// it cannot be found. Unlike every other method it may be called while the machine
// runs. It stops the program for a moment.
func (m *Machine) Stack() string {
	var all []byte
	for size := 1 << 20; size <= maxStacks; size *= 4 {
		buf := make([]byte, size)
		if n := runtime.Stack(buf, true); n < size {
			all = buf[:n]
			break
		}
	}
	frame := fmt.Appendf(nil, "replay.(*Machine).main(%p", m)
	for stack := range bytes.SplitSeq(all, []byte("\n\n")) {
		if bytes.Contains(stack, frame) {
			return string(stack)
		}
	}
	return ""
}
