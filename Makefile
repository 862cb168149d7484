.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format bench bench-full faults clean

DURATION ?= 30
REPORT ?=
HTML ?=
ARGS ?=
ONLY ?=
SEED ?= 1
JOBS ?= 2
RESUME ?=

CHECKED := $(wildcard daemon simulator tests benchmarks)

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install what is missing: .venv, mosquitto, PostgreSQL with TimescaleDB
	@scripts/setup

demo: setup ## Run the whole stack for DURATION seconds (30; 0 = until Ctrl-C); REPORT=file.json, HTML=file.html
	@.venv/bin/penstock demo --duration $(DURATION) $(if $(REPORT),--report '$(REPORT)') \
	    $(if $(HTML),--html '$(HTML)')

test: setup ## Run all the tests; ARGS goes to pytest
	.venv/bin/python -m pytest $(ARGS)

lint: setup ## Check style, types and import contracts
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy $(CHECKED)
	.venv/bin/lint-imports

format: setup ## Format the code and mend what ruff can mend
	.venv/bin/ruff check --fix-only
	.venv/bin/ruff format

bench: setup ## Measure against the broker's own rate; REPORT=file.json
	.venv/bin/python -m benchmarks $(if $(REPORT),--report '$(REPORT)')

bench-full: setup ## Run all benchmarks, and write docs/benchmarks.md; REPORT=file.json
	.venv/bin/python -m benchmarks --full --docs $(if $(REPORT),--report '$(REPORT)')

faults: setup ## Break Penstock in every way, for half an hour; ONLY=9, SEED=1, RESUME=1, REPORT=file.json
	.venv/bin/python -m tests.faults --seed $(SEED) --jobs $(JOBS) \
	    $(if $(ONLY),--only $(ONLY)) $(if $(RESUME),--resume) $(if $(REPORT),--report '$(REPORT)')

clean: ## Remove everything that setup and the tools made here; system packages stay
	rm -rf .venv .sandbox .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache \
	    build dist reports
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
