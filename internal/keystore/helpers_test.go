package keystore_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/keystore"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// place is a data folder and its master key.
type place struct{ data, master string }

func newPlace(t testing.TB) place {
	t.Helper()
	top := t.TempDir()
	p := place{filepath.Join(top, "data"), filepath.Join(top, "data.master-key")}
	if err := os.Mkdir(p.data, 0o700); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p place) keyring() string { return filepath.Join(p.data, keystore.KeyringFile) }

func (p place) open(t testing.TB) *keystore.Keystore {
	t.Helper()
	k, _, err := keystore.OpenLocal(p.data, "", keystore.Options{Clock: clock.NewManual(noon)})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func seal(t testing.TB, k *keystore.Keystore, purpose, plain string) []byte {
	t.Helper()
	b, err := k.Seal(purpose, []byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func wantOpens(t testing.TB, k *keystore.Keystore, purpose string, sealed []byte, plain string) {
	t.Helper()
	if b, err := k.Open(purpose, sealed); err != nil || string(b) != plain {
		t.Errorf("opened %q: %v, want %q", b, err, plain)
	}
}

func wantErr(t testing.TB, err, want error, words ...string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t testing.TB, path string, data []byte, perm fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, data, perm); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, perm); err != nil {
		t.Fatal(err)
	}
}

// wantNoSecret looks for a secret in a text, in the encodings that texts use.
func wantNoSecret(t testing.TB, text []byte, secrets [][]byte) {
	t.Helper()
	for _, s := range secrets {
		part := s[:12] // a part would be bad enough; it ends where base64 and hexadecimal digits do
		for _, form := range [][]byte{
			part, []byte(hex.EncodeToString(part)), []byte(base64.StdEncoding.EncodeToString(part)), []byte(base64.RawURLEncoding.EncodeToString(part)),
		} {
			if bytes.Contains(bytes.ToLower(text), bytes.ToLower(form)) {
				t.Errorf("a key is in %q", text)
			}
		}
	}
}
