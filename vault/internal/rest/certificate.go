package rest

import (
	"crypto/sha1" //nolint:gosec // a thumbprint by which certificates are found, as Azure and RFC 7517 have it
	"slices"

	"github.com/perdure/perdure/vault/internal/model"
)

// certificateShape is a version of a certificate.
type certificateShape struct {
	ID          string            `json:"id"`
	KID         string            `json:"kid,omitempty"`
	SID         string            `json:"sid,omitempty"`
	Thumbprint  octets            `json:"x5t"`
	CER         der               `json:"cer,omitempty"`
	ContentType string            `json:"contentType,omitempty"`
	Attributes  *attributesShape  `json:"attributes"`
	Tags        map[string]string `json:"tags,omitempty"`
	Policy      *policyShape      `json:"policy,omitempty"`
	*deletionShape
}

// certificate writes a version of a certificate.
func (c *call) certificate(v *model.Certificate, d *deletionShape) any {
	at := func(kind model.Kind) string {
		return c.url(model.ID{Vault: v.Vault, Kind: kind, Name: v.Name, Version: v.Version})
	}
	out := &certificateShape{
		ID: c.url(v.ID), KID: at(model.Keys), SID: at(model.Secrets), Thumbprint: thumbprint(v.DER), CER: v.DER,
		Attributes: c.attributes(&v.Attributes), Tags: v.Tags, deletionShape: d,
	}
	if v.Policy != nil {
		out.Policy = c.policy(v.ID, v.Policy)
		out.ContentType = v.Policy.Secret.ContentType
	}
	return out
}

// certificateItem writes a version of a certificate in a list.
func (c *call) certificateItem(v *model.Certificate, id string, d *deletionShape) any {
	return &certificateShape{ID: id, Thumbprint: thumbprint(v.DER), Attributes: c.attributes(&v.Attributes), Tags: v.Tags, deletionShape: d}
}

func (c *call) certificateAnswer(v *model.Certificate, err error) (*answer, error) {
	if err != nil {
		return nil, err
	}
	return ok(c.certificate(v, nil), nil)
}

// thumbprint is the SHA-1 of a certificate (x5t, RFC 7517 section 4.8).
func thumbprint(certificate []byte) octets {
	sum := sha1.Sum(certificate) //nolint:gosec // see the import
	return sum[:]
}

// certificateBody is a certificate to be made, imported, merged or changed. The order of a chain is always kept
// (preserveCertOrder).
type certificateBody struct {
	Value      string            `json:"value"`
	Password   string            `json:"pwd"`
	Chain      []der             `json:"x5c"`
	Policy     *policyShape      `json:"policy"`
	Attributes *attributesBody   `json:"attributes"`
	Tags       map[string]string `json:"tags"`
}

func (b *certificateBody) change() model.Change { return b.Attributes.change(nil, b.Tags) }

// policy is the policy of the body; nil for none.
func (b *certificateBody) policy() (*model.Policy, error) {
	if b.Policy == nil {
		return nil, nil
	}
	p := &model.Policy{}
	return p, b.Policy.apply(p)
}

func certificateEndpoints(o *Options) []endpoint {
	s := o.Certificates
	id := func(c *call) model.ID { return c.id(model.Certificates) }
	own := []endpoint{
		{method: "POST", path: "certificates/{name}/import", body: maxImport, verb: "import", run: func(c *call) (*answer, error) {
			var in certificateBody
			if err := c.decode(&in); err != nil {
				return nil, err
			}
			if in.Value == "" {
				return nil, required("value")
			}
			policy, err := in.policy()
			if err != nil {
				return nil, err
			}
			v, err := s.Import(c.context(), c.by, id(c), model.ImportCertificate{Value: in.Value, Password: in.Password, Policy: policy, Change: in.change()})
			return c.certificateAnswer(v, err)
		}},
		{method: "GET", path: "certificates/{name}/policy", verb: "get", run: func(c *call) (*answer, error) {
			p, err := s.Policy(c.context(), c.by, id(c))
			return c.policyAnswer(p, err)
		}},
		{method: "PATCH", path: "certificates/{name}/policy", body: maxBody, verb: "update", run: func(c *call) (*answer, error) {
			var in policyShape
			if err := c.decode(&in); err != nil {
				return nil, err
			}
			return c.setPolicy(s, &in)
		}},
	}
	for i := range own {
		own[i].what = "Certificate"
	}
	update := updateEndpoints(model.Certificates, "Certificate", func(c *call) (*answer, error) {
		var in certificateBody
		if err := c.decode(&in); err != nil {
			return nil, err
		}
		if in.Policy != nil {
			return nil, badParameter("Property policy is changed at the path certificates/%s/policy.", c.args["name"])
		}
		v, err := s.Update(c.context(), c.by, id(c), in.change())
		return c.certificateAnswer(v, err)
	})
	return slices.Concat(own, itemEndpoints(model.Certificates, "Certificate", s, shapes[*model.Certificate]{
		id: func(v *model.Certificate) model.ID { return v.ID }, bundle: (*call).certificate, item: (*call).certificateItem,
	}), update)
}

// setPolicy changes the members of a policy that a request has. A whole policy replaces the one that is there; else that must be read before.
func (c *call) setPolicy(s Certificates, in *policyShape) (*answer, error) {
	p, id := &model.Policy{}, c.id(model.Certificates)
	if !in.whole() {
		now, err := s.Policy(c.context(), c.by, id)
		if err != nil {
			return nil, err
		}
		p = now
	}
	if err := in.apply(p); err != nil {
		return nil, err
	}
	set, err := s.SetPolicy(c.context(), c.by, id, p)
	return c.policyAnswer(set, err)
}
