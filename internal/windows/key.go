package windows

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// maxKey bounds what a key is stored as, in bytes; a zero byte counts twice.
const maxKey = 512

// keyCodec turns keys into strings: one that is a string is itself, any other is JSON.
type keyCodec[K comparable] struct{ text bool }

func newKeyCodec[K comparable]() (keyCodec[K], error) {
	c := keyCodec[K]{text: reflect.TypeFor[K]().Kind() == reflect.String}
	var zero K
	text, err := c.encode(zero)
	if err != nil {
		return c, err
	}
	_, err = c.decode(text)
	return c, err
}

func (c keyCodec[K]) encode(k K) (string, error) {
	var text string
	switch {
	case !c.text:
		data, err := json.Marshal(k)
		if err != nil {
			return "", fmt.Errorf("a key cannot be JSON: %w", err)
		}
		text = string(data)
	default:
		if s, plain := any(k).(string); plain {
			text = s
		} else {
			text = reflect.ValueOf(k).String()
		}
	}
	size := len(text)
	for i := range len(text) {
		if text[i] == 0 {
			size++
		}
	}
	if size > maxKey {
		return "", fmt.Errorf("a key of %d bytes: at most %d are allowed", size, maxKey)
	}
	return text, nil
}

func (c keyCodec[K]) decode(text string) (K, error) {
	var k K
	if c.text {
		reflect.ValueOf(&k).Elem().SetString(text)
		return k, nil
	}
	if err := json.Unmarshal([]byte(text), &k); err != nil {
		return k, fmt.Errorf("a stored key: %w", err)
	}
	return k, nil
}
