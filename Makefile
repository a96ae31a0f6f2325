# Levada: what a user or a CI machine runs. Everything works on a plain Debian machine; what is missing is installed
# by scripts/setup-test-tools.sh (apt packages, a Python venv and jars under target/). No container engine is needed.
CARGO ?= $(shell command -v cargo || echo $(HOME)/.cargo/bin/cargo)
PYTEST = target/test-venv/bin/pytest
.DEFAULT_GOAL := help
.PHONY: help build demo test test-long test-rust test-foreign bench lint fmt clean-tools

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## the release binary, target/release/levada
	@scripts/setup-test-tools.sh build
	$(CARGO) build --release --locked --workspace

demo: ## moves a real package index file -> topic -> file, with a kill -9 half-way
	@scripts/setup-test-tools.sh demo
	$(CARGO) build --release --locked --workspace
	@scripts/demo.sh

test: ## everything CI runs: unit and integration tests, then foreign clients against the release binary
	@scripts/setup-test-tools.sh test
	$(CARGO) xtask tidy
	$(CARGO) test --locked --workspace
	$(CARGO) build --release --locked --workspace
	$(PYTEST) tests/foreign

test-long: ## more seeds, more kill -9 rounds, fuzz runs
	@scripts/setup-test-tools.sh test
	$(CARGO) test --locked --workspace -- --include-ignored
	$(CARGO) build --release --locked --workspace
	$(PYTEST) tests/foreign --rounds 10

test-rust: ## only the Rust tests
	@scripts/setup-test-tools.sh build
	$(CARGO) test --locked --workspace

test-foreign: ## only the foreign-client suites; ARGS go to pytest
	@scripts/setup-test-tools.sh test
	$(CARGO) build --release --locked --workspace
	$(PYTEST) tests/foreign $(ARGS)

bench: ## speed and memory, side by side with Apache Kafka and Connect
	@scripts/setup-test-tools.sh bench
	$(CARGO) build --release --locked --workspace
	@target/test-venv/bin/python bench/run.py $(ARGS)

lint: ## formatting, clippy, dependency direction and file sizes, dependency licences
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) xtask tidy
	@if command -v cargo-deny >/dev/null; then $(CARGO) deny --locked check bans licenses sources; else echo "lint: cargo-deny is not installed, its check was not run"; fi

fmt: ## formats the code
	$(CARGO) fmt --all

clean-tools: ## removes what setup-test-tools.sh put under target/
	rm -rf target/test-tools target/test-venv target/peers
