package management

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxBody is how many bytes a body may have.
const maxBody = 1 << 20

// maxDepth is how deep a body may nest.
const maxDepth = 32

// readBody reads the whole body of a request, also that of a DELETE: removals of rights name in it
// what is removed.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if large := new(http.MaxBytesError); errors.As(err, &large) {
		return nil, fail(http.StatusRequestEntityTooLarge, "payload_too_large", "The body has more than %d bytes.", maxBody)
	}
	if err != nil {
		return nil, fail(http.StatusBadRequest, "invalid_body", "The body cannot be read.")
	}
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return nil, nil
	}
	if kind := r.Header.Get("Content-Type"); kind != "" {
		if media, _, err := mime.ParseMediaType(kind); err != nil || media != "application/json" {
			return nil, fail(http.StatusUnsupportedMediaType, "invalid_body", "The body must be application/json, not %q.", kind)
		}
	}
	if !utf8.Valid(body) {
		return nil, invalid("the body is not UTF-8")
	}
	return body, nil
}

// maybe is a member of a body that may be absent, null or have a value. In a PATCH, absent
// leaves what is there, and null removes it.
type maybe[T any] struct {
	present, null bool
	value         T
}

// UnmarshalJSON implements json.Unmarshaler.
func (m *maybe[T]) UnmarshalJSON(text []byte) error {
	m.present = true
	if string(text) == "null" {
		m.null = true
		return nil
	}
	return json.Unmarshal(text, &m.value)
}

// given reports whether there is a value.
func (m maybe[T]) given() bool { return m.present && !m.null }

// set overwrites what is there with the value, or with nothing for null.
func (m maybe[T]) set(to *T) {
	if m.present {
		*to = m.value
	}
}

// harmless are the members that Auth0's clients send and that mean nothing here: ignoring them
// gives nobody more than was asked for. All other members that are not known are refused.
var harmless = map[string][]string{
	"user":            {"verify_phone_number"},
	"client":          {"oidc_conformant", "sso", "sso_disabled", "custom_login_page_on", "is_token_endpoint_ip_header_trusted", "cross_origin_authentication", "global"},
	"resource server": {"options"},
	"connection":      {"realms", "show_as_button", "metadata"},
	"client grant":    {},
}

// mustBe are those of the harmless members that are so with one value alone.
var mustBe = map[string]string{
	"oidc_conformant":                     "true",
	"is_token_endpoint_ip_header_trusted": "false",
	"cross_origin_authentication":         "false",
	"sso_disabled":                        "false",
	"global":                              "false",
	"options":                             "{}",
}

// decode fills a struct from the body; noun is what the body is of. Each field of the struct names its
// member with a tag.
func (c *call) decode(noun string, to any) error {
	if c.body == nil {
		return invalid("a body with a JSON object is needed")
	}
	return decodeObject(noun, c.body, to)
}

func decodeObject(noun string, text []byte, to any) error {
	if err := checkDepth(text); err != nil {
		return err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil || members == nil {
		return invalid("the %s must be a JSON object", noun)
	}
	for _, name := range slices.Sorted(maps.Keys(ignored(noun, members))) {
		value := string(members[name])
		if want, fixed := mustBe[name]; fixed && value != want && value != "null" {
			return invalid("%q must be %s: nothing else is supported", name, want)
		}
		delete(members, name)
	}
	known := map[string]reflect.StructField{}
	for _, f := range reflect.VisibleFields(reflect.TypeOf(to).Elem()) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			known[name] = f
		}
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		field, ok := known[name]
		if !ok {
			return invalid("additional properties are not allowed: %q", name)
		}
		at := reflect.ValueOf(to).Elem().FieldByIndex(field.Index)
		if err := json.Unmarshal(members[name], at.Addr().Interface()); err != nil {
			return member(name, err)
		}
	}
	return nil
}

// ignored returns those of the members that are ignored.
func ignored(noun string, members map[string]json.RawMessage) map[string]bool {
	found := map[string]bool{}
	for _, name := range harmless[noun] {
		if _, ok := members[name]; ok {
			found[name] = true
		}
	}
	return found
}

// member says which member of the body is wrong.
func member(name string, err error) error {
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		if kind.Field != "" {
			name += "." + kind.Field
		}
		return invalid("%q must not be a JSON %s", name, kind.Value)
	}
	return invalid("%q is not what it must be", name)
}

// checkDepth refuses bodies that nest deeper than anything here needs.
func checkDepth(text []byte) error {
	depth := 0
	d := json.NewDecoder(bytes.NewReader(text))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return invalid("the body is not JSON")
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			if depth++; depth > maxDepth {
				return invalid("the body nests deeper than %d", maxDepth)
			}
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
}

// toObject is a value as JSON has it.
func toObject(v any) map[string]any {
	if object, is := v.(map[string]any); is {
		return maps.Clone(object)
	}
	object := map[string]any{}
	text, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(text, &object)
	}
	if err != nil { // shapes are structs of this package: a test would have seen it
		panic(fmt.Sprintf("management: a shape is no object: %v", err))
	}
	return object
}
