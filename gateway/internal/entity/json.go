package entity

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
)

// encode writes a struct as Kong's Admin API does: every field, and null for what is not set.
func encode(entity any) ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	if err := encodeFields(&b, reflect.ValueOf(entity)); err != nil {
		return nil, err
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func encodeFields(b *bytes.Buffer, v reflect.Value) error {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if field.Anonymous {
			if err := encodeFields(b, v.Field(i)); err != nil {
				return err
			}
			continue
		}
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "-" || name == "" {
			continue
		}
		text := []byte("null")
		if !unset(v.Field(i)) {
			var err error
			if text, err = json.Marshal(v.Field(i).Interface()); err != nil {
				return err
			}
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		b.WriteString(`"` + name + `":`)
		b.Write(text)
	}
	return nil
}

// unset reports whether a field has the value that stands for none. Numbers and booleans always count,
// those that can be absent are pointers.
func unset(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String:
		return v.Len() == 0
	case reflect.Slice, reflect.Map, reflect.Pointer:
		return v.IsNil()
	}
	return false
}

// The types marshal as the Admin API shows them.

func (s Service) MarshalJSON() ([]byte, error)       { return encode(s) }
func (r Route) MarshalJSON() ([]byte, error)         { return encode(r) }
func (c Consumer) MarshalJSON() ([]byte, error)      { return encode(c) }
func (c JWTCredential) MarshalJSON() ([]byte, error) { return encode(c) }
func (c KeyAuth) MarshalJSON() ([]byte, error)       { return encode(c) }
func (c ACLGroup) MarshalJSON() ([]byte, error)      { return encode(c) }
func (p Plugin) MarshalJSON() ([]byte, error)        { return encode(p) }
func (u Upstream) MarshalJSON() ([]byte, error)      { return encode(u) }
func (t Target) MarshalJSON() ([]byte, error)        { return encode(t) }
func (s SNI) MarshalJSON() ([]byte, error)           { return encode(s) }
func (c CACertificate) MarshalJSON() ([]byte, error) { return encode(c) }

// MarshalJSON encodes a certificate with the names of its SNIs.
func (c Certificate) MarshalJSON() ([]byte, error) {
	names := make([]string, 0, len(c.SNIs))
	for _, s := range c.SNIs {
		names = append(names, s.Name)
	}
	return encode(struct {
		Certificate
		Names []string `json:"snis"`
	}{c, names})
}
