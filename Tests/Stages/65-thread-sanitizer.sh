#!/usr/bin/env bash
# The tests of what many threads and tasks do at once, under ThreadSanitizer.
#
#   WEIR_CYCLES=100000 Tests/Stages/65-thread-sanitizer.sh    more cancelled consumers than CI's 1,000
source "$(dirname "$0")/expect.sh"
mkdir -p .build
log=.build/thread-sanitizer.log
export TSAN_OPTIONS="suppressions=$WEIR_ROOT/Tests/Stages/thread-sanitizer.suppressions"
suites='ConsumerTests|CancellationTests|ConcurrencyTests|FeedFailureTests|SubscriptionTests|GateTests|ControlTests'
suites+='|ConsumerGroupTests|CursorTests|CompactionTests|CompactionLoadTests|QuotaTests|BackupRaceTests'
suites+='|RetentionTests|ThreadPoolTests|TimersTests|TenureTests|FlowTests|CursorGateTests'
suites+='|ProducerTests|StoreQuotaTests|LookTests|IndexFeedingTests|IndexTroubleTests|KeyFeedTests'
suites+='|LiveSettingsTests|PartitionedStreamTests|MergeTests'
export WEIR_COMPACTION_SECONDS=2 WEIR_BACKUP_APPENDS=150
# The tests' own stage has 10,000; each is twenty times slower here, and races as the first ones do.
export WEIR_CYCLES=${WEIR_CYCLES:-1000}
options=(--sanitize=thread --scratch-path .build-tsan)
if ! swift build --build-tests "${options[@]}" >"$log" 2>&1; then
    grep -E 'error: ' "$log" | head -n 5
    echo "not ok thread sanitizer: the tests do not build with it; see $log"
    exit 1
fi
# A suite that was renamed would leave without a word.
swift test list --skip-build --disable-xctest "${options[@]}" >"$log" 2>&1
for suite in ${suites//|/ }; do
    grep -q "\.$suite/" "$log" && continue
    echo "not ok thread sanitizer: no test is of $suite; mend the list in this stage"
    exit 1
done
swift test --skip-build --disable-xctest "${options[@]}" --filter "\.($suites)/" >"$log" 2>&1
status=$?
races=$(grep -c 'WARNING: ThreadSanitizer' "$log")
tests=$(grep -oE 'Test run with [0-9]+ tests' "$log" | grep -oE '[0-9]+')
if [ "$races" -gt 0 ]; then
    grep -A 12 -m 1 'WARNING: ThreadSanitizer' "$log"
    echo "not ok thread sanitizer: $races reports; see $log"
elif [ $status -ne 0 ] || [ "${tests:-0}" -eq 0 ]; then
    grep -E '^✘' "$log" | head -n 5
    echo "not ok thread sanitizer: ended with status $status after ${tests:-0} tests; see $log"
else
    echo "ok ThreadSanitizer has nothing to say about $tests tests"
fi
exit 0
