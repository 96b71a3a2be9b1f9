package authority

import (
	"context"
	"encoding"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/perdure/perdure/table"
)

// The bounds of a server.
const (
	// DefaultTTL is how long client certificates are good where nothing is said.
	DefaultTTL = 10 * time.Minute
	// MaxTTL bounds it. Of its own accord PostgreSQL goes on with a session whose certificate has ended.
	MaxTTL = time.Hour
	minTTL = time.Second

	maxServers   = 256
	maxNames     = 32 // of hosts, of databases
	maxAdmin     = 1024
	maxFolder    = 512
	identifier   = 63 // the longest name that PostgreSQL takes, in bytes
	adminTimeout = time.Minute
)

// Server is a PostgreSQL server, version 14 or newer.
type Server struct {
	// Name is what it is called here: lower-case letters, digits and hyphens, a letter first, at most 63.
	Name string `json:"name"`
	// Host and Port are where clients reach it. Its certificate is for this host name or IP address.
	Host string `json:"host"`
	Port int    `json:"port"`
	// Names are further host names and addresses of its certificate.
	Names []string `json:"names,omitempty"`
	// Admin is the connection string of its administrator, without a password: a superuser whom peer lets in through the
	// socket, such as "host=/var/run/postgresql user=postgres". Empty: statements can be printed only.
	Admin string `json:"admin,omitempty"`
	// CertificateTTL is how long client certificates are good. Zero is DefaultTTL.
	CertificateTTL Duration `json:"certificate_ttl"`
	// Databases are those that managed identities may get rights on; the server lets them into no other one.
	Databases []string `json:"databases"`
	// Folder is where the server's files were put, for those that change. Apply sets it.
	Folder string `json:"folder,omitempty"`
	// SignedBy is the id of the certificate authority that signed the server's certificate. Trust sets it.
	SignedBy string `json:"signed_by,omitempty"`
	// CertificateEnds is when the server's certificate does: it is to be put in place again before. Trust sets it.
	CertificateEnds time.Time `json:"certificate_ends,omitzero"`
	Created         time.Time `json:"created"`
}

// Duration is a time.Duration that is "10m0s" in JSON.
type Duration time.Duration

var _ encoding.TextMarshaler = Duration(0)

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// servers are by name.
var servers = table.Of[Server]("perdure.databases.servers")

func (s *Server) ttl() time.Duration { return time.Duration(s.CertificateTTL) }

// hosts are the host names and addresses of the server's certificate.
func (s *Server) hosts() []string { return append([]string{s.Host}, s.Names...) }

// adminUser is the role that Admin connects as; empty without one.
func (s *Server) adminUser() string {
	if s.Admin == "" {
		return ""
	}
	config, err := pgx.ParseConfig(s.Admin)
	if err != nil { // it was checked when it was written
		return ""
	}
	return config.User
}

// check reports what is wrong with a server, and fills in what is not said.
func (s *Server) check() error {
	if err := checkServerName(s.Name); err != nil {
		return err
	}
	if s.Port == 0 {
		s.Port = 5432
	}
	if s.CertificateTTL == 0 {
		s.CertificateTTL = Duration(DefaultTTL)
	}
	switch {
	case s.Host == "":
		return invalid("host", "want the name or address at which clients reach the server")
	case s.Port < 1 || s.Port > 65535:
		return invalid("port", "want 1 to 65535")
	case s.ttl() < minTTL || s.ttl() > MaxTTL:
		return invalid("certificate_ttl", "want %v to %v", minTTL, MaxTTL)
	case len(s.Names) > maxNames:
		return invalid("names", "want at most %d", maxNames)
	case len(s.Databases) == 0 || len(s.Databases) > maxNames:
		return invalid("databases", "want 1 to %d", maxNames)
	case len(s.Folder) > maxFolder || strings.ContainsFunc(s.Folder, isControl):
		return invalid("folder", "want at most %d characters", maxFolder)
	}
	for i, host := range s.hosts() {
		if !isHost(host) {
			field := "host"
			if i > 0 {
				field = fmt.Sprintf("names[%d]", i-1)
			}
			return invalid(field, "%.80q is neither a host name nor an IP address", host)
		}
	}
	for i, name := range s.Databases {
		if err := checkIdentifier(fmt.Sprintf("databases[%d]", i), name); err != nil {
			return err
		}
		if slices.Contains(s.Databases[:i], name) {
			return invalid("databases", "%q is there twice", name)
		}
	}
	return s.checkAdmin()
}

func (s *Server) checkAdmin() error {
	if s.Admin == "" {
		return nil
	}
	if len(s.Admin) > maxAdmin {
		return invalid("admin", "want at most %d characters", maxAdmin)
	}
	config, err := pgx.ParseConfig(s.Admin)
	if err != nil { // whose text may have the string, and so a password
		return invalid("admin", `want a connection string such as "host=/var/run/postgresql user=postgres"`)
	}
	if config.Password != "" {
		return invalid("admin", "want no password, neither in it nor in PGPASSWORD or a password file: the administrator comes in by peer, through the server's socket")
	}
	return nil
}

func checkServerName(name string) error {
	bad := name == "" || len(name) > 63 || name[0] < 'a' || name[0] > 'z' || strings.HasSuffix(name, "-")
	for _, c := range []byte(name) {
		bad = bad || c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z')
	}
	if bad {
		return invalid("name", "want 1 to 63 lower-case letters, digits and hyphens, a letter first and no hyphen last")
	}
	return nil
}

// checkIdentifier reports what is wrong with the name of a database or schema. What has a meaning in pg_hba.conf, quoted or
// not, is refused.
func checkIdentifier(field, name string) error {
	if name == "" || len(name) > identifier || name[0] == '/' || strings.ContainsAny(name, `"\`) || strings.ContainsFunc(name, isControl) {
		return invalid(field, `want a name of 1 to %d bytes without quotes, backslashes and control characters, and no "/" first`, identifier)
	}
	return nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }

// isHost reports whether a text is a host name (RFC 1123, with the "_" that some have) or an IP address.
func isHost(text string) bool {
	if net.ParseIP(text) != nil {
		return true
	}
	if len(text) > 253 {
		return false
	}
	for label := range strings.SplitSeq(text, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		if strings.Trim(strings.ToLower(label), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}

// Add registers a server and makes its certificate authority.
func (a *Authority) Add(ctx context.Context, s Server) (*Server, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	s.Created, s.SignedBy, s.CertificateEnds = a.now(), "", time.Time{}
	ca, err := a.newCA(s.Name)
	if err != nil {
		return nil, err
	}
	err = a.env.Unit(ctx, func(ctx context.Context) error {
		count, err := servers.Count(ctx, "")
		if err != nil {
			return err
		}
		if count >= maxServers {
			return fmt.Errorf("database servers: %w: at most %d", ErrTooMany, maxServers)
		}
		if err := servers.Insert(ctx, rowKey(s.Name), &s); errors.Is(err, ErrExists) {
			return fmt.Errorf("database server %q: %w", s.Name, ErrExists)
		} else if err != nil {
			return err
		}
		if err := authorities.Insert(ctx, rowKey2(s.Name, ca.ID), ca); err != nil {
			return err
		}
		return a.options.Note(ctx, Entry{Kind: NotedServer, Server: s.Name, Detail: fmt.Sprintf("registered at %s:%d", s.Host, s.Port)})
	})
	if err != nil {
		return nil, err
	}
	return &s, nil
}

// Change changes a server; its name, folder and creation stay. Its settings are to be applied again.
func (a *Authority) Change(ctx context.Context, s Server) (*Server, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	err := a.env.Unit(ctx, func(ctx context.Context) error {
		old, err := getServer(ctx, s.Name)
		if err != nil {
			return err
		}
		s.Created, s.Folder, s.SignedBy, s.CertificateEnds = old.Created, old.Folder, old.SignedBy, old.CertificateEnds
		if err := servers.Put(ctx, rowKey(s.Name), &s); err != nil {
			return err
		}
		return a.options.Note(ctx, Entry{Kind: NotedServer, Server: s.Name, Detail: "changed"})
	})
	if err != nil {
		return nil, err
	}
	return &s, nil
}

// Server returns a server.
func (a *Authority) Server(ctx context.Context, name string) (s *Server, err error) {
	err = a.env.Unit(ctx, func(ctx context.Context) error {
		s, err = getServer(ctx, name)
		return err
	})
	return s, err
}

// Servers returns all servers, by name.
func (a *Authority) Servers(ctx context.Context) (all []*Server, err error) {
	err = a.env.Unit(ctx, func(ctx context.Context) error {
		all = nil
		for row, err := range servers.ScanAll(ctx) {
			if err != nil {
				return err
			}
			all = append(all, row.Value)
		}
		return nil
	})
	return all, err
}

// Remove forgets a server and its certificate authority. ErrInUse: identities still have rights there, or leases run.
func (a *Authority) Remove(ctx context.Context, name string) error {
	defer a.lock(name)()
	return a.env.Unit(ctx, func(ctx context.Context) error {
		if _, err := getServer(ctx, name); err != nil {
			return err
		}
		for range members.Scan(ctx, name, table.Stable()) {
			return fmt.Errorf("database server %q: %w: revoke the rights of its identities first", name, ErrInUse)
		}
		for range leases.Scan(ctx, name, table.Stable()) {
			return fmt.Errorf("database server %q: %w: end its leases first", name, ErrInUse)
		}
		cas, err := certificateAuthorities(ctx, name)
		if err != nil {
			return err
		}
		for _, ca := range cas {
			if err := authorities.Delete(ctx, rowKey2(name, ca.ID)); err != nil {
				return err
			}
		}
		if err := servers.Delete(ctx, rowKey(name)); err != nil {
			return err
		}
		return a.options.Note(ctx, Entry{Kind: NotedServer, Server: name, Detail: "removed"})
	})
}

// getServer returns a server, in a unit of work.
func getServer(ctx context.Context, name string) (*Server, error) {
	if checkServerName(name) != nil {
		return nil, fmt.Errorf("database server %.80q: %w", name, ErrNotFound)
	}
	s, err := servers.Get(ctx, rowKey(name))
	if errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("database server %q: %w", name, ErrNotFound)
	}
	return s, err
}

func rowKey(row string) string { return table.Key{Row: row}.String() }

func rowKey2(partition, row string) string {
	return table.Key{Partition: partition, Row: row}.String()
}

// connect connects to a database as the server's administrator.
func connect(ctx context.Context, s *Server, database string) (*pgx.Conn, error) {
	if s.Admin == "" {
		return nil, fmt.Errorf("%w %q: it was registered without an administrator's connection: print the statements instead", ErrDatabase, s.Name)
	}
	config, err := pgx.ParseConfig(s.Admin)
	if err != nil || config.Password != "" {
		return nil, invalid("admin", "want a connection string without a password")
	}
	config.Database = database
	config.RuntimeParams["application_name"] = "perdure"
	config.RuntimeParams["search_path"] = "pg_catalog, pg_temp" // nothing that an identity has made stands in for what is meant
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("%w %q: %w", ErrDatabase, s.Name, err)
	}
	return conn, nil
}
