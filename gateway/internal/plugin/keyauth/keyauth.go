// Package keyauth is Kong's plugin key-auth: who sends a key is the consumer whose credential it is.
package keyauth

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

const name = "key-auth"

// Kind returns the plugin.
func Kind() *plugin.Kind {
	return &plugin.Kind{
		Name: name, Priority: 1250, NoConsumer: true, New: newInstance,
		Schema: plugin.Schema{Fields: []plugin.Field{
			{Name: "key_names", Type: plugin.Array, Default: []any{"apikey"}, Required: true,
				Elements: &plugin.Field{Type: plugin.String, Check: plugin.CheckHeaderName}},
			{Name: "hide_credentials", Type: plugin.Boolean, Default: false, Required: true},
			{Name: "anonymous", Type: plugin.String},
			{Name: "key_in_header", Type: plugin.Boolean, Default: true, Required: true},
			{Name: "key_in_query", Type: plugin.Boolean, Default: true, Required: true},
			{Name: "key_in_body", Type: plugin.Boolean, Default: false, Required: true, Check: plugin.Unsupported("keys are looked for in headers and in the query alone")},
			{Name: "run_on_preflight", Type: plugin.Boolean, Default: true, Required: true},
			{Name: "realm", Type: plugin.String, Check: plugin.CheckQuoted},
		}},
	}
}

// keys are the credentials by the digest of the key, so that how long it takes to find one says nothing of others.
type keys map[[sha256.Size]byte]*entity.KeyAuth

type instance struct {
	auth                    plugin.Authentication
	names                   []string
	inHeader, inQuery, hide bool
	challenge               string
	keys                    keys
}

func newInstance(s plugin.Setup) (any, error) {
	v := s.Values
	p := &instance{
		auth: plugin.NewAuthentication(s), names: v.Strings("key_names"), challenge: "Key",
		inHeader: v.Bool("key_in_header"), inQuery: v.Bool("key_in_query"), hide: v.Bool("hide_credentials"),
		keys: plugin.Once(s, name, func() keys {
			all := make(keys, len(s.Config.KeyAuths))
			for _, k := range s.Config.KeyAuths {
				all[sha256.Sum256([]byte(k.Key))] = k
			}
			return all
		}),
	}
	if realm := v.String("realm"); realm != "" {
		p.challenge = `Key realm="` + realm + `"`
	}
	return p, nil
}

// Access implements proxy.Access.
func (p *instance) Access(x *proxy.Exchange) { p.auth.Authenticate(x, p.find) }

func (p *instance) refuse(message, reason string) *plugin.Refusal {
	return &plugin.Refusal{
		Status: http.StatusUnauthorized, Body: plugin.Message{Message: message}, Challenge: p.challenge, Templated: true, Reason: reason,
	}
}

func (p *instance) find(x *proxy.Exchange) *plugin.Refusal {
	key, found, several := p.retrieve(x)
	switch {
	case several:
		return p.refuse("Duplicate API key found", "there are several keys in "+found.place())
	case found.name == "":
		return p.refuse("No API key found in request", "there is no key: it was looked for in "+p.places())
	case key == "":
		return p.refuse("No API key found in request", "the key in "+found.place()+" is empty")
	}
	c := p.keys[sha256.Sum256([]byte(key))]
	switch {
	case c == nil:
		return p.refuse("Unauthorized", p.unknown(key, found))
	case c.TTL != nil && *c.TTL > 0 && x.Start.Unix() >= c.CreatedAt+int64(*c.TTL):
		return p.refuse("Unauthorized", fmt.Sprintf("the credential of the consumer %q with the key in %s has expired: its ttl of %d s ended at %s", c.Consumer.To.Label(), found.place(), *c.TTL,
			time.Unix(c.CreatedAt+int64(*c.TTL), 0).UTC().Format(time.RFC3339)))
	}
	if p.hide {
		x.Request.Fields.Del(found.name)
		if x.Target.HasQuery {
			x.Target.Query = plugin.RemoveQuery(x.Target.Query, found.name)
			x.Target.HasQuery = x.Target.Query != ""
		}
	}
	plugin.SetConsumer(x, c.Consumer.To, c, c.ID)
	if x.Explain {
		x.Note(name, "the key in "+found.place()+" is of the consumer "+c.Consumer.To.Label())
	}
	return nil
}

// where is where a key was found.
type where struct {
	name    string
	inQuery bool
}

func (w where) place() string {
	if w.inQuery {
		return "the query's " + w.name
	}
	return "the header " + w.name
}

// places are where keys are looked for.
func (p *instance) places() string {
	var list []string
	for _, name := range p.names {
		if p.inHeader {
			list = append(list, where{name, false}.place())
		}
		if p.inQuery {
			list = append(list, where{name, true}.place())
		}
	}
	if len(list) == 0 {
		return "no place: key_in_header and key_in_query are false"
	}
	return strings.Join(list, ", ")
}

// unknown says of a key that is no credential's how it differs from one, if that is seen.
func (p *instance) unknown(key string, found where) string {
	reason := fmt.Sprintf("no credential has the key in %s, which has %d characters", found.place(), len(key))
	trimmed := strings.Trim(key, " \t\r\n\"'")
	_, second, words := strings.Cut(trimmed, " ")
	switch {
	case len(p.keys) == 0:
		return "there are no key-auth credentials at all, and therefore none with the key in " + found.place()
	case trimmed != key && p.keys[sha256.Sum256([]byte(trimmed))] != nil:
		return reason + "; one has it without the blanks or quotes around it"
	case words && p.keys[sha256.Sum256([]byte(strings.TrimSpace(second)))] != nil:
		return reason + "; one has it without the word in front of it"
	}
	return reason
}

// retrieve finds the key, and where.
func (p *instance) retrieve(x *proxy.Exchange) (key string, found where, several bool) {
	for _, name := range p.names {
		n := 0
		if p.inHeader {
			if n = x.Request.Fields.Count(name); n > 0 {
				key = x.Request.Fields.Get(name)
			}
		}
		if n == 0 && p.inQuery && x.Request.Query != "" {
			for value := range plugin.QueryValues(x.Request.Query, name) {
				n++
				key = value
			}
			if n > 0 {
				return key, where{name, true}, n > 1
			}
		}
		if n > 0 {
			return key, where{name, false}, n > 1
		}
	}
	return "", where{}, false
}
