package h1

import "encoding/binary"

// The classes of RFC 9110 section 5.6 and RFC 9112, as bits of a table.
const (
	classToken  = 1 << iota // tchar
	classValue              // field-vchar, SP, HTAB, obs-text
	classTarget             // what a request-target may have
	classHost               // what an authority without userinfo may have
)

var class = classes()

func classes() (t [256]uint8) {
	for c := range 256 {
		if isAlnum(byte(c)) {
			t[c] |= classToken | classHost
		}
		if c == '\t' || c >= ' ' && c != 0x7f {
			t[c] |= classValue
		}
		if c > ' ' && c != 0x7f && c != '#' {
			t[c] |= classTarget
		}
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		t[c] |= classToken
	}
	for _, c := range "-._~%!$&'()*+,;=:[]" { // RFC 3986: host and port
		t[c] |= classHost
	}
	return t
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

func is[T []byte | string](s T, want uint8) bool {
	for i := range len(s) {
		if class[s[i]]&want == 0 {
			return false
		}
	}
	return true
}

// isToken reports whether s is a token (RFC 9110 section 5.6.2).
func isToken[T []byte | string](s T) bool { return len(s) > 0 && is(s, classToken) }

// isValue reports whether s has only bytes that a field value may have (RFC 9110
// section 5.5): no NUL, CR, LF, nor other controls except HTAB.
func isValue(s []byte) bool {
	for len(s) >= 8 {
		if suspicious(binary.LittleEndian.Uint64(s)) && !is(s[:8], classValue) {
			return false
		}
		s = s[8:]
	}
	return is(s, classValue)
}

// suspicious reports whether one of the eight bytes is a control; it may be wrong
// about those beside one.
func suspicious(x uint64) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	controls := (x - 0x20*ones) & ^x // high bit: below 0x20
	del := x ^ 0x7f*ones
	return (controls | (del-ones) & ^del)&highs != 0
}

// isTarget reports whether s has only bytes that a request-target may have. Those
// of 0x80 and above belong to no URI, but clients send them, and no reader takes them
// for an end. A fragment has no place there (RFC 9112 section 3.2).
func isTarget(s []byte) bool { return is(s, classTarget) }

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}

// equalFold compares names, whose case does not count, in ASCII.
func equalFold[A, B []byte | string](a A, b B) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if a[i] != b[i] && lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

// trim removes optional whitespace (OWS) at both ends.
func trim(s []byte) []byte {
	for len(s) > 0 && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for len(s) > 0 && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// nextElement takes the first element off a comma-separated list (RFC 9110 section
// 5.6.1) that has no quoted strings.
func nextElement(list []byte) (element, rest []byte) {
	for i, c := range list {
		if c == ',' {
			return trim(list[:i]), list[i+1:]
		}
	}
	return trim(list), nil
}
