package pki

import (
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"math/big"
	"time"

	"github.com/perdure/perdure/vault/internal/model"
)

// Revoked is a certificate that is good no longer.
type Revoked struct {
	Serial *big.Int
	At     time.Time
	Reason int // of RFC 5280, section 5.3.1; 0 says nothing
}

// CheckReason reports whether a certificate can be revoked for a reason: 0 unspecified, 1 keyCompromise,
// 2 cACompromise, 3 affiliationChanged, 4 superseded, 5 cessationOfOperation, 9 privilegeWithdrawn, 10 aACompromise.
// A certificate on hold (6) would have to come back, and the others are none.
func CheckReason(reason int) error {
	switch reason {
	case 0, 1, 2, 3, 4, 5, 9, 10:
		return nil
	}
	return &model.FieldError{Field: "reason", Detail: "want a reason of RFC 5280: 0, 1, 2, 3, 4, 5, 9 or 10"}
}

// RevocationList makes the authority's list (RFC 5280, version 2), in DER. Numbers only go up. Until next there is a
// newer one. An authority that has ended since still says what it has revoked.
func (a *Authority) RevocationList(revoked []Revoked, number *big.Int, now, next time.Time) ([]byte, error) {
	if a.Certificate.KeyUsage&x509.KeyUsageCRLSign == 0 || !SameKey(a.Certificate.PublicKey, a.Key.Public()) {
		return nil, fmt.Errorf("%w: %q signs no revocation lists", ErrAuthority, a.Certificate.Subject)
	}
	t := &x509.RevocationList{Number: number, ThisUpdate: now.UTC().Truncate(time.Second), NextUpdate: next.UTC().Truncate(time.Second)}
	for _, r := range revoked {
		t.RevokedCertificateEntries = append(t.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: r.Serial, RevocationTime: r.At.UTC().Truncate(time.Second), ReasonCode: r.Reason,
		})
	}
	der, err := x509.CreateRevocationList(rand.Reader, t, a.Certificate, a.Key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAuthority, err)
	}
	return der, nil
}

// MaxRevocationList bounds a list from outside, in bytes.
const MaxRevocationList = 512 << 10

// CheckRevocationList reads a list that was made elsewhere, and checks that an authority signed it and that it is good at a time.
func CheckRevocationList(der []byte, authority *x509.Certificate, now time.Time) (*x509.RevocationList, error) {
	if len(der) > MaxRevocationList {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrEncoding, MaxRevocationList)
	}
	l, err := x509.ParseRevocationList(der)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrEncoding, err)
	case l.CheckSignatureFrom(authority) != nil:
		return nil, fmt.Errorf("%w: %q did not sign the list", ErrAuthority, authority.Subject)
	case l.Number == nil || !l.Number.IsInt64() || l.Number.Sign() < 0:
		return nil, fmt.Errorf("%w: the list has no number, or one that is too large", ErrEncoding)
	case now.Before(l.ThisUpdate.Add(-backdate)) || !now.Before(l.NextUpdate):
		return nil, fmt.Errorf("%w: the list is good from %s to %s", ErrEncoding, l.ThisUpdate.Format(time.RFC3339), l.NextUpdate.Format(time.RFC3339))
	}
	return l, nil
}
