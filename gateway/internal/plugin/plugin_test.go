package plugin_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/h1"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/plugin/plugintest"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

// mark is a plugin that says which of its instances was asked in which phase.
type mark struct {
	kind, name string
	become     *entity.Consumer // who is asking from now on
}

func (m *mark) note(x *proxy.Exchange, phase string) {
	x.Explain = true
	x.Note(m.kind, phase+" "+m.name)
}

func (m *mark) Access(x *proxy.Exchange) {
	m.note(x, "access")
	if m.become != nil {
		x.Consumer = m.become
	}
}
func (m *mark) HeaderFilter(x *proxy.Exchange) { m.note(x, "filter") }
func (m *mark) Log(x *proxy.Exchange)          { m.note(x, "log") }

func marking(name string, priority int) *plugin.Kind {
	return &plugin.Kind{
		Name: name, Priority: priority,
		Schema: plugin.Schema{Fields: []plugin.Field{{Name: "mark", Type: plugin.String}, {Name: "become", Type: plugin.String}}},
		New: func(s plugin.Setup) (any, error) {
			return &mark{kind: name, name: s.Values.String("mark"), become: s.Config.Consumer(s.Values.String("become"))}, nil
		},
	}
}

func notes(x *proxy.Exchange) (list []string) {
	for _, n := range x.Notes {
		list = append(list, n.Who+" "+n.Reason)
	}
	return list
}

// run goes through the phases of a chain as proxy.Chain does.
func run(c *proxy.Chain, x *proxy.Exchange) {
	x.Request.Fields = new(h1.Fields)
	for _, a := range c.Access {
		if a.Access(x); x.Answered() {
			break
		}
	}
	for _, f := range c.Filters {
		f.HeaderFilter(x)
	}
	for _, l := range c.Log {
		l.Log(x)
	}
}

// Of the plugins of one name the one that is bound most closely is asked, in Kong's order.
func TestBinding(t *testing.T) {
	t.Parallel()
	registry := plugin.NewRegistry(marking("it", 5), marking("login", 10))
	file := `
services:
- {name: s, host: a.test, routes: [{name: r, paths: [/]}]}
- {name: other, host: b.test, routes: [{name: o, paths: [/o]}]}
consumers:
- {username: c, keyauth_credentials: [{key: 1k}]}
- {username: d, keyauth_credentials: [{key: 2k}]}
plugins:
- {name: login, config: {mark: l, become: c}}
`
	// The bindings, the closest first.
	bindings := []string{"route: r, service: s, consumer: c", "route: r, consumer: c", "service: s, consumer: c", "route: r, service: s", "consumer: c", "route: r", "service: s", ""}
	others := "- {name: it, config: {mark: no}, consumer: d}\n- {name: it, config: {mark: no}, route: o}\n- {name: it, config: {mark: no}, service: other, consumer: c}\n"
	for i, want := range bindings {
		text := file + others
		for _, b := range bindings[i:] {
			text += "- {name: it, config: {mark: \"" + b + "\"}"
			if b != "" {
				text += ", " + b
			}
			text += "}\n"
		}
		// One that is turned off does not count.
		if i > 0 {
			text += "- {name: it, enabled: false, config: {mark: no}, " + bindings[i-1] + "}\n"
		}
		c, problems := plugintest.Compile(registry, text)
		if c == nil {
			t.Fatal(problems)
		}
		plan, problems := registry.Build(c, plugin.Environment{})
		if plan == nil {
			t.Fatal(problems)
		}
		var chain proxy.Chain
		plan.Attach(c.Routes[0], &chain)
		x := new(proxy.Exchange)
		run(&chain, x)
		if got, want := notes(x), []string{"login access l", "it access " + want, "login filter l", "it filter " + want, "login log l", "it log " + want}; !slices.Equal(got, want) {
			t.Errorf("asked were %q, want %q", got, want)
		}
	}
}

// A plugin before the one that finds the consumer has no instance for that consumer, in no phase.
func TestConsumerIsFoundLater(t *testing.T) {
	t.Parallel()
	registry := plugin.NewRegistry(marking("it", 20), marking("login", 10))
	c, problems := plugintest.Compile(registry, `
routes: [{name: r, paths: [/]}]
consumers: [{username: c, keyauth_credentials: [{key: k}]}]
plugins:
- {name: login, config: {mark: l, become: c}}
- {name: it, config: {mark: own}, consumer: c}
- {name: it, config: {mark: all}}
`)
	if c == nil {
		t.Fatal(problems)
	}
	plan, _ := registry.Build(c, plugin.Environment{})
	var chain proxy.Chain
	plan.Attach(c.Routes[0], &chain)
	x := new(proxy.Exchange)
	run(&chain, x)
	if got := notes(x); got[0] != "it access all" || got[2] != "it filter all" {
		t.Errorf("asked were %q", got)
	}
	if got := plan.Names(c.Routes[0]); !slices.Equal(got, []string{"it", "login"}) {
		t.Errorf("Names = %q", got)
	}
}

func schema() *plugin.Kind {
	least := 0.0
	return &plugin.Kind{Name: "it", Schema: plugin.Schema{Fields: []plugin.Field{
		{Name: "text", Type: plugin.String, Default: "a", OneOf: []string{"a", "bcd"}},
		{Name: "need", Type: plugin.Integer, Required: true, Above: &least},
		{Name: "list", Type: plugin.Array, Default: []any{}, Elements: &plugin.Field{Type: plugin.String, Check: plugin.CheckHeaderName}},
		{Name: "inner", Type: plugin.Record, Fields: []plugin.Field{{Name: "flag", Type: plugin.Boolean, Default: true}, {Name: "deep", Type: plugin.Number}}},
		{Name: "absent", Refused: "is not here"},
		{Name: "whatever", Ignored: true},
	}}}
}

func TestSchema(t *testing.T) {
	t.Parallel()
	registry := plugin.NewRegistry(schema())
	given := map[string]any{"need": 3, "whatever": "x", "absent": map[string]any{"a": []any{}}, "list": []string{"A"}, "inner": map[string]any{"deep": 1.5}}
	got, problems := registry.Check("it", given)
	want := map[string]any{"text": "a", "need": 3.0, "list": []any{"A"}, "inner": map[string]any{"flag": true, "deep": 1.5}, "whatever": "x"}
	if len(problems) > 0 || !reflect.DeepEqual(got, want) {
		t.Errorf("Check = %v, %v, want %v", got, problems, want)
	}
	if given["need"] != 3 || given["text"] != nil {
		t.Errorf("the settings given were changed: %v", given)
	}
	for _, tt := range []struct {
		config map[string]any
		want   string
	}{
		{map[string]any{}, "need: is missing"},
		{map[string]any{"need": nil}, "need: is missing"},
		{map[string]any{"need": 0.5}, "need: 0.5 is not a whole number"},
		{map[string]any{"need": -1.0}, "need: -1 is not greater than 0"},
		{map[string]any{"need": true}, "need: is true, and must be a number"},
		{map[string]any{"need": 1.0, "text": "bcx"}, `text: "bcx" is none of the values; did you mean "bcd"?`},
		{map[string]any{"need": 1.0, "tesxt": ""}, `tesxt: there is no such setting; did you mean "text"?`},
		{map[string]any{"need": 1.0, "list": []any{"a", "b c"}}, `list[1]: "b c" is no name of a header`},
		{map[string]any{"need": 1.0, "list": []any{1.0}}, `list[0]: is 1, and must be text`},
		{map[string]any{"need": 1.0, "inner": map[string]any{"flog": 1.0}}, `inner.flog: there is no such setting; did you mean "flag"?`},
		{map[string]any{"need": 1.0, "inner": []any{}}, "inner: is a list, and must be a map"},
		{map[string]any{"need": 1.0, "absent": 1.0}, "absent: is not here"},
	} {
		_, problems := registry.Check("it", tt.config)
		if len(problems) != 1 || problems[0].Field+": "+problems[0].Message != tt.want {
			t.Errorf("Check(%v) has the problems %v, want %s", tt.config, problems, tt.want)
		}
	}
}

// The schema as Kong's clients read it: defaults of all that has one, and nothing that is not here.
func TestSchemaAsJSON(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(schema())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`{"config":{"fields":[{"text":{"default":"a","one_of":["a","bcd"],"type":"string"}},{"need":{"gt":0,"required":true,"type":"integer"}}`,
		`{"inner":{"fields":[{"flag":{"default":true,"type":"boolean"}},{"deep":{"type":"number"}}],"required":true,"type":"record"}}`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the schema is %s\nwithout %s", text, want)
		}
	}
	if strings.Contains(string(text), "absent") || strings.Contains(string(text), "whatever") {
		t.Errorf("the schema is %s", text)
	}
}

func TestQuery(t *testing.T) {
	t.Parallel()
	query := "a=1&b=%32&%61=x+y&c&a=%zz"
	if got := slices.Collect(plugin.QueryValues(query, "a")); !slices.Equal(got, []string{"1", "x y", "%zz"}) {
		t.Errorf("QueryValues = %q", got)
	}
	if got := plugin.RemoveQuery(query, "a"); got != "b=%32&c" {
		t.Errorf("RemoveQuery = %q", got)
	}
	fields := new(h1.Fields)
	fields.Add("cookie", "x=1; y=2=3;z=")
	fields.Add("Cookie", "w=4")
	for name, want := range map[string]string{"x": "1", "y": "2=3", "z": "", "w": "4", "v": ""} {
		if got := string(plugin.Cookie(fields, name)); got != want {
			t.Errorf("Cookie(%s) = %q, want %q", name, got, want)
		}
	}
}
