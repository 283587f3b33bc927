# Each target is one step and can be run alone. `make test` runs them all, in one go, and counts.

# Debian keeps haproxy where only root looks, and cargo installs its tools into the home.
export PATH := $(PATH):/usr/sbin:$(HOME)/.cargo/bin
export SIGNAL_SCREENSHOTS ?= $(CURDIR)/target/screenshots

# What builds the image: podman or docker.
ENGINE ?= $(firstword $(notdir $(shell command -v podman docker)) podman)

# So many tests are under way at once: most of what a test does is waiting.
TESTS_AT_ONCE ?= 8

# So many schedules are played by `make simulate`.
SCHEDULES ?= 1000000

.PHONY: help test check parts format lints docs licences unit simulate build scenes cluster image shipped deploy

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

test: ## everything, on a bare machine too; the last line says how many passed and failed
	@MAKE="$(MAKE)" signal/tests/tally need:parts check:format check:lints check:docs check:licences \
		cargo:unit need:build node:deploy check:shipped node:scenes

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
	cargo test --workspace --no-fail-fast -- --test-threads $(TESTS_AT_ONCE)

simulate: ## a cluster under faults that chance decides, SCHEDULES times (a million), each checked against what is promised
	SIMULATION_SCHEDULES=$(SCHEDULES) cargo test --release --package signal --lib -- --nocapture whatever_happens

build: ## the two services as they are shipped
	cargo build --release --package signal --package turn-auth

cluster: build ## haproxy with HTTPS, two nodes, Redis, coturn, turn-auth, Prometheus, on this machine, until Ctrl-C
	@setpriv --pdeathsig TERM deploy/cluster.mjs

deploy: ## the configurations in deploy/ are read by those whom they are for, and agree
	node --test --test-reporter=spec deploy/tests

shipped: ## the image, built also where none can be fetched to build it in (deploy/tests/image)
	deploy/tests/image

image: ## the container image `switchboard`, of the two services (deploy/Dockerfile)
	$(ENGINE) build --tag switchboard --file deploy/Dockerfile $(IMAGE_FLAGS) .

scenes: ## calls in real browsers, through the built node (target/release/signal, or SIGNAL_PROGRAM)
	cd signal/tests/browser && node --test --test-concurrency=1 --test-reporter=spec
