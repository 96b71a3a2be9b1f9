package management

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/perdure/perdure/identity/internal/directory"
)

// Limits of lists.
const (
	defaultPage = 50
	maxQuery    = 8 << 10 // bytes of all parameters
)

// The parameters of lists.
var (
	pages  = []string{"page", "per_page", "include_totals"}
	marks  = []string{"from", "take"}
	fields = []string{"fields", "include_fields"}
)

func parameters(of ...[]string) []string { return slices.Concat(of...) }

// parseQuery decodes the parameters of a request and refuses those that its endpoint does not
// take, and those that come twice.
func parseQuery(raw string, known []string) (url.Values, error) {
	if len(raw) > maxQuery {
		return nil, invalidQuery("the parameters have more than %d bytes", maxQuery)
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, invalidQuery("the parameters cannot be decoded")
	}
	for name, all := range values {
		if !slices.Contains(known, name) {
			return nil, invalidQuery("unknown parameter %q", name)
		}
		if len(all) > 1 && name != "strategy" {
			return nil, invalidQuery("parameter %q comes twice", name)
		}
	}
	return values, nil
}

// paging is which part of a list was asked for, and how the answer looks.
type paging struct {
	directory.Paging
	totals bool // an object that says how many there are, not an array
}

func (c *call) paging() (p paging, err error) {
	q := c.query
	if p.totals, err = boolParameter(q, "include_totals", false); err != nil {
		return p, err
	}
	if q.Has("from") || q.Has("take") {
		if q.Has("page") {
			return p, invalidQuery("page and from, take exclude each other")
		}
		p.From = q.Get("from")
		p.Take, err = intParameter(q, "take", defaultPage, 1, directory.MaxPerPage)
		return p, err
	}
	if p.Page, err = intParameter(q, "page", 0, 0, 1<<20); err != nil {
		return p, err
	}
	p.PerPage, err = intParameter(q, "per_page", defaultPage, 0, directory.MaxPerPage)
	if p.PerPage == 0 {
		p.PerPage = defaultPage
	}
	return p, err
}

func intParameter(q url.Values, name string, otherwise, least, most int) (int, error) {
	text := q.Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, invalidQuery("%s must be a number from %d to %d, not %q", name, least, most, text)
	}
	return n, nil
}

func boolParameter(q url.Values, name string, otherwise bool) (bool, error) {
	switch text := q.Get(name); text {
	case "":
		return otherwise, nil
	case "true":
		return true, nil
	case "false":
		return false, nil
	default:
		return false, invalidQuery("%s must be true or false, not %q", name, text)
	}
}

// fieldFilter keeps or leaves out members of objects, as the parameters fields and include_fields say.
type fieldFilter struct {
	names   []string
	include bool
}

func (c *call) fieldFilter() (f fieldFilter, err error) {
	f.include, err = boolParameter(c.query, "include_fields", true)
	for name := range strings.SplitSeq(c.query.Get("fields"), ",") {
		if name = strings.TrimSpace(name); name != "" {
			f.names = append(f.names, name)
		}
	}
	return f, err
}

// apply returns what is left of an object.
func (f fieldFilter) apply(v any) any {
	if len(f.names) == 0 {
		return v
	}
	object := toObject(v)
	for name := range object {
		if slices.Contains(f.names, name) != f.include {
			delete(object, name)
		}
	}
	return object
}

// answerList answers with a part of a list: an object that says how many there are, one with a mark of
// what follows, or an array, as the request asks.
func answerList[T any](c *call, key string, p paging, l directory.Listing[T], shape func(*T) any) (*answer, error) {
	f, err := c.fieldFilter()
	if err != nil {
		return nil, err
	}
	items := make([]any, len(l.Items))
	for i, item := range l.Items {
		items[i] = f.apply(shape(item))
	}
	switch {
	case p.Take > 0:
		body := map[string]any{key: items}
		if l.Next != "" {
			body["next"] = l.Next
		}
		return ok(body)
	case p.totals:
		return ok(map[string]any{"start": l.Start, "limit": l.Limit, "length": len(items), "total": l.Total, key: items})
	}
	return ok(items)
}

// cut takes the part that was asked for of a list that is there as a whole. Its cursor is the
// number of entries before what follows.
func cut[T any](p paging, all []*T) (l directory.Listing[T], err error) {
	l.Total, l.Start, l.Limit = len(all), p.Page*p.PerPage, p.PerPage
	if p.Take > 0 {
		l.Limit = p.Take
		if p.From != "" {
			if l.Start, err = strconv.Atoi(p.From); err != nil || l.Start < 0 {
				return l, invalidQuery("from is no mark of this list")
			}
		}
	}
	from := min(l.Start, len(all))
	to := min(from+l.Limit, len(all))
	l.Items = all[from:to]
	if to < len(all) {
		l.Next = strconv.Itoa(to)
	}
	return l, nil
}
