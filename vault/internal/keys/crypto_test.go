package keys_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/keys"
	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/vaulttest"
)

func TestSignAndVerify(t *testing.T) {
	t.Parallel()
	w := newWorld(t, keys.Options{})
	k := w.create(t, "k", "EC")
	w.Guard.Done()
	sig, used, err := w.Sign(t.Context(), by, id("K"), "ES256", digest("m"))
	if err != nil || used != k.ID || len(sig) != 64 {
		t.Fatal(used, err)
	}
	ok, err := w.Verify(t.Context(), by, k.ID, "ES256", digest("m"), sig)
	if !ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	if ok, err = w.Verify(t.Context(), by, k.ID, "ES256", digest("other"), sig); ok || err != nil {
		t.Errorf("of another message: %v, %v", ok, err)
	}
	for i, o := range w.Guard.Done() {
		if op := []model.Op{model.OpSign, model.OpVerify, model.OpVerify}[i]; o.ID != k.ID || o.Op != op || o.Detail != "ES256" {
			t.Errorf("audit entry %+v", o)
		}
	}
	_, _, err = w.Sign(t.Context(), by, id("k"), "RS256", digest("m"))
	want(t, "another type's algorithm", err, model.ErrOperation)
	_, _, err = w.Sign(t.Context(), by, id("k"), "ES256", digest("m")[1:])
	wantField(t, err, "value", "32 bytes")
	_, _, err = w.Sign(t.Context(), by, id("k"), "XX", digest("m"))
	wantField(t, err, "alg", "")
	_, _, err = w.Sign(t.Context(), by, id("other"), "ES256", digest("m"))
	want(t, "no such key", err, model.ErrNotFound)
	_, _, err = w.Sign(t.Context(), by, at("k", items.NewVersion()), "ES256", digest("m"))
	want(t, "no such version", err, model.ErrNotFound)
	if done := w.Guard.Done(); len(done) != 0 {
		t.Errorf("what failed was noted as done: %+v", done)
	}
}

func TestEncryptAndWrap(t *testing.T) {
	t.Parallel()
	w := newWorld(t, keys.Options{})
	for _, c := range []struct{ typ, encrypt, wrap string }{{"RSA", "RSA-OAEP-256", "RSA-OAEP"}, {"oct", "A256GCM", "A256KW"}} {
		k := w.create(t, "k", c.typ)
		in := model.Cipher{Alg: c.encrypt, Value: []byte("what is secret..")}
		out, used, err := w.Encrypt(t.Context(), by, id("k"), in)
		if err != nil || used != k.ID || bytes.Contains(out.Value, in.Value) {
			t.Fatal(used, err)
		}
		if got, _, err := w.Decrypt(t.Context(), by, used, *out); err != nil || !bytes.Equal(got.Value, in.Value) {
			t.Errorf("%s: %v", c.encrypt, err)
		}
		out.Value[3] ^= 1
		_, _, err = w.Decrypt(t.Context(), by, used, *out)
		want(t, c.encrypt+" changed", err, model.ErrCiphertext)
		in.Alg = c.wrap
		out, used, err = w.Wrap(t.Context(), by, id("k"), in)
		if err != nil {
			t.Fatal(err)
		}
		if got, _, err := w.Unwrap(t.Context(), by, used, *out); err != nil || !bytes.Equal(got.Value, in.Value) {
			t.Errorf("%s: %v", c.wrap, err)
		}
	}
}

// uses are all uses of a key of RSA, by their names in key_ops.
func (w *world) uses(t *testing.T, k model.ID) map[string]func() error {
	sealed, _, err := w.Encrypt(t.Context(), by, k, model.Cipher{Alg: "RSA-OAEP", Value: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	cipher := func(f func(context.Context, model.Caller, model.ID, model.Cipher) (*model.Cipher, model.ID, error), value []byte) func() error {
		return func() error {
			_, _, err := f(t.Context(), by, k, model.Cipher{Alg: "RSA-OAEP", Value: value})
			return err
		}
	}
	return map[string]func() error{
		"sign": func() error {
			_, _, err := w.Sign(t.Context(), by, k, "PS256", digest("m"))
			return err
		},
		"verify": func() error {
			_, err := w.Verify(t.Context(), by, k, "PS256", digest("m"), nil)
			return err
		},
		"encrypt": cipher(w.Encrypt, []byte("x")), "decrypt": cipher(w.Decrypt, sealed.Value),
		"wrapKey": cipher(w.Wrap, []byte("x")), "unwrapKey": cipher(w.Unwrap, sealed.Value),
	}
}

func TestKeyOpsAreEnforced(t *testing.T) {
	t.Parallel()
	w := newWorld(t, keys.Options{})
	k := w.create(t, "k", "RSA")
	uses := w.uses(t, k.ID)
	for only := range uses {
		must[*model.Key](t)(w.Update(t.Context(), by, k.ID, model.UpdateKey{Ops: []string{only}}))
		for name, use := range uses {
			if name == only {
				want(t, name, use(), nil)
			} else {
				want(t, name+" by a key for "+only, use(), model.ErrOperation)
			}
		}
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, keys.Options{})
	k := w.create(t, "k", "RSA")
	uses := w.uses(t, k.ID)
	past := map[string]bool{"verify": true, "decrypt": true, "unwrapKey": true}
	check := func(when string, refused error, all bool) {
		t.Helper()
		for name, use := range uses {
			target := refused
			if past[name] && !all {
				target = nil
			}
			want(t, name+" of a key that is "+when, use(), target)
		}
	}
	nbf, exp := vaulttest.Epoch.Add(time.Hour), vaulttest.Epoch.Add(3*time.Hour)
	w.change(t, k.ID, model.Change{NotBefore: &nbf, Expires: &exp})
	check("not yet valid", model.ErrNotYetValid, false)
	w.later(time.Hour)
	check("valid", nil, false)
	w.change(t, k.ID, model.Change{Enabled: ptr(false)})
	check("disabled", model.ErrDisabled, true)
	w.change(t, k.ID, model.Change{Enabled: ptr(true)})
	w.later(2 * time.Hour)
	check("expired", model.ErrExpired, false)
	w.change(t, k.ID, model.Change{Enabled: ptr(false)})
	check("expired and disabled", model.ErrDisabled, true)
}

func TestManagedKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, keys.Options{})
	private := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	i := at("cert", items.NewVersion())
	exp := vaulttest.Epoch.Add(time.Hour)
	w.Do(t, func(ctx context.Context) error {
		return w.AddManaged(ctx, i, private, nil, model.Attributes{Enabled: true, Expires: exp}, map[string]string{"a": "b"})
	})
	k := must[*model.Key](t)(w.Get(t.Context(), by, id("cert")))
	if k.ID != i || !k.Managed || !k.Expires.Equal(exp) || k.Tags["a"] != "b" {
		t.Errorf("%+v", k)
	}
	sig, _, err := w.Sign(t.Context(), by, id("cert"), "ES256", digest("m"))
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := w.Verify(t.Context(), by, i, "ES256", digest("m"), sig); !ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	w.in(t, func(ctx context.Context) {
		s, err := w.Signer(ctx, id("cert"))
		if err != nil || !private.Equal(s.(crypto.PrivateKey)) {
			t.Errorf("signer %T, %v", s, err)
		}
		want(t, "a key without a certificate", w.AddManaged(ctx, at("cert", i.Version), private, nil, model.Attributes{}, nil), model.ErrExists)
		_, err = w.Signer(ctx, id("none"))
		want(t, "no such key", err, model.ErrNotFound)
		wantField(t, w.AddManaged(ctx, id("cert"), private, []string{"encrypt"}, model.Attributes{}, nil), "key_ops", "")
	})

	ctx := t.Context()
	for what, do := range map[string]func() error{
		"create":     func() error { _, err := w.Create(ctx, by, id("cert"), model.CreateKey{Type: "EC"}); return err },
		"create RSA": func() error { _, err := w.Create(ctx, by, id("cert"), model.CreateKey{Type: "RSA"}); return err },
		"update":     func() error { _, err := w.Update(ctx, by, i, model.UpdateKey{Ops: []string{}}); return err },
		"rotate":     func() error { _, err := w.Rotate(ctx, by, id("cert")); return err },
		"policy":     func() error { _, err := w.SetRotationPolicy(ctx, by, id("cert"), model.RotationPolicy{}); return err },
		"backup":     func() error { _, err := w.Backup(ctx, by, id("cert")); return err },
		"delete":     func() error { _, err := w.Delete(ctx, by, id("cert")); return err },
	} {
		want(t, what, do(), model.ErrManaged)
	}

	backup := []byte(nil)
	w.in(t, func(ctx context.Context) {
		backup = must[[]byte](t)(w.store.Backup(ctx, id("cert")))
		must[*model.Deleted[*items.Version]](t)(w.store.Delete(ctx, id("cert")))
	})
	_, err = w.Recover(ctx, by, id("cert"))
	want(t, "recover", err, model.ErrManaged)
	want(t, "purge", w.Purge(ctx, by, id("cert")), model.ErrManaged)
	_, err = w.Restore(ctx, by, "other", backup)
	want(t, "restore", err, model.ErrManaged)
	w.Forget(id("CERT"))
	if n := w.CachedKeys(); n != 0 {
		t.Errorf("%d keys in memory", n)
	}

	w.create(t, "plain", "EC")
	w.create(t, "oct", "oct")
	w.change(t, id("plain"), model.Change{Enabled: ptr(false)})
	w.in(t, func(ctx context.Context) {
		want(t, "not a certificate's", w.AddManaged(ctx, at("plain", items.NewVersion()), private, nil, model.Attributes{}, nil), model.ErrExists)
		_, err := w.Signer(ctx, id("plain"))
		want(t, "signer of a disabled key", err, model.ErrDisabled)
		_, err = w.Signer(ctx, id("oct"))
		want(t, "signer of a symmetric key", err, model.ErrOperation)
	})
}

func TestRandom(t *testing.T) {
	t.Parallel()
	w := newWorld(t, keys.Options{})
	a, b := must[[]byte](t)(w.Random(t.Context(), by, "default", 128)), must[[]byte](t)(w.Random(t.Context(), by, "default", 128))
	if len(a) != 128 || bytes.Equal(a, b) {
		t.Errorf("%x, %x", a, b)
	}
	for _, n := range []int{-1, 0, 129} {
		_, err := w.Random(t.Context(), by, "default", n)
		wantField(t, err, "count", "1 to 128")
	}
	_, err := w.Random(t.Context(), by, "No Vault", 1)
	wantField(t, err, "vault", "")
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, keys.Options{CachedKeys: 3})
	for i := range 5 {
		w.create(t, fmt.Sprintf("k%d", i), "EC")
	}
	for range 2 {
		for i := range 5 {
			name := fmt.Sprintf("k%d", i)
			sig, used, err := w.Sign(t.Context(), by, id(name), "ES256", digest(name))
			if err != nil {
				t.Fatal(err)
			}
			if ok, err := w.Verify(t.Context(), by, used, "ES256", digest(name), sig); !ok || err != nil {
				t.Errorf("%v, %v", ok, err)
			}
			if n := w.CachedKeys(); n > 3 {
				t.Errorf("%d keys in memory", n)
			}
		}
	}
	w.change(t, id("k4"), model.Change{Enabled: ptr(false)})
	if n := w.CachedKeys(); n != 2 {
		t.Errorf("%d keys in memory after one was changed", n)
	}
}

// A store that was opened with other keys opens nothing, and a version's sealed part fits no other one.
func TestKeysAreSealed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, keys.Options{})
	k := w.create(t, "k", "EC")
	other := vaulttest.New(t)
	s := keys.New(&model.Env{Unit: w.Unit, Now: w.Now, Seal: other.Seal}, items.New(&model.Env{Unit: w.Unit, Now: w.Now, Seal: other.Seal}, items.Options{}), w.Guard, keys.Options{})
	if _, _, err := s.Sign(t.Context(), by, k.ID, "ES256", digest("m")); err == nil {
		t.Error("signed with a key that is sealed")
	}
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, keys.Options{CachedKeys: 2})
	for i := range 4 {
		w.create(t, fmt.Sprintf("k%d", i), "EC")
	}
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for i := range 10 {
				name := fmt.Sprintf("k%d", (i+n)%4)
				if n == 0 {
					if _, err := w.Rotate(context.Background(), by, id(name)); err != nil {
						t.Error(err)
					}
					continue
				}
				sig, used, err := w.Sign(context.Background(), by, id(name), "ES256", digest(name))
				if err != nil {
					t.Error(err)
					continue
				}
				if ok, err := w.Verify(context.Background(), by, used, "ES256", digest(name), sig); !ok || err != nil {
					t.Errorf("%v, %v", ok, err)
				}
			}
		})
	}
	wg.Wait()
}

// When the unit runs again and the key was rotated meanwhile, signature and version are both of the new one.
func TestRotatedBetweenRunsOfAUnit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, keys.Options{})
	first := w.create(t, "k", "EC")
	again := errors.New("a conflict")
	guard := guardFunc(func(ctx context.Context, fn func(context.Context) error) error {
		err := w.Unit(ctx, func(ctx context.Context) error {
			if err := fn(ctx); err != nil {
				return err
			}
			return again
		})
		if !errors.Is(err, again) {
			return err
		}
		must[*model.Key](t)(w.Rotate(ctx, by, id("k")))
		return w.Unit(ctx, fn)
	})
	s := keys.New(w.Env, w.store, guard, keys.Options{})
	sig, used, err := s.Sign(t.Context(), by, id("k"), "ES256", digest("m"))
	if err != nil || used == first.ID {
		t.Fatal(used, err)
	}
	if ok, err := w.Verify(t.Context(), by, used, "ES256", digest("m"), sig); !ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
}
