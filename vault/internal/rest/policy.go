package rest

import (
	"fmt"

	"github.com/perdure/perdure/vault/internal/model"
)

// policyShape is how the versions of a certificate are made.
type policyShape struct {
	ID         string                  `json:"id,omitempty"`
	Key        *keyProperties          `json:"key_props,omitempty"`
	Secret     *model.SecretProperties `json:"secret_props,omitempty"`
	X509       *x509Shape              `json:"x509_props,omitempty"`
	Lifetime   *[]actionShape          `json:"lifetime_actions,omitempty"`
	Issuer     *model.IssuerReference  `json:"issuer,omitempty"`
	Attributes *policyAttributes       `json:"attributes,omitempty"`
}

// keyProperties are those of a certificate's key. As with Azure, a key can be had from the secret unless the policy says otherwise.
type keyProperties struct {
	Exportable *bool  `json:"exportable"`
	Type       string `json:"kty,omitempty"`
	Size       int    `json:"key_size,omitempty"`
	Curve      string `json:"crv,omitempty"`
	Reuse      bool   `json:"reuse_key"`
}

// policyAttributes are the attributes of a policy; a request sets none but enabled.
type policyAttributes struct {
	Enabled *bool  `json:"enabled,omitempty"`
	Created *int64 `json:"created,omitempty"`
	Updated *int64 `json:"updated,omitempty"`
}

// x509Shape is what stands in a certificate. The alternative names are a level deeper than in the model.
type x509Shape struct {
	Subject        string     `json:"subject"`
	SANs           *sansShape `json:"sans,omitempty"`
	ExtKeyUsage    []string   `json:"ekus,omitempty"`
	KeyUsage       []string   `json:"key_usage,omitempty"`
	ValidityMonths int        `json:"validity_months,omitempty"`
	ValidityDays   int        `json:"validity_days,omitempty"` // here alone
}

type sansShape struct {
	DNSNames    []string `json:"dns_names,omitempty"`
	Emails      []string `json:"emails,omitempty"`
	UPNs        []string `json:"upns,omitempty"`
	IPAddresses []string `json:"ipAddresses,omitempty"`
	URIs        []string `json:"uris,omitempty"`
}

// actionShape is something to be done in a certificate's life.
type actionShape struct {
	Trigger struct {
		LifetimePercentage int `json:"lifetime_percentage,omitempty"`
		DaysBeforeExpiry   int `json:"days_before_expiry,omitempty"`
	} `json:"trigger"`
	Action struct {
		Type string `json:"action_type"`
	} `json:"action"`
}

// policy writes the policy of a certificate.
func (c *call) policy(id model.ID, p *model.Policy) *policyShape {
	id.Version = ""
	x := &x509Shape{
		Subject: p.X509.Subject, ExtKeyUsage: p.X509.ExtKeyUsage, KeyUsage: p.X509.KeyUsage,
		ValidityMonths: p.X509.ValidityMonths, ValidityDays: p.X509.ValidityDays,
	}
	sans := sansShape{p.X509.DNSNames, p.X509.Emails, p.X509.UPNs, p.X509.IPAddresses, p.X509.URIs}
	if len(sans.DNSNames)+len(sans.Emails)+len(sans.UPNs)+len(sans.IPAddresses)+len(sans.URIs) > 0 {
		x.SANs = &sans
	}
	actions := []actionShape{}
	for _, a := range p.Lifetime {
		var one actionShape
		one.Action.Type = a.Action
		one.Trigger.LifetimePercentage, one.Trigger.DaysBeforeExpiry = a.LifetimePercentage, a.DaysBeforeExpiry
		actions = append(actions, one)
	}
	return &policyShape{
		ID: c.url(id) + "/policy", Key: &keyProperties{&p.Key.Exportable, p.Key.Type, p.Key.Size, p.Key.Curve, p.Key.Reuse}, Secret: &p.Secret, X509: x, Lifetime: &actions, Issuer: &p.Issuer,
		Attributes: &policyAttributes{Enabled: &p.Attributes.Enabled, Created: seconds(p.Attributes.Created), Updated: seconds(p.Attributes.Updated)},
	}
}

func (c *call) policyAnswer(p *model.Policy, err error) (*answer, error) {
	if err != nil {
		return nil, err
	}
	return ok(c.policy(c.id(model.Certificates), p), nil)
}

// whole reports whether a request says everything that a policy has.
func (s *policyShape) whole() bool {
	return s.Key != nil && s.Secret != nil && s.X509 != nil && s.Lifetime != nil && s.Issuer != nil && s.Attributes != nil
}

// apply changes what the request has.
func (s *policyShape) apply(p *model.Policy) error {
	fresh := p.Attributes.Created.IsZero() // a new policy, not a change
	if k := s.Key; k != nil {
		p.Key = model.KeyProperties{Exportable: k.Exportable == nil || *k.Exportable, Type: k.Type, Size: k.Size, Curve: k.Curve, Reuse: k.Reuse}
	} else if fresh {
		p.Key.Exportable = true
	}
	if s.Secret != nil {
		p.Secret = *s.Secret
	}
	if x := s.X509; x != nil {
		sans := sansShape{}
		if x.SANs != nil {
			sans = *x.SANs
		}
		p.X509 = model.X509Properties{
			Subject: x.Subject, DNSNames: sans.DNSNames, Emails: sans.Emails, UPNs: sans.UPNs, IPAddresses: sans.IPAddresses, URIs: sans.URIs,
			ExtKeyUsage: x.ExtKeyUsage, KeyUsage: x.KeyUsage, ValidityMonths: x.ValidityMonths, ValidityDays: x.ValidityDays,
		}
	}
	if s.Issuer != nil {
		p.Issuer = *s.Issuer
	}
	if s.Attributes != nil && s.Attributes.Enabled != nil {
		p.Attributes.Enabled = *s.Attributes.Enabled
	} else if fresh {
		p.Attributes.Enabled = true
	}
	if s.Lifetime == nil {
		return nil
	}
	p.Lifetime = []model.CertificateAction{} // said to be none, which is not the default
	for i, a := range *s.Lifetime {
		if a.Action.Type == "" {
			return required(fmt.Sprintf("lifetime_actions[%d].action.action_type", i))
		}
		p.Lifetime = append(p.Lifetime, model.CertificateAction{
			Action: a.Action.Type, LifetimePercentage: a.Trigger.LifetimePercentage, DaysBeforeExpiry: a.Trigger.DaysBeforeExpiry,
		})
	}
	return nil
}
