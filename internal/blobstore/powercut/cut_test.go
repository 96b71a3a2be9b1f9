package powercut_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/perdure/perdure/internal/blobstore"
	"github.com/perdure/perdure/internal/blobstore/powercut"
)

// TestCutsShowEveryState plays a file through its life and collects what the
// cuts make of it: absent, or one of its contents, under either name.
func TestCutsShowEveryState(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	r := powercut.Record(blobstore.OS, root)
	temp, final := filepath.Join(root, "temp"), filepath.Join(root, "final")

	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	f, err := r.Create(temp)
	must(err)
	_, err = f.Write([]byte("abcd"))
	must(err)
	r.Mark("written")
	must(f.Sync())
	r.Mark("synced")
	must(f.Close())
	must(r.Rename(temp, final))
	r.Mark("renamed")
	dir, err := r.OpenDir(root)
	must(err)
	must(dir.Sync())
	must(dir.Close())
	r.Mark("durable")
	must(r.Remove(final))
	r.Mark("removed")

	seen := map[string]map[string]bool{}
	for cut := range r.Log().Cuts() {
		dir := t.TempDir()
		must(cut.WriteTo(dir))
		state := "absent"
		entries, err := os.ReadDir(dir)
		must(err)
		for _, e := range entries {
			b, err := os.ReadFile(filepath.Join(dir, e.Name()))
			must(err)
			state = e.Name() + "=" + string(b)
		}
		mark := "start"
		if n := len(cut.Marks); n > 0 {
			mark = cut.Marks[n-1].(string)
		}
		if seen[mark] == nil {
			seen[mark] = map[string]bool{}
		}
		seen[mark][state] = true
	}
	for mark, states := range map[string][]string{
		"start":   {"absent", "temp=", "temp=ab", "temp=\x00\x00\x00\x00", "temp=abcd"},
		"synced":  {"absent", "temp=abcd", "final=abcd"},
		"durable": {"final=abcd", "absent"},
		"removed": {"final=abcd", "absent"},
	} {
		for _, state := range states {
			if !seen[mark][state] {
				t.Errorf("after %q no cut shows %q", mark, state)
			}
		}
	}
	for state := range seen["durable"] {
		if state != "final=abcd" && state != "absent" {
			t.Errorf("after the sync a cut shows %q", state)
		}
	}
}

func TestRecorderRefusesRenameOutOfFolder(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	r := powercut.Record(blobstore.OS, root)
	sub := filepath.Join(root, "sub")
	if err := r.Mkdir(sub); err != nil {
		t.Fatal(err)
	}
	f, err := r.Create(filepath.Join(root, "file"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.Rename(filepath.Join(root, "file"), filepath.Join(sub, "file")); err == nil {
		t.Error("no error")
	}
}
