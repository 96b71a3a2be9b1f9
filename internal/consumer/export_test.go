package consumer

// IsStopping reports whether Stop was called.
func (f *Feeder) IsStopping() bool { return f.isStopping() }
