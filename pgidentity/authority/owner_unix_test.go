//go:build unix

package authority_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/perdure/perdure/pgidentity/authority"
)

// Whoever owns the folder of a database server gets a copy of its pg_hba.conf: nothing else must be taken for that.
func TestReadsOnlyTheOwnersFile(t *testing.T) {
	t.Parallel()
	folder, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "secret")
	plain, link, pipe := filepath.Join(folder, "plain"), filepath.Join(folder, "link"), filepath.Join(folder, "pipe")
	for _, path := range []string{plain, elsewhere} {
		if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(elsewhere, link); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := authority.ReadOwned(plain); err != nil || string(text) != "text" {
		t.Errorf("%q %v", text, err)
	}
	for _, path := range []string{link, pipe, folder, filepath.Join(folder, "none")} {
		if text, err := authority.ReadOwned(path); err == nil {
			t.Errorf("%s: %q", filepath.Base(path), text)
		}
	}
	if os.Geteuid() != 0 {
		return
	}
	if err := os.Chown(folder, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if text, err := authority.ReadOwned(plain); err == nil {
		t.Errorf("a file of another user: %q", text)
	}
}
