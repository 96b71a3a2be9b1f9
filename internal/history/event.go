// Package history defines what an orchestration's history is made of and how it
// is encoded. A history is a list of turns; a turn is what the instance received
// and what it decided, in the order in which it happened.
//
// The encoding is stable: a kind's number and a field's bit are never given a
// second meaning, because the histories of earlier releases are replayed.
package history

import "fmt"

// Kind says what an Event is.
type Kind uint8

// What an instance receives.
const (
	// Started is the first event: Name, Data (input), Num (random seed), Time
	// (creation, Unix nanoseconds), ID (the instance's id).
	Started Kind = 1
	// ActivityCompleted answers ActivityScheduled with the same Seq: Data. Of this
	// and every other answer that waits in an inbox, Num is the generation that
	// asked.
	ActivityCompleted Kind = 2
	// ActivityFailed answers ActivityScheduled: Failure.
	ActivityFailed Kind = 3
	// StepCompleted is the result of an inline step: Seq, Name, Data.
	StepCompleted Kind = 4
	// StepFailed is the failure of an inline step: Seq, Name, Failure.
	StepFailed Kind = 5
	// TimerFired answers TimerCreated.
	TimerFired Kind = 6
	// EventRaised is an event from outside: Name, Data.
	EventRaised Kind = 7
	// ChildCompleted answers ChildStarted: Data, Num (the generation that asked).
	ChildCompleted Kind = 8
	// ChildFailed answers ChildStarted: Failure.
	ChildFailed Kind = 9
	// CancelRequested asks the instance to end: Name holds the reason.
	CancelRequested Kind = 10
)

// What an instance decides.
const (
	// ActivityScheduled: Seq, Name, Data (input), Options.
	ActivityScheduled Kind = 64 + iota
	// ActivityAbandoned: the result of Seq is not wanted any more.
	ActivityAbandoned
	// TimerCreated: Seq, Time (due, Unix nanoseconds).
	TimerCreated
	// TimerCanceled: Seq of the timer.
	TimerCanceled
	// EventAwaited: Seq, Name.
	EventAwaited
	// WaitAbandoned: Seq of the wait.
	WaitAbandoned
	// ChildStarted: Seq, Name, ID (the child's), Data (input), Options, Num (1: the
	// id was generated).
	ChildStarted
	// ChildAbandoned: the child Seq, whose id is ID, is asked to cancel.
	ChildAbandoned
	// EventSent: Seq, ID (the target instance), Name, Data.
	EventSent
	// StatusSet: Data is the new custom status.
	StatusSet
	// Completed: Data is the output.
	Completed
	// Failed: Failure.
	Failed
	// Canceled: the instance ended because it was asked to.
	Canceled
	// ContinuedAsNew: Data is the input of the next generation.
	ContinuedAsNew
	// StepBegan marks where an inline step was called: Seq, Name.
	StepBegan
)

var kindNames = map[Kind]string{
	Started: "Started", ActivityCompleted: "ActivityCompleted", ActivityFailed: "ActivityFailed",
	StepCompleted: "StepCompleted", StepFailed: "StepFailed", TimerFired: "TimerFired",
	EventRaised: "EventRaised", ChildCompleted: "ChildCompleted", ChildFailed: "ChildFailed",
	CancelRequested: "CancelRequested", ActivityScheduled: "ActivityScheduled",
	ActivityAbandoned: "ActivityAbandoned", TimerCreated: "TimerCreated", TimerCanceled: "TimerCanceled",
	EventAwaited: "EventAwaited", WaitAbandoned: "WaitAbandoned", ChildStarted: "ChildStarted",
	ChildAbandoned: "ChildAbandoned", EventSent: "EventSent", StatusSet: "StatusSet", Completed: "Completed",
	Failed: "Failed", Canceled: "Canceled", ContinuedAsNew: "ContinuedAsNew", StepBegan: "StepBegan",
}

// String returns the kind's name.
func (k Kind) String() string {
	if name, ok := kindNames[k]; ok {
		return name
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Answer reports whether this answers a call of the instance.
func (k Kind) Answer() bool { return k >= ActivityCompleted && k <= ChildFailed && k != EventRaised }

// Decision reports whether the instance decided this, rather than received it.
func (k Kind) Decision() bool { return k >= 64 }

// Event is one thing that happened to an instance. Which fields are set depends
// on the kind.
type Event struct {
	Kind Kind
	// Seq numbers the calls an instance makes, from 1.
	Seq     uint32
	Name    string
	ID      string
	Data    []byte
	Options []byte
	Failure *Failure
	// Time is in Unix nanoseconds.
	Time int64
	Num  uint64
}

// String describes the event without its payload.
func (e Event) String() string {
	s := e.Kind.String()
	if e.Seq != 0 {
		s += fmt.Sprintf(" #%d", e.Seq)
	}
	if e.Name != "" {
		s += fmt.Sprintf(" %q", e.Name)
	}
	if e.ID != "" {
		s += fmt.Sprintf(" (%s)", e.ID)
	}
	return s
}

// Failure is a failed call as history keeps it.
type Failure struct {
	// Type names the kind of error, for matching after it crossed the store.
	Type    string
	Message string
	// NonRetryable ends retries at once.
	NonRetryable bool
	// Attempts is how often the call was made.
	Attempts uint32
}

// Turn is what one step of an instance received and decided.
type Turn struct {
	// Time is the instance's time during the turn, in Unix nanoseconds.
	Time   int64
	Events []Event
}
