package keys

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime"

	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/model"
)

// Options are the settings of a Service. The zero value is right for tests.
type Options struct {
	// Notify is called when a rotation policy's Notify is due, in the unit of work that notes that it was, so that what it
	// writes is written once. It may run several times. Nil when nobody wants to know.
	Notify func(ctx context.Context, n Notice) error
	// Log gets a line for each key that is rotated by its policy; nil for none.
	Log *slog.Logger
	// CachedKeys bounds how many opened keys stay in memory; 0 for 1000.
	CachedKeys int
}

// Service serves the keys of all vaults. Its methods open a unit of work each, unless they say otherwise, which the guard's
// entry in the audit log is part of. Errors are those of package model; where a caller may not do something it is
// model.ErrForbidden, whether there is such a key or not. It is safe for concurrent use.
type Service struct {
	env    *model.Env
	store  *items.Store
	guard  model.Guard
	notify func(ctx context.Context, n Notice) error
	log    *slog.Logger
	cache  *cache
	making chan struct{} // holds one for each RSA key that is being made
}

// New returns the service.
func New(env *model.Env, store *items.Store, guard model.Guard, o Options) *Service {
	if o.CachedKeys <= 0 {
		o.CachedKeys = 1000
	}
	return &Service{
		env: env, store: store, guard: guard, notify: o.Notify, log: o.Log, cache: newCache(o.CachedKeys),
		making: make(chan struct{}, runtime.GOMAXPROCS(0)),
	}
}

// do runs fn for a key as the guard lets it. Fn fills in the version for the audit log.
func (s *Service) do(ctx context.Context, by model.Caller, op model.Op, id model.ID, fn func(ctx context.Context, id model.ID, o *model.Operation) error) error {
	id.Kind = model.Keys
	// A name that cannot be is refused before anything else, so that none gets into the audit log.
	if err := model.CheckVaultName(id.Vault); err != nil {
		return err
	}
	if err := model.CheckName(id.Name); err != nil {
		return err
	}
	o := &model.Operation{ID: id, Op: op}
	return s.guard.Do(ctx, by, o, func(ctx context.Context) error { return fn(ctx, id, o) })
}

// visible runs fn for what concerns no one key as the guard lets it.
func (s *Service) visible(ctx context.Context, by model.Caller, o model.Operation, fn func(ctx context.Context, visible func(name string) bool) error) error {
	if err := model.CheckVaultName(o.Vault); err != nil {
		return err
	}
	o.Kind = model.Keys
	return s.guard.Visible(ctx, by, &o, fn)
}

// publicPart is what is stored of a version beside its private key.
type publicPart struct {
	JWK  json.RawMessage `json:"jwk"`
	Type string          `json:"kty"`            // with "-HSM" when it was asked for so
	Size int             `json:"size,omitempty"` // of RSA and oct, in bits
	Ops  []string        `json:"ops"`
}

func publicOf(v *items.Version) (*publicPart, error) {
	p := new(publicPart)
	if err := json.Unmarshal(v.Public, p); err != nil {
		return nil, fmt.Errorf("vault: %q: its public part: %w", v.ID.String(), err)
	}
	return p, nil
}

// put makes it the public part of a version.
func (p *publicPart) put(v *items.Version) (err error) {
	v.Public, err = json.Marshal(p)
	return err
}

func keyOf(v *items.Version) (*model.Key, error) {
	p, err := publicOf(v)
	if err != nil {
		return nil, err
	}
	return &model.Key{ID: v.ID, Attributes: v.Attributes, JWK: p.JWK, Type: p.Type, Ops: p.Ops, Tags: v.Tags, Managed: v.Managed}, nil
}

func deletedOf(d *model.Deleted[*items.Version]) (*model.Deleted[*model.Key], error) {
	k, err := keyOf(d.Item)
	if err != nil {
		return nil, err
	}
	return &model.Deleted[*model.Key]{Item: k, Deletion: d.Deletion}, nil
}

func managed(id model.ID) error { return fmt.Errorf("%q: %w", id.String(), model.ErrManaged) }

// mapped returns a list of what of makes of another one's entries.
func mapped[A, B any](l model.List[A], of func(A) (B, error)) (out model.List[B], err error) {
	out = model.List[B]{Items: make([]B, len(l.Items)), Next: l.Next}
	for i, a := range l.Items {
		if out.Items[i], err = of(a); err != nil {
			return model.List[B]{}, err
		}
	}
	return out, nil
}
