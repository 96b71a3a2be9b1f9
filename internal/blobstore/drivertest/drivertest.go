// Package drivertest is what every driver of package blobstore must do, as tests.
package drivertest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/perdure/perdure/internal/blobstore"
)

// large is more than the parts have in which stores outside take large objects.
const large = 12 << 20

// Run tests the drivers that open opens: each time one of the same new place, as the
// next process would. The suite closes them, one before it opens the next.
func Run(t *testing.T, newPlace func(t *testing.T) (open func() blobstore.Driver)) {
	for name, test := range map[string]func(*suite){
		"objects":     (*suite).objects,
		"ranges":      (*suite).ranges,
		"limit":       (*suite).limit,
		"broken off":  (*suite).brokenOff,
		"context":     (*suite).context,
		"absent":      (*suite).absent,
		"bad keys":    (*suite).badKeys,
		"pending":     (*suite).pending,
		"delete":      (*suite).delete,
		"list":        (*suite).list,
		"concurrency": (*suite).concurrency,
		"tidy":        (*suite).tidy,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &suite{T: t, open: newPlace(t)}
			s.d = s.open()
			defer func() {
				if err := s.d.Close(); err != nil {
					t.Error(err)
				}
			}()
			test(s)
		})
	}
}

type suite struct {
	*testing.T
	open func() blobstore.Driver
	d    blobstore.Driver
}

// restart goes on as the next process would.
func (s *suite) restart() {
	s.Helper()
	if err := s.d.Close(); err != nil {
		s.Fatal(err)
	}
	s.d = s.open()
}

func (s *suite) create(data string) string {
	s.Helper()
	key, size, err := s.d.Create(s.Context(), strings.NewReader(data), 0)
	if err != nil || size != int64(len(data)) {
		s.Fatalf("created %q with %d of %d bytes: %v", key, size, len(data), err)
	}
	return key
}

func (s *suite) read(key string) (string, error) {
	r, err := s.d.Open(s.Context(), key)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(r)
	return string(b), errors.Join(err, r.Close())
}

func (s *suite) want(key, data string) {
	s.Helper()
	if got, err := s.read(key); err != nil || got != data {
		s.Errorf("object %s has %d bytes (%v), want %d", key, len(got), err, len(data))
	}
}

func (s *suite) listed() map[string]int64 {
	s.Helper()
	found := map[string]int64{}
	err := s.d.List(s.Context(), func(key string, size int64, modTime time.Time) error {
		found[key] = size
		if age := time.Since(modTime); age < -time.Hour || age > time.Hour {
			s.Errorf("object %s was made %v ago", key, age)
		}
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	return found
}

// nothing checks that nothing is left behind, for this process and for the next.
func (s *suite) nothing() {
	s.Helper()
	if found := s.listed(); len(found) != 0 {
		s.Errorf("left behind: %v", found)
	}
	s.restart()
	if found := s.listed(); len(found) != 0 {
		s.Errorf("left behind for the next process: %v", found)
	}
}

// random returns bytes that no compression makes less.
func random(n int) string {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

func (s *suite) objects() {
	want := map[string]string{}
	for _, data := range []string{"", "a", "a", random(large)} {
		want[s.create(data)] = data
	}
	if len(want) != 4 {
		s.Fatalf("keys repeat: %d", len(want))
	}
	for key, data := range want {
		if !blobstore.ValidKey(key) {
			s.Errorf("key %q", key)
		}
		s.want(key, data)
	}
	s.restart()
	for key, data := range want {
		s.want(key, data)
	}
}

func (s *suite) ranges() {
	const data = "0123456789"
	key := s.create(data)
	for _, tc := range []struct{ offset, length int }{{0, 10}, {0, 3}, {4, 3}, {7, 3}, {9, 1}, {0, 0}, {5, 0}, {10, 0}} {
		r, err := s.d.OpenRange(s.Context(), key, int64(tc.offset), int64(tc.length))
		if err != nil {
			s.Errorf("%+v: %v", tc, err)
			continue
		}
		want := data[tc.offset : tc.offset+tc.length]
		got, err := io.ReadAll(r)
		if err != nil || string(got) != want {
			s.Errorf("%+v: %q, %v, want %q", tc, got, err, want)
		}
		if end, err := r.Seek(0, io.SeekEnd); err != nil || end != int64(tc.length) {
			s.Errorf("%+v: the end is at %d, %v", tc, end, err)
		}
		if _, err := r.Seek(0, io.SeekStart); err != nil {
			s.Error(err)
		}
		if err := iotest.TestReader(r, []byte(want)); err != nil && tc.length > 0 {
			s.Errorf("%+v: %v", tc, err)
		}
		if err := r.Close(); err != nil {
			s.Error(err)
		}
	}
	r, err := s.d.Open(s.Context(), key)
	if err != nil {
		s.Fatal(err)
	}
	for _, at := range []int64{7, 2, 9, 0} {
		b := make([]byte, 1)
		_, seekErr := r.Seek(at, io.SeekStart)
		_, err := io.ReadFull(r, b)
		if err := errors.Join(seekErr, err); err != nil || string(b) != data[at:at+1] {
			s.Errorf("at %d: %q, %v", at, b, err)
		}
	}
	if err := r.Close(); err != nil {
		s.Error(err)
	}
}

func (s *suite) limit() {
	for _, tc := range []struct {
		bytes, limit int
		fits         bool
	}{{0, 5, true}, {5, 5, true}, {6, 5, false}, {large, large - 1, false}, {6, 0, true}} {
		key, size, err := s.d.Create(s.Context(), strings.NewReader(random(tc.bytes)), int64(tc.limit))
		if tc.fits != (err == nil) || !tc.fits && !errors.Is(err, blobstore.ErrTooLarge) {
			s.Errorf("%+v: %d bytes, %v", tc, size, err)
		}
		if err == nil {
			if err := s.d.Delete(s.Context(), key); err != nil {
				s.Error(err)
			}
		}
	}
	s.nothing()
}

// brokenOff ends sources in the middle of a part and of a small object.
func (s *suite) brokenOff() {
	broken := errors.New("broken off")
	for _, n := range []int{0, 10, large} {
		source := io.MultiReader(strings.NewReader(random(n)), iotest.ErrReader(broken))
		if _, _, err := s.d.Create(s.Context(), source, 0); !errors.Is(err, broken) {
			s.Errorf("after %d bytes: %v", n, err)
		}
	}
	s.nothing()
}

func (s *suite) context() {
	for _, n := range []int{0, 10, large} {
		ctx, cancel := context.WithCancel(s.Context())
		source := io.MultiReader(strings.NewReader(random(n)), readerFunc(func([]byte) (int, error) {
			cancel()
			return 0, nil
		}), strings.NewReader("more"))
		if _, _, err := s.d.Create(ctx, source, 0); !errors.Is(err, context.Canceled) {
			s.Errorf("after %d bytes: %v", n, err)
		}
		cancel()
	}
	s.nothing()
	key := s.create("data")
	ctx, cancel := context.WithCancel(s.Context())
	r, err := s.d.Open(ctx, key)
	if err != nil {
		s.Fatal(err)
	}
	cancel()
	if _, err := s.d.Open(ctx, key); !errors.Is(err, context.Canceled) {
		s.Errorf("opened after the end: %v", err)
	}
	// Whoever has it open goes on.
	if b, err := io.ReadAll(r); err != nil || string(b) != "data" {
		s.Errorf("read %q, %v", b, err)
	}
	if err := r.Close(); err != nil {
		s.Error(err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func (s *suite) absent() {
	key := strings.Repeat("0", 32)
	if _, err := s.read(key); !errors.Is(err, fs.ErrNotExist) {
		s.Errorf("opened: %v", err)
	}
	for _, length := range []int64{0, 5} {
		if _, err := s.d.OpenRange(s.Context(), key, 0, length); !errors.Is(err, fs.ErrNotExist) {
			s.Errorf("range of %d: %v", length, err)
		}
	}
	if err := s.d.Delete(s.Context(), key); err != nil {
		s.Errorf("deleted: %v", err)
	}
}

func (s *suite) badKeys() {
	for _, key := range []string{"", "a", "../" + strings.Repeat("0", 29), strings.Repeat("A", 32), strings.Repeat("0", 33)} {
		if _, err := s.read(key); !errors.Is(err, blobstore.ErrBadKey) {
			s.Errorf("open %q: %v", key, err)
		}
		if err := s.d.Delete(s.Context(), key); !errors.Is(err, blobstore.ErrBadKey) {
			s.Errorf("delete %q: %v", key, err)
		}
	}
}

func (s *suite) pending() {
	waiting, settled := s.create("waiting"), s.create("settled")
	s.d.Settle(settled)
	if found := s.listed(); len(found) != 1 || found[settled] != 7 {
		s.Errorf("listed %v, want %s", found, settled)
	}
	s.restart()
	if found := s.listed(); len(found) != 2 || found[waiting] != 7 {
		s.Errorf("the next process lists %v", found)
	}
}

func (s *suite) delete() {
	key, other := s.create("data"), s.create("other")
	r, err := s.d.Open(s.Context(), key)
	if err != nil {
		s.Fatal(err)
	}
	if err := s.d.Delete(s.Context(), key); err != nil {
		s.Fatal(err)
	}
	if b, err := io.ReadAll(r); s.d.Hold() == 0 && (err != nil || string(b) != "data") {
		s.Errorf("read %q, %v; nothing is held for readers", b, err)
	}
	if err := r.Close(); err != nil {
		s.Error(err)
	}
	if _, err := s.read(key); !errors.Is(err, fs.ErrNotExist) {
		s.Errorf("deleted object: %v", err)
	}
	s.want(other, "other")
	s.restart()
	if found := s.listed(); len(found) != 1 || found[other] != 5 {
		s.Errorf("listed %v, want %s", found, other)
	}
}

func (s *suite) list() {
	for range 3 {
		s.d.Settle(s.create("x"))
	}
	stop, calls := errors.New("stop"), 0
	err := s.d.List(s.Context(), func(string, int64, time.Time) error {
		calls++
		return stop
	})
	if !errors.Is(err, stop) || calls != 1 {
		s.Errorf("%d calls, %v", calls, err)
	}
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	if err := s.d.List(ctx, func(string, int64, time.Time) error { return nil }); !errors.Is(err, context.Canceled) {
		s.Errorf("after the end: %v", err)
	}
}

func (s *suite) concurrency() {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			data := strings.Repeat(string(rune('a'+i)), 1000*i)
			key, _, err := s.d.Create(s.Context(), strings.NewReader(data), 0)
			if err != nil {
				s.Error(err)
				return
			}
			s.d.Settle(key)
			if got, err := s.read(key); err != nil || !bytes.Equal([]byte(got), []byte(data)) {
				s.Errorf("%d bytes, %v, want %d", len(got), err, len(data))
			}
		})
	}
	wg.Wait()
	if found := s.listed(); len(found) != 8 {
		s.Errorf("%d objects, want 8", len(found))
	}
}

// tidy keeps objects, and those being created.
func (s *suite) tidy() {
	key := s.create("data")
	s.d.Settle(key)
	tidied := make(chan error, 1)
	source := io.MultiReader(strings.NewReader(random(large)), readerFunc(func([]byte) (int, error) {
		tidied <- s.d.Tidy(s.Context(), time.Now().Add(time.Hour))
		return 0, io.EOF
	}))
	late, _, err := s.d.Create(s.Context(), source, 0)
	if err := errors.Join(err, <-tidied); err != nil {
		s.Fatal(err)
	}
	s.want(key, "data")
	s.want(late, random(large))
}
