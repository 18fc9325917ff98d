#!/usr/bin/env bash
# The crash simulation in release, ten thousand lives a run, and the known bugs that it must find.
#
#   WEIR_TRIALS=1000000 Tests/Stages/30-crash.sh    a long night's worth
set -uo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../tools/lib.sh"
cd "$WEIR_ROOT" || exit 1
log=.build/crash.log
export WEIR_TRIALS=${WEIR_TRIALS:-10000}
if ! build_release_tests >"$log" 2>&1; then
    grep -E 'error: ' "$log" | head -n 5
    echo "not ok crash simulation: the tests do not build in release"
    exit 1
fi
release_tests --filter CrashSimulation >"$log" 2>&1
if line=$(grep -o 'crash simulation: .*' "$log") && ! grep -q '✘' "$log"; then
    echo "ok $line"
else
    grep -E 'seed|Repeat' "$log" | head -n 3
    echo "not ok crash simulation: a promise does not hold"
fi
tools/mutants
