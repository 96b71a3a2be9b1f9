package certificates

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/perdure/perdure/table"
	"github.com/perdure/perdure/vault/internal/jwa"
	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/pki"
)

// The states of a certificate that is being made.
const (
	statusInProgress = "inProgress"
	statusCompleted  = "completed"
	statusCancelled  = "cancelled"
	statusFailed     = "failed"
)

// pendingRow is the last request of a certificate.
type pendingRow struct {
	Name      string                `json:"name"`
	Version   string                `json:"version,omitempty"` // once it is completed
	Issuer    model.IssuerReference `json:"issuer"`
	CSR       []byte                `json:"csr"`
	Status    string                `json:"status"`
	Detail    string                `json:"detail"`
	Error     string                `json:"error,omitempty"`
	RequestID string                `json:"request_id"`
	Cancelled bool                  `json:"cancelled,omitempty"`
	Created   time.Time             `json:"created"`
	// What the version will be made of. Key is sealed, and gone as soon as it is not needed.
	Policy  *model.Policy     `json:"policy,omitempty"`
	Key     []byte            `json:"key,omitempty"`
	Enabled *bool             `json:"enabled,omitempty"`
	Tags    map[string]string `json:"tags,omitempty"`
}

// pendings are by vault (partition) and lower-case name (row).
var pendings = table.Of[pendingRow]("perdure.vault.certificates.pending")

// rowKey is the key of what there is once for each certificate.
func rowKey(id model.ID) string {
	return table.Key{Partition: id.Vault, Row: strings.ToLower(id.Name)}.String()
}

// pending returns the row of a request; ErrNotFound when there is none.
func pending(ctx context.Context, id model.ID) (*pendingRow, error) {
	row, err := pendings.Get(ctx, rowKey(id))
	if errors.Is(err, table.ErrNotFound) {
		return nil, fmt.Errorf("request of %w", notFound(id))
	}
	return row, err
}

func putPending(ctx context.Context, id model.ID, row *pendingRow) error {
	err := pendings.Put(ctx, rowKey(id), row)
	if errors.Is(err, table.ErrTooLarge) {
		return invalid("policy", "all of it together is too large")
	}
	return err
}

// dropPending removes the row of a request, if there is one.
func dropPending(ctx context.Context, id model.ID) error {
	err := pendings.Delete(ctx, rowKey(id))
	if errors.Is(err, table.ErrNotFound) {
		return nil
	}
	return err
}

func (r *pendingRow) pending(id model.ID) *model.Pending {
	id.Name, id.Version = r.Name, r.Version
	return &model.Pending{
		ID: id, Issuer: r.Issuer, CSR: r.CSR, Status: r.Status, Detail: r.Detail, Error: r.Error, RequestID: r.RequestID, Cancelled: r.Cancelled,
	}
}

// end is the row of a request of which nothing will come.
func (r *pendingRow) end(status, detail string) {
	r.Status, r.Detail, r.Key, r.Policy, r.Tags = status, detail, nil, nil, nil
}

func pendingPurpose(id model.ID, request string) string {
	return "vault/pending/" + id.Vault + "/" + strings.ToLower(id.Name) + "/" + request
}

// wait keeps the key until the signed certificate comes.
func (s *Service) wait(ctx context.Context, id model.ID, row *pendingRow, key *jwa.Key) error {
	// What would keep the certificate from being made is said now, not when it has been signed.
	if err := s.checkOthers(ctx, id); err != nil {
		return err
	}
	if err := s.checkFree(ctx, id); err != nil {
		return err
	}
	encoded, err := key.Encode()
	if err != nil {
		return err
	}
	defer clear(encoded)
	row.Key, err = s.env.Seal.Seal(pendingPurpose(id, row.RequestID), encoded)
	row.Status = statusInProgress
	row.Detail = "The request waits to be signed by an authority outside. Merge what that returns."
	return err
}

// checkFree reports that a deleted item keeps the name of a new certificate, of its key or of its secret.
func (s *Service) checkFree(ctx context.Context, id model.ID) error {
	_, err := s.store.Item(ctx, id)
	if !errors.Is(err, model.ErrNotFound) {
		return err
	}
	return each(id, func(id model.ID) error { return s.store.Free(ctx, id) })
}

// Pending returns the last request of a certificate: in progress, or what became of it. The right is model.OpGet.
func (s *Service) Pending(ctx context.Context, by model.Caller, id model.ID) (*model.Pending, error) {
	return s.withPending(ctx, by, model.OpGet, id, func(context.Context, *pendingRow) error { return nil })
}

// CancelPending asks to cancel a request, which ends it at once. The right is model.OpUpdate. One that has ended cannot be
// cancelled, nor one that was cancelled go on.
func (s *Service) CancelPending(ctx context.Context, by model.Caller, id model.ID, cancel bool) (*model.Pending, error) {
	return s.withPending(ctx, by, model.OpUpdate, id, func(ctx context.Context, row *pendingRow) error {
		if row.Status != statusInProgress {
			return invalid("cancellation_requested", "the request is %s", row.Status)
		}
		if !cancel {
			return nil
		}
		row.Cancelled = true
		row.end(statusCancelled, "The request was cancelled.")
		return putPending(ctx, id, row)
	})
}

// DeletePending removes the request of a certificate, with its key. A certificate that was made of it stays. The right is
// model.OpUpdate, as with Azure.
func (s *Service) DeletePending(ctx context.Context, by model.Caller, id model.ID) (*model.Pending, error) {
	return s.withPending(ctx, by, model.OpUpdate, id, func(ctx context.Context, _ *pendingRow) error {
		return dropPending(ctx, id)
	})
}

func (s *Service) withPending(ctx context.Context, by model.Caller, op model.Op, id model.ID, fn func(ctx context.Context, row *pendingRow) error) (out *model.Pending, err error) {
	id.Version = ""
	err = s.do(ctx, by, op, id, func(ctx context.Context, id model.ID, o *model.Operation) error {
		row, err := pending(ctx, id)
		if err != nil {
			return err
		}
		if err := fn(ctx, row); err != nil {
			return err
		}
		o.Detail = "request"
		out = row.pending(id)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Merge makes a version of what an authority outside has signed: the certificate, and those that vouch for it, in any order and
// with or without the root. The right is model.OpCreate.
func (s *Service) Merge(ctx context.Context, by model.Caller, id model.ID, chain [][]byte, c model.Change) (out *model.Certificate, err error) {
	certs, err := pki.ParseCertificates(chain)
	if err != nil {
		return nil, invalid("x5c", "%v", err)
	}
	id.Version = ""
	err = s.do(ctx, by, model.OpCreate, id, func(ctx context.Context, id model.ID, o *model.Operation) error {
		row, err := pending(ctx, id)
		if err != nil {
			return err
		}
		if row.Status != statusInProgress {
			return invalid("x5c", "the request is %s", row.Status)
		}
		id.Name = row.Name
		signer, err := s.pendingKey(id, row)
		if err != nil {
			return err
		}
		b := &issued{Bundle: &pki.Bundle{Key: signer}}
		if b.Certificate, b.Chain, err = pki.Arrange(certs, signer.Public()); err != nil {
			return invalid("x5c", "%v", err)
		}
		switch {
		case pki.IsAuthority(row.Policy) != b.Certificate.IsCA:
			return invalid("x5c", "the policy is for an authority, and the certificate is not, or the other way round")
		case !s.env.Now().Before(b.Certificate.NotAfter):
			return invalid("x5c", "the certificate has ended at %s", b.Certificate.NotAfter.Format(time.RFC3339))
		}
		if c.Enabled != nil {
			row.Enabled = c.Enabled
		}
		if c.Tags != nil {
			row.Tags = c.Tags
		}
		o.Detail = "merged"
		policy := row.Policy
		if err := s.complete(ctx, id, o, row, b); err != nil {
			return err
		}
		row.end(statusCompleted, row.Detail)
		if err := putPending(ctx, id, row); err != nil {
			return err
		}
		v, err := s.store.Get(ctx, o.ID)
		if err != nil {
			return err
		}
		out = certificateOf(v)
		out.Policy = policy
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// pendingKey opens the key of a request.
func (s *Service) pendingKey(id model.ID, row *pendingRow) (crypto.Signer, error) {
	encoded, err := s.env.Seal.Open(pendingPurpose(id, row.RequestID), row.Key)
	if err != nil {
		return nil, fmt.Errorf("request of %q: %w", id.String(), err)
	}
	defer clear(encoded)
	key, err := jwa.Decode(encoded)
	if err != nil {
		return nil, err
	}
	return key.Signer()
}

func inProgress(id model.ID) error {
	return fmt.Errorf("a version of %q is being made: merge, cancel or delete it first: %w", id.Name, model.ErrExists)
}
