package consumer

// IsStopping reports whether Stop was called.
func (f *Feeder) IsStopping() bool { return f.isStopping() }

// Unspill gives tests what reads the events of a delivery.
var Unspill = unspill
