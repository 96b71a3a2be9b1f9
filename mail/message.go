package mail

import (
	"crypto/rand"
	"net/mail"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// The bounds of a message, in bytes.
const (
	// MaxBody bounds Text and HTML together.
	MaxBody = 512 << 10
	// MaxSubject bounds a subject.
	MaxSubject = 500
	// MaxAddress bounds an address with its name.
	MaxAddress = 500
	// MaxID bounds an ID.
	MaxID = 200
)

// NewID returns a new ID for a message.
func NewID() string { return strings.ToLower(rand.Text()) }

// Validate reports what is wrong with a message, as an ErrInvalid that names the field. Line
// breaks and other control characters are refused everywhere but in the bodies, so that no
// field can add a header or a command.
func (m *Message) Validate() error {
	if m == nil {
		return &fieldError{"Message", "is nil"}
	}
	if err := checkID(m.ID); err != nil {
		return err
	}
	if m.To == "" {
		return &fieldError{"To", "is empty"}
	}
	if _, err := parseAddress("To", m.To); err != nil {
		return err
	}
	if m.ReplyTo != "" {
		if _, err := parseAddress("ReplyTo", m.ReplyTo); err != nil {
			return err
		}
	}
	if m.Subject == "" {
		return &fieldError{"Subject", "is empty"}
	}
	if err := checkLine("Subject", m.Subject, MaxSubject); err != nil {
		return err
	}
	switch {
	case strings.Contains(m.Subject, "=?"):
		return &fieldError{"Subject", "has =?, which readers take for the begin of other characters"}
	case m.Text == "" && m.HTML == "":
		return &fieldError{"Text", "and HTML are empty; set one of them, or both"}
	case len(m.Text)+len(m.HTML) > MaxBody:
		return &fieldError{"Text", "and HTML are too large together: at most 524288 bytes"}
	case !utf8.ValidString(m.Text):
		return &fieldError{"Text", "is not UTF-8"}
	case !utf8.ValidString(m.HTML):
		return &fieldError{"HTML", "is not UTF-8"}
	}
	return nil
}

// checkID accepts what can stand in a Message-ID: an id, with a domain or without.
func checkID(id string) error {
	left, right, domain := strings.Cut(id, "@")
	switch {
	case id == "":
		return nil
	case len(id) > MaxID:
		return &fieldError{"ID", "is too long"}
	case !isAtom(left) || domain && !isAtom(right):
		return &fieldError{"ID", "is not of letters, digits, dots and -_+= with a domain or without"}
	}
	return nil
}

// isAtom reports whether s can stand in an address or ID without quotes (RFC 5322 dot-atom).
func isAtom(s string) bool {
	return s != "" && s[0] != '.' && s[len(s)-1] != '.' && !strings.Contains(s, "..") &&
		strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.!#$%&'*+-/=?^_`{|}~") == ""
}

// checkLine accepts text of one line.
func checkLine(field, s string, limit int) error {
	switch {
	case len(s) > limit:
		return &fieldError{field, "is too long"}
	case !utf8.ValidString(s):
		return &fieldError{field, "is not UTF-8"}
	case strings.ContainsFunc(s, isControl):
		return &fieldError{field, "has a line break or another control character"}
	}
	return nil
}

func isControl(r rune) bool {
	return r < ' ' || 0x7f <= r && r < 0xa0 || r == '\u2028' || r == '\u2029'
}

// parseAddress reads one address. An address that needs quotes is refused: nobody has one, and
// what is between them would reach the server as part of a command.
func parseAddress(field, s string) (*mail.Address, error) {
	if err := checkLine(field, s, MaxAddress); err != nil {
		return nil, err
	}
	a, err := mail.ParseAddress(s)
	if err != nil {
		return nil, &fieldError{field, `is no address: want one "ada@example.org" or "Ada <ada@example.org>"`}
	}
	if strings.ContainsFunc(a.Name, isControl) { // it may have been encoded
		return nil, &fieldError{field, "has a control character in its name"}
	}
	at := strings.LastIndexByte(a.Address, '@')
	local, domain := a.Address[:at], a.Address[at+1:]
	if !isAtom(local) || len(local) > 64 {
		return nil, &fieldError{field, "has characters before the @ that are not sent to"}
	}
	domain, err = idna.Lookup.ToASCII(domain)
	if err != nil || !isDomain(domain) {
		return nil, &fieldError{field, "has no domain name after the @"}
	}
	return &mail.Address{Name: a.Name, Address: local + "@" + domain}, nil
}

// isDomain reports whether s is a host name, and no address between brackets.
func isDomain(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "" {
			return false
		}
	}
	return true
}
