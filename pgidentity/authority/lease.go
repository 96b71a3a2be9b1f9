package authority

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/perdure/perdure/table"
)

const (
	maxLeases     = 1000 // of a server
	maxLeaseTime  = 31 * 24 * time.Hour
	maxInstanceID = 200
	// makeTime is how long it may take to make a role; one that is still being made later is left over by a crash.
	makeTime = 2 * adminTimeout
)

// LeaseRequest asks for a role for a while.
type LeaseRequest struct {
	Server   string `json:"server"`
	Database string `json:"database"`
	Access   Access `json:"access"`
	// Schemas are those that it is about; none is "public".
	Schemas []string `json:"schemas,omitempty"`
	// Until is when it ends.
	Until time.Time `json:"until"`
	// Instance is the orchestration instance that asks, if one does: the lease ends with it.
	Instance string `json:"instance,omitempty"`
	// Identity is the id of the managed identity that may have certificates for it. Without, IssueLeased gives them alone.
	Identity string `json:"identity,omitempty"`
}

// Lease is a role that ends at a time. While it runs certificates are issued for it by its id.
type Lease struct {
	ID string `json:"id"`
	LeaseRequest
	Role    string    `json:"role"`
	State   State     `json:"state"`
	Created time.Time `json:"created"`
}

var byInstance = table.Index("instance", func(l *Lease) string { return l.Instance })

// leases are by server and id.
var leases = table.Of("perdure.databases.leases", byInstance)

func (l *Lease) role() role {
	return role{l.Role, fmt.Sprintf("perdure: lease %s on %s", l.ID, l.Server)}
}

func (l *Lease) grant() Grant {
	return Grant{Database: l.Database, Access: l.Access, Schemas: l.Schemas}
}

// Lease makes a role that ends at a time, or with EndLease or EndInstance.
func (a *Authority) Lease(ctx context.Context, r LeaseRequest) (*Lease, error) {
	a.leased.Store(true)
	a.made.Store(true)
	defer a.lock(r.Server)()
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	l := &Lease{ID: hex.EncodeToString(random[:]), LeaseRequest: r, State: Changing}
	l.Role = reserved + "lease_" + l.ID[:16]
	l.Until = r.Until.UTC()
	var s *Server
	err := a.env.Unit(ctx, func(ctx context.Context) (err error) {
		l.Created = a.now()
		if s, err = getServer(ctx, r.Server); err != nil {
			return err
		}
		if err := l.check(s, a.now()); err != nil {
			return err
		}
		count, err := leases.Count(ctx, s.Name)
		if err != nil {
			return err
		}
		if count >= maxLeases {
			return fmt.Errorf("leases on database server %q: %w: at most %d", s.Name, ErrTooMany, maxLeases)
		}
		if err := leases.Insert(ctx, rowKey2(s.Name, l.ID), l); err != nil {
			return err
		}
		return a.options.Note(ctx, Entry{Kind: NotedLease, Server: s.Name, Identity: l.Identity, Role: l.Role,
			Detail: fmt.Sprintf("%s on database %s until %s", l.Access, l.Database, l.Until.Format(time.RFC3339))})
	})
	if err != nil {
		return nil, err
	}
	if err := a.fault("lease noted"); err != nil {
		return nil, err
	}
	g := l.grant()
	if err := a.run(ctx, s, l.Database, grantStatements(l.role(), g, []Grant{g})); err != nil {
		// Whether it was made is not always known: it ends as every lease does.
		ended := a.endLease(context.WithoutCancel(ctx), s, l)
		if ended != nil {
			a.env.Log.WarnContext(ctx, "a lease on a database will be removed later", "server", s.Name, "role", l.Role, "error", ended)
		}
		return nil, err
	}
	if err := a.fault("lease made"); err != nil {
		return nil, err
	}
	ended := false
	err = a.env.Unit(ctx, func(ctx context.Context) error {
		row, err := leases.Get(ctx, rowKey2(s.Name, l.ID))
		if err != nil {
			return err
		}
		if ended = row.State == Ending; ended { // its instance has ended meanwhile
			return nil
		}
		l.State = Active
		return leases.Put(ctx, rowKey2(s.Name, l.ID), l)
	})
	if err == nil && ended {
		err = errors.Join(fmt.Errorf("lease %s: %w: it has ended", l.ID, ErrNotFound), a.endLease(ctx, s, l))
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

// check reports what is wrong with a lease.
func (l *Lease) check(s *Server, now time.Time) error {
	g := l.grant()
	if err := g.check(s); err != nil {
		return err
	}
	l.Schemas = g.Schemas
	switch {
	case !l.Until.After(now) || l.Until.After(now.Add(maxLeaseTime)):
		return invalid("until", "want a time that is to come, within %d days", maxLeaseTime/(24*time.Hour))
	case len(l.Instance) > maxInstanceID:
		return invalid("instance", "want at most %d characters", maxInstanceID)
	case len(l.Identity) > maxInstanceID:
		return invalid("identity", "want at most %d characters", maxInstanceID)
	}
	return nil
}

// IssueLeased is Issue for the role of a lease. The certificate ends with the lease.
func (a *Authority) IssueLeased(ctx context.Context, server, lease string, request []byte) (*Issued, error) {
	return a.issueLeased(ctx, server, lease, request, func(*Lease) bool { return true })
}

func (a *Authority) issueLeased(ctx context.Context, server, id string, request []byte, may func(*Lease) bool) (*Issued, error) {
	public, err := parseRequest(request)
	if err != nil {
		return nil, err
	}
	var issued *Issued
	err = a.env.Unit(ctx, func(ctx context.Context) error {
		s, err := getServer(ctx, server)
		if errors.Is(err, ErrNotFound) {
			return ErrForbidden
		} else if err != nil {
			return err
		}
		l, err := getLease(ctx, server, id)
		if errors.Is(err, ErrNotFound) || err == nil && (l.State != Active || !a.now().Before(l.Until) || !may(l)) {
			return ErrForbidden
		} else if err != nil {
			return err
		}
		end := a.now().Add(s.ttl())
		if l.Until.Before(end) {
			end = l.Until
		}
		if issued, err = a.issue(ctx, s, l.Role, public, end); err != nil {
			return err
		}
		return a.options.Note(ctx, Entry{Kind: NotedCertificate, Server: server, Identity: l.Identity, Role: l.Role, Detail: "good until " + issued.NotAfter.Format(time.RFC3339)})
	})
	if err != nil {
		return nil, err
	}
	return issued, nil
}

// getLease returns a lease, in a unit of work.
func getLease(ctx context.Context, server, id string) (*Lease, error) {
	l, err := leases.Get(ctx, rowKey2(server, id))
	if errors.Is(err, ErrNotFound) || errors.Is(err, table.ErrKey) || errors.Is(err, table.ErrTooLarge) {
		return nil, fmt.Errorf("lease %.40q on database server %q: %w", id, server, ErrNotFound)
	}
	return l, err
}

// Leases returns the leases of a server, also those that are being made and removed.
func (a *Authority) Leases(ctx context.Context, server string) (all []*Lease, err error) {
	err = a.env.Unit(ctx, func(ctx context.Context) error {
		all = nil
		if _, err := getServer(ctx, server); err != nil {
			return err
		}
		for row, err := range leases.Scan(ctx, server) {
			if err != nil {
				return err
			}
			all = append(all, row.Value)
		}
		return nil
	})
	return all, err
}

// EndLease ends a lease: there are no certificates for it any more, its sessions end, its role is dropped.
func (a *Authority) EndLease(ctx context.Context, server, id string) error {
	var s *Server
	var l *Lease
	err := a.env.Unit(ctx, func(ctx context.Context) (err error) {
		if s, err = getServer(ctx, server); err != nil {
			return err
		}
		if l, err = getLease(ctx, server, id); err != nil {
			return err
		}
		return a.markEnding(ctx, l)
	})
	if err != nil {
		return err
	}
	defer a.lock(server)()
	return a.endLease(ctx, s, l)
}

// MarkInstance writes down, in the unit of ctx, that the leases of an orchestration instance end, and reports whether there are
// any: EndInstance then removes them once the unit has committed, and Sweep does if that is not to be.
func (a *Authority) MarkInstance(ctx context.Context, instance string) (some bool, err error) {
	if instance == "" || !a.leased.Load() {
		return false, nil
	}
	for row, err := range leases.ScanIndex(ctx, byInstance.Equal(instance), table.Stable()) {
		if err != nil {
			return false, err
		}
		some = true
		if err := a.markEnding(ctx, row.Value); err != nil {
			return false, err
		}
	}
	return some, nil
}

// EndInstance ends the leases of an orchestration instance. If a server cannot be reached Sweep goes on; no certificate
// is issued for them from then on. It opens units of work itself.
func (a *Authority) EndInstance(ctx context.Context, instance string) error {
	if instance == "" {
		return nil
	}
	var all []*Lease
	err := a.env.Unit(ctx, func(ctx context.Context) error {
		all = nil
		for row, err := range leases.ScanIndex(ctx, byInstance.Equal(instance), table.Stable()) {
			if err != nil {
				return err
			}
			l := *row.Value
			if err := a.markEnding(ctx, &l); err != nil {
				return err
			}
			all = append(all, &l)
		}
		return nil
	})
	for _, l := range all {
		err = errors.Join(err, a.finishLease(ctx, l))
	}
	return err
}

// markEnding writes down that a lease ends, in a unit of work.
func (a *Authority) markEnding(ctx context.Context, l *Lease) error {
	if l.State == Ending {
		return nil
	}
	l.State = Ending
	if err := leases.Put(ctx, rowKey2(l.Server, l.ID), l); err != nil {
		return err
	}
	return a.options.Note(ctx, Entry{Kind: NotedLeaseEnd, Server: l.Server, Identity: l.Identity, Role: l.Role})
}

// finishLease removes a lease that is ending.
func (a *Authority) finishLease(ctx context.Context, l *Lease) error {
	s, err := a.Server(ctx, l.Server)
	if err != nil {
		return err
	}
	defer a.lock(l.Server)()
	return a.endLease(ctx, s, l)
}

// endLease drops the role of a lease, and then forgets the lease. The server must be locked.
func (a *Authority) endLease(ctx context.Context, s *Server, l *Lease) error {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	if err := a.dropRole(ctx, s, l.role(), []Grant{l.grant()}); err != nil {
		return err
	}
	if l.Access == DDL {
		if err := a.shareTables(ctx, s, l.Database); err != nil {
			return err
		}
	}
	if err := a.fault("lease dropped"); err != nil {
		return err
	}
	return a.env.Unit(ctx, func(ctx context.Context) error {
		err := leases.Delete(ctx, rowKey2(l.Server, l.ID))
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		return err
	})
}

// shareTables gives those who have rights in a database their rights on the tables that were made there: a transaction that
// makes some while a grant is given sees none of the grant, and the grant none of them.
func (a *Authority) shareTables(ctx context.Context, s *Server, database string) error {
	all, err := a.Members(ctx, s.Name)
	if err != nil {
		return err
	}
	for _, m := range all {
		if m.State != Active || !slices.ContainsFunc(m.Grants, func(g Grant) bool { return g.Database == database }) {
			continue
		}
		if err := a.applyMember(ctx, s, m, database, nil); err != nil {
			return err
		}
	}
	return nil
}
