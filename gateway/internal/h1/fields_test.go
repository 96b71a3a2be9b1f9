package h1_test

import (
	"slices"
	"testing"

	"github.com/perdure/perdure/gateway/internal/h1"
)

// text returns the fields as lines.
func text(f *h1.Fields) (all []string) {
	for name, value := range f.All() {
		all = append(all, string(name)+": "+string(value))
	}
	return all
}

func TestFields(t *testing.T) {
	t.Parallel()
	var f h1.Fields
	f.Add("A", "1")
	f.Add("B", "2")
	f.Add("a", "3")
	f.Add("C", "4")
	if got := f.Get("a"); got != "1" {
		t.Errorf("Get = %q, want the first", got)
	}
	if got := f.Values("A"); !slices.Equal(got, []string{"1", "3"}) {
		t.Errorf("Values = %q", got)
	}
	f.Set("a", "5")
	if got, want := text(&f), []string{"A: 5", "B: 2", "C: 4"}; !slices.Equal(got, want) {
		t.Errorf("after Set %q, want %q", got, want)
	}
	f.Set("d", "6")
	f.Del("b")
	if got, want := text(&f), []string{"A: 5", "C: 4", "d: 6"}; !slices.Equal(got, want) {
		t.Errorf("after Del %q, want %q", got, want)
	}
	if f.Has("b") || !f.Has("D") || f.Count("c") != 1 || f.Peek("x") != nil {
		t.Error("Has, Count or Peek is wrong")
	}
}

func TestValuesCannotEndTheirLine(t *testing.T) {
	t.Parallel()
	var f h1.Fields
	f.Add("A", "1\r\nB: 2\x00")
	f.Set("A", "1\r\nB: 2\x00")
	f.AddBytes("C", []byte(" x\ny "))
	f.Add("D\r\nE", "1")
	f.Add("D: x", "1")
	f.Add("", "1")
	if got, want := text(&f), []string{"A: 1  B: 2", "C: x y"}; !slices.Equal(got, want) {
		t.Errorf("fields %q, want %q", got, want)
	}
	if got := string(h1.AppendField(nil, "A", "1\r\nB: 2")); got != "A: 1  B: 2\r\n" {
		t.Errorf("AppendField = %q", got)
	}
	if got := string(h1.AppendRequestLine(nil, "GET", "/a b\r\nX: y#é", "q r", true)); got != "GET /a%20b%0D%0AX:%20y%23é?q%20r HTTP/1.1\r\n" {
		t.Errorf("AppendRequestLine = %q", got)
	}
}

func TestHopByHopFieldsAreRemoved(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		head string
		want []string
	}{
		{"always", lines("POST / HTTP/1.1", "Host: a", "Connection: keep-alive", "Keep-Alive: 5", "Proxy-Connection: x", "TE: trailers",
			"Trailer: x", "Upgrade: x", "Proxy-Authorization: x", "Proxy-Authenticate: x", "Transfer-Encoding: chunked", "Expect: 100-continue", "X: y"),
			[]string{"Host: a", "X: y"}},
		{"named", lines("GET / HTTP/1.1", "Host: a", "X-One: 1", "Connection: x-one , X-TWO", "X-Two: 2", "X-Three: 3", "x-one: 4"),
			[]string{"Host: a", "X-Three: 3"}},
		{"named by two fields", lines("GET / HTTP/1.1", "Connection: close", "Host: a", "X-One: 1", "Connection: x-one"),
			[]string{"Host: a"}},
		{"Host cannot be named", lines("GET / HTTP/1.1", "Host: a", "Connection: host"), []string{"Host: a"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var r h1.Request
			if _, err := r.Parse([]byte(tc.head), &limits); err != nil {
				t.Fatal(err)
			}
			r.Fields.RemoveHopByHop()
			if got := text(&r.Fields); !slices.Equal(got, tc.want) {
				t.Errorf("left %q, want %q", got, tc.want)
			}
		})
	}
}
