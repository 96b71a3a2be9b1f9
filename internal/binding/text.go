package binding

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"time"
	"unicode/utf8"
)

// textCodec turns one piece of a request's text into a value of one type and
// back. It exists for the types that parameters, headers and expressions may have.
type textCodec struct {
	parse  func(text string, into reflect.Value) error
	format func(v reflect.Value) (string, error)
}

var (
	timeType            = reflect.TypeFor[time.Time]()
	durationType        = reflect.TypeFor[time.Duration]()
	textUnmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
	textMarshalerType   = reflect.TypeFor[encoding.TextMarshaler]()
)

// textTypes says which types have a codec, for error messages.
const textTypes = "string, bool, an integer, a float, time.Time, time.Duration or an encoding.TextUnmarshaler"

// textCodecOf returns the codec of t; false when t has no form as text.
func textCodecOf(t reflect.Type) (textCodec, bool) {
	switch {
	case t == timeType:
		return textCodec{parseTime, formatTime}, true
	case t == durationType:
		return textCodec{parseDuration, formatDuration}, true
	case t.Kind() != reflect.Interface && reflect.PointerTo(t).Implements(textUnmarshalerType):
		return textCodec{parseUnmarshaler, formatMarshaler}, true
	}
	switch t.Kind() {
	case reflect.String:
		return textCodec{parseString, formatString}, true
	case reflect.Bool:
		return textCodec{parseBool, formatBool}, true
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return textCodec{parseInt, formatInt}, true
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return textCodec{parseUint, formatUint}, true
	case reflect.Float32, reflect.Float64:
		return textCodec{parseFloat, formatFloat}, true
	}
	return textCodec{}, false
}

func parseString(text string, into reflect.Value) error {
	if !utf8.ValidString(text) {
		return errors.New("must be UTF-8")
	}
	into.SetString(text)
	return nil
}

func formatString(v reflect.Value) (string, error) { return v.String(), nil }

func parseBool(text string, into reflect.Value) error {
	switch text {
	case "true", "1":
		into.SetBool(true)
	case "false", "0":
		into.SetBool(false)
	default:
		return errors.New("must be true or false")
	}
	return nil
}

func formatBool(v reflect.Value) (string, error) { return strconv.FormatBool(v.Bool()), nil }

func parseInt(text string, into reflect.Value) error {
	n, err := strconv.ParseInt(text, 10, into.Type().Bits())
	if err != nil {
		return numberError("an integer", err)
	}
	into.SetInt(n)
	return nil
}

func formatInt(v reflect.Value) (string, error) { return strconv.FormatInt(v.Int(), 10), nil }

func parseUint(text string, into reflect.Value) error {
	n, err := strconv.ParseUint(text, 10, into.Type().Bits())
	if err != nil {
		return numberError("an integer of 0 or more", err)
	}
	into.SetUint(n)
	return nil
}

func formatUint(v reflect.Value) (string, error) { return strconv.FormatUint(v.Uint(), 10), nil }

func parseFloat(text string, into reflect.Value) error {
	f, err := strconv.ParseFloat(text, into.Type().Bits())
	if err != nil {
		return numberError("a number", err)
	}
	into.SetFloat(f)
	return nil
}

func formatFloat(v reflect.Value) (string, error) {
	return strconv.FormatFloat(v.Float(), 'f', -1, v.Type().Bits()), nil
}

func numberError(want string, err error) error {
	if errors.Is(err, strconv.ErrRange) {
		return errors.New("is out of range")
	}
	return fmt.Errorf("must be %s", want)
}

func parseTime(text string, into reflect.Value) error {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return errors.New("must be a time like 2006-01-02T15:04:05Z (RFC 3339)")
	}
	into.Set(reflect.ValueOf(t))
	return nil
}

func formatTime(v reflect.Value) (string, error) {
	return v.Interface().(time.Time).Format(time.RFC3339Nano), nil
}

func parseDuration(text string, into reflect.Value) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		return errors.New("must be a duration like 1h30m")
	}
	into.SetInt(int64(d))
	return nil
}

func formatDuration(v reflect.Value) (string, error) { return time.Duration(v.Int()).String(), nil }

func parseUnmarshaler(text string, into reflect.Value) error {
	return into.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text))
}

func formatMarshaler(v reflect.Value) (string, error) {
	m, ok := v.Interface().(encoding.TextMarshaler)
	if !ok {
		return "", fmt.Errorf("%s has no MarshalText method", v.Type())
	}
	text, err := m.MarshalText()
	return string(text), err
}

// marshals reports whether values of t can be written as text.
func marshals(t reflect.Type) bool {
	if t == timeType || !reflect.PointerTo(t).Implements(textUnmarshalerType) {
		_, ok := textCodecOf(t)
		return ok
	}
	return t.Implements(textMarshalerType)
}
