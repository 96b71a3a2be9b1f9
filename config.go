package perdure

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/auth/login"
	"github.com/perdure/perdure/gateway"
	"github.com/perdure/perdure/identity"
	"github.com/perdure/perdure/internal/networks"
	"github.com/perdure/perdure/vault"
)

// Config configures an App. The zero value runs: everything in one folder, served to
// this machine alone.
type Config struct {
	// Data is the folder that holds everything the app keeps. It is made if it
	// does not exist. Default "perdure-data" in the working directory.
	Data string
	// Store is the URL of the store: "pebble:PATH", or "memory:" for one that
	// lasts as long as the app. Default "pebble:" and the folder "store" in
	// Data.
	Store string
	// Blobs is the URL of the place for blobs: "file:PATH", or that of a bucket
	// whose driver the program imports: "s3://BUCKET" with package blob/s3,
	// "azblob://CONTAINER" with package blob/azure. Default "file:" and the folder
	// "blobs" in Data. With the store "memory:" blobs last as long as the app.
	Blobs string
	// Streams and Queues say which streams and queues live on NATS JetStream, by
	// name: "nats://user:password@host:4222/SUBJECT?stream=NAME", or "tls:" for a
	// server with TLS. A user without a password is a token; a password "vault:NAME" is that secret of the app's vault, read anew
	// for each connection. Without a subject or
	// a stream, that is named as the resource is. Parameters besides stream are
	// creds (a file of credentials), ca (a file of certificates) and, for a
	// JetStream stream that has still to be made, replicas, max_age, max_bytes,
	// duplicates and ack_wait. Default: they live in the store.
	Streams, Queues map[string]string
	// Listen is the address that HTTP functions are served on: "localhost:8080".
	// Port 0 takes a free one (App.Addr). An address that others than this machine
	// can reach is refused unless every HTTP function, handler and live endpoint
	// states a policy. "none" leaves serving to a server of your own (App.Handler).
	// Default "localhost:8080"; an app without HTTP functions does not listen.
	Listen string
	// Hosts are names under which the server may be reached, with port, besides
	// those of Listen: "app.example.com", "192.0.2.1:8443". Requests for others
	// are refused.
	Hosts []string
	// Identity, unless nil, gives the app an identity provider of its own: people sign in there,
	// programs get tokens, and their rights are managed. Functions then take its access
	// tokens, and the sessions of browsers.
	Identity *identity.Config
	// Login, unless nil, lets browsers sign in at another issuer of OpenID Connect. With an
	// Audience, functions take its access tokens as well. BaseURL defaults to Origin. A ClientSecret "vault:NAME" is
	// that secret of the app's vault, read when it is needed. It is for apps without Identity, which has a sign-in of its own.
	Login *login.Config
	// Vault, unless nil, gives the app a vault for secrets, keys and certificates: its functions and settings name secrets by
	// "vault:NAME", and other programs reach it by the clients of Azure Key Vault.
	Vault *vault.Config
	// Gateway, unless nil, gives the app a gateway: a port of its own where requests are routed, checked and limited as files
	// in the formats of Kong and Kubernetes say, to this app or to other servers.
	Gateway *gateway.Config
	// Origin is where browsers find the app, such as "https://app.example.com". Default
	// "http://localhost:PORT" for an app that listens on a loopback address.
	Origin string
	// MasterKey is where the key is under which secrets are sealed. It must not lie in Data, so that who has
	// a copy of that cannot read them. It is a file, made at the first start; "env:NAME" for a variable of the environment, which
	// is read and removed; or the URL of a key management service whose driver from gocloud.dev/secrets the program
	// imports, such as "awskms://alias/perdure?region=eu-central-1". Default: the file beside Data whose name is that of Data
	// and ".master-key".
	MasterKey string
	// Auth finds out who sends requests: an auth.Verifier, or several ways by
	// auth.First. With it, management below /perdure/v1/ needs the permission
	// "perdure:read" or "perdure:manage" instead of the token in the data folder.
	Auth auth.Authenticator
	// Policy is what HTTP functions, handlers and live endpoints require that state
	// no policy, by Require or Guarded. The zero value states nothing.
	Policy auth.Policy
	// TrustedProxies are addresses and networks of the proxies in front of the app, such as
	// "10.0.0.0/8": in requests from them X-Forwarded-For says who the client is, which limits of
	// attempts and the audit log go by. Others may write there what they like, and it does
	// not count.
	TrustedProxies []string
	// TrustedOrigins may send requests that change something from a browser,
	// such as "https://admin.example.com", besides the app's own pages.
	TrustedOrigins []string
	// Title and Version stand in the OpenAPI document.
	Title, Version string
	// Logger gets what an operator should know. Default slog.Default().
	Logger *slog.Logger
	// OnDeadLetter, unless nil, is called after an event was given up. It must
	// return soon.
	OnDeadLetter func(DeadLetter)
	// DeadLetterWebhook is told of each dead letter. Default: none is.
	DeadLetterWebhook DeadLetterWebhook
	// MaxActivities bounds the activities running at a time. Default 1,000.
	MaxActivities int
	// MaxIdleInstances bounds the waiting instances kept in memory; others are
	// rebuilt from their history when an event comes. Default 10,000.
	MaxIdleInstances int
	// ShutdownTimeout is how long running requests, functions and activities
	// may take to end when the app stops. Default 20 s.
	ShutdownTimeout time.Duration
	// TracerProvider makes the traces that follow an event through all that it
	// causes. Default: that of the program (otel.SetTracerProvider).
	TracerProvider trace.TracerProvider
	// MeterProvider takes the metrics. By default the app shows them itself, at
	// /metrics, in the text format of Prometheus.
	MeterProvider metric.MeterProvider
	// Development replays each instance after each turn, so that code which is
	// not deterministic shows itself at once. It costs speed.
	Development bool
}

// The environment that ConfigFromEnv reads.
const (
	listenEnv = "PERDURE_LISTEN"
	dataEnv   = "PERDURE_DATA"
	devEnv    = "PERDURE_DEV"
)

// noListener is the Listen of an app that does not.
const noListener = "none"

// ConfigFromEnv returns c with what the environment says: PERDURE_LISTEN,
// PERDURE_DATA, and PERDURE_DEV, which is 1 for Development.
func ConfigFromEnv(c Config) Config {
	if v := os.Getenv(listenEnv); v != "" {
		c.Listen = v
	}
	if v := os.Getenv(dataEnv); v != "" {
		c.Data = v
	}
	if os.Getenv(devEnv) == "1" {
		c.Development = true
	}
	return c
}

// takeEnv returns a variable of the environment and removes it.
func takeEnv(name string) (string, bool) {
	v, ok := os.LookupEnv(name)
	if ok {
		_ = os.Unsetenv(name) // a name that was found is one
	}
	return v, ok
}

// withDefaults returns a filled copy.
func (c Config) withDefaults() Config {
	set := func(p *string, v string) {
		if *p == "" {
			*p = v
		}
	}
	set(&c.Data, "perdure-data")
	set(&c.Store, "pebble:"+filepath.Join(c.Data, "store"))
	set(&c.Blobs, "file:"+filepath.Join(c.Data, "blobs"))
	set(&c.Listen, "localhost:8080")
	if c.Gateway != nil {
		filled := c.Gateway.WithDefaults()
		c.Gateway = &filled
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.ShutdownTimeout == 0 {
		c.ShutdownTimeout = 20 * time.Second
	}
	return c
}

// validate names each field that is wrong, and the mend.
func (c Config) validate() error {
	_, _, storeErr := c.store()
	_, proxiesErr := networks.Trusted("TrustedProxies", c.TrustedProxies)
	errs := []error{storeErr, proxiesErr, c.validateAccess(), c.DeadLetterWebhook.validate(), c.validateListen()}
	for _, bound := range []struct {
		field string
		value int64
	}{
		{"MaxActivities", int64(c.MaxActivities)},
		{"MaxIdleInstances", int64(c.MaxIdleInstances)},
		{"ShutdownTimeout", int64(c.ShutdownTimeout)},
	} {
		if bound.value < 0 {
			errs = append(errs, fmt.Errorf("%s is negative: leave it out for the default", bound.field))
		}
	}
	return errors.Join(errs...)
}

func (c Config) validateAccess() error {
	var errs []error
	if c.Identity != nil {
		if err := c.Identity.WithDefaults(c.Title).Validate(); err != nil {
			errs = append(errs, err)
		}
		if c.Login != nil {
			errs = append(errs, errors.New("Login and Identity are both set: the provider of Identity has a sign-in of its own"))
		}
	}
	if _, _, err := c.secretRef(c.DeadLetterWebhook.Secret); err != nil {
		errs = append(errs, fmt.Errorf("DeadLetterWebhook.Secret: %w", err))
	}
	if c.Vault != nil {
		if err := c.Vault.WithDefaults().Validate(); err != nil {
			errs = append(errs, err)
		}
		if c.Vault.Listen != "" && c.Identity == nil {
			errs = append(errs, errors.New("Vault.Listen is set without Identity: its callers need somebody who gives them tokens"))
		}
	}
	errs = append(errs, c.validateGateway())
	if c.Origin != "" {
		u, err := url.Parse(c.Origin)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || c.Origin != u.Scheme+"://"+u.Host {
			errs = append(errs, fmt.Errorf("Origin %q: want scheme and host, such as https://app.example.com", c.Origin))
		}
	}
	return errors.Join(errs...)
}

// seals reports whether the app keeps what must not be readable at rest.
func (c Config) seals() bool {
	return c.Identity != nil || c.Login != nil || c.Vault != nil || c.ownCertificate()
}

func (c Config) validateListen() error {
	if c.Listen == noListener {
		if len(c.Hosts) == 0 && c.Gateway == nil {
			return errors.New("Hosts is empty and Listen is none: name the hosts that your own server is reached by, such as app.example.com")
		}
		return nil
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("Listen %q: want host:port, such as localhost:8080", c.Listen)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("Listen %q: the port is a number from 0 to 65535", c.Listen)
	}
	if ip := net.ParseIP(host); len(c.Hosts) == 0 && (host == "" || ip != nil && ip.IsUnspecified()) {
		return fmt.Errorf("Listen %q stands for all interfaces: name in Hosts what the server is reached by, such as app.example.com", c.Listen)
	}
	return nil
}

// exposed reports whether others than this machine may reach the address that the app
// listens on.
func (c Config) exposed() bool {
	host, _, err := net.SplitHostPort(c.Listen)
	ip := net.ParseIP(host)
	return c.Listen != noListener && err == nil && host != localhost && (ip == nil || !ip.IsLoopback())
}

// reachable reports whether others than this machine may reach the app, by its own address or through its gateway.
func (c Config) reachable() bool {
	return c.exposed() || c.Gateway != nil && c.Gateway.Exposed()
}

// store returns the scheme and path of Store.
func (c Config) store() (scheme, path string, err error) {
	scheme, path, _ = strings.Cut(c.Store, ":")
	switch {
	case scheme == "memory" && path == "", scheme == "pebble" && path != "":
		return scheme, path, nil
	}
	return "", "", fmt.Errorf("Store %q: want pebble:PATH or memory:", c.Store)
}
