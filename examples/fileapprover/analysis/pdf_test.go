package analysis_test

import (
	"bytes"
	"compress/zlib"
	"strings"
	"testing"

	"github.com/pdfcpu/pdfcpu/pkg/api"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu/model"

	"github.com/perdure/perdure/examples/fileapprover/analysis"
)

// A composite font whose character map names the text of its codes; the map is object 9.
const (
	fontWithCharacterMap = "<< /Type /Font /Subtype /Type0 /BaseFont /X /Encoding /Identity-H /ToUnicode 9 0 R >>"
	characterMap         = `1 begincodespacerange <0000> <FFFF> endcodespacerange
2 beginbfchar <0001> <0048> <0002> <00660069> endbfchar
2 beginbfrange <0010> <0012> <0061> <0020> <0021> [<03B1> <D83DDE00>] endbfrange`
)

func TestPDFText(t *testing.T) {
	t.Parallel()
	differences := "<< /Type /Font /Subtype /Type1 /BaseFont /X /Encoding << /Differences [1 /H /e 3 /uni00E9 /fi] >> >>"
	for name, c := range map[string]struct {
		content string
		more    []string
		want    string
	}{
		"escapes":           {`BT /F1 9 Tf (a\(b\)\\ \101\12c(d)) Tj ET`, nil, "a(b)\\ A\nc(d)"},
		"hex":               {"BT /F1 9 Tf <48 65 6C6C 6F2> Tj ET", nil, "Hello"},
		"windows-1252":      {"BT /F1 9 Tf (\\200 \\344) Tj ET", nil, "€ ä"},
		"kerning":           {"BT /F1 9 Tf [(A) 70 (W) -250 (B)] TJ ET", nil, "AW B"},
		"lines":             {"BT /F1 9 Tf 12 TL (a) Tj T* (b) Tj (c) ' 1 1 (d) \" ET", nil, "a\nb\nc\nd"},
		"positions":         {"BT /F1 9 Tf 1 0 0 1 10 90 Tm (a) Tj 1 0 0 1 60 90 Tm (b) Tj 1 0 0 1 10 70 Tm (c) Tj ET", nil, "a b\nc"},
		"inline image":      {"BI /W 1 ID \x00(no) Tj EI BT /F1 9 Tf (yes) Tj ET", nil, "yes"},
		"character map":     {"BT /F2 9 Tf <00010002001000110012> Tj <00200021> Tj ET", []string{fontWithCharacterMap, pdfStream("", characterMap)}, "Hfiabcα😀"},
		"differences":       {"BT /F2 9 Tf (\\001\\002\\003\\004) Tj ET", []string{differences}, "Heéfi"},
		"form":              {"/X1 Do", []string{pdfStream("/Type /XObject /Subtype /Form", "BT /F1 9 Tf (in a form) Tj ET")}, "in a form"},
		"font that is none": {"BT /F9 9 Tf (plain) Tj ET", nil, "plain"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expect(t, analysis.InspectInProcess(helloPDF(c.content, c.more...)), map[string]string{"pdf/Text": c.want})
		})
	}
}

func TestPDFTextIsBounded(t *testing.T) {
	t.Parallel()
	r := analysis.InspectInProcess(helloPDF("BT /F1 9 Tf " + strings.Repeat("(many words) Tj ", 5000) + " ET"))
	if text := values(r.Entries)["pdf/Text"]; len(text) > 8<<10 || !strings.HasSuffix(text, "…") {
		t.Errorf("text of %d bytes", len(text))
	}
}

func TestPDFWithUnreadableFontIsExplained(t *testing.T) {
	t.Parallel()
	font := "<< /Type /Font /Subtype /Type0 /BaseFont /X /Encoding /Identity-H >>"
	expectExplained(t, analysis.InspectInProcess(helloPDF("BT /F2 9 Tf <00010002> Tj ET", font)),
		"the fonts do not say which characters they show")
}

// A small stream that inflates to far more than is decoded is cut, and the rest of the document is still reported.
func TestPDFStreamBombIsBounded(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	for range 80 { // 20 MiB, more than is decoded of one stream
		if _, err := z.Write(make([]byte, 1<<18)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	bomb := pdfFile("", "<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /Contents [4 0 R 4 0 R 4 0 R 4 0 R 4 0 R 4 0 R 4 0 R 4 0 R] >>",
		pdfStream("/Filter /FlateDecode", packed.String()))
	r := run(t, options(t), bomb)
	expect(t, r, map[string]string{"pdf/PageCount": "1", "analysis/Explanation": ""})
	expectExplained(t, r, "no text could be extracted")
}

func TestEncryptedPDF(t *testing.T) {
	t.Parallel()
	encrypt := func(user string) []byte {
		config := model.NewAESConfiguration(user, "owner", 256)
		var out bytes.Buffer
		plain := pdfFile("", "<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
			"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R >>", pdfStream("", "BT (Hello) Tj ET"))
		if err := api.Encrypt(bytes.NewReader(plain), &out, config); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	r := analysis.InspectInProcess(encrypt("secret"))
	expect(t, r, map[string]string{"pdf/Encrypted": "true", "pdf/Text": ""})
	expectExplained(t, r, "opens only with a password")
	expect(t, analysis.InspectInProcess(encrypt("")), map[string]string{"pdf/Encrypted": "true", "pdf/Text": "Hello"})
}
