package durable

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/perdure/perdure/internal/engine"
)

// decode decodes JSON as this package always does: nothing, and null, is the zero
// value; unknown fields are ignored; missing fields are zero.
func decode[T any](b []byte) (T, error) {
	var zero T
	switch any(zero).(type) {
	case string:
		if s, ok := plainString(b); ok {
			return any(s).(T), nil
		}
	case int:
		if n, ok := plainInt(b); ok {
			return any(n).(T), nil
		}
	}
	if len(b) == 0 {
		return zero, nil
	}
	return decodeAny[T](b)
}

func decodeAny[T any](b []byte) (T, error) {
	var v T
	err := json.Unmarshal(b, &v)
	return v, err
}

// encode encodes JSON. Short values of the simplest types are most of what activities
// are given and answer, and reflection would cost more than all else about them.
func encode[T any](v T) ([]byte, error) {
	switch v := any(v).(type) {
	case string:
		if isPlain(v) {
			b := append(make([]byte, 0, len(v)+2), '"')
			return append(append(b, v...), '"'), nil
		}
	case int:
		return strconv.AppendInt(nil, int64(v), 10), nil
	}
	return json.Marshal(v)
}

// plainString decodes a JSON string that stands for itself.
func plainString(b []byte) (string, bool) {
	if len(b) < 2 || b[0] != '"' || b[len(b)-1] != '"' || !isPlain(b[1:len(b)-1]) {
		return "", false
	}
	return string(b[1 : len(b)-1]), true
}

// isPlain reports whether JSON writes a text as it is.
func isPlain[T string | []byte](text T) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case c < ' ' || c > '~', c == '"', c == '\\', c == '<', c == '>', c == '&':
			return false
		}
	}
	return true
}

// plainInt decodes a JSON number of up to 18 digits.
func plainInt(b []byte) (n int, ok bool) {
	digits := b
	if len(b) > 0 && b[0] == '-' {
		digits = b[1:]
	}
	if len(digits) == 0 || len(digits) > 18 || digits[0] == '0' && len(b) > 1 {
		return 0, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	if len(digits) < len(b) {
		n = -n
	}
	return n, true
}

// encodeResult encodes what user code returned.
func encodeResult[T any](v T) ([]byte, error) {
	b, err := encode(v)
	if err != nil {
		return nil, Final(fmt.Errorf("result: %w", err))
	}
	if len(b) > engine.MaxPayload {
		return nil, Final(fmt.Errorf("%w: result of %d bytes, want at most %d; keep it in a blob and return its name",
			ErrInvalid, len(b), engine.MaxPayload))
	}
	return b, nil
}

// encodeArgument encodes what is handed to an orchestration from outside.
func encodeArgument[T any](what, name string, v T) ([]byte, error) {
	b, err := encode(v)
	if err != nil {
		return nil, fmt.Errorf("%w: %s %q: %w", ErrInvalid, what, name, err)
	}
	return b, nil // the engine bounds its size
}

// mustEncode encodes what an orchestration hands over. What cannot be encoded is a
// mistake in the code, so the instance stalls with the explanation.
func mustEncode[T any](what, name string, v T) []byte {
	b, err := encode(v)
	if err != nil {
		panic(fmt.Errorf("durable: %s %q: %w", what, name, err))
	}
	if len(b) > engine.MaxPayload {
		panic(fmt.Errorf("durable: %s %q: %d bytes, want at most %d", what, name, len(b), engine.MaxPayload))
	}
	return b
}
