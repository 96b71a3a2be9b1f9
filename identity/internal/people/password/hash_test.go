package password_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/perdure/perdure/identity/internal/people/password"
)

// quick hashes fast, for tests.
var quick = password.Params{Memory: 64, Time: 1, Threads: 1}

func newHasher(t *testing.T, p password.Params) *password.Hasher {
	t.Helper()
	h, err := password.NewHasher(p, 2)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHash(t *testing.T) {
	t.Parallel()
	h := newHasher(t, quick)
	hash, err := h.Hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=64,t=1,p=1$") {
		t.Errorf("hash %q", hash)
	}
	again, err := h.Hash(t.Context(), "correct horse")
	if err != nil || again == hash {
		t.Errorf("the same password has the same hash twice (%v): no salt", err)
	}
	for _, c := range []struct {
		name, hash, password string
		want                 bool
	}{
		{"right", hash, "correct horse", true},
		{"wrong", hash, "correct horsf", false},
		{"empty", hash, "", false},
		{"nobody", "", "correct horse", false},
	} {
		before := h.Hashed()
		ok, rehash, err := h.Verify(t.Context(), c.hash, c.password)
		if err != nil || ok != c.want || rehash {
			t.Errorf("%s: ok %v, again %v, %v", c.name, ok, rehash, err)
		}
		if n := h.Hashed() - before; n != 1 {
			t.Errorf("%s: %d hashes computed, want 1 as for every other", c.name, n)
		}
	}
}

func TestRehash(t *testing.T) {
	t.Parallel()
	hash, err := newHasher(t, quick).Hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	stronger := newHasher(t, password.Params{Memory: 128, Time: 1, Threads: 1})
	if ok, again, err := stronger.Verify(t.Context(), hash, "correct horse"); !ok || !again || err != nil {
		t.Errorf("ok %v, again %v, %v; want both", ok, again, err)
	}
	if ok, again, err := stronger.Verify(t.Context(), hash, "wrong"); ok || again || err != nil {
		t.Errorf("ok %v, again %v, %v; want neither", ok, again, err)
	}
}

func TestBadParams(t *testing.T) {
	t.Parallel()
	for _, p := range []password.Params{{}, {Memory: 4, Time: 1, Threads: 1}, {Memory: 64, Time: 0, Threads: 1}, {Memory: 1 << 30, Time: 1, Threads: 1}} {
		if _, err := password.NewHasher(p, 1); err == nil {
			t.Errorf("%+v is accepted", p)
		}
	}
	if _, err := password.NewHasher(quick, 0); err == nil {
		t.Error("no parallelism is accepted")
	}
}

func TestBadHash(t *testing.T) {
	t.Parallel()
	h := newHasher(t, quick)
	for _, hash := range []string{
		"x", "$argon2i$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$a2V5", "$argon2id$v=19$m=99999999,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=64,t=1$AAAAAAAAAAAAAAAAAAAAAA$AAAA", strings.Repeat("$", 600),
	} {
		before := h.Hashed()
		if _, _, err := h.Verify(t.Context(), hash, "p"); !errors.Is(err, password.ErrBadHash) {
			t.Errorf("%q: error %v", hash, err)
		}
		if h.Hashed() != before {
			t.Errorf("%q was computed", hash)
		}
	}
}

// A crowd of logins neither runs at once nor waits without end.
func TestHashIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, err := password.NewHasher(quick, 1)
		if err != nil {
			t.Fatal(err)
		}
		release := h.Occupy()
		ctx, cancel := context.WithCancel(t.Context())
		answers := make(chan error, 100)
		for range 100 {
			go func() {
				_, err := h.Hash(ctx, "p")
				answers <- err
			}()
		}
		synctest.Wait()
		if len(answers) != 100-33 {
			t.Errorf("%d were refused, want all but the 33 that may wait", len(answers))
		}
		for range len(answers) {
			if err := <-answers; !errors.Is(err, password.ErrBusy) {
				t.Errorf("error %v, want ErrBusy", err)
			}
		}
		cancel()
		synctest.Wait()
		for range len(answers) {
			if err := <-answers; !errors.Is(err, context.Canceled) {
				t.Errorf("error %v, want that of the context", err)
			}
		}
		release()
	})
}

func FuzzDecode(f *testing.F) {
	h, err := password.NewHasher(quick, 1)
	if err != nil {
		f.Fatal(err)
	}
	hash, err := h.Hash(f.Context(), "p")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(hash)
	f.Add("$argon2id$v=19$m=64,t=1,p=1$$")
	f.Fuzz(func(t *testing.T, text string) {
		if again, err := password.Reencode(text); err == nil && len(text) > 512 {
			t.Errorf("%q is accepted, as %q", text, again)
		}
	})
}
