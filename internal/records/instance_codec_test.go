package records

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/history"
)

func fullInstance() *Instance {
	at := time.Date(2030, 1, 2, 3, 4, 5, 6, time.UTC)
	return &Instance{
		ID: "id", Name: "name", State: Failed, Created: at, Ended: at.Add(1), Output: []byte(`"out"`),
		Failure: &history.Failure{Type: "t", Message: "m", NonRetryable: true, Attempts: 3},
		Status:  []byte(`{}`), Tags: map[string]string{"a": "1", "b": "", "c": "3"}, Reason: "why",
		Parent: 1 << 60, ParentSeq: 2, ParentBase: 3, Base: 1<<32 - 1, InputHash: 1<<64 - 1,
		CleanUpBy: at.Add(2), StartAt: time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC), Trace: map[string]string{"traceparent": "00-1"},
	}
}

func TestInstanceRoundTrip(t *testing.T) {
	t.Parallel()
	// A field that the codec forgets stays zero here.
	v := reflect.ValueOf(*fullInstance())
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("the test sets no %s", v.Type().Field(i).Name)
		}
	}
	for _, want := range []*Instance{fullInstance(), {ID: "i", Name: "n", State: Running}} {
		got, err := DecodeInstance(want.encode())
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
}

func TestInstanceOfANewerRelease(t *testing.T) {
	t.Parallel()
	value := fullInstance().encode()
	if _, err := DecodeInstance(append([]byte{99}, value[1:]...)); !errors.Is(err, ErrNewerRecord) {
		t.Errorf("another format: %v", err)
	}
	// A field that this release does not know is left out.
	w := instanceWriter(value)
	w.string(1000, "new")
	w.number(1001, 5)
	got, err := DecodeInstance(w)
	if err != nil || !reflect.DeepEqual(got, fullInstance()) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func FuzzDecodeInstance(f *testing.F) {
	f.Add(fullInstance().encode())
	f.Fuzz(func(t *testing.T, value []byte) {
		in, err := DecodeInstance(value)
		if err != nil {
			return
		}
		again, err := DecodeInstance(in.encode())
		if err != nil || !reflect.DeepEqual(again.encode(), in.encode()) {
			t.Fatalf("decoded record does not survive encoding: %v", err)
		}
	})
}
