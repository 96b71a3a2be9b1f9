package rest_test

import (
	"context"
	"strings"
	"testing"

	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/keys"
	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/rest"
	"github.com/perdure/perdure/vault/internal/secrets"
	"github.com/perdure/perdure/vault/internal/vaulttest"
)

// only lets everybody do everything with what has one name, and the operator with all.
type only struct {
	*vaulttest.Guard
	name string
}

// Do implements model.Guard.
func (g only) Do(ctx context.Context, by model.Caller, op *model.Operation, fn func(ctx context.Context) error) error {
	if op.Name != g.name && !by.Operator {
		return model.ErrForbidden
	}
	return g.Guard.Do(ctx, by, op, fn)
}

// Visible implements model.Guard.
func (g only) Visible(ctx context.Context, by model.Caller, op *model.Operation, fn func(ctx context.Context, visible func(name string) bool) error) error {
	return g.Guard.Visible(ctx, by, op, func(ctx context.Context, _ func(string) bool) error {
		return fn(ctx, func(name string) bool { return name == g.name })
	})
}

// Who may do something with one item does not learn from any answer whether there is another.
func TestOthersStayUnknown(t *testing.T) {
	t.Parallel()
	w := vaulttest.New(t)
	guard := only{w.Guard, "mine"}
	store := items.New(w.Env, items.Options{})
	s := secrets.New(w.Env, store, guard)
	o := stubs(nil)
	o.Secrets, o.Keys = s, keys.New(w.Env, store, guard, keys.Options{})
	h := rest.New(options(o, &logged{}))
	for _, name := range []string{"mine", "there", "deleted"} {
		_, err := s.Set(t.Context(), model.Operator, model.ID{Vault: "one", Name: name}, model.SetSecret{Value: "hunter2"})
		must(t, err)
	}
	_, err := s.Delete(t.Context(), model.Operator, model.ID{Vault: "one", Name: "deleted"})
	must(t, err)

	const body = `{"value":"AA","alg":"A256KW","digest":"AA","kty":"RSA","key":{"kty":"oct","k":"AA"}}`
	for _, target := range []string{
		"GET secrets/NAME", "GET secrets/NAME/" + version, "PUT secrets/NAME", "PATCH secrets/NAME", "PATCH secrets/NAME/" + version, "GET secrets/NAME/versions", "DELETE secrets/NAME",
		"GET deletedsecrets/NAME", "POST deletedsecrets/NAME/recover", "DELETE deletedsecrets/NAME", "POST secrets/NAME/backup", "POST keys/NAME/sign",
		"POST keys/NAME/create", "PUT keys/NAME", "GET keys/NAME/rotationpolicy", "POST keys/NAME/rotate",
	} {
		method, path, _ := strings.Cut(target, " ")
		answer := func(name string) string {
			a := send(h, method, "/"+strings.ReplaceAll(path, "NAME", name)+query, body)
			if a.status != 403 {
				t.Errorf("%s of %s: %d %s, want 403", target, name, a.status, a.text)
			}
			return strings.ReplaceAll(a.text, name, "NAME")
		}
		unknown := answer("unknown")
		for _, name := range []string{"there", "deleted"} {
			if got := answer(name); got != unknown {
				t.Errorf("%s of %s: %s, and of what is not there: %s", target, name, got, unknown)
			}
		}
	}
	for _, path := range []string{"/secrets", "/secrets?maxresults=1", "/deletedsecrets"} {
		sep := "?"
		if strings.Contains(path, sep) {
			sep = "&"
		}
		a := send(h, "GET", path+sep+query[1:], "")
		if a.status != 200 || strings.Contains(a.text, "/there") || strings.Contains(a.text, "/deleted\"") {
			t.Errorf("%s: %d %s", path, a.status, a.text)
		}
	}
	if a := send(h, "GET", "/secrets/mine"+query, ""); a.status != 200 {
		t.Errorf("mine: %d %s", a.status, a.text)
	}
}
