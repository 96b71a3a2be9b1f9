package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// parseObject reads a JSON object as encoding/json does, with numbers as json.Number, and refuses what two readers can
// understand in different ways: members that occur twice (RFC 7519 section 4), invalid UTF-8, and nesting deeper than depth.
func parseObject(data []byte, depth int) (map[string]any, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("it is not UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	value, err := parseValue(decoder, depth)
	if err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON object")
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, errors.New("it is not a JSON object")
	}
	return object, nil
}

func parseValue(decoder *json.Decoder, depth int) (any, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, fmt.Errorf("it is not JSON: %w", err)
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return token, nil
	}
	if depth == 0 {
		return nil, errors.New("it is nested too deeply")
	}
	var value any
	if delim == '{' {
		value, err = parseMembers(decoder, depth-1)
	} else {
		value, err = parseElements(decoder, depth-1)
	}
	if err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); err != nil { // the closing bracket
		return nil, fmt.Errorf("it is not JSON: %w", err)
	}
	return value, nil
}

func parseMembers(decoder *json.Decoder, depth int) (any, error) {
	object := map[string]any{}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return nil, fmt.Errorf("it is not JSON: %w", err)
		}
		name, ok := token.(string)
		if !ok {
			return nil, errors.New("it is not JSON: a name is no string")
		}
		if _, twice := object[name]; twice {
			return nil, fmt.Errorf("the member %.40q occurs twice", name)
		}
		if object[name], err = parseValue(decoder, depth); err != nil {
			return nil, err
		}
	}
	return object, nil
}

func parseElements(decoder *json.Decoder, depth int) (any, error) {
	list := []any{}
	for decoder.More() {
		value, err := parseValue(decoder, depth)
		if err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	return list, nil
}
