package keystore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gocloud.dev/secrets"
	"gocloud.dev/secrets/localsecrets"

	"github.com/perdure/perdure/internal/keystore"
)

// newKeeper is a key management service in memory.
func newKeeper(t *testing.T) *secrets.Keeper {
	t.Helper()
	key, err := localsecrets.NewRandomKey()
	if err != nil {
		t.Fatal(err)
	}
	keeper := localsecrets.NewKeeper(key)
	t.Cleanup(func() { _ = keeper.Close() })
	return keeper
}

func openKept(t *testing.T, folder string, keeper keystore.Keeper) *keystore.Keystore {
	t.Helper()
	k, _, err := keystore.OpenKept(t.Context(), folder, keeper, quick)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestOpenKept(t *testing.T) {
	t.Parallel()
	p, keeper := newPlace(t), newKeeper(t)
	k, created, err := keystore.OpenKept(t.Context(), p.data, keeper, quick)
	if err != nil || !created {
		t.Fatalf("created %v, %v", created, err)
	}
	sealed := seal(t, k, "test", "x")
	k, created, err = keystore.OpenKept(t.Context(), p.data, keeper, quick)
	if err != nil || created {
		t.Fatalf("created %v, %v", created, err)
	}
	wantOpens(t, k, "test", sealed, "x")
	wantTidy(t, "kept", p, k.Secrets())

	_, _, err = keystore.OpenKept(t.Context(), p.data, newKeeper(t), quick)
	wantErr(t, err, keystore.ErrMaster, "does not decrypt")
	if err := os.Remove(filepath.Join(p.data, keystore.KeptFile)); err != nil {
		t.Fatal(err)
	}
	_, _, err = keystore.OpenKept(t.Context(), p.data, keeper, quick)
	wantErr(t, err, keystore.ErrMaster, keystore.KeptFile, "backup")
}

func TestRotateKept(t *testing.T) {
	t.Parallel()
	p, keeper := newPlace(t), newKeeper(t)
	k := openKept(t, p.data, keeper)
	sealed := seal(t, k, "test", "x")
	before := read(t, filepath.Join(p.data, keystore.KeptFile))
	id, err := k.RotateKept(t.Context(), keeper)
	if err != nil {
		t.Fatal(err)
	}
	k = openKept(t, p.data, keeper)
	if ids := k.MasterIDs(); len(ids) != 1 || ids[0] != id {
		t.Errorf("master keys %v, want %s", ids, id)
	}
	wantOpens(t, k, "test", sealed, "x")
	if bytes.Equal(before, read(t, filepath.Join(p.data, keystore.KeptFile))) {
		t.Error("the file has the old key")
	}
	_, err = keystore.NewMemory().RotateKept(t.Context(), keeper)
	wantErr(t, err, keystore.ErrMaster)
}

// Each file operation of a first start and of a rotation fails, or the process is killed there.
func TestKeptIsInterrupted(t *testing.T) {
	t.Parallel()
	keeper := newKeeper(t)
	do := func(p place, fsys keystore.FS, note func([]byte)) error {
		k, _, err := keystore.OpenKept(t.Context(), p.data, keeper, keystore.Options{FS: fsys})
		if err != nil {
			return err
		}
		if err := sealOne(k, note); err != nil {
			return err
		}
		_, err = k.RotateKept(t.Context(), keeper)
		return errors.Join(err, sealOne(k, note))
	}
	for _, dead := range []bool{false, true} {
		for i := 1; ; i++ {
			p, fsys := newPlace(t), &faultFS{FS: quick.FS, countdown: i, dead: dead}
			var sealed [][]byte
			note := func(b []byte) { sealed = append(sealed, b) }
			err := do(p, fsys, note)
			if len(fsys.seen) < i {
				if err != nil || i < 10 {
					t.Fatalf("%d operations: %v", i-1, err)
				}
				break
			}
			name := fmt.Sprintf("killed %v at operation %d, %s", dead, i, fsys.seen[i-1])
			if err := do(p, quick.FS, note); err != nil {
				t.Fatalf("%s: again: %v", name, err)
			}
			k := openKept(t, p.data, keeper)
			for _, b := range sealed {
				if b != nil {
					wantOpens(t, k, "test", b, "plain")
				}
			}
			if ids := k.MasterIDs(); len(ids) != 1 {
				t.Fatalf("%s: master keys %v", name, ids)
			}
		}
	}
}

// failingKeeper is a service that does not answer.
type failingKeeper struct{ err error }

func (f failingKeeper) Encrypt(context.Context, []byte) ([]byte, error) { return nil, f.err }
func (f failingKeeper) Decrypt(context.Context, []byte) ([]byte, error) { return nil, f.err }

func TestKeeperFails(t *testing.T) {
	t.Parallel()
	p, keeper := newPlace(t), newKeeper(t)
	down := failingKeeper{errors.New("no route")}
	_, _, err := keystore.OpenKept(t.Context(), p.data, down, quick)
	wantErr(t, err, keystore.ErrMaster, "key management service")
	if !errors.Is(err, down.err) || strings.Contains(err.Error(), "no route") {
		t.Errorf("the text of the service is shown, or its error is lost: %v", err)
	}
	k := openKept(t, p.data, keeper) // nothing was left in its way
	_, err = k.RotateKept(t.Context(), down)
	wantErr(t, err, keystore.ErrMaster, "key management service")
	if !errors.Is(err, down.err) || strings.Contains(err.Error(), "no route") {
		t.Errorf("the text of the service is shown, or its error is lost: %v", err)
	}
	openKept(t, p.data, keeper)
}

func TestOffer(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	old, next := keystore.NewMaster(), keystore.NewMaster()
	open := func(m keystore.Master) *keystore.Keystore {
		t.Helper()
		k, err := keystore.Open(p.data, m, quick)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	k := open(old)
	sealed := seal(t, k, "test", "x")
	if err := k.Offer(next); err != nil {
		t.Fatal(err)
	}
	wantErr(t, k.Offer(old), keystore.ErrMaster, "in use")
	wantErr(t, k.Offer(keystore.Master{}), keystore.ErrMaster)
	if ids := open(old).MasterIDs(); len(ids) != 2 { // an environment that was not changed yet
		t.Errorf("master keys %v", ids)
	}
	k = open(next)
	wantOpens(t, k, "test", sealed, "x")
	if ids := k.MasterIDs(); len(ids) != 1 || ids[0] != next.ID() {
		t.Errorf("master keys %v", ids)
	}
	_, err := keystore.Open(p.data, old, quick)
	wantErr(t, err, keystore.ErrWrongMaster)
}
