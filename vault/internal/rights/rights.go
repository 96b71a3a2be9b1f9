package rights

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/table"
	"github.com/perdure/perdure/vault/internal/model"
)

// MaxGrants is how many grants there may be. All of them are kept in memory.
const MaxGrants = 50_000

// Options are the settings of Rights.
type Options struct {
	// Issuer is that of the own provider, as its tokens name it: members without an issuer are of it.
	Issuer string
	// Directory knows who there is; nil without a provider.
	Directory Directory
}

// Rights decides by the grants of a store. Its methods work in the unit of work of their context.
type Rights struct {
	env     *model.Env
	options Options

	loading sync.Mutex // held while grants are read, so that one of many readers does it
	cached  atomic.Pointer[compiled]
}

// New returns the rights of a store.
func New(env *model.Env, o Options) *Rights { return &Rights{env: env, options: o} }

// Grant gives a right, and reports whether it is a new one. By is the subject of who gives it.
func (r *Rights) Grant(ctx context.Context, by string, s Spec) (g *Grant, added bool, err error) {
	if g, err = s.grant(); err != nil {
		return nil, false, err
	}
	if g.Member, err = r.Member(ctx, s.Member); err != nil {
		return nil, false, err
	}
	g.identify()
	g.Created, g.By = r.env.Now(), by
	switch old, err := grants.Get(ctx, g.ID); {
	case err == nil:
		return old, false, nil
	case !errors.Is(err, table.ErrNotFound):
		return nil, false, fmt.Errorf("rights: %w", err)
	}
	if err := grants.Insert(ctx, g.ID, g); err != nil {
		return nil, false, fmt.Errorf("rights: %w", err)
	}
	return g, true, r.changed(ctx, 1)
}

// Revoke takes a right away and returns what it was: model.ErrNotFound if there is none with this id.
func (r *Rights) Revoke(ctx context.Context, id string) (*Grant, error) {
	g, err := grants.Get(ctx, table.Key{Row: id}.String())
	switch {
	case errors.Is(err, table.ErrNotFound), errors.Is(err, table.ErrKey), errors.Is(err, table.ErrTooLarge):
		return nil, fmt.Errorf("%w: grant %q", model.ErrNotFound, id)
	case err != nil:
		return nil, fmt.Errorf("rights: %w", err)
	}
	if err := grants.Delete(ctx, g.ID); err != nil {
		return nil, fmt.Errorf("rights: %w", err)
	}
	return g, r.changed(ctx, -1)
}

// Forget takes all rights of a member away that was deleted, and returns what they were.
func (r *Rights) Forget(ctx context.Context, m Member) ([]*Grant, error) {
	if m.Issuer == r.options.Issuer {
		m.Issuer = ""
	}
	var gone []*Grant
	// Stable: a grant that is given to the member meanwhile conflicts, also when there is none now, and does not outlive it.
	for row, err := range grants.ScanIndex(ctx, grantsByMember.Equal(m.key()), table.Stable()) {
		if err != nil {
			return nil, fmt.Errorf("rights: %w", err)
		}
		gone = append(gone, row.Value)
	}
	for _, g := range gone {
		if err := grants.Delete(ctx, g.ID); err != nil {
			return nil, fmt.Errorf("rights: %w", err)
		}
	}
	if len(gone) == 0 {
		return nil, nil
	}
	return gone, r.changed(ctx, -len(gone))
}

// changed makes a new generation.
func (r *Rights) changed(ctx context.Context, more int) error {
	g, err := readGeneration(ctx)
	if err != nil {
		return err
	}
	g.Number++
	g.Tag = rand.Uint64()
	if g.Count += more; more > 0 && g.Count > MaxGrants {
		return fmt.Errorf("%w: at most %d grants", model.ErrTooMany, MaxGrants)
	}
	if err := generations.Put(ctx, generationKey, &g); err != nil {
		return fmt.Errorf("rights: %w", err)
	}
	return nil
}

// readGeneration makes the commit of the unit depend on no grant being changed.
func readGeneration(ctx context.Context) (generation, error) {
	g, err := generations.Get(ctx, generationKey)
	switch {
	case errors.Is(err, table.ErrNotFound):
		return generation{}, nil
	case err != nil:
		return generation{}, fmt.Errorf("rights: %w", err)
	}
	return *g, nil
}

// Filter says which grants to list. Empty fields select all.
type Filter struct {
	Member string // as in Spec
	Vault  string // grants for all vaults are among those of each
	model.Page
}

// List lists grants.
func (r *Rights) List(ctx context.Context, f Filter) (model.List[*Grant], error) {
	options := []table.ScanOption{table.After(f.Cursor), table.Where(func(g *Grant) bool {
		return f.Vault == "" || g.Vault == f.Vault || g.Vault == All
	})}
	rows := grants.Scan(ctx, "", options...)
	if f.Member != "" {
		m, err := r.Member(ctx, f.Member)
		if err != nil {
			return model.List[*Grant]{}, err
		}
		rows = grants.ScanIndex(ctx, grantsByMember.Equal(m.key()), options...)
	}
	size := f.Max
	if size <= 0 || size > model.PageSize {
		size = model.PageSize
	}
	page, next, err := table.Page(rows, size)
	if err != nil {
		if errors.Is(err, table.ErrCursor) {
			err = &model.FieldError{Field: "cursor", Detail: "is damaged"}
		}
		return model.List[*Grant]{}, fmt.Errorf("rights: %w", err)
	}
	list := model.List[*Grant]{Next: next}
	for _, row := range page {
		list.Items = append(list.Items, row.Value)
	}
	return list, nil
}

// load returns the grants as the unit of ctx sees them.
func (r *Rights) load(ctx context.Context) (*compiled, error) {
	g, err := readGeneration(ctx)
	if err != nil {
		return nil, err
	}
	if c := r.cached.Load(); c != nil && c.generation == g {
		return c, nil
	}
	r.loading.Lock()
	defer r.loading.Unlock()
	old := r.cached.Load()
	if old != nil && old.generation == g {
		return old, nil
	}
	var all []*Grant
	for row, err := range grants.Scan(ctx, "") {
		if err != nil {
			return nil, fmt.Errorf("rights: %w", err)
		}
		all = append(all, row.Value)
	}
	c := compile(g, all)
	// What this unit has written itself is not committed: nobody else may decide by it. And an older view does not replace a
	// newer one, or the two would drive each other out.
	if u, err := unit.From(ctx); err == nil && u.ReadOnly() && (old == nil || old.generation.Number <= g.Number) {
		r.cached.Store(c)
	}
	return c, nil
}
