package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/perdure/perdure/internal/engine"
)

// payload reads a JSON value that was given as JSON, as @FILE, or as - for what comes in.
func (p *program) payload(given string) (json.RawMessage, error) {
	var (
		b   []byte
		err error
	)
	switch name, isFile := strings.CutPrefix(given, "@"); {
	case given == "-":
		b, err = readAll(p.in)
	case isFile:
		b, err = readFile(name)
	default:
		b = []byte(given)
	}
	if err != nil {
		return nil, err
	}
	if !json.Valid(b) {
		return nil, &usageError{fmt.Errorf("%.40q is not JSON: a text is written with its quotes, as in '\"text\"'", b)}
	}
	return b, nil
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f)
}

// readAll reads as much as a payload may have.
func readAll(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, engine.MaxPayload+1))
	if err == nil && len(b) > engine.MaxPayload {
		err = errors.New("the payload is larger than 4 MiB")
	}
	return b, err
}
