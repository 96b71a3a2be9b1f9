package history_test

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/perdure/perdure/internal/history"
)

func anyEvent() *rapid.Generator[history.Event] {
	return rapid.Custom(func(t *rapid.T) history.Event {
		e := history.Event{
			Kind: history.Kind(rapid.Byte().Draw(t, "kind")),
			Seq:  rapid.Uint32().Draw(t, "seq"),
			Name: rapid.String().Draw(t, "name"),
			ID:   rapid.String().Draw(t, "id"),
			Time: rapid.Int64().Draw(t, "time"),
			Num:  rapid.Uint64().Draw(t, "num"),
		}
		if rapid.Bool().Draw(t, "has data") {
			e.Data = rapid.SliceOf(rapid.Byte()).Draw(t, "data")
		}
		if rapid.Bool().Draw(t, "has options") {
			e.Options = rapid.SliceOf(rapid.Byte()).Draw(t, "options")
		}
		if rapid.Bool().Draw(t, "has failure") {
			e.Failure = &history.Failure{
				Type: rapid.String().Draw(t, "type"), Message: rapid.String().Draw(t, "message"),
				NonRetryable: rapid.Bool().Draw(t, "final"), Attempts: rapid.Uint32().Draw(t, "attempts"),
			}
		}
		return e
	})
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := history.Turn{Time: rapid.Int64().Draw(t, "time"), Events: rapid.SliceOf(anyEvent()).Draw(t, "events")}
		encoded := history.Append(nil, want)
		if len(encoded) > history.Size(want) {
			t.Fatalf("%d bytes, at most %d were foreseen", len(encoded), history.Size(want))
		}
		got, err := history.Decode(encoded)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	})
}

func TestNewerFormatIsRefused(t *testing.T) {
	t.Parallel()
	b := history.Append(nil, history.Turn{Time: 1})
	b[0]++
	if _, err := history.Decode(b); err == nil {
		t.Fatal("a record of a newer format was decoded")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(history.Append(nil, history.Turn{Time: 5, Events: []history.Event{
		{Kind: history.Started, Name: "n", ID: "i", Data: []byte("{}"), Num: 7},
		{Kind: history.ActivityFailed, Seq: 3, Failure: &history.Failure{Message: "m"}},
	}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		turn, err := history.Decode(b)
		if err != nil {
			return
		}
		again, err := history.Decode(history.Append(nil, turn))
		if err != nil || !reflect.DeepEqual(again, turn) {
			t.Fatalf("decoded turn does not survive encoding: %v", err)
		}
	})
}
