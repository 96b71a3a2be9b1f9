package replay_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/history"
	"github.com/perdure/perdure/internal/replay"
)

// record writes the histories that are missing. One that is there is never written
// again: it stands for the instances that run somewhere.
var record = flag.Bool("record", false, "write the recorded histories that are missing")

// recording is an orchestration whose history is kept in testdata/histories, one for
// each feature. The code is never changed in what it decides.
type recording struct {
	code  replay.Code
	turns [][]history.Event // what it was given after its start
}

func event(k history.Kind, seq uint32, data string) history.Event {
	return history.Event{Kind: k, Seq: seq, Data: []byte(data)}
}

func raised(name, data string) history.Event {
	return history.Event{Kind: history.EventRaised, Name: name, Data: []byte(data)}
}

var recordings = map[string]recording{
	"sequence": {func(m *replay.Machine, in []byte) ([]byte, error) {
		for _, name := range []string{"reserve", "charge", "ship"} {
			c := m.Schedule(name, in, []byte(`{"attempts":3}`))
			m.Wait(c)
			if err := result(c); err != nil {
				return nil, err
			}
			in, _ = c.Result()
		}
		return in, nil
	}, [][]history.Event{
		{event(history.ActivityCompleted, 1, "1")}, {event(history.ActivityCompleted, 2, "2")}, {event(history.ActivityCompleted, 3, "3")},
	}},
	"failure": {func(m *replay.Machine, _ []byte) ([]byte, error) {
		c := m.Schedule("charge", nil, nil)
		m.Wait(c)
		return nil, result(c)
	}, [][]history.Event{
		{{Kind: history.ActivityFailed, Seq: 1, Failure: &history.Failure{Type: "broke", Message: "no money", NonRetryable: true, Attempts: 2}}},
	}},
	"fan-out": {func(m *replay.Machine, _ []byte) ([]byte, error) {
		calls := make([]*replay.Call, 5)
		for i := range calls {
			calls[i] = m.Schedule(fmt.Sprint("part", i), nil, nil)
		}
		first := m.WaitAny(calls)
		for _, c := range calls {
			m.Wait(c)
		}
		return []byte(fmt.Sprint(first)), nil
	}, [][]history.Event{
		{event(history.ActivityCompleted, 4, "4"), event(history.ActivityCompleted, 1, "1")},
		{event(history.ActivityCompleted, 2, "2"), event(history.ActivityCompleted, 5, "5"), event(history.ActivityCompleted, 3, "3")},
	}},
	"event-timeout": {func(m *replay.Machine, _ []byte) ([]byte, error) {
		for range 2 {
			c, timer := m.Await("approved"), m.Timer(m.Now().Add(time.Hour))
			if m.WaitAny([]*replay.Call{c, timer}) == 0 {
				m.Cancel(timer)
				continue
			}
			m.Cancel(c)
			return []byte(`"expired"`), nil
		}
		return nil, nil
	}, [][]history.Event{{raised("approved", "true")}, {event(history.TimerFired, 4, "")}}},
	"early-events": {func(m *replay.Machine, _ []byte) ([]byte, error) {
		m.Wait(m.Timer(m.Now().Add(time.Minute)))
		var out []byte
		for range 2 {
			c := m.Await("number")
			m.Wait(c)
			data, _ := c.Result()
			out = append(out, data...)
		}
		return out, nil
	}, [][]history.Event{{raised("number", "1"), raised("other", "0"), raised("number", "2")}, {event(history.TimerFired, 1, "")}}},
	"children": {func(m *replay.Machine, _ []byte) ([]byte, error) {
		a, _ := m.StartChild("part", "", nil, nil)
		b, _ := m.StartChild("part", "named", nil, []byte(`{"tags":{"k":"v"}}`))
		m.Wait(a)
		m.Cancel(b)
		return nil, result(b)
	}, [][]history.Event{{event(history.ChildCompleted, 1, "1")}}},
	"continue-as-new": {func(m *replay.Machine, _ []byte) ([]byte, error) {
		m.Wait(m.Await("next"))
		return nil, &replay.Continue{Input: []byte("2")}
	}, [][]history.Event{{raised("unread", "1"), raised("next", "1")}}},
	"cancel": {func(m *replay.Machine, _ []byte) ([]byte, error) {
		c := m.Schedule("work", nil, nil)
		m.StartChild("part", "", nil, nil)
		m.Wait(c)
		m.Shield(func() { m.Wait(m.Schedule("undo", nil, nil)) })
		return nil, result(c)
	}, [][]history.Event{{{Kind: history.CancelRequested, Name: "why"}}, {event(history.ActivityCompleted, 3, "1")}}},
	"step": {func(m *replay.Machine, _ []byte) ([]byte, error) {
		if err := result(m.RunStep("first", nil, nil)); err != nil {
			return nil, err
		}
		return nil, result(m.RunStep("second", []byte(`{"attempts":2}`), nil))
	}, [][]history.Event{
		{{Kind: history.StepCompleted, Seq: 1, Name: "first", Data: []byte("1")}},
		{{Kind: history.StepFailed, Seq: 2, Name: "second", Failure: &history.Failure{Message: "no"}}},
	}},
	"values": {func(m *replay.Machine, _ []byte) ([]byte, error) {
		m.SetStatus([]byte(`"begun"`))
		id := m.NewID()
		m.Send(id, "hello", []byte("1"))
		m.Wait(m.Schedule(fmt.Sprint("activity", m.Rand().Uint64()), nil, nil))
		m.Send(fmt.Sprint(m.Now().UnixNano()), "hello", nil)
		return []byte(`"` + m.NewID() + `"`), nil
	}, [][]history.Event{{event(history.ActivityCompleted, 2, "1")}}},
}

// TestRecordedHistories replays what earlier releases recorded.
func TestRecordedHistories(t *testing.T) {
	t.Parallel()
	dir := filepath.Join("testdata", "histories")
	for name, r := range recordings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(dir, name+".history")
			stored, err := os.ReadFile(path)
			if errors.Is(err, os.ErrNotExist) && *record {
				write(t, path, r)
				stored, err = os.ReadFile(path)
			}
			if err != nil {
				t.Fatal(err)
			}
			turns := decodeTurns(t, stored)
			m := replay.New("code", "i", r.code)
			defer m.Close()
			for _, turn := range turns {
				if err := m.Replay(turn); err != nil {
					t.Fatal(err)
				}
			}
			if !m.Ended() {
				t.Error("it has not ended")
			}
			if readable, err := os.ReadFile(path + ".txt"); err != nil || string(readable) != describeTurns(turns) {
				t.Errorf("what the file beside says is not what is stored: %v", err)
			}
			if !bytes.Equal(encodeTurns(turns), stored) {
				t.Error("the stored bytes are not what is written today")
			}
		})
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.history"))
	if err != nil || len(files) != len(recordings) && !*record {
		t.Errorf("%d files for %d recordings, %v", len(files), len(recordings), err)
	}
}

func write(t *testing.T, path string, r recording) {
	t.Helper()
	turns, _ := live(t, r.code, append([][]history.Event{{started()}}, r.turns...)...)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755),
		os.WriteFile(path, encodeTurns(turns), 0o644),
		os.WriteFile(path+".txt", []byte(describeTurns(turns)), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// encodeTurns writes each turn as the store has it, behind its length.
func encodeTurns(turns []history.Turn) []byte {
	var b []byte
	for _, turn := range turns {
		one := history.Append(nil, turn)
		b = append(binary.AppendUvarint(b, uint64(len(one))), one...)
	}
	return b
}

func decodeTurns(t *testing.T, b []byte) []history.Turn {
	t.Helper()
	var turns []history.Turn
	for len(b) > 0 {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			t.Fatal("malformed file")
		}
		turn, err := history.Decode(b[n : n+int(size)])
		if err != nil {
			t.Fatal(err)
		}
		turns, b = append(turns, turn), b[n+int(size):]
	}
	return turns
}

func describeTurns(turns []history.Turn) string {
	var s []byte
	for i, turn := range turns {
		s = fmt.Appendf(s, "turn %d at %s\n", i, time.Unix(0, turn.Time).UTC().Format(time.RFC3339Nano))
		for _, e := range turn.Events {
			s = fmt.Appendf(s, "\t%s", e)
			if e.Data != nil {
				s = fmt.Appendf(s, " data %s", e.Data)
			}
			if e.Options != nil {
				s = fmt.Appendf(s, " options %s", e.Options)
			}
			if f := e.Failure; f != nil {
				s = fmt.Appendf(s, " failure %q %q final %t attempts %d", f.Type, f.Message, f.NonRetryable, f.Attempts)
			}
			s = append(s, '\n')
		}
	}
	return string(s)
}
