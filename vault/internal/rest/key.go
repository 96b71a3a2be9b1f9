package rest

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/perdure/perdure/vault/internal/model"
)

// keyShape is a version of a key.
type keyShape struct {
	Key        json.RawMessage   `json:"key"`
	Attributes *attributesShape  `json:"attributes"`
	Tags       map[string]string `json:"tags,omitempty"`
	Managed    bool              `json:"managed,omitempty"`
	*deletionShape
}

// keyItemShape is a version of a key in a list.
type keyItemShape struct {
	KID        string            `json:"kid"`
	Attributes *attributesShape  `json:"attributes"`
	Tags       map[string]string `json:"tags,omitempty"`
	Managed    bool              `json:"managed,omitempty"`
	*deletionShape
}

// jwkShape is the public part of a key (RFC 7517): what this package lets through of what the service says.
type jwkShape struct {
	KID string   `json:"kid"`
	Kty string   `json:"kty"`
	Ops []string `json:"key_ops,omitempty"`
	N   string   `json:"n,omitempty"`
	E   string   `json:"e,omitempty"`
	Crv string   `json:"crv,omitempty"`
	X   string   `json:"x,omitempty"`
	Y   string   `json:"y,omitempty"`
}

// key writes a version of a key.
func (c *call) key(k *model.Key, d *deletionShape) any {
	var jwk jwkShape
	text := json.RawMessage(`{}`)
	if err := json.Unmarshal(k.JWK, &jwk); err == nil {
		jwk.KID, jwk.Kty, jwk.Ops = c.url(k.ID), k.Type, k.Ops
		if own, err := json.Marshal(jwk); err == nil {
			text = own
		}
	}
	return &keyShape{Key: text, Attributes: c.keyAttributes(k), Tags: k.Tags, Managed: k.Managed, deletionShape: d}
}

// keyAttributes writes the attributes of a key, which cannot be exported.
func (c *call) keyAttributes(k *model.Key) *attributesShape {
	a := c.attributes(&k.Attributes)
	a.Exportable = new(bool)
	return a
}

// keyAnswer is the answer with a version of a key.
func (c *call) keyAnswer(k *model.Key, err error) (*answer, error) {
	if err != nil {
		return nil, err
	}
	return ok(c.key(k, nil), nil)
}

// keyItem writes a version of a key in a list.
func (c *call) keyItem(k *model.Key, id string, d *deletionShape) any {
	return &keyItemShape{KID: id, Attributes: c.keyAttributes(k), Tags: k.Tags, Managed: k.Managed, deletionShape: d}
}

// keyBody is a key to be made, imported or changed.
type keyBody struct {
	Kty        string            `json:"kty"`
	Size       int               `json:"key_size"`
	Curve      string            `json:"crv"`
	Exponent   int               `json:"public_exponent"`
	Ops        []string          `json:"key_ops"`
	Key        json.RawMessage   `json:"key"`
	HSM        bool              `json:"Hsm"`
	Attributes *attributesBody   `json:"attributes"`
	Tags       map[string]string `json:"tags"`
	Release    json.RawMessage   `json:"release_policy"`
}

// keyBody reads a key to be made, imported or changed. Keys never leave: who asks for one that can is told so.
func (c *call) keyBody() (*keyBody, error) {
	in := &keyBody{}
	if err := c.decode(in); err != nil {
		return nil, err
	}
	if given(in.Release) || in.Attributes != nil && in.Attributes.Exportable {
		return nil, notSupported("Keys of this vault never leave it: exportable and release_policy are not supported.")
	}
	return in, nil
}

// given reports whether a member is there and not null.
func given(text json.RawMessage) bool { return len(text) > 0 && string(text) != "null" }

func (b *keyBody) change() model.Change { return b.Attributes.change(nil, b.Tags) }

// jwk is the key that is imported. What it is for stands in it (key_ops).
func (b *keyBody) jwk() ([]byte, error) {
	if !given(b.Key) || b.Key[0] != '{' {
		return nil, required("key")
	}
	return b.Key, nil
}

func keyEndpoints(o *Options) []endpoint {
	s := o.Keys
	id := func(c *call) model.ID { return c.id(model.Keys) }
	own := []endpoint{
		{method: "POST", path: "keys/{name}/create", body: maxBody, verb: "create", run: func(c *call) (*answer, error) {
			in, err := c.keyBody()
			if err != nil {
				return nil, err
			}
			if in.Kty == "" {
				return nil, required("kty")
			}
			k, err := s.Create(c.context(), c.by, id(c), model.CreateKey{
				Type: in.Kty, Size: in.Size, Curve: in.Curve, PublicExponent: in.Exponent, Ops: in.Ops, Change: in.change(),
			})
			return c.keyAnswer(k, err)
		}},
		{method: "PUT", path: "keys/{name}", body: maxImport, verb: "import", run: func(c *call) (*answer, error) {
			in, err := c.keyBody()
			if err != nil {
				return nil, err
			}
			jwk, err := in.jwk()
			if err != nil {
				return nil, err
			}
			k, err := s.Import(c.context(), c.by, id(c), model.ImportKey{JWK: jwk, HSM: in.HSM, Change: in.change()})
			return c.keyAnswer(k, err)
		}},
		{method: "POST", path: "keys/{name}/rotate", verb: "rotate", run: func(c *call) (*answer, error) {
			k, err := s.Rotate(c.context(), c.by, id(c))
			return c.keyAnswer(k, err)
		}},
		{method: "GET", path: "keys/{name}/rotationpolicy", verb: "getrotationpolicy", run: func(c *call) (*answer, error) {
			p, err := s.RotationPolicy(c.context(), c.by, id(c))
			return c.rotationAnswer(p, err)
		}},
		{method: "PUT", path: "keys/{name}/rotationpolicy", body: maxBody, verb: "setrotationpolicy", run: func(c *call) (*answer, error) {
			var in rotationShape
			if err := c.decode(&in); err != nil {
				return nil, err
			}
			p, err := in.policy()
			if err != nil {
				return nil, err
			}
			set, err := s.SetRotationPolicy(c.context(), c.by, id(c), *p)
			return c.rotationAnswer(set, err)
		}},
	}
	for i := range own {
		own[i].what = "Key"
	}
	update := updateEndpoints(model.Keys, "Key", func(c *call) (*answer, error) {
		in, err := c.keyBody()
		if err != nil {
			return nil, err
		}
		k, err := s.Update(c.context(), c.by, id(c), model.UpdateKey{Ops: in.Ops, Change: in.change()})
		return c.keyAnswer(k, err)
	})
	return slices.Concat(own, itemEndpoints(model.Keys, "Key", s, shapes[*model.Key]{
		id: func(k *model.Key) model.ID { return k.ID }, bundle: (*call).key, item: (*call).keyItem,
	}), update)
}

// rotationShape is a rotation policy.
type rotationShape struct {
	ID         string              `json:"id,omitempty"`
	Actions    []rotationAction    `json:"lifetimeActions"`
	Attributes *rotationAttributes `json:"attributes"`
}

type rotationAttributes struct {
	ExpiryTime *string `json:"expiryTime"`
	Created    *int64  `json:"created,omitempty"`
	Updated    *int64  `json:"updated,omitempty"`
}

type rotationAction struct {
	Trigger struct {
		AfterCreate  *string `json:"timeAfterCreate,omitempty"`
		BeforeExpiry *string `json:"timeBeforeExpiry,omitempty"`
	} `json:"trigger"`
	Action struct {
		Type string `json:"type"`
	} `json:"action"`
}

// policy is what a request sets. When it was made the service knows itself.
func (s *rotationShape) policy() (*model.RotationPolicy, error) {
	p := &model.RotationPolicy{}
	if s.Attributes != nil {
		p.ExpiryTime = value(s.Attributes.ExpiryTime)
	}
	for i, a := range s.Actions {
		one := model.KeyAction{Action: a.Action.Type, AfterCreate: value(a.Trigger.AfterCreate), BeforeExpiry: value(a.Trigger.BeforeExpiry)}
		if one.Action == "" {
			return nil, required(fmt.Sprintf("lifetimeActions[%d].action.type", i))
		}
		p.Actions = append(p.Actions, one)
	}
	return p, nil
}

// rotationAnswer is the answer with a rotation policy.
func (c *call) rotationAnswer(p *model.RotationPolicy, err error) (*answer, error) {
	if err != nil {
		return nil, err
	}
	s := &rotationShape{
		ID: c.url(c.id(model.Keys)) + "/rotationpolicy", Actions: []rotationAction{},
		Attributes: &rotationAttributes{ExpiryTime: textOrNil(p.ExpiryTime), Created: seconds(p.Created), Updated: seconds(p.Updated)},
	}
	for _, a := range p.Actions {
		var one rotationAction
		one.Action.Type = a.Action
		one.Trigger.AfterCreate, one.Trigger.BeforeExpiry = textOrNil(a.AfterCreate), textOrNil(a.BeforeExpiry)
		s.Actions = append(s.Actions, one)
	}
	return ok(s, nil)
}

// value is what a pointer points to; empty for nil.
func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// textOrNil is the other way around.
func textOrNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
