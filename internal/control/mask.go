package control

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// Mask returns data, which should be JSON, with each value replaced by a string that
// says what it is. Names of members stay: they are the program's, as a rule. What is
// not JSON is replaced as a whole.
func Mask(data []byte) json.RawMessage {
	if !json.Valid(data) { // this bounds the depth as well
		return mustString(fmt.Sprintf("%d bytes", len(data)))
	}
	var out bytes.Buffer
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	m := masker{in: d, out: &out}
	if err := m.value(); err != nil {
		return mustString(fmt.Sprintf("%d bytes", len(data)))
	}
	return out.Bytes()
}

// masker copies JSON token by token.
type masker struct {
	in  *json.Decoder
	out *bytes.Buffer
}

func (m *masker) value() error {
	t, err := m.in.Token()
	if err != nil {
		return err
	}
	switch v := t.(type) {
	case json.Delim:
		return m.members(v)
	case string:
		m.out.Write(mustString(fmt.Sprintf("string of %d", utf8.RuneCountInString(v))))
	case json.Number:
		m.out.WriteString(`"number"`)
	case bool:
		m.out.WriteString(`"boolean"`)
	case nil:
		m.out.WriteString("null")
	}
	return nil
}

// members masks what an object or array has, whose beginning was read.
func (m *masker) members(open json.Delim) error {
	m.out.WriteByte(byte(open))
	for first := true; m.in.More(); first = false {
		if !first {
			m.out.WriteByte(',')
		}
		if open == '{' {
			name, err := m.in.Token()
			if err != nil {
				return err
			}
			m.out.Write(mustString(name.(string)))
			m.out.WriteByte(':')
		}
		if err := m.value(); err != nil {
			return err
		}
	}
	closing, err := m.in.Token()
	if err != nil {
		return err
	}
	m.out.WriteByte(byte(closing.(json.Delim)))
	return nil
}

// mustString encodes a string, which always has a JSON form.
func mustString(s string) json.RawMessage {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return b
}
