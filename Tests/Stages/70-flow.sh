#!/usr/bin/env bash
# Flow control at work, a twentieth of what `tools/flow-soak` runs: what is asserted is memory and that
# everything is delivered. What depends on the clock is told, and fails nothing. Then the pictures of
# the simulated loads, and the screen of a store whose consumers live.
source "$(dirname "$0")/expect.sh"
need_optimised weir-flow-soak
need_weir
field() { grep -o "\"$1\":[^,}]*" <<<"$line" | cut -d: -f2; }

# play NAME, options…: sets `line`; false if it is not as it should be.
play() {
    line=$(timeout 60 "$optimised" "$@" --untimed --dir "$work" 2>"$work/words") && return 0
    echo "not ok flow, $1: ${line:-$(head -n 1 "$work/words")}"
    return 1
}

play stalled --bytes 512MiB --consumers 1000 &&
    echo "ok 1,000 stalled consumers: the heap goes from $(($(field warmKiB) / 1024)) to $(($(field endKiB) / 1024)) MiB while 512 MiB pass, of $(($(field budgetKiB) / 1024)) MiB allowed; each goes on then"
play beside --bytes 102MiB --consumers 1000 --rounds 3 &&
    echo "ok a replay beside 999 stalled consumers gets everything (at $(field share) of its speed alone)"
play catchup --bytes 205MiB --rounds 5 &&
    echo "ok 4 consumers at the end and one that catches up get everything (the median p99 of a window at $(field windowRatio) of theirs alone)"

python_venv
expect "the pictures of a simulated load" 0 '' "$weir" flow --simulate --pattern spike --output "$work/plots"
for name in spike.svg spike-occupancy.svg signals.svg; do
    check "$name is one" python3 -c 'import sys, xml.dom.minidom
page = xml.dom.minidom.parse(sys.argv[1])
assert len(page.getElementsByTagName("path")) > 10' "$work/plots/$name"
done
check "and there are no others" [ "$(find "$work/plots" -name '*.svg' | wc -l)" -eq 3 ]

# Small enough to go on until it is ended: a round takes milliseconds.
mkdir "$work/live"
"$optimised" catchup --bytes 1MiB --rounds 1000000 --untimed --dir "$work/live" >/dev/null 2>"$work/words" &
live=$!
shows_consumers() {
    WEIR_STORE=$(echo "$work"/live/*) && export WEIR_STORE
    "$weir" flow soak --once | grep -q WINDOW
}
check "a store whose consumers live" until_true shows_consumers
timeout 60 python3 Tests/Stages/flow-screen.py "$weir" "$(echo "$work"/live/*)"
kill "$live"
wait "$live" 2>/dev/null
exit 0
