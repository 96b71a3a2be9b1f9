package binding_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/perdure/perdure/internal/binding"
)

var errNoSuchSecret = errors.New("not found")

// withSecrets lets tags that begin with "vault:" name secrets, of which "key" is there.
func (fx *fixture) withSecrets() {
	fx.env.Secret = func(tag string) (func(context.Context) (string, error), bool, error) {
		name, ok := strings.CutPrefix(tag, "vault:")
		if ok && name == "" {
			return nil, false, errors.New("invalid")
		}
		return func(context.Context) (string, error) {
			if name != "key" {
				return "", errNoSuchSecret
			}
			return "s3cret", nil
		}, ok, nil
	}
}

func TestSecretsAreBound(t *testing.T) {
	t.Parallel()
	type text string
	type in struct {
		Key   string `bind:"vault:key"`
		Bytes []byte `bind:"vault:key"`
		Own   text   `bind:"vault:key"`
		Meta  row    `bind:"metadata/{id}"`
	}
	fx := newFixture()
	fx.withSecrets()
	fx.put(map[string]row{"file": {Owner: "ada"}})
	got, err := decode[in](t, fx, post("id"), pathRequest("id", "file"))
	if err != nil || got.Key != "s3cret" || string(got.Bytes) != "s3cret" || got.Own != "s3cret" || got.Meta.Owner != "ada" {
		t.Errorf("%+v, %v", got, err)
	}
	type missing struct {
		Key string `bind:"vault:other"`
	}
	if _, err := decode[missing](t, fx, post(), pathRequest("id", "file")); !errors.Is(err, errNoSuchSecret) {
		t.Errorf("a secret that is not there: %v", err)
	}
}

func TestSecretsThatCannotBeBound(t *testing.T) {
	t.Parallel()
	fx := newFixture()
	fx.withSecrets()
	for want, in := range map[string]any{
		"a string or a []byte": struct {
			Key int `bind:"vault:key"`
		}{},
		"invalid": struct {
			Key string `bind:"vault:"`
		}{},
	} {
		_, err := binding.CompileInput(reflect.TypeOf(in), post(), fx.env)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "Key") {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
