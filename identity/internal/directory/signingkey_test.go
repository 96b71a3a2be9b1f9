package directory_test

import (
	"context"
	"crypto/rsa"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/directorytest"
)

// keyIDs returns the id of the key that signs and those that are published.
func keyIDs(t *testing.T, w *directorytest.World, alg string) (current string, published []string) {
	t.Helper()
	w.Do(t, func(ctx context.Context) error {
		s, err := w.SigningKey(ctx, alg)
		if err != nil {
			return err
		}
		set, err := w.PublicKeys(ctx)
		if err != nil {
			return err
		}
		current, published = s.ID, nil
		for _, k := range set.Keys {
			if !k.IsPublic() || !k.Valid() || k.Use != "sig" {
				t.Errorf("key %s of the set is not a public key to verify with", k.KeyID)
			}
			published = append(published, k.KeyID)
		}
		return nil
	})
	return current, published
}

func maintain(t *testing.T, w *directorytest.World) {
	t.Helper()
	if err := w.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func has(list []string, s string) bool {
	for _, one := range list {
		if one == s {
			return true
		}
	}
	return false
}

func TestKeyIsPublishedBeforeItSignsAndAfterwards(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	first, published := keyIDs(t, w, directory.ES256)
	if len(published) != 1 || published[0] != first {
		t.Fatalf("published %v, want the first key %s alone", published, first)
	}
	maintain(t, w)
	_, published = keyIDs(t, w, directory.ES256)
	if len(published) != 2 {
		t.Fatalf("published %v, want the next key as well", published)
	}
	next := published[1]

	w.Clock.Advance(directory.KeyPeriod - time.Second)
	maintain(t, w)
	if current, _ := keyIDs(t, w, directory.ES256); current != first {
		t.Fatal("the key was rotated before its time")
	}
	w.Clock.Advance(time.Second)
	maintain(t, w)
	current, published := keyIDs(t, w, directory.ES256)
	if current != next || !has(published, first) || len(published) != 3 {
		t.Fatalf("after the period %s signs and %v are published, want %s, and %s with them", current, published, next, first)
	}
	w.Clock.Advance(directory.MaxTokenLifetime)
	maintain(t, w)
	if _, published = keyIDs(t, w, directory.ES256); has(published, first) {
		t.Error("the first key is published after its last token has expired")
	}
}

func TestRotationWaitsUntilTheNextKeyIsKnown(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	first, _ := keyIDs(t, w, directory.EdDSA)
	rotate := func(ctx context.Context) error { return w.RotateKeys(ctx, directory.Command) }
	w.Do(t, rotate)
	w.Do(t, rotate) // a second order does not hurry it
	if current, published := keyIDs(t, w, directory.EdDSA); current != first || len(published) != 2 {
		t.Fatalf("right after the order %s signs and %v are published, want %s with the next one", current, published, first)
	}
	w.Clock.Advance(directory.KeyLead)
	maintain(t, w)
	second, _ := keyIDs(t, w, directory.EdDSA)
	if second == first {
		t.Fatal("the key was not rotated after the next one had been published long enough")
	}
	w.Clock.Advance(directory.KeyLead)
	w.Do(t, rotate)
	if third, _ := keyIDs(t, w, directory.EdDSA); third == second {
		t.Error("a next key that is known did not take over at once")
	}
}

func TestRevokedKeyIsGoneAtOnce(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	first, _ := keyIDs(t, w, directory.ES256)
	w.Do(t, func(ctx context.Context) error { return w.RevokeKey(ctx, directory.Command, first) })
	current, published := keyIDs(t, w, directory.ES256)
	if current == first || has(published, first) || !has(published, current) {
		t.Errorf("%s signs and %v are published after %s was revoked", current, published, first)
	}
	w.Do(t, func(ctx context.Context) error {
		keys, err := w.ListSigningKeys(ctx)
		for _, k := range keys {
			if k.ID == first && (k.State != directory.KeyRevoked || k.Sealed != nil) {
				t.Errorf("revoked key is %s, private half kept: %v", k.State, k.Sealed != nil)
			}
		}
		return err
	})
}

func TestKeysOfAllAlgorithmsSign(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	for _, alg := range directory.Algorithms() {
		// Several at once make one key.
		var wg sync.WaitGroup
		ids := make([]string, 8)
		for i := range ids {
			wg.Go(func() {
				err := w.Unit(t.Context(), func(ctx context.Context) error {
					s, err := w.SigningKey(ctx, alg)
					if err == nil {
						ids[i] = s.ID
					}
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, id := range ids {
			if id != ids[0] {
				t.Fatalf("%s: two keys %s and %s", alg, id, ids[0])
			}
		}
		w.Do(t, func(ctx context.Context) error {
			s, err := w.SigningKey(ctx, alg)
			if err != nil {
				return err
			}
			if r, ok := s.Key.Public().(*rsa.PublicKey); ok && r.N.BitLen() < 2048 {
				t.Errorf("%s: RSA of %d bits", alg, r.N.BitLen())
			}
			signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: s.Key},
				(&jose.SignerOptions{}).WithHeader("kid", s.ID))
			if err != nil {
				return err
			}
			signed, err := signer.Sign([]byte("text"))
			if err != nil {
				return err
			}
			set, err := w.PublicKeys(ctx)
			if err != nil {
				return err
			}
			_, err = signed.Verify(set.Key(s.ID)[0])
			return err
		})
	}
}

// Another process has to open what this one sealed.
func TestKeyIsOpenedFromItsRow(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	current, _ := keyIDs(t, w, directory.ES256)
	again := &directory.Env{Unit: w.Unit, Clock: w.Clock, Seal: w.Seal, Issuer: w.Issuer}
	w.Do(t, func(ctx context.Context) error {
		s, err := again.SigningKey(ctx, directory.ES256)
		if err == nil && s.ID != current {
			t.Errorf("opened %s, want %s", s.ID, current)
		}
		return err
	})
	stranger := &directory.Env{Unit: w.Unit, Clock: w.Clock, Seal: directorytest.NewSealer(), Issuer: w.Issuer}
	err := w.Unit(t.Context(), func(ctx context.Context) error {
		_, err := stranger.SigningKey(ctx, directory.ES256)
		return err
	})
	if err == nil {
		t.Error("a key was opened without the key that it is sealed with")
	}
}
