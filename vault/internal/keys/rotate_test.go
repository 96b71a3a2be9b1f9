package keys_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/keys"
	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/vaulttest"
)

func TestRotate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, keys.Options{})
	for _, c := range []model.CreateKey{
		{Type: "RSA-HSM", Ops: []string{"wrapKey", "unwrapKey"}}, {Type: "EC", Curve: "P-384"}, {Type: "OKP"},
		{Type: "oct", Size: 192}, {Type: "oct", Size: 512},
	} {
		c.Tags = map[string]string{"a": "b"}
		old := must[*model.Key](t)(w.Create(t.Context(), by, id("k"), c))
		k := must[*model.Key](t)(w.Rotate(t.Context(), by, id("k")))
		if k.Version == old.Version || bytes.Equal(k.JWK, old.JWK) != (old.Type == "oct") ||
			k.Type != c.Type || !reflect.DeepEqual(k.Ops, old.Ops) || k.Tags["a"] != "b" || !k.Enabled || !k.Expires.IsZero() {
			t.Errorf("%+v after %+v", k, old)
		}
		if current := must[*model.Key](t)(w.Get(t.Context(), by, id("k"))); current.ID != k.ID {
			t.Errorf("the current version is %s", current.ID)
		}
		if c.Curve != "" && !strings.Contains(string(k.JWK), c.Curve) {
			t.Errorf("%s", k.JWK)
		}
	}
	_, err := w.Rotate(t.Context(), by, id("none"))
	want(t, "no such key", err, model.ErrNotFound)
	w.change(t, id("k"), model.Change{Enabled: ptr(false)})
	_, err = w.Rotate(t.Context(), by, id("k"))
	want(t, "a disabled key", err, model.ErrDisabled)
}

// What was made with a version is verified and decrypted by it after many rotations, and by no other one.
func TestOldVersionsStayUseful(t *testing.T) {
	t.Parallel()
	w := newWorld(t, keys.Options{})
	w.create(t, "sign", "EC")
	w.create(t, "wrap", "oct")
	type made struct {
		signer, wrapper model.ID
		sig             []byte
		wrapped         *model.Cipher
	}
	var all []made
	for range 3 {
		var m made
		var err error
		if m.sig, m.signer, err = w.Sign(t.Context(), by, id("sign"), "ES256", digest("m")); err != nil {
			t.Fatal(err)
		}
		if m.wrapped, m.wrapper, err = w.Wrap(t.Context(), by, id("wrap"), model.Cipher{Alg: "A256KW", Value: digest("key")}); err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
		must[*model.Key](t)(w.Rotate(t.Context(), by, id("sign")))
		must[*model.Key](t)(w.Rotate(t.Context(), by, id("wrap")))
	}
	for i, a := range all {
		for j, b := range all {
			ok, err := w.Verify(t.Context(), by, a.signer, "ES256", digest("m"), b.sig)
			if ok != (i == j) || err != nil {
				t.Errorf("version %d verifies what %d has signed: %v, %v", i, j, ok, err)
			}
			out, _, err := w.Unwrap(t.Context(), by, a.wrapper, *b.wrapped)
			if i == j && (err != nil || !bytes.Equal(out.Value, digest("key"))) || i != j && !errors.Is(err, model.ErrCiphertext) {
				t.Errorf("version %d unwraps what %d has wrapped: %v", i, j, err)
			}
		}
	}
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, keys.Options{})
	_, err := w.RotationPolicy(t.Context(), by, id("k"))
	want(t, "no such key", err, model.ErrNotFound)
	_, err = w.SetRotationPolicy(t.Context(), by, id("k"), model.RotationPolicy{})
	want(t, "no such key", err, model.ErrNotFound)
	w.create(t, "k", "EC")
	p := must[*model.RotationPolicy](t)(w.RotationPolicy(t.Context(), by, id("k")))
	if want := (&model.RotationPolicy{Actions: []model.KeyAction{{Action: "Notify", BeforeExpiry: "P30D"}}}); !reflect.DeepEqual(p, want) {
		t.Errorf("without a policy: %+v", p)
	}
	rotate := func(after, before string) model.KeyAction {
		return model.KeyAction{Action: "Rotate", AfterCreate: after, BeforeExpiry: before}
	}
	notify := func(before string) model.KeyAction { return model.KeyAction{Action: "notify", BeforeExpiry: before} }
	for _, good := range []model.RotationPolicy{
		{}, *p, {ExpiryTime: "P28D"}, {ExpiryTime: "P1M"}, {ExpiryTime: "P2Y", Actions: []model.KeyAction{rotate("P18M", ""), notify("P30D")}},
		{Actions: []model.KeyAction{rotate("P7D", "")}}, {ExpiryTime: "P90D", Actions: []model.KeyAction{rotate("", "P83D")}},
		{ExpiryTime: "P90D", Actions: []model.KeyAction{rotate("P83D", "")}}, {ExpiryTime: "P90D", Actions: []model.KeyAction{notify("PT168H")}},
	} {
		w.later(time.Minute)
		set := must[*model.RotationPolicy](t)(w.SetRotationPolicy(t.Context(), by, id("k"), good))
		got := must[*model.RotationPolicy](t)(w.RotationPolicy(t.Context(), by, id("k")))
		if !reflect.DeepEqual(set, got) || !got.Created.Equal(vaulttest.Epoch.Add(time.Minute)) || !got.Updated.Equal(w.Clock.Now()) ||
			got.ExpiryTime != good.ExpiryTime || len(got.Actions) != len(good.Actions) {
			t.Errorf("%+v is %+v", good, got)
		}
	}
	for _, bad := range []struct {
		p           model.RotationPolicy
		field, text string
	}{
		{model.RotationPolicy{ExpiryTime: "90 days"}, "expiryTime", "ISO 8601"},
		{model.RotationPolicy{ExpiryTime: "P27D"}, "expiryTime", "28 days"},
		{model.RotationPolicy{ExpiryTime: "PT1M"}, "expiryTime", "28 days"},
		{model.RotationPolicy{Actions: []model.KeyAction{{Action: "Delete", AfterCreate: "P90D"}}}, "lifetimeActions", "Rotate or Notify"},
		{model.RotationPolicy{Actions: []model.KeyAction{rotate("", "")}}, "lifetimeActions", "either"},
		{model.RotationPolicy{Actions: []model.KeyAction{rotate("P30D", "P30D")}}, "lifetimeActions", "either"},
		{model.RotationPolicy{Actions: []model.KeyAction{rotate("P6D", "")}}, "lifetimeActions", "7 days"},
		{model.RotationPolicy{Actions: []model.KeyAction{rotate("soon", "")}}, "lifetimeActions", "ISO 8601"},
		{model.RotationPolicy{Actions: []model.KeyAction{rotate("", "P30D")}}, "lifetimeActions", "expiryTime"},
		{model.RotationPolicy{ExpiryTime: "P90D", Actions: []model.KeyAction{rotate("P84D", "")}}, "lifetimeActions", "7 days less"},
		{model.RotationPolicy{ExpiryTime: "P90D", Actions: []model.KeyAction{rotate("", "P84D")}}, "lifetimeActions", "7 days less"},
		{model.RotationPolicy{Actions: []model.KeyAction{{Action: "Notify", AfterCreate: "P30D"}}}, "lifetimeActions", "timeBeforeExpiry"},
		{model.RotationPolicy{Actions: []model.KeyAction{rotate("P30D", ""), rotate("P40D", "")}}, "lifetimeActions", "twice"},
		{model.RotationPolicy{Actions: []model.KeyAction{notify("P30D"), notify("P40D")}}, "lifetimeActions", "twice"},
		{model.RotationPolicy{Actions: []model.KeyAction{notify("P30D"), notify("P30D"), notify("P30D")}}, "lifetimeActions", "at most"},
	} {
		_, err := w.SetRotationPolicy(t.Context(), by, id("k"), bad.p)
		wantField(t, err, bad.field, bad.text)
	}
}

// policy gives a key a policy.
func (w *world) policy(t *testing.T, name, expiry string, actions ...model.KeyAction) {
	t.Helper()
	must[*model.RotationPolicy](t)(w.SetRotationPolicy(t.Context(), by, id(name), model.RotationPolicy{ExpiryTime: expiry, Actions: actions}))
}

// versions runs what is due and returns how many versions a key has then.
func (w *world) versions(t *testing.T, name string) int {
	t.Helper()
	if err := w.RotateDue(t.Context()); err != nil {
		t.Error(err)
	}
	return len(must[model.List[*model.Key]](t)(w.Versions(t.Context(), by, id(name), model.Page{})).Items)
}

func (w *world) wantVersions(t *testing.T, name string, n int) {
	t.Helper()
	if got := w.versions(t, name); got != n {
		t.Errorf("at %v %s has %d versions, want %d", w.Clock.Now(), name, got, n)
	}
}

func TestRotationAfterCreate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, keys.Options{})
	w.create(t, "k", "EC")
	w.policy(t, "k", "P60D", model.KeyAction{Action: "Rotate", AfterCreate: "P30D"})
	w.wantVersions(t, "k", 1)
	w.later(30*day - time.Second)
	w.wantVersions(t, "k", 1)
	w.Guard.Done()
	w.later(time.Second)
	w.wantVersions(t, "k", 2)
	if o := w.Guard.Done()[0]; o.Op != model.OpRotate || o.Detail != "by its rotation policy" || len(o.Version) != 32 {
		t.Errorf("audit entry %+v", o)
	}
	k := must[*model.Key](t)(w.Get(t.Context(), by, id("k")))
	if want := vaulttest.Epoch.Add(90 * day); !k.Expires.Equal(want) {
		t.Errorf("expires %v, want %v", k.Expires, want)
	}
	w.wantVersions(t, "k", 2)
	w.later(29 * day)
	must[*model.Key](t)(w.Rotate(t.Context(), by, id("k"))) // by hand: counts from here
	w.later(29 * day)
	w.wantVersions(t, "k", 3)
	w.later(day)
	w.wantVersions(t, "k", 4)
	w.policy(t, "k", "")
	w.later(400 * day)
	w.wantVersions(t, "k", 4)
}

func TestRotationBeforeExpiry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, keys.Options{})
	w.create(t, "k", "EC")
	w.policy(t, "k", "P90D", model.KeyAction{Action: "Rotate", BeforeExpiry: "P10D"})
	w.later(1000 * day)
	w.wantVersions(t, "k", 1) // it has no expiry
	w.change(t, id("k"), model.Change{Expires: ptr(w.Clock.Now().Add(20 * day))})
	w.later(10*day - time.Second)
	w.wantVersions(t, "k", 1)
	w.later(time.Second)
	w.wantVersions(t, "k", 2)
	w.later(80*day - time.Second)
	w.wantVersions(t, "k", 2)
	w.later(time.Second)
	w.wantVersions(t, "k", 3)
}

func TestDisabledDeletedAndRestoredKeysAndTheirPolicies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, keys.Options{})
	w.create(t, "k", "EC")
	w.policy(t, "k", "", model.KeyAction{Action: "Rotate", AfterCreate: "P30D"})
	w.change(t, id("k"), model.Change{Enabled: ptr(false)})
	w.later(31 * day)
	w.wantVersions(t, "k", 1)
	w.change(t, id("k"), model.Change{Enabled: ptr(true)})
	w.wantVersions(t, "k", 2)

	backup := must[[]byte](t)(w.Backup(t.Context(), by, id("k")))
	must[*model.Deleted[*model.Key]](t)(w.Delete(t.Context(), by, id("k")))
	w.later(31 * day)
	if err := w.RotateDue(t.Context()); err != nil {
		t.Errorf("a deleted key: %v", err)
	}
	must[*model.Key](t)(w.Recover(t.Context(), by, id("k")))
	w.wantVersions(t, "k", 3)

	must[*model.Deleted[*model.Key]](t)(w.Delete(t.Context(), by, id("k")))
	if err := w.Purge(t.Context(), by, id("k")); err != nil {
		t.Fatal(err)
	}
	must[*model.Key](t)(w.Restore(t.Context(), by, model.DefaultVault, backup))
	w.wantVersions(t, "k", 3) // two in the backup, whose last one is old by now
}

func TestNotices(t *testing.T) {
	t.Parallel()
	var notices []keys.Notice
	fail := errors.New("nobody listens")
	w := newWorld(t, keys.Options{Notify: func(_ context.Context, n keys.Notice) error {
		if fail != nil {
			return fail
		}
		notices = append(notices, n)
		return nil
	}})
	k := w.create(t, "k", "EC")
	exp := w.Clock.Now().Add(100 * day)
	w.change(t, id("k"), model.Change{Expires: &exp})
	w.policy(t, "k", "P90D", model.KeyAction{Action: "Notify", BeforeExpiry: "P30D"})
	w.later(70*day - time.Second)
	if err := w.RotateDue(t.Context()); err != nil || notices != nil {
		t.Errorf("%v, %v", notices, err)
	}
	w.later(time.Second)
	want(t, "nobody listens", w.RotateDue(t.Context()), fail)
	fail = nil
	want(t, "before it is tried again", w.RotateDue(t.Context()), nil)
	if notices != nil {
		t.Errorf("tried again at once: %v", notices)
	}
	w.later(time.Hour)
	for range 3 {
		want(t, "notice", w.RotateDue(t.Context()), nil)
		w.change(t, id("k"), model.Change{Tags: map[string]string{"x": "y"}})
	}
	if len(notices) != 1 || notices[0].ID != k.ID || !notices[0].Expires.Equal(exp) {
		t.Errorf("notices %+v", notices)
	}
	w.change(t, id("k"), model.Change{Expires: ptr(exp.Add(day))})
	w.later(2 * day)
	want(t, "notice", w.RotateDue(t.Context()), nil)
	if len(notices) != 2 {
		t.Errorf("after another expiry: %+v", notices)
	}
}

// More than a batch, of which one key fails: the others get theirs.
func TestManyPolicies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, keys.Options{})
	const n = 45
	for i := range n {
		name := fmt.Sprintf("k%02d", i)
		w.create(t, name, "oct 512")
		w.policy(t, name, "", model.KeyAction{Action: "Rotate", AfterCreate: "P30D"})
	}
	full := id("k00")
	for range model.MaxVersions - 1 {
		w.Do(t, func(ctx context.Context) error {
			v, err := w.store.Get(ctx, full)
			if err != nil {
				return err
			}
			return w.store.Add(ctx, &items.Version{ID: full, Attributes: v.Attributes, Public: v.Public}, []byte{2})
		})
	}
	w.later(30 * day)
	err := w.RotateDue(t.Context())
	want(t, "a full key", err, model.ErrTooMany)
	if !strings.Contains(err.Error(), "k00") {
		t.Error(err)
	}
	for i := 1; i < n; i++ {
		w.wantVersions(t, fmt.Sprintf("k%02d", i), 2)
	}
}
