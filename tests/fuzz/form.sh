#!/usr/bin/env bash
# Fuzzes the reader of forms, as cargo-fuzz would; see Cargo.toml. Arguments are libFuzzer's.
set -euo pipefail
cd "$(dirname "$0")"
export RUSTC_BOOTSTRAP=1
coverage=(-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
  -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares
  -Cllvm-args=-sanitizer-coverage-stack-depth)
export RUSTFLAGS="${coverage[*]} --cfg fuzzing -Zsanitizer=address -Cdebug-assertions -Ccodegen-units=1"
exec cargo run --release --ignore-rust-version --target "$(rustc -vV | sed -n 's/^host: //p')" --features form --bin form -- \
  corpus/form -max_len=65536 -timeout=5 "$@"
