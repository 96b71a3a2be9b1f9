package replay_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/perdure/perdure/internal/history"
	"github.com/perdure/perdure/internal/replay"
)

// op is one statement of a random orchestration.
type op struct {
	Do   string
	N    int
	Body []op
}

func anyOps(depth int) *rapid.Generator[[]op] {
	kinds := []string{"activity", "timer", "event", "child", "step", "send", "status", "wait", "any", "cancel", "random", "shield"}
	return rapid.Custom(func(t *rapid.T) []op {
		ops := make([]op, rapid.IntRange(1, 5).Draw(t, "length"))
		for i := range ops {
			ops[i] = op{Do: rapid.SampledFrom(kinds).Draw(t, "do"), N: rapid.IntRange(0, 3).Draw(t, "n")}
			if ops[i].Do == "shield" && depth > 0 {
				ops[i].Body = anyOps(depth-1).Draw(t, "body")
			}
		}
		return ops
	})
}

// program interprets ops. What it sees of the world becomes its output, so that two runs
// that see different things end differently.
func program(ops []op) replay.Code {
	return func(m *replay.Machine, _ []byte) ([]byte, error) {
		var (
			calls []*replay.Call
			trace []string
		)
		see := func(c *replay.Call) {
			data, failure := c.Result()
			trace = append(trace, fmt.Sprintf("%d %v %s %v", c.Seq, c.Done(), data, failure))
		}
		var run func([]op)
		run = func(ops []op) {
			for _, o := range ops {
				switch o.Do {
				case "activity":
					calls = append(calls, m.Schedule(fmt.Sprint("a", o.N), []byte("1"), nil))
				case "timer":
					calls = append(calls, m.Timer(m.Now().Add(time.Duration(o.N)*time.Minute)))
				case "event":
					calls = append(calls, m.Await(fmt.Sprint("e", o.N%2)))
				case "child":
					c, id := m.StartChild("c", "", nil, nil)
					calls, trace = append(calls, c), append(trace, id)
				case "step":
					see(m.RunStep(fmt.Sprint("s", o.N), nil, nil))
				case "send":
					m.Send("other", "e", nil)
				case "status":
					m.SetStatus([]byte(fmt.Sprint(len(trace))))
				case "random":
					trace = append(trace, m.NewID(), fmt.Sprint(m.Rand().Uint64(), m.Now().UnixNano(), m.Canceled()))
				case "wait":
					if len(calls) > 0 {
						m.Wait(calls[o.N%len(calls)])
						see(calls[o.N%len(calls)])
					}
				case "any":
					if len(calls) > 0 {
						trace = append(trace, fmt.Sprint(m.WaitAny(calls)))
					}
				case "cancel":
					if len(calls) > 0 {
						m.Cancel(calls[o.N%len(calls)])
					}
				case "shield":
					m.Shield(func() { run(o.Body) })
				}
			}
		}
		run(ops)
		out, err := json.Marshal(trace)
		return out, err
	}
}

// anyAnswer is something that may happen to a machine next.
func anyAnswer(t *rapid.T, m *replay.Machine) history.Event {
	open := m.Open()
	outside := []history.Event{
		{Kind: history.EventRaised, Name: "e0", Data: []byte("0")}, {Kind: history.EventRaised, Name: "e1", Data: []byte("1")},
		{Kind: history.CancelRequested}, {Kind: history.TimerFired, Seq: 99},
	}
	i := rapid.IntRange(0, len(outside)+3*len(open)-1).Draw(t, "what")
	if i < len(outside) {
		return outside[i]
	}
	c := open[(i-len(outside))%len(open)]
	switch c.Kind {
	case history.ActivityScheduled:
		return history.Event{Kind: history.ActivityCompleted, Seq: c.Seq, Data: []byte("2")}
	case history.StepBegan:
		return history.Event{Kind: history.StepFailed, Seq: c.Seq, Name: c.Name, Failure: &history.Failure{Message: "no"}}
	case history.TimerCreated:
		return history.Event{Kind: history.TimerFired, Seq: c.Seq}
	case history.ChildStarted:
		return history.Event{Kind: history.ChildCompleted, Seq: c.Seq, Data: []byte("3")}
	default:
		return outside[0]
	}
}

// TestReplayDecidesTheSame runs random programs on random events, cut into random turns,
// with a machine that is live throughout. A machine that is rebuilt before each turn, and
// so replays every prefix, must record the same.
func TestReplayDecidesTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		code := program(anyOps(1).Draw(t, "program"))
		one := replay.New("code", "i", code)
		defer one.Close()
		var turns []history.Turn
		now := epoch
		next := []history.Event{started()}
		for range rapid.IntRange(1, 12).Draw(t, "turns") {
			rebuilt := replay.New("code", "i", code)
			for i, turn := range turns {
				stored, err := history.Decode(history.Append(nil, turn))
				if err != nil {
					t.Fatal(err)
				}
				if err := rebuilt.Replay(stored); err != nil {
					t.Fatalf("turn %d of %v: %v", i, turns, err)
				}
			}
			got, taken, err := one.Turn(now, next, nil)
			if err != nil {
				t.Fatal(err)
			}
			same, takenToo, err := rebuilt.Turn(now, next, nil)
			if err != nil {
				t.Fatal(err)
			}
			if taken != takenToo || !sameEvents(got, same) {
				t.Fatalf("live: %d of %v\nrebuilt: %d of %v", taken, got, takenToo, same)
			}
			if describe(one) != describe(rebuilt) {
				t.Fatalf("live: %s\nrebuilt: %s", describe(one), describe(rebuilt))
			}
			rebuilt.Close()
			turns = append(turns, history.Turn{Time: one.Time().UnixNano(), Events: got})
			if one.Ended() {
				break
			}
			now = now.Add(time.Duration(rapid.IntRange(-2, 5).Draw(t, "minutes")) * time.Minute)
			next = nil
			for range rapid.IntRange(1, 3).Draw(t, "events") {
				next = append(next, anyAnswer(t, one))
			}
		}
	})
}

func sameEvents(a, b []history.Event) bool {
	return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b)
}

// describe says what a machine waits for.
func describe(m *replay.Machine) string {
	var s strings.Builder
	fmt.Fprint(&s, m.Time(), m.Ended(), m.Ending(), m.Unread(), m.Step() != nil)
	for _, c := range m.Open() {
		fmt.Fprint(&s, c.Seq, c.Kind, c.Name, c.Due)
	}
	return s.String()
}
