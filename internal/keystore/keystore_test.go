package keystore_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/perdure/perdure/internal/keystore"
)

func TestSealedOpensAfterRestart(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	k, created, err := keystore.OpenLocal(p.data, "", keystore.Options{})
	if err != nil || !created {
		t.Fatalf("created %v: %v", created, err)
	}
	sealed := map[string][]byte{}
	for _, plain := range []string{"", "x", strings.Repeat("long ", 10_000)} {
		sealed[plain] = seal(t, k, "test", plain)
		if n := len(sealed[plain]); n != len(plain)+keystore.Overhead {
			t.Errorf("%d bytes of %d", n, len(plain))
		}
		if plain != "" && plain != "x" && bytes.Contains(sealed[plain], []byte("long")) {
			t.Error("the plain text is there")
		}
	}
	k, created, err = keystore.OpenLocal(p.data, p.master, keystore.Options{})
	if err != nil || created {
		t.Fatalf("created %v: %v", created, err)
	}
	for plain, b := range sealed {
		wantOpens(t, k, "test", b, plain)
	}
	if a, b := seal(t, k, "test", "same"), seal(t, k, "test", "same"); bytes.Equal(a, b) {
		t.Error("the same twice")
	}
	if info, err := os.Lstat(p.keyring()); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v: %v", info, err)
	}
}

func TestSealedIsBound(t *testing.T) {
	t.Parallel()
	k := keystore.NewMemory()
	sealed := seal(t, k, "totp/ada", "seed")
	for _, purpose := range []string{"totp/bob", "totp/ad", "totp/adaa", "totp/ada\x00"} {
		_, err := k.Open(purpose, sealed)
		wantErr(t, err, keystore.ErrSealed)
	}
	for i := range sealed {
		for bit := range 8 {
			changed := bytes.Clone(sealed)
			changed[i] ^= 1 << bit
			if _, err := k.Open("totp/ada", changed); !errors.Is(err, keystore.ErrSealed) && !errors.Is(err, keystore.ErrUnknownKey) {
				t.Fatalf("byte %d, bit %d changed: %v", i, bit, err)
			}
		}
		if _, err := k.Open("totp/ada", sealed[:i]); !errors.Is(err, keystore.ErrSealed) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	_, err := k.Open("totp/ada", append(bytes.Clone(sealed), 0))
	wantErr(t, err, keystore.ErrSealed)
	_, err = keystore.NewMemory().Open("totp/ada", sealed)
	wantErr(t, err, keystore.ErrUnknownKey, "another data folder")
	wantOpens(t, k, "totp/ada", sealed, "seed")

	// A key of the same ring takes no other's place.
	if _, err := k.RotateKey(); err != nil {
		t.Fatal(err)
	}
	other := seal(t, k, "totp/ada", "seed")
	copy(sealed[1:9], other[1:9])
	_, err = k.Open("totp/ada", sealed)
	wantErr(t, err, keystore.ErrSealed)
}

func TestBounds(t *testing.T) {
	t.Parallel()
	k := keystore.NewMemory()
	for _, purpose := range []string{"", strings.Repeat("x", keystore.MaxPurpose+1)} {
		_, err := k.Seal(purpose, nil)
		wantErr(t, err, keystore.ErrPurpose)
		_, err = k.Open(purpose, make([]byte, keystore.Overhead))
		wantErr(t, err, keystore.ErrPurpose)
	}
	_, err := k.Seal("x", make([]byte, keystore.MaxPlain+1))
	wantErr(t, err, keystore.ErrTooLarge)
	_, err = k.Open("x", make([]byte, keystore.MaxPlain+keystore.Overhead+1))
	wantErr(t, err, keystore.ErrTooLarge)
	b, err := k.Seal(strings.Repeat("x", keystore.MaxPurpose), make([]byte, keystore.MaxPlain))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Open(strings.Repeat("x", keystore.MaxPurpose), b); err != nil {
		t.Error(err)
	}
}

func TestRotateKey(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	k := p.open(t)
	sealed := [][]byte{seal(t, k, "test", "0")}
	derived := k.Derive("cookie", 32)
	for i := range 3 {
		id, err := k.RotateKey()
		if err != nil {
			t.Fatal(err)
		}
		sealed = append(sealed, seal(t, k, "test", fmt.Sprint(i+1)))
		if of, err := keystore.KeyOf(sealed[i+1]); err != nil || of != id {
			t.Errorf("sealed by %s, %v; want %s", of, err, id)
		}
	}
	for _, k := range []*keystore.Keystore{k, p.open(t)} {
		for i, b := range sealed {
			wantOpens(t, k, "test", b, fmt.Sprint(i))
		}
		keys := k.Keys()
		if len(keys) != 4 || !keys[3].Seals || keys[0].Seals || !keys[3].Made.Equal(noon) {
			t.Errorf("keys %+v", keys)
		}
		if !bytes.Equal(k.Derive("cookie", 32), derived) {
			t.Error("what is derived has changed")
		}
	}
}

func TestDerive(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	k := p.open(t)
	a, b := k.Derive("a", 32), k.Derive("b", 32)
	if len(a) != 32 || bytes.Equal(a, b) || bytes.Equal(a, k.MAC("a", nil)) {
		t.Errorf("%x, %x", a, b)
	}
	if long := k.Derive("a", 64); bytes.Equal(long[:32], a) {
		t.Error("a short one begins a long one")
	}
	if !bytes.Equal(a, p.open(t).Derive("a", 32)) {
		t.Error("not the same after a start")
	}
	if bytes.Equal(a, newPlace(t).open(t).Derive("a", 32)) {
		t.Error("the same in another folder")
	}
	if n := len(k.Derive("a", keystore.MaxDerived)); n != keystore.MaxDerived {
		t.Error(n)
	}
	for _, n := range []int{-1, 0, keystore.MaxDerived + 1} {
		wantPanic(t, func() { k.Derive("a", n) })
	}
	wantPanic(t, func() { k.Derive("", 1) })
}

func wantPanic(t *testing.T, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	f()
}

func TestMAC(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	k := p.open(t)
	mac := k.MAC("link", []byte("data"))
	if len(mac) != 32 || !p.open(t).Verify("link", []byte("data"), mac) {
		t.Error("not verified after a start")
	}
	if k.Verify("link", []byte("datb"), mac) || k.Verify("linl", []byte("data"), mac) || k.Verify("link", []byte("data"), mac[:31]) || k.Verify("link", []byte("data"), nil) {
		t.Error("verified")
	}
}

func TestWrongMasterTouchesNothing(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	k := p.open(t)
	sealed := seal(t, k, "test", "x")
	before := read(t, p.keyring())
	other := keystore.NewMaster()
	_, err := keystore.Open(p.data, other, keystore.Options{})
	wantErr(t, err, keystore.ErrWrongMaster, other.ID(), k.MasterIDs()[0], p.keyring())
	if !bytes.Equal(read(t, p.keyring()), before) {
		t.Error("the keyring was changed")
	}
	_, err = keystore.Open(p.data, keystore.Master{}, keystore.Options{})
	wantErr(t, err, keystore.ErrMaster)
	wantOpens(t, p.open(t), "test", sealed, "x")
}

// Without its file no new master key is made: it would open nothing.
func TestMasterFileIsGone(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	sealed := seal(t, p.open(t), "test", "x")
	if err := os.Rename(p.master, p.master+".moved"); err != nil {
		t.Fatal(err)
	}
	_, _, err := keystore.OpenLocal(p.data, "", keystore.Options{})
	wantErr(t, err, keystore.ErrMaster, p.master, "put it back from its backup")
	if _, err := os.Lstat(p.master); err == nil {
		t.Error("a new one was made")
	}
	if err := os.Rename(p.master+".moved", p.master); err != nil {
		t.Fatal(err)
	}
	wantOpens(t, p.open(t), "test", sealed, "x")
}

func TestKeyringFileIsRefused(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	k := p.open(t)
	good := read(t, p.keyring())
	wantNoSecret(t, good, k.Secrets())
	try := func(name string, words ...string) {
		t.Helper()
		_, _, err := keystore.OpenLocal(p.data, "", keystore.Options{})
		if err == nil {
			t.Fatalf("%s: opened", name)
		}
		wantErr(t, err, keystore.ErrKeyring, words...)
	}
	write(t, p.keyring(), good, 0o640)
	try("readable", "chmod 600", p.keyring())
	if err := os.Rename(p.keyring(), p.keyring()+"2"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(p.keyring()+"2", p.keyring()); err != nil {
		t.Fatal(err)
	}
	try("link", "symbolic link")
	if err := os.Remove(p.keyring()); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty": "", "cut": string(good[:len(good)/2]), "more": string(good) + " ",
		"format": strings.Replace(string(good), `"format": 1`, `"format": 2`, 1),
		"none":   "{\n  \"format\": 1,\n  \"wrapped\": null,\n  \"ring\": null\n}\n",
		"large":  strings.Repeat(" ", 2<<20),
	} {
		write(t, p.keyring(), []byte(text), 0o600)
		try(name, p.keyring())
	}
	write(t, p.keyring(), good, 0o600)
	p.open(t)
}

func TestEachByteOfTheKeyringCounts(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	k := p.open(t)
	secrets := k.Secrets()
	good := read(t, p.keyring())
	m, err := keystore.ReadMaster(p.master)
	if err != nil {
		t.Fatal(err)
	}
	if err := keystore.DecodeKeyring(good, m); err != nil {
		t.Fatal(err)
	}
	for i := range good {
		for _, bit := range []byte{1, 2, 0x20, 0x80} { // 0x20: the case of letters
			changed := bytes.Clone(good)
			changed[i] ^= bit
			err := keystore.DecodeKeyring(changed, m)
			if !errors.Is(err, keystore.ErrKeyring) && !errors.Is(err, keystore.ErrWrongMaster) {
				t.Fatalf("byte %d (%q) changed by %d: %v", i, good[i], bit, err)
			}
			wantNoSecret(t, []byte(err.Error()), secrets)
		}
	}
}

// Parts of two keyrings of one master key do not go together.
func TestKeyringPartsBelongTogether(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.open(t)
	first := strings.Split(string(read(t, p.keyring())), "\n")
	if err := os.Remove(p.keyring()); err != nil {
		t.Fatal(err)
	}
	p.open(t)
	second := strings.Split(string(read(t, p.keyring())), "\n")
	m, err := keystore.ReadMaster(p.master)
	if err != nil {
		t.Fatal(err)
	}
	for i := range first {
		if first[i] == second[i] {
			continue
		}
		mixed := append([]string(nil), second...)
		mixed[i] = first[i]
		wantErr(t, keystore.DecodeKeyring([]byte(strings.Join(mixed, "\n")), m), keystore.ErrKeyring)
	}
}

func TestFolderIsMissing(t *testing.T) {
	t.Parallel()
	_, err := keystore.Open(filepath.Join(t.TempDir(), "none"), keystore.NewMaster(), keystore.Options{})
	wantErr(t, err, keystore.ErrKeyring)
}

// Sealing, opening and rotation go on beside each other; for the race detector.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	k := newPlace(t).open(t)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 25 {
				plain := fmt.Sprint(i, n)
				wantOpens(t, k, "test", seal(t, k, "test", plain), plain)
			}
		})
		wg.Go(func() {
			if _, err := k.RotateKey(); err != nil {
				t.Error(err)
			}
			if err := k.Rewrap(keystore.NewMaster(), nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(k.Keys()) != 5 || len(k.MasterIDs()) != 1 {
		t.Errorf("%d keys, masters %v", len(k.Keys()), k.MasterIDs())
	}
}

func FuzzOpen(f *testing.F) {
	k := keystore.NewMemory()
	sealed, err := k.Seal("test", []byte("plain"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("test", sealed)
	f.Add("other", sealed)
	f.Add("test", []byte{1})
	f.Fuzz(func(t *testing.T, purpose string, b []byte) {
		_, err := k.Open(purpose, b)
		if genuine := purpose == "test" && bytes.Equal(b, sealed); genuine != (err == nil) {
			t.Errorf("genuine %v: %v", genuine, err)
		}
	})
}

func FuzzKeyring(f *testing.F) {
	p := newPlace(f)
	p.open(f)
	good := read(f, p.keyring())
	m, err := keystore.ReadMaster(p.master)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"format":1,"wrapped":[{"master":"x","key":""}],"ring":""}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		_ = keystore.ParseKeyring(data)
		if err := keystore.DecodeKeyring(data, m); (err == nil) != bytes.Equal(data, good) {
			t.Errorf("opened: %v", err)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	k := keystore.NewMemory()
	plain := make([]byte, 256)
	for b.Loop() {
		if _, err := k.Seal("bench", plain); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	k := keystore.NewMemory()
	sealed := seal(b, k, "bench", strings.Repeat("x", 256))
	for b.Loop() {
		if _, err := k.Open("bench", sealed); err != nil {
			b.Fatal(err)
		}
	}
}
