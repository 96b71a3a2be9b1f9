package authority

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// reloadTime is how long a database server may take to read its files again.
const reloadTime = 15 * time.Second

// Apply puts a server's settings in place: the files in a folder that the server reads, the settings by ALTER SYSTEM and
// pg_hba.conf, which it replaces; the one that was there before is kept beside it. Then the server reloads, and Apply looks
// whether it shows its new certificate. The server must be on this machine, and this process must be able to write its files:
// it runs as the server's user, or as root. Apply may be repeated; Sweep does it before the server's certificate ends.
func (a *Authority) Apply(ctx context.Context, server, folder string) error {
	defer a.lock(server)()
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	s, err := a.Server(ctx, server)
	if err != nil {
		return err
	}
	if folder == "" {
		folder = s.Folder
	}
	if !filepath.IsAbs(folder) {
		return invalid("folder", "want an absolute path, such as the cluster's data folder")
	}
	request, err := Request(folder)
	if err != nil {
		return err
	}
	t, err := a.Trust(ctx, server, folder, request)
	if err != nil {
		return err
	}
	if err := a.install(ctx, s, t); err != nil {
		return err
	}
	return a.Installed(ctx, server, folder)
}

// Install is the part of Apply that is done where the database server is, by a process that may do that: for a trust that was
// made with a request by the key in its folder. It connects by s.Admin.
func Install(ctx context.Context, s *Server, t *Trust) error {
	if err := s.check(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	return (&Authority{options: Options{Connect: connect}}).install(ctx, s, t)
}

func (a *Authority) install(ctx context.Context, s *Server, t *Trust) error {
	if err := t.WriteFiles(); err != nil {
		return err
	}
	if err := a.configure(ctx, s, t); err != nil {
		return err
	}
	if err := a.reload(ctx, s); err != nil {
		return err
	}
	// A server without TLS does not take the lines of one with TLS: this comes after that.
	if err := a.connected(ctx, s, "postgres", func(conn *pgx.Conn) error { return writeHBA(ctx, conn, t) }); err != nil {
		return err
	}
	if err := a.reload(ctx, s); err != nil {
		return err
	}
	return s.shows(ctx, t)
}

// Request returns a certificate request (PKCS #10, DER) by the server's key in a folder, which is made if it is not there. The key
// belongs to the folder's owner and stays there.
func Request(folder string) ([]byte, error) {
	path := filepath.Join(folder, FileKey)
	key, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return nil, err
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, err
		}
		text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
		clear(der)
		if err := writeFile(folder, File{Name: FileKey, Mode: 0o600, Content: string(text)}); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	return x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "postgresql"}}, key)
}

func readKey(path string) (*ecdsa.PrivateKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	if b, _ := pem.Decode(text); b != nil {
		if parsed, err := x509.ParsePKCS8PrivateKey(b.Bytes); err == nil {
			if key, ok := parsed.(*ecdsa.PrivateKey); ok {
				return key, nil
			}
		}
	}
	return nil, fmt.Errorf("file %q has no key of ECDSA: remove it, and another one is made", path)
}

// WriteFiles writes the files of a trust into its folder, each as a whole or not at all.
func (t *Trust) WriteFiles() error {
	for _, f := range t.Files {
		if err := writeFile(t.Folder, f); err != nil {
			return err
		}
	}
	return nil
}

// writeFile writes a file that then belongs to the owner of its folder.
func writeFile(folder string, f File) (err error) {
	temporary, err := os.CreateTemp(folder, f.Name+".*.new") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		_ = temporary.Close()
		if err != nil {
			_ = os.Remove(temporary.Name())
		}
	}()
	if _, err := temporary.WriteString(f.Content); err != nil {
		return err
	}
	if err := ownAs(temporary, folder); err != nil {
		return err
	}
	if err := temporary.Chmod(fs.FileMode(f.Mode)); err != nil {
		return err
	}
	if err := temporary.Sync(); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), filepath.Join(folder, f.Name))
}

// configure writes the settings, which are in force when the server has reloaded.
func (a *Authority) configure(ctx context.Context, s *Server, t *Trust) error {
	for _, database := range s.Databases {
		there, err := a.hasDatabase(ctx, s, database)
		if err == nil && there { // nobody comes into one by being somebody
			err = a.run(ctx, s, database, closeStatements(database))
		}
		if err != nil {
			return err
		}
	}
	return a.connected(ctx, s, "postgres", func(conn *pgx.Conn) error {
		for _, statement := range t.Statements {
			if _, err := conn.Exec(ctx, statement); err != nil {
				return err
			}
		}
		for _, setting := range t.Settings {
			if _, err := conn.Exec(ctx, setting.statement()); err != nil {
				return err
			}
		}
		return nil
	})
}

// maxHBA bounds the pg_hba.conf that was there before, in bytes.
const maxHBA = 4 << 20

// writeHBA replaces pg_hba.conf, if the server can read the new one.
func writeHBA(ctx context.Context, conn *pgx.Conn, t *Trust) error {
	var path string
	if err := conn.QueryRow(ctx, "SHOW hba_file").Scan(&path); err != nil {
		return err
	}
	folder, name := filepath.Split(path)
	old, err := readOwned(path)
	if err != nil {
		return err
	}
	if string(old) == t.hba() {
		return nil
	}
	const kept = ".before-perdure"
	if _, err := os.Lstat(path + kept); errors.Is(err, fs.ErrNotExist) {
		if err := writeFile(folder, File{Name: name + kept, Mode: 0o600, Content: string(old)}); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	if err := writeFile(folder, File{Name: name, Mode: 0o600, Content: t.hba()}); err != nil {
		return err
	}
	var fault string
	err = conn.QueryRow(ctx, "SELECT COALESCE(string_agg(format('line %s: %s', line_number, error), '; '), '') FROM pg_catalog.pg_hba_file_rules WHERE error IS NOT NULL").Scan(&fault)
	if err == nil && fault != "" {
		err = fmt.Errorf("pg_hba.conf: %s", fault)
	}
	if err != nil {
		return errors.Join(err, writeFile(folder, File{Name: name, Mode: 0o600, Content: string(old)}))
	}
	return nil
}

// reload lets the server read its files again, and waits until it has.
func (a *Authority) reload(ctx context.Context, s *Server) error {
	ctx, cancel := context.WithTimeout(ctx, reloadTime)
	defer cancel()
	var before time.Time
	err := a.connected(ctx, s, "postgres", func(conn *pgx.Conn) error {
		// Of the postmaster's last reload: this session has begun after that.
		return conn.QueryRow(ctx, "SELECT pg_catalog.pg_conf_load_time() FROM pg_catalog.pg_reload_conf()").Scan(&before)
	})
	if err != nil {
		return err
	}
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		var now time.Time
		err := a.connected(ctx, s, "postgres", func(conn *pgx.Conn) error {
			return conn.QueryRow(ctx, "SELECT pg_catalog.pg_conf_load_time()").Scan(&now)
		})
		if err != nil {
			return err
		}
		if now.After(before) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w %q: it does not read its files again: its log says why", ErrDatabase, s.Name)
		case <-retry.C:
		}
	}
}

// shows looks whether the server has the certificate of a trust, as a client sees it.
func (s *Server) shows(ctx context.Context, t *Trust) error {
	config, err := pgconn.ParseConfig("sslmode=disable dbname=postgres user=postgres")
	if err != nil {
		return err
	}
	var shown []byte
	config.Host, config.Port, config.Fallbacks, config.Password = s.Host, uint16(s.Port), nil, ""
	config.TLSConfig = &tls.Config{
		InsecureSkipVerify: true, // it is compared
		MinVersion:         tls.VersionTLS12,
		VerifyConnection: func(state tls.ConnectionState) error {
			shown = state.PeerCertificates[0].Raw
			return nil
		},
	}
	config.RequireAuth = "none"
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err == nil { // which lets in whoever comes
		_ = conn.Close(ctx)
		return fmt.Errorf("%w %q: it lets somebody in who has no certificate", ErrDatabase, s.Name)
	}
	address := net.JoinHostPort(s.Host, strconv.Itoa(s.Port))
	if shown == nil {
		return fmt.Errorf("%w %q: at %s is no server with TLS: is ssl in force, and does it listen there? %w", ErrDatabase, s.Name, address, err)
	}
	for _, f := range t.Files {
		if b, _ := pem.Decode([]byte(f.Content)); f.Name == FileCertificate && b != nil && string(b.Bytes) != string(shown) {
			return fmt.Errorf("%w %q: the server at %s has another certificate than the one in %s: its log says why it did not take that", ErrDatabase, s.Name, address, t.Folder)
		}
	}
	return nil
}
