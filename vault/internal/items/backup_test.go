package items_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/vaulttest"
)

func (w *world) backup(t *testing.T, id model.ID) []byte {
	t.Helper()
	return must(t, w, func(ctx context.Context) ([]byte, error) { return w.Backup(ctx, id) })
}

func (w *world) restore(t *testing.T, vault string, kind model.Kind, backup []byte) (*items.Version, error) {
	t.Helper()
	return in(t, w, func(ctx context.Context) (*items.Version, error) { return w.Restore(ctx, vault, kind, backup) })
}

func TestBackup(t *testing.T) {
	t.Parallel()
	w := newWorld(t, items.Options{})
	id := secret("Db")
	var made []*items.Version
	for i, value := range []string{"planted-secret-1", "", "planted-secret-3"} {
		v := &items.Version{
			ID: id, Attributes: model.Attributes{Enabled: i > 0, Expires: vaulttest.Epoch.Add(100 * day)}, ContentType: "text/plain",
			Tags: map[string]string{"n": fmt.Sprint(i)}, Public: []byte(`{"a":1}`), Managed: true,
		}
		added, err := w.tryAdd(t, v, value)
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, added)
		w.later(day)
	}
	w.Do(t, func(ctx context.Context) error { return w.SetPolicy(ctx, id, []byte(`{"p":1}`)) })
	backup := w.backup(t, id)
	if bytes.Contains(backup, []byte("planted")) {
		t.Error("a secret can be read in the backup")
	}
	if kind, name, err := items.BackupOf(backup); err != nil || kind != model.Secrets || name != "Db" {
		t.Errorf("%q, %q, %v", kind, name, err)
	}
	if _, err := w.restore(t, model.DefaultVault, model.Secrets, backup); !errors.Is(err, model.ErrExists) || errors.Is(err, model.ErrDeleted) {
		t.Error(err)
	}
	w.delete(t, id)
	if _, err := w.restore(t, model.DefaultVault, model.Secrets, backup); !errors.Is(err, model.ErrExists) || !errors.Is(err, model.ErrDeleted) {
		t.Error(err)
	}
	if err := w.purge(t, id); err != nil {
		t.Fatal(err)
	}
	for _, vault := range []string{model.DefaultVault, "other"} {
		current, err := w.restore(t, vault, model.Secrets, backup)
		if err != nil || current.Version != made[2].Version || current.Vault != vault {
			t.Fatalf("%+v, %v", current, err)
		}
		for i, value := range []string{"planted-secret-1", "", "planted-secret-3"} {
			of := made[i].ID
			of.Vault = vault
			got := must(t, w, func(ctx context.Context) (*items.Version, error) { return w.Get(ctx, of) })
			want := *made[i]
			want.ID = of
			if !sameVersion(got, &want) {
				t.Errorf("%+v, want %+v", got, want)
			}
			if got := w.value(t, of); got != value {
				t.Errorf("%q, want %q", got, value)
			}
		}
		item := must(t, w, func(ctx context.Context) (*items.Item, error) {
			return w.Item(ctx, model.ID{Vault: vault, Kind: model.Secrets, Name: "db"})
		})
		if !item.Created.Equal(vaulttest.Epoch) || string(item.Policy) != `{"p":1}` || item.Name != "Db" || !item.Managed {
			t.Errorf("%+v", item)
		}
	}
	w.wantWhole(t, 2, 0, 6)
}

// sameVersion compares what can be seen of two versions.
func sameVersion(a, b *items.Version) bool {
	return a.ID == b.ID && a.Attributes == b.Attributes && a.ContentType == b.ContentType && reflect.DeepEqual(a.Tags, b.Tags) &&
		bytes.Equal(a.Public, b.Public) && a.Managed == b.Managed && a.Previous == b.Previous
}

func TestBackupsThatAreNone(t *testing.T) {
	t.Parallel()
	w, other := newWorld(t, items.Options{}), newWorld(t, items.Options{})
	w.add(t, secret("x"), "v")
	w.add(t, secret("y"), "w")
	x, y := w.backup(t, secret("x")), w.backup(t, secret("y"))
	replaced := func(old, new string) []byte { return bytes.Replace(x, []byte(old), []byte(new), 1) }
	flipped := bytes.Clone(x)
	flipped[len(flipped)-1] ^= 1
	for name, b := range map[string][]byte{
		"empty":                  nil,
		"no line":                []byte("perdure-vault-backup 1 secrets x"),
		"a line alone":           []byte("perdure-vault-backup 1 secrets x\n"),
		"something else":         []byte("something else\n"),
		"another format":         replaced(" 1 ", " 2 "),
		"another name":           replaced(" x\n", " y\n"),
		"no name":                replaced(" x\n", " \n"),
		"an odd name":            replaced(" x\n", " x/y\n"),
		"another kind":           replaced(" secrets ", " keys "),
		"no kind":                replaced(" secrets ", " secret "),
		"more words":             replaced(" x\n", " x x\n"),
		"a long line":            replaced(" x\n", " "+strings.Repeat("x", 300)+"\n"),
		"one byte less":          x[:len(x)-1],
		"one bit":                flipped,
		"too large":              append(bytes.Clone(x), make([]byte, items.MaxBackup)...),
		"the end of another one": append(bytes.Clone(x[:bytes.IndexByte(x, '\n')]), y[bytes.IndexByte(y, '\n'):]...),
	} {
		_, err := w.restore(t, "other", model.Secrets, b)
		if fault := new(model.FieldError); !errors.As(err, &fault) || fault.Field != "value" {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, c := range []struct {
		w     *world
		vault string
		kind  model.Kind
		field string
	}{
		{w, "other", model.Keys, "value"},
		{other, "other", model.Secrets, "value"}, // sealed by other keys
		{w, "Other", model.Secrets, "vault"},
		{w, "other", "things", "kind"},
	} {
		_, err := c.w.restore(t, c.vault, c.kind, x)
		if fault := new(model.FieldError); !errors.As(err, &fault) || fault.Field != c.field {
			t.Errorf("%v: %v", c, err)
		}
	}
	if _, err := w.restore(t, "other", model.Secrets, x); err != nil {
		t.Error(err)
	}
}

// As many versions as there may be, of secrets as large as they may be, fit into a backup; a tenth of them shows it.
func TestLargeBackup(t *testing.T) {
	t.Parallel()
	w := newWorld(t, items.Options{})
	value := bytes.Repeat([]byte("x"), model.MaxSecret)
	w.Do(t, func(ctx context.Context) error {
		for range model.MaxVersions / 10 {
			v := &items.Version{ID: secret("x"), Attributes: model.Attributes{Enabled: true}, Tags: map[string]string{"a": strings.Repeat("b", 256)}}
			if err := w.Add(ctx, v, value); err != nil {
				return err
			}
		}
		return nil
	})
	backup := w.backup(t, secret("x"))
	if 10*len(backup) > items.MaxBackup {
		t.Errorf("%d bytes", len(backup))
	}
	if _, err := w.restore(t, "other", model.Secrets, backup); err != nil {
		t.Fatal(err)
	}
	if got := w.value(t, model.ID{Vault: "other", Kind: model.Secrets, Name: "x"}); got != string(value) {
		t.Errorf("%d bytes", len(got))
	}
}

// A backup that is too large is refused when it is made, not when it is needed.
func TestBackupTooLarge(t *testing.T) {
	t.Parallel()
	w := newWorld(t, items.Options{})
	w.SetMaxBackup(10_000)
	for i, want := range []error{nil, nil, nil, model.ErrTooMany} {
		w.add(t, secret("x"), strings.Repeat("x", 3000))
		_, err := in(t, w, func(ctx context.Context) ([]byte, error) { return w.Backup(ctx, secret("x")) })
		if !errors.Is(err, want) {
			t.Errorf("%d versions: %v, want %v", i+1, err, want)
		}
	}
}

func backupText(versions, secrets string) []byte {
	text := `{"created":"2026-01-02T03:04:05Z","versions":[` + versions + `]}`
	return fmt.Appendf(nil, "%d\n%s%s", len(text), text, secrets)
}

const (
	idA = "0123456789abcdef0123456789abcdef"
	idB = "fedcba9876543210fedcba9876543210"
)

// Format 1 stays as it is.
func TestDecodeBackup(t *testing.T) {
	t.Parallel()
	good := backupText(`{"id":"`+idA+`","enabled":true,"created":"2026-01-02T03:04:05Z","updated":"2026-01-02T03:04:05Z","previous":"`+idB+`","secret":3},{"id":"`+idB+`"}`, "abc")
	ids, secrets, err := items.DecodeBackup(good)
	if err != nil || !reflect.DeepEqual(ids, []string{idA, idB}) || !reflect.DeepEqual(secrets, [][]byte{[]byte("abc"), nil}) {
		t.Errorf("%q, %q, %v", ids, secrets, err)
	}
	for name, plain := range map[string][]byte{
		"nothing":               nil,
		"no length":             []byte("{}"),
		"a length alone":        []byte("0\n"),
		"a negative length":     []byte("-1\n{}"),
		"a signed length":       []byte("+2\n{}"),
		"a length that is more": []byte("3\n{}"),
		"a huge length":         []byte("99999999999\n{}"),
		"no JSON":               []byte("2\n{["),
		"no versions":           backupText("", ""),
		"a secret too short":    backupText(`{"id":"`+idA+`","secret":3}`, "ab"),
		"a secret too long":     backupText(`{"id":"`+idA+`","secret":3}`, "abcd"),
		"a negative secret":     backupText(`{"id":"`+idA+`","secret":-1}`, ""),
		"an odd id":             backupText(`{"id":"x"}`, ""),
		"an id twice":           backupText(`{"id":"`+idA+`","previous":"`+idA+`"},{"id":"`+idA+`"}`, ""),
		"a gap":                 backupText(`{"id":"`+idA+`"},{"id":"`+idB+`"}`, ""),
		"one that goes on":      backupText(`{"id":"`+idA+`","previous":"`+idB+`"}`, ""),
		"something sealed":      backupText(`{"id":"`+idA+`","sealed":"AAAA"}`, ""),
		"too many":              backupText(strings.Repeat(`{"id":"`+idA+`"},`, model.MaxVersions)+`{"id":"`+idB+`"}`, ""),
	} {
		if _, _, err := items.DecodeBackup(plain); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzDecodeBackup(f *testing.F) {
	f.Add(backupText(`{"id":"`+idA+`","previous":"`+idB+`","secret":3},{"id":"`+idB+`"}`, "abc"))
	f.Add([]byte("2\n{}"))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, plain []byte) {
		ids, secrets, err := items.DecodeBackup(plain)
		if err != nil {
			return
		}
		size := 0
		for _, s := range secrets {
			size += len(s)
		}
		if len(ids) == 0 || len(ids) != len(secrets) || size > len(plain) {
			t.Errorf("%d versions, %d secrets of %d bytes", len(ids), len(secrets), size)
		}
	})
}

func FuzzBackupOf(f *testing.F) {
	f.Add([]byte("perdure-vault-backup 1 secrets x\nsealed"))
	f.Add([]byte("perdure-vault-backup 2 keys x\n"))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, backup []byte) {
		kind, name, err := items.BackupOf(backup)
		if err != nil {
			if fault := new(model.FieldError); !errors.As(err, &fault) || fault.Field != "value" {
				t.Error(err)
			}
			return
		}
		if model.CheckName(name) != nil || !bytes.HasPrefix(backup, fmt.Appendf(nil, "perdure-vault-backup 1 %s %s\n", kind, name)) {
			t.Errorf("%q, %q of %q", kind, name, backup)
		}
	})
}
