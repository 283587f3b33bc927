# Each target is one step and can be run alone. `make test` runs them all, in one go, and counts.

# Debian keeps haproxy where only root looks, and cargo installs its tools into the home.
export PATH := $(PATH):/usr/sbin:$(HOME)/.cargo/bin
export SIGNAL_SCREENSHOTS ?= $(CURDIR)/target/screenshots

.PHONY: help test check parts format lints docs licences unit build scenes

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

test: ## everything, on a bare machine too; the last line says how many passed and failed
	@MAKE="$(MAKE)" signal/tests/tally need:parts check:format check:lints check:docs check:licences \
		cargo:unit need:build node:scenes

check: format lints docs licences ## what can be said without running anything

parts: ## install the real parts that the tests need, or say which are missing
	signal/tests/parts

format: ## the code is formatted
	cargo fmt --all --check

lints: ## clippy has nothing to say
	cargo clippy --workspace --all-targets -- -D warnings

docs: ## the documentation builds, private items too
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items

licences: ## every crate is one that we may use, from where we take crates
	cargo deny check bans licenses sources

unit: ## the tests in Rust: units, conformance, scenes over real sockets and Redis
	cargo test --workspace --no-fail-fast

build: ## the program of a node as it is shipped
	cargo build --release --package signal

image: ## the container image of the two services (deploy/Dockerfile)
	$(ENGINE) build --tag switchboard --file deploy/Dockerfile $(IMAGE_FLAGS) .

scenes: ## calls in real browsers, through the built node (target/release/signal, or SIGNAL_PROGRAM)
	cd signal/tests/browser && node --test --test-concurrency=1 --test-reporter=spec
