package binding

import (
	"context"
	"reflect"
)

// secretField is a field of In that is filled with a secret.
type secretField struct {
	field
	read func(ctx context.Context) (string, error)
}

// addSecret lets a field be filled with a secret if its tag names one.
func (in *Input) addSecret(f field, env Env) (secret bool, err error) {
	if env.Secret == nil {
		return false, nil
	}
	read, ok, err := env.Secret(f.tag)
	switch {
	case err != nil:
		return false, in.trigger.fail(f.name, "bind:%q: %w", f.tag, err)
	case !ok:
		return false, nil
	case f.typ.Kind() != reflect.String && f.typ != bytesType:
		return false, in.trigger.fail(f.name, "bind:%q: a secret is a string or a []byte, not a %s", f.tag, f.typ)
	}
	in.secrets = append(in.secrets, secretField{f, read})
	return true, nil
}

// loadSecrets fills the fields that secrets are bound to. A secret that cannot be read now may be later, so that is no mistake of
// the request or the event.
func (in *Input) loadSecrets(ctx context.Context, v reflect.Value) error {
	for _, f := range in.secrets {
		text, err := f.read(ctx)
		if err != nil {
			return err
		}
		v.FieldByIndex(f.index).Set(reflect.ValueOf(text).Convert(f.typ))
	}
	return nil
}
