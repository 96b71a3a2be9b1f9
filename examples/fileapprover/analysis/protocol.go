package analysis

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what a child may send. The parent enforces them too: a child that a file took over is as untrusted as
// the file.
const (
	maxEntries    = 200
	maxNameBytes  = 64
	maxValueBytes = 8 << 10
	maxFrameBytes = 512 << 10
)

// frame is one line, in JSON, from the child to the parent. Exactly one field is set.
type frame struct {
	Ready     bool       `json:"ready,omitempty"` // limits are in force; the file is read from here on
	Entry     *Entry     `json:"entry,omitempty"`
	Thumbnail *Thumbnail `json:"thumbnail,omitempty"`
	Done      bool       `json:"done,omitempty"` // every reader has returned
}

// findings is where the readers of formats put what they find.
type findings struct {
	send  func(frame) error
	count int
}

// add records an entry. An empty value and whatever goes beyond the bound of entries is dropped.
func (f *findings) add(source, name, value string) {
	e := Entry{Name: cleanLine(name, maxNameBytes), Value: clean(value, maxValueBytes), Source: source}
	if e.Name == "" || e.Value == "" || f.count == maxEntries {
		return
	}
	f.count++
	// A parent that is gone is noticed by the lifeline, not here.
	_ = f.send(frame{Entry: &e})
}

// addInt records a number in plain decimal.
func (f *findings) addInt(source, name string, n int64) {
	f.add(source, name, fmt.Sprint(n))
}

// addBool records true or false.
func (f *findings) addBool(source, name string, b bool) {
	f.add(source, name, fmt.Sprint(b))
}

// explain records why something is not known.
func (f *findings) explain(source, format string, args ...any) {
	f.add(source, Explanation, cleanLine(fmt.Sprintf(format, args...), 300))
}

// guard runs one reader and turns its panic into an explanation: parsers of old formats do panic on broken files.
func (f *findings) guard(source, what string, read func()) {
	defer func() {
		if recover() != nil {
			f.explain(source, "%s could not be read: the file is damaged", what)
		}
	}()
	read()
}

// received is what the parent has read from a child.
type received struct {
	result Result
	ready  bool
	done   bool
}

var errProtocol = errors.New("unexpected output of the analysis process")

// receive reads frames until the end of r. It returns what was well formed and in bounds, with errProtocol when
// something was not.
func receive(r io.Reader) (received, error) {
	var got received
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4<<10), maxFrameBytes)
	for lines.Scan() {
		var f frame
		if err := json.Unmarshal(lines.Bytes(), &f); err != nil {
			return got, errProtocol
		}
		switch {
		case got.done:
			return got, errProtocol
		case f.Ready:
			got.ready = true
		case f.Done:
			got.done = true
		case f.Thumbnail != nil:
			if got.result.Thumbnail != nil || !f.Thumbnail.valid() {
				return got, errProtocol
			}
			got.result.Thumbnail = f.Thumbnail
		case f.Entry != nil:
			if len(got.result.Entries) == maxEntries || !f.Entry.valid() {
				return got, errProtocol
			}
			got.result.Entries = append(got.result.Entries, *f.Entry)
		}
	}
	if lines.Err() != nil {
		return got, errProtocol
	}
	return got, nil
}

func (e *Entry) valid() bool {
	switch e.Source {
	case SourceFile, SourceImage, SourceEXIF, SourceOCR, SourcePDF, SourceText, SourceAnalysis:
	default:
		return false
	}
	return e.Name != "" && e.Name == cleanLine(e.Name, maxNameBytes) &&
		e.Value != "" && e.Value == clean(e.Value, maxValueBytes)
}

func (t *Thumbnail) valid() bool {
	switch t.ContentType {
	case "image/png":
		return bytes.HasPrefix(t.Data, []byte("\x89PNG\r\n\x1a\n"))
	case "image/jpeg":
		return bytes.HasPrefix(t.Data, []byte("\xff\xd8\xff"))
	}
	return false
}

// clean makes text that is safe to show: valid UTF-8, no control characters but tab and newline, no characters that
// reorder the text around them, no surrounding space, at most limit bytes.
func clean(s string, limit int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\r\n", "\n")
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r == '\r':
			return '\n'
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r):
			return -1
		}
		return r
	}, s)
	return truncate(strings.TrimSpace(s), limit)
}

// cleanLine is clean for text of one line.
func cleanLine(s string, limit int) string {
	return truncate(strings.Join(strings.Fields(clean(s, len(s))), " "), limit)
}

// truncate cuts s to at most limit bytes, an ellipsis included, between two characters.
func truncate(s string, limit int) string {
	const ellipsis = "…"
	if len(s) <= limit {
		return s
	}
	cut := limit - len(ellipsis)
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strings.TrimSpace(s[:cut]) + ellipsis
}
