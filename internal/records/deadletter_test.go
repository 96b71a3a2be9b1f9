package records_test

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

func TestDeadLetterRoundTrip(t *testing.T) {
	t.Parallel()
	b := newLetterbox(t)
	rapid.Check(t, func(t *rapid.T) {
		d := deliveries().Draw(t, "delivery")
		l := &records.DeadLetter{
			Delivery: *d,
			Cause:    records.Cause(rapid.IntRange(1, 4).Draw(t, "cause")),
			Reason:   rapid.StringN(0, 50, 200).Draw(t, "reason"),
			DeadAt:   times().Draw(t, "dead"),
		}
		hold := rapid.Bool().Draw(t, "hold")
		l.NextAttempt = l.DeadAt // of no meaning any more
		b.must(t, func(u *unit.Unit) error { return records.PutDeadLetter(u, l, hold) })
		b.must(t, func(u *unit.Unit) error {
			got, err := records.GetDeadLetter(u, l.Function, l.ID)
			if err != nil {
				return err
			}
			want := *l
			want.NextAttempt = got.NextAttempt
			if !got.NextAttempt.IsZero() || !reflect.DeepEqual(*got, want) {
				t.Fatalf("got %+v, want %+v", got, want)
			}
			return records.DeleteDeadLetter(u, got)
		})
	})
	counts, err := count(b, "")
	if err != nil || len(counts) != 0 {
		t.Errorf("counts of none: %v, %v", counts, err)
	}
}

func count(b *letterbox, function string) (counts []records.DeadLetterCount, err error) {
	err = b.unit(func(u *unit.Unit) error {
		counts, err = records.CountDeadLetters(u, function)
		return err
	})
	return counts, err
}

func TestListAndCountDeadLetters(t *testing.T) {
	t.Parallel()
	b := newLetterbox(t)
	put := func(function string, id byte, cause records.Cause) {
		b.must(t, func(u *unit.Unit) error {
			return records.PutDeadLetter(u, &records.DeadLetter{
				Delivery: records.Delivery{Function: function, ID: records.DeliveryID{id}}, Cause: cause,
			}, false)
		})
	}
	put("g", 1, records.PermanentError)
	put("f", 3, records.AttemptsExhausted)
	put("f", 2, records.AttemptsExhausted)
	put("f", 4, records.ProcessDied)

	list := func(function string, cursor []byte, limit int) (names []string, last []byte) {
		b.must(t, func(u *unit.Unit) error {
			return records.ListDeadLetters(u, function, cursor, func(l *records.DeadLetter, c []byte) bool {
				names, last = append(names, l.Function+string('0'+l.ID[0])), c
				return len(names) < limit
			})
		})
		return names, last
	}
	all, _ := list("", nil, 9)
	if want := []string{"f2", "f3", "f4", "g1"}; !slices.Equal(all, want) {
		t.Errorf("all: %v, want %v", all, want)
	}
	first, cursor := list("", nil, 2)
	rest, _ := list("", cursor, 9)
	if got := append(first, rest...); !slices.Equal(got, all) {
		t.Errorf("in pages: %v, want %v", got, all)
	}
	ofF, cursor := list("f", nil, 2)
	restOfF, _ := list("f", cursor, 9)
	if got, want := append(ofF, restOfF...), all[:3]; !slices.Equal(got, want) {
		t.Errorf("of f: %v, want %v", got, want)
	}
	if none, _ := list("h", cursor, 9); len(none) != 0 {
		t.Errorf("of h: %v", none)
	}

	wantF := []records.DeadLetterCount{{"f", records.AttemptsExhausted, 2}, {"f", records.ProcessDied, 1}}
	if got, err := count(b, "f"); err != nil || !slices.Equal(got, wantF) {
		t.Errorf("count of f: %v, %v; want %v", got, err, wantF)
	}
	want := append(wantF, records.DeadLetterCount{Function: "g", Cause: records.PermanentError, Count: 1})
	if got, err := count(b, ""); err != nil || !slices.Equal(got, want) {
		t.Errorf("count: %v, %v; want %v", got, err, want)
	}
}

func TestCauseNames(t *testing.T) {
	t.Parallel()
	for cause, want := range map[records.Cause]string{
		0: "cause-0", records.AttemptsExhausted: "attempts-exhausted", records.PermanentError: "permanent-error",
		records.ProcessDied: "process-died", records.Undeliverable: "undeliverable", 77: "cause-77",
	} {
		if got := cause.String(); got != want {
			t.Errorf("cause %d is %q, want %q", uint8(cause), got, want)
		}
	}
}

// FuzzDecodeDeadLetter reads damaged values, which contain that of a delivery.
func FuzzDecodeDeadLetter(f *testing.F) {
	l := &records.DeadLetter{
		Delivery: records.Delivery{Function: "f", Topic: "t", Event: []byte("event"), Headers: map[string]string{"a": "b"}},
		Cause:    records.ProcessDied, Reason: "reason", DeadAt: noon,
	}
	l.Fail(noon, "first")
	f.Add(records.EncodeDeadLetter(l))
	f.Add([]byte{})
	f.Add([]byte{0})
	f.Add([]byte{99})
	f.Fuzz(func(t *testing.T, value []byte) {
		got, err := records.DecodeDeadLetter("f", records.DeliveryID{}, value)
		if err != nil {
			if !errors.Is(err, records.ErrUnreadableDelivery) {
				t.Errorf("error %v is not ErrUnreadableDelivery", err)
			}
			return
		}
		// Long texts are clipped when they are written.
		once, err := records.DecodeDeadLetter("f", records.DeliveryID{}, records.EncodeDeadLetter(got))
		if err != nil {
			t.Fatal(err)
		}
		twice, err := records.DecodeDeadLetter("f", records.DeliveryID{}, records.EncodeDeadLetter(once))
		if err != nil || !reflect.DeepEqual(once, twice) {
			t.Errorf("%+v became %+v, %v", once, twice, err)
		}
	})
}
