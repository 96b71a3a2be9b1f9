package keys_test

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/perdure/perdure/vault/internal/keys"
	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/vaulttest"
)

func TestCreate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, keys.Options{})
	all, signs, encrypts := "sign verify encrypt decrypt wrapKey unwrapKey", "sign verify", "encrypt decrypt wrapKey unwrapKey"
	for _, test := range []struct {
		in  model.CreateKey
		ops string
		jwk map[string]string // what it must have
	}{
		{model.CreateKey{Type: "RSA"}, all, map[string]string{"kty": "RSA", "e": "AQAB"}},
		{model.CreateKey{Type: "RSA-HSM", PublicExponent: 65537, Ops: []string{"verify", "sign", "sign"}}, signs, nil},
		{model.CreateKey{Type: "EC"}, signs, map[string]string{"kty": "EC", "crv": "P-256"}},
		{model.CreateKey{Type: "EC-HSM", Curve: "P-521", Ops: []string{"sign"}}, "sign", map[string]string{"crv": "P-521"}},
		{model.CreateKey{Type: "OKP"}, signs, map[string]string{"crv": "Ed25519"}},
		{model.CreateKey{Type: "oct"}, encrypts, map[string]string{"kty": "oct"}},
		{model.CreateKey{Type: "oct-HSM", Size: 128, Ops: []string{"unwrapKey", "wrapKey"}}, "wrapKey unwrapKey", nil},
		{model.CreateKey{Type: "oct", Size: 512}, signs, nil},
		{model.CreateKey{Type: "oct", Size: 256, Ops: []string{"sign", "verify"}}, signs, nil},
	} {
		k, err := w.Create(t.Context(), by, id("k"), test.in)
		if err != nil {
			t.Errorf("%+v: %v", test.in, err)
			continue
		}
		if k.Type != test.in.Type || strings.Join(k.Ops, " ") != test.ops || !k.Enabled || k.Managed || len(k.Version) != 32 {
			t.Errorf("%+v: %+v", test.in, k)
		}
		var jwk map[string]string
		if err := json.Unmarshal(k.JWK, &jwk); err != nil {
			t.Fatal(err)
		}
		for name, value := range test.jwk {
			if jwk[name] != value {
				t.Errorf("%+v: %s", test.in, k.JWK)
			}
		}
		if jwk["d"] != "" || jwk["k"] != "" {
			t.Errorf("%+v: the private part is there: %v", test.in, slices.Collect(maps.Keys(jwk)))
		}
	}
	for _, test := range []struct {
		in    model.CreateKey
		field string
	}{
		{model.CreateKey{}, "kty"}, {model.CreateKey{Type: "-HSM"}, "kty"}, {model.CreateKey{Type: "RSA-HSM-HSM"}, "kty"},
		{model.CreateKey{Type: "RSA", Size: 1024}, "key_size"}, {model.CreateKey{Type: "EC", Curve: "P-256K"}, "crv"},
		{model.CreateKey{Type: "RSA", PublicExponent: 3}, "public_exponent"}, {model.CreateKey{Type: "EC", PublicExponent: 65537}, "public_exponent"},
		{model.CreateKey{Type: "EC", Ops: []string{"encrypt"}}, "key_ops"}, {model.CreateKey{Type: "RSA", Ops: []string{"import"}}, "key_ops"},
		{model.CreateKey{Type: "oct", Ops: []string{"sign", "encrypt"}}, "key_ops"},
		{model.CreateKey{Type: "EC", Change: model.Change{Tags: map[string]string{"": "x"}}}, "tags"},
	} {
		_, err := w.Create(t.Context(), by, id("bad"), test.in)
		wantField(t, err, test.field, "")
	}
	_, err := w.Create(t.Context(), by, id("no_name"), model.CreateKey{Type: "EC"})
	wantField(t, err, "name", "")
}

// An RSA key takes long: it is made by nobody without the right, and outside the unit.
func TestRSAIsMadeOutsideTheUnit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, keys.Options{})
	units := 0
	guard := guardFunc(func(ctx context.Context, fn func(context.Context) error) error {
		units++
		began := time.Now()
		err := w.Unit(ctx, fn)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("a unit took %v", took)
		}
		return err
	})
	s := keys.New(w.Env, w.store, guard, keys.Options{})
	must[*model.Key](t)(s.Create(t.Context(), by, id("rsa"), model.CreateKey{Type: "RSA"}))
	if units != 2 {
		t.Errorf("%d units: want one that finds the need of a key, and one with it", units)
	}
	s = keys.New(w.Env, w.store, guardFunc(func(context.Context, func(context.Context) error) error { return model.ErrForbidden }), keys.Options{})
	_, err := s.Create(t.Context(), by, id("rsa"), model.CreateKey{Type: "RSA", Size: 4096})
	want(t, "without the right", err, model.ErrForbidden)
}

// guardFunc is a guard that runs units itself.
type guardFunc func(ctx context.Context, fn func(context.Context) error) error

func (g guardFunc) Do(ctx context.Context, _ model.Caller, _ *model.Operation, fn func(context.Context) error) error {
	return g(ctx, fn)
}

func (g guardFunc) Visible(ctx context.Context, _ model.Caller, _ *model.Operation, fn func(context.Context, func(string) bool) error) error {
	return g(ctx, func(ctx context.Context) error { return fn(ctx, func(string) bool { return true }) })
}

func TestImport(t *testing.T) {
	t.Parallel()
	w := newWorld(t, keys.Options{})
	// RFC 8037, appendix A.1.
	const jwk = `{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"OPS}`
	k := must[*model.Key](t)(w.Import(t.Context(), by, id("k"), model.ImportKey{JWK: []byte(strings.Replace(jwk, "OPS", "", 1)), Change: model.Change{Tags: map[string]string{"a": "b"}}}))
	if k.Type != "OKP" || strings.Join(k.Ops, " ") != "sign verify" || k.Tags["a"] != "b" || strings.Contains(string(k.JWK), `"d"`) {
		t.Errorf("%+v", k)
	}
	sig, used, err := w.Sign(t.Context(), by, id("k"), "EdDSA", []byte("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"))
	if err != nil || used != k.ID {
		t.Fatal(used, err)
	}
	const rfc = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
	if got := string(must[[]byte](t)(jose64(sig))); got != rfc {
		t.Errorf("signature %s", got)
	}
	k = must[*model.Key](t)(w.Import(t.Context(), by, id("k"), model.ImportKey{JWK: []byte(strings.Replace(jwk, "OPS", `,"key_ops":["verify"]`, 1)), HSM: true}))
	if k.Type != "OKP-HSM" || strings.Join(k.Ops, " ") != "verify" {
		t.Errorf("%+v", k)
	}
	_, err = w.Import(t.Context(), by, id("k"), model.ImportKey{JWK: []byte(strings.Replace(jwk, "OPS", `,"key_ops":["wrapKey"]`, 1))})
	wantField(t, err, "key_ops", "wrapKey")
	_, err = w.Import(t.Context(), by, id("k"), model.ImportKey{JWK: []byte(`{"kty":"EC"}`)})
	wantField(t, err, "crv", "")
}

// jose64 is base64url as JOSE has it.
func jose64(b []byte) ([]byte, error) {
	m, err := (&jose.JSONWebKey{Key: b}).MarshalJSON()
	if err != nil {
		return nil, err
	}
	var k struct{ K string }
	err = json.Unmarshal(m, &k)
	return []byte(k.K), err
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, keys.Options{})
	first := w.create(t, "k", "EC")
	w.create(t, "k", "EC")
	exp := vaulttest.Epoch.Add(day)
	k := must[*model.Key](t)(w.Update(t.Context(), by, first.ID, model.UpdateKey{Ops: []string{"verify"}, Change: model.Change{Expires: &exp, Tags: map[string]string{"x": "y"}}}))
	if strings.Join(k.Ops, " ") != "verify" || !k.Expires.Equal(exp) || k.Tags["x"] != "y" || string(k.JWK) != string(first.JWK) {
		t.Errorf("%+v", k)
	}
	_, _, err := w.Sign(t.Context(), by, first.ID, "ES256", digest("m"))
	want(t, "sign", err, model.ErrOperation)
	if k := must[*model.Key](t)(w.Get(t.Context(), by, id("K"))); strings.Join(k.Ops, " ") != "sign verify" || k.Tags != nil {
		t.Errorf("the other version has changed: %+v", k)
	}
	_, err = w.Update(t.Context(), by, first.ID, model.UpdateKey{Ops: []string{"decrypt"}})
	wantField(t, err, "key_ops", "decrypt")
	if k := must[*model.Key](t)(w.Update(t.Context(), by, first.ID, model.UpdateKey{Ops: []string{}})); len(k.Ops) != 0 {
		t.Errorf("%+v", k)
	}
	_, err = w.Verify(t.Context(), by, first.ID, "ES256", digest("m"), nil)
	want(t, "verify", err, model.ErrOperation)
	_, err = w.Update(t.Context(), by, id("other"), model.UpdateKey{})
	want(t, "no such key", err, model.ErrNotFound)
}

func TestListsAndTheirAudit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, keys.Options{})
	a := w.create(t, "a", "EC")
	b1 := w.create(t, "b", "OKP")
	b2 := w.create(t, "b", "OKP")
	l := must[model.List[*model.Key]](t)(w.List(t.Context(), by, model.DefaultVault, model.Page{}))
	if len(l.Items) != 2 || l.Items[0].ID != a.ID || l.Items[1].ID != b2.ID || l.Items[1].Type != "OKP" {
		t.Errorf("%+v", l.Items)
	}
	l = must[model.List[*model.Key]](t)(w.Versions(t.Context(), by, id("b"), model.Page{}))
	if len(l.Items) != 2 || l.Items[0].ID != b2.ID || l.Items[1].ID != b1.ID {
		t.Errorf("%+v", l.Items)
	}
	must[*model.Key](t)(w.Get(t.Context(), by, b1.ID))
	var log []string
	for _, o := range w.Guard.Done() {
		log = append(log, string(o.Op)+" "+o.ID.String()+" "+o.Detail)
	}
	if got, want := strings.Join(log, "\n"), strings.Join([]string{
		"create " + a.ID.String() + " EC P-256", "create " + b1.ID.String() + " OKP Ed25519", "create " + b2.ID.String() + " OKP Ed25519",
		"list default/keys/ ", "list default/keys/b ", "get " + b1.ID.String() + " ",
	}, "\n"); got != want {
		t.Errorf("audit log:\n%s\nwant\n%s", got, want)
	}
}

func TestDeletedKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, keys.Options{})
	k := w.create(t, "k", "EC")
	sig, _, err := w.Sign(t.Context(), by, id("k"), "ES256", digest("m"))
	if err != nil {
		t.Fatal(err)
	}
	backup := must[[]byte](t)(w.Backup(t.Context(), by, id("k")))
	_, err = w.Restore(t.Context(), by, model.DefaultVault, backup)
	want(t, "restore over it", err, model.ErrExists)
	d := must[*model.Deleted[*model.Key]](t)(w.Delete(t.Context(), by, id("k")))
	if d.Item.ID != k.ID || d.PurgeAt.IsZero() {
		t.Errorf("%+v", d)
	}
	if n := w.CachedKeys(); n != 0 {
		t.Errorf("%d keys of a deleted one are in memory", n)
	}
	_, _, err = w.Sign(t.Context(), by, k.ID, "ES256", digest("m"))
	want(t, "sign", err, model.ErrNotFound)
	_, err = w.Get(t.Context(), by, id("k"))
	want(t, "get", err, model.ErrNotFound)
	_, err = w.Create(t.Context(), by, id("k"), model.CreateKey{Type: "EC"})
	want(t, "create", err, model.ErrDeleted)
	if l := must[model.List[model.Deleted[*model.Key]]](t)(w.ListDeleted(t.Context(), by, model.DefaultVault, model.Page{})); len(l.Items) != 1 || l.Items[0].Item.ID != k.ID {
		t.Errorf("%+v", l)
	}
	if d := must[*model.Deleted[*model.Key]](t)(w.GetDeleted(t.Context(), by, id("k"))); d.Item.ID != k.ID {
		t.Errorf("%+v", d)
	}
	must[*model.Key](t)(w.Recover(t.Context(), by, id("k")))
	if ok, err := w.Verify(t.Context(), by, k.ID, "ES256", digest("m"), sig); !ok || err != nil {
		t.Errorf("after recovery: %v, %v", ok, err)
	}
	must[*model.Deleted[*model.Key]](t)(w.Delete(t.Context(), by, id("k")))
	if err := w.Purge(t.Context(), by, id("k")); err != nil {
		t.Fatal(err)
	}
	want(t, "purge again", w.Purge(t.Context(), by, id("k")), model.ErrNotFound)
	if got := must[*model.Key](t)(w.Restore(t.Context(), by, model.DefaultVault, backup)); got.ID != k.ID || string(got.JWK) != string(k.JWK) {
		t.Errorf("%+v", got)
	}
	if ok, err := w.Verify(t.Context(), by, k.ID, "ES256", digest("m"), sig); !ok || err != nil {
		t.Errorf("after a backup was restored: %v, %v", ok, err)
	}
}
