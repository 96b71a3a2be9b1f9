package main

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/valyala/fasthttp"
)

const childFlag = "-child"

func runChild(name, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var s setup
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	switch name {
	case "reverseproxy":
		return reverseProxy(&s)
	case "fasthttp":
		return fastProxy(&s)
	case "upstream":
		return goUpstream(s.Address)
	}
	return fmt.Errorf("no child %q", name)
}

func libraryVersion(name string) string {
	if name == "fasthttp" {
		return moduleVersion("github.com/valyala/fasthttp")
	}
	return runtime.Version()
}

func moduleVersion(path string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == path {
				return m.Version
			}
		}
	}
	return ""
}

// reverseProxy is net/http/httputil's, with what makes it faster: a transport that keeps enough connections and asks for
// no compression, a pool of buffers, and no log.
func reverseProxy(s *setup) error {
	verify, err := newVerifier(s)
	if err != nil {
		return err
	}
	limit := newLimiter(s.Limit)
	transport := &http.Transport{
		MaxIdleConns: 1024, MaxIdleConnsPerHost: 1024, IdleConnTimeout: time.Minute, DisableCompression: true,
		WriteBufferSize: 4 << 10, ReadBufferSize: 4 << 10,
	}
	target := &url.URL{Scheme: "http", Host: s.Upstream}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.SetXForwarded()
		},
		Transport: transport, BufferPool: &bufferPool{free: make(chan []byte, 256)},
	}
	refuse := func(w http.ResponseWriter, status int, name, value, body string) {
		w.Header().Set(name, value)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body)) // the client has gone
	}
	var handler http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := ""
		if verify != nil {
			raw, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
			if !ok || !verify.good(raw) {
				refuse(w, http.StatusUnauthorized, "WWW-Authenticate", "Bearer", `{"message":"Unauthorized"}`)
				return
			}
			who = consumerID
			r.Header["X-Consumer-Id"], r.Header["X-Consumer-Username"] = verify.id, verify.username
			r.Header["X-Credential-Identifier"] = verify.identifier
			delete(r.Header, "X-Consumer-Custom-Id")
			delete(r.Header, "X-Anonymous-Consumer")
		}
		if limit != nil {
			if who == "" {
				who, _, _ = net.SplitHostPort(r.RemoteAddr)
			}
			left, reset, ok := limit.take(who)
			h := w.Header()
			h["X-Ratelimit-Limit-Hour"], h["Ratelimit-Limit"] = limit.text, limit.text
			text := []string{strconv.FormatInt(left, 10)}
			h["X-Ratelimit-Remaining-Hour"], h["Ratelimit-Remaining"] = text, text
			until := strconv.FormatInt(reset, 10)
			h["Ratelimit-Reset"] = []string{until}
			if !ok {
				refuse(w, http.StatusTooManyRequests, "Retry-After", until, `{"message":"API rate limit exceeded"}`)
				return
			}
		}
		proxy.ServeHTTP(w, r)
	})
	if s.Routes > 0 {
		mux := http.NewServeMux()
		for n := range s.Routes {
			mux.Handle(routePath(n), handler)
		}
		handler = mux
	}
	return http.ListenAndServe(s.Address, handler)
}

// bufferPool is a free list.
type bufferPool struct{ free chan []byte }

func (p *bufferPool) Get() []byte {
	select {
	case b := <-p.free:
		return b
	default:
		return make([]byte, 32<<10)
	}
}

func (p *bufferPool) Put(b []byte) {
	select {
	case p.free <- b:
	default:
	}
}

// fastProxy is a reverse proxy of fasthttp, as its documentation writes one. It has no router: routes are found by the first
// segment of the path, in a map.
func fastProxy(s *setup) error {
	verify, err := newVerifier(s)
	if err != nil {
		return err
	}
	limit := newLimiter(s.Limit)
	routes := map[string]bool{}
	for n := range s.Routes {
		routes[routePath(n)] = true
	}
	client := &fasthttp.HostClient{Addr: s.Upstream, MaxConns: 4096, NoDefaultUserAgentHeader: true, DisablePathNormalizing: true}
	server := &fasthttp.Server{NoDefaultServerHeader: true, NoDefaultDate: true}
	server.Handler = func(ctx *fasthttp.RequestCtx) {
		request, response := &ctx.Request, &ctx.Response
		refuse := func(status int, name, value, body string) {
			response.SetStatusCode(status)
			response.Header.Set(name, value)
			response.Header.SetContentType("application/json")
			response.SetBodyString(body)
		}
		if len(routes) > 0 {
			path := ctx.Path()
			end := 1
			for end < len(path) && path[end] != '/' {
				end++
			}
			if !routes[string(path[:min(end+1, len(path))])] {
				response.SetStatusCode(http.StatusNotFound)
				return
			}
		}
		who := ""
		if verify != nil {
			raw, ok := strings.CutPrefix(string(request.Header.Peek("Authorization")), "Bearer ")
			if !ok || !verify.good(raw) {
				refuse(http.StatusUnauthorized, "WWW-Authenticate", "Bearer", `{"message":"Unauthorized"}`)
				return
			}
			who = consumerID
			request.Header.Set("X-Consumer-ID", consumerID)
			request.Header.Set("X-Consumer-Username", consumerName)
			request.Header.Set("X-Credential-Identifier", issuerName)
			request.Header.Del("X-Consumer-Custom-ID")
			request.Header.Del("X-Anonymous-Consumer")
		}
		var left, reset int64
		if limit != nil {
			if who == "" {
				who = ctx.RemoteIP().String()
			}
			var ok bool
			if left, reset, ok = limit.take(who); !ok {
				refuse(http.StatusTooManyRequests, "Retry-After", strconv.FormatInt(reset, 10), `{"message":"API rate limit exceeded"}`)
				limit.tell(response, left, reset)
				return
			}
		}
		request.Header.Del("Connection")
		request.Header.Set("X-Forwarded-For", ctx.RemoteIP().String())
		request.Header.SetBytesV("X-Forwarded-Host", request.Host())
		request.Header.Set("X-Forwarded-Proto", "http")
		if err := client.Do(request, response); err != nil {
			response.SetStatusCode(http.StatusBadGateway)
			return
		}
		response.Header.Del("Connection")
		if limit != nil {
			limit.tell(response, left, reset)
		}
	}
	return server.ListenAndServe(s.Address)
}

func (l *limiter) tell(response *fasthttp.Response, left, reset int64) {
	text := strconv.FormatInt(left, 10)
	response.Header.Set("X-RateLimit-Limit-Hour", l.text[0])
	response.Header.Set("X-RateLimit-Remaining-Hour", text)
	response.Header.Set("RateLimit-Limit", l.text[0])
	response.Header.Set("RateLimit-Remaining", text)
	response.Header.Set("RateLimit-Reset", strconv.FormatInt(reset, 10))
}

// goUpstream answers where nginx is not to be had.
func goUpstream(address string) error {
	server := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
		ctx.SetContentType("application/json")
		switch path := string(ctx.Path()); {
		case path == "/large":
			ctx.SetBodyString(large)
		case strings.HasPrefix(path, "/echo/"):
			for i, name := range []string{"X-Consumer-ID", "X-Consumer-Username", "X-Credential-Identifier", "X-Forwarded-For"} {
				if i > 0 {
					_, _ = ctx.WriteString("|") // into memory
				}
				_, _ = ctx.Write(ctx.Request.Header.Peek(name))
			}
		default:
			ctx.SetBodyString(answer)
		}
	}}
	return server.ListenAndServe(address)
}

// verifier verifies tokens by golang-jwt, and remembers good ones if it is to.
type verifier struct {
	parser                   *jwt.Parser
	key                      any
	id, username, identifier []string

	mu    sync.RWMutex
	known map[string]int64 // until when, in Unix seconds; nil if none are remembered
}

// newVerifier returns nil if no tokens are wanted.
func newVerifier(s *setup) (*verifier, error) {
	if !s.JWT {
		return nil, nil
	}
	text, err := os.ReadFile(s.KeyFile)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no PEM")
	}
	v := &verifier{
		parser: jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithIssuer(issuerName), jwt.WithExpirationRequired()),
		id:     []string{consumerID}, username: []string{consumerName}, identifier: []string{issuerName},
	}
	if s.Cached {
		v.known = map[string]int64{}
	}
	v.key, err = x509.ParsePKIXPublicKey(block.Bytes)
	return v, err
}

func (v *verifier) good(raw string) bool {
	if v.known != nil {
		v.mu.RLock()
		until := v.known[raw]
		v.mu.RUnlock()
		if until != 0 {
			return time.Now().Unix() < until
		}
	}
	var claims jwt.RegisteredClaims
	if _, err := v.parser.ParseWithClaims(raw, &claims, func(*jwt.Token) (any, error) { return v.key, nil }); err != nil {
		return false
	}
	if v.known != nil {
		v.mu.Lock()
		defer v.mu.Unlock()
		if len(v.known) >= 64<<10 {
			clear(v.known)
		}
		v.known[strings.Clone(raw)] = claims.ExpiresAt.Unix()
	}
	return true
}

// limiter counts in windows of an hour.
type limiter struct {
	limit int64
	text  []string

	mu     sync.Mutex
	window int64
	used   map[string]int64
}

// newLimiter returns nil if there is no limit.
func newLimiter(limit int64) *limiter {
	if limit == 0 {
		return nil
	}
	return &limiter{limit: limit, text: []string{strconv.FormatInt(limit, 10)}}
}

func (l *limiter) take(who string) (left, reset int64, ok bool) {
	now := time.Now().Unix()
	reset = 3600 - now%3600
	l.mu.Lock()
	defer l.mu.Unlock()
	if window := now / 3600; window != l.window {
		l.window, l.used = window, map[string]int64{}
	}
	if l.used[who] >= l.limit {
		return 0, reset, false
	}
	l.used[who]++
	return l.limit - l.used[who], reset, true
}
