package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// nginx is configured as a proxy that keeps connections, with one process, no log, and the fields that Perdure adds. Tokens and
// limits are checked by gateway.lua.
func nginx(s *setup) (*exec.Cmd, string, error) {
	proxy := `proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection "";
		proxy_set_header X-Real-IP $remote_addr; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
		proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $host;
		proxy_set_header X-Forwarded-Port $server_port; proxy_set_header X-Forwarded-Path $uri; `
	head, locations := "", "location / { "+proxy+"}\n"
	modules := ""
	if s.JWT || s.Limit > 0 {
		key, err := os.ReadFile(s.KeyFile)
		if err != nil {
			return nil, "", err
		}
		if _, err := s.write("gateway.lua", gatewayLua); err != nil {
			return nil, "", err
		}
		limit := "nil"
		if s.Limit > 0 {
			limit = strconv.FormatInt(s.Limit, 10)
		}
		modules = "include /etc/nginx/modules-enabled/*.conf;\n"
		head = `lua_package_path "` + s.Dir + `/?.lua;/usr/share/lua/5.1/?.lua;;"; lua_shared_dict counters 10m;
			init_by_lua_block { gateway = require "gateway"; gateway.init{ jwt = ` + strconv.FormatBool(s.JWT) + `, limit = ` + limit + `, cached = ` + strconv.FormatBool(s.Cached) + `,
				issuer = "` + issuerName + `", id = "` + consumerID + `", username = "` + consumerName + `", key = [[` + string(key) + `]] } }
			`
		locations = `location / { access_by_lua_block { gateway.access() } ` + proxy
		if s.JWT {
			locations += `set $consumer_id ""; set $consumer_username ""; set $credential_identifier "";
				proxy_set_header X-Consumer-ID $consumer_id; proxy_set_header X-Consumer-Username $consumer_username;
				proxy_set_header X-Credential-Identifier $credential_identifier;
				proxy_set_header X-Consumer-Custom-ID ""; proxy_set_header X-Anonymous-Consumer ""; `
		}
		locations += "}\n"
	}
	if s.Routes > 0 {
		var b strings.Builder
		for n := range s.Routes {
			b.WriteString("location " + routePath(n) + " { " + proxy + "}\n")
		}
		locations = b.String() + "location / { return 404; }\n"
	}
	command, err := nginxCommand(s.Dir, modules, head+`keepalive_requests 1000000000;
		upstream u { server `+s.Upstream+`; keepalive 1024; keepalive_requests 1000000000; }
		server { listen `+s.Address+` backlog=4096; `+locations+` }`)
	return command, versionOf("nginx", "-v"), err
}

func nginxCommand(dir, modules, http string) (*exec.Cmd, error) {
	if _, err := exec.LookPath("nginx"); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "nginx.conf")
	err := os.WriteFile(file, []byte(modules+"worker_processes 1; daemon off; pid "+file+".pid; error_log "+file+".err;\n"+
		"events { worker_connections 8192; }\nhttp { access_log off; "+http+" }\n"), 0o600)
	return exec.Command("nginx", "-c", file), err
}

// haproxy runs with one thread, and keeps connections.
func haproxy(s *setup) (*exec.Cmd, string, error) {
	if _, err := exec.LookPath("haproxy"); err != nil {
		return nil, "", err
	}
	host, port, err := net.SplitHostPort(s.Upstream)
	if err != nil {
		return nil, "", err
	}
	var b strings.Builder
	b.WriteString(`global
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
	bind ` + s.Address + ` backlog 4096
`)
	who, kind := "src", "ip"
	if s.JWT {
		who, kind = "var(txn.id)", "string len 40"
		b.WriteString(`	http-request set-var(txn.bearer) http_auth_bearer
	http-request set-var(txn.iss) var(txn.bearer),jwt_payload_query('$.iss')
	http-request set-var(txn.now) date()
	acl rs256 var(txn.bearer),jwt_header_query('$.alg') -m str RS256
	acl known var(txn.iss) -m str ` + issuerName + `
	acl live var(txn.bearer),jwt_payload_query('$.exp','int'),sub(txn.now) -m int gt 0
	acl good var(txn.bearer),jwt_verify("RS256","` + s.KeyFile + `") -m int 1
	http-request return status 401 content-type application/json hdr WWW-Authenticate Bearer string "{\"message\":\"Unauthorized\"}" unless rs256 known live good
	http-request set-var(txn.id) str(` + consumerID + `)
	http-request set-header X-Consumer-ID ` + consumerID + `
	http-request set-header X-Consumer-Username ` + consumerName + `
	http-request set-header X-Credential-Identifier %[var(txn.iss)]
	http-request del-header X-Consumer-Custom-ID
	http-request del-header X-Anonymous-Consumer
`)
	}
	if s.Limit > 0 {
		limit := strconv.FormatInt(s.Limit, 10)
		b.WriteString(`	stick-table type ` + kind + ` size 100k expire 1h store http_req_rate(1h)
	http-request track-sc0 ` + who + `
	http-request set-var(txn.used) sc_http_req_rate(0)
	http-request set-var(txn.left) int(` + limit + `),sub(txn.used)
	http-request set-var(txn.into) date(),mod(3600)
	http-request set-var(txn.reset) int(3600),sub(txn.into)
	http-after-response set-header X-RateLimit-Limit-Hour ` + limit + `
	http-after-response set-header X-RateLimit-Remaining-Hour %[var(txn.left)]
	http-after-response set-header RateLimit-Limit ` + limit + `
	http-after-response set-header RateLimit-Remaining %[var(txn.left)]
	http-after-response set-header RateLimit-Reset %[var(txn.reset)]
	http-request return status 429 content-type application/json hdr Retry-After %[var(txn.reset)] string "{\"message\":\"API rate limit exceeded\"}" if { var(txn.left) -m int lt 0 }
`)
	}
	if s.Routes > 0 {
		var lines strings.Builder
		for n := range s.Routes {
			lines.WriteString(routePath(n) + " b\n")
		}
		file, err := s.write("routes.map", lines.String())
		if err != nil {
			return nil, "", err
		}
		b.WriteString("\thttp-request return status 404 unless { path,map_beg(" + file + ") -m found }\n\tuse_backend %[path,map_beg(" + file + ")]\n")
	} else {
		b.WriteString("\tdefault_backend b\n")
	}
	b.WriteString(`backend b
	http-request set-header X-Forwarded-Proto http
	http-request set-header X-Forwarded-Host %[req.hdr(Host)]
	server u ` + host + ":" + port + ` pool-max-conn -1
`)
	file, err := s.write("haproxy.cfg", b.String())
	return exec.Command("haproxy", "-f", file, "-db"), versionOf("haproxy", "-v"), err
}

// caddy is Caddy with two handlers of the bench: see ../testdata/caddy.
func caddy(s *setup) (*exec.Cmd, string, error) {
	binary, err := filepath.Abs(".tools/caddy")
	if err != nil {
		return nil, "", err
	}
	if _, err := os.Stat(binary); err != nil {
		return nil, "", fmt.Errorf("%w: run ./setup.sh", err)
	}
	type object = map[string]any
	var handlers []object
	if s.JWT {
		handlers = append(handlers, object{"handler": "bench_jwt", "key_file": s.KeyFile, "issuer": issuerName, "id": consumerID, "username": consumerName})
	}
	if s.Limit > 0 {
		handlers = append(handlers, object{"handler": "bench_limit", "limit": s.Limit})
	}
	handlers = append(handlers, object{
		"handler": "reverse_proxy", "upstreams": []object{{"dial": s.Upstream}},
		"transport": object{"protocol": "http", "compression": false, "keep_alive": object{"max_idle_conns": 1024, "max_idle_conns_per_host": 1024}},
	})
	routes := []object{{"handle": handlers}}
	if s.Routes > 0 {
		routes = nil
		for n := range s.Routes {
			routes = append(routes, object{"match": []object{{"path": []string{routePath(n) + "*"}}}, "handle": handlers, "terminal": true})
		}
		routes = append(routes, object{"handle": []object{{"handler": "static_response", "status_code": 404}}})
	}
	text, err := json.Marshal(object{
		"admin":   object{"disabled": true, "config": object{"persist": false}},
		"logging": object{"logs": object{"default": object{"level": "ERROR"}}},
		"apps": object{"http": object{"servers": object{"bench": object{
			"listen": []string{s.Address}, "automatic_https": object{"disable": true}, "protocols": []string{"h1"}, "routes": routes,
		}}}},
	})
	if err != nil {
		return nil, "", err
	}
	file, err := s.write("caddy.json", string(text))
	command := exec.Command(binary, "run", "--config", file)
	command.Env = append(os.Environ(), "HOME="+s.Dir)
	return command, versionOf(binary, "version"), err
}

func versionOf(program, flag string) string {
	out, _ := exec.Command(program, flag).CombinedOutput() // without it the field is empty
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

// startUpstream starts what answers: nginx, which takes the least of the machine, or fasthttp without it. What comes to /echo/ is
// told who asks.
func startUpstream(ctx context.Context, dir string) (*process, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	s := &setup{Dir: filepath.Join(dir, "upstream"), Address: address}
	if err := os.Mkdir(s.Dir, 0o755); err != nil {
		return nil, err
	}
	var command *exec.Cmd
	if _, err := exec.LookPath("nginx"); err == nil {
		if _, err := s.write("large", large); err != nil {
			return nil, err
		}
		if err := os.Chmod(dir, 0o755); err != nil { // its worker is another user
			return nil, err
		}
		command, err = nginxCommand(s.Dir, "", `keepalive_requests 1000000000; server { listen `+address+` backlog=4096;
			location /large { root `+s.Dir+`; }
			location /echo/ { return 200 "$http_x_consumer_id|$http_x_consumer_username|$http_x_credential_identifier|$http_x_forwarded_for"; }
			location / { default_type application/json; return 200 '`+answer+`'; } }`)
		if err != nil {
			return nil, err
		}
	} else if command, _, err = child("upstream")(s); err != nil {
		return nil, err
	}
	return start(ctx, s.Dir, address, command)
}
