# The two commands that need nothing but a bare Debian machine: `make run` and `make test`. `make help` lists all.
.DEFAULT_GOAL := help
.PHONY: help run test check format lock load sample-year bench bench-trust bench-pictures bench-exports fuzz conformity clean

ROOMS := $(wildcard config certs mailboxes teleexpertise gateway)
SOURCES := $(ROOMS) $(wildcard tests) scripts
BIN := .venv/bin
PYTEST_ARGS ?=
YEAR_ARGS ?=

help: ## this list
	@sed -n -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 20

run: ## install what is missing, then run an embedded deployment under ./var until Ctrl-C
	@scripts/install.sh run
	@exec $(BIN)/gateway run

test: ## install what is missing, then all tests in three processes (more options: PYTEST_ARGS='-k conversation')
	@scripts/install.sh test
	@exec $(BIN)/python -m pytest -n 3 --dist loadfile $(PYTEST_ARGS)

check: ## the gates: format, lint, types, import contracts, lengths, shell scripts
	@scripts/install.sh test
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy $(SOURCES)
	$(BIN)/lint-imports --no-cache
	$(BIN)/python scripts/gates.py $(SOURCES)
	@if command -v shellcheck >/dev/null; then shellcheck scripts/*.sh .ci/run; else echo "shellcheck: absent"; fi

format: ## rewrite the sources in the house format
	@scripts/install.sh test
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

lock: ## pin the dependencies anew, with hashes
	@scripts/lock.sh

load: ## many conversations at once; counts, and messages per second beside Postfix
	@scripts/install.sh test
	@exec $(BIN)/python -m tests.load

sample-year: ## a generated year of a region, its exports reckoned apart (YEAR_ARGS='--year 2022 --seed 7')
	@scripts/install.sh test
	@exec $(BIN)/python -m tests.year $(YEAR_ARGS)

bench: ## measurements of the parts
	@scripts/install.sh test
	@exec $(BIN)/python -m tests.bench

bench-trust: ## processor time of signing and verifying, beside openssl and the bare operations
	@scripts/install.sh test
	@exec $(BIN)/python -m tests.bench.trust

bench-pictures: ## a report of 40 photographs of 12 megapixels: seconds and memory
	@scripts/install.sh test
	@exec $(BIN)/python -m tests.bench.pictures

bench-exports: ## 100,000 conversations as CSV and XLSX: seconds and memory (part of bench)
	@scripts/install.sh test
	@exec $(BIN)/python -m tests.bench.exports

fuzz: ## a million inputs for what decides about trust, a minute for the other parsers
	@scripts/install.sh test
	@exec $(BIN)/python -m tests.fuzz

conformity: ## 200 generated reports and requests before the agency's rules (../shared/cda-validator)
	@scripts/install.sh test
	@exec $(BIN)/python -m tests.conformity

clean: ## remove the virtual environment and caches; ./var (mails, database) stays
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +
