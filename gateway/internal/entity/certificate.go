package entity

import "crypto/tls"

// Certificate is a certificate with its key, for the names that its SNIs say, or as a client's.
type Certificate struct {
	Meta
	Cert    string `json:"cert"`     // PEM, the server's own first
	Key     string `json:"key"`      // PEM, secret
	CertAlt string `json:"cert_alt"` // PEM, of another type of key
	KeyAlt  string `json:"key_alt"`  // PEM, secret
	// SNIs are its names, set by Compile.
	SNIs []*SNI `json:"-"`
	// Pair and PairAlt are the parsed certificates, set by Compile. PairAlt may be nil.
	Pair    *tls.Certificate `json:"-"`
	PairAlt *tls.Certificate `json:"-"`
}

// Kind is Certificates.
func (c *Certificate) Kind() Kind { return Certificates }

// Label is the first name it is for.
func (c *Certificate) Label() string {
	if len(c.SNIs) > 0 {
		return c.SNIs[0].Name
	}
	if c.Pair != nil && c.Pair.Leaf != nil {
		if len(c.Pair.Leaf.DNSNames) > 0 {
			return c.Pair.Leaf.DNSNames[0]
		}
		if cn := c.Pair.Leaf.Subject.CommonName; cn != "" {
			return cn
		}
	}
	return c.ID
}

// SNI is a name that a certificate is shown for; "*." in front or ".*" behind stands for a label.
type SNI struct {
	Meta
	Name        string           `json:"name"`
	Certificate Ref[Certificate] `json:"certificate"`
}

// Kind is SNIs.
func (s *SNI) Kind() Kind { return SNIs }

// Label is the name.
func (s *SNI) Label() string { return first(s.Name, s.ID) }

// CACertificate is an authority that servers' certificates are verified by.
type CACertificate struct {
	Meta
	Cert       string `json:"cert"`        // PEM, one certificate
	CertDigest string `json:"cert_digest"` // SHA-256 in hex, set by Compile
}

// Kind is CACertificates.
func (c *CACertificate) Kind() Kind { return CACertificates }

// Label is the beginning of the digest.
func (c *CACertificate) Label() string {
	if c.ID != "" {
		return c.ID
	}
	return c.CertDigest
}
