package transform

import (
	"slices"
	"strconv"
	"strings"

	"github.com/perdure/perdure/gateway/internal/plugin"
)

// actions are the settings, in the order in which they are done.
var actions = []string{"remove", "rename", "replace", "add", "append"}

// rule is a name with a value, or a new name.
type rule struct {
	name  string
	value *template // nil for none
	added any       // says that a header field is of here, by the name that it has then
}

// rules are those of each action for one part of a message.
type rules map[string][]rule

// split reads "name:value".
func split(entry string) (name, value string) {
	name, value, _ = strings.Cut(entry, ":")
	return name, strings.TrimLeft(value, ":")
}

// newRules reads the rules for a part: "headers", "querystring". Templates are of requests.
func newRules(v plugin.Values, part string, templates bool) (rules, bool) {
	all, some := rules{}, false
	for _, action := range actions {
		for _, entry := range v.Record(action).Strings(part) {
			name, text := split(entry)
			r := rule{name: name, added: plugin.AddedKey(name)}
			if action == "rename" {
				r.added = plugin.AddedKey(text)
			}
			if text != "" {
				if r.value = literal(text); templates {
					r.value, _ = parse(text) // checked by the schema
				}
			}
			all[action] = append(all[action], r)
			some = true
		}
	}
	return all, some
}

// checkEntry makes a Check of an entry: whether its name, and its value for a new name, are those of header fields.
func checkEntry(action string, header, templates bool) func(any) string {
	return func(value any) string {
		name, text := split(value.(string))
		switch {
		case name == "":
			return "is no name"
		case header && plugin.CheckHeaderName(name) != "":
			return plugin.CheckHeaderName(name)
		case header && isFraming(name), header && action == "rename" && isFraming(text):
			return "is about a connection or the end of a message, which is not a plugin's"
		case action == "remove":
			return ""
		case text == "":
			return strconv.Quote(name) + " has no value: it is written name:value"
		case action == "rename" && header:
			return plugin.CheckHeaderName(text)
		case templates:
			if _, err := parse(text); err != nil {
				return err.Error()
			}
		}
		return ""
	}
}

// part is the field of a schema for one part of a message, in one action.
func part(action, name string, templates bool) plugin.Field {
	return plugin.Field{
		Name: name, Type: plugin.Array, Default: []any{}, Required: true,
		Elements: &plugin.Field{Type: plugin.String, Check: checkEntry(action, name == "headers", templates)},
	}
}

// bodies is the field for bodies, which are not changed.
func bodies(name string) plugin.Field {
	return plugin.Field{
		Name: name, Type: plugin.Array, Default: []any{}, Required: true, Elements: &plugin.Field{Type: plugin.String},
		Check: plugin.Unsupported("bodies pass as they are"),
	}
}

// isFraming reports whether a field is for one connection alone, or says where a message ends.
func isFraming(name string) bool {
	return slices.ContainsFunc([]string{
		"Connection", "Content-Length", "Transfer-Encoding", "Upgrade", "TE", "Trailer", "Keep-Alive", "Expect", "Proxy-Connection",
	}, func(known string) bool { return strings.EqualFold(known, name) })
}
