package pki

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The bounds of a distinguished name.
const (
	// MaxName bounds its text, in bytes.
	MaxName = 1024
	// MaxNameParts bounds its attributes.
	MaxNameParts = 32
)

// attribute is a type of attribute that names have by a keyword.
type attribute struct {
	keyword string // the one that is written
	oid     asn1.ObjectIdentifier
	max     int // characters (RFC 5280, appendix A)
	tag     int // of its encoding; 0 is PrintableString where that can be, else UTF8String
}

// attributes are those of RFC 4514, section 3, and those that certificates have besides.
var attributes = []attribute{
	{"CN", asn1.ObjectIdentifier{2, 5, 4, 3}, 64, 0},
	{"O", asn1.ObjectIdentifier{2, 5, 4, 10}, 64, 0},
	{"OU", asn1.ObjectIdentifier{2, 5, 4, 11}, 64, 0},
	{"C", asn1.ObjectIdentifier{2, 5, 4, 6}, 2, asn1.TagPrintableString},
	{"L", asn1.ObjectIdentifier{2, 5, 4, 7}, 128, 0},
	{"ST", asn1.ObjectIdentifier{2, 5, 4, 8}, 128, 0},
	{"STREET", asn1.ObjectIdentifier{2, 5, 4, 9}, 128, 0},
	{"POSTALCODE", asn1.ObjectIdentifier{2, 5, 4, 17}, 40, 0},
	{"SERIALNUMBER", asn1.ObjectIdentifier{2, 5, 4, 5}, 64, asn1.TagPrintableString},
	{"T", asn1.ObjectIdentifier{2, 5, 4, 12}, 64, 0},
	{"SN", asn1.ObjectIdentifier{2, 5, 4, 4}, 64, 0},
	{"GN", asn1.ObjectIdentifier{2, 5, 4, 42}, 64, 0},
	{"UID", asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}, 256, 0},
	{"DC", asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}, 63, asn1.TagIA5String},
	{"E", asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, 255, asn1.TagIA5String},
}

// alias are other spellings of keywords, as OpenSSL and Windows have them.
var alias = map[string]string{
	"S": "ST", "G": "GN", "TITLE": "T", "SURNAME": "SN", "GIVENNAME": "GN", "EMAIL": "E", "EMAILADDRESS": "E",
	"COMMONNAME": "CN", "COUNTRY": "C", "ORGANIZATION": "O", "ORGANIZATIONALUNIT": "OU", "LOCALITY": "L",
}

// ParseName reads a distinguished name (RFC 4514) such as "CN=example.com,O=Example,C=DE". Its last part comes first in a
// certificate, as the standard has it. Values in double quotes (RFC 2253) are taken; those in hexadecimal ("#…") are not.
// The empty text is the empty name.
func ParseName(text string) (pkix.RDNSequence, error) {
	if len(text) > MaxName {
		return nil, fmt.Errorf("a name has at most %d bytes", MaxName)
	}
	if !utf8.ValidString(text) {
		return nil, fmt.Errorf("a name is in UTF-8")
	}
	p := &nameParser{rest: text}
	p.spaces()
	if p.rest == "" {
		return nil, nil
	}
	var parts []pkix.RelativeDistinguishedNameSET
	var part pkix.RelativeDistinguishedNameSET
	for n := 1; ; n++ {
		if n > MaxNameParts {
			return nil, fmt.Errorf("a name has at most %d attributes", MaxNameParts)
		}
		a, err := p.attribute()
		if err != nil {
			return nil, err
		}
		part = append(part, a)
		if p.rest != "" && p.rest[0] == '+' {
			p.rest = p.rest[1:]
			continue
		}
		parts, part = append(parts, part), nil
		if p.rest == "" {
			break
		}
		p.rest = p.rest[1:] // a comma: value ends at nothing else
	}
	sequence := make(pkix.RDNSequence, len(parts))
	for i, part := range parts {
		sequence[len(parts)-1-i] = part
	}
	return sequence, nil
}

type nameParser struct{ rest string }

func (p *nameParser) spaces() { p.rest = strings.TrimLeft(p.rest, " ") }

func (p *nameParser) attribute() (pkix.AttributeTypeAndValue, error) {
	var none pkix.AttributeTypeAndValue
	keyword, rest, ok := strings.Cut(p.rest, "=")
	if !ok {
		return none, fmt.Errorf("%.80q: want NAME=VALUE", p.rest)
	}
	kind, err := attributeOf(strings.Trim(keyword, " "))
	if err != nil {
		return none, err
	}
	p.rest = rest
	value, err := p.value()
	if err != nil {
		return none, fmt.Errorf("%s: %w", kind.keyword, err)
	}
	encoded, err := kind.encode(value)
	if err != nil {
		return none, fmt.Errorf("%s: %w", kind.keyword, err)
	}
	return pkix.AttributeTypeAndValue{Type: kind.oid, Value: encoded}, nil
}

// attributeOf finds the type that a keyword or a dotted object identifier stands for.
func attributeOf(keyword string) (attribute, error) {
	upper := strings.ToUpper(keyword)
	if full, ok := alias[upper]; ok {
		upper = full
	}
	for _, a := range attributes {
		if a.keyword == upper {
			return a, nil
		}
	}
	if keyword == "" || keyword[0] < '0' || keyword[0] > '9' {
		return attribute{}, fmt.Errorf("%.80q: no such attribute; CN, O, OU, C, L, ST, STREET, DC, UID, E, an object identifier and so on are", keyword)
	}
	oid, err := ParseOID(keyword)
	if err != nil {
		return attribute{}, err
	}
	for _, a := range attributes {
		if a.oid.Equal(oid) {
			return a, nil
		}
	}
	return attribute{keyword: oid.String(), oid: oid, max: 256}, nil
}

// value reads up to the comma or plus sign that ends it.
func (p *nameParser) value() (string, error) {
	p.spaces()
	if strings.HasPrefix(p.rest, "#") {
		return "", fmt.Errorf("values in hexadecimal are not taken")
	}
	quoted := strings.HasPrefix(p.rest, `"`)
	if quoted {
		p.rest = p.rest[1:]
	}
	var value []byte
	keep := 0 // without the spaces at the end that are not escaped
	for p.rest != "" {
		c := p.rest[0]
		switch {
		case c == '\\':
			b, err := p.escape()
			if err != nil {
				return "", err
			}
			value = append(value, b)
			keep = len(value)
			continue
		case quoted && c == '"':
			p.rest = p.rest[1:]
			p.spaces()
			if p.rest != "" && p.rest[0] != ',' && p.rest[0] != '+' {
				return "", fmt.Errorf("a comma is missing after the closing quote")
			}
			return checkValue(value)
		case !quoted && (c == ',' || c == '+'):
			return checkValue(value[:keep])
		case !quoted && strings.IndexByte(`";<>`, c) >= 0:
			return "", fmt.Errorf("%q must be written %q", string(c), `\`+string(c))
		}
		value = append(value, c)
		p.rest = p.rest[1:]
		if c != ' ' || quoted {
			keep = len(value)
		}
	}
	if quoted {
		return "", fmt.Errorf("the closing quote is missing")
	}
	return checkValue(value[:keep])
}

// escape reads a backslash and what it escapes: a special character, or a byte as two hexadecimal digits.
func (p *nameParser) escape() (byte, error) {
	if len(p.rest) >= 2 && strings.IndexByte(`\"#+,;<=> `, p.rest[1]) >= 0 {
		c := p.rest[1]
		p.rest = p.rest[2:]
		return c, nil
	}
	if len(p.rest) >= 3 {
		if b, err := hex.DecodeString(p.rest[1:3]); err == nil {
			p.rest = p.rest[3:]
			return b[0], nil
		}
	}
	return 0, fmt.Errorf("after a backslash comes a special character or two hexadecimal digits")
}

func checkValue(value []byte) (string, error) {
	text := string(value)
	switch {
	case text == "":
		return "", fmt.Errorf("the value is missing")
	case !utf8.ValidString(text):
		return "", fmt.Errorf("the value is not UTF-8")
	case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "", fmt.Errorf("the value has control characters")
	}
	return text, nil
}

// encode returns the value for encoding/asn1, which chooses between PrintableString and UTF8String itself.
func (a attribute) encode(value string) (any, error) {
	if n := utf8.RuneCountInString(value); n > a.max {
		return nil, fmt.Errorf("at most %d characters", a.max)
	}
	switch a.tag {
	case asn1.TagIA5String:
		if !isASCII(value) {
			return nil, fmt.Errorf("%q: ASCII only", value)
		}
	case asn1.TagPrintableString:
		if !isPrintable(value) {
			return nil, fmt.Errorf("%q: letters, digits, spaces and '()+,-./:=? only", value)
		}
		if a.keyword == "C" && len(value) != 2 {
			return nil, fmt.Errorf("%q: a country has two letters (ISO 3166)", value)
		}
	default:
		return value, nil
	}
	return asn1.RawValue{Class: asn1.ClassUniversal, Tag: a.tag, Bytes: []byte(value)}, nil
}

func isASCII(s string) bool {
	for _, c := range []byte(s) {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

func isPrintable(s string) bool {
	for _, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(" '()+,-./:=?", c) >= 0) {
			return false
		}
	}
	return true
}

// FormatName writes the subject or issuer of a certificate, given as DER, so that ParseName reads it.
func FormatName(der []byte) (string, error) {
	var sequence pkix.RDNSequence
	rest, err := asn1.Unmarshal(der, &sequence)
	if err != nil || len(rest) > 0 {
		return "", fmt.Errorf("%w: malformed name", ErrEncoding)
	}
	var b strings.Builder
	for i := len(sequence) - 1; i >= 0; i-- {
		for j, a := range sequence[i] {
			switch {
			case j > 0:
				b.WriteByte('+')
			case b.Len() > 0:
				b.WriteByte(',')
			}
			b.WriteString(keywordOf(a.Type))
			b.WriteByte('=')
			writeValue(&b, fmt.Sprint(a.Value))
		}
	}
	return b.String(), nil
}

func keywordOf(oid asn1.ObjectIdentifier) string {
	for _, a := range attributes {
		if a.oid.Equal(oid) {
			return a.keyword
		}
	}
	return oid.String()
}

func writeValue(b *strings.Builder, value string) {
	for i, c := range []byte(value) {
		switch {
		case strings.IndexByte(`\"+,;<>`, c) >= 0, c == '#' && i == 0, c == ' ' && (i == 0 || i == len(value)-1):
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
}

// ParseOID reads an object identifier in dotted decimal.
func ParseOID(text string) (asn1.ObjectIdentifier, error) {
	fail := fmt.Errorf("%.80q: want an object identifier such as 1.3.6.1.5.5.7.3.1", text)
	if len(text) > 128 {
		return nil, fail
	}
	arcs := strings.Split(text, ".")
	if len(arcs) < 2 {
		return nil, fail
	}
	oid := make(asn1.ObjectIdentifier, len(arcs))
	for i, arc := range arcs {
		n, err := strconv.ParseUint(arc, 10, 31)
		if err != nil || len(arc) > 1 && arc[0] == '0' {
			return nil, fail
		}
		oid[i] = int(n)
	}
	// The second arc shares a 31 bit number with the first one.
	if oid[0] > 2 || oid[0] < 2 && oid[1] > 39 || oid[1] > 1<<31-1-80 {
		return nil, fail
	}
	return oid, nil
}
