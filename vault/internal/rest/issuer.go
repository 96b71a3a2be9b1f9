package rest

import (
	"encoding/json"

	"github.com/perdure/perdure/vault/internal/model"
)

// issuerShape is an issuer. A password that is sent is not kept: the vault logs in nowhere.
type issuerShape struct {
	ID           string            `json:"id,omitempty"`
	Provider     string            `json:"provider"`
	Credentials  *credentialsShape `json:"credentials,omitempty"`
	Organization json.RawMessage   `json:"org_details,omitempty"`
	Attributes   *policyAttributes `json:"attributes,omitempty"`
}

type credentialsShape struct {
	AccountID string `json:"account_id"`
}

// issuer writes an issuer.
func (c *call) issuer(i *model.Issuer) *issuerShape {
	s := &issuerShape{
		ID: c.base + "/certificates/issuers/" + i.Name, Provider: i.Provider, Organization: i.Organization,
		Attributes: &policyAttributes{Enabled: &i.Enabled, Created: seconds(i.Created), Updated: seconds(i.Updated)},
	}
	if i.AccountID != "" {
		s.Credentials = &credentialsShape{i.AccountID}
	}
	return s
}

func (c *call) issuerAnswer(i *model.Issuer, err error) (*answer, error) {
	if err != nil {
		return nil, err
	}
	return ok(c.issuer(i), nil)
}

// apply changes what the request has.
func (s *issuerShape) apply(i *model.Issuer) error {
	if s.Provider != "" {
		i.Provider = s.Provider
	}
	if s.Credentials != nil {
		i.AccountID = s.Credentials.AccountID
	}
	if given(s.Organization) {
		if s.Organization[0] != '{' {
			return badParameter("Property org_details is not an object.")
		}
		i.Organization = s.Organization
	}
	if s.Attributes != nil && s.Attributes.Enabled != nil {
		i.Enabled = *s.Attributes.Enabled
	}
	return nil
}

// contactsShape is who is told of certificates that end.
type contactsShape struct {
	ID       string          `json:"id"`
	Contacts []model.Contact `json:"contacts"`
}

func (c *call) contactsAnswer(all []model.Contact, err error) (*answer, error) {
	if err == nil && len(all) == 0 {
		err = model.ErrNotFound
	}
	return ok(&contactsShape{ID: c.base + "/certificates/contacts", Contacts: all}, err)
}

func issuerEndpoints(o *Options) []endpoint {
	s := o.Certificates
	const issuer, contacts, path = "CertificateIssuer", "Contacts", "certificates/issuers/{name}"
	return []endpoint{
		{method: "GET", path: "certificates/issuers", what: issuer, verb: "listissuers", run: func(c *call) (*answer, error) {
			p, err := c.page()
			if err != nil {
				return nil, err
			}
			l, err := s.ListIssuers(c.context(), c.by, c.vault, p)
			return ok(list(c, l, func(i *model.Issuer) any { return &issuerShape{ID: c.issuer(i).ID, Provider: i.Provider} }), err)
		}},
		{method: "GET", path: path, what: issuer, verb: "getissuers", run: func(c *call) (*answer, error) {
			return c.issuerAnswer(s.Issuer(c.context(), c.by, c.vault, c.args["name"]))
		}},
		{method: "PUT", path: path, body: maxBody, what: issuer, verb: "setissuers", run: func(c *call) (*answer, error) {
			var in issuerShape
			if err := c.decode(&in); err != nil {
				return nil, err
			}
			if in.Provider == "" {
				return nil, required("provider")
			}
			i := model.Issuer{Vault: c.vault, Name: c.args["name"], Enabled: true}
			if err := in.apply(&i); err != nil {
				return nil, err
			}
			return c.issuerAnswer(s.SetIssuer(c.context(), c.by, i))
		}},
		{method: "PATCH", path: path, body: maxBody, what: issuer, verb: "setissuers", run: func(c *call) (*answer, error) {
			var in issuerShape
			if err := c.decode(&in); err != nil {
				return nil, err
			}
			return c.issuerAnswer(s.UpdateIssuer(c.context(), c.by, c.vault, c.args["name"], in.apply))
		}},
		{method: "DELETE", path: path, what: issuer, verb: "deleteissuers", run: func(c *call) (*answer, error) {
			return c.issuerAnswer(s.DeleteIssuer(c.context(), c.by, c.vault, c.args["name"]))
		}},
		{method: "GET", path: "certificates/contacts", what: contacts, verb: "managecontacts", run: func(c *call) (*answer, error) {
			return c.contactsAnswer(s.Contacts(c.context(), c.by, c.vault))
		}},
		{method: "PUT", path: "certificates/contacts", body: maxBody, what: contacts, verb: "managecontacts", run: func(c *call) (*answer, error) {
			var in contactsShape
			if err := c.decode(&in); err != nil {
				return nil, err
			}
			if len(in.Contacts) == 0 {
				return nil, required("contacts")
			}
			return c.contactsAnswer(s.SetContacts(c.context(), c.by, c.vault, in.Contacts))
		}},
		{method: "DELETE", path: "certificates/contacts", what: contacts, verb: "managecontacts", run: func(c *call) (*answer, error) {
			return c.contactsAnswer(s.DeleteContacts(c.context(), c.by, c.vault))
		}},
	}
}
