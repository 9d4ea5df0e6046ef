#!/usr/bin/env bash
# Tries every mutation of the evaluator of policies (src/rules/iam): each must make a test fail.
# cargo-mutants does not follow code outside of a package, so the package is put together in a folder of its own.
# Arguments go to cargo mutants, such as: -F wildcard  or  --list
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${CAIRN_CACHE:-$HOME/.cache/cairn}
copy=$cache/mutants

command -v cargo-mutants >/dev/null || cargo install cargo-mutants --locked --version 27.1.0

rm -rf "$copy/package"
mkdir -p "$copy/package/src" "$copy/package/tests/fuzz/corpus"
cp "$here/Cargo.toml" "$here/Cargo.lock" "$copy/package/"
cp -r "$here/.cargo" "$copy/package/"
cp -r "$root/src/rules/iam" "$copy/package/src/iam"
cp -r "$root/tests/fuzz/corpus/decide" "$copy/package/tests/fuzz/corpus/decide"
echo 'pub mod iam;' > "$copy/package/src/lib.rs"

cd "$copy/package"
# Fewer random cases: what only chance catches is not caught.
export CARGO_TARGET_DIR="$cache/target-mutants" PROPTEST_CASES=${PROPTEST_CASES:-64}
exec cargo mutants --in-place --output "$copy" "$@"
