package rest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxDepth is how deep a body may nest.
const maxDepth = 16

// readBody reads a body: one JSON object, which every reader understands in the same way.
func readBody(w http.ResponseWriter, r *http.Request, most int64) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
		return nil, fail(http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "The body has more than %d bytes.", most)
	}
	if err != nil {
		return nil, badParameter("The body cannot be read.")
	}
	if kind := r.Header.Get("Content-Type"); kind != "" {
		if media, _, err := mime.ParseMediaType(kind); err != nil || media != "application/json" {
			return nil, fail(http.StatusUnsupportedMediaType, "UnsupportedMediaType", "The body must be application/json.")
		}
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, badParameter("The request has no body; it needs a JSON object.")
	}
	return body, checkJSON(body)
}

// checkJSON refuses what is not one JSON object, and what two readers can understand in different ways. What it
// says has nothing of the body but the names of members.
func checkJSON(body []byte) error {
	if !utf8.Valid(body) {
		return badParameter("The body is not UTF-8.")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return badParameter("The body is not a JSON object.")
	}
	if err := checkMembers(d, 1); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return badParameter("Something follows the JSON object in the body.")
	}
	return nil
}

var errNotJSON = badParameter("The body is not JSON.")

// checkMembers reads the rest of an object.
func checkMembers(d *json.Decoder, depth int) error {
	names := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		name, isName := t.(string)
		if err != nil || !isName {
			return errNotJSON
		}
		folded := fold(name)
		if names[folded] {
			return badParameter("The member %.40q occurs twice in the body.", name)
		}
		names[folded] = true
		if err := checkValue(d, depth); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return errNotJSON
	}
	return nil
}

// fold makes names equal that encoding/json takes for the same member: it does not tell capitals from small letters.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		for {
			next := unicode.SimpleFold(r)
			if next <= r {
				return next
			}
			r = next
		}
	}, name)
}

// checkValue reads a value.
func checkValue(d *json.Decoder, depth int) error {
	t, err := d.Token()
	if err != nil {
		return errNotJSON
	}
	delim, is := t.(json.Delim)
	if !is {
		return nil
	}
	if depth == maxDepth {
		return badParameter("The body nests deeper than %d.", maxDepth)
	}
	if delim == '{' {
		return checkMembers(d, depth+1)
	}
	for d.More() {
		if err := checkValue(d, depth+1); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return errNotJSON
	}
	return nil
}

// decode fills a struct from the body. Members that it does not have are ignored, as Azure does.
func (c *call) decode(to any) error {
	err := json.Unmarshal(c.body, to)
	if err == nil {
		return nil
	}
	if f := (*failure)(nil); errors.As(err, &f) {
		return f
	}
	// The text of such an error can have a value of the body in it.
	if kind := (*json.UnmarshalTypeError)(nil); errors.As(err, &kind) && kind.Field != "" {
		return badParameter("Property %.100q is of the wrong type.", kind.Field)
	}
	return badParameter("The body is not what it must be.")
}

// octets are bytes as the wire has most: base64url without padding (RFC 4648 section 5).
type octets []byte

// MarshalJSON implements json.Marshaler.
func (o octets) MarshalJSON() ([]byte, error) {
	return json.Marshal(base64.RawURLEncoding.EncodeToString(o))
}

// UnmarshalJSON implements json.Unmarshaler. What is there but empty is not nil.
func (o *octets) UnmarshalJSON(text []byte) (err error) {
	*o, err = decodeBytes(text, base64.RawURLEncoding, "base64url without padding")
	return err
}

// der is a certificate or a request for one, which the wire has in the other alphabet, with padding (RFC 4648 section 4).
type der []byte

// MarshalJSON implements json.Marshaler.
func (o der) MarshalJSON() ([]byte, error) {
	return json.Marshal(base64.StdEncoding.EncodeToString(o))
}

// UnmarshalJSON implements json.Unmarshaler.
func (o *der) UnmarshalJSON(text []byte) (err error) {
	*o, err = decodeBytes(text, base64.StdEncoding, "base64")
	return err
}

func decodeBytes(text []byte, encoding *base64.Encoding, name string) ([]byte, error) {
	if string(text) == "null" {
		return nil, nil
	}
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, badParameter("A property that has bytes is not a string in %s.", name)
	}
	b, err := encoding.Strict().DecodeString(s)
	if err != nil {
		return nil, badParameter("A property that has bytes is not in %s.", name)
	}
	return append([]byte{}, b...), nil
}

// instant is a time in seconds since 1970.
type instant struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler.
func (i *instant) UnmarshalJSON(text []byte) error {
	const year9999 = 253402300799
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || n < 0 || n > year9999 {
		return badParameter("A time must be a whole number of seconds since 1970.")
	}
	i.Time = time.Unix(n, 0).UTC()
	return nil
}
