package records_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

func TestTicker(t *testing.T) {
	t.Parallel()
	in := answers(t)
	at := time.Date(2024, 5, 6, 7, 8, 9, 10, time.UTC)
	get := func(name string) (rec *records.Ticker) {
		in(func(u *unit.Unit) (err error) {
			rec, err = records.GetTicker(u, name)
			return err
		})
		return rec
	}
	if got := get("t"); got != nil {
		t.Errorf("got %+v before it was put", got)
	}
	for _, want := range []*records.Ticker{
		{Schedule: "@daily UTC", Position: at},
		{Schedule: "@daily UTC", Position: at, Last: at.Add(-time.Hour)},
	} {
		in(func(u *unit.Unit) error { return records.PutTicker(u, "t", want) })
		if got := get("t"); !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	if got := get("other"); got != nil {
		t.Errorf("got %+v of another timer", got)
	}
}
