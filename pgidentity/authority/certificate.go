package authority

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/perdure/perdure/table"
)

const (
	// MaxRequest bounds a certificate request, in bytes.
	MaxRequest = 16 << 10
	// maxLive bounds the certificates of one role that are good at a time.
	maxLive = 500
	// keepRevoked is how long a revoked certificate stays on the list after its end.
	keepRevoked = 24 * time.Hour
)

// Issued is a client certificate with what a client needs to use it. It is what the endpoint answers.
type Issued struct {
	Certificate string    `json:"certificate"` // PEM
	CA          string    `json:"ca"`          // PEM: what the server's certificate is verified by
	Role        string    `json:"role"`
	Host        string    `json:"host"`
	Port        int       `json:"port"`
	NotAfter    time.Time `json:"not_after"`
}

// certificate is a client certificate that was issued, as long as it could be used. The certificate itself is not kept.
type certificate struct {
	Server    string    `json:"server"`
	Serial    string    `json:"serial"` // decimal
	Role      string    `json:"role"`
	Authority string    `json:"authority"` // id of the CA
	NotAfter  time.Time `json:"not_after"`
	Revoked   time.Time `json:"revoked,omitzero"`
}

var byRole = table.Index("role", func(c *certificate) string { return c.Server + "/" + c.Role })

// certificates are by server and serial number.
var certificates = table.Of("perdure.databases.certificates", byRole, table.ExpiresAt(func(c *certificate) time.Time {
	if !c.Revoked.IsZero() {
		return c.NotAfter.Add(keepRevoked)
	}
	return c.NotAfter.Add(skew)
}))

// Issue gives an identity that has rights on a server a client certificate for the public key of a certificate request
// (PKCS #10, RFC 2986, in DER or PEM): ECDSA on P-256 or Ed25519. What else the request has does not count.
// ErrForbidden: it has no rights there.
func (a *Authority) Issue(ctx context.Context, server, identity string, request []byte) (*Issued, error) {
	public, err := parseRequest(request)
	if err != nil {
		return nil, err
	}
	var issued *Issued
	err = a.env.Unit(ctx, func(ctx context.Context) error {
		s, err := getServer(ctx, server)
		if errors.Is(err, ErrNotFound) {
			return ErrForbidden
		} else if err != nil {
			return err
		}
		m, err := member(ctx, server, identity)
		if errors.Is(err, ErrNotFound) || err == nil && (m.State == Ending || !m.Made || len(m.Grants) == 0) {
			return ErrForbidden
		} else if err != nil {
			return err
		}
		issued, err = a.issue(ctx, s, m.Role, public, a.now().Add(s.ttl()))
		if err != nil {
			return err
		}
		return a.options.Note(ctx, Entry{Kind: NotedCertificate, Server: server, Identity: identity, Role: m.Role, Detail: "good until " + issued.NotAfter.Format(time.RFC3339)})
	})
	if err != nil {
		return nil, err
	}
	return issued, nil
}

// issue signs a certificate and notes it, in a unit of work.
func (a *Authority) issue(ctx context.Context, s *Server, role string, public crypto.PublicKey, end time.Time) (*Issued, error) {
	live := 0
	for _, err := range certificates.ScanIndex(ctx, byRole.Equal(s.Name+"/"+role), table.Limit(maxLive)) {
		if err != nil {
			return nil, err
		}
		live++
	}
	if live >= maxLive {
		return nil, fmt.Errorf("certificates of role %q: %w: at most %d at a time", role, ErrTooMany, maxLive)
	}
	all, err := certificateAuthorities(ctx, s.Name)
	if err != nil {
		return nil, err
	}
	by := clientSigner(all)
	signer, err := a.open(by)
	if err != nil {
		return nil, err
	}
	cert, err := signer.client(role, public, a.now(), end)
	if err != nil {
		return nil, err
	}
	serial := cert.SerialNumber.String()
	err = certificates.Insert(ctx, rowKey2(s.Name, serial), &certificate{
		Server: s.Name, Serial: serial, Role: role, Authority: by.ID, NotAfter: cert.NotAfter,
	})
	if err != nil {
		return nil, err
	}
	return &Issued{
		Certificate: string(certificatePEM(cert.Raw)), CA: string(bundle(all)),
		Role: role, Host: s.Host, Port: s.Port, NotAfter: cert.NotAfter,
	}, nil
}

// parseRequest returns the public key of a certificate request whose sender has the private one.
func parseRequest(request []byte) (crypto.PublicKey, error) {
	if len(request) > MaxRequest {
		return nil, invalid("request", "want at most %d bytes", MaxRequest)
	}
	der := request
	if bytes.HasPrefix(bytes.TrimSpace(request), []byte("-----BEGIN")) {
		b, rest := pem.Decode(request)
		if b == nil || b.Type != "CERTIFICATE REQUEST" || len(bytes.TrimSpace(rest)) > 0 {
			return nil, invalid("request", "want one certificate request (PKCS #10)")
		}
		der = b.Bytes
	}
	parsed, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, invalid("request", "want a certificate request (PKCS #10)")
	}
	switch key := parsed.PublicKey.(type) {
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() {
			return nil, invalid("request", "want a key on P-256, or Ed25519")
		}
	case ed25519.PublicKey:
	default:
		return nil, invalid("request", "want a key of ECDSA on P-256, or Ed25519")
	}
	if err := parsed.CheckSignature(); err != nil {
		return nil, invalid("request", "its signature is not by its key")
	}
	return parsed.PublicKey, nil
}

// revoke marks all certificates of a role that are still good as revoked, in a unit of work.
func (a *Authority) revoke(ctx context.Context, server, role string) (n int, err error) {
	for row, err := range certificates.ScanIndex(ctx, byRole.Equal(server+"/"+role), table.Stable()) {
		if err != nil {
			return 0, err
		}
		c := *row.Value
		if !c.Revoked.IsZero() {
			continue
		}
		c.Revoked = a.now()
		if err := certificates.Put(ctx, row.Key.String(), &c); err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

// revocationLists are the lists of revoked certificates of a server's authorities in PEM, in a unit of work. PostgreSQL wants one
// of each authority.
func (a *Authority) revocationLists(ctx context.Context, server string, all []*CA) (text []byte, err error) {
	entries := map[string][]x509.RevocationListEntry{}
	for row, err := range certificates.Scan(ctx, server, table.Where(func(c *certificate) bool { return !c.Revoked.IsZero() })) {
		if err != nil {
			return nil, err
		}
		serial, ok := new(big.Int).SetString(row.Value.Serial, 10)
		if !ok {
			return nil, fmt.Errorf("certificate %q has no serial number", row.Value.Serial)
		}
		entries[row.Value.Authority] = append(entries[row.Value.Authority], x509.RevocationListEntry{SerialNumber: serial, RevocationTime: row.Value.Revoked})
	}
	for _, ca := range all {
		signer, err := a.open(ca)
		if err != nil {
			return nil, err
		}
		der, err := signer.revocations(entries[ca.ID], a.now())
		if err != nil {
			return nil, err
		}
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})...)
	}
	return text, nil
}
