package certificates

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/perdure/perdure/table"
	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/pki"
)

// Notice is what the contacts of a vault are told of a certificate.
type Notice struct {
	model.ID
	Expires  time.Time
	Contacts []model.Contact
	// Reason is one of the Notice constants.
	Reason string
	// Detail says more, for people: why it was not renewed.
	Detail string
}

// The reasons of notices.
const (
	NoticeEnds   = "ends"   // the policy's EmailContacts is due
	NoticeWaits  = "waits"  // the next version waits for a signature from outside
	NoticeFailed = "failed" // it was to be renewed and could not be; it is tried again
)

const (
	// maxDue bounds what one RenewDue does.
	maxDue = 20
	// retryAfter is when what has failed is tried again.
	retryAfter = time.Hour
	// day is when a certificate that is disabled is looked at again.
	day = 24 * time.Hour
	// restAfter keeps a certificate that ends soon after it was made, as one under an authority that ends does, from being
	// renewed all the time.
	restAfter = time.Hour
)

// life says when something is to be done for a certificate. There is a row for each of which that is so.
type life struct {
	Name    string `json:"name"`
	Version string `json:"version"` // the current one
	// RenewAt and EmailAt are Unix times; 0 for never.
	RenewAt int64 `json:"renew_at,omitempty"`
	EmailAt int64 `json:"email_at,omitempty"`
	// Failed says that the contacts know that it could not be renewed.
	Failed bool `json:"failed,omitempty"`
}

// next is when there is something to do; 0 for never.
func (l *life) next() int64 {
	if l.RenewAt == 0 || l.EmailAt != 0 && l.EmailAt < l.RenewAt {
		return l.EmailAt
	}
	return l.RenewAt
}

// renews reports whether the certificate is due for renewal.
func (l *life) renews(now time.Time) bool { return l.RenewAt != 0 && l.RenewAt <= now.Unix() }

var livesByTime = table.Index("next", (*life).next)

// lives are by vault (partition) and lower-case name (row).
var lives = table.Of("perdure.vault.certificates.lives", livesByTime)

// live notes when the policy of a certificate has something to do for a version, the current one. What is over by then is not
// repeated for the same version.
func (s *Service) live(ctx context.Context, id model.ID, p *model.Policy, from, to time.Time) error {
	now := s.env.Now()
	row := &life{Name: id.Name, Version: id.Version}
	for _, a := range p.Lifetime {
		at := pki.Due(a, from, to)
		switch a.Action {
		case pki.ActionRenew:
			row.RenewAt = max(at.Unix(), now.Add(restAfter).Unix())
		case pki.ActionEmail:
			if at.After(now) && (row.EmailAt == 0 || at.Unix() < row.EmailAt) {
				row.EmailAt = at.Unix()
			}
		}
	}
	if row.next() == 0 {
		return dropLife(ctx, id)
	}
	return lives.Put(ctx, rowKey(id), row)
}

// dropLife has nothing be done for a certificate.
func dropLife(ctx context.Context, id model.ID) error {
	err := lives.Delete(ctx, rowKey(id))
	if errors.Is(err, table.ErrNotFound) {
		return nil
	}
	return err
}

// policyCaller is who renews, in the audit log: the vault itself, as its policies say.
var policyCaller = model.Caller{Operator: true, Agent: "certificate policy"}

var (
	// errNotDue ends a renewal that somebody else has made.
	errNotDue = errors.New("vault: the certificate is not due for renewal")
	// errSwitchedOff ends the renewal of a certificate that somebody has disabled: its next version would be enabled.
	errSwitchedOff = errors.New("vault: the certificate is disabled")
)

// RenewDue does what policies ask for by now, for some certificates, and returns for how many; more tells that there are
// others. It opens its own units, one for each action. A certificate with the issuer "Unknown" gets a request that waits for
// Merge. What fails is tried again an hour later and does not keep the others from theirs; err has it all.
func (s *Service) RenewDue(ctx context.Context) (n int, more bool, err error) {
	now := s.env.Now()
	var due []table.Row[life]
	err = s.env.Unit(ctx, func(ctx context.Context) error {
		due = due[:0]
		for row, err := range lives.ScanIndex(ctx, livesByTime.Between(1, now.Unix()+1), table.Limit(maxDue+1)) {
			if err != nil {
				return err
			}
			due = append(due, row)
		}
		if err := forgetLists(ctx, now); err != nil {
			return err
		}
		return forgetRevoked(ctx, now)
	})
	if err != nil {
		return 0, false, err
	}
	if len(due) > maxDue {
		due, more = due[:maxDue], true
	}
	var failed []error
	for _, row := range due {
		id := model.ID{Vault: row.Key.Partition, Kind: model.Certificates, Name: row.Value.Name}
		err := s.runDue(ctx, id, row.Value, now)
		if ctx.Err() != nil {
			return n, more, ctx.Err()
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("policy of %q: %w", id.String(), err), s.failed(ctx, id, err, row.Value.renews(now)))
			continue
		}
		n++
	}
	return n, more, errors.Join(failed...)
}

// runDue does what is due for one certificate. Contacts are not told that a version ends which is about to be replaced.
func (s *Service) runDue(ctx context.Context, id model.ID, row *life, now time.Time) error {
	if !row.renews(now) {
		return s.env.Unit(ctx, func(ctx context.Context) error { return s.email(ctx, id, now) })
	}
	m := &making{}
	err := s.prepared(ctx, func() error {
		return s.do(ctx, policyCaller, model.OpCreate, id, func(ctx context.Context, id model.ID, o *model.Operation) error {
			return s.renew(ctx, id, o, m, now)
		})
	}, m.generate)
	switch {
	case errors.Is(err, errNotDue):
		return nil
	case errors.Is(err, errSwitchedOff):
		return s.env.Unit(ctx, func(ctx context.Context) error { return s.postpone(ctx, id, day) })
	}
	return err
}

// renew makes the next version of a certificate whose time has come, with the tags of the one before.
func (s *Service) renew(ctx context.Context, id model.ID, o *model.Operation, m *making, now time.Time) error {
	row, err := lives.Get(ctx, rowKey(id))
	if errors.Is(err, table.ErrNotFound) || err == nil && !row.renews(now) {
		return errNotDue
	}
	if err != nil {
		return err
	}
	v, err := s.store.Get(ctx, id)
	if err != nil {
		return err
	}
	o.Detail = "by its policy"
	m.Tags = v.Tags
	if !v.Enabled {
		return errSwitchedOff
	}
	err = s.begin(ctx, id, o, m)
	if err != nil && !errors.Is(err, model.ErrExists) {
		return err
	}
	if err == nil && m.out.Status == statusCompleted {
		return nil // begin has written the row for the new version
	}
	// It waits for a signature from outside, or another request does. The new version writes the row anew.
	row.RenewAt = 0
	if err := lives.Put(ctx, rowKey(id), row); err != nil {
		return err
	}
	return s.tell(ctx, Notice{ID: v.ID, Expires: v.Expires, Reason: NoticeWaits})
}

// email tells the contacts that a certificate ends.
func (s *Service) email(ctx context.Context, id model.ID, now time.Time) error {
	row, err := lives.Get(ctx, rowKey(id))
	if errors.Is(err, table.ErrNotFound) || err == nil && (row.EmailAt == 0 || row.EmailAt > now.Unix()) {
		return nil
	}
	if err != nil {
		return err
	}
	v, err := s.store.Get(ctx, id)
	if err != nil {
		return err
	}
	p, err := s.policy(ctx, id)
	if err != nil {
		return err
	}
	row.EmailAt = 0
	for _, a := range p.Lifetime { // there may be several
		if at := pki.Due(a, v.NotBefore, v.Expires); a.Action == pki.ActionEmail && at.After(now) && (row.EmailAt == 0 || at.Unix() < row.EmailAt) {
			row.EmailAt = at.Unix()
		}
	}
	if err := lives.Put(ctx, rowKey(id), row); err != nil {
		return err
	}
	return s.tell(ctx, Notice{ID: v.ID, Expires: v.Expires, Reason: NoticeEnds})
}

// failed lets other certificates go first when something has failed for one. It tells the contacts the first time, and says why where
// the request would be.
func (s *Service) failed(ctx context.Context, id model.ID, cause error, renews bool) error {
	err := s.env.Unit(ctx, func(ctx context.Context) error { return s.postpone(ctx, id, retryAfter) })
	if err != nil || !renews {
		return err
	}
	return s.env.Unit(ctx, func(ctx context.Context) error {
		row, err := lives.Get(ctx, rowKey(id))
		if errors.Is(err, table.ErrNotFound) || err == nil && row.Failed {
			return nil
		}
		if err != nil {
			return err
		}
		v, err := s.store.Get(ctx, id)
		if err != nil {
			return err
		}
		row.Failed = true
		if err := lives.Put(ctx, rowKey(id), row); err != nil {
			return err
		}
		if err := s.noteFailure(ctx, id, cause); err != nil {
			return err
		}
		return s.tell(ctx, Notice{ID: v.ID, Expires: v.Expires, Reason: NoticeFailed, Detail: cause.Error()})
	})
}

// postpone moves what is due for a certificate.
func (s *Service) postpone(ctx context.Context, id model.ID, d time.Duration) error {
	row, err := lives.Get(ctx, rowKey(id))
	if errors.Is(err, table.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	now := s.env.Now()
	for _, at := range []*int64{&row.RenewAt, &row.EmailAt} {
		if *at != 0 && *at <= now.Unix() {
			*at = now.Add(d).Unix()
		}
	}
	return lives.Put(ctx, rowKey(id), row)
}

// noteFailure writes a request that has failed, unless another one waits.
func (s *Service) noteFailure(ctx context.Context, id model.ID, cause error) error {
	p, err := s.policy(ctx, id)
	if err != nil {
		return err
	}
	old, err := pending(ctx, id)
	if err != nil && !errors.Is(err, model.ErrNotFound) {
		return err
	}
	if err == nil && old.Status == statusInProgress {
		return nil
	}
	row := &pendingRow{Name: id.Name, Issuer: p.Issuer, RequestID: newRequest(), Created: s.now(), Error: cause.Error()}
	row.end(statusFailed, "The certificate could not be renewed by its policy. It is tried again every hour.")
	return putPending(ctx, id, row)
}

func (s *Service) tell(ctx context.Context, n Notice) (err error) {
	if s.o.Notify == nil {
		return nil
	}
	if n.Contacts, err = contactsOf(ctx, n.Vault); err != nil {
		return err
	}
	return s.o.Notify(ctx, n)
}
