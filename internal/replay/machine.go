// Package replay runs orchestrations: from what an instance has received and the
// code of its orchestration it computes what the instance decides. It knows no
// clock and does no I/O, so the same history always gives the same decisions.
//
// An orchestration is a coroutine. A live turn continues it where it waits; after
// eviction or a restart the recorded turns are replayed, and each decision of the
// code is compared with the recorded one.
package replay

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/perdure/perdure/internal/history"
)

// Code is an orchestration without its types. It runs on the machine's coroutine
// and waits only through the machine. An error of type *Continue starts the next
// generation; every other error is a failure.
type Code func(m *Machine, input []byte) (output []byte, err error)

// Machine is one instance in memory. It is not safe for concurrent use; its owner
// calls Turn and Replay, its code calls the rest.
type Machine struct {
	code Code
	// Instance is the instance's id.
	Instance string
	// Name is the orchestration's name.
	Name string

	pool    *Pool
	co      *coroutine // nil before the code runs and when it has returned
	input   []byte
	started bool

	now     time.Time
	seed    uint64
	ids     uint64
	lastSeq uint32
	calls   map[uint32]*Call           // open calls
	waits   map[string][]*Call         // open waits for an event, oldest first
	unread  map[string][]history.Event // events nobody waited for yet, oldest first
	wait    *Call                      // what the coroutine waits for, or
	ready   func() bool                // until when
	step    *Step                      // the inline step the coroutine waits for

	canceled bool
	shielded bool

	turn      int             // number of turns seen, for messages
	recorded  []history.Event // what this turn received and decided
	expected  []history.Event // during replay: the rest of the recorded turn
	replaying bool
	running   bool
	dead      bool
	ended     bool
	failed    error // *Mismatch or *Panic: the machine is of no more use
}

// Call is something an instance waits for.
type Call struct {
	Seq  uint32
	Kind history.Kind // the decision that opened it
	Name string
	// ID is a child's.
	ID string
	// Due is when a timer fires, in Unix nanoseconds.
	Due int64

	done    bool
	data    []byte
	failure *history.Failure
}

// Done reports whether the call has its answer.
func (c *Call) Done() bool { return c.done }

// Result returns the answer of a call that is done.
func (c *Call) Result() ([]byte, *history.Failure) { return c.data, c.failure }

// New returns a machine that has not started.
func New(name, instance string, code Code) *Machine {
	m := &Machine{
		code: code, Name: name, Instance: instance,
		calls: map[uint32]*Call{},
	}
	return m
}

// Turn delivers events in order, running the code after each until it waits
// again, and returns what is to be recorded: the events that were taken and the
// decisions of the code. It stops taking events when the instance ends; taken is
// how many were looked at. An event that answers no open call is left out. An
// error means that the machine must be closed: *Mismatch or *Panic. What is to be
// recorded is appended to into.
func (m *Machine) Turn(now time.Time, events, into []history.Event) (recorded []history.Event, taken int, err error) {
	if m.failed != nil {
		return nil, 0, m.failed
	}
	m.begin(now)
	m.turn++
	m.recorded = into
	defer func() { m.recorded = nil }()
	for taken < len(events) && !m.ended {
		m.receive(events[taken])
		taken++
		if m.failed != nil {
			return nil, taken, m.failed
		}
	}
	return m.recorded, taken, nil
}

// begin moves the time. It never goes back, whatever the owner's clock does.
func (m *Machine) begin(now time.Time) {
	if now.After(m.now) {
		m.now = now
	}
}

// Replay runs a recorded turn and checks that the code decides what it records.
func (m *Machine) Replay(t history.Turn) error {
	if m.failed != nil {
		return m.failed
	}
	m.begin(time.Unix(0, t.Time).UTC())
	m.turn++
	m.replaying, m.expected = true, t.Events
	defer func() { m.replaying, m.expected = false, nil }()
	for len(m.expected) > 0 {
		e := m.expected[0]
		if e.Kind.Decision() {
			return m.mismatch(e.String(), m.position())
		}
		m.expected = m.expected[1:]
		if !m.receive(e) && m.failed == nil {
			return m.mismatch(e.String(), "no call that it answers")
		}
		if m.failed != nil {
			return m.failed
		}
	}
	return nil
}

// Time returns the time of the latest turn.
func (m *Machine) Time() time.Time { return m.now }

// Ending reports whether the instance was asked to end.
func (m *Machine) Ending() bool { return m.canceled }

// Ended reports whether the code has returned.
func (m *Machine) Ended() bool { return m.ended }

// Step returns the inline step that the code waits for, or nil.
func (m *Machine) Step() *Step { return m.step }

// Open returns the open calls, oldest first.
func (m *Machine) Open() []*Call {
	open := make([]*Call, 0, len(m.calls))
	for _, c := range m.calls {
		open = append(open, c)
	}
	slices.SortFunc(open, func(a, b *Call) int { return int(a.Seq) - int(b.Seq) })
	return open
}

// IsOpen reports whether the call seq still waits for its answer.
func (m *Machine) IsOpen(seq uint32) bool { return m.calls[seq] != nil }

// Unread returns the raised events that nobody has waited for, oldest first for
// each name.
func (m *Machine) Unread() []history.Event {
	names := make([]string, 0, len(m.unread))
	for name := range m.unread {
		names = append(names, name)
	}
	slices.Sort(names)
	var events []history.Event
	for _, name := range names {
		events = append(events, m.unread[name]...)
	}
	return events
}

// Close ends the coroutine: the code's deferred functions run, and every call
// they make to the machine ends them too. It does not wait for them. A second Close
// does nothing.
func (m *Machine) Close() {
	if m.dead {
		return
	}
	m.dead = true
	if m.co != nil {
		// Unwinding is by Goexit, which iter.Pull hands on to the caller of
		// stop; so it needs a goroutine of its own.
		go m.co.stop()
	}
}

// receive applies one event and runs the code if it can go on. It reports
// whether the event was taken.
func (m *Machine) receive(e history.Event) bool {
	switch e.Kind {
	case history.Started:
		if m.started {
			return false
		}
		m.record(e)
		m.seed = e.Num
		m.begin(time.Unix(0, e.Time).UTC()) // it may be of a generation whose time is ahead of the clock
		m.started, m.input = true, e.Data
		m.co = m.pool.get()
		m.co.m = m
	case history.EventRaised:
		m.record(e)
		if waits := m.waits[e.Name]; len(waits) > 0 {
			if m.waits[e.Name] = waits[1:]; len(waits) == 1 {
				delete(m.waits, e.Name)
			}
			m.answer(waits[0], e.Data, nil)
		} else {
			if m.unread == nil {
				m.unread = map[string][]history.Event{}
			}
			m.unread[e.Name] = append(m.unread[e.Name], e)
		}
	case history.CancelRequested:
		if m.canceled {
			return false
		}
		m.record(e)
		m.cancelAll()
	default:
		c := m.calls[e.Seq]
		if c == nil || !answers(e.Kind, c.Kind) {
			return false
		}
		if (e.Kind == history.StepCompleted || e.Kind == history.StepFailed) && e.Name != c.Name {
			m.mismatch(e.String(), fmt.Sprintf("step #%d %q", c.Seq, c.Name))
			return false
		}
		m.record(e)
		m.answer(c, e.Data, e.Failure)
	}
	m.run()
	return true
}

// answers reports whether an event of kind answers a call opened by decision.
func answers(kind, decision history.Kind) bool {
	switch kind {
	case history.ActivityCompleted, history.ActivityFailed:
		return decision == history.ActivityScheduled
	case history.StepCompleted, history.StepFailed:
		return decision == history.StepBegan
	case history.TimerFired:
		return decision == history.TimerCreated
	case history.ChildCompleted, history.ChildFailed:
		return decision == history.ChildStarted
	default:
		return false
	}
}

func (m *Machine) record(e history.Event) {
	if !m.replaying {
		m.recorded = append(m.recorded, e)
	}
}

func (m *Machine) answer(c *Call, data []byte, failure *history.Failure) {
	c.done, c.data, c.failure = true, data, failure
	delete(m.calls, c.Seq)
	if m.step != nil && m.step.Seq == c.Seq {
		m.step = nil
	}
}

// main runs the code, on the coroutine. A panic and a Goexit of the code make the
// machine fail; both are held here until it is closed, since iter.Pull would hand
// them on to the owner. What deferred functions do while a closed machine unwinds
// is of no interest, not even a panic.
//
//go:noinline // Stack finds the goroutine by this frame
func (m *Machine) main() {
	returned := false
	defer func() {
		value := recover()
		if returned || m.dead {
			return
		}
		if value == nil {
			value = errors.New("runtime.Goexit called")
		}
		m.failed = &Panic{Value: value, Stack: string(debug.Stack())}
		for m.co.yield(struct{}{}) {
		}
	}()
	input := m.input
	m.input = nil
	output, err := m.code(m, input)
	returned = true
	if !m.dead {
		m.end(output, err)
	}
}

// run starts or continues the coroutine, as long as it can go on.
func (m *Machine) run() {
	for m.co != nil && m.failed == nil && m.canGoOn() {
		m.running = true
		m.co.next()
		m.running = false
		if m.co.m == nil { // the code has returned
			m.pool.put(m.co)
			m.co = nil
		}
	}
}

// canGoOn reports whether what the coroutine waits for is there.
func (m *Machine) canGoOn() bool {
	if m.wait != nil {
		return m.wait.done
	}
	return m.ready == nil || m.ready()
}

// end records how the code returned.
func (m *Machine) end(output []byte, err error) {
	var (
		next *Continue
		fail *FailureError
	)
	e := history.Event{Kind: history.Completed, Data: output}
	switch {
	case err == nil:
	case errors.As(err, &next):
		e = history.Event{Kind: history.ContinuedAsNew, Data: next.Input}
	case errors.As(err, &fail):
		e = history.Event{Kind: history.Failed, Failure: fail.Failure}
		if m.canceled && fail.Failure.Type == CanceledType {
			e = history.Event{Kind: history.Canceled}
		}
	default:
		e = history.Event{Kind: history.Failed, Failure: &history.Failure{Message: err.Error()}}
	}
	m.ended = m.decide(&e)
}

// decide records a decision, or checks it against the recorded one and takes over
// when a timer is due from it. It reports whether the code may go on.
func (m *Machine) decide(e *history.Event) bool {
	if !m.replaying {
		m.recorded = append(m.recorded, *e)
		return true
	}
	if len(m.expected) == 0 {
		m.mismatch("no further step", e.String())
		return false
	}
	want := m.expected[0]
	if want.Kind != e.Kind || want.Seq != e.Seq || want.Name != e.Name || want.ID != e.ID {
		m.mismatch(want.String(), e.String())
		return false
	}
	m.expected = m.expected[1:]
	e.Time = want.Time
	return true
}

// mismatch makes the machine fail.
func (m *Machine) mismatch(expected, found string) error {
	m.failed = &Mismatch{Instance: m.Instance, Turn: m.turn, Expected: expected, Found: found}
	return m.failed
}

// position says what the code waits for.
func (m *Machine) position() string {
	if m.ended {
		return "returned"
	}
	open := m.Open()
	if len(open) == 0 {
		return "nothing it waits for"
	}
	c := open[len(open)-1]
	return "a wait for " + history.Event{Kind: c.Kind, Seq: c.Seq, Name: c.Name}.String()
}

// enter is called first by everything the code calls. It ends the code when the
// machine is closed or has failed.
func (m *Machine) enter() {
	if m.dead {
		runtime.Goexit()
	}
	if m.failed != nil {
		m.park()
	}
	if !m.running {
		panic("durable: the context was used outside its orchestration: by another goroutine, or after it returned")
	}
}

// park hands control back for good: the owner sees m.failed and closes the
// machine.
func (m *Machine) park() {
	for m.co.yield(struct{}{}) {
	}
	runtime.Goexit()
}

// block waits until c, unless nil, is done, or else until ready reports true.
func (m *Machine) block(c *Call, ready func() bool) {
	m.wait, m.ready = c, ready
	if m.canGoOn() {
		return
	}
	if !m.co.yield(struct{}{}) {
		runtime.Goexit()
	}
}
