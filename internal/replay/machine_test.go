package replay_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/perdure/perdure/internal/history"
	"github.com/perdure/perdure/internal/replay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func started() history.Event {
	return history.Event{Kind: history.Started, Name: "code", ID: "i", Data: []byte("{}"), Num: 7, Time: epoch.UnixNano()}
}

// live runs code on the events of each turn and returns what was recorded.
func live(t *testing.T, code replay.Code, turns ...[]history.Event) ([]history.Turn, *replay.Machine) {
	t.Helper()
	m := replay.New("code", "i", code)
	t.Cleanup(m.Close)
	var recorded []history.Turn
	for i, events := range turns {
		got, taken, err := m.Turn(epoch.Add(time.Duration(i)*time.Minute), events, nil)
		if err != nil {
			t.Fatal(err)
		}
		if taken != len(events) {
			t.Fatalf("turn %d took %d of %d events", i, taken, len(events))
		}
		recorded = append(recorded, history.Turn{Time: m.Time().UnixNano(), Events: got})
	}
	return recorded, m
}

// again replays turns against code.
func again(t *testing.T, code replay.Code, turns []history.Turn) error {
	t.Helper()
	m := replay.New("code", "i", code)
	t.Cleanup(m.Close)
	for _, turn := range turns {
		if err := m.Replay(turn); err != nil {
			return err
		}
	}
	return nil
}

// result is the answer of a call as an error, or nil.
func result(c *replay.Call) error {
	if _, failure := c.Result(); failure != nil {
		return &replay.FailureError{Failure: failure}
	}
	return nil
}

// TestMismatch: each way in which code can differ from history is found and says what
// is expected and what was found.
func TestMismatch(t *testing.T) {
	t.Parallel()
	base := func(m *replay.Machine, _ []byte) ([]byte, error) {
		m.Wait(m.Schedule("charge", nil, nil))
		m.Wait(m.Await("approved"))
		return []byte("1"), nil
	}
	turns, _ := live(t, base, []history.Event{started()},
		[]history.Event{{Kind: history.ActivityCompleted, Seq: 1}},
		[]history.Event{{Kind: history.EventRaised, Name: "approved"}})
	if err := again(t, base, turns); err != nil {
		t.Fatalf("the same code: %v", err)
	}
	for name, test := range map[string]struct {
		code replay.Code
		turn int
		want []string // of the message
	}{
		"another name": {func(m *replay.Machine, _ []byte) ([]byte, error) {
			m.Wait(m.Schedule("refund", nil, nil))
			return nil, nil
		}, 1, []string{`history has ActivityScheduled #1 "charge"`, `the code has ActivityScheduled #1 "refund"`}},
		"another kind": {func(m *replay.Machine, _ []byte) ([]byte, error) {
			m.Wait(m.Timer(m.Now().Add(time.Hour)))
			return nil, nil
		}, 1, []string{"ActivityScheduled #1", "TimerCreated #1"}},
		"nothing more": {func(m *replay.Machine, _ []byte) ([]byte, error) {
			m.Wait(m.Schedule("charge", nil, nil))
			return nil, nil
		}, 2, []string{`history has EventAwaited #2 "approved"`, "the code has Completed"}},
		"one more": {func(m *replay.Machine, _ []byte) ([]byte, error) {
			c := m.Schedule("charge", nil, nil)
			m.Schedule("log", nil, nil)
			m.Wait(c)
			return nil, nil
		}, 1, []string{"history has no further step", `the code has ActivityScheduled #2 "log"`}},
		"returned early": {func(*replay.Machine, []byte) ([]byte, error) { return nil, nil },
			1, []string{`"charge"`, "Completed"}},
		"waits for less": {func(m *replay.Machine, _ []byte) ([]byte, error) {
			m.Schedule("charge", nil, nil)
			m.Wait(m.Schedule("charge", nil, nil))
			return nil, nil
		}, 1, []string{"no further step", "ActivityScheduled #2"}},
		"another end": {func(m *replay.Machine, _ []byte) ([]byte, error) {
			m.Wait(m.Schedule("charge", nil, nil))
			m.Wait(m.Await("approved"))
			return nil, errors.New("no")
		}, 3, []string{"history has Completed", "the code has Failed"}},
		"does not end": {func(m *replay.Machine, _ []byte) ([]byte, error) {
			m.Wait(m.Schedule("charge", nil, nil))
			m.Wait(m.Await("approved"))
			m.Wait(m.Await("approved"))
			return nil, nil
		}, 3, []string{"history has Completed", `the code has EventAwaited #3 "approved"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := again(t, test.code, turns)
			var mismatch *replay.Mismatch
			if !errors.As(err, &mismatch) {
				t.Fatalf("got %v", err)
			}
			if mismatch.Turn != test.turn {
				t.Errorf("it is found in turn %d, want %d", mismatch.Turn, test.turn)
			}
			for _, want := range append(test.want, `instance "i"`) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the message does not say %s: %v", want, err)
				}
			}
		})
	}
}

// TestWhatHistoryCannotAnswer: a recorded answer that no call waits for, and a step
// under another name.
func TestWhatHistoryCannotAnswer(t *testing.T) {
	t.Parallel()
	step := func(name string) replay.Code {
		return func(m *replay.Machine, _ []byte) ([]byte, error) {
			return nil, result(m.RunStep(name, nil, nil))
		}
	}
	turns, m := live(t, step("a"), []history.Event{started()})
	if s := m.Step(); s == nil || s.Name != "a" || s.Seq != 1 {
		t.Fatalf("it waits for %+v", s)
	}
	for want, e := range map[string]history.Event{
		"no call that it answers": {Kind: history.TimerFired, Seq: 1},
		`step #1 "a"`:             {Kind: history.StepCompleted, Seq: 1, Name: "b"},
	} {
		err := again(t, step("a"), append(turns[:1:1], history.Turn{Events: []history.Event{e}}))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestPanicAndGoexit(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(){"panic": func() { panic("oh no") }, "Goexit": runtime.Goexit} {
		m := replay.New("code", "i", func(m *replay.Machine, _ []byte) ([]byte, error) {
			m.Wait(m.Await("e"))
			end()
			return nil, nil
		})
		if _, _, err := m.Turn(epoch, []history.Event{started()}, nil); err != nil {
			t.Fatal(err)
		}
		_, _, err := m.Turn(epoch, []history.Event{{Kind: history.EventRaised, Name: "e"}}, nil)
		var panicked *replay.Panic
		if !errors.As(err, &panicked) || !strings.Contains(panicked.Stack, "machine_test.go") {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, err := m.Turn(epoch, nil, nil); !errors.As(err, &panicked) {
			t.Errorf("%s: a turn after it: %v", name, err)
		}
		m.Close()
	}
}

// TestUnwinding: deferred functions that call the context, and that panic, do no harm
// when an instance is evicted. TestMain sees that no goroutine is left.
func TestUnwinding(t *testing.T) {
	t.Parallel()
	unwound := make(chan string, 10)
	_, m := live(t, func(m *replay.Machine, _ []byte) ([]byte, error) {
		defer func() { unwound <- "outer" }()
		defer func() { panic("in a deferred function") }()
		defer func() {
			defer func() { unwound <- "inner" }()
			_ = recover()
			m.Wait(m.Schedule("never", nil, nil))
			unwound <- "went on"
		}()
		m.Wait(m.Await("e"))
		unwound <- "went on"
		return nil, nil
	}, []history.Event{started()})
	m.Close()
	for _, want := range []string{"inner", "outer"} {
		select {
		case got := <-unwound:
			if got != want {
				t.Fatalf("%s, want %s", got, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s was not unwound", want)
		}
	}
}

func TestUseOutsideTheCode(t *testing.T) {
	t.Parallel()
	_, m := live(t, func(m *replay.Machine, _ []byte) ([]byte, error) {
		m.Wait(m.Await("e"))
		return nil, nil
	}, []history.Event{started()})
	defer func() {
		if recover() == nil {
			t.Error("the machine was used outside its code")
		}
	}()
	m.Now()
}

// TestRecordedTimerCounts: when code that asks for another duration is replayed, the
// timer is due when it was recorded to be.
func TestRecordedTimerCounts(t *testing.T) {
	t.Parallel()
	sleep := func(d time.Duration) replay.Code {
		return func(m *replay.Machine, _ []byte) ([]byte, error) {
			m.Wait(m.Timer(m.Now().Add(d)))
			return nil, nil
		}
	}
	turns, _ := live(t, sleep(time.Hour), []history.Event{started()})
	m := replay.New("code", "i", sleep(time.Minute))
	defer m.Close()
	if err := m.Replay(turns[0]); err != nil {
		t.Fatal(err)
	}
	if due := m.Open()[0].Due; due != epoch.Add(time.Hour).UnixNano() {
		t.Errorf("it is due at %v", time.Unix(0, due).UTC())
	}
}

func TestCancelAndShield(t *testing.T) {
	t.Parallel()
	code := func(m *replay.Machine, _ []byte) ([]byte, error) {
		a, b := m.Schedule("a", nil, nil), m.Await("e")
		child, _ := m.StartChild("c", "", nil, nil)
		m.WaitAny([]*replay.Call{a, b})
		if err := result(child); err == nil || !m.Canceled() {
			return nil, errors.New("not canceled")
		}
		if late := m.Timer(m.Now()); result(late) == nil {
			return nil, errors.New("a later call was made")
		}
		m.Shield(func() { m.Wait(m.Schedule("undo", nil, nil)) })
		return nil, result(a)
	}
	turns, _ := live(t, code, []history.Event{started()},
		[]history.Event{{Kind: history.CancelRequested}, {Kind: history.CancelRequested}},
		[]history.Event{{Kind: history.ActivityCompleted, Seq: 5}})
	var got []string
	for _, turn := range turns {
		for _, e := range turn.Events {
			got = append(got, fmt.Sprintf("%s#%d", e.Kind, e.Seq))
		}
	}
	want := "Started#0 ActivityScheduled#1 EventAwaited#2 ChildStarted#3 CancelRequested#0 ActivityAbandoned#1 WaitAbandoned#2 " +
		"ChildAbandoned#3 ActivityScheduled#5 ActivityCompleted#5 Canceled#0"
	if strings.Join(got, " ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, " "), want)
	}
	if err := again(t, code, turns); err != nil {
		t.Error(err)
	}
}
