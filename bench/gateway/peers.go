package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

const childFlag = "-child"

var peers = map[string]peer{
	"perdure":      perdure,
	"reverseproxy": child("reverseproxy", func() string { return runtime.Version() }),
	"fasthttp":     child("fasthttp", func() string { return moduleVersion("github.com/valyala/fasthttp") }),
	"nginx":        nginx,
	"haproxy":      haproxy,
}

// child runs a library in a process of this program.
func child(name string, version func() string) peer {
	return func(_, address, upstream string) (*exec.Cmd, string, error) {
		self, err := os.Executable()
		return exec.Command(self, childFlag, name, address, upstream), version(), err
	}
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

func runChild(name, address, upstream string) error {
	switch name {
	case "reverseproxy":
		return reverseProxy(address, upstream)
	case "fasthttp":
		return fastProxy(address, upstream)
	case "upstream":
		return goUpstream(address)
	}
	return fmt.Errorf("no child %q", name)
}

// perdure is built from the module beside this one: what it is made of can be imported there alone.
func perdure(dir, address, upstream string) (*exec.Cmd, string, error) {
	binary := filepath.Join(dir, "plainproxy")
	if _, err := os.Stat(binary); err != nil {
		build := exec.Command("go", "build", "-o", binary, "github.com/perdure/perdure/gateway/internal/plainproxy")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return nil, "", fmt.Errorf("build: %w", err)
		}
	}
	return exec.Command(binary, address, upstream), runtime.Version(), nil
}

// reverseProxy is net/http/httputil's, with what makes it faster: a transport that keeps enough connections and asks for
// no compression, a pool of buffers, and no log.
func reverseProxy(address, upstream string) error {
	transport := &http.Transport{
		MaxIdleConns: 1024, MaxIdleConnsPerHost: 1024, IdleConnTimeout: time.Minute, DisableCompression: true,
		WriteBufferSize: 4 << 10, ReadBufferSize: 4 << 10,
	}
	target := &url.URL{Scheme: "http", Host: upstream}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.SetXForwarded()
		},
		Transport: transport, BufferPool: &bufferPool{free: make(chan []byte, 256)},
	}
	return http.ListenAndServe(address, proxy)
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

// fastProxy is a reverse proxy of fasthttp, as its documentation writes one.
func fastProxy(address, upstream string) error {
	client := &fasthttp.HostClient{Addr: upstream, MaxConns: 4096, NoDefaultUserAgentHeader: true, DisablePathNormalizing: true}
	server := &fasthttp.Server{
		NoDefaultServerHeader: true, NoDefaultDate: true, DisableHeaderNamesNormalizing: false,
		Handler: func(ctx *fasthttp.RequestCtx) {
			request, response := &ctx.Request, &ctx.Response
			request.Header.Del("Connection")
			request.Header.Set("X-Forwarded-For", ctx.RemoteIP().String())
			request.Header.SetBytesV("X-Forwarded-Host", request.Host())
			request.Header.Set("X-Forwarded-Proto", "http")
			if err := client.Do(request, response); err != nil {
				response.SetStatusCode(http.StatusBadGateway)
				return
			}
			response.Header.Del("Connection")
		},
	}
	return server.ListenAndServe(address)
}

// goUpstream answers where nginx is not to be had.
func goUpstream(address string) error {
	server := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
		ctx.SetContentType("application/json")
		if string(ctx.Path()) == "/large" {
			ctx.SetBodyString(large)
			return
		}
		ctx.SetBodyString(answer)
	}}
	return server.ListenAndServe(address)
}

// startUpstream starts what answers: nginx, which takes the least of the machine, or fasthttp without it.
func startUpstream(ctx context.Context, dir string) (*process, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	var command *exec.Cmd
	if _, err := exec.LookPath("nginx"); err == nil {
		if err := os.WriteFile(filepath.Join(dir, "large"), []byte(large), 0o644); err != nil {
			return nil, err
		}
		if err := os.Chmod(dir, 0o755); err != nil { // its worker is another user
			return nil, err
		}
		command, err = nginxCommand(dir, "upstream", `keepalive_requests 1000000000; server { listen `+address+` backlog=4096;
			location /large { root `+dir+`; }
			location / { default_type application/json; return 200 '`+answer+`'; } }`)
		if err != nil {
			return nil, err
		}
	} else if command, _, err = child("upstream", func() string { return "" })(dir, address, ""); err != nil {
		return nil, err
	}
	return start(ctx, dir, "upstream", address, command)
}

// nginx is configured as a proxy that keeps connections, with one process, no log, and the fields that Perdure adds.
func nginx(dir, address, upstream string) (*exec.Cmd, string, error) {
	command, err := nginxCommand(dir, "nginx", `keepalive_requests 1000000000;
		upstream u { server `+upstream+`; keepalive 1024; keepalive_requests 1000000000; }
		server { listen `+address+` backlog=4096; location / {
			proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection "";
			proxy_set_header X-Real-IP $remote_addr; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
			proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $host;
			proxy_set_header X-Forwarded-Port $server_port; proxy_set_header X-Forwarded-Path $uri; } }`)
	return command, versionOf("nginx", "-v"), err
}

func nginxCommand(dir, name, http string) (*exec.Cmd, error) {
	if _, err := exec.LookPath("nginx"); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, name+".conf")
	err := os.WriteFile(file, []byte("worker_processes 1; daemon off; pid "+file+".pid; error_log "+file+".err;\n"+
		"events { worker_connections 8192; }\nhttp { access_log off; "+http+" }\n"), 0o600)
	return exec.Command("nginx", "-c", file), err
}

// haproxy runs with one thread, and keeps connections.
func haproxy(dir, address, upstream string) (*exec.Cmd, string, error) {
	if _, err := exec.LookPath("haproxy"); err != nil {
		return nil, "", err
	}
	file := filepath.Join(dir, "haproxy.cfg")
	host, port, err := net.SplitHostPort(upstream)
	if err != nil {
		return nil, "", err
	}
	err = os.WriteFile(file, []byte(`global
	nbthread 1
	maxconn 8192
defaults
	mode http
	timeout connect 5s
	timeout client 60s
	timeout server 60s
	option forwardfor
	http-reuse always
frontend f
	bind `+address+` backlog 4096
	default_backend b
backend b
	http-request set-header X-Forwarded-Proto http
	http-request set-header X-Forwarded-Host %[req.hdr(Host)]
	server u `+host+":"+port+` pool-max-conn -1
`), 0o600)
	return exec.Command("haproxy", "-f", file, "-db"), versionOf("haproxy", "-v"), err
}

func versionOf(program, flag string) string {
	out, _ := exec.Command(program, flag).CombinedOutput() // without it the field is empty
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}
