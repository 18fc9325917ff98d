#!/usr/bin/env bash
# Kills a producer with -9 at random moments and has it send its whole input again, in batches of
# another size: at the end every record is there once, in its place.
#
#   WEIR_KILLS=200 Tests/Stages/37-producers.sh     more rounds than CI's 20
source "$(dirname "$0")/expect.sh"
rounds=${WEIR_KILLS:-20}
need_weir

levels=(durable flushed interval:20)
seq 1 20000 >"$work/numbers"
wrong=0 kills=0
for ((round = 1; round <= rounds; round++)); do
    export WEIR_STORE=$work/store-$round
    "$weir" create s --durability "${levels[$((round % 3))]}" || exit 1
    for attempt in 1 2 3; do
        : >"$work/acks"
        "$weir" append s "$work/numbers" --producer numbers --batch $((RANDOM % 90 + 10)) --acks \
            >"$work/acks" 2>"$work/err" &
        writer=$!
        wanted=$((RANDOM % 60 + 1))
        until [ "$(wc -l <"$work/acks")" -ge $wanted ] || ! kill -0 $writer 2>/dev/null; do :; done
        kill -9 $writer 2>/dev/null && kills=$((kills + 1))
        wait $writer 2>/dev/null
    done
    "$weir" read s >"$work/half" 2>"$work/err"
    "$weir" append s "$work/numbers" --producer numbers 2>"$work/words" || { cat "$work/words"; wrong=$((wrong + 1)); }
    "$weir" read s >"$work/values" 2>"$work/err"
    if ! cmp -s "$work/numbers" "$work/values"; then
        echo "round $round: $(wc -l <"$work/values") records where 20000 are expected"
        wrong=$((wrong + 1))
    fi
    there=$(wc -l <"$work/half" | sed -E ':a;s/([0-9])([0-9]{3})($|,)/\1,\2\3/;ta')
    grep -q "of 20,000 records, $there were there already, by producer numbers" "$work/words" || {
        echo "round $round: $there were there, and weir says: $(tail -n 1 "$work/words")"
        wrong=$((wrong + 1))
    }
    rm -rf "$WEIR_STORE"
done
if [ $wrong -eq 0 ]; then echo "ok $kills kills of a producer, and every record is there once"; else echo "not ok producers: $wrong rounds of $rounds are wrong"; fi
