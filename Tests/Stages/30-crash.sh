#!/usr/bin/env bash
# The crash simulation in release, ten thousand lives a run, four thousand histories of the index, and
# known bugs that they must find.
#
#   WEIR_INDEX_TRIALS=20000 Tests/Stages/30-crash.sh                         ten minutes more of a core
#   WEIR_TRIALS=1000000 WEIR_INDEX_TRIALS=200000 Tests/Stages/30-crash.sh    a long night's worth
source "$(dirname "$0")/expect.sh"
log=$WEIR_ROOT/.build/crash.log
if ! build_release_tests >"$log" 2>&1; then
    grep -E 'error: ' "$log" | head -n 5
    echo "not ok crash simulation: the tests do not build in release"
    exit 1
fi
# simulate SUITE TRIALS CLAIM: half of them on each of two cores.
simulate() {
    local half=$(($2 / 2)) first line
    for first in 1 $((half + 1)); do
        WEIR_SEED=$first WEIR_TRIALS=$half release_tests --filter "$1" >"$log.$1-$first" 2>&1 &
    done
    wait
    for first in 1 $((half + 1)); do
        if line=$(grep -o '[a-z]* simulation: .*' "$log.$1-$first") &&
            ! grep -q '✘' "$log.$1-$first"; then
            echo "ok $line"
        else
            grep -E 'seed|Repeat' "$log.$1-$first" | head -n 3
            echo "not ok $1: $3"
        fi
    done
}
simulate CrashSimulation "${WEIR_TRIALS:-10000}" "a promise does not hold"
simulate IndexSimulation "${WEIR_INDEX_TRIALS:-4000}" "an answer is not what a walk over the log gives"
# Each mutant is a build of its own: some of them here, all by `tools/mutants`.
for patch in Tests/Mutants/*.patch; do
    git apply --check "$patch" ||
        echo "not ok mutant $(basename "$patch" .patch): the patch does not apply any more; make it anew"
done
tools/mutants unlisted-segments-left index-of-an-earlier-opening
