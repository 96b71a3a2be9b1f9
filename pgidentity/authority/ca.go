package authority

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"time"

	"github.com/perdure/perdure/table"
)

const (
	authorityLife = 5 * 365 * 24 * time.Hour
	// authorityRenew is how long before its end an authority gets a successor by itself.
	authorityRenew = 365 * 24 * time.Hour
	serverLife     = 365 * 24 * time.Hour
	// skew allows for clocks that differ a little.
	skew = 5 * time.Minute
)

// CA is a certificate authority of a database server.
type CA struct {
	Server      string `json:"server"`
	ID          string `json:"id"`
	Certificate []byte `json:"certificate"` // DER
	// Key is the sealed private key (PKCS #8).
	Key     []byte    `json:"key"`
	Created time.Time `json:"created"`
	// Installed is when the server began to trust it; zero while that is not known.
	Installed time.Time `json:"installed,omitzero"`
}

// authorities are by server and id.
var authorities = table.Of[CA]("perdure.databases.authorities")

func authorityPurpose(server, id string) string { return "databases/ca/" + server + "/" + id }

// newCA makes an authority: ECDSA on P-256, which everything knows.
func (a *Authority) newCA(server string) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now, serial := a.now(), serialNumber()
	id := hex.EncodeToString(serial.Bytes()[:8])
	template := &x509.Certificate{
		SerialNumber: serial,
		// A name of its own: it and its successor are in one file, and are told apart by it.
		Subject:   pkix.Name{Organization: []string{"Perdure"}, CommonName: "Perdure database CA " + id},
		NotBefore: now.Add(-skew), NotAfter: now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	plain, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	sealed, err := a.env.Seal.Seal(authorityPurpose(server, id), plain)
	if err != nil {
		return nil, err
	}
	return &CA{Server: server, ID: id, Certificate: der, Key: sealed, Created: now}, nil
}

// serialNumber returns 127 random bits below a one, so that it is positive and of one length.
func serialNumber() *big.Int {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b[:])
}

// certificateAuthorities returns those of a server, oldest first, in a unit of work.
func certificateAuthorities(ctx context.Context, server string) (all []*CA, err error) {
	for row, err := range authorities.Scan(ctx, server, table.Stable()) {
		if err != nil {
			return nil, err
		}
		all = append(all, row.Value)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("database server %q has no certificate authority: %w", server, ErrNotFound)
	}
	slices.SortFunc(all, func(a, b *CA) int {
		return cmpOr(a.Created.Compare(b.Created), bytes.Compare([]byte(a.ID), []byte(b.ID)))
	})
	return all, nil
}

func cmpOr(a, b int) int {
	if a != 0 {
		return a
	}
	return b
}

// clientSigner is the authority that signs client certificates: the newest one that the server trusts.
func clientSigner(all []*CA) *CA {
	for _, ca := range slices.Backward(all) {
		if !ca.Installed.IsZero() {
			return ca
		}
	}
	return all[0]
}

// serverSigner is the authority that signs the server's certificate: the newest one that every client trusts. They learn of
// a new one with their next certificate.
func serverSigner(all []*CA, now time.Time, ttl time.Duration) *CA {
	for _, ca := range slices.Backward(all) {
		if !ca.Installed.IsZero() && !now.Before(ca.Installed.Add(ttl+skew)) {
			return ca
		}
	}
	return all[0]
}

// signer is an authority with its key.
type signer struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// open returns an authority with its key.
func (a *Authority) open(ca *CA) (*signer, error) {
	cert, err := x509.ParseCertificate(ca.Certificate)
	if err != nil {
		return nil, err
	}
	plain, err := a.env.Seal.Open(authorityPurpose(ca.Server, ca.ID), ca.Key)
	if err != nil {
		return nil, fmt.Errorf("the key of certificate authority %s: %w", ca.ID, err)
	}
	defer clear(plain)
	parsed, err := x509.ParsePKCS8PrivateKey(plain)
	if err != nil {
		return nil, errors.New("the key of a certificate authority is none")
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, errors.New("the key of a certificate authority is none")
	}
	return &signer{cert: cert, key: key}, nil
}

// client signs a certificate for a role.
func (s *signer) client(role string, public crypto.PublicKey, now, end time.Time) (*x509.Certificate, error) {
	return s.sign(&x509.Certificate{
		SerialNumber: serialNumber(),
		Subject:      pkix.Name{CommonName: role},
		NotBefore:    now.Add(-skew), NotAfter: end,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, public)
}

// server signs a certificate for host names and addresses.
func (s *signer) server(hosts []string, public crypto.PublicKey, now time.Time) (*x509.Certificate, error) {
	template := &x509.Certificate{
		SerialNumber: serialNumber(),
		Subject:      pkix.Name{Organization: []string{"Perdure"}},
		NotBefore:    now.Add(-skew), NotAfter: now.Add(serverLife),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return s.sign(template, public)
}

// sign signs a certificate that ends with the authority at the latest.
func (s *signer) sign(template *x509.Certificate, public crypto.PublicKey) (*x509.Certificate, error) {
	if s.cert.NotAfter.Before(template.NotAfter) {
		template.NotAfter = s.cert.NotAfter
	}
	template.KeyUsage, template.BasicConstraintsValid = x509.KeyUsageDigitalSignature, true
	der, err := x509.CreateCertificate(rand.Reader, template, s.cert, public, s.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// revocations signs a list of revoked certificates. It is good as long as the authority: a list that ends would lock
// everybody out, and each revocation brings a new one anyway.
func (s *signer) revocations(revoked []x509.RevocationListEntry, now time.Time) ([]byte, error) {
	return x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number:     big.NewInt(now.UnixNano()), // it must grow
		ThisUpdate: now.Add(-skew), NextUpdate: s.cert.NotAfter,
		RevokedCertificateEntries: revoked,
	}, s.cert, s.key)
}

// RenewCA makes a successor of a server's certificate authority. It signs after the server's settings were applied again, and the
// old one goes when nothing that it signed is in use. ErrExists: there is a successor that was not applied.
func (a *Authority) RenewCA(ctx context.Context, server string) error {
	ca, err := a.newCA(server)
	if err != nil {
		return err
	}
	return a.env.Unit(ctx, func(ctx context.Context) error {
		s, err := getServer(ctx, server)
		if err != nil {
			return err
		}
		all, err := certificateAuthorities(ctx, server)
		if err != nil {
			return err
		}
		if len(all) > 1 {
			return fmt.Errorf("successor of the certificate authority of %q: %w: apply the server's settings, again %v later, and renew then", server, ErrExists, s.ttl()+skew)
		}
		if all[0].Installed.IsZero() {
			return fmt.Errorf("certificate authority of %q: %w: apply the server's settings first", server, ErrInUse)
		}
		if err := authorities.Insert(ctx, rowKey2(server, ca.ID), ca); err != nil {
			return err
		}
		return a.options.Note(ctx, Entry{Kind: NotedAuthority, Server: server, Detail: "a successor was made: " + ca.ID})
	})
}

// bundle is the certificates of authorities in PEM.
func bundle(all []*CA) []byte {
	var text []byte
	for _, ca := range all {
		text = append(text, certificatePEM(ca.Certificate)...)
	}
	return text
}

func certificatePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
