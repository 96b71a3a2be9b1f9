package perdure

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/perdure/perdure/internal/networks"
)

func TestClientBehindProxies(t *testing.T) {
	t.Parallel()
	trusted, err := trustedProxies("10.0.0.0/8", "192.0.2.7", "::1")
	if err != nil {
		t.Fatal(err)
	}
	var got string
	h := trusted.handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.RemoteAddr }))
	for _, c := range []struct{ peer, forwarded, want string }{
		{"203.0.113.5:1", "", "203.0.113.5:1"},
		{"203.0.113.5:1", "198.51.100.1", "203.0.113.5:1"}, // not a proxy of ours: it says what it likes
		{"10.1.2.3:1", "", "10.1.2.3:1"},
		{"10.1.2.3:1", "198.51.100.1", "198.51.100.1:0"},
		{"10.1.2.3:1", "127.0.0.1, 198.51.100.1", "198.51.100.1:0"}, // the client has written the first
		{"10.1.2.3:1", "198.51.100.1, 192.0.2.7, 10.9.9.9", "198.51.100.1:0"},
		{"10.1.2.3:1", "10.9.9.9", "10.9.9.9:0"},
		{"10.1.2.3:1", "nonsense, 10.9.9.9", "10.9.9.9:0"},
		{"10.1.2.3:1", "nonsense", "10.1.2.3:1"},
		{"[::1]:1", "2001:db8::1", "[2001:db8::1]:0"},
		{"[::ffff:10.1.2.3]:1", "::ffff:198.51.100.1", "198.51.100.1:0"},
		{"@", "198.51.100.1", "@"}, // a Unix socket
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.peer
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		h.ServeHTTP(httptest.NewRecorder(), r)
		if got != c.want {
			t.Errorf("%s for %q: %s, want %s", c.peer, c.forwarded, got, c.want)
		}
	}
	for _, bad := range []string{"", "everybody", "0.0.0.0/0", "::/0", "10.0.0.0/33"} {
		if _, err := trustedProxies(bad); err == nil || !strings.Contains(err.Error(), "TrustedProxies") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzClientBehindProxies(f *testing.F) {
	f.Add("10.1.2.3:1", "198.51.100.1, 192.0.2.7")
	trusted, err := trustedProxies("10.0.0.0/8")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, peer, forwarded string) {
		r := &http.Request{RemoteAddr: peer, Header: http.Header{"X-Forwarded-For": {forwarded}}}
		if client, ok := trusted.client(r); ok && (!client.IsValid() || !strings.HasPrefix(peer, "10.") && !strings.HasPrefix(peer, "[::ffff:")) {
			t.Errorf("%q %q: %v", peer, forwarded, client)
		}
	})
}

func trustedProxies(all ...string) (proxies, error) { return networks.Trusted("TrustedProxies", all) }
