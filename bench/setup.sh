#!/bin/sh
# Installs what the bench needs besides Go: PostgreSQL, nginx with Lua, HAProxy, Restate's server, Temporal's development server,
# OpenBao and Caddy. It installs only what is missing and can be run again. What is not a system package goes to .tools beside this script.
set -eu
cd "$(dirname "$0")"
mkdir -p .tools

restate_version=1.7.12
temporal_cli_version=v1.9.1

if ! command -v postgres >/dev/null && ! ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1; then
	if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
		apt-get update
		DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postgresql
	else
		echo "PostgreSQL is missing; install it to use -store postgres" >&2
	fi
fi

if ! command -v haproxy >/dev/null || ! ls /usr/lib/nginx/modules/ngx_http_lua_module.so /usr/share/lua/5.1/resty/lrucache.lua /usr/lib/*/lua/5.1/cjson.so >/dev/null 2>&1; then
	if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
		apt-get update
		DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends haproxy nginx libnginx-mod-http-lua lua-resty-core lua-resty-lrucache lua-cjson
	else
		echo "HAProxy, or nginx with Lua, is missing; install them to compare the gateway" >&2
	fi
fi

restate=.tools/node_modules/@restatedev/restate-server-linux-x64/bin/restate-server
if ! "$restate" --version 2>/dev/null | grep -qx "restate-server $restate_version"; then
	if command -v npm >/dev/null; then
		# Its installation scripts only report to its maker that it was installed.
		npm install --prefix .tools --ignore-scripts --no-audit --no-fund --no-save \
			"@restatedev/restate-server@$restate_version"
	else
		echo "npm is missing; without it there is no Restate" >&2
	fi
fi

# Temporal's command cannot be installed by name, because its module has a replace directive. The development server is a
# package of that module, so a small program around it is built inside a copy of the module.
temporal=.tools/temporalserver
if [ "$(cat "$temporal.version" 2>/dev/null)" != "$temporal_cli_version" ] || [ ! -x "$temporal" ]; then
	module=$(go mod download -json "github.com/temporalio/cli@$temporal_cli_version" | sed -n 's/^\t"Dir": "\(.*\)",*$/\1/p')
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	cp -R "$module/." "$work"
	chmod -R u+w "$work"
	mkdir "$work/temporalserver"
	cp testdata/temporalserver/main.go "$work/temporalserver/"
	program=$(pwd)/$temporal
	(
		cd "$work"
		# The command line's own package is not part of the download, and the server does not use it.
		go mod edit -dropreplace github.com/temporalio/cli/cliext -droprequire github.com/temporalio/cli/cliext
		GOFLAGS=-mod=mod nice -n 10 go build -trimpath -ldflags='-s -w' -o "$program" ./temporalserver
	)
	echo "$temporal_cli_version" >"$temporal.version"
fi

# OpenBao cannot be installed by name either: the proxy has the commit of its version, and its module names the modules that it
# is made of by folders that are no part of the download.
openbao_version=v2.4.0
openbao_commit=v0.0.0-20250828202315-f9407a27fbee
bao=.tools/bao
if [ "$(cat "$bao.version" 2>/dev/null)" != "$openbao_version" ] || [ ! -x "$bao" ]; then
	module=$(go mod download -json "github.com/openbao/openbao@$openbao_commit" | sed -n 's/^\t"Dir": "\(.*\)",*$/\1/p')
	source=$(mktemp -d)
	trap 'rm -rf "${work:-}" "$source"' EXIT
	cp -R "$module/." "$source"
	chmod -R u+w "$source"
	program=$(pwd)/$bao
	(
		cd "$source"
		for part in api/v2 api/auth/approle/v2 api/auth/kubernetes/v2 api/auth/userpass/v2 sdk/v2; do
			go mod edit -dropreplace "github.com/openbao/openbao/$part"
		done
		GOFLAGS=-mod=mod nice -n 10 go build -trimpath -ldflags='-s -w' -o "$program" .
	)
	echo "$openbao_version" >"$bao.version"
fi

# Caddy with the two handlers of the bench is a program of its own module.
caddy_version=$(sed -n 's/^\tgithub.com\/caddyserver\/caddy\/v2 //p' testdata/caddy/go.mod)
caddy=$(pwd)/.tools/caddy
if [ "$(cat "$caddy.version" 2>/dev/null)" != "$caddy_version" ] || [ "$caddy" -ot testdata/caddy/main.go ]; then
	(cd testdata/caddy && nice -n 10 go build -trimpath -ldflags='-s -w' -o "$caddy" .)
	echo "$caddy_version" >"$caddy.version"
fi
