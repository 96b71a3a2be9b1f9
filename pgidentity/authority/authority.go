package authority

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// Env is what an Authority works with.
type Env struct {
	// Unit runs fn in a unit of work: what it reads and writes through its context commits in one step. It may run fn
	// several times.
	Unit func(ctx context.Context, fn func(ctx context.Context) error) error
	// Now is the time.
	Now func() time.Time
	// Seal protects the keys of the certificate authorities at rest.
	Seal Sealer
	// Log gets what an operator should know. Nil is none.
	Log *slog.Logger
}

// Sealer encrypts and authenticates. What was sealed for a purpose opens for that purpose alone.
type Sealer interface {
	Seal(purpose string, plain []byte) ([]byte, error)
	Open(purpose string, sealed []byte) ([]byte, error)
}

// Options are what the rest of the app knows. The zero value does for who calls the methods of Authority alone.
type Options struct {
	// Identity finds a managed identity by its name or id, for Administration; it runs outside of units. ErrNotFound: there is
	// none.
	Identity func(ctx context.Context, nameOrID string) (id, name string, err error)
	// Workload says which managed identity sent a request to Certificates. An error that is a problem with an HTTP
	// status is the answer; any other one is answered by 401.
	Workload func(r *http.Request) (id, name string, err error)
	// Note writes to the audit log, in the unit of work of what it is about.
	Note func(ctx context.Context, e Entry) error
	// Connect connects to a database of a server as its administrator. Nil connects by Server.Admin.
	Connect func(ctx context.Context, s *Server, database string) (*pgx.Conn, error)
}

// Entry is an entry of the audit log.
type Entry struct {
	Kind     string // one of the constants Noted…
	Server   string
	Identity string // the id of the managed identity that it is about
	Role     string
	Detail   string
}

// The kinds of entries.
const (
	NotedServer      = "database.server"       // a server was registered, changed or removed
	NotedAuthority   = "database.authority"    // a certificate authority was made or removed
	NotedTrust       = "database.trust"        // the settings of a server were applied
	NotedGrant       = "database.grant"        // rights were given
	NotedRevoke      = "database.revoke"       // rights were taken away
	NotedCertificate = "database.certificate"  // a certificate was issued
	NotedRevocation  = "database.revocation"   // certificates were revoked
	NotedLease       = "database.lease"        // a lease began
	NotedLeaseEnd    = "database.lease.ending" // a lease ends
)

// Authority gives managed identities their way into database servers. It is safe for concurrent use.
type Authority struct {
	env     Env
	options Options

	mu    sync.Mutex
	locks map[string]*sync.Mutex // by server: its roles change one after another

	// leased: there may be leases, so that who ends need not look in vain; made: one was made by this process.
	leased, made atomic.Bool

	// fault, in tests, breaks off where it returns an error.
	fault func(step string) error
}

// New returns an authority on the store of env.
func New(env Env, o Options) (*Authority, error) {
	if env.Unit == nil || env.Now == nil || env.Seal == nil {
		return nil, errors.New("authority: it needs units of work, the time and a sealer")
	}
	if env.Log == nil {
		env.Log = slog.New(slog.DiscardHandler)
	}
	if o.Note == nil {
		o.Note = func(context.Context, Entry) error { return nil }
	}
	if o.Connect == nil {
		o.Connect = connect
	}
	a := &Authority{env: env, options: o, locks: map[string]*sync.Mutex{}, fault: func(string) error { return nil }}
	a.leased.Store(true) // until Sweep has looked
	return a, nil
}

// now is the time in UTC.
func (a *Authority) now() time.Time { return a.env.Now().UTC() }

// lock keeps other changes of a server's roles away until the function it returns is called.
func (a *Authority) lock(server string) (unlock func()) {
	a.mu.Lock()
	m := a.locks[server]
	if m == nil {
		m = &sync.Mutex{}
		a.locks[server] = m
	}
	a.mu.Unlock()
	m.Lock()
	return m.Unlock
}
