package analysis

import (
	"math"
	"strings"

	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu/model"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu/types"
)

// Bounds of the work on the text of one document.
const (
	maxPDFText       = 2 * maxValueBytes
	maxPDFDecoded    = 64 << 20 // bytes of all streams together
	maxPDFOperators  = 500_000
	maxPDFOperands   = 64
	maxPDFFormDepth  = 5
	maxPDFTreeHeight = 50
)

// inspectPDFText reports the text that the pages show, in the order of the content streams: best effort, for a PDF
// places glyphs and knows no words.
func inspectPDFText(doc *model.Context, f *findings) {
	t := &pdfText{doc: doc, decoded: maxPDFDecoded, operators: maxPDFOperators}
	t.latin = t.loadFont(nil)
	for page := 1; page <= min(doc.PageCount, maxPDFTextPages) && !t.full(); page++ {
		dict, _, _, err := doc.PageDict(page, false)
		if err != nil {
			f.explain(SourcePDF, "the text of page %d and those after it could not be read", page)
			break
		}
		t.page(dict)
	}
	text := clean(t.out.String(), maxValueBytes)
	unknown := strings.Count(text, "\uFFFD")
	switch {
	case text == "":
		f.explain(SourcePDF, "no text could be extracted: the document shows none, or shows it as pictures")
	case unknown*3 > len([]rune(text)):
		f.explain(SourcePDF, "no text could be extracted: the fonts do not say which characters they show")
	default:
		f.add(SourcePDF, "Text", text)
	}
}

// pdfText runs content streams and collects the text they show.
type pdfText struct {
	doc       *model.Context
	out       strings.Builder
	decoded   int64 // bytes that may still be decoded
	operators int   // operators that may still be run
	latin     *pdfFont

	x, y         float64 // start of the current line
	leading      float64
	shownX       float64 // start of the line of what was shown last
	shownY       float64
	newPage      bool
	lastWasSpace bool
}

func (t *pdfText) full() bool {
	return t.out.Len() >= maxPDFText || t.operators <= 0 || t.decoded <= 0
}

// page collects the text of one page.
func (t *pdfText) page(dict types.Dict) {
	t.newPage = true
	resources := t.inherited(dict, "Resources")
	contents, _ := dict.Find("Contents")
	contents, _ = t.doc.Dereference(contents)
	streams, isArray := contents.(types.Array)
	if !isArray {
		streams = types.Array{contents}
	}
	var data []byte
	for _, s := range streams {
		if part, ok := t.stream(s); ok {
			data = append(append(data, part...), '\n')
		}
	}
	t.run(data, resources, 0)
}

// inherited finds a dictionary of a page or of the nodes above it.
func (t *pdfText) inherited(node types.Dict, key string) types.Dict {
	for range maxPDFTreeHeight {
		if o, found := node.Find(key); found {
			d, _ := t.doc.DereferenceDict(o)
			return d
		}
		parent, found := node.Find("Parent")
		if !found {
			return nil
		}
		node, _ = t.doc.DereferenceDict(parent)
	}
	return nil
}

// stream returns the decoded bytes of a stream, within what may still be decoded.
func (t *pdfText) stream(o types.Object) ([]byte, bool) {
	o, err := t.doc.Dereference(o)
	sd, ok := o.(types.StreamDict)
	if err != nil || !ok || t.decoded <= 0 {
		return nil, false
	}
	// What could be decoded of a damaged stream is used.
	_ = sd.DecodeWithLimit(min(maxPDFStreamBytes, t.decoded))
	t.decoded -= int64(len(sd.Content)) + 1
	return sd.Content, true
}

// run executes the operators of a content stream that place or show text (ISO 32000-1, 9.4).
func (t *pdfText) run(data []byte, resources types.Dict, depth int) {
	lexer := &pdfLexer{data: data}
	fonts := map[pdfName]*pdfFont{}
	font := t.latin // until the stream selects one
	var operands []any
	number := func(fromEnd int) float64 {
		if i := len(operands) - fromEnd; i >= 0 {
			if n, ok := operands[i].(float64); ok {
				return n
			}
		}
		return 0
	}
	show := func(o any) {
		if s, ok := o.(pdfString); ok {
			t.show(font.text(s))
		}
	}
	for !t.full() {
		token, ok := lexer.next()
		if !ok {
			return
		}
		operator, ok := token.(pdfOperator)
		if !ok {
			if len(operands) == maxPDFOperands {
				operands = operands[1:]
			}
			operands = append(operands, token)
			continue
		}
		t.operators--
		var last any
		if len(operands) > 0 {
			last = operands[len(operands)-1]
		}
		switch operator {
		case "BT":
			t.x, t.y = 0, 0
		case "Tf":
			if len(operands) >= 2 {
				if name, ok := operands[len(operands)-2].(pdfName); ok {
					if fonts[name] == nil {
						fonts[name] = t.loadFont(t.resource(resources, "Font", name))
					}
					font = fonts[name]
				}
			}
		case "TL":
			t.leading = number(1)
		case "Td":
			t.move(number(2), number(1))
		case "TD":
			t.leading = -number(1)
			t.move(number(2), number(1))
		case "Tm":
			t.x, t.y = number(2), number(1)
		case "T*":
			t.nextLine()
		case "Tj":
			show(last)
		case "'", `"`:
			t.nextLine()
			show(last)
		case "TJ":
			array, _ := last.(pdfArray)
			for _, o := range array {
				// A gap of a fifth of the font's size or more is taken for a space between words.
				if n, ok := o.(float64); ok && n <= -200 {
					t.space()
				}
				show(o)
			}
		case "Do":
			if name, ok := last.(pdfName); ok && depth < maxPDFFormDepth {
				t.form(t.resourceObject(resources, "XObject", name), resources, depth+1)
			}
		case "ID":
			lexer.skipInlineImage()
		}
		operands = operands[:0]
	}
}

// form runs the content of a form XObject; pictures are left alone.
func (t *pdfText) form(o types.Object, resources types.Dict, depth int) {
	o, _ = t.doc.Dereference(o)
	sd, ok := o.(types.StreamDict)
	if !ok || sd.Subtype() == nil || *sd.Subtype() != "Form" {
		return
	}
	if own, found := sd.Find("Resources"); found {
		resources, _ = t.doc.DereferenceDict(own)
	}
	if data, ok := t.stream(sd); ok {
		t.run(data, resources, depth)
	}
}

func (t *pdfText) resourceObject(resources types.Dict, kind string, name pdfName) types.Object {
	o, _ := resources.Find(kind)
	group, _ := t.doc.DereferenceDict(o)
	o, _ = group.Find(string(name))
	return o
}

func (t *pdfText) resource(resources types.Dict, kind string, name pdfName) types.Dict {
	d, _ := t.doc.DereferenceDict(t.resourceObject(resources, kind, name))
	return d
}

func (t *pdfText) move(dx, dy float64) {
	t.x, t.y = t.x+dx, t.y+dy
}

func (t *pdfText) nextLine() {
	if t.leading == 0 {
		t.leading = 12 // the lines would lie upon each other
	}
	t.y -= t.leading
}

// show adds text, on a line of its own when it lies lower or higher than what was shown before, and apart by a
// space when it starts elsewhere on the same line.
func (t *pdfText) show(text string) {
	if text == "" {
		return
	}
	switch {
	case t.out.Len() == 0:
	case t.newPage || math.Abs(t.y-t.shownY) > 1:
		t.out.WriteByte('\n')
		t.lastWasSpace = true
	case t.x != t.shownX:
		t.space()
	}
	t.newPage, t.shownX, t.shownY = false, t.x, t.y
	t.out.WriteString(text)
	t.lastWasSpace = strings.HasSuffix(text, " ")
}

func (t *pdfText) space() {
	if t.out.Len() > 0 && !t.lastWasSpace {
		t.out.WriteByte(' ')
		t.lastWasSpace = true
	}
}
