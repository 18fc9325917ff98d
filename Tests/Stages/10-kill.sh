#!/usr/bin/env bash
# Kills a writer with -9 at random moments and holds what is left against an outside journal of its
# acknowledgements: every acknowledged record is there, in its place, unchanged.
#
#   WEIR_KILLS=1000 Tests/Stages/10-kill.sh     more rounds than CI's 100
source "$(dirname "$0")/expect.sh"
rounds=${WEIR_KILLS:-100}
need_weir

lost=0 torn=0 next=0 tails=0
seq 1 2000000 >"$work/numbers"
"$weir" create s --compression auto || exit 1
for ((round = 1; round <= rounds; round++)); do
    : >"$work/acks"
    # The values are their own offsets, so that a shifted or doubled record shows as well.
    "$weir" append s - --batch $((RANDOM % 50 + 1)) --acks \
        < <(tail -n +"$next" "$work/numbers" 2>/dev/null || true) >"$work/acks" 2>"$work/err" &
    writer=$!
    wanted=$((RANDOM % 60 + 1))
    until [ "$(wc -l <"$work/acks")" -ge $wanted ] || ! kill -0 $writer 2>/dev/null; do :; done
    kill -9 $writer 2>/dev/null
    wait $writer 2>/dev/null
    grep -q 'unacknowledged tail' "$work/err" && tails=$((tails + 1))
    last=$(grep '}$' "$work/acks" | tail -n 1 | grep -o '"last":[0-9]*' | cut -d: -f2)
    "$weir" read s >"$work/values" 2>"$work/read.err" || { cat "$work/read.err"; torn=$((torn + 1)); }
    count=$(wc -l <"$work/values")
    if [ -n "$last" ] && [ "$count" -le "$last" ]; then
        echo "round $round: offset $last was acknowledged, and $count records are there"
        lost=$((lost + 1))
    fi
    # Offsets from 0, values from 0: each line is its own number.
    if ! awk '{ if ($1 != NR) { print "record " NR - 1 " is " $1; exit 1 } }' "$work/values"; then
        torn=$((torn + 1))
        break
    fi
    next=$((count + 1))
done
if [ $lost -eq 0 ]; then echo "ok $rounds kills lose nothing acknowledged ($count records, $tails torn tails cut)"; else echo "not ok kill: $lost rounds lost acknowledged records"; fi
if [ $torn -eq 0 ]; then echo "ok $rounds kills leave every record in its place"; else echo "not ok kill: records are out of place or unreadable"; fi
