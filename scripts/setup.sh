#!/usr/bin/env bash
# Installs what the tests need beside Go, git and make. Only what is missing is
# installed, and only where that can be done without asking for a password;
# elsewhere the exact command is printed.
set -euo pipefail

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

if [ ${#packages[@]} -eq 0 ]; then
	exit 0
fi
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
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { "${as_root[@]}" apt-get update && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive $install; } >"$log" 2>&1; then
	cat "$log" >&2
	echo "setup: could not install; by hand: sudo $install" >&2
	exit 1
fi
