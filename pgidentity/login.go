package pgidentity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/perdure/perdure/internal/clock"
)

// ErrPassword: there is a password where none is to be.
var ErrPassword = errors.New("pgidentity: there is a password in the connection string, in PGPASSWORD or in a password file: take it away, the identity logs in without one")

// Login changes a configuration so that a connection is logged in, before each one. It is a function for
// pgxpool.Config.BeforeConnect and for Connector, and may be called for a configuration that then makes one connection.
type Login func(ctx context.Context, config *pgx.ConnConfig) error

// As logs in as the managed identity of a source, on the database server of that name. It keeps a certificate and renews
// it in time; so one Login is made for a pool.
//
// It sets the user, and TLS as libpq's verify-full does, with the server's own authority, whatever sslmode says. A host in
// the configuration that is no folder of sockets is where it connects; without one that is where the server is registered to be. The
// certificate that the server shows is for its registered host in either case, so that a tunnel changes nothing.
func As(server string, source Source) Login { return as(server, source, clock.System()) }

func as(server string, source Source, c clock.Clock) Login {
	k := &keeper{source: source, server: server, clock: c}
	return k.configure
}

// Configure is As for one configuration, whose connections it then is good for as long as the role and the address of
// the server stay.
func Configure(ctx context.Context, config *pgx.ConnConfig, server string, source Source) error {
	return As(server, source)(ctx, config)
}

func (k *keeper) configure(ctx context.Context, config *pgx.ConnConfig) error {
	if err := Check(config); err != nil {
		return err
	}
	c, err := k.get(ctx)
	if err != nil {
		return err
	}
	if config.Host == "" || isSocket(config.Host) {
		config.Host, config.Port = c.Host, uint16(c.Port)
	}
	config.User, config.Fallbacks = c.Role, nil
	config.TLSConfig = &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: c.Host, Time: k.clock.Now,
		// What VerifyConnection does is the same with authorities that may have been renewed since.
		InsecureSkipVerify: true,
		VerifyConnection:   k.verify,
		GetClientCertificate: func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			c, err := k.get(r.Context())
			if err != nil {
				return nil, err
			}
			return &c.TLS, nil
		},
	}
	k.watch(config, c)
	config.SSLNegotiation = ""
	// A server that lets everybody in, or asks for a password, is not the one that was meant.
	config.SSLCertMode, config.RequireAuth = "require", "none"
	return nil
}

// verify checks the certificate of a server: that an authority of this very server signed it, for its host, and that it is good.
func (k *keeper) verify(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("pgidentity: the server shows no certificate")
	}
	c, err := k.get(context.Background()) // it is there: TLS began with it
	if err != nil {
		return err
	}
	between := x509.NewCertPool()
	for _, cert := range state.PeerCertificates[1:] {
		between.AddCert(cert)
	}
	_, err = state.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots: c.Authorities, Intermediates: between, DNSName: c.Host, CurrentTime: k.clock.Now(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	return err
}

// Check reports what a configuration has that an identity cannot log in with: ErrPassword, or several hosts.
func Check(config *pgx.ConnConfig) error {
	if config.Password != "" {
		return ErrPassword
	}
	for _, f := range config.Fallbacks {
		if f.Host != config.Host || f.Port != config.Port {
			return errors.New("pgidentity: there are several hosts in the connection string, and an identity is of one server")
		}
	}
	return nil
}

// isSocket reports whether a host is a folder with sockets, as pgx and libpq tell.
func isSocket(host string) bool { return strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") }

// Local leaves everything as the connection string says: for a server on a developer's machine that lets its user in
// through the socket.
func Local() Login { return func(context.Context, *pgx.ConnConfig) error { return nil } }

// Connector returns a connector for sql.OpenDB, which logs each connection in by login. Dsn is a connection string of
// PostgreSQL without a password.
func Connector(dsn string, login Login) (driver.Connector, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil { // whose text leaves passwords out
		return nil, fmt.Errorf("pgidentity: connection string: %w", err)
	}
	return stdlib.GetConnector(*config, stdlib.OptionBeforeConnect(login)), nil
}

// Settings of Choose.
const (
	SettingPerdure = "perdure" // by a managed identity of Perdure's
	SettingEntra   = "entra"   // by a token of Microsoft Entra: package pgidentity/entra
	SettingLocal   = "local"   // as the connection string says
)

// Choices are the ways to log in that a program has beside Local; nil for those that it has not.
type Choices struct{ Perdure, Entra Login }

// Choose returns the way to log in that a setting names, one of the constants Setting…, so that the environment decides and the
// code stays. An empty setting is SettingPerdure where there is such an identity, and SettingLocal elsewhere.
func Choose(setting string, c Choices) (Login, error) {
	if setting == "" {
		setting = SettingLocal
		if c.Perdure != nil {
			setting = SettingPerdure
		}
	}
	var login Login
	switch setting {
	case SettingPerdure:
		login = c.Perdure
	case SettingEntra:
		login = c.Entra
	case SettingLocal:
		login = Local()
	default:
		return nil, fmt.Errorf("pgidentity: there is no way to log in named %q: want %s, %s or %s", setting, SettingPerdure, SettingEntra, SettingLocal)
	}
	if login == nil {
		return nil, fmt.Errorf("pgidentity: the setting says to log in by %q, and this program has no such identity", setting)
	}
	return login, nil
}
