package analysis

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding"
	utf16 "golang.org/x/text/encoding/unicode"
)

// inspectText finds the encoding of a text and counts its lines, words and characters. A line ends with LF, CR LF or
// CR; the last one may lack its end. Words are separated by white space. A byte order mark is no character.
func inspectText(src source, contentType string, f *findings) {
	name, enc, err := textEncoding(src, contentType)
	if err != nil {
		f.explain(SourceText, "the text could not be read: %v", err)
		return
	}
	f.add(SourceText, "Encoding", name)
	var c textCounter
	runes := bufio.NewReaderSize(enc.NewDecoder().Reader(section(src)), 64<<10)
	for first := true; ; first = false {
		r, _, err := runes.ReadRune()
		if err == io.EOF {
			break
		}
		if err != nil {
			f.explain(SourceText, "the text is not valid %s: %v", name, err)
			break
		}
		if first && r == '\uFEFF' {
			continue
		}
		c.add(r)
	}
	if c.afterCR || c.inLine {
		c.lines++
	}
	f.addInt(SourceText, "LineCount", c.lines)
	f.addInt(SourceText, "WordCount", c.words)
	f.addInt(SourceText, "CharacterCount", c.characters)
}

type textCounter struct {
	lines, words, characters int64
	inLine, inWord, afterCR  bool
}

func (c *textCounter) add(r rune) {
	c.characters++
	if c.afterCR {
		c.lines++
		c.afterCR = false
		if r == '\n' {
			return
		}
	}
	switch r {
	case '\n':
		c.lines++
		c.inLine = false
	case '\r':
		c.afterCR = true
		c.inLine = false
	default:
		c.inLine = true
	}
	space := unicode.IsSpace(r)
	if !space && !c.inWord {
		c.words++
	}
	c.inWord = !space
}

// textEncoding names the encoding of a text: by its byte order mark, as UTF-8 when all of it is valid, or by the
// rules browsers follow (charset of the type, meta element, windows-1252).
func textEncoding(src source, contentType string) (string, encoding.Encoding, error) {
	start := make([]byte, min(1024, src.size()))
	if _, err := io.ReadFull(section(src), start); err != nil {
		return "", nil, err
	}
	switch {
	case bytes.HasPrefix(start, []byte{0xEF, 0xBB, 0xBF}):
		return "UTF-8", encoding.Nop, nil
	case bytes.HasPrefix(start, []byte{0xFF, 0xFE}):
		return "UTF-16LE", utf16.UTF16(utf16.LittleEndian, utf16.IgnoreBOM), nil
	case bytes.HasPrefix(start, []byte{0xFE, 0xFF}):
		return "UTF-16BE", utf16.UTF16(utf16.BigEndian, utf16.IgnoreBOM), nil
	}
	valid, err := validUTF8(section(src))
	if err != nil {
		return "", nil, err
	}
	if valid {
		return "UTF-8", encoding.Nop, nil
	}
	// The type of a text that only starts as UTF-8 says utf-8: it is not believed here.
	if strings.Contains(contentType, "utf-8") {
		contentType = ""
	}
	enc, name, _ := charset.DetermineEncoding(start, contentType)
	if name == "utf-8" {
		enc, name = encoding.Nop, "UTF-8" // with invalid parts, each counted as one character
	}
	return name, enc, nil
}

// validUTF8 reports whether all of r is UTF-8.
func validUTF8(r io.Reader) (bool, error) {
	buf := make([]byte, 64<<10)
	kept := 0
	for {
		n, err := io.ReadFull(r, buf[kept:])
		n += kept
		end := err != nil
		if end && err != io.EOF && err != io.ErrUnexpectedEOF {
			return false, err
		}
		// A character may be cut by the end of the buffer: its bytes wait for the next round.
		whole := n
		for back := 1; !end && back < utf8.UTFMax && back <= n; back++ {
			if utf8.RuneStart(buf[n-back]) {
				if !utf8.FullRune(buf[n-back : n]) {
					whole = n - back
				}
				break
			}
		}
		if !utf8.Valid(buf[:whole]) {
			return false, nil
		}
		if end {
			return true, nil
		}
		kept = copy(buf, buf[whole:n])
	}
}
