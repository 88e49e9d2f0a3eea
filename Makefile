# Every target is described behind ##; "make" alone lists them.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -X github.com/eino-qa/eino-qa/internal/app.Version=$(VERSION)
export CGO_ENABLED ?= 0

# Tools are pinned here and live in .bin, so that nothing of theirs is in go.mod.
GOLANGCI         := .bin/golangci-lint
GOLANGCI_VERSION := v2.15.0
VULN_VERSION     := v1.9.0

# Packages that hold a benchmark, a fuzz target, a golden file.
benches = $(shell grep -rl --include='*_test.go' '^func Benchmark' internal local functions 2>/dev/null | xargs -rn1 dirname | sort -u | sed 's,^,./,')
goldens = $(shell grep -rl --include='*_test.go' 'flag.Bool."update"' internal local functions 2>/dev/null | xargs -rn1 dirname | sort -u | sed 's,^,./,')
fuzzes  = $(shell grep -ro --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' internal local functions 2>/dev/null | sed 's,/[^/]*_test.go:func ,:,' | sort -u)

# $(call step,name,command) runs one step of the gate and says how long it took.
define step
	@printf '\n== %s\n' '$(1)'; begun=$$(date +%s); $(2) && printf '== %s: ok, %s s\n' '$(1)' $$(( $$(date +%s) - begun ))
endef

.PHONY: help
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# go build says nothing for minutes when the cache is cold, so a loop says how
# far it is. The background job is killed by hand because a shell without job
# control lets it outlive Ctrl+C.
.PHONY: bin/server
bin/server:
	@mkdir -p bin; log=bin/.build.log; : > $$log; \
	$(GO) build -v -trimpath -ldflags '-s -w $(LDFLAGS)' -o $@ ./local 2> $$log & pid=$$!; \
	trap 'kill $$pid 2>/dev/null; exit 130' INT TERM; \
	n=0; while kill -0 $$pid 2>/dev/null; do \
	  sleep 1; n=$$((n + 1)); \
	  if [ -t 2 ]; then [ $$n -lt 3 ] || printf '\rbuilding the server (minutes the first time): %s packages, %s s ' "$$(grep -vc '[ :]' $$log)" $$n >&2; \
	  elif [ $$((n % 15)) -eq 0 ]; then printf 'building the server (minutes the first time): %s packages, %s s\n' "$$(grep -vc '[ :]' $$log)" $$n >&2; fi; \
	done; \
	wait $$pid; code=$$?; \
	if [ -t 2 ] && [ $$n -ge 3 ]; then printf '\n' >&2; fi; \
	if [ $$code -ne 0 ]; then grep '[ :]' $$log | grep -v '^go: downloading' >&2; fi; \
	rm -f $$log; exit $$code

.PHONY: run
run: bin/server ## build the server and start it; .env is read, ARGS are passed on
	@exec ./bin/server $(ARGS)

.PHONY: build
build: bin/server ## build the server and the functions into bin/
	@$(foreach f,$(functions),echo 'bin/$(f)'; $(call function,$(f),bin/$(f)) || exit 1;)

# The functions, the tags each is built with (they leave out what it does not
# run; TAGS adds to them, as in TAGS=nomilvus), and where their versions stand.
functions := chat ingest admin health backup
tags_chat   := function,noingest,grpcnotrace
tags_ingest := function,nochat,grpcnotrace
tags_admin  := function,nochat,novectors
tags_health := function
tags_backup := function,nochat,noingest,novectors
# $(call function,name,out,more tags) builds one.
function = $(GO) build -tags 'lambda.norpc,$(tags_$(1))$(if $(TAGS)$(3),$(comma)$(or $(3),$(TAGS)))' -trimpath -buildvcs=false -ldflags '-s -w $(LDFLAGS) -X main.version=$(VERSION)' -o $(2) ./functions/$(1)
comma := ,

.PHONY: package
package: ## zip the functions for amd64 and arm64 into dist/; the same source, the same bytes
	@set -e; for arch in amd64 arm64; do \
	  $(foreach f,$(functions),echo 'dist/$(f) '$$arch; GOARCH=$$arch GOOS=linux $(call function,$(f),bin/linux_$$arch/$(f)); \
	  $(GO) run ./internal/serverless/pack dist/$$arch/$(f).zip bin/linux_$$arch/$(f);) \
	done
	@mkdir -p dist/lambda dist/fc; for f in $(functions); do cp dist/$(or $(ARCH),arm64)/$$f.zip dist/lambda/; cp dist/amd64/$$f.zip dist/fc/; done
	@cd dist && sha256sum amd64/*.zip arm64/*.zip | tee SHA256SUMS

.PHONY: package-twice
package-twice: package ## package HEAD once more from a fresh clone elsewhere, and compare the zips
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && git clone -q . "$$dir/elsewhere" && \
	$(MAKE) --no-print-directory -C "$$dir/elsewhere" package VERSION='$(VERSION)' ARCH='$(ARCH)' >/dev/null && \
	cmp dist/SHA256SUMS "$$dir/elsewhere/dist/SHA256SUMS" && echo 'the same source, the same bytes'

# Asked before minutes are spent on packing.
.PHONY: has-sam has-s
has-sam:
	@command -v sam >/dev/null || { echo 'the SAM CLI is missing: see docs/operations.md, Serverless' >&2; exit 2; }
has-s:
	@command -v s >/dev/null || { echo 'Serverless Devs is missing (npm install -g @serverless-devs/s): see docs/operations.md, Serverless' >&2; exit 2; }
	@for v in FC_ACCOUNT_ID QA_BUCKET QA_VPC QA_VSWITCH QA_SECURITY_GROUP QA_DOMAIN ROOT_KEY; do eval "test -n \"\$$$$v\"" || { echo "$$v is not set: the head of s.yaml says what it is" >&2; exit 2; }; done

.PHONY: deploy-aws
deploy-aws: has-sam package ## deploy template.yaml with the SAM CLI; ARGS are passed on (first: ARGS=--guided)
	sam deploy --template-file template.yaml --stack-name $(or $(STACK),eino-qa) --capabilities CAPABILITY_IAM \
	  --resolve-s3 --no-fail-on-empty-changeset --parameter-overrides Architecture=$(if $(filter amd64,$(ARCH)),x86_64,arm64) $(ARGS)

.PHONY: deploy-aliyun
deploy-aliyun: has-s package ## deploy s.yaml with Serverless Devs; ARGS are passed on. First: infra/aliyun/setup.sh
	s deploy -t s.yaml -y $(ARGS)

.PHONY: bench-cold
bench-cold: ## measure the cold starts of the functions beside a bare one; N (21) of each
	@$(foreach f,$(functions),$(call function,$(f),bin/bench/$(f)) && )true
	@$(call function,chat,bin/bench/chat-nomilvus,nomilvus)
	@$(GO) run ./internal/serverless/coldbench -n $(or $(N),21) -functions bin/bench

.PHONY: build-prod
build-prod: ## build bin/server for production: static, small, the same everywhere
	@mkdir -p bin
	$(GO) build -trimpath -ldflags '-s -w $(LDFLAGS)' -o bin/server ./local

.PHONY: run-model
run-model: bin/server ## run with a stand-in for the models of DashScope, to see them without a key
	@$(GO) build -o bin/standin ./internal/llm/llmtest/standin
	@./bin/standin -addr 127.0.0.1:9099 2>/dev/null & pid=$$!; trap "kill $$pid" EXIT; \
	  DASHSCOPE_BASE_URL=http://127.0.0.1:9099/compatible-mode/v1 DASHSCOPE_API_KEY=any DASHSCOPE_RERANK_MODEL=qwen3-rerank ./bin/server

.PHONY: test
test: ## run the tests
	$(GO) test -count=1 -timeout 20m ./...

.PHONY: check
check: $(GOLANGCI) ## the whole gate: modules, format, vet, lint, tests under the race detector, benchmarks once
	$(call step,go mod tidy,$(GO) mod tidy -diff)
	$(call step,go mod verify,$(GO) mod verify)
	$(call step,format,$(GOLANGCI) fmt --diff)
	$(call step,vet,$(GO) vet ./...)
	$(call step,lint,$(GOLANGCI) run)
	$(call step,benchmarks once,$(GO) test -run '^$$' -bench . -benchtime 1x -timeout 10m $(benches))
	$(call step,tests with -race,CGO_ENABLED=1 $(GO) test -race -shuffle=on -count=1 -vet=off -timeout 25m ./...)

.PHONY: bench
bench: ## run the benchmarks; with DATA=folder also on real documents
	$(GO) test -run '^$$' -bench . -benchmem -timeout 60m $(filter-out ./internal/e2e ./internal/logvfs $(if $(DATA),./internal/evaluate),$(benches))
	$(if $(DATA),$(GO) test -run '^$$' -bench . -benchmem -timeout 60m ./internal/evaluate -data '$(abspath $(DATA))')
	$(GO) test -run '^$$' -bench . -benchtime 1x -timeout 60m ./internal/logvfs -args -bench.mb=1024
	$(GO) test -run '^$$' -bench . -timeout 20m ./internal/e2e $(if $(DATA),-data '$(abspath $(DATA))')

.PHONY: fmt
fmt: $(GOLANGCI) ## format the code
	$(GOLANGCI) fmt

.PHONY: lint
lint: $(GOLANGCI) ## find faults without running anything
	$(GOLANGCI) run

.PHONY: cover
cover: ## measure what the tests reach; writes coverage.html
	$(GO) test -count=1 -timeout 30m -coverpkg=./internal/... -coverprofile=coverage.out ./...
	$(GO) tool cover -html=coverage.out -o coverage.html
	@$(GO) tool cover -func=coverage.out | tail -n 1

.PHONY: fuzz
fuzz: ## run each fuzz target for T (20s)
	@for f in $(fuzzes); do \
	  echo "== $$f"; $(GO) test -run '^$$' -fuzz "^$${f##*:}\$$" -fuzztime $(or $(T),20s) "./$${f%%:*}" || exit 1; \
	done

.PHONY: torture
torture: ## kill, stop, cut and race the storage for half an hour: KILLS (1200) over a folder and as many over S3, SEEDS (2000)
	$(GO) test -count=1 -v -timeout 240m ./internal/logvfs -args -crash.kills=$(or $(KILLS),1200) -crash.procs=5 \
	  -sim.seeds=$(or $(SEEDS),2000) -linear.ops=120000 -big
	$(GO) test -count=1 ./internal/commitlog ./internal/backup ./internal/tenant ./internal/objstore/...
	@for f in $(filter internal/commitlog:%,$(fuzzes)); do \
	  echo "== $$f"; $(GO) test -run '^$$' -fuzz "^$${f##*:}\$$" -fuzztime $(or $(T),60s) "./$${f%%:*}" || exit 1; \
	done

.PHONY: mutate
mutate: ## take each safety measure of the storage away and list the tests that notice (a quarter of an hour); ONLY=words picks
	$(GO) run ./internal/commitlog/mutate -only '$(ONLY)'

.PHONY: eval-intent
eval-intent: ## measure the routing of messages on the sets in the folder DATA
	@test -n '$(DATA)' || { echo 'usage: make eval-intent DATA=folder' >&2; exit 2; }
	@$(GO) run ./internal/intent/measure '$(DATA)'

.PHONY: eval
eval: ## measure the answers on the sets in the folder DATA
	@test -n '$(DATA)' || { echo 'usage: make eval DATA=folder' >&2; exit 2; }
	@$(MAKE) --no-print-directory bin/server >&2
	@./bin/server eval '$(DATA)'

.PHONY: eval-vectors
eval-vectors: ## the same with vectors of a small real model, words and vectors apart and together
	@test -n '$(DATA)' || { echo 'usage: make eval-vectors DATA=folder' >&2; exit 2; }
	@$(MAKE) --no-print-directory bin/server >&2
	@tools/minilm/eval '$(DATA)'

.PHONY: train-intent
train-intent: ## learn the weights of the intents from internal/intent/data
	$(GO) run ./internal/intent/train internal/intent

.PHONY: vuln
vuln: ## look up known faults of the modules (needs the network)
	$(GO) run golang.org/x/vuln/cmd/govulncheck@$(VULN_VERSION) ./...

.PHONY: golden
golden: ## write the golden files anew; review the difference
	$(GO) test -count=1 $(goldens) -update
	@git --no-pager diff --stat

.PHONY: tools
tools: $(GOLANGCI) ## install the pinned tools into .bin (minutes the first time)

# The file is younger than this Makefile, or is made again: the version stands here.
$(GOLANGCI): Makefile
	@if ! $@ version 2>/dev/null | grep -q '$(GOLANGCI_VERSION:v%=%) '; then \
	  echo 'installing golangci-lint $(GOLANGCI_VERSION) into .bin'; \
	  GOBIN='$(CURDIR)/.bin' $(GO) install -trimpath -ldflags '-s -w' github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION); \
	fi
	@touch $@

.PHONY: clean
clean: ## remove what was built and measured; data and tools stay
	rm -rf bin dist coverage.out coverage.html
