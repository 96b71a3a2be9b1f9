package authority

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// Sweep ends the leases whose time has come, finishes what a crash or an unreachable server broke off, makes successors of
// certificate authorities that end within a year, and renews what Apply has put in place. It is to be called at the start and then each
// minute or so. It returns how many things it did, and what could not be done, which stays for the next time.
func (a *Authority) Sweep(ctx context.Context) (n int, err error) {
	all, err := a.Servers(ctx)
	if err != nil {
		return 0, err
	}
	defer a.noteLeases(ctx, all)
	for _, s := range all {
		for _, work := range []func(context.Context, *Server) (int, error){a.sweepLeases, a.sweepMembers, a.sweepAuthorities, a.sweepTrust} {
			done, failed := work(ctx, s)
			n += done
			if failed != nil {
				err = errors.Join(err, fmt.Errorf("database server %q: %w", s.Name, failed))
			}
		}
	}
	return n, err
}

// noteLeases notes that there are no leases, if it is sure.
func (a *Authority) noteLeases(ctx context.Context, all []*Server) {
	for _, s := range all {
		if some, err := a.Leases(ctx, s.Name); err != nil || len(some) > 0 {
			return
		}
	}
	if !a.made.Load() {
		a.leased.Store(false)
	}
}

func (a *Authority) sweepLeases(ctx context.Context, s *Server) (n int, err error) {
	var due []*Lease
	err = a.env.Unit(ctx, func(ctx context.Context) error {
		due = nil
		now := a.now()
		for row, err := range leases.Scan(ctx, s.Name) {
			if err != nil {
				return err
			}
			l := *row.Value
			left := l.State == Changing && !now.Before(l.Created.Add(makeTime))
			if l.State != Ending && now.Before(l.Until) && !left {
				continue
			}
			if err := a.markEnding(ctx, &l); err != nil {
				return err
			}
			due = append(due, &l)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, l := range due {
		if failed := a.finishLease(ctx, l); failed != nil {
			err = errors.Join(err, fmt.Errorf("lease of role %q: %w", l.Role, failed))
			if !answered(failed) {
				break
			}
			continue
		}
		n++
	}
	return n, err
}

func (a *Authority) sweepMembers(ctx context.Context, s *Server) (n int, err error) {
	defer a.lock(s.Name)() // what is being done now is no crash
	all, err := a.Members(ctx, s.Name)
	if err != nil {
		return 0, err
	}
	for _, m := range all {
		if m.State == Active {
			continue
		}
		if failed := a.sweepMember(ctx, s, m); failed != nil {
			err = errors.Join(err, fmt.Errorf("role %q: %w", m.Role, failed))
			if !answered(failed) {
				break
			}
			continue
		}
		n++
	}
	return n, err
}

// answered reports whether the database server itself refused something: then the next thing may go well.
func answered(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused)
}

func (a *Authority) sweepMember(ctx context.Context, s *Server, m *Member) error {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	if m.State == Changing {
		return a.resumeMember(ctx, s, m)
	}
	if err := a.finishMember(ctx, s, m); err != nil {
		return err
	}
	return a.installList(ctx, s, &Revocation{})
}

// resumeMember makes a member's grants so in PostgreSQL, whatever was done of the change that broke off.
func (a *Authority) resumeMember(ctx context.Context, s *Server, m *Member) error {
	there, err := a.has(ctx, s, "SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1 AND pg_catalog.shobj_description(oid, 'pg_authid') = $2)", m.Role, m.role().comment)
	if err != nil {
		return err
	}
	if there { // also grants that were being taken away
		for _, database := range s.Databases {
			there, err := a.hasDatabase(ctx, s, database)
			if err == nil && there {
				err = a.run(ctx, s, database, takeStatements(m.Role, Grant{Database: database}))
			}
			if err != nil {
				return err
			}
		}
	}
	err = a.applyMember(ctx, s, m, "", nil)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == foreignRole && !m.Made {
		a.env.Log.WarnContext(ctx, "rights that were being given on a database are dropped: its server has a role of this name that somebody else has made", "server", s.Name, "role", m.Role)
		return a.forgetMember(ctx, m)
	}
	if err != nil {
		return err
	}
	return a.runLoose(ctx, s, "postgres", endSessions(m.Role, ""))
}

func (a *Authority) sweepAuthorities(ctx context.Context, s *Server) (int, error) {
	var all []*CA
	err := a.env.Unit(ctx, func(ctx context.Context) (err error) {
		all, err = certificateAuthorities(ctx, s.Name)
		return err
	})
	if err != nil || len(all) > 1 || all[0].Installed.IsZero() {
		return 0, err
	}
	cert, err := x509.ParseCertificate(all[0].Certificate)
	if err != nil {
		return 0, err
	}
	if a.now().Add(authorityRenew).Before(cert.NotAfter) {
		return 0, nil
	}
	if s.Folder == "" {
		a.env.Log.WarnContext(ctx, "the certificate authority of a database server ends within a year and has a successor now: put the server's settings in place again", "server", s.Name, "end", cert.NotAfter)
	}
	if err := a.RenewCA(ctx, s.Name); err != nil {
		return 0, err
	}
	return 1, nil
}

// sweepTrust puts a server's settings in place again when its certificate has a third of its life left, or when an authority
// that is new is not yet in use.
func (a *Authority) sweepTrust(ctx context.Context, s *Server) (int, error) {
	if s.Folder == "" || s.Admin == "" {
		return 0, nil
	}
	var all []*CA
	err := a.env.Unit(ctx, func(ctx context.Context) (err error) {
		all, err = certificateAuthorities(ctx, s.Name)
		return err
	})
	if err != nil {
		return 0, err
	}
	now := a.now()
	if now.Before(s.CertificateEnds.Add(-serverLife/3)) && !all[len(all)-1].Installed.IsZero() && serverSigner(all, now, s.ttl()).ID == s.SignedBy {
		return 0, nil
	}
	if err := a.Apply(ctx, s.Name, ""); err != nil {
		return 0, err
	}
	return 1, nil
}
