package balance

import (
	"crypto/rand"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

// hashInput says what tells requests apart.
type hashInput struct{ on, name, path string }

func hashInputs(u *entity.Upstream) [2]hashInput {
	return [2]hashInput{
		newHashInput(u, u.HashOn, u.HashOnHeader, u.HashOnQueryArg, u.HashOnURICapture),
		newHashInput(u, u.HashFallback, u.HashFallbackHeader, u.HashFallbackQueryArg, u.HashFallbackURICapture),
	}
}

func newHashInput(u *entity.Upstream, on, header, arg, capture string) hashInput {
	in := hashInput{on: on}
	switch on {
	case "header":
		in.name = header
	case "query_arg":
		in.name = arg
	case "uri_capture":
		in.name = capture
	case "cookie":
		in.name, in.path = u.HashOnCookie, u.HashOnCookiePath
	}
	return in
}

// key is the hash of what tells the request apart; false without any.
func (g *group) key(p *pick) (uint64, bool) {
	for i := range g.hash {
		in := &g.hash[i]
		if key, ok := in.key(p.x); ok {
			if p.x.Explain {
				p.key = in.String()
			}
			return key, true
		}
	}
	return 0, false
}

// String is what it is, for explain.
func (in *hashInput) String() string {
	if in.name == "" {
		return in.on
	}
	return in.on + " " + in.name
}

func (in *hashInput) key(x *proxy.Exchange) (uint64, bool) {
	switch in.on {
	case "consumer":
		if c := plugin.Consumer(x); c != nil {
			return hashOf(c.ID), true
		}
		id := plugin.CredentialKey(x)
		return hashOf(id), id != ""
	case "ip":
		ip := x.Client.As16()
		return hashOf(ip[:]), x.Client.IsValid()
	case "header":
		key, found := offset, false
		for i := range x.Request.Fields.Len() {
			if f := x.Request.Fields.At(i); equalFold(f.Name, in.name) {
				key, found = extend(extend(key, f.Value), ","), true
			}
		}
		return key, found
	case "cookie":
		return in.cookie(x), true
	case "path":
		return hashOf(x.Request.Path), true
	case "query_arg":
		for v := range plugin.QueryValues(x.Request.Query, in.name) {
			return hashOf(v), v != ""
		}
	case "uri_capture":
		if captures, ok := x.Value(plugin.CapturesKey{}).(plugin.Captures); ok {
			v, found := captures.Capture(in.name)
			return hashOf(v), found && v != ""
		}
	}
	return 0, false
}

// fresh is the key of the cookie that an exchange was given.
type fresh struct{ in *hashInput }

// cookie is the hash of the cookie that the client has, or is given.
func (in *hashInput) cookie(x *proxy.Exchange) uint64 {
	if v := plugin.Cookie(x.Request.Fields, in.name); len(v) > 0 {
		return hashOf(v)
	}
	if v, ok := x.Value(fresh{in}).(string); ok { // at an earlier attempt
		return hashOf(v)
	}
	v := rand.Text()
	x.SetValue(fresh{in}, v)
	x.AddResponse("Set-Cookie", in.name+"="+v+"; Path="+in.path+"; HttpOnly")
	return hashOf(v)
}

// The hash is FNV-1a of 64 bits, which is the same in every process: gateways side by side choose alike.
const (
	offset uint64 = 14695981039346656037
	prime  uint64 = 1099511628211
)

// Hash is the hash by which requests are told apart, with a seed: others use it too, so that the same requests are
// together everywhere.
func Hash[T string | []byte](seed uint64, s T) uint64 { return mix(seed ^ mix(hashOf(s))) }

func hashOf[T string | []byte](s T) uint64 { return extend(offset, s) }

func extend[T string | []byte](h uint64, s T) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * prime
	}
	return h
}

// mix makes every bit of a hash depend on every other (the finalizer of SplitMix64).
func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// equalFold compares the names of header fields, which are ASCII.
func equalFold(name []byte, with string) bool {
	if len(name) != len(with) {
		return false
	}
	for i := range name {
		if lower(name[i]) != lower(with[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
