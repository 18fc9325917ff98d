#!/usr/bin/env bash
# Tests that say something only of an optimised build, or take too long without the optimiser.
source "$(dirname "$0")/expect.sh"
log=.build/release.log
if ! build_release_tests >"$log" 2>&1; then
    grep -E 'error: ' "$log" | head -n 5
    echo "not ok release: the tests do not build in release"
    exit 1
fi

# check SUITE COUNT CLAIM: runs a suite, which must have so many tests.
check() {
    release_tests --filter "$1" >"$log" 2>&1
    if grep -q "with $2 tests in 1 suite passed" "$log"; then
        echo "ok $3"
    else
        grep '✘' "$log" | head -n 5
        echo "not ok $3: $1 failed, or has not $2 tests"
    fi
}

# Without the optimiser the compiler itself takes memory for values.
check AllocationTests 3 "neither appending nor reading takes memory a record"
check SimulationTests 4 "the adaptive window beats the fixed ones in all load patterns, for all seeds"
