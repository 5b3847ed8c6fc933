# Everything works from a fresh clone with Go, make and a Debian or Ubuntu system.
SHELL := /bin/bash
GO ?= go
BIN := bin/gw
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME ?= 20s
ROUNDS ?= 5
SCENARIO ?= plain

.DEFAULT_GOAL := help
.PHONY: help run build release packages test check race fuzz bench pgo go

help: ## show this
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

go:
	@command -v $(GO) >/dev/null || { echo "Go is missing: install it from https://go.dev/dl/ (version $$(awk '/^go /{print $$2}' go.mod) or newer)"; exit 1; }

run: build ## build bin/gw and run it here: no configuration needed, etcd included
	$(BIN) run

build: go ## build bin/gw
	$(GO) build -trimpath -o $(BIN) ./cmd/gw

release: go ## build bin/gw with the compiler's profile: some minutes for a few per cent of user time
	$(GO) build -trimpath -pgo=bench/default.pgo -o $(BIN) ./cmd/gw

packages: ## install the Debian packages that the tests use, or say which are missing
	@.ci/packages

test: go packages ## run every test, those with the real binary too
	$(GO) test -timeout 30m ./...

check: go ## format, vet, staticcheck and the quick tests
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$unformatted" || { echo "gofmt -w $$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	$(GO) test -short ./core/... ./lb/... ./plugins/... ./cmd/...

race: go ## run the tests under the race detector
	$(GO) test -race -timeout 60m ./core/... ./lb/... ./plugins/... ./cmd/...

fuzz: go ## run each fuzz target for FUZZTIME (20s)
	@set -e; for pkg in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg 2>/dev/null | grep '^Fuzz' || true); do \
	    echo "== $$pkg $$target"; $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg; \
	  done; \
	done

bench: build ## measure CPU time per request beside nginx and HAProxy (installs nginx and wrk when missing)
	$(GO) run ./bench -gw $(BIN) -rounds $(ROUNDS) -scenario $(SCENARIO)

pgo: go ## make the compiler's profile anew, from a mix of requests through the whole data path
	$(GO) test -run '^$$' -bench Pipeline -benchtime 30s -cpu 4 -cpuprofile bench/default.pgo -o $$(mktemp -d)/test ./test/gateway
