package records_test

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/internal/unit"
)

var blobTime = time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC)

// blobStore is a store on which units run one after another.
type blobStore struct {
	t   *testing.T
	s   *memory.Store
	c   *store.Committer
	env *unit.Env
}

func newBlobStore(t *testing.T) *blobStore {
	s := memory.New(nil)
	c := store.NewCommitter(s, store.CommitterOptions{})
	t.Cleanup(func() {
		c.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &blobStore{t, s, c, &unit.Env{Snapshot: s.Snapshot, Now: func() time.Time { return blobTime }}}
}

func (b *blobStore) run(f func(u *unit.Unit) error) error {
	return unit.Run(b.t.Context(), b.env, b.c, 1, func(ctx context.Context) error {
		u, err := unit.From(ctx)
		if err != nil {
			return err
		}
		return f(u)
	})
}

func (b *blobStore) must(f func(u *unit.Unit) error) {
	b.t.Helper()
	if err := b.run(f); err != nil {
		b.t.Fatal(err)
	}
}

func (b *blobStore) put(k records.BlobKey, object string) {
	b.t.Helper()
	b.must(func(u *unit.Unit) error { return records.PutBlob(u, k, &records.Blob{Object: object}, blobTime) })
}

// state returns what the store knows: the states of objects and the garbage.
func (b *blobStore) state(objects ...string) (states []records.ObjectState, garbage []string) {
	b.t.Helper()
	snap, err := b.s.Snapshot()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, o := range objects {
		state, _, err := records.ReadObject(snap, o)
		if err != nil {
			b.t.Fatal(err)
		}
		states = append(states, state)
	}
	err = records.ScanBlobGarbage(snap, blobTime.Add(time.Hour), nil, func(g records.BlobGarbage) bool {
		garbage = append(garbage, g.Object)
		return true
	})
	if err := errors.Join(err, snap.Close()); err != nil {
		b.t.Fatal(err)
	}
	return states, garbage
}

func TestBlobRoundTrip(t *testing.T) {
	t.Parallel()
	b := newBlobStore(t)
	k := records.BlobKey{Container: "files", Name: "a/ü\x01"}
	want := &records.Blob{
		Object: "o1", ETag: "e1", Size: 1 << 40, ContentType: "text/plain", Created: blobTime,
		Metadata: map[string]string{"a": "", "b": "x\x00y"},
	}
	b.must(func(u *unit.Unit) error { return records.PutBlob(u, k, want, blobTime) })
	b.must(func(u *unit.Unit) error {
		got, err := records.GetBlob(u, k)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		return err
	})
	snap, err := b.s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	got, err := records.ReadBlob(snap, k)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	state, names, err := records.ReadObject(snap, "o1")
	if err != nil || state != records.ObjectMapped || names != 1 {
		t.Errorf("object is %v with %d names, %v", state, names, err)
	}
	if none, err := records.ReadBlob(snap, records.BlobKey{Container: "files", Name: "a"}); none != nil || err != nil {
		t.Errorf("absent blob is %v, %v", none, err)
	}
	if err := snap.Close(); err != nil {
		t.Error(err)
	}
}

func TestReplacedAndDeletedObjectsBecomeGarbage(t *testing.T) {
	t.Parallel()
	b := newBlobStore(t)
	k := records.BlobKey{Container: "files", Name: "n"}
	b.put(k, "o1")
	b.put(k, "o2")
	states, garbage := b.state("o1", "o2", "o3")
	if want := []records.ObjectState{records.ObjectGarbage, records.ObjectMapped, records.ObjectUnknown}; !slices.Equal(states, want) {
		t.Errorf("states %v, want %v", states, want)
	}
	if !slices.Equal(garbage, []string{"o1"}) {
		t.Errorf("garbage %v, want o1", garbage)
	}
	b.must(func(u *unit.Unit) error {
		old, err := records.DeleteBlob(u, k, blobTime.Add(time.Second))
		if old == nil || old.Object != "o2" {
			t.Errorf("deleted %+v, want o2", old)
		}
		return err
	})
	b.must(func(u *unit.Unit) error {
		old, err := records.DeleteBlob(u, k, blobTime)
		if old != nil {
			t.Errorf("deleted again: %+v", old)
		}
		return err
	})
	if _, garbage := b.state(); !slices.Equal(garbage, []string{"o1", "o2"}) {
		t.Errorf("garbage %v, want o1 and o2", garbage)
	}

	var txn store.Txn
	records.DropBlobGarbage(&txn, records.BlobGarbage{Due: blobTime, Object: "o1"})
	if err := b.c.Commit(t.Context(), &txn); err != nil {
		t.Fatal(err)
	}
	states, garbage = b.state("o1")
	if states[0] != records.ObjectUnknown || !slices.Equal(garbage, []string{"o2"}) {
		t.Errorf("after dropping o1: %v, garbage %v", states, garbage)
	}
}

func TestObjectReplacedInItsOwnUnitIsGarbage(t *testing.T) {
	t.Parallel()
	b := newBlobStore(t)
	k := records.BlobKey{Container: "files", Name: "n"}
	b.must(func(u *unit.Unit) error {
		return errors.Join(
			records.PutBlob(u, k, &records.Blob{Object: "o1"}, blobTime),
			records.PutBlob(u, k, &records.Blob{Object: "o2"}, blobTime),
		)
	})
	if _, garbage := b.state(); !slices.Equal(garbage, []string{"o1"}) {
		t.Errorf("garbage %v, want o1", garbage)
	}
}

func TestObjectHasOneName(t *testing.T) {
	t.Parallel()
	b := newBlobStore(t)
	b.put(records.BlobKey{Container: "files", Name: "n"}, "o1")
	err := b.run(func(u *unit.Unit) error {
		return records.PutBlob(u, records.BlobKey{Container: "files", Name: "m"}, &records.Blob{Object: "o1"}, blobTime)
	})
	if !errors.Is(err, records.ErrObjectMapped) {
		t.Errorf("got %v, want %v", err, records.ErrObjectMapped)
	}
}

func TestSharedObjectIsGarbageWithItsLastName(t *testing.T) {
	t.Parallel()
	b := newBlobStore(t)
	key := func(name string) records.BlobKey { return records.BlobKey{Container: "files", Name: name} }
	share := func(u *unit.Unit, names ...string) (err error) {
		for _, name := range names {
			err = errors.Join(err, records.CopyBlob(u, key(name), &records.Blob{Object: "o1"}, blobTime))
		}
		return err
	}
	wantNames := func(want int, state records.ObjectState) {
		t.Helper()
		states, garbage := b.state("o1")
		if states[0] != state || (len(garbage) == 1) != (want == 0) {
			t.Errorf("state %v, garbage %v, want state %v", states[0], garbage, state)
		}
		snap, err := b.s.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		if _, names, err := records.ReadObject(snap, "o1"); names != uint64(want) || err != nil {
			t.Errorf("%d names, %v, want %d", names, err, want)
		}
		if err := snap.Close(); err != nil {
			t.Error(err)
		}
	}
	drop := func(u *unit.Unit, names ...string) (err error) {
		for _, name := range names {
			_, e := records.DeleteBlob(u, key(name), blobTime)
			err = errors.Join(err, e)
		}
		return err
	}
	b.put(key("a"), "o1")
	b.must(func(u *unit.Unit) error { return share(u, "b", "c", "b", "a") }) // twice b, and a onto itself
	wantNames(3, records.ObjectMapped)
	b.put(key("c"), "o2")
	wantNames(2, records.ObjectMapped)
	b.must(func(u *unit.Unit) error { return errors.Join(drop(u, "a"), share(u, "d"), drop(u, "b")) })
	wantNames(1, records.ObjectMapped)
	b.must(func(u *unit.Unit) error { return errors.Join(share(u, "e"), drop(u, "d", "e")) })
	wantNames(0, records.ObjectGarbage)
	for object, why := range map[string]string{"o1": "garbage", "o9": "unknown"} {
		err := b.run(func(u *unit.Unit) error {
			return records.CopyBlob(u, key("f"), &records.Blob{Object: object}, blobTime)
		})
		if err == nil {
			t.Errorf("%s object was shared", why)
		}
	}
}

// A copy of a blob whose last name goes meanwhile does not commit.
func TestCopyConflictsWithDelete(t *testing.T) {
	t.Parallel()
	b := newBlobStore(t)
	a, c := records.BlobKey{Container: "files", Name: "a"}, records.BlobKey{Container: "files", Name: "c"}
	b.put(a, "o1")
	err := b.run(func(u *unit.Unit) error {
		if err := records.CopyBlob(u, c, &records.Blob{Object: "o1"}, blobTime); err != nil {
			return err
		}
		b.must(func(u *unit.Unit) error {
			_, err := records.DeleteBlob(u, a, blobTime)
			return err
		})
		return nil
	})
	if !errors.Is(err, unit.ErrConflict) {
		t.Errorf("got %v, want %v", err, unit.ErrConflict)
	}
}

func TestConcurrentReplacementsConflict(t *testing.T) {
	t.Parallel()
	b := newBlobStore(t)
	k := records.BlobKey{Container: "files", Name: "n"}
	err := b.run(func(u *unit.Unit) error {
		if err := records.PutBlob(u, k, &records.Blob{Object: "o1"}, blobTime); err != nil {
			return err
		}
		b.put(k, "o2")
		return nil
	})
	if !errors.Is(err, unit.ErrConflict) {
		t.Errorf("got %v, want %v", err, unit.ErrConflict)
	}
}

func TestScanBlobs(t *testing.T) {
	t.Parallel()
	b := newBlobStore(t)
	for i, name := range []string{"a", "a/1", "a/2", "a\x00", "b"} {
		b.put(records.BlobKey{Container: "files", Name: name}, string(rune('0'+i)))
	}
	b.put(records.BlobKey{Container: "files2", Name: "z"}, "z")
	for _, tc := range []struct {
		scan records.BlobScan
		max  int
		want []string
	}{
		{records.BlobScan{Container: "files"}, 9, []string{"a", "a\x00", "a/1", "a/2", "b"}},
		{records.BlobScan{Container: "files", Prefix: "a/"}, 9, []string{"a/1", "a/2"}},
		{records.BlobScan{Container: "files", After: "a/1"}, 9, []string{"a/2", "b"}},
		{records.BlobScan{Container: "files", After: "a/1x"}, 1, []string{"a/2"}},
		{records.BlobScan{Container: "files", Prefix: "a/", After: "a"}, 9, []string{"a/1", "a/2"}},
		{records.BlobScan{Container: "files", Prefix: "a/", After: "b"}, 9, nil},
		{records.BlobScan{Container: "fil"}, 9, nil},
		{records.BlobScan{Container: "files", Folders: true}, 9, []string{"a", "a\x00", "a/", "b"}},
		{records.BlobScan{Container: "files", Folders: true}, 3, []string{"a", "a\x00", "a/"}},
		{records.BlobScan{Container: "files", Folders: true, After: "a/"}, 9, []string{"b"}},
		{records.BlobScan{Container: "files", Folders: true, After: "a/1"}, 9, []string{"a/", "b"}},
		{records.BlobScan{Container: "files", Folders: true, Prefix: "a"}, 9, []string{"a", "a\x00", "a/"}},
		{records.BlobScan{Container: "files", Folders: true, Prefix: "a/"}, 9, []string{"a/1", "a/2"}},
		{records.BlobScan{Container: "files", Folders: true, Prefix: "a/", After: "a/"}, 9, nil},
		{records.BlobScan{Container: "files", Folders: true, Prefix: "a/", After: "b/"}, 9, nil},
	} {
		var got []string
		b.must(func(u *unit.Unit) error {
			return records.ScanBlobs(u, tc.scan, func(name string, _ *records.Blob) bool {
				got = append(got, name)
				return len(got) < tc.max
			})
		})
		if !slices.Equal(got, tc.want) {
			t.Errorf("%+v: %q, want %q", tc.scan, got, tc.want)
		}
	}
}

func TestScanBlobGarbageInOrderOfTime(t *testing.T) {
	t.Parallel()
	b := newBlobStore(t)
	for i, object := range []string{"late", "early", "middle"} {
		k := records.BlobKey{Container: "files", Name: object}
		b.put(k, object)
		due := blobTime.Add([]time.Duration{2, 0, 1}[i] * time.Minute)
		b.must(func(u *unit.Unit) error {
			_, err := records.DeleteBlob(u, k, due)
			return err
		})
	}
	snap, err := b.s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	scan := func(until time.Time, after *records.BlobGarbage) (got []string, last records.BlobGarbage) {
		err := records.ScanBlobGarbage(snap, until, after, func(g records.BlobGarbage) bool {
			got, last = append(got, g.Object), g
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		return got, last
	}
	got, last := scan(blobTime.Add(time.Minute), nil)
	if !slices.Equal(got, []string{"early", "middle"}) {
		t.Errorf("due: %v, want early and middle", got)
	}
	if got, _ := scan(blobTime.Add(time.Hour), &last); !slices.Equal(got, []string{"late"}) {
		t.Errorf("after %v: %v, want late", last, got)
	}
	if got, _ := scan(blobTime.Add(-1), nil); got != nil {
		t.Errorf("due too early: %v", got)
	}
	if err := snap.Close(); err != nil {
		t.Error(err)
	}
}

// A value of format 1 stays readable.
func TestBlobFormat(t *testing.T) {
	t.Parallel()
	want := records.BlobValue(&records.Blob{
		Object: "0123456789abcdef0123456789abcdef", ETag: "e", Size: 5, ContentType: "a/b", Created: blobTime,
		Metadata: map[string]string{"a": "1", "b": "2"},
	})
	got, err := records.DecodeBlobValue(want)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %x, %v, want %x", got, err, want)
	}
	if _, err := records.DecodeBlobValue(append([]byte{9}, want[1:]...)); !errors.Is(err, records.ErrNewerRecord) {
		t.Errorf("newer format: %v", err)
	}
}

func FuzzBlobValues(f *testing.F) {
	f.Add(records.BlobValue(&records.Blob{Object: "o", Created: blobTime}))
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, value []byte) {
		for name, decode := range map[string]func([]byte) ([]byte, error){
			"blob": records.DecodeBlobValue, "object": records.DecodeObjectValue,
		} {
			again, err := decode(value)
			if err != nil {
				continue
			}
			twice, err := decode(again)
			if err != nil || !bytes.Equal(again, twice) {
				t.Errorf("%s %x becomes %x, then %x: %v", name, value, again, twice, err)
			}
		}
	})
}
