package keys

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/perdure/perdure/vault/internal/model"
)

// The actions of a rotation policy.
const (
	ActionRotate = "Rotate"
	ActionNotify = "Notify"
)

// The bounds of a rotation policy, those of Azure Key Vault. A month counts for 30 days here, and a year for 365.
const (
	// MinExpiryTime is the shortest life of a key.
	MinExpiryTime = 28 * 24 * time.Hour
	// MinLead is the least time between the creation of a key and its rotation, and between that or a notice and its expiry.
	MinLead = 7 * 24 * time.Hour
)

// policyText is a rotation policy as its key's item has it.
type policyText struct {
	ExpiryTime string       `json:"expiry_time,omitempty"`
	Actions    []actionText `json:"actions"`
	Created    time.Time    `json:"created"`
	Updated    time.Time    `json:"updated"`
}

type actionText struct {
	Action       string `json:"action"`
	AfterCreate  string `json:"after_create,omitempty"`
	BeforeExpiry string `json:"before_expiry,omitempty"`
}

// plan is a rotation policy with its durations read; nil is what it does not have.
type plan struct {
	expiry                    *duration // of new versions
	rotateAfter, rotateBefore *duration
	notifyBefore              *duration
}

// checkPolicy returns a policy with the names of its actions as they are written, and what it plans.
func checkPolicy(p model.RotationPolicy) (*policyText, *plan, error) {
	bad := func(field, format string, args ...any) (*policyText, *plan, error) {
		return nil, nil, &model.FieldError{Field: field, Detail: fmt.Sprintf(format, args...)}
	}
	text, does := &policyText{ExpiryTime: p.ExpiryTime, Actions: []actionText{}}, &plan{}
	if p.ExpiryTime != "" {
		d, err := parseDuration(p.ExpiryTime)
		switch {
		case err != nil:
			return bad("expiryTime", "%v, not %.30q", err, p.ExpiryTime)
		case d.about() < MinExpiryTime:
			return bad("expiryTime", "want 28 days or more")
		}
		does.expiry = &d
	}
	if len(p.Actions) > 2 {
		return bad("lifetimeActions", "want one Rotate and one Notify at most")
	}
	for _, a := range p.Actions {
		name := ActionRotate
		if strings.EqualFold(a.Action, ActionNotify) {
			name = ActionNotify
		} else if !strings.EqualFold(a.Action, ActionRotate) {
			return bad("lifetimeActions", "want Rotate or Notify, not %.20q", a.Action)
		}
		if (a.AfterCreate == "") == (a.BeforeExpiry == "") {
			return bad("lifetimeActions", "%s wants either timeAfterCreate or timeBeforeExpiry", name)
		}
		at, err := parseDuration(a.AfterCreate + a.BeforeExpiry)
		switch {
		case err != nil:
			return bad("lifetimeActions", "%s: %v, not %.30q", name, err, a.AfterCreate+a.BeforeExpiry)
		case at.about() < MinLead:
			return bad("lifetimeActions", "%s: want 7 days or more", name)
		case name == ActionNotify && a.AfterCreate != "":
			return bad("lifetimeActions", "Notify wants timeBeforeExpiry")
		case a.AfterCreate != "" && does.expiry != nil && at.about()+MinLead > does.expiry.about():
			return bad("lifetimeActions", "Rotate: want a timeAfterCreate of at least 7 days less than expiryTime")
		case a.BeforeExpiry != "" && name == ActionRotate && does.expiry == nil:
			return bad("lifetimeActions", "Rotate: timeBeforeExpiry wants an expiryTime")
		case a.BeforeExpiry != "" && does.expiry != nil && at.about()+MinLead > does.expiry.about():
			return bad("lifetimeActions", "%s: want a timeBeforeExpiry of at least 7 days less than expiryTime", name)
		}
		switch {
		case name == ActionNotify && does.notifyBefore == nil:
			does.notifyBefore = &at
		case name == ActionRotate && does.rotateAfter == nil && does.rotateBefore == nil && a.AfterCreate != "":
			does.rotateAfter = &at
		case name == ActionRotate && does.rotateAfter == nil && does.rotateBefore == nil:
			does.rotateBefore = &at
		default:
			return bad("lifetimeActions", "%s is there twice", name)
		}
		text.Actions = append(text.Actions, actionText{name, a.AfterCreate, a.BeforeExpiry})
	}
	return text, does, nil
}

// expires is when a version ends that is made now; zero for never.
func (p *plan) expires(now time.Time) time.Time {
	if p == nil || p.expiry == nil {
		return time.Time{}
	}
	return p.expiry.after(now)
}

// due are the times at which the policy does something about a version; zero is never. A version that is disabled is left alone.
func (p *plan) due(a *model.Attributes) (rotate, notify time.Time) {
	if p == nil || !a.Enabled {
		return
	}
	if p.rotateAfter != nil {
		rotate = p.rotateAfter.after(a.Created)
	}
	if a.Expires.IsZero() {
		return
	}
	if p.rotateBefore != nil {
		rotate = p.rotateBefore.before(a.Expires)
	}
	if p.notifyBefore != nil {
		notify = p.notifyBefore.before(a.Expires)
	}
	return
}

// readPolicy returns the policy of an item, and its plan; nil when it has none.
func readPolicy(id model.ID, raw json.RawMessage) (*model.RotationPolicy, *plan, error) {
	if len(raw) == 0 {
		return nil, nil, nil
	}
	var text policyText
	if err := json.Unmarshal(raw, &text); err != nil {
		return nil, nil, fmt.Errorf("vault: %q: its rotation policy: %w", id.String(), err)
	}
	p := &model.RotationPolicy{ExpiryTime: text.ExpiryTime, Created: text.Created, Updated: text.Updated}
	for _, a := range text.Actions {
		p.Actions = append(p.Actions, model.KeyAction(a))
	}
	_, does, err := checkPolicy(*p)
	if err != nil {
		return nil, nil, fmt.Errorf("vault: %q: its rotation policy: %w", id.String(), err)
	}
	return p, does, nil
}

// RotationPolicy returns the policy of a key. The right is model.OpGetPolicy. Without one it is a notice 30 days before the expiry,
// which the vault's warnings give anyway; its Created is zero.
func (s *Service) RotationPolicy(ctx context.Context, by model.Caller, id model.ID) (out *model.RotationPolicy, err error) {
	id.Version = ""
	err = s.do(ctx, by, model.OpGetPolicy, id, func(ctx context.Context, id model.ID, _ *model.Operation) error {
		item, err := s.store.Item(ctx, id)
		if err != nil {
			return err
		}
		if out, _, err = readPolicy(id, item.Policy); err == nil && out == nil {
			out = &model.RotationPolicy{Actions: []model.KeyAction{{Action: ActionNotify, BeforeExpiry: "P30D"}}}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// SetRotationPolicy gives a key a policy in the place of the one it has. The right is model.OpSetPolicy. It holds for the current version
// from now on, but for ExpiryTime, which is for those that are made by rotation.
func (s *Service) SetRotationPolicy(ctx context.Context, by model.Caller, id model.ID, p model.RotationPolicy) (out *model.RotationPolicy, err error) {
	id.Version = ""
	err = s.do(ctx, by, model.OpSetPolicy, id, func(ctx context.Context, id model.ID, _ *model.Operation) error {
		text, _, err := checkPolicy(p)
		if err != nil {
			return err
		}
		item, err := s.store.Item(ctx, id)
		if err != nil {
			return err
		}
		if item.Managed {
			return managed(id)
		}
		text.Updated = s.env.Now().UTC().Truncate(time.Second)
		text.Created = text.Updated
		if old, _, err := readPolicy(id, item.Policy); err != nil {
			return err
		} else if old != nil {
			text.Created = old.Created
		}
		raw, err := json.Marshal(text)
		if err != nil {
			return err
		}
		if err := s.store.SetPolicy(ctx, id, raw); err != nil {
			return err
		}
		if err := s.schedule(ctx, id); err != nil {
			return err
		}
		out, _, err = readPolicy(id, raw)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
