package perdure

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/identity"
	"github.com/perdure/perdure/internal/problem"
	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/pgidentity"
	"github.com/perdure/perdure/pgidentity/authority"
)

// sweepDatabases is how often roles and certificates of databases are looked after.
const sweepDatabases = time.Minute

// openDatabases makes what gives managed identities their way into PostgreSQL, for an app that has any.
func (r *running) openDatabases() (err error) {
	if r.provider == nil {
		return nil
	}
	r.databases, err = authority.New(authority.Env{
		Unit: r.inUnit, Now: r.clock.Now, Seal: r.keys, Log: r.config.Logger,
	}, authority.Options{
		Identity: r.managedIdentity, Workload: r.databaseWorkload,
		Note: func(ctx context.Context, e authority.Entry) error {
			return r.provider.Note(ctx, e.Kind, e.Identity, describeEntry(&e))
		},
	})
	if err != nil {
		return fmt.Errorf("perdure: databases: %w", err)
	}
	r.services = append(r.services, &databaseSweeper{r: r})
	return nil
}

// describeEntry says in words what happened.
func describeEntry(e *authority.Entry) string {
	text := "server " + e.Server
	if e.Role != "" {
		text += ", role " + e.Role
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// managedIdentity finds a managed identity by name; "self" is the app's own.
func (r *running) managedIdentity(ctx context.Context, name string) (id, called string, err error) {
	var m identity.Member
	err = r.inUnit(ctx, func(ctx context.Context) (err error) {
		spec := "identity:" + name
		if name == selfSubject {
			spec = name
		}
		m, err = r.provider.Member(ctx, spec)
		return err
	})
	if errors.Is(err, identity.ErrNoMember) {
		err = fmt.Errorf("managed identity %q: %w", name, authority.ErrNotFound)
	}
	return m.Subject, m.Name, err
}

// databaseWorkload says for which managed identity a program of this machine asks for a certificate.
func (r *running) databaseWorkload(req *http.Request) (id, name string, err error) {
	m, err := r.provider.Workload(req)
	if why := (*auth.TokenError)(nil); errors.As(err, &why) {
		return "", "", problem.New(http.StatusUnauthorized, why.Reason)
	}
	return m.Subject, m.Name, err
}

// databaseSweeper ends leases, and finishes what broke off.
type databaseSweeper struct {
	r      *running
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// Start implements service.
func (s *databaseSweeper) Start(ctx context.Context) error {
	ctx, s.cancel = context.WithCancel(ctx)
	s.done.Go(func() {
		for {
			if _, err := s.r.databases.Sweep(ctx); err != nil && ctx.Err() == nil {
				s.r.config.Logger.Warn("a database server could not be looked after; it is tried again", "error", err)
			}
			t := s.r.clock.NewTimer(sweepDatabases)
			select {
			case <-ctx.Done():
				t.Stop()
				return
			case <-t.C():
			}
		}
	})
	return nil
}

// Stop implements service.
func (s *databaseSweeper) Stop(context.Context) error {
	if s.cancel != nil {
		s.cancel()
	}
	s.done.Wait()
	return nil
}

// Idle implements service.
func (s *databaseSweeper) Idle(context.Context) error { return nil }

// endLeases ends the leases of an instance in the unit that ends it.
func (r *running) endLeases(u *unit.Unit, instance string) error {
	if r.databases == nil {
		return nil
	}
	some, err := r.databases.MarkInstance(u.In(context.Background()), instance)
	if err != nil || !some {
		return err
	}
	u.OnCommit(func() {
		r.background.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), sweepDatabases)
			defer cancel()
			if err := r.databases.EndInstance(ctx, instance); err != nil {
				r.config.Logger.Warn("the leases of an instance on a database are not removed yet; it is tried again", "instance", instance, "error", err)
			}
		})
	})
	return nil
}

// Database returns how connections to a database server are logged in as the app itself, by its managed identity and without a
// password: for pgxpool.Config.BeforeConnect, and pgidentity.Connector. The server is one that "perdure db add" has registered, and
// "perdure db grant self" gives the app its rights there. It fails with ErrNotRunning while the app does not run, and for an app
// without Config.Identity.
func (a *App) Database(server string) pgidentity.Login {
	return pgidentity.As(server, pgidentity.NewSource(pgidentity.SignerFunc(a.signDatabase)))
}

// signDatabase issues a certificate to the app itself.
func (a *App) signDatabase(ctx context.Context, server, lease string, request []byte) (*pgidentity.Answer, error) {
	r, err := a.withDatabases()
	if err != nil {
		return nil, err
	}
	ctx = unit.Without(ctx)
	var issued *authority.Issued
	if lease != "" {
		issued, err = r.databases.IssueLeased(ctx, server, lease, request)
	} else {
		var self *auth.Principal
		if self, err = r.provider.Self(ctx); err == nil {
			issued, err = r.databases.Issue(ctx, server, self.Subject, request)
		}
	}
	if err != nil {
		return nil, err
	}
	answer := pgidentity.Answer(*issued)
	return &answer, nil
}

func (a *App) withDatabases() (*running, error) {
	switch r := a.running.Load(); {
	case r == nil:
		return nil, ErrNotRunning
	case r.databases == nil:
		return nil, errors.New("perdure: the app has no managed identity: Config.Identity is nil")
	default:
		return r, nil
	}
}

// DatabaseLease asks for a role of a database that ends.
type DatabaseLease struct {
	// Server is the name by which the server is registered.
	Server, Database string
	// Access is "reader", "writer" or "ddl".
	Access string
	// Schemas are those that it is about. Default "public".
	Schemas []string
	// For is how long the role lasts at most: up to 31 days.
	For time.Duration
	// InstanceID, unless empty, is an orchestration's instance, with which the role ends if it ends before.
	InstanceID string
}

// LeasedDatabase is a role of a database that ends.
type LeasedDatabase struct {
	// Login logs connections in as the role.
	Login pgidentity.Login
	// Role is its name in PostgreSQL.
	Role string
	// Until is when it ends at the latest.
	Until time.Time

	app        *App
	server, id string
}

// LeaseDatabase makes a role of a database that ends by itself, also when the app is not there to end it: for a migration, or for
// one orchestration's work. The app needs no rights of its own there.
func (a *App) LeaseDatabase(ctx context.Context, l DatabaseLease) (*LeasedDatabase, error) {
	r, err := a.withDatabases()
	if err != nil {
		return nil, err
	}
	made, err := r.databases.Lease(unit.Without(ctx), authority.LeaseRequest{
		Server: l.Server, Database: l.Database, Access: authority.Access(l.Access), Schemas: l.Schemas,
		Until: r.clock.Now().Add(l.For), Instance: l.InstanceID,
	})
	if err != nil {
		return nil, err
	}
	source := pgidentity.Leased(pgidentity.SignerFunc(a.signDatabase), made.ID)
	return &LeasedDatabase{pgidentity.As(l.Server, source), made.Role, made.Until, a, l.Server, made.ID}, nil
}

// End ends the role, with its sessions. One that has ended is no error.
func (l *LeasedDatabase) End(ctx context.Context) error {
	r, err := l.app.withDatabases()
	if err != nil {
		return err
	}
	err = r.databases.EndLease(unit.Without(ctx), l.server, l.id)
	if errors.Is(err, authority.ErrNotFound) {
		return nil
	}
	return err
}
