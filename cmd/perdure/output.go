package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// printable returns a text that a terminal shows as it is: control characters, those that
// change the direction of writing, and bytes that are no text are written as escapes.
func printable(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case strconv.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
		s = s[size:]
	}
	return b.String()
}

// printableJSON does to a JSON document what printable does to a text. The document
// stays the same: outside its strings there is nothing to do.
func printableJSON(doc []byte) []byte {
	var b bytes.Buffer
	for _, r := range string(doc) {
		switch {
		case r < utf8.RuneSelf && r != 0x7f, strconv.IsPrint(r):
			b.WriteRune(r) // those below 0x20 are escaped in strings already
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.Bytes()
}

// show answers with v in JSON if that was asked for, and with what text prints otherwise.
func (p *program) show(v any, text func()) error {
	if !p.json {
		text()
		return nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := p.out.Write(printableJSON(b.Bytes()))
	return err
}

// say prints a line.
func (p *program) say(format string, args ...any) {
	fmt.Fprintln(p.out, printable(fmt.Sprintf(format, args...)))
}

// hint prints a line that is not part of the answer.
func (p *program) hint(format string, args ...any) {
	fmt.Fprintln(p.err, printable(fmt.Sprintf(format, args...)))
}

// more says that a list was cut off.
func (p *program) more(next string) {
	if next != "" {
		p.hint("There are more: --limit 0 shows all.")
	}
}

// table prints rows under a heading, in columns.
func (p *program) table(heading string, rows [][]string) {
	w := tabwriter.NewWriter(p.out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, strings.Join(strings.Fields(heading), "\t"))
	for _, row := range rows {
		for i, cell := range row {
			row[i] = printable(cmp.Or(cell, "-"))
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush() // nobody reads what was printed
}

// fields prints names and values, those that are empty left out.
func (p *program) fields(pairs ...string) {
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			fmt.Fprintf(w, "%s:\t%s\n", printable(pairs[i]), printable(pairs[i+1]))
		}
	}
	_ = w.Flush() // nobody reads what was printed
}

// document prints a JSON value, indented.
func (p *program) document(doc json.RawMessage) {
	var b bytes.Buffer
	if json.Indent(&b, doc, "", "  ") != nil {
		b.Reset()
		b.Write(doc)
	}
	fmt.Fprintln(p.out, string(printableJSON(b.Bytes())))
}

// moment writes a time; empty for none.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// brief shortens a text for a column.
func brief(s string) string {
	const most = 80
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most-1]) + "…"
}

// count writes a number; empty for zero.
func count[N int | int64 | uint64](n N) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

// lines prints a text of several lines.
func (p *program) lines(text string) {
	for line := range strings.Lines(text) {
		p.say("%s", strings.TrimSuffix(line, "\n"))
	}
}
