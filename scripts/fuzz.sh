#!/usr/bin/env bash
# Runs every fuzz target of the module for FUZZTIME, one after another: a smoke
# test that finds what one careless change breaks. FUZZ_LIGHT leaves out the
# packages whose tests need everything there is, compiled anew for fuzzing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

count=0
while IFS=: read -r file target; do
	echo "fuzz $target in $(dirname "$file")"
	go test -run '^$' -fuzz "^${target}\$" -fuzztime "${FUZZTIME:-3s}" "./$(dirname "$file")" |
		grep -v '^fuzz: elapsed' || { echo "fuzz: $target failed" >&2; exit 1; }
	count=$((count + 1))
done < <(git ls-files --cached --others --exclude-standard '*_test.go' ':!bench' ${FUZZ_LIGHT:+':!cmd' ':!mail' ':(exclude,glob)*_test.go'} |
	xargs grep -oHE '^func Fuzz[A-Za-z0-9_]*' | sed 's/func //' | sort)
if [ "$count" -eq 0 ]; then
	echo "fuzz: no fuzz target found" >&2
	exit 1
fi
echo "fuzz: $count targets"
