# `make` lists the commands. Everything that is built or downloaded goes to ~/.cache/cairn, outside the clone, so that
# a second clone starts warm. There is one profile, release: RocksDB's C++ takes about half an hour for each.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.NOTPARALLEL:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

CAIRN_CACHE ?= $(HOME)/.cache/cairn
CARGO_TARGET_DIR ?= $(HOME)/.cache/cairn/target
export CAIRN_CACHE CARGO_TARGET_DIR

# s3s declares a newer Rust than it needs; Cargo.toml says more.
FLAGS := --release --ignore-rust-version
BINARY := $(CARGO_TARGET_DIR)/release/cairn
VENV := $(CAIRN_CACHE)/venv
JS := tests/clients/js
RUST_NEEDED := 1.95

# Behind a program's own arguments: make run ARGS='--listen 0.0.0.0:9000', make test-clients ARGS='-k restic'.
ARGS ?=

.PHONY: help
help: ## this list
	@echo "Cairn: S3-compatible object storage. The two commands that matter are run and test."
	echo
	sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|'
	echo
	echo "The first build compiles RocksDB: about half an hour on two cores, once. It is kept in $(CARGO_TARGET_DIR)."
	echo "Options go in ARGS:  make run ARGS='--listen 0.0.0.0:9000'   make test-clients ARGS='-k restic'"

.PHONY: run
run: build ## build, then serve S3 on port 9000 from ./data; prints the credentials and an example
	@exec $(BINARY) serve --data ./data $(ARGS)

.PHONY: build
build: build-tools ## build the server
	@cargo build $(FLAGS)

.PHONY: test
test: check test-rust test-clients ## everything that CI runs: check, test-rust, test-clients

.PHONY: check
check: build-tools ## formatting and lints
	@for component in fmt:rustfmt clippy:clippy; do
	  cargo $${component%:*} --version >/dev/null 2>&1 && continue
	  command -v rustup >/dev/null || { echo "cargo $${component%:*} is missing: install $${component#*:}"; exit 1; }
	  rustup component add $${component#*:}
	done
	cargo fmt --all --check
	cargo clippy $(FLAGS) --workspace --all-targets -- -D warnings

.PHONY: test-rust
test-rust: build-tools ## unit, property, model, crash and wire tests in Rust
	@cargo test $(FLAGS) --workspace $(if $(ARGS),-- $(ARGS))

PROOF_ROUNDS ?= 1
.PHONY: proof
proof: build test-tools venv ## what shows that nothing is lost: crash images, errors, races, kills, power cuts, full disks, damages
	@export PYTHONDONTWRITEBYTECODE=1 PROOF_ROUNDS
	CAIRN_BINARY=$${CAIRN_BINARY:-$(BINARY)} PYTEST=$(VENV)/bin/pytest tests/durability/proof.sh $(FLAGS)

.PHONY: test-clients
test-clients: build test-tools venv node-modules ## the real server under real clients: aws, boto3, restic, rclone, s3cmd, ...
	@export PYTHONDONTWRITEBYTECODE=1
	CAIRN_BINARY=$${CAIRN_BINARY:-$(BINARY)} $(VENV)/bin/pytest tests $(ARGS)

.PHONY: test-sdk-rust
test-sdk-rust: build venv ## the AWS SDK for Rust against the real server (compiles it, some minutes)
	@cargo build --quiet --manifest-path tests/sdk_rust/Cargo.toml --target-dir $(CAIRN_CACHE)/sdk_rust
	export PYTHONDONTWRITEBYTECODE=1
	CAIRN_BINARY=$${CAIRN_BINARY:-$(BINARY)} $(VENV)/bin/python tests/sdk_rust/run.py $(CAIRN_CACHE)/sdk_rust/debug/sdk_rust

.PHONY: bench
bench: build ## measure PUT, GET, HEAD, LIST, DELETE end to end beside the machine's raw limits
	@cargo bench --profile release --ignore-rust-version --bench end_to_end $(if $(ARGS),-- $(ARGS))

.PHONY: bench-events
bench-events: build venv ## measure what events cost: PUTs without a webhook, with a dead and with a healthy one
	@$(VENV)/bin/python benches/events.py "$$(cargo bench --profile release --ignore-rust-version --bench end_to_end --no-run --message-format json 2>/dev/null | sed -n 's/.*"executable":"\([^"]*end_to_end[^"]*\)".*/\1/p')" $(ARGS)

# The policies' user is made by boto3, of the tests' venv.
.PHONY: bench-instructions
bench-instructions: build venv ## count the server's instructions for one GET and one PUT, alone and with what policies, logs and events add (needs valgrind)
	@CAIRN_BINARY=$${CAIRN_BINARY:-$(BINARY)} $(VENV)/bin/python benches/instructions.py $(ARGS)

.PHONY: bench-authorization
bench-authorization: build ## time decisions over a user's policies, alone and in small GETs beside root's
	@cargo bench --profile release --ignore-rust-version --bench authorization
	cargo bench --profile release --ignore-rust-version --bench end_to_end -- policies --seconds 2 $(ARGS)

.PHONY: mutants
mutants: ## try every mutation of the evaluator of policies: each must make a test fail (a quarter of an hour)
	@tests/evaluator/mutants.sh $(ARGS)

# Installs the Debian packages named in the Bash array `missing`, or says who must.
define install_missing
if [ $${#missing[@]} -gt 0 ]; then
  if [ "$$(id -u)" = 0 ]; then sudo=""; else sudo="sudo -n"; fi
  if command -v apt-get >/dev/null && $$sudo true 2>/dev/null; then
    echo "installing: $${missing[*]}"
    $$sudo apt-get update -qq || true
    $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$${missing[@]}"
  else
    echo "Please install what these Debian packages hold, then run make again: $${missing[*]}" >&2
    exit 1
  fi
fi
endef

# The servers that events are sent to. The tests start them themselves, so the packages' own must not run; tests whose
# server cannot be installed are skipped.
define install_brokers
brokers=()
export PATH="$$PATH:/usr/sbin"
command -v rabbitmq-server >/dev/null || brokers+=(rabbitmq-server)
command -v mosquitto >/dev/null || brokers+=(mosquitto)
command -v redis-server >/dev/null || brokers+=(redis-server)
compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || brokers+=(postgresql)
if [ $${#brokers[@]} -gt 0 ]; then
  if [ "$$(id -u)" = 0 ]; then sudo=""; else sudo="sudo -n"; fi
  if command -v apt-get >/dev/null && $$sudo true 2>/dev/null; then
    echo "installing: $${brokers[*]}"
    # Debian's way to say that services are not to be started.
    policy=/usr/sbin/policy-rc.d
    if [ -e $$policy ]; then policy=""; else printf '#!/bin/sh\nexit 101\n' | $$sudo install -m 755 /dev/stdin $$policy; fi
    $$sudo apt-get update -qq || true
    $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$${brokers[@]}" \
      || echo "not everything could be installed; the tests that need it are skipped" >&2
    if [ -n "$$policy" ]; then $$sudo rm -f $$policy; fi
  else
    echo "not installed, and so not tested: $${brokers[*]}" >&2
  fi
fi
endef

.PHONY: build-tools
build-tools:
	@missing=()
	command -v cc >/dev/null && command -v c++ >/dev/null || missing+=(build-essential)
	# OpenSSL, for Kafka's client, is configured by a Perl script.
	command -v perl >/dev/null || missing+=(perl)
	# bindgen, in RocksDB's crate, wants libclang and Clang's own headers.
	if [ -z "$${LIBCLANG_PATH:-}" ]; then
	  compgen -G '/usr/lib*/llvm*/lib/clang/*/include/stddef.h' >/dev/null || compgen -G '/usr/lib*/clang/*/include/stddef.h' >/dev/null \
	    || missing+=(libclang-dev)
	fi
	$(install_missing)
	if ! command -v cargo >/dev/null; then
	  echo "Rust is missing: https://rustup.rs tells how to install it. Cairn needs $(RUST_NEEDED) or newer." >&2
	  exit 1
	fi
	found=$$(rustc --version | cut -d ' ' -f 2)
	if [ "$$(printf '%s\n' $(RUST_NEEDED) "$$found" | sort -V | head -n 1)" != $(RUST_NEEDED) ]; then
	  echo "Rust $$found is too old, Cairn needs $(RUST_NEEDED): rustup update stable" >&2
	  exit 1
	fi

.PHONY: test-tools
test-tools:
	@missing=()
	PATH="$$PATH:/usr/sbin:/sbin"
	for command in restic curl openssl diff:diffutils mkfs.ext4:e2fsprogs mkfs.xfs:xfsprogs python3; do
	  command -v $${command%:*} >/dev/null || missing+=($${command#*:})
	done
	python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
	command -v chromium >/dev/null || command -v google-chrome >/dev/null || missing+=(chromium)
	$(install_missing)
	$(install_brokers)

# The pinned clients, Node.js among them. Made anew when tests/requirements.txt changes.
.PHONY: venv
venv: test-tools
	@wanted=$$(sha256sum < tests/requirements.txt)
	if [ "$$(cat $(VENV)/made-from 2>/dev/null)" != "$$wanted" ]; then
	  echo "making $(VENV)"
	  rm -rf $(VENV)
	  python3 -m venv $(VENV)
	  $(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r tests/requirements.txt
	  echo "$$wanted" > $(VENV)/made-from
	fi

.PHONY: node-modules
node-modules: venv
	@wanted=$$(sha256sum < $(JS)/package-lock.json)
	if [ "$$(cat $(JS)/node_modules/made-from 2>/dev/null)" != "$$wanted" ]; then
	  export PATH="$(VENV)/bin:$$PATH"
	  npm ci --prefix $(JS) --ignore-scripts --no-audit --no-fund --silent
	  echo "$$wanted" > $(JS)/node_modules/made-from
	fi
