# Every task of the project. `make` alone lists them; each one does its own set-up.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# Where it is set, each of the hundreds of processes that the tests start would compile everything.
unexport PYTHONDONTWRITEBYTECODE
# The theme advertises its successor in each build otherwise.
export NO_MKDOCS_2_WARNING := 1

VENV ?= .venv
BIN := $(VENV)/bin
TEST_PROCESSES ?= 2
PYTEST_ARGS ?=

# The stamps say what .venv holds; they are older than the files below when it must be renewed.
RUNTIME := $(VENV)/.has-runtime
COMPLETE := $(VENV)/.has-everything
DECLARED := pyproject.toml constraints.txt
# A published client that the tests drive and that cannot share our environment has its own.
CLIENTS := $(patsubst %,$(VENV)/clients/%/.is-complete,workflow cspark cspark-0.1 arkindex arkindex-0.4 scripts)

# From quick to slow; a failure of one does not hide the findings of the next.
CHECKS := lint format-check types imports tidy generated spelling docs-check

# hatchling builds the project in an environment of its own, which obeys the constraints too.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input \
	--constraint constraints.txt --build-constraint constraints.txt

.PHONY: help venv demo test check bench bench-buckets bench-pipelines bench-corpus bench-scripts bench-dashboard pictures docs constraints clean
.PHONY: lint format-check types imports tidy generated spelling docs-check

help: ## List these targets
	@echo "Longshore: make TARGET"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(COMPLETE) $(CLIENTS) ## Make the environment in .venv, with everything for development
	@echo "==> $(VENV) is ready: . $(BIN)/activate"

demo: $(RUNTIME) ## Read receipts with OCR, kill the worker three times, lose nothing, clean up
	@$(BIN)/longshore demo receipts --kills 3 --own-server

test: $(COMPLETE) $(CLIENTS) ## Run all tests
	@sh tools/browser.sh
	@echo "==> Running the tests in $(TEST_PROCESSES) processes"
	@$(BIN)/python -m pytest --quiet --numprocesses $(TEST_PROCESSES) --dist worksteal \
		--durations 10 $(PYTEST_ARGS)

check: $(COMPLETE) ## Run every check but the tests
	@$(MAKE) --keep-going $(CHECKS)
	@echo "==> All checks passed"

bench: $(COMPLETE) ## Run the benchmarks; RECEIPTS=DIR names the labelled receipts to read
	@echo "==> benchmarks/engine.py: some minutes, on SQLite and on PostgreSQL"
	@$(BIN)/python benchmarks/engine.py
	@echo "==> benchmarks/receipts.py"
	@$(BIN)/python benchmarks/receipts.py $(if $(RECEIPTS),--data "$(RECEIPTS)")

bench-buckets: $(COMPLETE) ## Measure work buckets beside eight other queues; QUICK=1 for one short round
	@echo "==> benchmarks/buckets.py: ten minutes, or two with QUICK=1; the peers live in $(VENV)/peers"
	@$(BIN)/python benchmarks/buckets.py --peers $(VENV)/peers $(if $(QUICK),--quick)

bench-pipelines: $(COMPLETE) ## Measure record pipelines beside a process pool, Dask and Ray; QUICK=1 for one round
	@echo "==> benchmarks/pipelines.py: ten minutes, or two with QUICK=1"
	@$(BIN)/python benchmarks/pipelines.py --peers $(VENV)/peers-records $(if $(QUICK),--quick)

bench-corpus: $(COMPLETE) ## Read receipts' lines with OCR, and measure the API of corpora; QUICK=1 for one round
	@echo "==> benchmarks/corpus.py: some minutes, or one with QUICK=1"
	@$(BIN)/python benchmarks/corpus.py $(if $(RECEIPTS),--data "$(RECEIPTS)") $(if $(QUICK),--quick)

bench-scripts: $(COMPLETE) ## Measure how soon steps begin after events, and how many fit into a minute; QUICK=1 for one round
	@echo "==> benchmarks/scripts.py: some minutes, or one with QUICK=1"
	@$(BIN)/python benchmarks/scripts.py $(if $(QUICK),--quick)

bench-dashboard: $(COMPLETE) ## Time each page of the dashboard with a million works; QUICK=1 for 100,000
	@echo "==> benchmarks/dashboard.py: some minutes for each database, or a few with QUICK=1"
	@$(BIN)/python benchmarks/dashboard.py $(if $(QUICK),--quick)

pictures: $(COMPLETE) ## Draw the pictures of the dashboard in the documentation anew
	@sh tools/browser.sh
	@LONGSHORE_PICTURES=1 $(BIN)/python -m pytest --quiet tests/browser

docs: $(COMPLETE) ## Write the generated reference pages and build the site into site/
	@echo "==> Writing the reference pages"
	@$(BIN)/python tools/reference.py
	@echo "==> Building the site"
	@$(BIN)/mkdocs build --quiet --strict
	@echo "    open site/index.html"

constraints: ## Renew constraints.txt: the newest of everything that works together
	@sh tools/constraints.sh

clean: ## Remove all that the targets made, the environment too
	@echo "==> Removing $(VENV), site/, dist/ and caches"
	@rm -rf "$(VENV)" site dist .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache .coverage
	@find src tests tools examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# The parts of `make check`.

lint: $(COMPLETE)
	@echo "==> Lint (ruff)"
	@$(BIN)/ruff check --quiet

format-check: $(COMPLETE)
	@echo "==> Format (ruff)"
	@$(BIN)/ruff format --quiet --check

types: $(COMPLETE)
	@echo "==> Types (mypy, strict)"
	@$(BIN)/mypy --no-error-summary

imports: $(COMPLETE)
	@echo "==> Who imports whom (import-linter)"
	@$(BIN)/lint-imports --no-logo > $(VENV)/imports.log 2>&1 || { cat $(VENV)/imports.log; exit 1; }

tidy: $(COMPLETE)
	@echo "==> Style that is a test (tidy)"
	@$(BIN)/python -m pytest --quiet --no-header tests/unit/test_tidy.py

generated: $(COMPLETE)
	@echo "==> Generated code and pages are up to date"
	@$(BIN)/python tools/unasync.py --check
	@$(BIN)/python tools/cawbs_alike.py --check
	@$(BIN)/python tools/reference.py --check

spelling: $(COMPLETE)
	@echo "==> Spelling (codespell)"
	@$(BIN)/codespell

docs-check: $(COMPLETE)
	@echo "==> The documentation builds without a warning (mkdocs)"
	@$(BIN)/mkdocs build --quiet --strict --site-dir $(VENV)/site

# The environment.

$(BIN)/python:
	@set -e; \
	for candidate in python3.11 python3.12 python3.13 python3; do \
		if $$candidate -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
			> /dev/null 2>&1; then chosen=$$candidate; break; fi; \
	done; \
	if [ -z "$$chosen" ]; then \
		echo "Longshore needs Python 3.11 or newer with the venv module, and found none." >&2; \
		echo "Install it (Debian, Ubuntu: apt install python3.11 python3.11-venv) and run make again." >&2; \
		exit 1; \
	fi; \
	echo "==> Making $(VENV) with $$($$chosen --version)"; \
	$$chosen -m venv "$(VENV)"; \
	$@ -m pip install --quiet --disable-pip-version-check --no-input --constraint constraints.txt pip

$(RUNTIME): $(DECLARED) | $(BIN)/python
	@echo "==> Installing Longshore with OCR (about a minute the first time)"
	@$(INSTALL) --editable '.[ocr,corpus]'
	@touch $@

$(COMPLETE): $(DECLARED) | $(BIN)/python
	@echo "==> Installing Longshore and all tools for development (a few minutes the first time)"
	@$(INSTALL) --editable '.[postgres,ocr,workbooks,dask,ray,parquet,corpus,otel,tui]' --group dev
	@touch $(RUNTIME) $@

$(CLIENTS): $(VENV)/clients/%/.is-complete: tests/clients/requirements-%.txt | $(BIN)/python
	@echo "==> Installing the published client $* in an environment of its own (some seconds)"
	@rm -rf "$(@D)"
	@$(BIN)/python -m venv "$(@D)"
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-input --requirement $<
	@touch $@
