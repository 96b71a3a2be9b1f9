package control_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/perdure/perdure/internal/control"
)

// Whatever a name is made of, it arrives as it was.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{"a", "", ".", "..", "/", "~", "~~", "~/", "a/b", "%2F", "?x#y", "\x00\x1b", "ü", "a//b", "\xff", "+ "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		tables := tables{}
		h := control.Handler(control.App{Info: func() (control.Info, error) { return control.Info{}, nil }, Tables: &tables})
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "http://perdure"+control.Prefix+control.Path("tables", name, "rows"), nil))
		if w.Code != http.StatusOK || tables.asked != name {
			t.Errorf("%q arrived as %q, %d", name, tables.asked, w.Code)
		}
	})
}

// tables notes which one was asked for.
type tables struct{ asked string }

func (*tables) Tables() []string { return nil }

func (*tables) Row(context.Context, string, string, string) (*control.Row, error) { return nil, nil }

func (t *tables) Rows(_ context.Context, q control.RowQuery, _ func(control.Row, string) bool) error {
	t.asked = q.Table
	return nil
}

// Whatever is asked for, the answer is a page or a problem.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"", "limit=5&cursor=AAAA", "partition=&prefix=x", "limit=-1", "limit=99999999999999999999", "%zz", "limit=1&limit=2", ";"} {
		f.Add(seed)
	}
	h := control.Handler(control.App{Info: func() (control.Info, error) { return control.Info{}, nil }, Tables: &tables{}})
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest("GET", "http://perdure"+control.Prefix+"tables/a/rows", nil)
		r.URL.RawQuery = query
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusOK && w.Code != http.StatusBadRequest || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%q: %d %s", query, w.Code, w.Body)
		}
	})
}
