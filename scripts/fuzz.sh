#!/usr/bin/env bash
# Runs every fuzz target of the module for FUZZTIME: a smoke test that finds what
# one careless change breaks. Each package is compiled once, and two packages run
# at a time. FUZZ_IN names folders; default is all.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
corpus=$(go env GOCACHE)/fuzz/$(go list -m)
export work corpus FUZZTIME=${FUZZTIME:-3s}

# package DIRECTORY TARGET... fuzzes the targets of one package.
package() {
	local directory=$1 binary
	shift
	binary=$(mktemp "$work/XXXXXX.test")
	go test -c -fuzz=Fuzz -vet=off -ldflags=-w -o "$binary" "./$directory"
	cd "$directory"
	for target in "$@"; do
		local output
		if ! output=$("$binary" -test.run='^$' -test.fuzz="^$target\$" -test.fuzztime="$FUZZTIME" \
			-test.parallel=1 -test.fuzzcachedir="$corpus/$directory" 2>&1); then
			# An input that was being tried when the time ended is no failure: go fuzzing says so for slow targets.
			if grep -q 'Failing input' <<<"$output" || ! grep -q 'context deadline exceeded' <<<"$output"; then
				printf '%s\nfuzz: %s in %s failed\n' "$output" "$target" "$directory" >&2
				return 1
			fi
		fi
		echo "fuzz $target in $directory: $(grep -o 'execs: [0-9]*' <<<"$output" | tail -1)"
	done
	rm "$binary"
}
export -f package

# One line per package: its directory and its targets.
packages=$(git ls-files --cached --others --exclude-standard -- ${FUZZ_IN:-.} ':!bench' ':!test/clients/kong' | grep '_test\.go$' |
	sed 's|^|./|' | xargs grep -oHE '^func Fuzz[A-Za-z0-9_]*' | sed 's|/[^/]*:func | |' | sort |
	awk '$1 != last { printf "%s%s", (NR > 1 ? "\n" : ""), $1; last = $1 } { printf " %s", $2 } END { print "" }')
count=$(($(wc -w <<<"$packages") - $(wc -l <<<"$packages")))
if [ "$count" -eq 0 ]; then
	echo "fuzz: no fuzz target found" >&2
	exit 1
fi
xargs -P 2 -L 1 bash -euo pipefail -c 'package "$@"' fuzz <<<"$packages"
echo "fuzz: $count targets"
