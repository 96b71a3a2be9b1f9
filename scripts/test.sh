#!/usr/bin/env bash
# The whole test run, one step after another; the first that fails ends it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Groups of tests that need a browser or another program fail instead of
# being skipped when it is missing.
export PERDURE_TEST_ALL=1

# Programs with the race detector wait a second before they end, which adds up.
export GORACE=atexit_sleep_ms=0

# step NAME COMMAND... runs the command and prints how long it took.
step() {
	local name=$1 start=$SECONDS
	shift
	echo "=== $name"
	if ! "$@"; then
		echo "=== $name: FAILED" >&2
		exit 1
	fi
	echo "=== $name: ok ($((SECONDS - start)) s)"
}

# Vet is part of the lint. The report shows one line per package, the output of what failed, and fails
# on a skipped test.
tests() {
	CGO_ENABLED=1 go test -race -vet=off -json -timeout 15m ./... | go run ./scripts/testreport
}

step "format" make fmt-check
step "lint" make lint
step "tests" tests
# With the race detector the step before takes a sample of the cuts.
step "power loss" go test -count=1 -run '^TestPowerLoss$' ./examples/fileapprover
step "allocations" go test -count=1 -run '^TestNothingIsAllocated$' \
	./gateway/internal/proxy ./gateway/internal/balance ./gateway/internal/observe ./gateway/internal/plugin/canary
# A module of its own: what Kong's tools need is much.
step "Kong's clients" env CGO_ENABLED=1 go -C test/clients/kong test -race -count=1 ./...
step "failpoints" go test -tags failpoint ./internal/failpoint
step "crash" env CRASH_KILLS=20 go run ./test/crash
# A smoke where what outsiders send is read first; the seeds of all targets were part of the tests. make fuzz looks everywhere, and longer.
step "fuzz" env FUZZTIME=1s FUZZ_IN="auth internal/history gateway/internal/h1" scripts/fuzz.sh
step "bench compiles" go -C bench vet ./...
echo "all tests passed in $SECONDS s"
