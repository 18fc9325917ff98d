#!/usr/bin/env bash
# Letting records go and changing settings from outside: `weir trim` and `weir config` with a writer
# and without one, and what consumers are told.
source "$(dirname "$0")/expect.sh"
need_weir

begin() { # starts a writer that waits for more, and waits until it serves
    rm -f "$work/input"
    mkfifo "$work/input"
    "$weir" append s - <"$work/input" >/dev/null 2>"$work/writer" &
    writer=$!
    exec 8>"$work/input"
    until_true "$weir" flow --once || echo "not ok set-up: the writer does not serve; $(head -n 1 "$work/writer")"
}
end() {
    exec 8>&-
    wait "$writer" 2>/dev/null
}
first() { "$weir" read s --count 1; } # the values are the offsets

seq 0 999 | "$weir" append s 2>/dev/null
expect "a dry run says what would go" 0 'would begin at offset 400: 400 records' "$weir" trim s --before offset:400 --dry-run
check "and does nothing" [ "$(first)" = 0 ]
expect "a trim without a writer" 0 's begins at offset 400: 400 records' "$weir" trim s --before offset:400
check "begins at that offset" [ "$(first)" = 400 ]
check "and what readers get is counted" bash -c "'$weir' info s | grep -qE '^records +600$'"
expect "a trim back does nothing" 0 'begins at offset 400: 0 records' "$weir" trim s --before offset:300
expect "a reader that stood before" 0 'gap \(retention\)' "$weir" read s --from offset:10 --count 1
expect "a trim behind the end" 1 'ends at offset 1000, before 1001' "$weir" trim s --before offset:1001
expect "a trim of nothing" 1 'no stream nothing' "$weir" trim nothing --before offset:1
expect "a stream without a policy" 1 'keeps its records for ever.*config s set retention.age=7d' "$weir" trim s
expect "a place that is none" 2 'before' "$weir" trim s --before 7
expect "Weir's own stream" 1 "Weir's own" bash -c "'$weir' cursor set s c 500 && '$weir' trim weir.cursors --before offset:1"

begin
expect "a trim through the writer" 0 'begins at offset 600: 200 records' "$weir" trim s --before offset:600
check "is seen by a reader" [ "$(first)" = 600 ]
expect "a report as JSON" 0 '' "$weir" trim s --before offset:700 --json
check "it is JSON" python3 -m json.tool "$work/out"
expect "an error of the writer is told" 1 'ends at offset 1000' "$weir" trim s --before offset:5000
expect "all of it" 0 'begins at offset 1000: 300 records' "$weir" trim s --before offset:1000
echo 1000 >&8
end
check "the stream goes on behind it" [ "$(first)" = 1000 ]
check "no file of what went is left" [ "$(find "$WEIR_STORE/streams" -name '*.segment' -size +64k | wc -l)" -le 1 ]

# By time: each part is appended by a command of its own, and the clock is read between them.
for part in 0 10 20; do
    seq $part $((part + 9)) | "$weir" append times 2>/dev/null
    sleep 0.01
    eval "behind$part=$(date +%s.%6N)"
    sleep 0.01
done
expect "a trim by time without a writer" 0 'times begins at offset 10: 10 records' "$weir" trim times --before "time:@$behind0"
check "begins with the first record since" [ "$("$weir" read times --count 1)" = 10 ]
begin
expect "a trim by time through the writer" 0 'times begins at offset 20: 10 records' "$weir" trim times --before "time:@$behind10"
expect "a dry run by time through the writer" 0 'times would begin at offset 30: 10 records' "$weir" trim times --before "time:@$behind20" --dry-run
end
expect "a trim before a time that has not come" 1 'has not come.* offset 30 if that is meant' "$weir" trim times --before time:2999-01-01 --dry-run
begin
expect "and through the writer" 1 'has not come' "$weir" trim times --before time:2999-01-01
end
check "leaves the records since" cmp <("$weir" read times) <(seq 20 29)

# Settings.
setting() { "$weir" config s get --json | python3 -c 'import json, sys
print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
expect "settings without a writer" 0 '' "$weir" config s set retention.records=100 compression=auto
check "are printed as they hold" cmp "$work/out" <(printf 'compression=auto\nretention.records=100\n')
expect "a time without a unit" 1 'retention.age is "7"; expected a time with its unit' "$weir" config s set retention.age=7
expect "a time and a size" 0 '' "$weir" config s set retention.age=168h quota.bytes=2048k
check "are printed in words" cmp "$work/out" <(printf 'retention.age=7d\nquota.bytes=2MiB\n')
check "are recorded" [ "$(setting retention.records)$(setting compression)" = 100auto ]
expect "all of them as text" 0 '' "$weir" config s
check "with what they would be" grep -qE '^compression +auto +off' "$work/out"
begin
expect "settings through the writer" 0 '' "$weir" config s set retention.records=none linger=7
check "are seen at once" [ "$(setting retention.records)$(setting linger)" = none7 ]
expect "one that is out of range" 1 'The linger is 5000; expected 0 to 1000' "$weir" config s set linger=5000
expect "a name that no cursor can have" 1 'cursor name "\." is not allowed' "$weir" config s set retention.held-by=.
expect "no name at all" 1 'retention.held-by is ""; expected names of cursors' "$weir" config s set retention.held-by=
expect "a cursor that holds back twice" 1 'name each cursor once' "$weir" config s set retention.held-by=a,a
expect "one that stays" 1 'batch.bytes of a stream is chosen .* since every subscription' "$weir" config s set batch.bytes=2MiB
expect "segments and visibility" 0 '' "$weir" config s set segment.bytes=1GiB visibility=flushed
check "are seen at once, too" [ "$(setting segment.bytes)$(setting visibility)" = 1073741824flushed ]
expect "segments too small" 1 'segment size is 1024' "$weir" config s set segment.bytes=1k
expect "one that is none" 1 'There is no setting colour; there are durability' "$weir" config s set colour=red
expect "of two the second is wrong" 1 'linger' "$weir" config s set compression=lz4 linger=x
check "and the first does not hold" [ "$(setting compression)" = auto ]
end
expect "set needs a setting" 2 'KEY=VALUE' "$weir" config s set
expect "set before the stream" 2 'not s: `weir config s set linger=1`' "$weir" config set s linger=1
expect "a setting without set" 2 '`weir config s set linger=1`' "$weir" config s linger=1
expect "two settings without set" 2 '`weir config s set linger=1 compression=lz4`' "$weir" config s linger=1 compression=lz4
expect "settings that cannot be shown hold" 0 'the settings hold, and could not be shown' bash -c "'$weir' config s set linger=6 >/dev/full"
check "as set" [ "$(setting linger)" = 6 ]
expect "get takes none" 2 'name none' "$weir" config s get linger=1
expect "settings of Weir's own stream" 1 "Weir's own" "$weir" config weir.cursors set linger=1
expect "settings of a stream at its creation" 0 '' "$weir" create t --set compaction=on --set retention.age=7d
check "hold" bash -c "'$weir' config t get --json | grep -q '\"retention.age\":\"604800s\"'"
expect "a wrong setting at its creation" 2 'There is no setting x' "$weir" create u --set x=1
expect "partitions" 0 '' "$weir" create p --partitions 3
expect "settings of all partitions" 0 '' "$weir" config p set linger=9
check "hold in each" bash -c "for i in 0 1 2; do '$weir' config p-\$i get --json | grep -q '\"linger\":\"9\"' || exit 1; done"

# A quota.
"$weir" create q --set quota.bytes=20k --durability flushed
head -c 60000 /dev/zero | tr '\0' x | fold -w 1000 >"$work/lines"
expect "appends beyond a quota" 1 'The stream q has [0-9]+ bytes, and its quota is 20480' "$weir" append q "$work/lines" --batch 5
check "leave what had room" [ "$("$weir" read q | wc -l)" -ge 15 ]
expect "room by a trim" 0 '' "$weir" trim q --before offset:"$("$weir" read q | wc -l)"
expect "appends behind it" 0 '' bash -c "echo x | '$weir' append q"

# A quota of the whole store, set without a writer and through one.
"$weir" create r --durability flushed
used=$("$weir" ls --json | python3 -c 'import json, sys; print(sum(s["logicalBytes"] for s in json.load(sys.stdin)))')
expect "a quota of the store" 0 '' "$weir" config . set quota.bytes=$((used + 20000))
check "is recorded" bash -c "'$weir' config . get --json | grep -q '\"quota.bytes\":\"$((used + 20000))\"'"
expect "appends beyond it" 1 "The streams of the store have [0-9]+ bytes, and its quota is $((used + 20000))" "$weir" append r "$work/lines" --batch 5
expect "to another stream" 1 'The streams of the store' bash -c "echo x | '$weir' append s"
expect "a cursor goes on" 0 '' "$weir" cursor set r c 5
check "and told as text" bash -c "'$weir' config . | grep -qE '^quota.policy +fail'"
expect "a stream's setting" 1 'is for a stream: name one' "$weir" config . set linger=3
expect "a size that is none" 1 'quota.bytes is "much"' "$weir" config . set quota.bytes=much
expect "a policy that is none" 1 'expected wait or fail' "$weir" config . set quota.policy=perhaps
expect "a store that is none" 1 'no store' env WEIR_STORE="$work/nowhere" "$weir" config . set quota.bytes=1k
begin
expect "taken away through the writer" 0 '' "$weir" config . set quota.bytes=none
check "lets appends go on" bash -c "echo x >&8"
expect "set through the writer, to wait" 0 '' "$weir" config . set quota.bytes=1 quota.policy=wait
seq 2000 2009 >&8
if until_true grep -q 'the append waits: The streams of the store have' "$work/writer"; then echo "ok a command that waits says so"; else echo "not ok a command that waits says nothing"; fi
expect "room by a higher one" 0 '' "$weir" config . set quota.bytes=none
end
check "nothing that waited is lost" [ "$("$weir" read s | tail -n 10 | tr '\n' ' ')" = "$(seq 2000 2009 | tr '\n' ' ')" ]

# One signal ends a command that waits, and what was appended before is said.
"$weir" export s --format archive >"$work/s.archive"
"$weir" config r set quota.bytes=20k quota.policy=wait >/dev/null
for command in "append r $work/lines --batch 5" "import r $work/s.archive"; do
    rm -f "$work/err" # nobody is to be ended for the words of the one before
    "$weir" $command >"$work/out" 2>"$work/err" &
    waiting=$!
    until_true grep -q 'the append waits: The stream r has .* raise it' "$work/err" || echo "not ok $command: it does not say that it waits"
    kill -TERM $waiting
    wait $waiting
    [ $? -eq 130 ] || echo "not ok $command: ends with another status than 130"
    check "${command%% *} ends with one signal" grep -qE 'stopped early: [0-9n]' "$work/err"
done
rm -f "$work/err"
printf '{"value":"1"}\n{\n' | "$weir" append r --format ndjson >"$work/out" 2>"$work/err" &
waiting=$!
until_true grep -q 'the append waits' "$work/err" || echo "not ok behind a malformed line: it does not say that it waits"
kill -TERM $waiting
wait $waiting
check "a signal behind a malformed line leaves its error" grep -q '^weir: Line 2: ' "$work/err"

# A full disk: appends fail, cursors and trims go on, and then appends as well.
if [ "$(id -u)" -ne 0 ]; then
    echo "skip a full disk: privilege: mounting a small file system needs root"
    exit
fi
mounted=$work/disk
if ! { mkdir "$mounted" && mount -t tmpfs -o size=24m tmpfs "$mounted" 2>/dev/null; }; then
    echo "skip a full disk: privilege: this root may not mount"
    exit
fi
export WEIR_STORE=$mounted/store
echo first | "$weir" append s 2>/dev/null
"$weir" cursor set s c 0
check "a store has its reserve" [ "$(du -k "$WEIR_STORE/reserve" | cut -f 1)" -ge 4096 ]
head -c 30000000 /dev/zero | tr '\0' x | fold -w 100000 >"$work/lines"
expect "appends to a full disk" 1 'No space left|full' "$weir" append s "$work/lines" --batch 1
held=$("$weir" read s | wc -l)
check "leave what had room" [ "$held" -ge 100 ]
head -c 30000000 /dev/zero >"$mounted/filler" 2>/dev/null
check "the disk is full" bash -c "! echo x >>'$mounted/more'"
# Each grows a file by some hundred bytes, until its last page is used up.
failed=0
for place in $(seq $((held - 29)) "$held"); do "$weir" cursor set s c "$place" 2>>"$work/err" || failed=$((failed + 1)); done
check "cursors are committed all the same" [ $failed -eq 0 ]
check "from the reserve" [ ! -e "$WEIR_STORE/reserve" ]
check "and stands there" bash -c "'$weir' cursor ls s --json | grep -q '\"offset\":$held'"
expect "settings change" 0 '' "$weir" config s set linger=3
rm "$mounted/filler"
expect "a writer with room" 0 '' "$weir" cursor set s c "$held"
check "makes the reserve again" [ -e "$WEIR_STORE/reserve" ]
head -c 30000000 /dev/zero >"$mounted/filler" 2>/dev/null
expect "a trim makes room" 0 "begins at offset $held" "$weir" trim s --before offset:"$held"
check "appends go on" bash -c "echo x | '$weir' append s"
check "behind what there was" [ "$("$weir" read s --from offset:"$held" | tail -n 1)" = x ]
rm "$mounted/filler"
expect "nothing is damaged" 0 '' "$weir" read s

# Appends that wait for a quota when the disk is full as well. A trim lets them go on; whether the disk has
# room at once depends on who still reads what was trimmed. Either way nothing is lost, and the rest can follow.
rm -rf "$WEIR_STORE" "$mounted/filler"
"$weir" create s --set quota.bytes=9m --set quota.policy=wait
seq -f "%095.0f" 0 99999 >"$work/many"
"$weir" append s "$work/many" >/dev/null 2>"$work/writer" </dev/null &
writer=$!
end_of_s() { "$weir" info s --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["streams"][0]["end"])'; }
reached() { "$weir" flow --once --json | grep -q '"quotaReached"'; }
ended() { ! kill -0 "$writer"; }
check "appends come to the quota" until_true reached
cat /dev/zero >"$mounted/filler" 2>/dev/null
check "the disk is full" bash -c "! echo x >>'$mounted/more'"
start=$(end_of_s)
check "appends wait, and do not fail" kill -0 "$writer"
check "a trim is done on a full disk" until_true "$weir" trim s --before offset:"$start"
check "lets the appends go on" until_true ended
kill -9 "$writer" 2>/dev/null
if wait "$writer" || grep -qE 'No space left|disk is full' "$work/writer"; then echo "ok to their end, or to that of the disk"; else echo "not ok an append failed: $(tail -n 1 "$work/writer")"; fi
writer=
rm "$mounted/filler"
"$weir" append s <(tail -n "+$(($(end_of_s) + 1))" "$work/many") 2>/dev/null
check "nothing is lost, and the rest follows" cmp -s <(tail -n "+$((start + 1))" "$work/many") <("$weir" read s)
cat /dev/zero >"$mounted/filler" 2>/dev/null
expect "room under the quota only" 1 'No space left|disk is full' "$weir" append s "$work/many"
rm "$mounted/filler"
check "what had room is whole" "$weir" verify --deep

# A compaction without room for its new segment leaves the log as it was, and nothing else.
rm -rf "$WEIR_STORE" "$mounted/filler"
"$weir" create k --set compaction=on
python3 -c 'for n in range(8000): print("{\"key\":\"%d\",\"value\":\"%s\"}" % (n % 7990, "x" * 1000))' >"$work/keyed"
"$weir" append k "$work/keyed" --format ndjson 2>/dev/null
head -c 30000000 /dev/zero >"$mounted/filler" 2>/dev/null
before=$("$weir" read k | cksum)
expect "a compaction without room" 1 'No space left|full' "$weir" compact k --now
check "leaves no file of its own" bash -c "! find '$WEIR_STORE/streams' -name compacting | grep -q ."
check "leaves the log as it was" [ "$("$weir" read k | cksum)" = "$before" ]
rm "$mounted/filler"
expect "with room it is done" 0 '' "$weir" compact k --now
check "and keeps what it has to" [ "$("$weir" read k | wc -l)" -eq 7990 ]
