package analysis

import (
	"bytes"
	"strconv"
)

// Tokens of content streams and character maps (ISO 32000-1, 7.8.2 and 9.10.3). Numbers are float64.
type (
	pdfName     string
	pdfString   []byte
	pdfOperator string
	pdfArray    []any
)

const (
	maxPDFArray   = 50_000 // elements of one array; the rest is dropped
	maxPDFNesting = 16
)

// pdfLexer splits the bytes of a stream into tokens. It accepts anything: what is malformed is skipped.
type pdfLexer struct {
	data []byte
	pos  int
}

func isPDFSpace(c byte) bool {
	return c == 0 || c == '\t' || c == '\n' || c == '\f' || c == '\r' || c == ' '
}

func isPDFDelimiter(c byte) bool {
	return bytes.IndexByte([]byte("()<>[]{}/%"), c) >= 0
}

// next returns the next token: a float64, pdfName, pdfString, pdfArray or pdfOperator; false at the end.
// Dictionaries come as the operators << and >> with what is between them.
func (l *pdfLexer) next() (any, bool) {
	return l.token(0)
}

func (l *pdfLexer) token(depth int) (any, bool) {
	for l.pos < len(l.data) {
		c := l.data[l.pos]
		switch {
		case isPDFSpace(c):
			l.pos++
		case c == '%':
			l.skipLine()
		case c == '(':
			return l.literal(), true
		case c == '<':
			if l.peek(1) == '<' {
				l.pos += 2
				return pdfOperator("<<"), true
			}
			return l.hex(), true
		case c == '>' && l.peek(1) == '>':
			l.pos += 2
			return pdfOperator(">>"), true
		case c == '/':
			l.pos++
			return l.name(), true
		case c == '[' && depth < maxPDFNesting:
			l.pos++
			return l.array(depth + 1), true
		case isPDFDelimiter(c):
			l.pos++
			return pdfOperator(c), true
		default:
			return l.word(), true
		}
	}
	return nil, false
}

func (l *pdfLexer) peek(n int) byte {
	if l.pos+n < len(l.data) {
		return l.data[l.pos+n]
	}
	return 0
}

func (l *pdfLexer) skipLine() {
	for l.pos < len(l.data) && l.data[l.pos] != '\n' && l.data[l.pos] != '\r' {
		l.pos++
	}
}

// word reads a number or an operator.
func (l *pdfLexer) word() any {
	start := l.pos
	for l.pos < len(l.data) && !isPDFSpace(l.data[l.pos]) && !isPDFDelimiter(l.data[l.pos]) {
		l.pos++
	}
	word := string(l.data[start:l.pos])
	if c := word[0]; c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' {
		if n, err := strconv.ParseFloat(word, 64); err == nil {
			return n
		}
	}
	return pdfOperator(word)
}

func (l *pdfLexer) name() pdfName {
	var name []byte
	for l.pos < len(l.data) && !isPDFSpace(l.data[l.pos]) && !isPDFDelimiter(l.data[l.pos]) {
		c := l.data[l.pos]
		l.pos++
		if c == '#' && l.pos+2 <= len(l.data) {
			if n, err := strconv.ParseUint(string(l.data[l.pos:l.pos+2]), 16, 8); err == nil {
				c = byte(n)
				l.pos += 2
			}
		}
		name = append(name, c)
	}
	return pdfName(name)
}

func (l *pdfLexer) array(depth int) pdfArray {
	array := pdfArray{}
	for {
		t, ok := l.token(depth)
		if !ok || t == pdfOperator("]") {
			return array
		}
		if len(array) < maxPDFArray {
			array = append(array, t)
		}
	}
}

// literal reads a string in parentheses with its escapes.
func (l *pdfLexer) literal() pdfString {
	s := pdfString{}
	open := 0
	for l.pos < len(l.data) {
		c := l.data[l.pos]
		l.pos++
		switch c {
		case '(':
			if open++; open > 1 {
				s = append(s, c)
			}
		case ')':
			if open--; open == 0 {
				return s
			}
			s = append(s, c)
		case '\\':
			s = l.escape(s)
		default:
			s = append(s, c)
		}
	}
	return s
}

func (l *pdfLexer) escape(s pdfString) pdfString {
	if l.pos == len(l.data) {
		return s
	}
	c := l.data[l.pos]
	l.pos++
	if at := bytes.IndexByte([]byte("nrtbf"), c); at >= 0 {
		return append(s, "\n\r\t\b\f"[at])
	}
	switch {
	case c == '\r':
		if l.peek(0) == '\n' {
			l.pos++
		}
		return s
	case c == '\n':
		return s
	case c < '0' || c > '7':
		return append(s, c)
	}
	n := int(c - '0')
	for range 2 {
		if d := l.peek(0); d >= '0' && d <= '7' {
			n = n*8 + int(d-'0')
			l.pos++
		} else {
			break
		}
	}
	return append(s, byte(n))
}

// hex reads a string of hexadecimal digits; an odd last digit stands for its double with 0.
func (l *pdfLexer) hex() pdfString {
	l.pos++
	s := pdfString{}
	digits, value := 0, 0
	for l.pos < len(l.data) {
		c := l.data[l.pos]
		l.pos++
		if c == '>' {
			break
		}
		d := bytes.IndexByte([]byte("0123456789abcdef"), c|0x20)
		if d < 0 {
			continue
		}
		value = value<<4 | d
		if digits++; digits%2 == 0 {
			s = append(s, byte(value))
			value = 0
		}
	}
	if digits%2 == 1 {
		s = append(s, byte(value<<4))
	}
	return s
}

// skipInlineImage moves behind the EI that ends an inline image.
func (l *pdfLexer) skipInlineImage() {
	for l.pos+2 < len(l.data) {
		at := bytes.Index(l.data[l.pos:], []byte("EI"))
		if at < 0 {
			break
		}
		l.pos += at + 2
		if at > 0 && isPDFSpace(l.data[l.pos-3]) && (l.pos == len(l.data) || isPDFSpace(l.data[l.pos])) {
			return
		}
	}
	l.pos = len(l.data)
}
