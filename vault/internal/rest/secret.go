package rest

import (
	"slices"

	"github.com/perdure/perdure/vault/internal/model"
)

// secretShape is a version of a secret.
type secretShape struct {
	Value       *string           `json:"value,omitempty"`
	ID          string            `json:"id"`
	ContentType string            `json:"contentType,omitempty"`
	Attributes  *attributesShape  `json:"attributes"`
	Tags        map[string]string `json:"tags,omitempty"`
	KID         string            `json:"kid,omitempty"` // the key of the certificate that it belongs to
	Managed     bool              `json:"managed,omitempty"`
	Previous    string            `json:"previousVersion,omitempty"`
	*deletionShape
}

// secret writes a version of a secret without its value.
func (c *call) secret(s *model.Secret, d *deletionShape) *secretShape {
	out := &secretShape{
		ID: c.url(s.ID), ContentType: s.ContentType, Attributes: c.attributes(&s.Attributes), Tags: s.Tags,
		Managed: s.Managed, Previous: s.Previous, deletionShape: d,
	}
	if s.Managed {
		out.KID = c.url(model.ID{Vault: s.Vault, Kind: model.Keys, Name: s.Name, Version: s.Version})
	}
	return out
}

// secretValue writes a version of a secret with its value, for the answers to set and get alone: who may update, recover
// or restore a secret may not therefore read it.
func (c *call) secretValue(s *model.Secret) any {
	out := c.secret(s, nil)
	out.Value = &s.Value
	return out
}

// secretItem writes a version of a secret in a list.
func (c *call) secretItem(s *model.Secret, id string, d *deletionShape) any {
	return &secretShape{
		ID: id, ContentType: s.ContentType, Attributes: c.attributes(&s.Attributes), Tags: s.Tags, Managed: s.Managed, deletionShape: d,
	}
}

type secretBody struct {
	Value       *string           `json:"value"`
	ContentType *string           `json:"contentType"`
	Tags        map[string]string `json:"tags"`
	Attributes  *attributesBody   `json:"attributes"`
}

func secretEndpoints(o *Options) []endpoint {
	s := o.Secrets
	set := endpoint{method: "PUT", path: "secrets/{name}", body: maxBody, what: "Secret", verb: "set", run: func(c *call) (*answer, error) {
		var in secretBody
		if err := c.decode(&in); err != nil {
			return nil, err
		}
		if in.Value == nil {
			return nil, required("value")
		}
		v, err := s.Set(c.context(), c.by, c.id(model.Secrets), model.SetSecret{Value: *in.Value, Change: in.Attributes.change(in.ContentType, in.Tags)})
		if err != nil {
			return nil, err
		}
		return ok(c.secretValue(v), nil)
	}}
	update := updateEndpoints(model.Secrets, "Secret", func(c *call) (*answer, error) {
		var in secretBody
		if err := c.decode(&in); err != nil {
			return nil, err
		}
		v, err := s.Update(c.context(), c.by, c.id(model.Secrets), in.Attributes.change(in.ContentType, in.Tags))
		if err != nil {
			return nil, err
		}
		return ok(c.secret(v, nil), nil)
	})
	return slices.Concat([]endpoint{set}, update, itemEndpoints(model.Secrets, "Secret", s, shapes[*model.Secret]{
		id:     func(v *model.Secret) model.ID { return v.ID },
		bundle: func(c *call, v *model.Secret, d *deletionShape) any { return c.secret(v, d) },
		got:    (*call).secretValue,
		item:   (*call).secretItem,
	}))
}
