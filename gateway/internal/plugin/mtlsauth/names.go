package mtlsauth

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strings"
)

// maxNames bounds how many alternative names are looked at.
const maxNames = 100

// subjectNames are the names that a certificate is for, in the order in which consumers are looked for: the
// alternative names (hosts, mail addresses, URIs, IP addresses), or without one the common name, as in Kong.
func subjectNames(c *x509.Certificate) (names []string, fromCN bool) {
	names = append(names, c.DNSNames...)
	names = append(names, c.EmailAddresses...)
	for _, u := range c.URIs {
		names = append(names, u.String())
	}
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		if c.Subject.CommonName == "" {
			return nil, true
		}
		return []string{c.Subject.CommonName}, true
	}
	return names[:min(len(names), maxNames)], false
}

// attributes are the short names of the parts of a distinguished name (RFC 4519), and the one that OpenSSL and so
// Kong has for mail addresses.
var attributes = map[string]string{
	"2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.9": "street",
	"2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "title", "2.5.4.17": "postalCode", "2.5.4.42": "GN",
	"0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC", "1.2.840.113549.1.9.1": "emailAddress",
}

// distinguished writes a distinguished name as RFC 2253 has it, the last part first; characters that are not of
// ASCII are escaped, as nginx and Kong do.
func distinguished(raw []byte) string {
	var rdns pkix.RDNSequence
	if rest, err := asn1.Unmarshal(raw, &rdns); err != nil || len(rest) > 0 {
		return ""
	}
	var b strings.Builder
	for i := len(rdns) - 1; i >= 0; i-- {
		if i < len(rdns)-1 {
			b.WriteByte(',')
		}
		for j, part := range rdns[i] {
			if j > 0 {
				b.WriteByte('+')
			}
			kind := part.Type.String()
			if short, ok := attributes[kind]; ok {
				kind = short
			}
			b.WriteString(kind)
			b.WriteByte('=')
			escape(&b, fmt.Sprint(part.Value))
		}
	}
	return b.String()
}

// escape writes a value of a distinguished name (RFC 2253 section 2.4).
func escape(b *strings.Builder, value string) {
	for i := range len(value) {
		switch c := value[i]; {
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(b, `\%02X`, c)
		case strings.IndexByte(`,+"\<>;`, c) >= 0, c == '#' && i == 0, c == ' ' && (i == 0 || i == len(value)-1):
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
}

// clean is a text of a certificate as it may stand in a header field, a group or a reason.
func clean(text string) string {
	safe := func(c byte) bool { return c >= ' ' && c != 0x7f }
	for i := range len(text) {
		if safe(text[i]) {
			continue
		}
		var b strings.Builder
		for i := range len(text) {
			if safe(text[i]) {
				b.WriteByte(text[i])
			} else {
				fmt.Fprintf(&b, `\%02X`, text[i])
			}
		}
		return b.String()
	}
	return text
}
