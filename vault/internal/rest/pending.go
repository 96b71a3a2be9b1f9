package rest

import (
	"net/http"

	"github.com/perdure/perdure/vault/internal/model"
)

// pendingShape is a certificate that is being made.
type pendingShape struct {
	ID        string                `json:"id"`
	Issuer    model.IssuerReference `json:"issuer"`
	CSR       der                   `json:"csr,omitempty"`
	Cancelled bool                  `json:"cancellation_requested"`
	Status    string                `json:"status"`
	Detail    string                `json:"status_details,omitempty"`
	Error     *pendingError         `json:"error,omitempty"`
	RequestID string                `json:"request_id,omitempty"`
	Target    string                `json:"target,omitempty"`
}

type pendingError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// pendingAnswer is the answer with a certificate that is being made.
func (c *call) pendingAnswer(p *model.Pending, err error) (*answer, error) {
	if err != nil {
		return nil, err
	}
	id := c.id(model.Certificates)
	s := &pendingShape{
		ID: c.url(id) + "/pending", Issuer: p.Issuer, CSR: p.CSR, Cancelled: p.Cancelled, Status: p.Status, Detail: p.Detail, RequestID: p.RequestID,
	}
	if p.Status == "completed" {
		s.Target = c.url(id)
	}
	if p.Error != "" {
		s.Error = &pendingError{Code: "CertificateIssuerError", Message: p.Error}
	}
	return ok(s, nil)
}

func pendingEndpoints(o *Options) []endpoint {
	s := o.Certificates
	id := func(c *call) model.ID { return c.id(model.Certificates) }
	const what, path = "PendingCertificate", "certificates/{name}/pending"
	return []endpoint{
		{method: "POST", path: "certificates/{name}/create", body: maxBody, what: "Certificate", verb: "create", run: func(c *call) (*answer, error) {
			var in certificateBody
			if err := c.decode(&in); err != nil {
				return nil, err
			}
			policy, err := in.policy()
			if err != nil {
				return nil, err
			}
			p, err := s.Create(c.context(), c.by, id(c), model.CreateCertificate{Policy: policy, Change: in.change()})
			a, err := c.pendingAnswer(p, err)
			if err != nil {
				return nil, err
			}
			a.status = http.StatusAccepted
			a.location = "/certificates/" + c.args["name"] + "/pending?api-version=" + c.query.Get("api-version") + "&request_id=" + p.RequestID
			return a, nil
		}},
		{method: "GET", path: path, what: what, verb: "get", run: func(c *call) (*answer, error) {
			p, err := s.Pending(c.context(), c.by, id(c))
			if err == nil && c.query.Has("request_id") && c.query.Get("request_id") != p.RequestID {
				err = model.ErrNotFound // another was begun since
			}
			return c.pendingAnswer(p, err)
		}},
		{method: "PATCH", path: path, body: maxBody, what: what, verb: "update", run: func(c *call) (*answer, error) {
			var in struct {
				Cancel *bool `json:"cancellation_requested"`
			}
			if err := c.decode(&in); err != nil {
				return nil, err
			}
			if in.Cancel == nil {
				return nil, required("cancellation_requested")
			}
			return c.pendingAnswer(s.CancelPending(c.context(), c.by, id(c), *in.Cancel))
		}},
		{method: "DELETE", path: path, what: what, verb: "delete", run: func(c *call) (*answer, error) {
			return c.pendingAnswer(s.DeletePending(c.context(), c.by, id(c)))
		}},
		{method: "POST", path: path + "/merge", body: maxBody, what: what, verb: "merge", run: func(c *call) (*answer, error) {
			var in certificateBody
			if err := c.decode(&in); err != nil {
				return nil, err
			}
			if len(in.Chain) == 0 {
				return nil, required("x5c")
			}
			var chain [][]byte
			for _, one := range in.Chain {
				chain = append(chain, one)
			}
			a, err := c.certificateAnswer(s.Merge(c.context(), c.by, id(c), chain, in.change()))
			if err != nil {
				return nil, err
			}
			a.status = http.StatusCreated
			a.location = "/certificates/" + c.args["name"] + "?api-version=" + c.query.Get("api-version")
			return a, nil
		}},
	}
}
