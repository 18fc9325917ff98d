#!/usr/bin/env bash
# The demo on the sample of January, and an idle `tail -f`, which costs next to nothing.
source "$(dirname "$0")/expect.sh"
log=.build/demo.log
if tools/demo --sample >"$log" 2>&1 && grep -q 'missing: 0' "$log"; then
    echo "ok demo: $(grep -o 'acknowledged before the kill.*' "$log")"
else
    echo "not ok demo: $(tail -n 1 "$log")"
fi

need_packages strace
weir=$WEIR_ROOT/.build/release/weir
need_work
"$weir" create s
"$weir" append s - --batch 1 < <(echo first; exec sleep 60) &
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
