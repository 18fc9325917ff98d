#!/usr/bin/env bash
# The crash simulation in release, ten thousand lives a run, four thousand histories of the index, and
# known bugs that they must find.
#
#   WEIR_INDEX_TRIALS=20000 Tests/Stages/30-crash.sh                         five minutes more of a core
#   WEIR_TRIALS=1000000 WEIR_INDEX_TRIALS=200000 Tests/Stages/30-crash.sh    a long night's worth
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
# Histories of the index, half of them on each of two cores.
half=$((${WEIR_INDEX_TRIALS:-4000} / 2))
tests=$(swift build --show-bin-path "${release_options[@]}")/weirPackageTests.xctest
for first in 1 $((half + 1)); do
    WEIR_SEED=$first WEIR_TRIALS=$half "$tests" --testing-library swift-testing \
        --filter IndexSimulation >"$log.index-$first" 2>&1 &
done
wait
for first in 1 $((half + 1)); do
    if line=$(grep -o 'index simulation: .*' "$log.index-$first") &&
        ! grep -q '✘' "$log.index-$first"; then
        echo "ok $line"
    else
        grep -E 'seed|Repeat' "$log.index-$first" | head -n 3
        echo "not ok index simulation: an answer is not what a walk over the log gives"
    fi
done
# Each mutant is a build of its own: some of them here, all by `tools/mutants`.
for patch in Tests/Mutants/*.patch; do
    git apply --check "$patch" ||
        echo "not ok mutant $(basename "$patch" .patch): the patch does not apply any more; make it anew"
done
tools/mutants unlisted-segments-left index-of-an-earlier-opening
