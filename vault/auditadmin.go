package vault

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/perdure/perdure/vault/internal/audit"
	"github.com/perdure/perdure/vault/internal/model"
)

// auditFilter reads which entries of the audit log are asked for.
func auditFilter(q url.Values) (f audit.Filter, err error) {
	f = audit.Filter{
		Vault: q.Get("vault"), Kind: model.Kind(q.Get("kind")), Name: q.Get("name"), Actor: q.Get("actor"), Node: q.Get("node"),
		Result: q.Get("result"), Oldest: q.Get("oldest") == "true", Page: pageOf(q),
	}
	for op := range strings.SplitSeq(q.Get("ops"), ",") {
		if op != "" {
			f.Ops = append(f.Ops, model.Op(op))
		}
	}
	for name, at := range map[string]*time.Time{"from": &f.From, "to": &f.To} {
		text := q.Get(name)
		if text == "" {
			continue
		}
		if *at, err = time.Parse(time.RFC3339, text); err != nil {
			return f, &model.FieldError{Field: name, Detail: "want a time as RFC 3339 has it, such as 2026-01-02T03:04:05Z"}
		}
	}
	return f, nil
}

// listAudit lists entries; with uses=true who has used an item, and how often.
func (v *Vault) listAudit(r *http.Request) (any, error) {
	q := r.URL.Query()
	f, err := auditFilter(q)
	if err != nil {
		return nil, err
	}
	if q.Get("uses") != "true" {
		found, err := v.audit.Entries(r.Context(), f)
		return pageAnswer(found), err
	}
	id := model.ID{Vault: f.Vault, Kind: f.Kind, Name: f.Name, Version: q.Get("version")}
	if err := model.CheckName(id.Name); err != nil {
		return nil, err
	}
	uses, err := v.audit.Uses(r.Context(), id, f.From, f.Ops...)
	return pageAnswer(model.List[*audit.Use]{Items: uses}), err
}

// verification asks whether the log is whole.
type verification struct {
	// Head is a checkpoint that was kept elsewhere, and Key the key that verifies it; without them the log is compared with
	// itself alone.
	Head json.RawMessage `json:"head"`
	Key  string          `json:"key"`
}

func (v *Vault) verifyAudit(r *http.Request) (any, error) {
	var asked verification
	if err := receive(r, &asked); err != nil {
		return nil, err
	}
	var head *audit.Checkpoint
	key := v.audit.PublicKey()
	var err error
	if len(asked.Head) > 0 {
		if head, err = audit.ParseCheckpoint(asked.Head); err != nil {
			return nil, &model.FieldError{Field: "head", Detail: err.Error()}
		}
		if head.Kind != "head" {
			return nil, &model.FieldError{Field: "head", Detail: "want a checkpoint of the end of a log"}
		}
	}
	if asked.Key != "" {
		if key, err = audit.ParsePublicKey(asked.Key); err != nil {
			return nil, &model.FieldError{Field: "key", Detail: err.Error()}
		}
	}
	type result struct {
		Whole  bool          `json:"whole"`
		Reason string        `json:"reason,omitempty"`
		Report *audit.Report `json:"report,omitempty"`
	}
	report, err := v.audit.Verify(r.Context(), head, key)
	if errors.Is(err, audit.ErrTampered) {
		return result{Reason: plainly(err), Report: report}, nil
	}
	return result{Whole: err == nil, Report: report}, err
}

// auditHead signs how the log stands now.
func (v *Vault) auditHead(r *http.Request) (any, error) {
	head, err := v.audit.Checkpoint(r.Context())
	if err != nil {
		return nil, err
	}
	status, err := v.audit.Status(r.Context())
	return map[string]any{"head": head, "status": status}, err
}

func (v *Vault) auditStatus(r *http.Request) (any, error) { return v.audit.Status(r.Context()) }
