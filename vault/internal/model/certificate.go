package model

import (
	"encoding/json"
	"time"
)

// Certificate is a version of a certificate. Its key and its secret, which has certificate and key together, are
// items of the other kinds with the same name and version.
type Certificate struct {
	ID
	Attributes
	// DER is the certificate, and Chain those that vouch for it, without the root.
	DER     []byte
	Chain   [][]byte
	Tags    map[string]string
	Policy  *Policy   // of the certificate's name; nil in lists
	Revoked time.Time // zero if it is not
}

// Policy says how the versions of a certificate are made.
type Policy struct {
	Key        KeyProperties
	Secret     SecretProperties
	X509       X509Properties
	Lifetime   []CertificateAction
	Issuer     IssuerReference
	Attributes Attributes
}

// KeyProperties are those of a certificate's key.
type KeyProperties struct {
	Exportable bool   `json:"exportable"` // the secret has the key
	Type       string `json:"kty"`
	Size       int    `json:"key_size,omitempty"`
	Curve      string `json:"crv,omitempty"`
	Reuse      bool   `json:"reuse_key"` // the next version has the same key
}

// SecretProperties are those of a certificate's secret.
type SecretProperties struct {
	ContentType string `json:"contentType"` // "application/x-pkcs12" or "application/x-pem-file"
}

// X509Properties are what stands in a certificate.
type X509Properties struct {
	Subject        string   `json:"subject"` // a distinguished name (RFC 4514): "CN=example.com"
	DNSNames       []string `json:"dns_names,omitempty"`
	Emails         []string `json:"emails,omitempty"`
	UPNs           []string `json:"upns,omitempty"`
	IPAddresses    []string `json:"ipAddresses,omitempty"`
	URIs           []string `json:"uris,omitempty"`
	ExtKeyUsage    []string `json:"ekus,omitempty"`      // object identifiers
	KeyUsage       []string `json:"key_usage,omitempty"` // "digitalSignature", "keyEncipherment", …
	ValidityMonths int      `json:"validity_months,omitempty"`
	// ValidityDays comes instead of months; here alone.
	ValidityDays int `json:"validity_days,omitempty"`
}

// CertificateAction is something to be done in a certificate's life.
type CertificateAction struct {
	Action             string // "AutoRenew" or "EmailContacts"
	LifetimePercentage int    // one of both
	DaysBeforeExpiry   int
}

// IssuerReference names who signs: "Self", "Unknown" for somebody outside, who gets the CSR, or the name of an Issuer.
type IssuerReference struct {
	Name         string `json:"name"`
	Type         string `json:"cty,omitempty"`
	Transparency *bool  `json:"cert_transparency,omitempty"`
}

// Issuer is a certificate authority that a vault knows by a name. Provider "Perdure" is an authority of the vault itself:
// another certificate of it, made with a policy for authorities, signs.
type Issuer struct {
	Vault, Name  string
	Provider     string
	AccountID    string
	Organization json.RawMessage // as the wire has it
	Enabled      bool
	Created      time.Time
	Updated      time.Time
}

// Pending is a certificate that is being made.
type Pending struct {
	ID
	Issuer    IssuerReference
	CSR       []byte // DER
	Status    string // "inProgress", "completed", "cancelled", "failed"
	Detail    string
	Error     string
	RequestID string
	Cancelled bool // cancellation was asked for
}

// CreateCertificate begins a version. A nil policy takes the one that the name has.
type CreateCertificate struct {
	Policy *Policy
	Change
}

// ImportCertificate is a certificate with its key that was made elsewhere.
type ImportCertificate struct {
	// Value is PKCS #12 in base64, or PEM.
	Value    string
	Password string
	Policy   *Policy
	Change
}

// Contact is who is told of certificates that end.
type Contact struct {
	Email string `json:"email"`
	Name  string `json:"name,omitempty"`
	Phone string `json:"phone,omitempty"`
}
