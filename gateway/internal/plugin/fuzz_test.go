package plugin_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/perdure/perdure/gateway/internal/h1"
	"github.com/perdure/perdure/gateway/internal/plugin"
)

func FuzzQuery(f *testing.F) {
	f.Add("a=1&b=%32&%61=x+y&c&a=%zz", "a")
	f.Add("&&=&=a", "")
	f.Fuzz(func(t *testing.T, query, name string) {
		values := slices.Collect(plugin.QueryValues(query, name))
		rest := plugin.RemoveQuery(query, name)
		if name != "" && len(slices.Collect(plugin.QueryValues(rest, name))) > 0 {
			t.Errorf("RemoveQuery(%q, %q) = %q", query, name, rest)
		}
		if len(values) > strings.Count(query, "&")+1 {
			t.Errorf("QueryValues(%q, %q) = %q", query, name, values)
		}
	})
}

func FuzzCookie(f *testing.F) {
	f.Add("a=1; b=2;c", "b")
	f.Fuzz(func(t *testing.T, header, name string) {
		fields := new(h1.Fields)
		fields.Add("Cookie", header)
		if got := string(plugin.Cookie(fields, name)); !strings.Contains(fields.Get("Cookie"), got) || strings.Contains(got, ";") {
			t.Errorf("Cookie(%q, %q) = %q", header, name, got)
		}
	})
}

func FuzzAccept(f *testing.F) {
	f.Add("text/html;q=0.1, application/json;q=nan, */*")
	f.Add("a/b;;;=,,;q=")
	f.Fuzz(func(t *testing.T, accept string) {
		switch got := plugin.Accepted(accept); got {
		case "", "text/html", "application/xml", "text/plain", "application/json":
		default:
			t.Errorf("Accepted(%q) = %q", accept, got)
		}
	})
}

// Settings that were checked once are right, and stay as they are.
func FuzzCheck(f *testing.F) {
	f.Add(`{"need":1,"list":["a"],"inner":{"deep":2},"text":"bcd"}`)
	f.Add(`{"need":"x","list":{},"inner":[],"absent":[1]}`)
	registry := plugin.NewRegistry(schema())
	f.Fuzz(func(t *testing.T, text string) {
		var given map[string]any
		if json.Unmarshal([]byte(text), &given) != nil {
			t.Skip()
		}
		once, problems := registry.Check("it", given)
		if len(problems) > 0 {
			return
		}
		twice, problems := registry.Check("it", once)
		a, _ := json.Marshal(once)
		b, _ := json.Marshal(twice)
		if len(problems) > 0 || string(a) != string(b) {
			t.Errorf("%s is %s, and then %s with %v", text, a, b, problems)
		}
	})
}
