package pki

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/mail"
	"net/netip"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/perdure/perdure/vault/internal/model"
)

// MaxAltNames bounds the alternative names of a certificate, of all kinds together.
const MaxAltNames = 100

var (
	oidAltName = asn1.ObjectIdentifier{2, 5, 29, 17}
	// oidUPN is the user principal name of Microsoft, an otherName.
	oidUPN = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}
)

// The tags of a GeneralName (RFC 5280, section 4.2.1.6).
const (
	tagOther = 0
	tagEmail = 1
	tagDNS   = 2
	tagURI   = 6
	tagIP    = 7
)

// altNames encodes the alternative names of a policy; nil when it has none. Empty says that the subject is empty, which
// makes the extension critical.
func altNames(p *model.X509Properties, empty bool) (*pkix.Extension, error) {
	n := len(p.DNSNames) + len(p.Emails) + len(p.UPNs) + len(p.IPAddresses) + len(p.URIs)
	if n == 0 {
		return nil, nil
	}
	if n > MaxAltNames {
		return nil, invalid("policy.x509_props.sans", "at most %d names", MaxAltNames)
	}
	var names []asn1.RawValue
	add := func(tag int, b []byte) {
		names = append(names, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: b})
	}
	for _, name := range p.DNSNames {
		if !isHost(name, true) {
			return nil, invalid("policy.x509_props.sans.dns_names", "%.255q: want a host name such as example.com or *.example.com; an international one in its ASCII form (xn--…)", name)
		}
		add(tagDNS, []byte(name))
	}
	for _, email := range p.Emails {
		if !isEmail(email) {
			return nil, invalid("policy.x509_props.sans.emails", "%.255q: want an address such as who@example.com", email)
		}
		add(tagEmail, []byte(email))
	}
	for _, uri := range p.URIs {
		u, err := url.Parse(uri)
		if err != nil || !isASCII(uri) || len(uri) > 2048 || u.Scheme == "" || u.Host == "" && u.Opaque == "" {
			return nil, invalid("policy.x509_props.sans.uris", "%.255q: want an absolute URI in ASCII", uri)
		}
		add(tagURI, []byte(uri))
	}
	for _, text := range p.IPAddresses {
		ip, err := netip.ParseAddr(text)
		if err != nil || ip.Zone() != "" {
			return nil, invalid("policy.x509_props.sans.ipAddresses", "%.64q: want an IP address", text)
		}
		add(tagIP, ip.Unmap().AsSlice())
	}
	for _, upn := range p.UPNs {
		if !isUPN(upn) {
			return nil, invalid("policy.x509_props.sans.upns", "%.255q: want a user principal name such as who@example.com", upn)
		}
		b, err := otherName(upn)
		if err != nil {
			return nil, err
		}
		add(tagOther, b)
		names[len(names)-1].IsCompound = true
	}
	der, err := asn1.Marshal(names)
	if err != nil {
		return nil, err
	}
	return &pkix.Extension{Id: oidAltName, Critical: empty, Value: der}, nil
}

// otherName is the content of an OtherName (RFC 5280) that has a user principal name.
func otherName(upn string) ([]byte, error) {
	id, err := asn1.Marshal(oidUPN)
	if err != nil {
		return nil, err
	}
	text, err := asn1.MarshalWithParams(upn, "utf8")
	if err != nil {
		return nil, err
	}
	value, err := asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: text})
	return append(id, value...), err
}

// upns reads the user principal names of an extension with alternative names. What is malformed has none.
func upns(extensions []pkix.Extension) []string {
	var found []string
	for _, e := range extensions {
		if !e.Id.Equal(oidAltName) {
			continue
		}
		var names []asn1.RawValue
		if _, err := asn1.Unmarshal(e.Value, &names); err != nil {
			return nil
		}
		for _, name := range names {
			if name.Class != asn1.ClassContextSpecific || name.Tag != tagOther {
				continue
			}
			var id asn1.ObjectIdentifier
			rest, err := asn1.Unmarshal(name.Bytes, &id)
			if err != nil || !id.Equal(oidUPN) {
				continue
			}
			var text string
			if _, err := asn1.UnmarshalWithParams(rest, &text, "explicit,tag:0"); err == nil {
				found = append(found, text)
			}
		}
	}
	return found
}

// setAltNames takes the alternative names of a certificate over into a policy.
func setAltNames(p *model.X509Properties, cert *x509.Certificate) {
	p.DNSNames, p.Emails, p.UPNs = cert.DNSNames, cert.EmailAddresses, upns(cert.Extensions)
	for _, ip := range cert.IPAddresses {
		p.IPAddresses = append(p.IPAddresses, ip.String())
	}
	for _, u := range cert.URIs {
		p.URIs = append(p.URIs, u.String())
	}
}

// isHost reports whether a name is one of a host (RFC 1123), with a wildcard for its first label if that is allowed.
func isHost(name string, wildcard bool) bool {
	if wildcard {
		name = strings.TrimPrefix(name, "*.")
	}
	if name == "" || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			// The underscore is no letter of host names, but of DNS names that certificates are made for.
			if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return true
}

func isEmail(text string) bool {
	a, err := mail.ParseAddress(text)
	return err == nil && a.Address == text && isASCII(text) && len(text) <= 255
}

func isUPN(text string) bool {
	user, domain, ok := strings.Cut(text, "@")
	return ok && user != "" && domain != "" && !strings.Contains(domain, "@") && len(text) <= 1024 && utf8.ValidString(text) &&
		!strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f })
}
