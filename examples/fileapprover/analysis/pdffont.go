package analysis

import (
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu/types"
	"golang.org/x/text/encoding/charmap"
)

const maxPDFMappings = 1 << 16

// pdfFont turns the bytes a content stream shows into text.
type pdfFont struct {
	codeBytes int               // bytes of one code: 1, 2, and by a character map up to 4
	unicode   map[uint32]string // by the font's character map; nil when it has none
	simple    *[256]string      // by the encoding of a simple font; nil for composite ones
}

// text decodes a string. Codes without a known character become U+FFFD.
func (font *pdfFont) text(s pdfString) string {
	var out strings.Builder
	for len(s) >= font.codeBytes {
		code := uint32(0)
		for _, b := range s[:font.codeBytes] {
			code = code<<8 | uint32(b)
		}
		s = s[font.codeBytes:]
		if t, ok := font.unicode[code]; ok {
			out.WriteString(t)
		} else if font.simple != nil && code < 256 {
			out.WriteString(font.simple[code])
		} else {
			out.WriteRune('\uFFFD')
		}
	}
	return out.String()
}

// loadFont reads a font dictionary (ISO 32000-1, 9.6 to 9.10). A nil dictionary gives a font of plain Latin text.
func (t *pdfText) loadFont(dict types.Dict) *pdfFont {
	font := &pdfFont{codeBytes: 1}
	if subtype := dict.Subtype(); subtype != nil && *subtype == "Type0" {
		font.codeBytes = 2
	} else {
		encoding, _ := dict.Find("Encoding")
		font.simple = t.simpleEncoding(encoding)
	}
	if ref, found := dict.Find("ToUnicode"); found {
		if data, ok := t.stream(ref); ok {
			font.readCharacterMap(data)
		}
	}
	return font
}

// simpleEncoding builds the table of a simple font: a base encoding and the differences from it.
func (t *pdfText) simpleEncoding(encoding types.Object) *[256]string {
	encoding, _ = t.doc.Dereference(encoding)
	base := charmap.Windows1252
	name, _ := encoding.(types.Name)
	dict, _ := encoding.(types.Dict)
	if n := dict.NameEntry("BaseEncoding"); n != nil {
		name = types.Name(*n)
	}
	if name == "MacRomanEncoding" {
		base = charmap.Macintosh
	}
	var table [256]string
	for i := range table {
		table[i] = string(base.DecodeByte(byte(i)))
	}
	code := 0
	differences, _ := dict.Find("Differences")
	array, _ := t.doc.DereferenceArray(differences)
	for _, o := range array {
		switch o := o.(type) {
		case types.Integer:
			code = o.Value()
		case types.Name:
			if code >= 0 && code < len(table) {
				table[code] = glyphText(string(o))
			}
			code++
		}
	}
	return &table
}

// readCharacterMap reads the mappings of a ToUnicode character map.
func (font *pdfFont) readCharacterMap(data []byte) {
	font.unicode = map[uint32]string{}
	lexer := &pdfLexer{data: data}
	var operands []any
	for {
		token, ok := lexer.next()
		if !ok {
			return
		}
		operator, ok := token.(pdfOperator)
		if !ok {
			if len(operands) < maxPDFArray {
				operands = append(operands, token)
			}
			continue
		}
		switch operator {
		case "endcodespacerange":
			if len(operands) > 0 {
				if s, ok := operands[0].(pdfString); ok && len(s) >= 1 && len(s) <= 4 {
					font.codeBytes = len(s)
				}
			}
		case "endbfchar":
			for i := 0; i+1 < len(operands); i += 2 {
				if from, ok := operands[i].(pdfString); ok {
					font.mapCode(codeOf(from), operands[i+1], 0)
				}
			}
		case "endbfrange":
			for i := 0; i+2 < len(operands); i += 3 {
				font.mapRange(operands[i], operands[i+1], operands[i+2])
			}
		}
		operands = operands[:0]
	}
}

func (font *pdfFont) mapRange(low, high, to any) {
	first, ok1 := low.(pdfString)
	last, ok2 := high.(pdfString)
	if !ok1 || !ok2 {
		return
	}
	list, isList := to.(pdfArray)
	from, end := uint64(codeOf(first)), uint64(codeOf(last))
	for code := from; code <= end && len(font.unicode) < maxPDFMappings; code++ {
		offset := int(code - from)
		switch {
		case !isList:
			font.mapCode(uint32(code), to, offset)
		case offset < len(list):
			font.mapCode(uint32(code), list[offset], 0)
		default:
			return
		}
	}
}

// mapCode maps a code to UTF-16BE text whose last unit is raised by offset.
func (font *pdfFont) mapCode(code uint32, to any, offset int) {
	s, ok := to.(pdfString)
	if !ok || len(s) < 2 || len(s) > 32 || len(font.unicode) >= maxPDFMappings {
		return
	}
	units := make([]uint16, len(s)/2)
	for i := range units {
		units[i] = uint16(s[2*i])<<8 | uint16(s[2*i+1])
	}
	units[len(units)-1] += uint16(offset)
	font.unicode[code] = string(utf16.Decode(units))
}

func codeOf(s pdfString) uint32 {
	code := uint32(0)
	for _, b := range s {
		code = code<<8 | uint32(b)
	}
	return code
}

// glyphText is the text of a glyph name of the Adobe Glyph List, as far as it can be told from a small table and
// the forms uniXXXX and uXXXX.
func glyphText(name string) string {
	name, _, _ = strings.Cut(name, ".")
	if text, ok := glyphNames[name]; ok {
		return text
	}
	if len(name) == 1 {
		return name
	}
	for _, prefix := range []string{"uni", "u"} {
		if digits, ok := strings.CutPrefix(name, prefix); ok && len(digits) >= 4 && len(digits) <= 6 {
			if n, err := strconv.ParseUint(digits, 16, 32); err == nil {
				return string(rune(n))
			}
		}
	}
	return "\uFFFD"
}

var glyphNames = map[string]string{
	"space": " ", "nbspace": " ", "exclam": "!", "quotedbl": `"`, "numbersign": "#", "dollar": "$", "percent": "%",
	"ampersand": "&", "quotesingle": "'", "parenleft": "(", "parenright": ")", "asterisk": "*", "plus": "+",
	"comma": ",", "hyphen": "-", "minus": "-", "period": ".", "slash": "/", "colon": ":", "semicolon": ";",
	"less": "<", "equal": "=", "greater": ">", "question": "?", "at": "@", "bracketleft": "[", "backslash": `\`,
	"bracketright": "]", "asciicircum": "^", "underscore": "_", "grave": "`", "braceleft": "{", "bar": "|",
	"braceright": "}", "asciitilde": "~", "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4",
	"five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9", "ff": "ff", "fi": "fi", "fl": "fl",
	"ffi": "ffi", "ffl": "ffl", "quoteleft": "‘", "quoteright": "’", "quotedblleft": "“", "quotedblright": "”",
	"endash": "–", "emdash": "—", "ellipsis": "…", "bullet": "•", "germandbls": "ß", "adieresis": "ä",
	"odieresis": "ö", "udieresis": "ü", "Adieresis": "Ä", "Odieresis": "Ö", "Udieresis": "Ü", "eacute": "é",
	"egrave": "è", "ecircumflex": "ê", "agrave": "à", "aacute": "á", "acircumflex": "â", "ccedilla": "ç",
	"ntilde": "ñ", "oacute": "ó", "iacute": "í", "uacute": "ú", "ocircumflex": "ô", "aring": "å", "ae": "æ",
	"oslash": "ø", "Euro": "€", "section": "§", "copyright": "©", "registered": "®", "degree": "°",
}
