package windows

// Cut is a shape, for tests.
type Cut = shape

// Span is a span, for tests.
type Span = span

// What tests of the pure parts use.
var (
	NewShape = newShape
	NewFence = newFence
)

// Marks, Clocks: what the watermark is made of.
type (
	Mark   = mark
	Clocks = clocks
)

// The bounds of times.
const (
	Never  = never
	Before = before
)

// NewSpan returns the span from start to end.
func NewSpan(start, end int64) Span { return span{start, end} }

// NewMark returns the mark of a partition with events.
func NewMark(latest, seen int64, behind bool) Mark { return mark{true, latest, seen, behind} }

// NoEvents returns the mark of a partition without.
func NoEvents(behind bool) Mark { return mark{behind: behind} }

// NewClocks returns clocks.
func NewClocks(disorder, idle int64) Clocks { return clocks{disorder, idle} }

// Watermark calls watermark.
func (c clocks) Watermark(now int64, marks ...mark) (at, next, lag int64) {
	return c.watermark(now, marks)
}

// WindowsOf returns the windows that an event at t brings results of.
func (s shape) WindowsOf(t int64) (all []span) {
	pane := s.pane(t)
	for w := s.firstOf(pane); w.start <= s.lastOf(pane).start; w = s.window(w.start + s.every) {
		all = append(all, w)
	}
	return all
}

// What tests of the fence use.
var (
	Enter  = (*fence).enter
	Leave  = (*fence).leave
	Open   = (*fence).open
	Passed = (*fence).passed
)

// Look calls look.
func (f *Function[T, K, A]) Look() { f.look() }
