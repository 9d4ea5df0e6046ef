#!/usr/bin/env bash
# Runs every suite that shows what survives, and prints what they have done in all. `make proof` calls it.
#
# PROOF_ROUNDS (1) multiplies all counts; each can also be set by itself, as the variables below are named. Arguments are
# those of cargo. Where mounting is not allowed, power cuts and full disks are skipped, and the summary says so.
set -uo pipefail
cd "$(dirname "$0")/../.."
rounds=${PROOF_ROUNDS:-1}
export CAIRN_CRASH_SEEDS=${CAIRN_CRASH_SEEDS:-$((2 * rounds))}
export CAIRN_MODEL_SEQUENCES=${CAIRN_MODEL_SEQUENCES:-$((3000 * rounds))}
export CAIRN_KILL_ROUNDS=${CAIRN_KILL_ROUNDS:-$((40 * rounds))}
export CAIRN_MOVE_ROUNDS=${CAIRN_MOVE_ROUNDS:-$((12 * rounds))}
export CAIRN_EVENT_ROUNDS=${CAIRN_EVENT_ROUNDS:-$((20 * rounds))}
export CAIRN_POWER_CUTS=${CAIRN_POWER_CUTS:-$((25 * rounds))}
export CAIRN_EVENT_POWER_CUTS=${CAIRN_EVENT_POWER_CUTS:-$((10 * rounds))}
export CAIRN_DAMAGES=${CAIRN_DAMAGES:-$((300 * rounds))}

# The whole workspace: with fewer packages its dependencies have other features, and RocksDB is compiled anew.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0
run() {
  echo "--- $*"
  "$@" 2>&1 | tee -a "$log" || failed=1
}
run cargo test "$@" --workspace --lib -- --nocapture crash_tests
run cargo test "$@" --workspace --test crash --test faults --test races --test model -- --nocapture
run "${PYTEST:-pytest}" tests/durability -q -rs -s -p no:cacheprovider --timeout=$((900 * rounds))

echo
echo "=== in all, with PROOF_ROUNDS=$rounds"
grep -E "crash images of|images of [0-9]+ operations|single failures of|reads after a deletion|completed, [0-9]+ aborted|\
deleted, [0-9]+ written|sequences of|kills, |power cuts |rounds, |damages, all found|after [0-9]+ objects of" "$log" \
  | sed 's/^[. ]*/  /'
grep -E "^SKIPPED" "$log" | sed 's/^/  not run: /'
if [ $failed = 0 ]; then echo "no violation"; else echo "FAILED: see above" >&2; fi
exit $failed
