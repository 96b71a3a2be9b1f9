package records_test

import (
	"bytes"
	"context"
	"net/textproto"
	"reflect"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/internal/unit"
)

// answers runs functions in units over a store of their own.
func answers(t *testing.T) func(func(u *unit.Unit) error) {
	t.Helper()
	st := memory.New(nil)
	c := store.NewCommitter(st, store.CommitterOptions{})
	t.Cleanup(func() {
		c.Close()
		_ = st.Close()
	})
	env := &unit.Env{Snapshot: st.Snapshot, Now: time.Now}
	return func(fn func(u *unit.Unit) error) {
		t.Helper()
		err := unit.Run(t.Context(), env, c, 1, func(ctx context.Context) error {
			u, err := unit.From(ctx)
			if err != nil {
				return err
			}
			return fn(u)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	in := answers(t)
	now := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	k := records.AnswerKey{Function: "POST /x", Key: "a\x00b"}
	want := &records.Answer{
		Fingerprint: []byte{0, 1}, Expires: now.Add(time.Hour), Status: 201, Cut: true,
		Header: textproto.MIMEHeader{"Location": {"/y"}, "Set-Cookie": {"a=1", "b=2"}}, Body: []byte("body\x00"),
	}
	get := func(k records.AnswerKey, at time.Time) (a *records.Answer) {
		t.Helper()
		in(func(u *unit.Unit) (err error) {
			a, err = records.GetAnswer(u, k, at)
			return err
		})
		return a
	}
	if got := get(k, now); got != nil {
		t.Errorf("got %+v before it was put", got)
	}
	in(func(u *unit.Unit) error { return records.PutAnswer(u, k, want) })
	if got := get(k, now.Add(time.Hour-1)); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if got := get(k, now.Add(time.Hour)); got != nil {
		t.Errorf("got %+v after it expired", got)
	}
	if got := get(records.AnswerKey{Function: "POST /y", Key: k.Key}, now); got != nil {
		t.Errorf("another function got %+v", got)
	}
	theirs := records.AnswerKey{Function: k.Function, Key: k.Key, Principal: "https://issuer/#ann"}
	if got := get(theirs, now); got != nil {
		t.Errorf("a principal got the answer of nobody: %+v", got)
	}
	other := *want
	other.Status = 202
	in(func(u *unit.Unit) error { return records.PutAnswer(u, theirs, &other) })
	if mine, got := get(k, now), get(theirs, now); mine.Status != 201 || got.Status != 202 {
		t.Errorf("got %d and %d", mine.Status, got.Status)
	}
}

func TestExpireAnswers(t *testing.T) {
	t.Parallel()
	in := answers(t)
	now := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	key := func(s string) records.AnswerKey { return records.AnswerKey{Function: "f", Key: s} }
	put := func(s string, expires time.Time) {
		in(func(u *unit.Unit) error { return records.PutAnswer(u, key(s), &records.Answer{Expires: expires}) })
	}
	expire := func(at time.Time, limit int) (n int) {
		in(func(u *unit.Unit) (err error) {
			n, err = records.ExpireAnswers(u, at, limit)
			return err
		})
		return n
	}
	for i, s := range []string{"a", "b", "c", "again"} {
		put(s, now.Add(time.Duration(i)*time.Second))
	}
	put("again", now.Add(time.Hour)) // takes the place of the first
	if n := expire(now.Add(time.Minute), 2); n != 2 {
		t.Errorf("removed %d, want 2", n)
	}
	if n := expire(now.Add(time.Minute), 10); n != 1 {
		t.Errorf("removed %d, want 1", n)
	}
	var left *records.Answer
	in(func(u *unit.Unit) (err error) {
		left, err = records.GetAnswer(u, key("again"), now)
		return err
	})
	if left == nil {
		t.Error("an answer that has not expired was removed")
	}
	if n := expire(now.Add(2*time.Hour), 10); n != 1 {
		t.Errorf("removed %d, want 1", n)
	}
	theirs := records.AnswerKey{Function: "f", Key: "a", Principal: "ann"}
	in(func(u *unit.Unit) error { return records.PutAnswer(u, theirs, &records.Answer{Expires: now}) })
	if n := expire(now.Add(time.Second), 10); n != 1 {
		t.Errorf("removed %d of a principal, want 1", n)
	}
	rest := 0
	in(func(u *unit.Unit) error {
		return u.Scan(store.Range{}, func(store.Item) bool { rest++; return true })
	})
	if rest != 0 {
		t.Errorf("%d keys are left", rest)
	}
}

func FuzzDecodeAnswer(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte{1, 0, 1})
	f.Fuzz(func(t *testing.T, value []byte) {
		a, err := records.DecodeAnswer(value)
		if err != nil {
			return
		}
		b, err := records.DecodeAnswer(records.EncodeAnswer(a))
		if err != nil || b.Status != a.Status || !bytes.Equal(b.Body, a.Body) || !reflect.DeepEqual(a.Header, b.Header) {
			t.Fatalf("%+v became %+v, %v", a, b, err)
		}
	})
}
