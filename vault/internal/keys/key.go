package keys

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/jwa"
	"github.com/perdure/perdure/vault/internal/model"
)

// hsm is the end of the types of keys that were asked for in a hardware module. There is none: they are kept as all keys are.
const hsm = "-HSM"

// rsaNeeded ends a unit that needs a new RSA key: that is made outside, since it takes long, and the unit then runs
// again. So nobody makes the vault work who has not the right to.
type rsaNeeded struct{ spec jwa.Spec }

func (e *rsaNeeded) Error() string {
	return fmt.Sprintf("vault: a key of RSA %d has to be made", e.spec.Size)
}

// withNewKey runs op, whose unit gets new keys by fresh.
func (s *Service) withNewKey(ctx context.Context, op func(fresh func(jwa.Spec) (*jwa.Key, error)) error) error {
	var made *jwa.Key
	fresh := func(spec jwa.Spec) (*jwa.Key, error) {
		switch {
		case made != nil && made.Spec() == spec:
			return made, nil
		case spec.Type == jwa.RSA:
			return nil, &rsaNeeded{spec}
		}
		k, err := jwa.Generate(spec)
		made = k
		return k, err
	}
	for {
		err := op(fresh)
		var need *rsaNeeded
		if !errors.As(err, &need) {
			return err
		}
		if made, err = s.makeRSA(ctx, need.spec); err != nil {
			return err
		}
	}
}

// makeRSA makes a key while not too many others are being made.
func (s *Service) makeRSA(ctx context.Context, spec jwa.Spec) (*jwa.Key, error) {
	select {
	case s.making <- struct{}{}:
		defer func() { <-s.making }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return jwa.Generate(spec)
}

// Create makes a key, or a new version of one. The right is model.OpCreate. It is enabled unless the request says otherwise, is for all
// that its type can do unless that says something, and takes nothing from the version before.
func (s *Service) Create(ctx context.Context, by model.Caller, id model.ID, c model.CreateKey) (out *model.Key, err error) {
	id.Version = ""
	err = s.withNewKey(ctx, func(fresh func(jwa.Spec) (*jwa.Key, error)) error {
		return s.do(ctx, by, model.OpCreate, id, func(ctx context.Context, id model.ID, o *model.Operation) error {
			base, isHSM := strings.CutSuffix(c.Type, hsm)
			spec, err := jwa.Spec{Type: base, Size: c.Size, Curve: c.Curve}.Normal()
			if err != nil {
				return err
			}
			if c.PublicExponent != 0 && (spec.Type != jwa.RSA || c.PublicExponent != 65537) {
				return &model.FieldError{Field: "public_exponent", Detail: "want 65537, for RSA alone"}
			}
			v := &items.Version{ID: id, Attributes: model.Attributes{Enabled: true}}
			if err := items.Apply(v, c.Change); err != nil {
				return err
			}
			ops, err := opsFor(spec, c.Ops)
			if err != nil {
				return err
			}
			k, err := fresh(spec)
			if err != nil {
				return err
			}
			if err := s.add(ctx, v, k, isHSM, ops); err != nil {
				return err
			}
			o.ID, o.Detail = v.ID, k.String()
			out, err = keyOf(v)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// opsFor is checkOps with the default for none.
func opsFor(s jwa.Spec, ops []string) ([]string, error) {
	if len(ops) == 0 {
		ops = defaultOps(s)
	}
	return checkOps(s, ops)
}

// add makes a version of a key, and looks when its rotation policy is due.
func (s *Service) add(ctx context.Context, v *items.Version, k *jwa.Key, isHSM bool, ops []string) error {
	p := &publicPart{JWK: k.Public(), Type: k.Spec().Type, Size: k.Spec().Size, Ops: ops}
	if isHSM {
		p.Type += hsm
	}
	if err := p.put(v); err != nil {
		return err
	}
	secret, err := k.Encode()
	if err != nil {
		return err
	}
	defer clear(secret)
	if err := s.store.Add(ctx, v, secret); err != nil {
		return err
	}
	return s.schedule(ctx, v.ID)
}

// Import takes a key that was made elsewhere. The right is model.OpImport. The JSON Web Key's key_ops say what it is for.
func (s *Service) Import(ctx context.Context, by model.Caller, id model.ID, in model.ImportKey) (out *model.Key, err error) {
	id.Version = ""
	var j *jwa.JWK
	err = s.do(ctx, by, model.OpImport, id, func(ctx context.Context, id model.ID, o *model.Operation) (err error) {
		if j == nil {
			if j, err = jwa.ParseJWK(in.JWK); err != nil {
				return err
			}
		}
		ops, err := opsFor(j.Key.Spec(), j.Ops)
		if err != nil {
			return err
		}
		v := &items.Version{ID: id, Attributes: model.Attributes{Enabled: true}}
		if err := items.Apply(v, in.Change); err != nil {
			return err
		}
		if err := s.add(ctx, v, j.Key, in.HSM || j.HSM, ops); err != nil {
			return err
		}
		o.ID, o.Detail = v.ID, j.Key.String()
		out, err = keyOf(v)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Get returns the public part of a version, of the current one when id.Version is empty. The right is model.OpGet. It does not
// matter whether the version may be used.
func (s *Service) Get(ctx context.Context, by model.Caller, id model.ID) (out *model.Key, err error) {
	err = s.do(ctx, by, model.OpGet, id, func(ctx context.Context, id model.ID, o *model.Operation) error {
		v, err := s.store.Get(ctx, id)
		if err != nil {
			return err
		}
		o.ID = v.ID
		out, err = keyOf(v)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Update changes what is not the key itself of a version, of the current one when id.Version is empty. The right is model.OpUpdate.
func (s *Service) Update(ctx context.Context, by model.Caller, id model.ID, u model.UpdateKey) (out *model.Key, err error) {
	err = s.do(ctx, by, model.OpUpdate, id, func(ctx context.Context, id model.ID, o *model.Operation) error {
		v, err := s.store.Update(ctx, id, func(v *items.Version) error {
			if v.Managed {
				return managed(id)
			}
			if err := items.Apply(v, u.Change); err != nil {
				return err
			}
			if u.Ops == nil {
				return nil
			}
			p, err := publicOf(v)
			if err != nil {
				return err
			}
			if p.Ops, err = checkOps(p.spec(), u.Ops); err != nil {
				return err
			}
			return p.put(v)
		})
		if err != nil {
			return err
		}
		if err := s.schedule(ctx, v.ID); err != nil {
			return err
		}
		s.forget(ctx, v.ID)
		o.ID = v.ID
		out, err = keyOf(v)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// spec says what the key is.
func (p *publicPart) spec() jwa.Spec {
	s := jwa.Spec{Type: strings.TrimSuffix(p.Type, hsm), Size: p.Size}
	if s.Type == jwa.EC || s.Type == jwa.OKP {
		s.Curve = jwa.CurveOf(p.JWK)
	}
	return s
}

// List returns the keys of a vault that the caller may see, at their current versions. The right is model.OpList.
func (s *Service) List(ctx context.Context, by model.Caller, vault string, p model.Page) (out model.List[*model.Key], err error) {
	o := model.Operation{ID: model.ID{Vault: vault}, Op: model.OpList}
	err = s.visible(ctx, by, o, func(ctx context.Context, visible func(string) bool) error {
		found, err := s.store.List(ctx, vault, model.Keys, p, visible)
		if err != nil {
			return err
		}
		out, err = mapped(found, keyOf)
		return err
	})
	return out, err
}

// Versions returns the versions of a key, the current one first. The right is model.OpList.
func (s *Service) Versions(ctx context.Context, by model.Caller, id model.ID, p model.Page) (out model.List[*model.Key], err error) {
	id.Version = ""
	err = s.do(ctx, by, model.OpList, id, func(ctx context.Context, id model.ID, _ *model.Operation) error {
		found, err := s.store.Versions(ctx, id, p)
		if err != nil {
			return err
		}
		out, err = mapped(found, keyOf)
		return err
	})
	return out, err
}
