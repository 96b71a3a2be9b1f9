package login_test

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure/auth/login"
	"github.com/perdure/perdure/internal/clock"
)

func TestMemoryStore(t *testing.T) {
	t.Parallel()
	now := clock.NewManual(time.Unix(1e9, 0))
	s := login.NewMemoryStoreAt(now.Now)
	ctx := t.Context()
	record := login.Record{Subject: "s", SID: "i", Expires: now.Now().Add(time.Hour), Sealed: []byte("x")}
	put := func(key string, version int64, want error) {
		t.Helper()
		record.Version = version
		if err := s.Put(ctx, key, record); !errors.Is(err, want) {
			t.Errorf("put %s over version %d: %v, want %v", key, version, err, want)
		}
	}
	if _, err := s.Get(ctx, "a"); !errors.Is(err, login.ErrNotFound) {
		t.Error(err)
	}
	put("a", 1, login.ErrConflict)
	put("a", 0, nil)
	put("a", 0, login.ErrConflict)
	put("a", 1, nil)
	if got, err := s.Get(ctx, "a"); err != nil || got.Version != 2 || !bytes.Equal(got.Sealed, []byte("x")) {
		t.Error(got, err)
	}
	if err := s.Delete(ctx, "a"); err != nil {
		t.Error(err)
	}
	put("a", 2, login.ErrConflict)
	put("a", 0, nil)
	now.Advance(time.Hour)
	if _, err := s.Get(ctx, "a"); !errors.Is(err, login.ErrNotFound) {
		t.Error("an expired record is there:", err)
	}
	record.Expires = now.Now().Add(time.Hour)
	put("a", 1, login.ErrConflict)
	put("a", 0, nil)
	record.SID = "other"
	put("b", 0, nil)
	for _, tt := range []struct {
		subject, sid string
		left         int
	}{{"", "", 2}, {"s", "none", 2}, {"none", "i", 2}, {"s", "i", 1}, {"", "other", 0}} {
		if err := s.DeleteAll(ctx, tt.subject, tt.sid); err != nil || s.Len() != tt.left {
			t.Errorf("%v: %v, %d left", tt, err, s.Len())
		}
	}
	put("a", 0, nil)
	put("b", 0, nil)
	if err := s.DeleteAll(ctx, "s", ""); err != nil || s.Len() != 0 {
		t.Error(err, s.Len())
	}
}

// Of many who replace one version, one does.
func TestMemoryStoreConflicts(t *testing.T) {
	t.Parallel()
	s := login.NewMemoryStore()
	var won atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if s.Put(t.Context(), "a", login.Record{Expires: time.Now().Add(time.Hour)}) == nil {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d won", won.Load())
	}
}

// Expired records are swept, and the number is bounded.
func TestMemoryStoreIsBounded(t *testing.T) {
	t.Parallel()
	now := clock.NewManual(time.Unix(1e9, 0))
	s := login.NewMemoryStoreAt(now.Now)
	for n := range 100_010 {
		if err := s.Put(t.Context(), fmt.Sprint(n), login.Record{Expires: now.Now().Add(time.Hour + time.Duration(n))}); err != nil {
			t.Fatal(err)
		}
	}
	if s.Len() != 100_000 {
		t.Errorf("%d records, want 100,000", s.Len())
	}
	if _, err := s.Get(t.Context(), "0"); !errors.Is(err, login.ErrNotFound) {
		t.Error("the oldest is there")
	}
	now.Advance(2 * time.Hour)
	if err := s.Put(t.Context(), "new", login.Record{Expires: now.Now().Add(time.Hour)}); err != nil || s.Len() != 1 {
		t.Errorf("%v, %d records", err, s.Len())
	}
}

func TestSealer(t *testing.T) {
	t.Parallel()
	key := func(c string) []byte { return bytes.Repeat([]byte(c), 32) }
	seal := func(keys ...[]byte) login.Sealer {
		s, err := login.NewSealer(keys...)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	old, both, fresh := seal(key("a")), seal(key("b"), key("a")), seal(key("b"))
	sealed, err := old.Seal("p", []byte("plain"))
	if err != nil {
		t.Fatal(err)
	}
	again, _ := old.Seal("p", []byte("plain"))
	if bytes.Equal(sealed, again) || bytes.Contains(sealed, []byte("plain")) {
		t.Error("the same twice, or in plain")
	}
	if plain, err := both.Open("p", sealed); err != nil || string(plain) != "plain" {
		t.Errorf("%q, %v", plain, err)
	}
	if _, err := fresh.Open("p", sealed); err == nil {
		t.Error("opened by another key")
	}
	if _, err := old.Open("q", sealed); err == nil {
		t.Error("opened for another purpose")
	}
	for n := range sealed {
		bad := bytes.Clone(sealed)
		bad[n] ^= 1
		if _, err := old.Open("p", bad); err == nil {
			t.Errorf("byte %d was changed", n)
		}
		if _, err := old.Open("p", sealed[:n]); err == nil {
			t.Errorf("cut after %d bytes", n)
		}
	}
	if _, err := login.NewSealer(); err == nil {
		t.Error("a sealer without a key")
	}
	if _, err := login.NewSealer(key("a")[:31]); err == nil {
		t.Error("a short key")
	}
}
