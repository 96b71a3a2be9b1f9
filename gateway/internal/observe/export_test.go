package observe

// Flush does what the goroutine does ten times a second. It is for logs that were not started.
func (l *AccessLog) Flush() {
	l.look()
	l.flush()
}
