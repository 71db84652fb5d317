# Everything that a contributor or a CI runs. `make help` explains the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Redis, busybox and Chromium for the tests, where the machine has none: see tests/fetch-programs.sh.
PROGRAMS := .cache/programs
CHECKOV := .cache/checkov
# HashiCorp's AWS provider, for the tests that apply: see tests/terraform/fetch_provider.py.
PROVIDER := .cache/provider
export PATH := $(CURDIR)/$(PROGRAMS)/bin:$(PATH)

HISTORIES ?= 1000
SEED ?= 0
# How many processes run tests at a time, each a file: they wait for servers more than they compute.
TESTERS ?= 3

.DEFAULT_GOAL := help
.PHONY: help up down test simulate check format bench package lock clean

help: ## Show this help
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | \
		awk -F '\t' '{ printf "  make %-9s %s\n", $$1, $$2 }'

up: $(VENV)/local ## Bring up a local cluster (AWS endpoint, ECS, six Redis servers) and show it
	@$(BIN)/redis-fargate local up

down: $(VENV)/local ## Stop the local cluster and remove everything it left
	@$(BIN)/redis-fargate local down

test: $(VENV)/dev $(PROGRAMS)/ready $(PROVIDER)/ready ## Run all tests
	$(BIN)/python -m pytest -n $(TESTERS) --dist loadfile --no-loadscope-reorder $(ARGS)

simulate: $(VENV)/dev ## Play HISTORIES of a model cluster with faults, seeds from SEED on
	$(BIN)/python -m tests.simulation --histories $(HISTORIES) --first $(SEED)

check: $(VENV)/dev $(CHECKOV)/ready ## Format, types, lint, imports, scripts, Terraform: what CI checks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/shellcheck node/*.sh tests/*.sh examples/*/*.sh .ci/run
	$(BIN)/python tests/terraform/run_terraform.py fmt -check -recursive
	$(CHECKOV)/bin/checkov --directory .

format: $(VENV)/dev ## Format the code and mend what the linter can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python tests/terraform/run_terraform.py fmt -recursive

bench: $(VENV)/dev $(PROGRAMS)/ready ## Measure, side by side with redis-cli, and print the figures
	$(BIN)/python -m benchmarks

package: $(VENV)/local ## Build the controller's Lambda package, dist/controller.zip
	@$(BIN)/python -m redis_fargate.local.package dist/controller.zip

lock: $(VENV)/dev ## Pin the newest versions of all dependencies, with their hashes
	$(LOCK) $(OURS) --extra local -o requirements/local.txt
	$(LOCK) $(OURS) --extra dev -c requirements/local.txt -o requirements/dev.txt
	$(LOCK) requirements/checkov.in -o requirements/checkov.txt
	$(LOCK) requirements/provider.in -o requirements/provider.txt

LOCK := $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-header --annotation-style line
# `build.in` names what an editable install is built with, which no extra does.
OURS := pyproject.toml requirements/build.in

clean: ## Remove what the other targets made
	rm -rf $(VENV) .cache dist build

# One environment; `dev` holds all that `local` does, in the same versions.
$(VENV)/local $(VENV)/dev: $(VENV)/%: requirements/%.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the pinned dependencies ($*) into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

$(CHECKOV)/ready: requirements/checkov.txt
	@$(PYTHON) -m venv --clear $(CHECKOV)
	@echo "Installing the pinned dependencies (checkov) into $(CHECKOV) ..."
	@$(CHECKOV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(PROGRAMS)/ready: tests/fetch-programs.sh tests/fetch-redis-8.sh
	@sh tests/fetch-redis-8.sh $(PROGRAMS)
	@sh tests/fetch-programs.sh $(PROGRAMS)

$(PROVIDER)/ready: requirements/provider.txt tests/terraform/fetch_provider.py | $(VENV)/dev
	@$(BIN)/python tests/terraform/fetch_provider.py $(PROVIDER)
