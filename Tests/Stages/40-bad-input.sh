#!/usr/bin/env bash
# Bad input of every kind: one clear sentence, the right exit status, and nothing lost.
source "$(dirname "$0")/expect.sh"
need_weir
has() { [ "$("$weir" read "$1" 2>/dev/null | wc -l)" -eq "$2" ]; }

seq 1000 | "$weir" append s --batch 100 2>/dev/null || echo "not ok set-up: append fails"

mkdir "$work/other" && echo hello >"$work/other/file"
expect "a path that is no store" 1 'is no store' "$weir" ls --store "$work/other"
expect "appending into a folder of other things" 1 'is no store' "$weir" append s --store "$work/other"
expect "a path that does not exist" 1 'There is no store at' "$weir" ls --store "$work/nowhere"
expect "a path that is a file" 1 'not a directory' "$weir" ls --store "$work/other/file"

cp -a "$WEIR_STORE" "$work/newer"
make_newer "$work/newer"
expect "a store of a newer format" 1 'version 9.*newer|newer' "$weir" read s --store "$work/newer"

"$weir" append s - < <(sleep 30) >/dev/null 2>&1 &
writer=$!
until [ "$("$weir" info --json 2>/dev/null | grep -c '"writer":true')" -eq 1 ]; do :; done
start=$(date +%s%N)
expect "a second writer is told by whom" 1 "process $writer " "$weir" append s
milliseconds=$((($(date +%s%N) - start) / 1000000))
# The writer is there for 30 seconds: whoever waited for it would take as long.
if [ $milliseconds -lt 10000 ]; then echo "ok the second writer is told at once ($milliseconds ms with the start of its process)"; else echo "not ok the second writer waits $milliseconds ms"; fi
check "a reader beside the writer" has s 1000
kill -9 "$writer" && wait "$writer" 2>/dev/null

expect "a name outside the allowed set" 1 'not allowed' "$weir" create 'a/b'
expect "a name that is too long" 1 'at most 128' "$weir" create "$(printf 'a%.0s' {1..129})"
expect "a stream that does not exist" 1 'no stream nothing' "$weir" read nothing
expect "no stream to append to" 1 'no stream nothing' "$weir" append nothing --no-create
expect "--batch above 65,535" 2 'expected 1 to 65535' "$weir" append s --batch 65536
expect "a start that cannot be parsed" 2 'ISO 8601' "$weir" read s --from time:yesterday
expect "an unknown option" 2 'Unknown option' "$weir" read s --nothing
expect "an option as other programs call it" 2 "Unknown option '--limit'. For that there is '--count'" "$weir" read s --limit 3
expect "a start behind the end" 0 's ends at offset 1000, before 5000' "$weir" read s --from offset:5000
expect "a start at a time to come" 0 "s has no record from 2100-01-01T00:00:00" "$weir" read s --from time:2100-01-01
expect "a dump of a store" 1 'is a directory; name segment files' "$weir" dump "$WEIR_STORE"
expect "two streams" 2 '2 streams are named; add --merge' "$weir" read s t
for command in "create a/b" "create weir.x" "append a/b" "import a/b" "copy s a/b --to-store"; do
    [[ $command == copy* ]] && command+=" $work/unmade" || command+=" --store $work/unmade"
    expect "$command" 1 'not allowed|begins with weir' "$weir" $command
done
expect "a copy of nothing" 1 'no stream nothing' "$weir" copy nothing x --to-store "$work/unmade"
check "make no store for a bad name" [ ! -e "$work/unmade" ]
expect "a stream that append makes" 0 'made the stream fresh' bash -c "echo x | '$weir' append fresh"
expect "one that is there" 0 '' bash -c "echo x | '$weir' append fresh"
check "is not made" [ ! -s "$work/err" ]
printf '{"value":"x"}\n' >"$work/as-json"
expect "json is ndjson" 0 '' "$weir" append fresh "$work/as-json" --format json
expect "a segment size out of range" 2 'segment size is 5' "$weir" create t --segment-bytes 5

head -c 2000000 /dev/zero | tr '\0' x >"$work/large"
expect "a record over the limit" 1 'does not fit|more than' "$weir" append s "$work/large"
check "what came before it is kept" has s 1000

printf '{"value":"a"}\n{"value":\n{"value":"c"}\n' >"$work/bad.ndjson"
expect "malformed NDJSON names its line" 1 'Line 2' "$weir" append n "$work/bad.ndjson" --format ndjson
check "what came before the bad line is told" grep -q '1 record was appended before, offsets 0 to 0' "$work/err"
check "what came before the bad line is kept" has n 1
expect "--skip-bad counts and goes on" 0 'skipped 1 malformed' "$weir" append n "$work/bad.ndjson" --format ndjson --skip-bad
check "what came behind the bad line is there" has n 3
printf 'a,b\n1,2\n3\n4,5\n' >"$work/bad.csv"
expect "malformed CSV names its line" 1 'Line 3.*1 field where 2 columns' "$weir" append c "$work/bad.csv" --format csv
printf 'a,a\n1,2\n' >"$work/twice.csv"
expect "two columns of one name" 1 'Two columns are named "a"' "$weir" append c "$work/twice.csv" --format csv
expect "an unknown column" 1 'no column "z"; the columns are a, b' "$weir" append c "$work/bad.csv" --format csv --key-column z
printf 'a,t\n1,soon\n' >"$work/time.csv"
expect "a time that cannot be parsed" 1 'Line 2.*"soon".*ISO 8601' "$weir" append c "$work/time.csv" --format csv --time-column t
expect "a command that does not exist" 2 'no command apend; did you mean append\? There are create, ' "$weir" apend s
expect "one that is like no other" 2 'no command unlock\. There are create, ' "$weir" unlock
expect "a producer's name is spelled out" 0 'by producer a\\u{1B}\[31mb' bash -c "for _ in 1 2; do seq 3 | '$weir' append raw --producer \$'a\\e[31mb' || exit; done"
expect "a load pattern that is none" 2 'There is no load pattern soon' "$weir" flow --simulate --pattern soon
while IFS='|' read -r options pattern; do
    # shellcheck disable=SC2086
    expect "flow $options" 2 "$pattern" "$weir" flow $options
done <<'options'
--seed 5|are for --simulate
--output x|are for --simulate
--pattern spike|are for --simulate
--simulate --seed -1|'-1' is invalid for '--seed
--simulate --interval 5|simulate shows no stream
--simulate --json|simulate shows no stream
--simulate orders|simulate shows no stream
--interval nan|expected 0.1 to 3600 seconds
--count 0|expected 1 report or more
options
expect "a negative count" 2 'count is negative' "$weir" read s --count -1
# The knobs of reading ahead: whatever they are, the records are the same, or one sentence says why not.
"$weir" read s >"$work/plain" 2>/dev/null
reads_alike() { "$weir" read s $1 2>/dev/null | cmp -s - "$work/plain"; }
for knobs in "--max-queue 0" "--window 1" "--window 64KiB:7" "--window adaptive" \
    "--max-outstanding 1:1" "--latency-budget 1ms" "--max-queue 1KiB:3 --max-outstanding 2KiB"; do
    check "read $knobs is the same" reads_alike "$knobs"
done
while IFS='|' read -r knobs status pattern; do
    # shellcheck disable=SC2086
    expect "read $knobs" "$status" "$pattern" "$weir" read s $knobs
done <<'knobs'
--max-queue -1|2|'-1' is invalid for '--max-queue
--window 64KiB:x|2|'64KiB:x' is invalid
--window 0|2|fixed window is 0 bytes
--latency-budget 0ms|2|latencyBudget is 0.0 seconds; expected
--latency-budget fast|2|'fast' is invalid
--max-outstanding 0|2|maxOutstanding is 0 bytes
--max-queue 2GiB --max-outstanding 1KiB|2|more than the maxOutstanding
--window 1GiB|2|more than the maxOutstanding
--window 64KiB --max-queue 1MiB|2|leaves nothing to choose
--from offset:10 --to offset:5|2|lies before --from offset:10
--speed -1x|2|'-1x' is invalid for '--speed
knobs

expect "an input that does not exist" 1 'cannot be opened' "$weir" append s "$work/none"

for time in '@-9223372036854775808' '--9223372036854775808d' '-99999999999999999999d' '@9223372036854775807'; do
    expect "a hostile time $time" 1 'cannot be parsed' "$weir" append c <(printf '{"time":"%s","value":"x"}\n' "$time") --format ndjson
    expect "a hostile start $time" 2 'ISO 8601' "$weir" read s "--from=time:$time"
done
printf '{"value":null}\n{"value":"x","headers":{"%s":1}}\n{"key":"%s","value":"x"}\n{"value":"%s"}\n{"value":"good"}\n' \
    "$(head -c 300 /dev/zero | tr '\0' h)" "$(head -c 70000 /dev/zero | tr '\0' k)" "$(head -c 2000000 /dev/zero | tr '\0' v)" >"$work/limits.ndjson"
expect "a tombstone without a key names its line" 1 'Line 1: .*needs a key' "$weir" append l "$work/limits.ndjson" --format ndjson
expect "--skip-bad goes on behind records over the limits" 0 'skipped 4 malformed' "$weir" append l "$work/limits.ndjson" --format ndjson --skip-bad
check "the good record behind them is there" has l 1
expect "a name of the system's" 1 'begins with weir' "$weir" create weir.mine

# Nobody reads the acknowledgements, or the words.
seq 100000 | "$weir" append unread --acks 2>/dev/null | head -n 1 >/dev/null
check "an append whose acknowledgements nobody reads is whole" has unread 100000
"$weir" create parted --partitions 2
for how in "unread" "unread --window 1MiB" "parted"; do
    check "tail -f $how ends when nobody reads any more" timeout 60 bash -c "echo x | '$weir' append parted; '$weir' tail -f $how | head -n 1"
done
check "a short option with its value" [ "$("$weir" tail -n1 unread)" = 100000 ]
"$weir" read nothing 2>&-
status=$?
if [ $status -eq 1 ]; then echo "ok a closed stderr"; else echo "not ok a closed stderr: exit status $status"; fi
for command in "ls" "info --json" "help"; do
    "$weir" $command >/dev/full 2>/dev/null
    status=$?
    if [ $status -eq 1 ]; then echo "ok $command on a full output fails"; else echo "not ok $command on a full output: exit status $status"; fi
done

# A store's file must never get the number of a standard stream that is closed.
printf 'a\nb\n' >"$work/two"
"$weir" append closed - <&- 2>"$work/err"
status=$?
if [ $status -eq 0 ] && has closed 0; then echo "ok a closed stdin is an empty one"; else echo "not ok a closed stdin: exit $status, $(head -n 1 "$work/err")"; fi
"$weir" append closed "$work/two" --compression lz4 --acks <&- >&- 2>&-
"$weir" append closed "$work/two" --batch 1 <&- 2>&-
check "closed standard streams get nothing into the store" has closed 4
expect "it holds" 0 '' "$weir" info closed
seq 100000 | head -c 400000 | "$weir" append cutshort - 2>/dev/null
check "a stdin that ends in a line is kept up to there" [ "$("$weir" read cutshort | tail -n 1)" = "$(seq 100000 | head -c 400000 | tail -n 1)" ]

# A closed stdout ends quietly.
"$weir" read s 2>"$work/err" | head -n 1 >/dev/null
if [ "${PIPESTATUS[0]}" -eq 0 ] && [ ! -s "$work/err" ]; then echo "ok a closed stdout"; else echo "not ok a closed stdout: $(head -n 1 "$work/err")"; fi

# Ctrl-C: what was acknowledged is kept.
"$weir" append i - --acks < <(seq 50; sleep 30) >"$work/acks" 2>/dev/null &
writer=$!
until grep -q '"last":49' "$work/acks"; do :; done
kill -INT "$writer"
wait "$writer"
status=$?
if [ $status -eq 130 ] && has i 50; then echo "ok Ctrl-C keeps what was acknowledged, status 130"; else echo "not ok Ctrl-C: status $status"; fi

# Damage on disk.
spoil() { # FILE POSITION
    printf '\377\377\377\377' | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
cp -a "$WEIR_STORE" "$work/damaged"
path_of() { # the first segment of a stream
    "$weir" info "$1" --json | grep -o '"path":"[^"]*"' | head -n 1 | cut -d'"' -f4
}
segment=$work/damaged/$(path_of s)
spoil "$segment" 6000
expect "a segment with flipped bits" 3 'gap \(damage\)|damage' "$weir" read s --store "$work/damaged"
count=$(wc -l <"$work/out")
if [ "$count" -ge 800 ] && [ "$count" -lt 1000 ]; then echo "ok the undamaged records before and behind are read ($count of 1000)"; else echo "not ok $count of 1000 records are read past the damage"; fi
expect "dump shows the damaged batch" 3 '' "$weir" dump "$segment"
check "dump names the damage" grep -q 'damage' "$work/out"

cp -a "$WEIR_STORE" "$work/missing"
rm "$work/missing/$(path_of s)"
expect "a deleted segment" 3 'missing' "$weir" read s --store "$work/missing"
expect "info of it" 3 'missing' "$weir" info s --store "$work/missing"
check "info counts no record that is gone" grep -q 'records   0' "$work/out"

cp -a "$WEIR_STORE" "$work/nomanifest"
find "$work/nomanifest/streams" -name MANIFEST -delete
expect "a deleted manifest" 3 'manifest is missing' "$weir" read s --store "$work/nomanifest"
if [ "$(wc -l <"$work/out")" -eq 1000 ]; then echo "ok a deleted manifest loses no record"; else echo "not ok a deleted manifest: $(wc -l <"$work/out") of 1000"; fi

# A full disk.
if [ "$(id -u)" -ne 0 ]; then
    echo "skip a full disk: privilege: mounting a tmpfs needs root"
else
    mkdir "$work/small" && mount -t tmpfs -o size=16m none "$work/small"
    # Zeros written ahead, blocks set aside, and neither: each leaves another kind of file behind.
    seq 3000000 >"$work/many"
    yes "$(head -c 999 /dev/zero | tr '\0' x)" | head -n 40000 >"$work/wide"
    for trial in "durable many" "durable wide" "flushed many" "flushed wide" "interval:20 wide"; do
        read -r level input <<<"$trial"
        store=$work/small/store
        rm -rf "$store"
        "$weir" append s "$work/$input" --store "$store" --durability "$level" --acks >"$work/acks" 2>"$work/err" </dev/null
        status=$?
        acknowledged=$(($(tail -n 1 "$work/acks" | grep -o '"last":[0-9]*' | cut -d: -f2) + 1))
        "$weir" read s --store "$store" >"$work/left" 2>"$work/words"
        kept=$(wc -l <"$work/left")
        if [ $status -eq 1 ] && grep -q 'make room' "$work/err" && [ "$acknowledged" -gt 5000 ] &&
            [ "$kept" -ge "$acknowledged" ] && cmp -s "$work/left" <(head -n "$kept" "$work/$input"); then
            echo "ok a full disk, $trial: $acknowledged records acknowledged, $kept there"
        else
            echo "not ok a full disk, $trial: exit $status, $acknowledged acknowledged, $kept left; $(tail -n 1 "$work/err") $(head -n 1 "$work/words")"
        fi
        # Space that a deletion makes is taken again.
        if "$weir" delete s --yes --store "$store" 2>"$work/err" && seq 1000 | "$weir" append t --store "$store" 2>>"$work/err" &&
            [ "$("$weir" read t --store "$store" | wc -l)" -eq 1000 ]; then
            echo "ok a full disk, $trial: deleting makes room, and appends go on"
        else
            echo "not ok a full disk, $trial: after it: $(head -n 1 "$work/err")"
        fi
    done
fi

# A missing permission.
if [ "$(id -u)" -ne 0 ]; then
    chmod 000 "$work/other"
    expect "a missing permission" 1 'permission' "$weir" ls --store "$work/other"
elif command -v setpriv >/dev/null; then
    chmod 755 "$work" && chmod 700 "$WEIR_STORE"
    cp "$weir" "$work/weir" && chmod 755 "$work/weir"
    nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups "$work/weir")
    expect "a missing permission" 1 'permission' "${nobody[@]}" ls
    # One unreadable file is one stream's trouble.
    cp -a "$WEIR_STORE" "$work/shared" && chown -R 65534:65534 "$work/shared"
    path=$(path_of n)
    truncate --size=+1 "$work/shared/$path" && chown 0:0 "$work/shared/$path" && chmod 000 "$work/shared/$path"
    expect "another stream's missing permission" 3 'stream n' "${nobody[@]}" read s --store "$work/shared"
    if [ "$(wc -l <"$work/out")" -eq 1000 ]; then echo "ok the other stream is read whole"; else echo "not ok the other stream: $(wc -l <"$work/out") of 1000"; fi
else
    echo "skip a missing permission: privilege: this root cannot become another user"
fi
