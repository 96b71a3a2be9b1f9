package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/perdure/perdure/internal/control"
)

// Commands about the app's own provider speak its management API, as the operator of the machine, who
// has every right.

// The paths of the provider, below control.Prefix.
const (
	providerPath   = "identity/"
	managementPath = providerPath + "api/v2/"
)

// mostPerCall is how many entries the provider lists at once.
const mostPerCall = 100

// manage sends a request to the management API.
func (p *program) manage(ctx context.Context, method, path string, query url.Values, body, out any) error {
	return p.ask(ctx, method, managementPath+path, query, body, out)
}

// at is a path of the management API, whose parts may be any text.
func at(parts ...string) string {
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}

// whole is an answer that is printed as it came, and read in part.
type whole[T any] struct {
	V   T
	raw json.RawMessage
}

// UnmarshalJSON implements json.Unmarshaler.
func (w *whole[T]) UnmarshalJSON(text []byte) error {
	w.raw = bytes.Clone(text)
	return json.Unmarshal(text, &w.V)
}

// MarshalJSON implements json.Marshaler.
func (w whole[T]) MarshalJSON() ([]byte, error) { return w.raw, nil }

// listOf asks for a list of the management API until it has limit items, or all for zero. Key is the member that
// has them. It reports whether there are more.
func listOf[T any](ctx context.Context, p *program, path, key string, query url.Values, limit int) ([]whole[T], bool, error) {
	all := []whole[T]{}
	if query == nil {
		query = url.Values{}
	}
	for next := ""; ; {
		size := mostPerCall
		if limit > 0 {
			size = min(size, limit-len(all))
		}
		query.Set("take", strconv.Itoa(size))
		query.Del("from")
		if next != "" {
			query.Set("from", next)
		}
		var answer map[string]json.RawMessage
		if err := p.manage(ctx, http.MethodGet, path, query, nil, &answer); err != nil {
			return nil, false, err
		}
		var items []whole[T]
		if err := json.Unmarshal(answer[key], &items); err != nil {
			return nil, false, fmt.Errorf("read the answer: %w", err)
		}
		next = ""
		if text := answer["next"]; text != nil {
			if err := json.Unmarshal(text, &next); err != nil {
				return nil, false, fmt.Errorf("read the answer: %w", err)
			}
		}
		all = append(all, items...)
		if next == "" || limit > 0 && len(all) >= limit {
			return all, next != "", nil
		}
	}
}

// showList prints a list of the management API.
func showList[T any](ctx context.Context, p *program, path, key string, query url.Values, limit int, heading string, row func(*T) []string) error {
	items, more, err := listOf[T](ctx, p, path, key, query, limit)
	if err != nil {
		return err
	}
	return p.show(control.Page[whole[T]]{Items: items}, func() {
		rows := make([][]string, len(items))
		for i := range items {
			rows[i] = row(&items[i].V)
		}
		p.table(heading, rows)
		if more {
			p.hint("There are more: --limit 0 shows all.")
		}
	})
}

// missing is the error about something that is not there.
func missing(noun, name string) error {
	return &control.RefusedError{Status: http.StatusNotFound, Title: "Not Found", Detail: fmt.Sprintf("there is no %s %q", noun, name)}
}

// pick returns the one of a list that is meant by name: by its id, else by another of its names. The ids come
// first in names.
func pick[T any](all []whole[T], noun, name string, names func(*T) []string) (*whole[T], error) {
	var found []*whole[T]
	var ids []string
	for i := range all {
		switch called := names(&all[i].V); {
		case called[0] == name:
			return &all[i], nil
		case slices.Contains(called[1:], name):
			found, ids = append(found, &all[i]), append(ids, called[0])
		}
	}
	switch len(found) {
	case 0:
		return nil, missing(noun, name)
	case 1:
		return found[0], nil
	}
	return nil, &usageError{fmt.Errorf("several are called %q: give the id of the %s, which is one of %s", name, noun, strings.Join(ids, ", "))}
}

// done says that something was done, in JSON as an empty object.
func (p *program) done(format string, args ...any) error {
	return p.show(struct{}{}, func() { p.say(format, args...) })
}

// yes writes a switch in a table.
func yes(on bool) string {
	if on {
		return "yes"
	}
	return ""
}
