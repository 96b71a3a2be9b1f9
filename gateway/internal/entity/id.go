package entity

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// space is the name space of Kong's ids for entities in files, so that ours are the same.
var space = uuid.MustParse("fd02801f-0957-4a15-a55a-c8d9606f30b5")

// deriveID returns the UUID (version 5) that an entity of a kind has by what identifies it.
func deriveID(kind Kind, key string) string {
	return uuid.NewSHA1(uuid.NewSHA1(space, []byte(kind)), []byte(key)).String()
}

// identity is what tells an entity apart in its kind. Where Kong derives the id from it, it is Kong's text.
// What an entity refers to has been resolved.
func identity(e Entity) string {
	switch e := e.(type) {
	case *Service:
		return first(e.Name, text(e.Protocol, e.Host, e.Port, e.Path))
	case *Route:
		return first(e.Name, text(e.Service.ID(), e.Protocols, e.Methods, e.Hosts, e.Paths, e.Headers, e.SNIs))
	case *Consumer:
		return first(e.Username, text("custom_id", e.CustomID))
	case *JWTCredential:
		return e.Key
	case *KeyAuth:
		return e.Key
	case *ACLGroup:
		return strings.Join([]string{"acls", "*", e.Consumer.ID(), e.Group}, ":")
	case *Plugin:
		return strings.Join([]string{"plugins", "*", e.Name, e.Route.ID(), e.Service.ID(), e.Consumer.ID()}, ":")
	case *Upstream:
		return e.Name
	case *Target:
		return strings.Join([]string{"targets", "*", e.Upstream.ID(), e.Target}, ":")
	case *Certificate:
		return e.Cert + e.CertAlt
	case *SNI:
		return e.Name
	case *CACertificate:
		return e.Cert
	}
	return ""
}

// text is a text that differs when a part does.
func text(parts ...any) string {
	b, err := json.Marshal(parts)
	if err != nil { // the parts are texts and numbers
		panic(err)
	}
	return string(b)
}

// DeriveID returns the id that an entity would be given, for a parser to refer to one without a name. N tells
// apart those that nothing else does, from 1.
func DeriveID(e Entity, n int) string { return derive(e.Kind(), identity(e), n) }

func derive(kind Kind, key string, n int) string {
	if n > 1 {
		key += "#" + strconv.Itoa(n)
	}
	return deriveID(kind, key)
}

// giveID checks the id that a file gives, or derives one. Two entities never get the same one.
func (l *linker) giveID(e Entity) {
	m := e.meta()
	if m.ID != "" {
		parsed, err := uuid.Parse(m.ID)
		if err != nil || len(m.ID) != 36 {
			l.errorf(e, "id", "%q is no UUID; leave it out and one is made", m.ID)
			return
		}
		m.ID = parsed.String()
		if other, taken := l.to.ids[nameKey{e.Kind(), m.ID}]; taken {
			l.errorf(e, "id", "%s is that of %s at %s as well", m.ID, Describe(other), &other.meta().Source)
			return
		}
	} else {
		key := nameKey{e.Kind(), identity(e)}
		for m.ID == "" || l.to.ids[nameKey{e.Kind(), m.ID}] != nil {
			l.same[key]++
			m.ID = derive(key.kind, key.key, l.same[key])
		}
	}
	l.to.ids[nameKey{e.Kind(), m.ID}] = e
}
