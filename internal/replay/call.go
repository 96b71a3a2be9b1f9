package replay

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/perdure/perdure/internal/history"
)

// Step is an inline step that waits to be run.
type Step struct {
	Seq  uint32
	Name string
	Run  func(ctx context.Context) ([]byte, error)
	// Options is the encoded policy of the step.
	Options []byte
}

// open makes the call that decision e opens. The call of a canceled instance is
// answered at once and leaves no trace in history: it is canceled again in each
// replay.
func (m *Machine) open(e history.Event) *Call {
	m.enter()
	m.lastSeq++
	e.Seq = m.lastSeq
	c := &Call{Seq: e.Seq, Kind: e.Kind, Name: e.Name, ID: e.ID, Due: e.Time}
	if m.canceled && !m.shielded {
		c.done, c.failure = true, errCanceled
		return c
	}
	m.decideOrPark(&e)
	c.Due = e.Time
	m.calls[c.Seq] = c
	return c
}

func (m *Machine) decideOrPark(e *history.Event) {
	if !m.decide(e) {
		m.park()
	}
}

// Schedule calls an activity.
func (m *Machine) Schedule(name string, input, options []byte) *Call {
	return m.open(history.Event{Kind: history.ActivityScheduled, Name: name, Data: input, Options: options})
}

// StartChild starts a sub-orchestration; an empty id gets a generated one.
func (m *Machine) StartChild(name, id string, input, options []byte) (*Call, string) {
	m.enter()
	e := history.Event{Kind: history.ChildStarted, Name: name, ID: id, Data: input, Options: options}
	if id == "" {
		e.ID, e.Num = m.NewID(), 1
	}
	return m.open(e), e.ID
}

// Timer starts a timer that fires at due.
func (m *Machine) Timer(due time.Time) *Call {
	return m.open(history.Event{Kind: history.TimerCreated, Time: due.UnixNano()})
}

// Await waits for an event; one that came early answers at once.
func (m *Machine) Await(name string) *Call {
	c := m.open(history.Event{Kind: history.EventAwaited, Name: name})
	if c.done {
		return c
	}
	if early := m.unread[name]; len(early) > 0 {
		if m.unread[name] = early[1:]; len(early) == 1 {
			delete(m.unread, name)
		}
		m.answer(c, early[0].Data, nil)
		return c
	}
	if m.waits == nil {
		m.waits = map[string][]*Call{}
	}
	m.waits[name] = append(m.waits[name], c)
	return c
}

// RunStep runs fn once and keeps its result in history.
func (m *Machine) RunStep(name string, options []byte, fn func(ctx context.Context) ([]byte, error)) *Call {
	c := m.open(history.Event{Kind: history.StepBegan, Name: name})
	if !c.done {
		m.step = &Step{Seq: c.Seq, Name: name, Run: fn, Options: options}
		m.Wait(c)
	}
	return c
}

// Wait blocks until c is done.
func (m *Machine) Wait(c *Call) {
	m.enter()
	m.block(c, nil)
}

// WaitAny blocks until one of calls is done and returns the first that is, in the
// order given.
func (m *Machine) WaitAny(calls []*Call) int {
	m.enter()
	at := -1
	m.block(nil, func() bool {
		at = slices.IndexFunc(calls, (*Call).Done)
		return at >= 0
	})
	return at
}

// Cancel gives up an open call: its answer, should it come, is ignored.
func (m *Machine) Cancel(c *Call) {
	m.enter()
	if !c.done {
		m.abandon(c)
	}
}

// abandoned is the decision that gives up a call, by the decision that opened it.
// An inline step has none: its function runs while the code waits for it, so that
// the two never run at once.
var abandoned = map[history.Kind]history.Kind{
	history.ActivityScheduled: history.ActivityAbandoned,
	history.TimerCreated:      history.TimerCanceled,
	history.EventAwaited:      history.WaitAbandoned,
	history.ChildStarted:      history.ChildAbandoned,
}

// abandon decides that the answer of c is not wanted.
func (m *Machine) abandon(c *Call) {
	if c.Kind == history.EventAwaited {
		m.unwait(c)
	}
	m.answer(c, nil, errCanceled)
	if !m.decide(&history.Event{Kind: abandoned[c.Kind], Seq: c.Seq, ID: c.ID}) && m.running {
		m.park()
	}
}

// unwait removes c from those that wait for its event.
func (m *Machine) unwait(c *Call) {
	rest := slices.DeleteFunc(m.waits[c.Name], func(w *Call) bool { return w == c })
	if len(rest) == 0 {
		delete(m.waits, c.Name)
		return
	}
	m.waits[c.Name] = rest
}

// cancelAll gives up every open call and makes every later one fail. An inline
// step is left to end: whoever runs it cancels its context.
func (m *Machine) cancelAll() {
	m.canceled = true
	if m.shielded {
		return
	}
	for _, c := range m.Open() {
		if c.Kind == history.StepBegan {
			continue
		}
		m.abandon(c)
		if m.failed != nil {
			return
		}
	}
}

// Canceled reports whether the instance was asked to end.
func (m *Machine) Canceled() bool {
	m.enter()
	return m.canceled
}

// Shield lets f make calls although the instance is canceled, and keeps a
// cancel that comes meanwhile from ending them: it is for cleaning up.
func (m *Machine) Shield(f func()) {
	m.enter()
	was := m.shielded
	m.shielded = true
	defer func() { m.shielded = was }()
	f()
}

// Send sends an event to another instance.
func (m *Machine) Send(id, name string, data []byte) {
	m.enter()
	m.lastSeq++
	m.decideOrPark(&history.Event{Kind: history.EventSent, Seq: m.lastSeq, ID: id, Name: name, Data: data})
}

// SetStatus sets the instance's custom status.
func (m *Machine) SetStatus(data []byte) {
	m.enter()
	m.decideOrPark(&history.Event{Kind: history.StatusSet, Data: data})
}

// Now returns the instance's time: that of the current turn.
func (m *Machine) Now() time.Time {
	m.enter()
	return m.now
}

// Replaying reports whether this turn has run before.
func (m *Machine) Replaying() bool {
	m.enter()
	return m.replaying
}

// NewID returns a random UUID (version 8, RFC 9562) that is the same in each
// replay.
func (m *Machine) NewID() string {
	m.enter()
	m.ids++
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], m.seed)
	binary.BigEndian.PutUint64(b[8:], m.ids)
	sum := sha256.Sum256(append(b[:], m.Instance...))
	return uuid(sum[:16])
}

// Rand returns a source of random numbers that gives the same ones in each
// replay. It is not for secrets.
func (m *Machine) Rand() *rand.Rand {
	m.enter()
	m.ids++
	return rand.New(rand.NewPCG(m.seed, m.ids))
}

// uuid formats 16 random bytes as a UUID of version 8.
func uuid(b []byte) string {
	const hex = "0123456789abcdef"
	b[6] = b[6]&0x0f | 0x80
	b[8] = b[8]&0x3f | 0x80
	dst := make([]byte, 0, 36)
	for i, c := range b {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			dst = append(dst, '-')
		}
		dst = append(dst, hex[c>>4], hex[c&15])
	}
	return string(dst)
}
