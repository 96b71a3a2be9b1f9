package keystore

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	leafLife = 7 * 24 * time.Hour
	// leafRenew is how long before its end a certificate is replaced.
	leafRenew = 2 * 24 * time.Hour
	// maxLeaves bounds the certificates that one TLS configuration keeps.
	maxLeaves = 256
	// anyBelow stands for every name below localhost.
	anyBelow = "*.localhost"
)

// TLSConfig returns the configuration of a server for loopback names: "localhost", names below
// it, loopback addresses, and "*.localhost" for all names below. Without names it is localhost,
// 127.0.0.1 and ::1. Certificates are made when they are asked for, kept in memory, and renewed
// before they end. It fails with ErrName for any other name.
func (c *CA) TLSConfig(names ...string) (*tls.Config, error) {
	if len(names) == 0 {
		names = []string{"localhost", "127.0.0.1", "::1"}
	}
	s := &leaves{ca: c, kept: map[string]*tls.Certificate{}}
	for _, name := range names {
		name = strings.ToLower(name)
		switch {
		case name == anyBelow:
			s.below = true
		case net.ParseIP(name) != nil && net.ParseIP(name).IsLoopback():
			s.ips = append(s.ips, net.ParseIP(name))
		case isLocal(name):
			s.names = append(s.names, name)
		default:
			return nil, fmt.Errorf("%w: %q; have localhost, a name below it, or a loopback address", ErrName, name)
		}
	}
	if len(s.names)+len(s.ips) == 0 {
		s.names = []string{"localhost"} // for a client that does not say whom it wants
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.get, Time: c.clock.Now}, nil
}

// isLocal reports whether name is localhost or a host name below it.
func isLocal(name string) bool {
	rest, ok := strings.CutSuffix(name, "localhost")
	if !ok || rest == "" {
		return ok
	}
	if !strings.HasSuffix(rest, ".") || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(rest[:len(rest)-1], ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		if strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}

// leaves makes and keeps the certificates of one configuration.
type leaves struct {
	ca    *CA
	names []string
	ips   []net.IP
	below bool // names below localhost are asked for one by one

	mu   sync.Mutex
	kept map[string]*tls.Certificate // by the name asked for; "" for all that were named
}

// get returns the certificate for what a client asks for.
func (s *leaves) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := strings.ToLower(hello.ServerName)
	switch {
	case name == "" || slices.Contains(s.names, name):
		name = ""
	case !s.below || name == "localhost" || !isLocal(name):
		return nil, fmt.Errorf("%w among those of this server: %q", ErrName, hello.ServerName)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if leaf := s.kept[name]; leaf != nil && s.ca.clock.Now().Add(leafRenew).Before(leaf.Leaf.NotAfter) {
		return leaf, nil
	}
	names, ips := s.names, s.ips
	if name != "" {
		// A certificate for *.localhost is refused by some clients, as one for *.com.
		names, ips = []string{name}, nil
	}
	leaf, err := s.ca.issue(names, ips)
	if err != nil {
		return nil, err
	}
	if len(s.kept) >= maxLeaves {
		clear(s.kept) // clients choose the names; to make one again costs little
	}
	s.kept[name] = leaf
	return leaf, nil
}

// issue makes a key and a certificate for a server.
func (c *CA) issue(names []string, ips []net.IP) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := c.clock.Now()
	end := now.Add(leafLife)
	if c.cert.NotAfter.Before(end) {
		end = c.cert.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serialNumber(),
		Subject:      pkix.Name{Organization: []string{"Perdure"}},
		NotBefore:    now.Add(-backdate), NotAfter: end,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		DNSNames:              names, IPAddresses: ips,
	}, c.cert, key.Public(), c.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}
