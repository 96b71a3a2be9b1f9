#!/usr/bin/env bash
# Installs what the tests need beside Go, git and make. Only what is missing is
# installed, and only where that can be done without asking for a password;
# elsewhere the exact command is printed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT
packages=()
# need COMMAND PACKAGE... asks for the packages when the command is not there.
need() {
	local command=$1
	shift
	if ! command -v "$command" >/dev/null 2>&1; then
		packages+=("$@")
	fi
}

if ! command -v go >/dev/null 2>&1; then
	echo "setup: Go is missing: install it from https://go.dev/dl/" >&2
	exit 1
fi
need gcc gcc libc6-dev # the race detector links with cgo
need tesseract tesseract-ocr # text in images
if ! command -v google-chrome >/dev/null 2>&1; then
	need chromium chromium fonts-liberation # the page's tests
fi
need node nodejs # Azurite
need npm npm
need openssl openssl # checks certificates
# A database server; Debian keeps its programs off the path.
if ! command -v initdb >/dev/null 2>&1 && ! compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null; then
	packages+=(postgresql)
fi

install_packages() {
	local install as_root
	install="apt-get install -y --no-install-recommends ${packages[*]}"
	as_root=()
	if [ "$(id -u)" -ne 0 ]; then
		as_root=(sudo -n)
	fi
	if ! command -v apt-get >/dev/null 2>&1 || ! "${as_root[@]}" true 2>/dev/null; then
		echo "setup: missing: ${packages[*]}" >&2
		echo "setup: install them, on Debian with: sudo $install" >&2
		exit 1
	fi
	echo "setup: installing ${packages[*]}"
	# The tests have clusters of their own: Debian's is neither made nor started.
	if [[ " ${packages[*]} " == *" postgresql "* ]] && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
		"${as_root[@]}" mkdir -p /etc/postgresql-common
		echo "create_main_cluster = false" | "${as_root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
	fi
	if ! { "${as_root[@]}" apt-get update && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive $install; } >"$log" 2>&1; then
		cat "$log" >&2
		echo "setup: could not install; by hand: sudo $install" >&2
		exit 1
	fi
}

# The emulator of Azure Blob Storage is kept beside the sources, out of git.
install_azurite() {
	local version=3.35.0 folder=.cache/azurite
	if grep -qs "\"version\": \"$version\"" "$folder/node_modules/azurite/package.json"; then
		return
	fi
	echo "setup: installing azurite $version"
	mkdir -p "$folder"
	if ! npm install --prefix "$folder" --no-save --no-audit --no-fund --omit=dev "azurite@$version" >"$log" 2>&1; then
		cat "$log" >&2
		echo "setup: could not install azurite; by hand: npm install --prefix $folder azurite@$version" >&2
		exit 1
	fi
}

if [ ${#packages[@]} -gt 0 ]; then
	install_packages
fi
install_azurite
