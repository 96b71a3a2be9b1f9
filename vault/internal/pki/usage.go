package pki

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/bits"
	"slices"
)

// MaxExtKeyUsage bounds the extended key usages of a certificate.
const MaxExtKeyUsage = 20

var (
	oidKeyUsage         = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidExtKeyUsage      = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
)

// usages are the key usages by the names that Azure has, in the order of their bits (RFC 5280, section 4.2.1.3).
var usages = []struct {
	name  string
	usage x509.KeyUsage
}{
	{"digitalSignature", x509.KeyUsageDigitalSignature},
	{"nonRepudiation", x509.KeyUsageContentCommitment},
	{"keyEncipherment", x509.KeyUsageKeyEncipherment},
	{"dataEncipherment", x509.KeyUsageDataEncipherment},
	{"keyAgreement", x509.KeyUsageKeyAgreement},
	{"keyCertSign", x509.KeyUsageCertSign},
	{"cRLSign", x509.KeyUsageCRLSign},
	{"encipherOnly", x509.KeyUsageEncipherOnly},
	{"decipherOnly", x509.KeyUsageDecipherOnly},
}

func parseUsage(names []string) (x509.KeyUsage, error) {
	var usage x509.KeyUsage
	for _, name := range names {
		found := false
		for _, u := range usages {
			if u.name == name {
				usage |= u.usage
				found = true
			}
		}
		if !found {
			return 0, invalid("policy.x509_props.key_usage", "%.40q: want digitalSignature, nonRepudiation, keyEncipherment, dataEncipherment, keyAgreement, keyCertSign, cRLSign, encipherOnly or decipherOnly", name)
		}
	}
	return usage, nil
}

func usageNames(usage x509.KeyUsage) []string {
	var names []string
	for _, u := range usages {
		if usage&u.usage != 0 {
			names = append(names, u.name)
		}
	}
	return names
}

func parseExtUsage(texts []string) ([]asn1.ObjectIdentifier, error) {
	if len(texts) > MaxExtKeyUsage {
		return nil, invalid("policy.x509_props.ekus", "at most %d", MaxExtKeyUsage)
	}
	oids := make([]asn1.ObjectIdentifier, len(texts))
	for i, text := range texts {
		oid, err := ParseOID(text)
		if err != nil {
			return nil, invalid("policy.x509_props.ekus", "%v", err)
		}
		if slices.ContainsFunc(oids[:i], oid.Equal) {
			return nil, invalid("policy.x509_props.ekus", "%q is there twice", text)
		}
		oids[i] = oid
	}
	return oids, nil
}

// extUsagesOf returns the extended key usages in an extension, as they stand in the certificate.
func extUsagesOf(extensions []pkix.Extension) []asn1.ObjectIdentifier {
	for _, e := range extensions {
		var oids []asn1.ObjectIdentifier
		if e.Id.Equal(oidExtKeyUsage) {
			if rest, err := asn1.Unmarshal(e.Value, &oids); err == nil && len(rest) == 0 {
				return oids
			}
		}
	}
	return nil
}

// usageExtension encodes a key usage as a request has it; a certificate gets it from crypto/x509.
func usageExtension(usage x509.KeyUsage) (pkix.Extension, error) {
	b := []byte{bits.Reverse8(byte(usage)), bits.Reverse8(byte(usage >> 8))}
	length := bits.Len(uint(usage))
	if length <= 8 {
		b = b[:1]
	}
	der, err := asn1.Marshal(asn1.BitString{Bytes: b, BitLength: length})
	return pkix.Extension{Id: oidKeyUsage, Critical: true, Value: der}, err
}

// usageOf reads a key usage out of the extensions of a request.
func usageOf(extensions []pkix.Extension) x509.KeyUsage {
	for _, e := range extensions {
		var b asn1.BitString
		if !e.Id.Equal(oidKeyUsage) {
			continue
		}
		if rest, err := asn1.Unmarshal(e.Value, &b); err != nil || len(rest) > 0 {
			return 0
		}
		var usage x509.KeyUsage
		for i := range len(usages) {
			usage |= x509.KeyUsage(b.At(i) << i)
		}
		return usage
	}
	return 0
}
