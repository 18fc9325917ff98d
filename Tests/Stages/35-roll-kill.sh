#!/usr/bin/env bash
# Kills a writer that asks for no sync around the changes of its segments, whose seals and entries in
# the manifest are then still on their way: what was flushed and acknowledged is there all the same.
#
#   WEIR_KILLS=200 Tests/Stages/35-roll-kill.sh     more rounds than CI's 12
source "$(dirname "$0")/expect.sh"
rounds=${WEIR_KILLS:-12}
need_optimised weir
weir=$optimised
need_work

# A thousand bytes a line, its number first: 64 MiB are some 66,000 of them.
awk 'BEGIN { pad = sprintf("%990s", ""); gsub(/ /, "x", pad); for (i = 1; i <= 330000; i++) printf "%08d %s\n", i, pad }' >"$work/lines"
lost=0 wrong=0 rolls=0
for ((round = 1; round <= rounds; round++)); do
    export WEIR_STORE=$work/store-$round
    "$weir" create s --durability flushed --segment-bytes 64MiB || exit 1
    "$weir" append s "$work/lines" --acks >"$work/acks" 2>"$work/err" &
    writer=$!
    # Somewhere behind the second segment's beginning, at most five segments on.
    wanted=$((RANDOM % 250 + 70))
    until [ "$(wc -l <"$work/acks")" -ge $wanted ] || ! kill -0 $writer 2>/dev/null; do :; done
    kill -9 $writer 2>/dev/null
    wait $writer 2>/dev/null
    last=$(grep '}$' "$work/acks" | tail -n 1 | grep -o '"last":[0-9]*' | cut -d: -f2)
    files=$(find "$WEIR_STORE/streams" -name '*.segment' | wc -l)
    rolls=$((rolls + files - 1))
    # Once by a reader, which changes nothing, and once behind a writer that recovered the store.
    for access in reader writer; do
        [ $access = reader ] || echo more | "$weir" append s 2>"$work/words" || wrong=$((wrong + 1))
        "$weir" read s >"$work/values" 2>"$work/words" || { head -n 1 "$work/words"; wrong=$((wrong + 1)); }
        count=$(grep -c '^0' "$work/values")
        [ "$count" -gt "$last" ] || { echo "round $round, $access: $last acknowledged, $count there"; lost=$((lost + 1)); }
        awk '/^0/ && $1 + 0 != NR { exit 1 }' "$work/values" || wrong=$((wrong + 1))
    done
    rm -rf "$WEIR_STORE"
done
if [ $lost -eq 0 ] && [ $rolls -ge "$rounds" ]; then echo "ok $rounds kills around $rolls changes of segments lose nothing acknowledged"; else echo "not ok kill in a roll: $lost losses, $rolls rolls in $rounds rounds"; fi
if [ $wrong -eq 0 ]; then echo "ok $rounds kills around changes of segments leave every record in its place"; else echo "not ok kill in a roll: $wrong readings went wrong"; fi
