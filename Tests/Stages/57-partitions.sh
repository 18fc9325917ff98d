#!/usr/bin/env bash
# Partitioned streams and replay, as a user asks for them: keys where mmh3 says, listings, merged
# reading, the last records, paces, sending again after kills, bad input.
source "$(dirname "$0")/expect.sh"
need_weir
python_venv
keys() { "$WEIR_PYTHON" Tests/Stages/partition-keys.py "$@"; }

# Keys: text, text of other scripts, the empty one, bytes that are no text.
keys make >"$work/keys"
for count in 1 3 7 64; do
    "$weir" create keys$count --partitions $count --durability flushed || echo "not ok set-up: create fails"
    "$weir" append keys$count "$work/keys" --format ndjson || echo "not ok set-up: append fails"
    "$weir" read keys$count --format json >"$work/read"
    check "$(wc -l <"$work/keys") keys are where mmh3 puts them, of $count" keys check $count <"$work/read"
    check "and where rstream sends them that routes by the number of the partition" keys rstream $count <"$work/read"
done
check "rstream's own hash sends 8 of 11 keys elsewhere, as the document says" [ "$(keys elsewhere)" = 8 ]
check "and its producer keeps the first key's route for all" [ "$(keys kept)" = 0 ]

# Listings.
export WEIR_STORE=$work/listed
"$weir" create orders --partitions 4
seq 1 100 | awk '{ printf "{\"key\":\"k%d\",\"value\":\"%d\",\"time\":\"2024-01-01T00:%02d:00Z\"}\n", $1 % 10, $1, $1 / 2 }' >"$work/orders"
"$weir" append orders "$work/orders" --format ndjson
"$weir" append alone "$work/orders" --format ndjson
expect "ls" 0 '' "$weir" ls
check "has a row for all partitions" grep -qE '^orders +4 +100 +- +- +4 ' "$work/out"
check "and one for the other stream" grep -qE '^alone +- +100 ' "$work/out"
check "and no more" [ "$(wc -l <"$work/out")" -eq 3 ]
check "ls --all has a row for each" [ "$("$weir" ls --all | grep -c '^orders-')" -eq 4 ]
json() { python3 -c "import json, sys; found = json.load(sys.stdin); assert $1, found"; }
"$weir" ls --json >"$work/out"
check "ls --json says how many" json 'found[1]["partitions"] == 4 and found[1]["records"] == 100' <"$work/out"
expect "info" 0 '' "$weir" info orders
check "names the hottest partition" grep -qE '^hottest +orders-[0-3] with [0-9.]+ % of the records; even shares are 25.0 %' "$work/out"
check "has shares of a whole" [ "$(awk '/^orders-/ { sum += $3 } END { print sum }' "$work/out")" = 100 ]
"$weir" info --json >"$work/out"
check "info --json has both kinds" json '[s["stream"] for s in found["streams"]] == ["alone"] and len(found["partitioned"][0]["partitions"]) == 4' <"$work/out"
"$weir" append orders "$work/orders" --format ndjson --acks >"$work/out"
check "acknowledgements tell the partition" [ "$(grep -c '"stream":"orders-[0-3]","first":' "$work/out")" -eq 4 ]
seq 1 40 | "$weir" append orders
check "records without a key go in turn" [ "$(for i in 0 1 2 3; do "$weir" read orders-$i --last 10; done | sort -n | uniq | wc -l)" -eq 40 ]
echo chosen | "$weir" append orders-3
check "a partition can be chosen" [ "$("$weir" read orders-3 --last 1)" = chosen ]

# Merged reading, of the partitions and of streams with nothing in common.
export WEIR_STORE=$work/merged
"$weir" create m --partitions 5
python3 - >"$work/m" <<'P'
import datetime, json, random
random.seed(5)
start = datetime.datetime(2024, 1, 1)
second = 0
for number in range(2000):
    second += random.choice([0, 0, 1, 5])   # equal times, none that goes back
    time = (start + datetime.timedelta(seconds=second)).isoformat() + "Z"
    print(json.dumps({"key": f"k{random.randrange(40)}", "value": str(number), "time": time}))
P
"$weir" append m "$work/m" --format ndjson
"$weir" append other "$work/m" --format ndjson
shuf --random-source=<(yes) "$work/m" | "$weir" append unsorted --format ndjson
for i in 0 1 2 3 4; do "$weir" read m --merge --format json | grep "\"stream\":\"m-$i\"" >"$work/m-$i"; done
for stream in unsorted other; do
    "$weir" read $stream --format json | sed "s/{/{\"stream\":\"$stream\",/" >"$work/$stream"
done
"$weir" read m --format json >"$work/whole"
keys merge "$work"/m-[0-4] >"$work/expected"
check "partitions are merged by time, and by their order where times are equal" cmp "$work/whole" "$work/expected"
check "and hold their own order" [ "$("$weir" read m-2 | cksum)" = "$(sed -nE 's/.*"stream":"m-2".*"value":"([0-9]+)".*/\1/p' "$work/whole" | cksum)" ]
"$weir" read unsorted other m-0 --merge --format json >"$work/three"
keys merge "$work/unsorted" "$work/other" "$work/m-0" >"$work/expected"
check "streams whose times go back are merged by their next records" cmp "$work/three" "$work/expected"
for count in 0 1 17 500 2000 5000; do
    check "the last $count of all are the end of all" cmp <("$weir" read m --last $count --format json) <(tail -n $count "$work/whole")
    check "and tail -n $count prints them" cmp <("$weir" tail m -n $count --format json) <(tail -n $count "$work/whole")
done
check "--last with --count begins there" cmp <("$weir" read m --last 50 --count 7 --format json) <(tail -n 50 "$work/whole" | head -n 7)
middle=$(sed -nE '1000s/.*"time":"([^"]+)".*/\1/p' "$work/whole")
awk -v middle="\"time\":\"$middle" -F, '$3 < middle' "$work/whole" >"$work/before"
check "--to ends at a time" cmp <("$weir" read m --to "time:$middle" --format json) "$work/before"
check "--last with --to are the last before it" cmp <("$weir" read m --to "time:$middle" --last 30 --format json) <(tail -n 30 "$work/before")
check "--from begins at a time" cmp <("$weir" read m --from "time:$middle" --format json) <(tail -n +$(($(wc -l <"$work/before") + 1)) "$work/whole")
later=$(sed -nE '1200s/.*"time":"([^"]+)".*/\1/p' "$work/whole")
in_window() {
    python3 -c 'import json, sys
for line in sys.stdin:
    if sys.argv[1] <= json.loads(line)["time"] < sys.argv[2]: print(line, end="")' "$middle" "$later"
}
for stream in m unsorted; do
    "$weir" read $stream --from "time:$middle" --to "time:$later" --format json >"$work/window"
    check "--from and --to are a window of $stream" cmp "$work/window" <("$weir" read $stream --format json | in_window)
    check "that has records" [ -s "$work/window" ]
done
check "--from and --to are a window of several" cmp \
    <("$weir" read unsorted m-0 --merge --from "time:$middle" --to "time:$later" --format json | sort) \
    <("$weir" read unsorted m-0 --merge --format json | in_window | sort)
expect "a window that ends before it begins" 2 'lies before --from' "$weir" read m --from "time:$later" --to "time:$middle"
check "--key reads the key's partition" cmp <("$weir" read m --key k7 --format json) <(grep '"key":"k7"' "$work/whole")
check "--key with --last" cmp <("$weir" read m --key k7 --last 3 --format json) <(grep '"key":"k7"' "$work/whole" | tail -n 3)
"$weir" read m other --merge --format json >"$work/both"
check "--key of several streams" cmp <("$weir" read m other --merge --key k7 --format json) <(grep '"key":"k7"' "$work/both")
check "--key of several with --last" cmp <("$weir" read other m --merge --key k7 --last 9) <("$weir" read other m --merge --key k7 | tail -n 9)
# same_where CONDITION, OPTIONS…: what it leaves of the whole is what a pattern finds there.
same_where() {
    local pattern=$1 condition=$2
    shift 2
    cmp <("$weir" read m --where "$condition" --format json "$@" 2>"$work/notes") <(grep -E "$pattern" "$work/whole")
}
check "--where by key, of all partitions" same_where '"key":"k7"' "key = 'k7'"
check "is no scan" [ ! -s "$work/notes" ]
check "--where by value" same_where '"value":"[0-9]*3"' "value like '%3'"
check "is a scan, which is told once" [ "$(grep -c 'note: The condition on value was answered by looking at all of m,' "$work/notes")" -eq 1 ]
check "and nothing else is told" [ "$(wc -l <"$work/notes")" -eq 1 ]
check "--where by key and value" same_where '"key":"k7".*"value":"[0-9]*3"' "key = 'k7' and value like '%3'"
check "--where all" same_where . 1
check "--where nothing" same_where '^none' 0
check "--where with --last, of all partitions" cmp <("$weir" read m --where "value like '%3'" --last 9 --format json 2>/dev/null) <(grep '"value":"[0-9]*3"' "$work/whole" | tail -n 9)
check "--where with --count" cmp <("$weir" read m --where "value like '%3'" --count 9 --format json 2>/dev/null) <(grep '"value":"[0-9]*3"' "$work/whole" | head -n 9)
check "--where with --from and --to" cmp <("$weir" read m --where 1 --from "time:$middle" --to "time:$middle" --format json) /dev/null
check "--where with --from" cmp <("$weir" read m --where 1 --from "time:$middle" --format json) <("$weir" read m --from "time:$middle" --format json)
check "--where with --to" cmp <("$weir" read m --where 1 --to "time:$middle" --format json) "$work/before"
check "--where of several streams" cmp <("$weir" read other m --merge --where "key = 'k7'") <("$weir" read other m --merge --key k7)
check "--where of several by value" cmp <("$weir" read other m --merge --where "value like '%3'" --format json 2>"$work/notes") <("$weir" read other m --merge --format json | grep '"value":"[0-9]*3"')
check "tells each that is looked through" [ "$(grep -oE 'all of (m|other),' "$work/notes" | sort | tr '\n' ' ')" = 'all of m, all of other, ' ]
check "a partitioned stream is a table" [ "$("$weir" sql "select count(*), count(distinct partition) from m where key = 'k7' or key = 'k8'" | tail -n 1)" = "$(grep -cE '"key":"k[78]"' "$work/whole"),$(grep -E '"key":"k[78]"' "$work/whole" | cut -d, -f1 | sort -u | wc -l)" ]
check "--where with --last" cmp <("$weir" read other --where "key = 'k7'" --last 3) <("$weir" read m --key k7 --last 3)
"$weir" cursor set m-1 c end
check "--from cursor begins in each at its own cursor" cmp <("$weir" read m --from cursor:c --format json) <(grep -v '"stream":"m-1"' "$work/whole")
check "csv tells the stream" grep -q '^stream,offset,time,key,value,headers$' <("$weir" read m --format csv)
"$weir" read m --format json | "$weir" append again --format ndjson
check "what was merged can be appended" cmp <("$weir" read again) <("$weir" read m)

# Cursors of partitions, with nobody who writes and through the one who does.
cursors() { "$weir" cursor ls "$1" --json | python3 -c 'import json, sys; print(*(c["stream"] + ":" + c["cursor"] for c in json.load(sys.stdin)))'; }
for access in alone beside; do
    if [ $access = beside ]; then
        mkfifo "$work/input"
        "$weir" append slow - <"$work/input" >/dev/null 2>&1 &
        follower=$!
        exec 8>"$work/input"
        for _ in $(seq 1 100); do "$weir" flow slow --once >/dev/null 2>&1 && break; sleep 0.1; done
        check "somebody writes" "$weir" flow slow --once
    fi
    for place in m-4:a m-1:c m-0:c m-0:a; do "$weir" cursor set "${place%:*}" "${place#*:}" end || echo "not ok set-up: cursor set fails"; done
    check "$access: cursor ls has those of all partitions" [ "$(cursors m)" = 'm-0:a m-0:c m-1:c m-4:a' ]
    check "$access: or of one" [ "$(cursors m-1)" = 'm-1:c' ]
    expect "$access: cursor set needs a partition" 1 'its 5 partitions have cursors of their own; set that of one, such as m-0' "$weir" cursor set m c 1
    expect "$access: a cursor that no partition has" 1 'There is no cursor none' "$weir" cursor rm m none
    expect "$access: cursor rm" 0 '' "$weir" cursor rm m c
    check "$access: removes those of all partitions" [ "$(cursors m)" = 'm-0:a m-4:a' ]
    expect "$access: cursor rm again" 1 'There is no cursor c' "$weir" cursor rm m c
    expect "$access: cursor rm of the other" 0 '' "$weir" cursor rm m a
done
exec 8>&-
wait $follower
rm "$work/input"

# Following, and paces.
"$weir" tail -f m -n 0 >"$work/followed" 2>&1 &
follower=$!
for number in $(seq 1 50); do echo "{\"key\":\"k$number\",\"value\":\"f$number\"}"; done | "$weir" append m --format ndjson
for _ in $(seq 1 100); do [ "$(wc -l <"$work/followed")" -ge 50 ] && break; sleep 0.1; done
kill -INT $follower
wait $follower
status=$?
check "tail -f prints what all partitions get" [ "$(sort -V "$work/followed" | tr '\n' ' ')" = "$(seq -f 'f%g' -s ' ' 1 50) " ]
check "and ends by Ctrl-C" [ $status -eq 130 ]
for minute in 0 1 2; do echo "{\"value\":\"$minute\",\"time\":\"2024-01-01T00:0$minute:00Z\"}"; done | "$weir" append slow --format ndjson
paced() { # LEAST-MILLISECONDS, OPTIONS…
    local least=$1 begin=$(date +%s%3N)
    shift
    [ "$("$weir" read slow "$@" | tr '\n' ' ')" = '0 1 2 ' ] && [ $(($(date +%s%3N) - begin)) -ge "$least" ]
}
check "two minutes at 60x take two seconds" paced 2000 --speed 60x
check "also merged" paced 500 --speed 240x --merge
check "also read ahead" paced 500 --speed 240x --window 1MiB
check "and at max no time that matters" timeout 60 "$weir" read slow --speed max

# Sent again after kills: every record once, those without a key too.
export WEIR_STORE=$work/again
"$weir" create p --partitions 6 --durability flushed
seq 1 20000 | awk '{ if ($1 % 3) printf "{\"key\":\"k%d\",\"value\":\"%d\"}\n", $1 % 97, $1; else printf "{\"value\":\"%d\"}\n", $1 }' >"$work/numbers"
kills=0
for ((round = 1; round <= 5; round++)); do
    : >"$work/acks"
    "$weir" append p "$work/numbers" --format ndjson --producer loader --batch $((RANDOM % 30 + 5)) --acks >"$work/acks" 2>/dev/null &
    writer=$!
    until [ "$(wc -l <"$work/acks")" -ge $((RANDOM % 100 + 20)) ] || ! kill -0 $writer 2>/dev/null; do :; done
    kill -9 $writer 2>/dev/null && kills=$((kills + 1))
    wait $writer 2>/dev/null
done
expect "sent again" 0 'of 20,000 records, [1-9][0-9,]* were there already' "$weir" append p "$work/numbers" --format ndjson --producer loader
check "after $kills kills every record is there once" cmp <("$weir" read p | sort -n) <(seq 1 20000)
check "and those of a key are in their order" cmp <("$weir" read p --key k5) <(seq 1 20000 | awk '$1 % 3 && $1 % 97 == 5')

export WEIR_STORE=$work/merged
while IFS='|' read -r name status pattern arguments; do
    # shellcheck disable=SC2086
    expect "$name" "$status" "$pattern" "$weir" $arguments
done <<'cases'
no partitions|2|number of partitions is 0; expected 1 to 1024|create n --partitions 0
fewer than none|2|number of partitions is -3; expected 1 to 1024|create n --partitions=-3
too many partitions|2|number of partitions is 1025; expected 1 to 1024|create n --partitions 1025
partitions that are no number|2|'many' is invalid|create n --partitions many
a partitioned stream that is there|1|partitioned stream m exists already|create m --partitions 5
another number of partitions|1|m has 5 partitions and 6 were asked for|create m --partitions 6
a stream of its name|1|m is a partitioned stream already|create m
a system name|1|names? weir.n begins with weir|create weir.n --partitions 2
a partition that is not there|1|no stream m-5 in this store|read m-5
one of several that is not there|1|no stream nothing in this store|read m nothing --merge
several without --merge|2|2 streams are named; add --merge|read m other
a stream with itself|1|m-1 is to be merged with itself|read m m-1 --merge
an offset in several|1|Offsets count in one stream|read m --from offset:3
an offset as the end of several|1|Offsets count in one stream|read m --to offset:3
reading ahead of several|1|Reading ahead is set for one stream|read m --window 1MiB
tail reading ahead of several|1|Reading ahead is set for one stream, and m has 5 partitions|tail m --window 1MiB
a condition on several that is none|1|no single expression|read m --where (1
a condition on several with an offset to begin|1|Offsets count in one stream|read m --where 1 --from offset:3
an unknown column of several|1|no such column: carier; the columns of a stream are|read m --where carier=1
the last and a beginning|2|give one of them|read m --last 3 --from first
a negative last|2|last is negative|read m --last -3
too many of several|1|last 1000001 records are asked for; expected at most 1000000|read m --last 1000001
too many of a key|2|last 1000001 records are asked for; expected at most 1000000|read other --key k --last 1000001
a speed of nothing|2|speed of replay is 0.0; expected 0.001 to 1000000 times|read m --speed 0x
an absurd speed|2|speed of replay is 1000001.0; expected|read m --speed 1000001x
a speed without its x|2|'60' is invalid for '--speed|read m --speed 60
a speed in words|2|'fast' is invalid for '--speed|read m --speed fast
following a replay|2|Unknown option '--follow'|read m --last 3 --follow
a partition to delete|1|m-0 is partition 0 of m and cannot be deleted alone|delete m-0 --yes
deleting without a word|2|needs a terminal to ask on, or --yes|delete m
cases
check "nothing was made or deleted" [ "$("$weir" ls | cut -d' ' -f1 | tr '\n' ' ')" = 'stream again m other slow unsorted ' ]
expect "deleting it" 0 '' "$weir" delete m --yes
check "takes all partitions" [ "$("$weir" ls --all | grep -c '^m-')" -eq 0 ]
expect "deleting it again" 1 'no stream m ' "$weir" delete m --yes
expect "making it again, with another number" 0 '' "$weir" create m --partitions 2
check "it is empty" [ -z "$("$weir" read m)" ]

# Trouble of one partition: damage is told with its name, and what is not there is not overlooked.
export WEIR_STORE=$work/trouble
"$weir" create t --partitions 3
seq 1 30 | "$weir" append t
python3 - "$WEIR_STORE"/streams/*/*.segment <<'P'
import sys
with open(sys.argv[1], "r+b") as file:
    file.seek(4200)
    file.write(bytes(64))
P
expect "damage in a partition" 3 'gap \(damage\): 10 records of t-[0-2] missing' "$weir" read t
check "the others are read" [ "$(wc -l <"$work/out")" -eq 20 ]
expect "damage met by a condition" 3 'gap \(damage\): 10 records of t-[0-2] missing' "$weir" read t --where 1
check "the others are found" [ "$(wc -l <"$work/out")" -eq 20 ]
gone=$(find "$WEIR_STORE"/streams -mindepth 1 -maxdepth 1 | head -n 1)
rm -r "$gone"
check "a partition that is gone shows in ls" grep -qE '^t +2 of 3 ' <("$weir" ls)
for command in "read t" "read t --where 1" "tail t" "append t /dev/null" "info t"; do
    # shellcheck disable=SC2086
    expect "a partition that is gone: $command" 1 '1 of the 3 partitions of t is missing, t-[0-2] the first' "$weir" $command
done
expect "a partitioned stream that is not whole is no table" 1 'no such table: t' "$weir" sql 'select count(*) from t'
expect "info of all goes on" 0 '' "$weir" info
expect "and deleting helps" 0 '' "$weir" delete t --yes
exit 0
