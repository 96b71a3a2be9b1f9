package keystore

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/perdure/perdure/internal/clock"
)

const (
	// AuthorityFile is the name of the sealed key and certificate in the data folder.
	AuthorityFile = "ca.sealed"
	// AuthorityCertificate is the name of the authority's certificate, in PEM, which is what
	// clients are told to trust.
	AuthorityCertificate = "ca.pem"

	authorityPurpose = "keystore/ca"
	maxAuthority     = 64 << 10 // bytes of the file
	authorityLife    = 10 * 365 * 24 * time.Hour
	// authorityRenew is how long before its end an authority is replaced at a start.
	authorityRenew = 90 * 24 * time.Hour
	// backdate allows for clocks that were set back a little.
	backdate = time.Hour
)

// CA is a certificate authority for this machine's loopback names. Its certificate is good for
// nothing else, so that a client can trust it without trusting it with the world. It is safe for
// concurrent use.
type CA struct {
	clock clock.Clock
	key   *ecdsa.PrivateKey
	cert  *x509.Certificate
}

// authorityText is what AuthorityFile seals.
type authorityText struct {
	Key         []byte `json:"key"`         // PKCS #8
	Certificate []byte `json:"certificate"` // DER
}

// OpenCA opens the authority of the keystore's folder, makes one when there is none, and a new
// one when the old one ends soon; clients then trust the new AuthorityCertificate. With a
// keystore in memory it is in memory.
func OpenCA(k *Keystore) (*CA, error) {
	if k.folder == "" {
		return newCA(k.clock)
	}
	c, err := loadCA(k)
	if errors.Is(err, fs.ErrNotExist) || err == nil && c.endsSoon() {
		if c, err = newCA(k.clock); err == nil {
			err = c.save(k)
		}
	}
	if err == nil {
		err = c.publish(k)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAuthority, err)
	}
	return c, nil
}

func (c *CA) endsSoon() bool { return c.clock.Now().Add(authorityRenew).After(c.cert.NotAfter) }

func loadCA(k *Keystore) (*CA, error) {
	path := filepath.Join(k.folder, AuthorityFile)
	sealed, err := readSecret(path, maxAuthority)
	if err != nil {
		return nil, err
	}
	plain, err := k.Open(authorityPurpose, sealed)
	if err != nil {
		return nil, fmt.Errorf("file %q: %w", path, err)
	}
	defer clear(plain)
	c, err := decodeCA(plain)
	if err != nil {
		return nil, fmt.Errorf("file %q: %w", path, err)
	}
	c.clock = k.clock
	return c, k.fsys.SyncDir(k.folder) // as for the keyring
}

func decodeCA(plain []byte) (*CA, error) {
	malformed := errors.New("it has no key and certificate")
	var t authorityText
	if json.Unmarshal(plain, &t) != nil {
		return nil, malformed
	}
	parsed, err := x509.ParsePKCS8PrivateKey(t.Key)
	if err != nil {
		return nil, malformed
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, malformed
	}
	cert, err := x509.ParseCertificate(t.Certificate)
	if err != nil || !key.PublicKey.Equal(cert.PublicKey) {
		return nil, malformed
	}
	return &CA{key: key, cert: cert}, nil
}

func (c *CA) save(k *Keystore) error {
	der, err := x509.MarshalPKCS8PrivateKey(c.key)
	if err != nil {
		return err
	}
	plain, err := json.Marshal(authorityText{Key: der, Certificate: c.cert.Raw})
	if err != nil {
		return err
	}
	sealed, err := k.Seal(authorityPurpose, plain)
	clear(plain)
	clear(der)
	if err != nil {
		return err
	}
	return writeFile(k.fsys, filepath.Join(k.folder, AuthorityFile), sealed, 0o600)
}

// publish writes the certificate for clients, unless it is there.
func (c *CA) publish(k *Keystore) error {
	path, text := filepath.Join(k.folder, AuthorityCertificate), c.PEM()
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, text) {
		return nil
	}
	return writeFile(k.fsys, path, text, 0o644)
}

// newCA makes an authority: ECDSA on P-256, which everything knows.
func newCA(clk clock.Clock) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := clk.Now()
	serial := serialNumber()
	template := &x509.Certificate{
		SerialNumber: serial,
		// A name of its own: two authorities with one name confuse clients that trust both.
		Subject:               pkix.Name{Organization: []string{"Perdure"}, CommonName: "Perdure local CA " + hex.EncodeToString(serial.Bytes()[:4])},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,

		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         []string{"localhost"}, // and names below it
		PermittedIPRanges:           loopbackRanges(),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &CA{clock: clk, key: key, cert: cert}, nil
}

func loopbackRanges() []*net.IPNet {
	return []*net.IPNet{
		{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)},
		{IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)},
	}
}

// serialNumber returns 127 random bits below a one, so that it is positive and of one length.
func serialNumber() *big.Int {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b[:])
}

// Certificate is the authority's certificate.
func (c *CA) Certificate() *x509.Certificate { return c.cert }

// PEM is the authority's certificate as clients read it.
func (c *CA) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.cert.Raw})
}

// Pool is what a client in this process trusts to reach the services.
func (c *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(c.cert)
	return pool
}
