package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/perdure/perdure/internal/problem"
	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/vault/internal/audit"
	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/rest"
	"github.com/perdure/perdure/vault/internal/rights"
	"github.com/perdure/perdure/vault/internal/secrets"
)

// maxAdministration bounds the body of a request of the operator, in bytes.
const maxAdministration = 256 << 10

// administration is what the operator of the machine can do: the REST interface of each vault below /items/VAULT/, and what
// that has no place for.
func (v *Vault) administration() http.Handler {
	mux := http.NewServeMux()
	items := rest.New(rest.Options{
		Secrets: v.secrets, Keys: v.keys, Certificates: v.certificates, Operator: true,
		VaultOf: v.vaultOf, RecoverableDays: v.recoverableDays, PurgeProtected: v.purgeProtected, Log: v.options.Log,
	})
	mux.HandleFunc("GET /vaults", v.operate(v.listVaults))
	mux.HandleFunc("POST /generated", v.operate(v.generate))
	mux.HandleFunc("GET /expiring", v.operate(v.listExpiring))
	mux.HandleFunc("GET /roles", v.operate(v.listRoles))
	mux.HandleFunc("GET /grants", v.operate(v.listGrants))
	mux.HandleFunc("POST /grants", v.operate(v.addGrant))
	mux.HandleFunc("DELETE /grants/{id}", v.operate(v.dropGrant))
	mux.HandleFunc("GET /explain", v.operate(v.explain))
	mux.HandleFunc("POST /revocations", v.operate(v.revokeCertificate))
	mux.HandleFunc("GET /crl", v.operate(v.revocationList))
	mux.HandleFunc("POST /crl", v.operate(v.takeRevocationList))
	mux.HandleFunc("POST /offline", v.operate(v.takeOffline))
	mux.HandleFunc("GET /audit", v.operate(v.listAudit))
	mux.HandleFunc("POST /audit/verifications", v.operate(v.verifyAudit))
	mux.HandleFunc("POST /audit/heads", v.operate(v.auditHead))
	mux.HandleFunc("GET /audit/status", v.operate(v.auditStatus))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rest, ok := strings.CutPrefix(r.URL.Path, "/items/")
		if !ok {
			mux.ServeHTTP(w, r)
			return
		}
		// Not by a ServeMux, which redirects the paths that end with a slash.
		name, _, _ := strings.Cut(rest, "/")
		if err := v.checkVault(name); err != nil {
			v.refuse(w, r, err)
			return
		}
		to := r.Clone(r.Context())
		to.Host = v.hostOf(name)
		to.URL.Path, to.URL.RawPath = strings.TrimPrefix(rest, name), ""
		items.ServeHTTP(w, to)
	})
}

// operate answers a request with what do returns, as JSON, or with a problem.
func (v *Vault) operate(do func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxAdministration)
		answer, err := do(r)
		if err != nil {
			v.refuse(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false) // entries of the audit log stay in the form that was hashed
		_ = e.Encode(answer)   // the caller left: nobody to tell
	}
}

// refuse answers with a problem. The texts of the vault's errors are made for callers.
func (v *Vault) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		problem.New(http.StatusRequestEntityTooLarge, "the body is too large").Write(w)
		return
	}
	for _, known := range []struct {
		err    error
		status int
	}{
		{model.ErrInvalid, http.StatusBadRequest},
		{model.ErrNotFound, http.StatusNotFound},
		{model.ErrForbidden, http.StatusForbidden},
		{model.ErrDeleted, http.StatusConflict},
		{model.ErrExists, http.StatusConflict},
		{model.ErrManaged, http.StatusConflict},
		{model.ErrTooMany, http.StatusConflict},
		{audit.ErrOldHead, http.StatusConflict},
		{unit.ErrConflict, http.StatusServiceUnavailable},
	} {
		if errors.Is(err, known.err) {
			problem.New(known.status, plainly(err)).Write(w)
			return
		}
	}
	v.options.Log.LogAttrs(r.Context(), slog.LevelError, "administration of the vault failed", slog.String("path", r.URL.Path), slog.Any("error", err))
	problem.New(http.StatusInternalServerError, "it could not be done; the log of the app says why").Write(w)
}

// plainly is the text of an error for somebody who knows what they have asked for.
func plainly(err error) string {
	return strings.NewReplacer("perdure: vault: ", "", "perdure: vault audit: ", "").Replace(err.Error())
}

// receive reads a body with one JSON object.
func receive(r *http.Request, into any) error {
	err := problem.DecodeOne(r.Body, into)
	if err == nil || errors.As(err, new(*http.MaxBytesError)) {
		return err
	}
	return &model.FieldError{Field: "body", Detail: err.Error()}
}

// pageOf reads which part of a list is asked for. What is no number of items is the usual one.
func pageOf(q url.Values) model.Page {
	most, _ := strconv.Atoi(q.Get("max"))
	return model.Page{Max: max(most, 0), Cursor: q.Get("cursor")}
}

// page is a part of a list in an answer.
type page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

func pageAnswer[T any](l model.List[T]) page[T] {
	if l.Items == nil {
		l.Items = []T{}
	}
	return page[T]{l.Items, l.Next}
}

// checkVault reports that there is no vault of a name.
func (v *Vault) checkVault(name string) error {
	if v.options.settings(name) == nil {
		return fmt.Errorf("%w: no vault is called %q (Config.Vault.Vaults)", model.ErrNotFound, name)
	}
	return nil
}

func (v *Vault) listVaults(*http.Request) (any, error) {
	type one struct {
		Name            string `json:"name"`
		URL             string `json:"url,omitempty"`
		RecoverableDays int    `json:"recoverable_days"`
		PurgeProtection bool   `json:"purge_protection"`
		ReuseDeleted    bool   `json:"reuse_deleted"`
	}
	all := page[one]{Items: []one{}}
	for _, s := range v.options.Vaults {
		o := one{s.Name, "", s.RecoverableDays, s.PurgeProtection, s.ReuseDeleted}
		if v.options.Port != "" {
			o.URL = "https://" + v.hostOf(s.Name)
		}
		all.Items = append(all.Items, o)
	}
	return all, nil
}

// generated is a random value to be made.
type generated struct {
	Vault       string            `json:"vault"`
	Name        string            `json:"name"`
	Length      int               `json:"length"`
	Alphabet    string            `json:"alphabet"` // the name of one, or its characters
	ContentType *string           `json:"content_type"`
	Enabled     *bool             `json:"enabled"`
	NotBefore   *time.Time        `json:"not_before"`
	Expires     *time.Time        `json:"expires"`
	Tags        map[string]string `json:"tags"`
}

func (v *Vault) generate(r *http.Request) (any, error) {
	var g generated
	if err := receive(r, &g); err != nil {
		return nil, err
	}
	if err := v.checkVault(g.Vault); err != nil {
		return nil, err
	}
	if named, ok := secrets.Alphabet(g.Alphabet); ok {
		g.Alphabet = named
	}
	id := model.ID{Vault: g.Vault, Kind: model.Secrets, Name: g.Name}
	s, err := v.secrets.Generate(r.Context(), model.Operator, id, secrets.Generator{Length: g.Length, Alphabet: g.Alphabet},
		model.Change{ContentType: g.ContentType, Enabled: g.Enabled, NotBefore: g.NotBefore, Expires: g.Expires, Tags: g.Tags})
	if err != nil {
		return nil, err
	}
	return map[string]string{"name": s.Name, "version": s.Version}, nil
}

func (v *Vault) listExpiring(r *http.Request) (any, error) {
	const month = 30 * 24 * time.Hour
	q := r.URL.Query()
	within := month
	if text := q.Get("within"); text != "" {
		var err error
		if within, err = time.ParseDuration(text); err != nil || within < 0 {
			return nil, &model.FieldError{Field: "within", Detail: "want a duration such as 720h"}
		}
	}
	type one struct {
		Vault   string     `json:"vault"`
		Kind    model.Kind `json:"kind"`
		Name    string     `json:"name"`
		Version string     `json:"version"`
		Expires time.Time  `json:"expires"`
	}
	var found page[one]
	err := v.env.Unit(r.Context(), func(ctx context.Context) error {
		l, err := v.items.Expiring(ctx, within, pageOf(q), nil)
		found = page[one]{Items: []one{}, Next: l.Next}
		for _, e := range l.Items {
			found.Items = append(found.Items, one{e.Vault, e.Kind, e.Name, e.Version, e.Expires})
		}
		return err
	})
	return found, err
}

func (v *Vault) listRoles(*http.Request) (any, error) {
	type one struct {
		Name  string                    `json:"name"`
		Azure string                    `json:"azure"`
		Ops   map[model.Kind][]model.Op `json:"operations"`
	}
	all := page[one]{}
	for _, s := range rights.Sets() {
		all.Items = append(all.Items, one{s.Name, s.Azure, s.Ops})
	}
	return all, nil
}

func (v *Vault) listGrants(r *http.Request) (any, error) {
	q := r.URL.Query()
	var found model.List[*rights.Grant]
	err := v.env.Unit(r.Context(), func(ctx context.Context) (err error) {
		found, err = v.rights.List(ctx, rights.Filter{Member: q.Get("member"), Vault: q.Get("vault"), Page: pageOf(q)})
		return err
	})
	return pageAnswer(found), err
}

func (v *Vault) addGrant(r *http.Request) (any, error) {
	var s rights.Spec
	if err := receive(r, &s); err != nil {
		return nil, err
	}
	if s.Vault != all {
		if err := v.checkVault(s.Vault); err != nil {
			return nil, err
		}
	}
	g, added, err := v.grant(r.Context(), model.Operator, s)
	if err != nil {
		return nil, err
	}
	return map[string]any{"grant": g, "text": g.String(), "added": added}, nil
}

func (v *Vault) dropGrant(r *http.Request) (any, error) {
	var dropped *rights.Grant
	err := v.env.Unit(r.Context(), func(ctx context.Context) (err error) {
		if dropped, err = v.rights.Revoke(ctx, r.PathValue("id")); err != nil {
			return err
		}
		return v.noteGrant(ctx, model.Operator, "revoke", dropped)
	})
	if err != nil {
		return nil, err
	}
	return map[string]any{"grant": dropped, "text": dropped.String()}, nil
}

func (v *Vault) explain(r *http.Request) (any, error) {
	q := r.URL.Query()
	op := model.Operation{
		ID: model.ID{Vault: q.Get("vault"), Kind: model.Kind(q.Get("kind")), Name: q.Get("name")}, Op: model.Op(q.Get("op")),
	}
	var why *rights.Explanation
	err := v.env.Unit(r.Context(), func(ctx context.Context) error {
		m, err := v.rights.Member(ctx, q.Get("member"))
		if err != nil {
			return err
		}
		who, err := v.rights.Principal(m)
		if err != nil {
			return err
		}
		why, err = v.rights.Explain(ctx, model.Caller{Principal: who}, op)
		return err
	})
	return why, err
}

// revocation is a version of a certificate that is to be revoked.
type revocation struct {
	Vault   string `json:"vault"`
	Name    string `json:"name"`
	Version string `json:"version"` // empty for the current one
	Reason  int    `json:"reason"`  // RFC 5280, section 5.3.1
}

func (v *Vault) revokeCertificate(r *http.Request) (any, error) {
	var asked revocation
	if err := receive(r, &asked); err != nil {
		return nil, err
	}
	if err := v.checkVault(asked.Vault); err != nil {
		return nil, err
	}
	id := model.ID{Vault: asked.Vault, Kind: model.Certificates, Name: asked.Name, Version: asked.Version}
	return struct{}{}, v.certificates.Revoke(r.Context(), model.Operator, id, asked.Reason)
}

// revocationList answers with the list of an authority, which clients without the REST interface have to be brought.
func (v *Vault) revocationList(r *http.Request) (any, error) {
	q := r.URL.Query()
	if err := v.checkVault(q.Get("vault")); err != nil {
		return nil, err
	}
	list, err := v.certificates.CRL(r.Context(), q.Get("vault"), q.Get("authority"))
	return map[string][]byte{"crl": list}, err
}

// authority is a certificate that signs others, with a list of what it has revoked.
type authority struct {
	Vault string `json:"vault"`
	Name  string `json:"name"`
	CRL   []byte `json:"crl"` // DER
}

// takeRevocationList takes a list that was made where the key of an authority is.
func (v *Vault) takeRevocationList(r *http.Request) (any, error) {
	id, a, err := v.receiveAuthority(r)
	if err != nil {
		return nil, err
	}
	return struct{}{}, v.certificates.SetCRL(r.Context(), model.Operator, id, a.CRL)
}

// takeOffline takes the key of an authority out of the vault: the answer has it, and it can be had once.
func (v *Vault) takeOffline(r *http.Request) (any, error) {
	id, _, err := v.receiveAuthority(r)
	if err != nil {
		return nil, err
	}
	text, err := v.certificates.TakeOffline(r.Context(), model.Operator, id)
	return map[string]string{"pem": string(text)}, err
}

func (v *Vault) receiveAuthority(r *http.Request) (id model.ID, a authority, err error) {
	if err := receive(r, &a); err != nil {
		return id, a, err
	}
	return model.ID{Vault: a.Vault, Kind: model.Certificates, Name: a.Name}, a, v.checkVault(a.Vault)
}
