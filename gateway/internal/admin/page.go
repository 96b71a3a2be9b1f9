package admin

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/perdure/perdure/gateway/internal/entity"
)

const (
	defaultSize = 100
	maxSize     = 1000
)

// page is a part of a list.
type page struct {
	Data   []any   `json:"data"`
	Offset *string `json:"offset,omitempty"` // of the next page
	Next   *string `json:"next"`             // path of the next page
}

// filter is the tags that entities must have.
type filter struct {
	tags []string
	any  bool // one of them is enough
}

// parseTags parses "a,b", which wants both, and "a/b", which wants one.
func parseTags(text string) (filter, bool) {
	f := filter{any: strings.Contains(text, "/")}
	separator := ","
	if f.any {
		separator = "/"
	}
	if text == "" || f.any && strings.Contains(text, ",") {
		return f, false
	}
	for _, c := range []byte(text) {
		if c < ' ' || c == 0x7f {
			return f, false
		}
	}
	f.tags = strings.Split(strings.TrimSuffix(text, separator), separator)
	return f, !slices.Contains(f.tags, "")
}

func (f filter) passes(tags []string) bool {
	if f.any {
		return slices.ContainsFunc(f.tags, func(t string) bool { return slices.Contains(tags, t) })
	}
	for _, t := range f.tags {
		if !slices.Contains(tags, t) {
			return false
		}
	}
	return true
}

// window is which part of a list is asked for.
type window struct {
	size  int
	after string // the key of the last row before
}

// window reads size and offset. The answer is a refusal unless it has no status.
func (q *request) window() (window, answer) {
	w := window{size: defaultSize}
	if q.query.Has("size") {
		n, err := strconv.Atoi(q.query.Get("size"))
		if err != nil {
			return w, refuse(failure{Code: 9, Name: "invalid size", Message: "size must be a number"})
		}
		if n < 1 || n > maxSize {
			return w, refuse(failure{Code: 9, Name: "invalid size", Message: fmt.Sprintf("size must be an integer between 1 and %d", maxSize)})
		}
		w.size = n
	}
	if offset := q.query.Get("offset"); offset != "" {
		after, err := base64.RawURLEncoding.DecodeString(offset)
		if err != nil {
			return w, refuse(failure{Code: 7, Name: "invalid offset", Message: fmt.Sprintf("'%s' is not a valid offset: bad base64 encoding", offset)})
		}
		w.after = string(after)
	}
	return w, answer{}
}

// page answers with a page of entities, which are in the order of their ids: a page follows the one before it, even
// when the configuration has changed between them.
func (q *request) page(list []entity.Entity, path string) answer {
	if q.query.Has("tags") {
		f, good := parseTags(q.query.Get("tags"))
		if !good {
			return refuse(failure{
				Code: 11, Name: "invalid options", Message: "invalid option (tags: invalid filter syntax)", Options: map[string]string{"tags": "invalid filter syntax"},
			})
		}
		list = slices.DeleteFunc(slices.Clone(list), func(e entity.Entity) bool { return !f.passes(entity.MetaOf(e).Tags) })
	}
	p, refusal := paginate(q, list, path, func(e entity.Entity) string { return entity.MetaOf(e).ID }, func(e entity.Entity) any { return q.show(e) })
	if refusal.status != 0 {
		return refusal
	}
	return ok(p)
}

// paginate cuts a page out of rows that are in the order of their keys.
func paginate[R any](q *request, rows []R, path string, key func(R) string, show func(R) any) (page, answer) {
	w, refusal := q.window()
	if refusal.status != 0 {
		return page{}, refusal
	}
	from, found := slices.BinarySearchFunc(rows, w.after, func(r R, after string) int { return strings.Compare(key(r), after) })
	if found {
		from++
	}
	rows = rows[from:]
	more := len(rows) > w.size
	if more {
		rows = rows[:w.size]
	}
	p := page{Data: make([]any, 0, len(rows))}
	for _, r := range rows {
		p.Data = append(p.Data, show(r))
	}
	if more {
		offset := base64.RawURLEncoding.EncodeToString([]byte(key(rows[len(rows)-1])))
		query := url.Values{"offset": {offset}}
		for _, name := range []string{"size", "tags"} {
			if q.query.Has(name) {
				query.Set(name, q.query.Get(name))
			}
		}
		next := path + "?" + query.Encode()
		p.Offset, p.Next = &offset, &next
	}
	return p, answer{}
}
