package authority

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/perdure/perdure/table"
)

// Access is what a role may do in a database.
type Access string

// What there is. Each reaches the schemas of its grant alone.
const (
	// Reader reads tables, views and sequences.
	Reader Access = "reader"
	// Writer reads and changes rows, and makes temporary tables.
	Writer Access = "writer"
	// DDL makes, changes and drops tables, views and the like in one schema, and does what Writer does. What it makes belongs to
	// a role that all with ddl in that schema share, so that each can change what another made.
	DDL Access = "ddl"
)

const (
	maxMembers = 1000 // of a server
	maxSchemas = 32
)

// Grant are rights in a database.
type Grant struct {
	Database string `json:"database"`
	Access   Access `json:"access"`
	// Schemas are those that it is about; none is "public".
	Schemas []string  `json:"schemas,omitempty"`
	Given   time.Time `json:"given,omitzero"`
}

// State is how far a change of a role has come.
type State string

// The states.
const (
	Changing State = "changing" // noted, and not yet so in PostgreSQL
	Active   State = "active"
	Ending   State = "ending" // to be removed from PostgreSQL
)

// Member is a managed identity with rights on a server.
type Member struct {
	Server   string `json:"server"`
	Identity string `json:"identity"` // id
	Name     string `json:"name"`     // of the identity
	// Role is the name of its role in PostgreSQL, which is that of the identity as far as it can be.
	Role   string  `json:"role"`
	State  State   `json:"state"`
	Grants []Grant `json:"grants"`
	// Made: the role is there.
	Made    bool      `json:"made"`
	Created time.Time `json:"created"`
	// Generation counts the revocations of all its certificates.
	Generation int `json:"generation"`
}

// members are by server and identity.
var members = table.Of[Member]("perdure.databases.members")

func (m *Member) role() role {
	return role{m.Role, fmt.Sprintf("perdure: identity %s on %s", m.Identity, m.Server)}
}

// check reports what is wrong with a grant on a server, and fills in what is not said.
func (g *Grant) check(s *Server) error {
	if !slices.Contains(s.Databases, g.Database) {
		return invalid("database", "%.80q is not among the databases of server %q, which are %s", g.Database, s.Name, strings.Join(s.Databases, ", "))
	}
	if g.Access != Reader && g.Access != Writer && g.Access != DDL {
		return invalid("access", "want %s, %s or %s", Reader, Writer, DDL)
	}
	if len(g.Schemas) == 0 {
		g.Schemas = []string{"public"}
	}
	if len(g.Schemas) > maxSchemas {
		return invalid("schemas", "want at most %d", maxSchemas)
	}
	if g.Access == DDL && len(g.Schemas) > 1 {
		return invalid("schemas", "want one schema for ddl: what is made belongs to the role of that schema")
	}
	for i, schema := range g.Schemas {
		if err := checkIdentifier(fmt.Sprintf("schemas[%d]", i), schema); err != nil {
			return err
		}
	}
	return nil
}

// Grant gives a managed identity rights in a database instead of those that it has there: it makes the role, if there is
// none, and lets it connect to that database alone. PUBLIC, that is everybody, may not connect there any more nor make
// things in the schema public. It may be repeated.
func (a *Authority) Grant(ctx context.Context, server, identity, name string, g Grant) (*Member, error) {
	defer a.lock(server)()
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	var foreign []string
	for {
		s, m, before, err := a.noteGrant(ctx, server, identity, name, g, false, foreign)
		if err != nil {
			return nil, err
		}
		if err := a.fault("grant noted"); err != nil {
			return nil, err
		}
		if err = a.applyMember(ctx, s, m, g.Database, before); err == nil {
			return m, nil
		}
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || refused.Severity == "FATAL" {
			return nil, err // whether it was done is not known: Sweep does it again
		}
		// It was rolled back.
		if undone := a.undoGrant(context.WithoutCancel(ctx), m, before); undone != nil {
			return nil, errors.Join(err, undone)
		}
		if refused.Code != foreignRole || before != nil {
			return nil, err
		}
		foreign = append(foreign, m.Role)
	}
}

// PrintGrant notes a grant and returns the statements, for psql, that make it so, instead of running them.
func (a *Authority) PrintGrant(ctx context.Context, server, identity, name string, g Grant) (string, error) {
	defer a.lock(server)()
	_, m, _, err := a.noteGrant(ctx, server, identity, name, g, true, nil)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(m.Grants, func(one Grant) bool { return one.Database == g.Database })
	return script(g.Database, grantStatements(m.role(), m.Grants[i], m.Grants)), nil
}

// noteGrant writes down what is to be. Before is the member as it was, nil for a new one.
func (a *Authority) noteGrant(ctx context.Context, server, identity, name string, g Grant, done bool, foreign []string) (s *Server, m, before *Member, err error) {
	if identity == "" || len(identity) > 200 {
		return nil, nil, nil, invalid("identity", "want the id of a managed identity")
	}
	err = a.env.Unit(ctx, func(ctx context.Context) error {
		before = nil
		if s, err = getServer(ctx, server); err != nil {
			return err
		}
		if err := g.check(s); err != nil {
			return err
		}
		if m, err = member(ctx, server, identity); errors.Is(err, ErrNotFound) {
			m, err = a.newMember(ctx, s, identity, name, foreign)
		} else if err == nil {
			before, err = member(ctx, server, identity)
		}
		if err != nil {
			return err
		}
		if m.State == Ending {
			return fmt.Errorf("rights of identity %q on %q: %w: they are being revoked", name, server, ErrInUse)
		}
		g.Given = a.now()
		if i := slices.IndexFunc(m.Grants, func(one Grant) bool { return one.Database == g.Database }); i >= 0 {
			m.Grants[i] = g
		} else {
			m.Grants = append(m.Grants, g)
		}
		m.State = Changing
		if done {
			m.State, m.Made = Active, true
		}
		if err := members.Put(ctx, rowKey2(server, identity), m); err != nil {
			return err
		}
		return a.options.Note(ctx, Entry{Kind: NotedGrant, Server: server, Identity: identity, Role: m.Role,
			Detail: fmt.Sprintf("%s on database %s, schemas %s", g.Access, g.Database, strings.Join(g.Schemas, ", "))})
	})
	return s, m, before, err
}

func (a *Authority) newMember(ctx context.Context, s *Server, identity, name string, foreign []string) (*Member, error) {
	count, err := members.Count(ctx, s.Name)
	if err != nil {
		return nil, err
	}
	if count >= maxMembers {
		return nil, fmt.Errorf("identities on database server %q: %w: at most %d", s.Name, ErrTooMany, maxMembers)
	}
	role, err := claimRole(ctx, s, identity, name, foreign)
	if err != nil {
		return nil, err
	}
	return &Member{Server: s.Name, Identity: identity, Name: name, Role: role, Created: a.now()}, nil
}

// undoGrant puts back what noteGrant has changed.
func (a *Authority) undoGrant(ctx context.Context, m, before *Member) error {
	return a.env.Unit(ctx, func(ctx context.Context) error {
		key := rowKey2(m.Server, m.Identity)
		if before != nil {
			return members.Update(ctx, key, func(now *Member) error {
				now.Grants, now.State = before.Grants, before.State
				return nil
			})
		}
		if err := members.Delete(ctx, key); err != nil {
			return err
		}
		return releaseRole(ctx, m.Server, m.Role)
	})
}

// applyMember makes the grant on a database so in PostgreSQL, or all grants if database is empty, and notes that.
func (a *Authority) applyMember(ctx context.Context, s *Server, m *Member, database string, before *Member) error {
	for _, g := range m.Grants {
		if database != "" && g.Database != database {
			continue
		}
		if err := a.run(ctx, s, g.Database, grantStatements(m.role(), g, m.Grants)); err != nil {
			return err
		}
		if err := a.fault("grant made"); err != nil {
			return err
		}
		// A session goes on with the role that it was given when it began.
		if before != nil && slices.ContainsFunc(before.Grants, func(old Grant) bool { return old.Database == g.Database && old.Access != g.Access }) {
			if err := a.runLoose(ctx, s, "postgres", endSessions(m.Role, g.Database)); err != nil {
				return err
			}
		}
	}
	return a.env.Unit(ctx, func(ctx context.Context) error {
		return members.Update(ctx, rowKey2(m.Server, m.Identity), func(now *Member) error {
			if now.State == Changing {
				now.State = Active
			}
			now.Made = true
			*m = *now
			return nil
		})
	})
}

// member returns a member, in a unit of work.
func member(ctx context.Context, server, identity string) (*Member, error) {
	m, err := members.Get(ctx, rowKey2(server, identity))
	if errors.Is(err, ErrNotFound) || errors.Is(err, table.ErrKey) || errors.Is(err, table.ErrTooLarge) {
		return nil, fmt.Errorf("rights of identity %.80q on database server %q: %w", identity, server, ErrNotFound)
	}
	return m, err
}

// Members returns the identities that have rights on a server, by id.
func (a *Authority) Members(ctx context.Context, server string) (all []*Member, err error) {
	err = a.env.Unit(ctx, func(ctx context.Context) error {
		all = nil
		if _, err := getServer(ctx, server); err != nil {
			return err
		}
		for row, err := range members.Scan(ctx, server) {
			if err != nil {
				return err
			}
			all = append(all, row.Value)
		}
		return nil
	})
	return all, err
}

// run runs statements in a database as one transaction.
func (a *Authority) run(ctx context.Context, s *Server, database string, statements []string) error {
	return a.connected(ctx, s, database, func(conn *pgx.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			// Somebody's long transaction must not hold everything up.
			for _, statement := range append([]string{"SET LOCAL lock_timeout = '20s'", "SET LOCAL search_path = pg_catalog, pg_temp"}, statements...) {
				if _, err := tx.Exec(ctx, statement); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// runLoose runs a statement in a database, outside of a transaction.
func (a *Authority) runLoose(ctx context.Context, s *Server, database string, statements ...string) error {
	return a.connected(ctx, s, database, func(conn *pgx.Conn) error {
		for _, statement := range statements {
			if _, err := conn.Exec(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
}

func (a *Authority) connected(ctx context.Context, s *Server, database string, do func(*pgx.Conn) error) error {
	conn, err := a.options.Connect(ctx, s, database)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if err := do(conn); err != nil {
		return fmt.Errorf("%w %q: %w", ErrDatabase, s.Name, err)
	}
	return nil
}
