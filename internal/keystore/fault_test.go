package keystore_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/keystore"
)

var errFault = errors.New("injected fault")

// faultFS fails an operation, and all that come after it when the process was killed there.
type faultFS struct {
	keystore.FS
	countdown int // the operation that fails; 0: none
	dead      bool
	killed    bool // what follows fails as well
	seen      []string
}

func (f *faultFS) fails(op string) bool {
	if f.killed {
		return true
	}
	f.seen = append(f.seen, op)
	if f.countdown == 0 || len(f.seen) < f.countdown {
		return false
	}
	if len(f.seen) == f.countdown {
		f.killed = f.dead
		return true
	}
	return false
}

func (f *faultFS) Create(path string, perm fs.FileMode) (keystore.File, error) {
	if f.fails("create") {
		return nil, errFault
	}
	file, err := f.FS.Create(path, perm)
	return &faultFile{file, f}, err
}

func (f *faultFS) Rename(from, to string) error {
	if f.fails("rename") {
		return errFault
	}
	return f.FS.Rename(from, to)
}

// RenameNew is two operations, of which the second may fail alone.
func (f *faultFS) RenameNew(from, to string) error {
	if f.fails("link") {
		return errFault
	}
	if _, recorded := f.FS.(recorderFS); recorded {
		return f.FS.RenameNew(from, to)
	}
	if err := os.Link(from, to); err != nil {
		return err
	}
	if f.fails("unlink") {
		return errFault
	}
	return os.Remove(from)
}

func (f *faultFS) Remove(path string) error {
	if f.fails("remove") {
		return errFault
	}
	return f.FS.Remove(path)
}

func (f *faultFS) SyncDir(path string) error {
	if f.fails("sync folder") {
		return errFault
	}
	return f.FS.SyncDir(path)
}

type faultFile struct {
	keystore.File
	f *faultFS
}

func (w *faultFile) Write(p []byte) (int, error) {
	if w.f.fails("write") {
		n, _ := w.File.Write(p[:len(p)/2])
		return n, errFault
	}
	return w.File.Write(p)
}

func (w *faultFile) Sync() error {
	if w.f.fails("sync file") {
		return errFault
	}
	return w.File.Sync()
}

func (w *faultFile) Close() error {
	err := w.File.Close()
	if w.f.fails("close") {
		return errFault
	}
	return err
}

// sweep runs do once for each of its file operations, which fails, or kills the process. Then
// what do had sealed before opens after a new start, and do succeeds.
func sweep(t *testing.T, prepare func(p place) error, do func(p place, fsys keystore.FS, note func(sealed []byte)) error) {
	t.Helper()
	for _, dead := range []bool{false, true} {
		operations := 0
		for i := 1; ; i++ {
			p := newPlace(t)
			if err := prepare(p); err != nil {
				t.Fatal(err)
			}
			fsys := &faultFS{FS: quick.FS, countdown: i, dead: dead}
			var sealed [][]byte
			note := func(b []byte) { sealed = append(sealed, b) }
			err := do(p, fsys, note)
			if len(fsys.seen) < i {
				if err != nil {
					t.Fatal(err)
				}
				operations = i - 1
				break
			}
			name := fmt.Sprintf("killed %v at operation %d, %s", dead, i, fsys.seen[i-1])
			if err != nil && !errors.Is(err, errFault) {
				t.Fatalf("%s: %v", name, err)
			}
			k, _, err := keystore.OpenLocal(p.data, p.master, quick)
			if err != nil {
				t.Fatalf("%s: next start: %v", name, err)
			}
			secrets := k.Secrets()
			for _, b := range sealed {
				if plain, err := k.Open("test", b); err != nil || string(plain) != "plain" {
					t.Fatalf("%s: opened %q: %v", name, plain, err)
				}
			}
			if err := do(p, quick.FS, note); err != nil {
				t.Fatalf("%s: again: %v", name, err)
			}
			if k, _, err = keystore.OpenLocal(p.data, p.master, quick); err != nil {
				t.Fatalf("%s: start after that: %v", name, err)
			}
			for _, b := range sealed {
				if _, err := k.Open("test", b); err != nil {
					t.Fatalf("%s: at last: %v", name, err)
				}
			}
			if ids := k.MasterIDs(); len(ids) != 1 {
				t.Fatalf("%s: master keys %v", name, ids)
			}
			secrets = append(secrets, k.Secrets()...)
			wantTidy(t, name, p, secrets)
		}
		if operations < 5 {
			t.Errorf("only %d operations were tried", operations)
		}
	}
}

// wantTidy looks for files that are left over, and for keys where none may be.
func wantTidy(t *testing.T, name string, p place, secrets [][]byte) {
	t.Helper()
	err := filepath.WalkDir(filepath.Dir(p.data), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if path != p.master {
			wantNoSecret(t, read(t, path), secrets)
		}
		if strings.HasSuffix(path, ".tmp") || strings.HasSuffix(path, ".next") {
			t.Errorf("%s: %s is left over", name, path)
		}
		if filepath.Base(path) != keystore.AuthorityCertificate && info.Mode() != 0o600 {
			t.Errorf("%s: %s has mode %v", name, path, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func sealOne(k *keystore.Keystore, note func([]byte)) error {
	b, err := k.Seal("test", []byte("plain"))
	note(b)
	return err
}

func started(p place) error {
	_, _, err := keystore.OpenLocal(p.data, p.master, quick)
	return err
}

func TestFirstStartIsInterrupted(t *testing.T) {
	t.Parallel()
	sweep(t, func(place) error { return nil }, func(p place, fsys keystore.FS, note func([]byte)) error {
		k, _, err := keystore.OpenLocal(p.data, p.master, keystore.Options{FS: fsys})
		if err != nil {
			return err
		}
		return sealOne(k, note)
	})
}

func TestRotateKeyIsInterrupted(t *testing.T) {
	t.Parallel()
	sweep(t, started, func(p place, fsys keystore.FS, note func([]byte)) error {
		k, _, err := keystore.OpenLocal(p.data, p.master, keystore.Options{FS: fsys})
		if err != nil {
			return err
		}
		if err := sealOne(k, note); err != nil {
			return err
		}
		_, err = k.RotateKey()
		// Whether that failed or not, the process goes on sealing.
		return errors.Join(err, sealOne(k, note))
	})
}

func TestRotateMasterIsInterrupted(t *testing.T) {
	t.Parallel()
	sweep(t, started, func(p place, fsys keystore.FS, note func([]byte)) error {
		k, _, err := keystore.OpenLocal(p.data, p.master, keystore.Options{FS: fsys})
		if err != nil {
			return err
		}
		if err := sealOne(k, note); err != nil {
			return err
		}
		_, err = k.RotateMaster(p.master)
		err = errors.Join(err, sealOne(k, note))
		if f, ok := fsys.(*faultFS); ok && err != nil && !f.killed {
			// It can be tried again in the same process, and keys can be made.
			_, rotated := k.RotateKey()
			err = errors.Join(err, rotated, sealOne(k, note))
			_, again := k.RotateMaster(p.master)
			if again != nil {
				return fmt.Errorf("again in the same process: %w", again)
			}
			return errors.Join(err, sealOne(k, note))
		}
		return err
	})
}

func TestOpenCAIsInterrupted(t *testing.T) {
	t.Parallel()
	sweep(t, started, func(p place, fsys keystore.FS, note func([]byte)) error {
		k, _, err := keystore.OpenLocal(p.data, p.master, keystore.Options{FS: fsys})
		if err != nil {
			return err
		}
		c, err := keystore.OpenCA(k)
		if err != nil {
			return err
		}
		if string(read(t, filepath.Join(p.data, keystore.AuthorityCertificate))) != string(c.PEM()) {
			t.Error("the published certificate is another")
		}
		again, err := keystore.OpenCA(p.open(t))
		if err != nil || !again.Certificate().Equal(c.Certificate()) {
			t.Errorf("another authority after a start: %v", err)
		}
		return sealOne(k, note)
	})
}

// A change that was broken off after the new master key was in place is finished by a start.
func TestStartFinishesChangeOfMaster(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	old, _, err := keystore.OpenMaster(p.master)
	if err != nil {
		t.Fatal(err)
	}
	k, err := keystore.Open(p.data, old, keystore.Options{Clock: clock.NewManual(noon)})
	if err != nil {
		t.Fatal(err)
	}
	sealed := seal(t, k, "test", "x")
	next := keystore.NewMaster()
	wantErr(t, k.Rewrap(next, func() error { return errFault }), errFault, next.ID())
	if ids := k.MasterIDs(); len(ids) != 2 || ids[0] != old.ID() || ids[1] != next.ID() {
		t.Errorf("master keys %v", ids)
	}
	k, err = keystore.Open(p.data, old, keystore.Options{}) // either opens it; this one changes nothing
	if err != nil {
		t.Fatal(err)
	}
	wantOpens(t, k, "test", sealed, "x")
	if len(k.MasterIDs()) != 2 {
		t.Errorf("master keys %v", k.MasterIDs())
	}
	if k, err = keystore.Open(p.data, next, keystore.Options{}); err != nil {
		t.Fatal(err)
	}
	wantOpens(t, k, "test", sealed, "x")
	if ids := k.MasterIDs(); len(ids) != 1 || ids[0] != next.ID() {
		t.Errorf("master keys %v", ids)
	}
	_, err = keystore.Open(p.data, old, keystore.Options{})
	wantErr(t, err, keystore.ErrWrongMaster)
}

func TestRewrap(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	k := p.open(t)
	before := k.Secrets()
	sealed, derived := seal(t, k, "test", "x"), k.Derive("a", 16)
	id, err := k.RotateMaster(p.master)
	if err != nil {
		t.Fatal(err)
	}
	again := p.open(t)
	if ids := again.MasterIDs(); len(ids) != 1 || ids[0] != id {
		t.Errorf("master keys %v, want %s", ids, id)
	}
	wantOpens(t, again, "test", sealed, "x")
	if string(again.Derive("a", 16)) != string(derived) {
		t.Error("what is derived has changed")
	}
	after := again.Secrets()
	if string(after[0]) == string(before[0]) || string(after[1]) == string(before[1]) {
		t.Error("the master key, or the key that it wraps, is the old one")
	}
	m, err := keystore.ReadMaster(p.master)
	if err != nil {
		t.Fatal(err)
	}
	wantErr(t, again.Rewrap(m, nil), keystore.ErrMaster, "in use")
	wantErr(t, again.Rewrap(keystore.Master{}, nil), keystore.ErrMaster)
	other := filepath.Join(t.TempDir(), "other")
	if _, _, err := keystore.OpenMaster(other); err != nil {
		t.Fatal(err)
	}
	_, err = again.RotateMaster(other)
	wantErr(t, err, keystore.ErrMaster, other, m.ID())
	_, err = again.RotateMaster(other + "2")
	wantErr(t, err, keystore.ErrMaster)
	_, err = keystore.NewMemory().RotateMaster(p.master)
	wantErr(t, err, keystore.ErrMaster)
	if err := keystore.NewMemory().Rewrap(keystore.NewMaster(), nil); err != nil {
		t.Error(err)
	}
}

// Changes that are broken off again and again are bounded, and one that is finished ends them.
func TestRewrapIsBrokenOffOftenTimes(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	k := p.open(t)
	fail := func() error { return errFault }
	for range keystore.MaxMasters - 1 {
		wantErr(t, k.Rewrap(keystore.NewMaster(), fail), errFault)
	}
	last := keystore.NewMaster()
	wantErr(t, k.Rewrap(last, nil), keystore.ErrKeyring, "broken off")
	p.open(t)
}
