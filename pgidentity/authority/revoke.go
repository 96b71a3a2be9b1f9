package authority

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Revocation is what a revocation has done.
type Revocation struct {
	// Certificates is how many were revoked that could have been used.
	Certificates int `json:"certificates"`
	// Installed: the server has the list of revoked certificates and has read it. Otherwise List is to be put where
	// ssl_crl_file is, and the server reloaded.
	Installed bool   `json:"installed"`
	List      string `json:"list,omitempty"` // PEM
}

// Revoke takes an identity's rights in a database away, or in all if that is empty. With the last ones its certificates are
// revoked, its sessions ended and its role dropped. What breaks off is finished by Sweep.
func (a *Authority) Revoke(ctx context.Context, server, identity, database string) (*Revocation, error) {
	defer a.lock(server)()
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	s, m, taken, done, err := a.noteRevoke(ctx, server, identity, database)
	if err != nil {
		return nil, err
	}
	if err := a.fault("revoke noted"); err != nil {
		return nil, err
	}
	if m.State != Ending {
		return done, a.takeGrant(ctx, s, m, taken)
	}
	if err := a.finishMember(ctx, s, m); err != nil {
		return nil, err
	}
	return done, a.installList(ctx, s, done)
}

// RevokeIdentity takes an identity's rights away on all servers, and ends the leases that it may use: for one that is deleted. It opens
// units of work itself.
func (a *Authority) RevokeIdentity(ctx context.Context, identity string) error {
	all, err := a.Servers(ctx)
	for _, s := range all {
		if _, failed := a.Revoke(ctx, s.Name, identity, ""); failed != nil && !errors.Is(failed, ErrNotFound) {
			err = errors.Join(err, failed)
		}
		running, failed := a.Leases(ctx, s.Name)
		for _, l := range running {
			if l.Identity == identity {
				failed = errors.Join(failed, a.EndLease(ctx, s.Name, l.ID))
			}
		}
		err = errors.Join(err, failed)
	}
	return err
}

// PrintRevoke notes that an identity loses all its rights, and returns the statements, for psql, that make it so.
func (a *Authority) PrintRevoke(ctx context.Context, server, identity string) (string, *Revocation, error) {
	defer a.lock(server)()
	s, m, _, done, err := a.noteRevoke(ctx, server, identity, "")
	if err != nil {
		return "", nil, err
	}
	var b strings.Builder
	b.WriteString(script("postgres", shutStatements(m.role())))
	fmt.Fprintf(&b, "%s;\n", endSessions(m.Role, ""))
	for _, g := range m.Grants {
		b.WriteString(script(g.Database, dropInside(m.role(), g)))
	}
	b.WriteString(script("postgres", dropStatements(m.role())))
	if err := a.forgetMember(ctx, m); err != nil {
		return "", nil, err
	}
	return b.String(), done, a.installList(ctx, s, done)
}

// noteRevoke writes down what is to be. Taken are the grants that go; with the last ones the member ends.
func (a *Authority) noteRevoke(ctx context.Context, server, identity, database string) (s *Server, m *Member, taken []Grant, done *Revocation, err error) {
	err = a.env.Unit(ctx, func(ctx context.Context) error {
		taken, done = nil, &Revocation{}
		if s, err = getServer(ctx, server); err != nil {
			return err
		}
		if m, err = member(ctx, server, identity); err != nil {
			return err
		}
		goes := func(g Grant) bool { return database == "" || g.Database == database }
		for _, g := range m.Grants {
			if goes(g) {
				taken = append(taken, g)
			}
		}
		switch {
		case database != "" && len(taken) == 0:
			return fmt.Errorf("rights of identity %q in database %q: %w", m.Name, database, ErrNotFound)
		case database == "" || len(taken) == len(m.Grants):
			// The grants stay in the row: they say where the role has rights until it is dropped.
			m.State, m.Generation = Ending, m.Generation+1
			if done.Certificates, err = a.revoke(ctx, server, m.Role); err != nil {
				return err
			}
		default:
			m.Grants = slices.DeleteFunc(m.Grants, goes)
			m.State = Changing
		}
		if err := members.Put(ctx, rowKey2(server, identity), m); err != nil {
			return err
		}
		where := "all databases"
		if database != "" {
			where = "database " + database
		}
		return a.options.Note(ctx, Entry{Kind: NotedRevoke, Server: server, Identity: identity, Role: m.Role, Detail: "in " + where})
	})
	return s, m, taken, done, err
}

// takeGrant takes some of a member's rights away in PostgreSQL. Others stay.
func (a *Authority) takeGrant(ctx context.Context, s *Server, m *Member, taken []Grant) error {
	for _, g := range taken {
		if err := a.run(ctx, s, g.Database, takeStatements(m.Role, g)); err != nil {
			return err
		}
		if err := a.runLoose(ctx, s, "postgres", endSessions(m.Role, g.Database)); err != nil {
			return err
		}
	}
	return a.applyMember(ctx, s, m, "", nil) // that took the right to connect to the others as well
}

// finishMember removes a member's role and then the member.
func (a *Authority) finishMember(ctx context.Context, s *Server, m *Member) error {
	if err := a.dropRole(ctx, s, m.role(), m.Grants); err != nil {
		return err
	}
	if err := a.fault("role dropped"); err != nil {
		return err
	}
	return a.forgetMember(ctx, m)
}

func (a *Authority) forgetMember(ctx context.Context, m *Member) error {
	return a.env.Unit(ctx, func(ctx context.Context) error {
		if err := members.Delete(ctx, rowKey2(m.Server, m.Identity)); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		return releaseRole(ctx, m.Server, m.Role)
	})
}

// dropRole removes a role from PostgreSQL, with its sessions. It may be done already, in part or as a whole.
func (a *Authority) dropRole(ctx context.Context, s *Server, r role, grants []Grant) error {
	err := a.connected(ctx, s, "postgres", func(conn *pgx.Conn) error {
		for _, statement := range append(shutStatements(r), endSessions(r.name, "")) {
			if _, err := conn.Exec(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, g := range grants {
		there, err := a.hasDatabase(ctx, s, g.Database)
		if err == nil && there {
			err = a.run(ctx, s, g.Database, dropInside(r, g))
		}
		if err != nil {
			return err
		}
	}
	// Who was coming in when the door was shut is in now.
	return a.runLoose(ctx, s, "postgres", append([]string{endSessions(r.name, "")}, dropStatements(r)...)...)
}

func (a *Authority) hasDatabase(ctx context.Context, s *Server, database string) (there bool, err error) {
	return a.has(ctx, s, "SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = $1)", database)
}

// has asks a question.
func (a *Authority) has(ctx context.Context, s *Server, question string, args ...any) (yes bool, err error) {
	err = a.connected(ctx, s, "postgres", func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, question, args...).Scan(&yes)
	})
	return yes, err
}

// RevokeCertificates revokes the certificates that an identity has on a server and ends its sessions. Its rights stay, and it gets new
// certificates: it is for a key that was lost.
func (a *Authority) RevokeCertificates(ctx context.Context, server, identity string) (*Revocation, error) {
	defer a.lock(server)()
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	var s *Server
	var m *Member
	done := &Revocation{}
	err := a.env.Unit(ctx, func(ctx context.Context) (err error) {
		if s, err = getServer(ctx, server); err != nil {
			return err
		}
		if m, err = member(ctx, server, identity); err != nil {
			return err
		}
		m.Generation++ // who is being given one now is asked again
		if err := members.Put(ctx, rowKey2(server, identity), m); err != nil {
			return err
		}
		if done.Certificates, err = a.revoke(ctx, server, m.Role); err != nil {
			return err
		}
		return a.options.Note(ctx, Entry{Kind: NotedRevocation, Server: server, Identity: identity, Role: m.Role, Detail: fmt.Sprintf("%d certificates", done.Certificates)})
	})
	if err != nil {
		return nil, err
	}
	if err := a.installList(ctx, s, done); err != nil {
		return nil, err
	}
	if s.Admin == "" {
		return done, nil
	}
	return done, a.runLoose(ctx, s, "postgres", endSessions(m.Role, ""))
}

// installList gives the server the list of revoked certificates, where it is known to be.
func (a *Authority) installList(ctx context.Context, s *Server, done *Revocation) error {
	var list []byte
	err := a.env.Unit(ctx, func(ctx context.Context) error {
		all, err := certificateAuthorities(ctx, s.Name)
		if err == nil {
			list, err = a.revocationLists(ctx, s.Name, all)
		}
		return err
	})
	if err != nil {
		return err
	}
	done.List = string(list)
	if s.Folder == "" || s.Admin == "" {
		return nil
	}
	if err := writeFile(s.Folder, File{Name: FileCRL, Mode: 0o644, Content: done.List}); err != nil {
		return err
	}
	if err := a.reload(ctx, s); err != nil {
		return err
	}
	done.Installed, done.List = true, ""
	return nil
}
