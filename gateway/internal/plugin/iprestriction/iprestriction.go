// Package iprestriction is Kong's plugin ip-restriction: requests of some addresses alone go on, or all but those.
package iprestriction

import (
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

const name = "ip-restriction"

// Kind returns the plugin.
func Kind() *plugin.Kind {
	address := &plugin.Field{Type: plugin.String, Check: func(value any) string {
		if _, err := parse(value.(string)); err != nil {
			return "is neither an IP address nor a network, such as 10.0.0.0/8"
		}
		return ""
	}}
	return &plugin.Kind{
		Name: name, Priority: 990, New: newInstance,
		Schema: plugin.Schema{
			Fields: []plugin.Field{
				{Name: "allow", Old: "whitelist", Type: plugin.Array, Elements: address},
				{Name: "deny", Old: "blacklist", Type: plugin.Array, Elements: address},
				{Name: "status", Type: plugin.Number, Between: &[2]float64{100, 599}},
				{Name: "message", Type: plugin.String},
			},
			Check: func(v plugin.Values) []entity.FieldProblem {
				if len(v.Strings("allow"))+len(v.Strings("deny")) == 0 {
					return []entity.FieldProblem{{Message: "needs allow or deny: addresses and networks"}}
				}
				return nil
			},
		},
	}
}

func parse(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		addr = addr.Unmap().WithZone("")
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, err
	}
	if addr := p.Addr(); addr.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(addr.Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}

// networks are looked up by each of their lengths.
type networks struct {
	lengths []int
	all     map[netip.Prefix]bool
}

func newNetworks(list []string) *networks {
	n := &networks{all: map[netip.Prefix]bool{}}
	for _, text := range list {
		p, err := parse(text)
		if err != nil {
			continue // the schema does not let it pass
		}
		n.all[p] = true
		if !slices.Contains(n.lengths, p.Bits()) {
			n.lengths = append(n.lengths, p.Bits())
		}
	}
	return n
}

func (n *networks) contain(addr netip.Addr) bool {
	for _, bits := range n.lengths {
		if p, err := addr.Prefix(bits); err == nil && n.all[p] {
			return true
		}
	}
	return false
}

type instance struct {
	allow, deny *networks
	status      int
	message     string
}

func newInstance(s plugin.Setup) (any, error) {
	v := s.Values
	p := &instance{allow: newNetworks(v.Strings("allow")), deny: newNetworks(v.Strings("deny")), status: v.Int("status"), message: v.String("message")}
	if p.status == 0 {
		p.status = http.StatusForbidden
	}
	return p, nil
}

// Access implements proxy.Access.
func (p *instance) Access(x *proxy.Exchange) {
	addr := x.Client.Unmap().WithZone("")
	switch {
	case p.deny.contain(addr):
		p.refuse(x, address(x, addr)+" is denied")
	case len(p.allow.all) > 0 && !p.allow.contain(addr):
		p.refuse(x, address(x, addr)+" is none of those that are allowed: "+p.allow.String())
	case x.Explain:
		x.Note(name, "the address "+addr.String()+" may go on")
	}
}

// address says which address was looked at, and whence it is known.
func address(x *proxy.Exchange, addr netip.Addr) string {
	switch {
	case x.Trusted && x.Client.Unmap() != x.Peer.Addr().Unmap():
		return "the address " + addr.String() + ", which the trusted proxy " + x.Peer.Addr().Unmap().String() + " says in X-Forwarded-For,"
	case !x.Trusted && x.Request.Fields.Has("X-Forwarded-For"):
		return "the address " + addr.String() + " (X-Forwarded-For does not count: it is not of a trusted proxy)"
	}
	return "the address " + addr.String()
}

// shown is how many networks are told of.
const shown = 5

// String lists the first networks.
func (n *networks) String() string {
	var list []string
	for p := range n.all {
		list = append(list, p.String())
	}
	slices.Sort(list)
	if more := len(list) - shown; more > 0 {
		return strings.Join(list[:shown], ", ") + " and " + strconv.Itoa(more) + " more"
	}
	return strings.Join(list, ", ")
}

func (p *instance) refuse(x *proxy.Exchange, reason string) {
	message := p.message
	if message == "" {
		message = "IP address not allowed: " + x.Client.Unmap().String()
	}
	plugin.Refuse(x, name, reason)
	plugin.Error(x, p.status, message)
}
