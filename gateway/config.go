package gateway

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/perdure/perdure/gateway/internal/proxy"
	"github.com/perdure/perdure/internal/networks"
)

// None is an address that is not listened on.
const None = "none"

// Config configures a gateway. Files alone is needed; what is proxied, for whom and how is said there, in the words of Kong and
// Kubernetes.
type Config struct {
	// Files are files and folders with the declarations: kong.yml (format 3.0), Kubernetes manifests, or both. They are watched,
	// and what has changed is in use within seconds, unless there is an error in it.
	Files []string
	// Listen is the address for HTTP: "localhost:8000", Kong's port, is the default; "none" is none. Whoever can reach it can ask
	// for everything that a route leads to.
	Listen string
	// ListenTLS is the address for HTTPS, with HTTP/2: "localhost:8443". Default: none.
	ListenTLS string
	// Admin is the address of the Admin API, in Kong's shapes and for reading alone: "localhost:8001". Default: none; it is then
	// below /perdure/v1/gateway/kong/ of the app only.
	Admin string
	// CertFile and KeyFile are the certificate for names that no certificate of Files is for, and its key, in PEM. They are read
	// again when they change.
	CertFile, KeyFile string
	// Certificate is that certificate in the app's vault, "vault:NAME", instead of files. It follows the vault's renewals.
	Certificate string
	// TrustedProxies are addresses and networks of the proxies in front of the gateway, such as "10.0.0.0/8": what they say of a
	// client in X-Forwarded-* counts.
	TrustedProxies []string
	// TrustUpstreams does not verify the certificates of upstreams by https, as Kong does unless a service says tls_verify.
	// Default: they are verified, by the system's authorities or a service's ca_certificates.
	TrustUpstreams bool
	// AccessLog is where a line of JSON about each request goes: a file, "stdout" or "stderr". A file that was moved away is
	// opened anew. Default: none is written.
	AccessLog string
	// RecentRequests is how long the reasons of refused and failed requests are kept for explain. Default 15 minutes; negative:
	// they are not.
	RecentRequests time.Duration
	// MaxConnections bounds the clients' connections. Default 16,384.
	MaxConnections int
	// NoHeaders leaves the fields out that Kong adds for people who look for the reason of an answer: Via, X-Kong-*-Latency and
	// X-Kong-Request-Id.
	NoHeaders bool
	// Plugins are plugins of the program's own, besides those that there are.
	Plugins []*Plugin
}

// The defaults of Config.
const (
	defaultListen         = "localhost:8000"
	defaultRecent         = 15 * time.Minute
	defaultMaxConnections = 16384
)

// WithDefaults returns a filled copy.
func (c Config) WithDefaults() Config {
	if c.Listen == "" {
		c.Listen = defaultListen
	}
	if c.RecentRequests == 0 {
		c.RecentRequests = defaultRecent
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = defaultMaxConnections
	}
	return c
}

// Validate names each field that is wrong, and the mend. It does not look into Files.
func (c Config) Validate() error {
	var errs []error
	if len(c.Files) == 0 {
		errs = append(errs, errors.New("Gateway.Files is empty: name a kong.yml, or a folder with Kubernetes manifests"))
	}
	for _, a := range []struct{ field, address string }{{"Listen", c.Listen}, {"ListenTLS", c.ListenTLS}, {"Admin", c.Admin}} {
		if a.address == "" || a.address == None {
			continue
		}
		if _, _, err := net.SplitHostPort(a.address); err != nil {
			errs = append(errs, fmt.Errorf("Gateway.%s %q: want host:port, such as localhost:8000, or none", a.field, a.address))
		} else if a.field == "Admin" && !loopback(a.address) {
			errs = append(errs, fmt.Errorf("Gateway.Admin %q: others than this machine could reach it; want an address of localhost", a.address))
		}
	}
	if c.Listen == None && !c.ListensTLS() {
		errs = append(errs, errors.New("Gateway.Listen, Gateway.ListenTLS: one is needed, or nobody can reach the gateway"))
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		errs = append(errs, errors.New("Gateway.CertFile, Gateway.KeyFile: give both or none"))
	}
	if c.CertFile != "" && c.Certificate != "" {
		errs = append(errs, errors.New("Gateway.Certificate, Gateway.CertFile: give one of them"))
	}
	if c.Certificate != "" && !strings.HasPrefix(c.Certificate, "vault:") {
		errs = append(errs, fmt.Errorf("Gateway.Certificate %q: want vault:NAME", c.Certificate))
	}
	if c.MaxConnections < 0 {
		errs = append(errs, fmt.Errorf("Gateway.MaxConnections %d: want a number above 0", c.MaxConnections))
	}
	if _, err := c.trusted(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// ListensTLS reports whether there is an address for HTTPS.
func (c Config) ListensTLS() bool { return c.ListenTLS != "" && c.ListenTLS != None }

// Exposed reports whether others than this machine can reach the gateway.
func (c Config) Exposed() bool {
	return c.Listen != None && !loopback(c.Listen) || c.ListensTLS() && !loopback(c.ListenTLS)
}

// loopback reports whether only this machine reaches an address.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil || host == "localhost" {
		return true // what is no address is not listened on
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// trusted are the proxies whose fields count.
func (c Config) trusted() (proxy.TrustedProxies, error) {
	return networks.Trusted("Gateway.TrustedProxies", c.TrustedProxies)
}
