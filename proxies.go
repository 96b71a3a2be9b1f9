package perdure

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// maxForwarded bounds how many addresses of a chain of proxies are looked at.
const maxForwarded = 32

// proxies are the networks whose forwarding headers count.
type proxies []netip.Prefix

func (p proxies) trust(addr netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(addr.Unmap()) {
			return true
		}
	}
	return false
}

// handler returns next for requests that may come through the proxies: their address becomes
// that of the client, as the nearest proxy that is not trusted has it, or the first of the
// chain. What others say in such headers does not count.
func (p proxies) handler(next http.Handler) http.Handler {
	if len(p) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if client, ok := p.client(r); ok {
			r2 := *r
			r2.RemoteAddr = net.JoinHostPort(client.String(), "0")
			r = &r2
		}
		next.ServeHTTP(w, r)
	})
}

// client finds the client of a request that a trusted proxy has sent, in X-Forwarded-For. False
// says that the request comes from who it seems to.
func (p proxies) client(r *http.Request) (netip.Addr, bool) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !p.trust(peer.Addr()) {
		return netip.Addr{}, false
	}
	chain := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	var client netip.Addr
	for i := len(chain) - 1; i >= 0 && i >= len(chain)-maxForwarded; i-- {
		addr, err := netip.ParseAddr(strings.TrimSpace(chain[i]))
		if err != nil {
			break // what stands before it was not written by a proxy that is known
		}
		client = addr.Unmap()
		if !p.trust(client) {
			break
		}
	}
	return client, client.IsValid()
}
