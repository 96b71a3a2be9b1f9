# `make` alone lists what can be made.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.7.0
LISTEN      := $(or $(PERDURE_LISTEN),localhost:8080)
CRASH_KILLS ?= 200
SOAK_EVENTS ?= 1000000
FUZZTIME    ?= 3s
GATEWAY_SOAK ?= 1m
# Engines and workloads of a bench run; see bench/README.md for all of them.
BENCH_FLAGS ?= -engines perdure -workloads seq,seq-steps,latency,fanout,human,replay,waiting

.PHONY: help
help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: run
run: ## Start the file approver; open the address it prints.
	@go build -buildvcs=false -o bin/fileapprover ./examples/fileapprover
	@echo "file approver: http://$(LISTEN)/ (Ctrl-C stops it)"
	@echo "accounts to sign in with: $(or $(PERDURE_DATA),perdure-data)/demo-accounts.json"
	@FILEAPPROVER_DEMO=1 exec bin/fileapprover

.PHONY: run-names
run-names: ## Start the names example, a live chart; open the address it prints.
	@go build -buildvcs=false -o bin/names ./examples/names
	@echo "names: http://$(or $(PERDURE_LISTEN),localhost:8081)/ (Ctrl-C stops it)"
	@exec bin/names

.PHONY: run-profile
run-profile: ## Beside "make run": a web application of its own that shows the claims of tokens; http://localhost:8083.
	@go run ./examples/profile

.PHONY: run-weather
run-weather: ## Start the weather example with a PostgreSQL of its own, entered without a password; http://localhost:8082.
	@scripts/weather.sh

.PHONY: check
check: fmt-check lint ## Fast checks while working: format, vet, lint, short tests.
	@go test -short ./...

.PHONY: test
test: ## Everything: lint, all tests with the race detector, 20 kills, browser, fuzz smoke, bench compiles.
	@scripts/setup.sh
	@scripts/test.sh

.PHONY: crash
crash: ## Kill the file approver and a vault, CRASH_KILLS times each (default 200), and check that nothing is lost.
	@CRASH_KILLS=$(CRASH_KILLS) go run ./test/crash
	@VAULT_KILLS=$(CRASH_KILLS) go test -count=1 -timeout 1h -run '^TestKill$$' -v ./test/vault

.PHONY: soak
soak: ## Send SOAK_EVENTS names (default 1000000) through the names example with three kills; abuse the gateway for GATEWAY_SOAK each way (1m).
	@go run ./test/soak -events $(SOAK_EVENTS)
	@GATEWAY_SOAK=$(GATEWAY_SOAK) go test -count=1 -timeout 2h -parallel 1 -run '^TestAbuse' -v ./gateway

.PHONY: bench
bench: ## Measure; BENCH_FLAGS chooses engines and workloads.
	@cd bench && go run . $(BENCH_FLAGS)

.PHONY: lint
lint: ## go vet, staticcheck and the import rules.
	@go vet ./...
	@go -C test/clients/kong vet ./...
	@go run $(STATICCHECK) ./...
	@go test ./internal/archtest

.PHONY: fmt
fmt: ## Format all Go files.
	@gofmt -s -w .

.PHONY: fmt-check
fmt-check:
	@unformatted=$$(gofmt -s -l .); if [ -n "$$unformatted" ]; then \
		echo "not formatted (run make fmt):"; echo "$$unformatted"; exit 1; fi

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME (default 3s).
	@FUZZTIME=$(FUZZTIME) scripts/fuzz.sh

.PHONY: setup
setup: ## Install what the tests need beside Go (Debian and Ubuntu).
	@scripts/setup.sh

.PHONY: clean
clean: ## Remove what was built; data folders are kept.
	@rm -rf bin
	@go clean -testcache
