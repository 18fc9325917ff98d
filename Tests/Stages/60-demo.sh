#!/usr/bin/env bash
# The demo on the sample of January, and an idle `tail -f`, which costs next to nothing.
set -uo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../tools/lib.sh"
cd "$WEIR_ROOT" || exit 1
log=.build/demo.log
if tools/demo --sample >"$log" 2>&1 && grep -q 'missing: 0' "$log"; then
    echo "ok demo: $(grep -o 'acknowledged before the kill.*' "$log")"
else
    echo "not ok demo: $(tail -n 1 "$log")"
fi

need_packages strace
weir=$(swift build -c release --show-bin-path)/weir
work=$(mktemp -d)
writer= tail=
clean_up() {
    kill -9 $tail $writer 2>/dev/null
    wait $tail $writer 2>/dev/null
    rm -rf "$work"
}
trap clean_up EXIT
export WEIR_STORE=$work/store
"$weir" create s
"$weir" append s - --batch 1 < <(echo first; exec sleep 60) &
writer=$!
"$weir" tail -f s >"$work/out" &
tail=$!
until grep -q first "$work/out"; do :; done
if ! timeout 10 strace -f -c -o "$work/calls" -p $tail 2>"$work/err"; [ ! -s "$work/calls" ]; then
    if grep -qi 'not permitted' "$work/err"; then
        echo "skip an idle tail: privilege: strace may not attach to a process here"
        exit 0
    fi
fi
# The fourth column of the last row is the sum of the calls.
calls=$(awk '$NF == "total" { print $4 }' "$work/calls")
if [ -n "$calls" ] && [ "$calls" -le 20 ]; then
    echo "ok an idle tail -f makes $calls system calls in 10 s"
else
    echo "not ok an idle tail -f makes ${calls:-unknown} system calls in 10 s, at most 20 are expected"
fi
