package authority

import (
	"context"
	"crypto"
	"crypto/x509"
	"time"
)

// SetFault breaks off what the authority does, where fault returns an error.
func (a *Authority) SetFault(fault func(step string) error) { a.fault = fault }

// What is tested alone.
var (
	RoleName     = roleName
	Distinct     = distinct
	OwnerRole    = ownerRole
	ReadOwned    = readOwned
	ParseRequest = parseRequest
	Literal      = literal
)

// Skew and MakeTime are what the tests count by.
const (
	Skew     = skew
	MakeTime = makeTime
	MaxLive  = maxLive
)

// AuthorityKey is the certificate of a server's authority with its key, which nothing else gives away.
func (a *Authority) AuthorityKey(ctx context.Context, server string) (*x509.Certificate, crypto.Signer, error) {
	var s *signer
	err := a.env.Unit(ctx, func(ctx context.Context) error {
		all, err := certificateAuthorities(ctx, server)
		if err == nil {
			s, err = a.open(all[0])
		}
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return s.cert, s.key, nil
}

// AuthorityRows is what the store has of a server's authorities, with bytes as they are.
func (a *Authority) AuthorityRows(ctx context.Context, server string) (all []byte, err error) {
	err = a.env.Unit(ctx, func(ctx context.Context) error {
		cas, err := certificateAuthorities(ctx, server)
		for _, ca := range cas {
			all = append(append(all, ca.Key...), ca.Certificate...)
		}
		return err
	})
	return all, err
}

// MoveAuthority opens the key of a server's authority as that of another one.
func (a *Authority) MoveAuthority(ctx context.Context, server string) error {
	return a.env.Unit(ctx, func(ctx context.Context) error {
		cas, err := certificateAuthorities(ctx, server)
		if err != nil {
			return err
		}
		cas[0].Server = "other"
		_, err = a.open(cas[0])
		return err
	})
}

// Age lets a server's authorities and certificates be older than they are: PostgreSQL has a clock that tests do not move.
func (a *Authority) Age(ctx context.Context, server string, by time.Duration) error {
	return a.env.Unit(ctx, func(ctx context.Context) error {
		cas, err := certificateAuthorities(ctx, server)
		if err != nil {
			return err
		}
		for _, ca := range cas {
			ca.Installed = ca.Installed.Add(-by)
			if err := authorities.Put(ctx, rowKey2(server, ca.ID), ca); err != nil {
				return err
			}
		}
		for row, err := range certificates.Scan(ctx, server) {
			if err != nil {
				return err
			}
			row.Value.NotAfter = row.Value.NotAfter.Add(-by)
			if err := certificates.Put(ctx, row.Key.String(), row.Value); err != nil {
				return err
			}
		}
		return nil
	})
}

// Check reports what is wrong with a server.
func (s *Server) Check() error { return s.check() }

// HBA is pg_hba.conf of a server.
func (s *Server) HBA() []string { return newTrust(s, "/folder").HBA }
