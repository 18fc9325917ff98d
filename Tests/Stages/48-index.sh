#!/usr/bin/env bash
# The index of keys, from outside: a writer is killed while it makes the index anew, two processes
# read while it writes, and SQLite alone meets a full disk. Answers are held against the input.
#
#   WEIR_KILLS=200 Tests/Stages/48-index.sh     more rounds than CI's 12
source "$(dirname "$0")/expect.sh"
rounds=${WEIR_KILLS:-12}
records=250000 keys=997
need_weir

# Record i has the value i, and its key is a number that i alone decides.
rows() { # FIRST COUNT
    awk -v first="$1" -v count="$2" -v keys=$keys 'BEGIN {
        print "k,n"
        for (i = first; i < first + count; i++) printf "key-%d,%d\n", (i * 7919) % keys, i }'
}
offsets_of() { # KEY END
    awk -v key="$1" -v end="$2" -v keys=$keys 'BEGIN {
        for (i = 0; i < end; i++) if ((i * 7919) % keys == key) print i }'
}
read_key() { "$weir" read s --key "key-$1" --format json; }
only_offsets() { sed -n 's/^{"offset":\([0-9]*\).*/\1/p'; }
# The records of some keys are those of the input, and each is where it should be.
answers_hold() { # END
    local key
    for key in $((RANDOM % keys)) $((RANDOM % keys)) $keys; do
        read_key "$key" >"$work/found" 2>"$work/err" || return 1
        only_offsets <"$work/found" | cmp -s - <(offsets_of "$key" "$1") || return 1
    done
}
# A writer that waits for input: what it is sent it takes, and it stays until it is told to go.
start_writer() {
    rm -f "$work/input"
    mkfifo "$work/input"
    "$weir" append s - --format csv --key-column k --acks <"$work/input" >"$work/acks" 2>"$work/writer.err" &
    writer=$!
    exec 3>"$work/input"
    echo k,n >&3
}
end_writer() {
    exec 3>&-
    wait "$writer"
}
indexed() { "$weir" info 2>/dev/null | grep -q '^index .*up to date'; }
wait_until() { # SECONDS COMMAND…
    local end=$((SECONDS + $1))
    shift
    until "$@"; do [ $SECONDS -lt $end ] || return 1; done
}

rows 0 $records >"$work/rows"
"$weir" append s "$work/rows" --format csv --key-column k || echo "not ok set-up: append fails"

# 1. Killed while it makes the index anew.
wrong=0 middle=0
for ((round = 1; round <= rounds; round++)); do
    rm -f "$WEIR_STORE"/index-*
    start_writer
    wait_until 20 test -e "$WEIR_STORE/index-1.sqlite" || wrong=$((wrong + 1))
    sleep "0.$(printf '%03d' $((RANDOM % 300)))"
    kill -9 "$writer"
    wait "$writer" 2>/dev/null
    exec 3>&-
    indexed || middle=$((middle + 1))
    answers_hold $records || { echo "round $round: $(head -n 1 "$work/err")"; wrong=$((wrong + 1)); }
done
if [ $wrong -gt 0 ]; then
    echo "not ok kill in a rebuild: $wrong of $rounds rounds gave other records than were appended"
elif [ $middle -eq 0 ]; then
    echo "not ok kill in a rebuild: none of $rounds kills came before the index was whole"
else
    echo "ok $rounds kills in a rebuild, $middle before its end, leave every answer whole"
fi
start_writer
end_writer
expect "the next writer brings the index up to date" 0 '' read_key 5
check "no lookup walks over the log then" [ ! -s "$work/err" ]
check "its answer is the input's" answers_hold $records

# 2. Two processes read while it writes: what was acknowledged before is there, nothing is twice.
start_writer
# What the opening before left is believed once this one has taken it over.
looks_up() { read_key 5 >/dev/null 2>"$work/err" && [ ! -s "$work/err" ]; }
check "the index is the new writer's" wait_until 20 looks_up
rows $records $records | tail -n +2 >&3 &
feeder=$!
read_on() { # NAME
    local before key bad=0 count=0 scans=0
    while kill -0 $feeder 2>/dev/null || [ $count -lt 5 ]; do
        before=$(tail -n 2 "$work/acks" | grep '}$' | tail -n 1 | grep -o '"last":[0-9]*' | cut -d: -f2)
        key=$((RANDOM % keys))
        read_key $key 2>"$work/err.$1" | only_offsets >"$work/found.$1"
        # What was appended a moment ago may not be in it yet; before that, nothing is walked over.
        ! grep -v 'does not cover offsets' "$work/err.$1" | grep -q . || scans=$((scans + 1))
        offsets_of $key $((2 * records)) >"$work/all.$1"
        offsets_of $key $((${before:-$((records - 1))} + 1)) >"$work/least.$1"
        cmp -s "$work/found.$1" <(head -n "$(wc -l <"$work/found.$1")" "$work/all.$1") || bad=$((bad + 1))
        [ "$(wc -l <"$work/found.$1")" -ge "$(wc -l <"$work/least.$1")" ] || bad=$((bad + 1))
        count=$((count + 1))
    done
    echo "$count $bad $scans" >"$work/result.$1"
}
read_on one &
first=$!
read_on two &
wait $first $! $feeder
read -r count_one bad_one scans_one <"$work/result.one"
read -r count_two bad_two scans_two <"$work/result.two"
if [ $((bad_one + bad_two)) -eq 0 ]; then
    echo "ok $((count_one + count_two)) answers to two processes beside the writer are whole"
else
    echo "not ok readers beside the writer: $((bad_one + bad_two)) of $((count_one + count_two)) answers are not"
fi
check "every one of them by the index, and no walk over the log" [ $((scans_one + scans_two)) -eq 0 ]
check "the writer ends in good order" end_writer
check "and leaves the index up to date" indexed
check "with every record" answers_hold $((2 * records))

# 3. A full disk for SQLite alone: the store lies on a small one, and its streams do not. There is
# room for the store's reserve, and 2 MiB.
room=$work/room
mkdir "$room" "$work/streams"
if ! mount -t tmpfs -o size=6M weir-index "$room" 2>/dev/null; then
    echo "skip disk full for SQLite alone: privilege: this user may not mount a small file system"
    exit 0
fi
export WEIR_STORE=$room/full
mkdir -p "$WEIR_STORE/streams"
chmod 700 "$WEIR_STORE" "$WEIR_STORE/streams" "$work/streams"
mount --bind "$work/streams" "$WEIR_STORE/streams"
start_writer
tail -n +2 "$work/rows" >&3
acknowledged() { [ "$(grep -o '"last":[0-9]*' "$work/acks" | tail -n 1 | cut -d: -f2)" -eq $((records - 1)) ]; }
check "appends go on while the index's disk is full" wait_until 60 acknowledged
lags() { "$weir" info 2>/dev/null | grep -q '^index .*[0-9] records behind'; }
check "the index's lag is shown" wait_until 20 lags
check "every answer is whole meanwhile" answers_hold $records
check "the index's disk is full" [ "$(df --output=avail "$room" | tail -n 1)" -lt 300 ]
mount -o remount,size=64M "$room"
check "with room the index catches up" wait_until 70 indexed
check "the writer ends in good order after that" end_writer
check "every answer is whole with the index" answers_hold $records
check "and needs no walk over the log" [ ! -s "$work/err" ]
