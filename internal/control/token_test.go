package control_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/perdure/perdure/internal/control"
)

func TestToken(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, control.TokenFile)
	open := func() string {
		t.Helper()
		token, err := control.OpenToken(folder)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Lstat(path); err != nil || info.Mode() != 0o600 || len(token) != 64 {
			t.Fatalf("token of %d characters, %v, %v", len(token), info, err)
		}
		return token
	}
	first := open()
	if open() != first {
		t.Error("the next start has another token")
	}
	for what, spoil := range map[string]func() error{
		"others can read it": func() error { return os.Chmod(path, 0o644) },
		"it is cut off":      func() error { return os.Truncate(path, 20) },
		"it is empty":        func() error { return os.Truncate(path, 0) },
		"it is a link": func() error {
			elsewhere := filepath.Join(folder, "elsewhere")
			if err := os.WriteFile(elsewhere, []byte(first), 0o600); err != nil {
				return err
			}
			if err := os.Remove(path); err != nil {
				return err
			}
			return os.Symlink(elsewhere, path)
		},
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if open() == first {
			t.Errorf("%s: the token is kept", what)
		}
		if err := os.WriteFile(path, []byte(first), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
