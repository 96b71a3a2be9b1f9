// Command caddy is Caddy with its reverse proxy and two handlers, which the bench needs: one verifies a JWT, and one limits
// requests.
package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

func main() {
	caddy.RegisterModule(new(verifier))
	caddy.RegisterModule(new(limiter))
	caddycmd.Main()
}

// verifier lets requests with a good token pass, and says whose it is.
type verifier struct {
	KeyFile  string `json:"key_file"`
	Issuer   string `json:"issuer"`
	ID       string `json:"id"`
	Username string `json:"username"`

	key any
}

func (*verifier) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.bench_jwt", New: func() caddy.Module { return new(verifier) }}
}

func (v *verifier) Provision(caddy.Context) error {
	text, err := os.ReadFile(v.KeyFile)
	if err != nil {
		return err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return errors.New("no PEM")
	}
	v.key, err = x509.ParsePKIXPublicKey(block.Bytes)
	return err
}

func (v *verifier) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	raw, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return v.refuse(w)
	}
	if _, err := jwt.Parse([]byte(raw), jwt.WithKey(jwa.RS256(), v.key), jwt.WithIssuer(v.Issuer), jwt.WithRequiredClaim("exp")); err != nil {
		return v.refuse(w)
	}
	r.Header.Set("X-Consumer-Id", v.ID)
	r.Header.Set("X-Consumer-Username", v.Username)
	r.Header.Set("X-Credential-Identifier", v.Issuer)
	return next.ServeHTTP(w, r)
}

func (v *verifier) refuse(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("WWW-Authenticate", "Bearer")
	w.WriteHeader(http.StatusUnauthorized)
	_, err := w.Write([]byte(`{"message":"Unauthorized"}`))
	return err
}

// limiter counts in fixed windows of an hour, by consumer or else by address.
type limiter struct {
	Limit int64 `json:"limit"`

	mu     sync.Mutex
	window int64
	used   map[string]int64
}

func (*limiter) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.bench_limit", New: func() caddy.Module { return new(limiter) }}
}

func (l *limiter) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	who := r.Header.Get("X-Consumer-Id")
	if who == "" {
		who, _, _ = net.SplitHostPort(r.RemoteAddr)
	}
	now := time.Now().Unix()
	left, ok := l.take(who, now)
	h := w.Header()
	limit, remaining, reset := strconv.FormatInt(l.Limit, 10), strconv.FormatInt(left, 10), strconv.FormatInt(3600-now%3600, 10)
	h.Set("X-RateLimit-Limit-Hour", limit)
	h.Set("X-RateLimit-Remaining-Hour", remaining)
	h.Set("RateLimit-Limit", limit)
	h.Set("RateLimit-Remaining", remaining)
	h.Set("RateLimit-Reset", reset)
	if ok {
		return next.ServeHTTP(w, r)
	}
	h.Set("Retry-After", reset)
	h.Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusTooManyRequests)
	_, err := w.Write([]byte(`{"message":"API rate limit exceeded"}`))
	return err
}

func (l *limiter) take(who string, now int64) (left int64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if window := now / 3600; window != l.window || l.used == nil {
		l.window, l.used = window, map[string]int64{}
	}
	if l.used[who] >= l.Limit {
		return 0, false
	}
	l.used[who]++
	return l.Limit - l.used[who], true
}
