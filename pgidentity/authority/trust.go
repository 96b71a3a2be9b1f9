package authority

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/perdure/perdure/table"
)

// The names of a server's files.
const (
	FileCA          = "perdure-ca.crt"
	FileCRL         = "perdure-crl.pem"
	FileCertificate = "perdure-server.crt"
	FileKey         = "perdure-server.key"
)

// File is a file that the database server reads.
type File struct {
	Name    string `json:"name"`
	Mode    uint32 `json:"mode"` // as in chmod
	Content string `json:"content"`
}

// Setting is one of postgresql.conf.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Trust is what a database server must know to let managed identities in, and nobody else over the network.
type Trust struct {
	Server string `json:"server"`
	// Folder is where the files are, as the database server names it.
	Folder string `json:"folder"`
	// Files are the authorities, what they revoked, and the server's certificate if a request for it was given. Its
	// private key is not among them: it does not leave the server.
	Files    []File    `json:"files"`
	Settings []Setting `json:"settings"`
	// HBA is pg_hba.conf, the whole of it.
	HBA []string `json:"hba"`
	// Statements are to be run once by the administrator, before.
	Statements []string `json:"statements"`
}

// Trust returns what a server must know. Folder is where its files will be. Request is a certificate request by the
// server's own key (PKCS #10, in DER or PEM); without one there is no certificate in it.
func (a *Authority) Trust(ctx context.Context, server, folder string, request []byte) (*Trust, error) {
	if folder == "" || len(folder) > maxFolder || !path.IsAbs(folder) || strings.ContainsFunc(folder, isControl) {
		return nil, invalid("folder", "want an absolute path")
	}
	var public any
	if len(request) > 0 {
		key, err := parseRequest(request)
		if err != nil {
			return nil, err
		}
		public = key
	}
	var t *Trust
	err := a.env.Unit(ctx, func(ctx context.Context) error {
		s, err := getServer(ctx, server)
		if err != nil {
			return err
		}
		all, err := certificateAuthorities(ctx, server)
		if err != nil {
			return err
		}
		list, err := a.revocationLists(ctx, server, all)
		if err != nil {
			return err
		}
		t = newTrust(s, folder)
		t.Files = []File{{FileCA, 0o644, string(bundle(all))}, {FileCRL, 0o644, string(list)}}
		if public == nil {
			return nil
		}
		by := serverSigner(all, a.now(), s.ttl())
		signer, err := a.open(by)
		if err != nil {
			return err
		}
		cert, err := signer.server(s.hosts(), public, a.now())
		if err != nil {
			return err
		}
		s.SignedBy, s.CertificateEnds = by.ID, cert.NotAfter
		if err := servers.Put(ctx, rowKey(server), s); err != nil {
			return err
		}
		t.Files = append(t.Files, File{FileCertificate, 0o644, string(certificatePEM(cert.Raw))})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

func newTrust(s *Server, folder string) *Trust {
	t := &Trust{Server: s.Name, Folder: folder, Statements: prepareStatements(), Settings: []Setting{
		{"ssl_ca_file", path.Join(folder, FileCA)},
		{"ssl_crl_file", path.Join(folder, FileCRL)},
		{"ssl_cert_file", path.Join(folder, FileCertificate)},
		{"ssl_key_file", path.Join(folder, FileKey)},
		{"ssl_min_protocol_version", "TLSv1.2"},
		{"ssl", "on"},
	}}
	databases := make([]string, len(s.Databases))
	for i, name := range s.Databases {
		databases[i] = `"` + name + `"` // it has no quotes
	}
	t.HBA = []string{
		"# Written by Perdure for the database server " + s.Name + ". Changes are lost when the settings are applied again.",
		"# The cluster's own administrator comes in through the socket, as the operating system's user of that name.",
	}
	for _, user := range s.administrators() {
		for _, database := range []string{"all", "replication"} {
			t.HBA = append(t.HBA, fmt.Sprintf("local   %-11s \"%s\" peer", database, user))
		}
	}
	t.HBA = append(t.HBA,
		"# Managed identities come in over the network by their certificates. There are no passwords.",
		fmt.Sprintf("hostssl %s +%s all cert", strings.Join(databases, ","), Group),
	)
	return t
}

// administrators are who may come in through the socket: the administrator of every cluster, and who Admin is.
func (s *Server) administrators() []string {
	all := []string{"postgres"}
	if user := s.adminUser(); user != "" && !slices.Contains(all, user) && checkIdentifier("", user) == nil {
		all = append(all, user)
	}
	return all
}

// String is the trust as an operator puts it in place by hand: what to run, and what to write where.
func (t *Trust) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Database server %s: what it must know to let managed identities in.\n\n", t.Server)
	if !slices.ContainsFunc(t.Files, func(f File) bool { return f.Name == FileCertificate }) {
		fmt.Fprintf(&b, `# 1. On the database server, as its user, make a key that does not leave it, and a request:
umask 077 && openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=%s \
  -keyout %s -out %s
# and ask again with the request, to get %s.

`, t.Server, path.Join(t.Folder, FileKey), path.Join(t.Folder, "perdure-server.csr"), FileCertificate)
	}
	fmt.Fprintf(&b, "# 2. Files in %s, which belong to the database server's user:\n", t.Folder)
	for _, f := range t.Files {
		fmt.Fprintf(&b, "\n# %s (mode %04o)\n%s", path.Join(t.Folder, f.Name), f.Mode, f.Content)
	}
	b.WriteString("\n# 3. As the administrator, in psql:\n")
	for _, statement := range t.Statements {
		b.WriteString(statement + ";\n")
	}
	for _, s := range t.Settings {
		b.WriteString(s.statement() + ";\n")
	}
	b.WriteString("\n# 4. The whole of pg_hba.conf:\n")
	b.WriteString(t.hba())
	b.WriteString("\n# 5. As the administrator, in psql:\nSELECT pg_reload_conf();\n")
	return b.String()
}

func (s Setting) statement() string {
	return "ALTER SYSTEM SET " + s.Name + " = " + strings.TrimSpace(literal(s.Value))
}

func (t *Trust) hba() string { return strings.Join(t.HBA, "\n") + "\n" }

// Installed notes that a server's settings were put in place, in a folder, or by hand if that is empty. Then a new certificate
// authority begins to sign, and an old one goes that nothing depends on any more.
func (a *Authority) Installed(ctx context.Context, server, folder string) error {
	return a.env.Unit(ctx, func(ctx context.Context) error {
		s, err := getServer(ctx, server)
		if err != nil {
			return err
		}
		if s.Folder != folder {
			s.Folder = folder
			if err := servers.Put(ctx, rowKey(server), s); err != nil {
				return err
			}
		}
		all, err := certificateAuthorities(ctx, server)
		if err != nil {
			return err
		}
		now := a.now()
		if err := a.retire(ctx, s, all, now); err != nil {
			return err
		}
		for _, ca := range all {
			if ca.Installed.IsZero() {
				ca.Installed = now
				err := authorities.Put(ctx, rowKey2(server, ca.ID), ca)
				if err != nil {
					return err
				}
			}
		}
		return a.options.Note(ctx, Entry{Kind: NotedTrust, Server: server, Detail: "the server's settings were put in place"})
	})
}

// retire removes the authorities before the one that signed the server's certificate, when the certificates that they gave to
// clients have ended. The server's file has them until the next time, which harms nobody.
func (a *Authority) retire(ctx context.Context, s *Server, all []*CA, now time.Time) error {
	for _, ca := range all[:max(0, slices.IndexFunc(all, func(ca *CA) bool { return ca.ID == s.SignedBy }))] {
		for _, err := range certificates.Scan(ctx, s.Name, table.Where(func(c *certificate) bool { return c.Authority == ca.ID && now.Before(c.NotAfter) }), table.Limit(1)) {
			return err // one that is still good is no error: the authority goes another time
		}
		if err := authorities.Delete(ctx, rowKey2(s.Name, ca.ID)); err != nil {
			return err
		}
		if err := a.options.Note(ctx, Entry{Kind: NotedAuthority, Server: s.Name, Detail: "an old one was removed: " + ca.ID}); err != nil {
			return err
		}
	}
	return nil
}
