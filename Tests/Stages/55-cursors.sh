#!/usr/bin/env bash
# Cursors from outside: `weir cursor` with a writer and without one, what a killed writer leaves of
# them, a consumer that counts each record once although it is killed twenty times, and a group whose
# process is.
source "$(dirname "$0")/expect.sh"
kills=${WEIR_KILLS:-20}
need_weir

# stands CURSOR OFFSET: where it is listed.
stands() { "$weir" cursor ls s --json | python3 -c 'import json, sys
found = {c["cursor"]: c["offset"] for c in json.load(sys.stdin)}
assert str(found.get(sys.argv[1])) == sys.argv[2], found' "$1" "$2"; }
begin() { # starts a writer that waits for more, and waits until it serves
    rm -f "$work/input"
    mkfifo "$work/input"
    "$weir" append s - <"$work/input" >/dev/null 2>"$work/writer" &
    writer=$!
    exec 8>"$work/input"
    echo more >&8
    until_true "$weir" flow s --once || echo "not ok set-up: the writer does not serve; $(head -n 1 "$work/writer")"
}
end() {
    exec 8>&-
    wait "$writer" 2>/dev/null
}

expect "no store" 1 'There is no store at' "$weir" cursor ls
expect "no store to set in" 1 'There is no store at' "$weir" cursor set s c 1
check "nothing was made" [ ! -e "$WEIR_STORE" ]
seq 0 999 | "$weir" append s 2>/dev/null || echo "not ok set-up: append fails"
expect "an empty list" 0 '' "$weir" cursor ls --json
check "it is an empty list" [ "$(cat "$work/out")" = '[]' ]
expect "a cursor to remove that is not there" 1 'There is no cursor c' "$weir" cursor rm s c
check "nothing was made for it" [ "$("$weir" ls --all | wc -l)" -eq 2 ]

# The same with nobody who writes, and through the one who does.
for access in alone beside; do
    [ $access = alone ] || begin
    expect "$access: set" 0 '' "$weir" cursor set s c 100
    check "$access: it stands there" stands c 100
    expect "$access: set further" 0 '' "$weir" cursor set s c offset:200
    expect "$access: set back" 1 'stands at offset 200, and 100 lies before it' "$weir" cursor set s c 100
    check "$access: it stands where it was" stands c 200
    expect "$access: set back by force" 0 '' "$weir" cursor set s c first --force
    check "$access: it stands at the first" stands c 0
    expect "$access: set beyond the end" 1 'cannot stand at offset 5000' "$weir" cursor set s c 5000
    expect "$access: set to the end" 0 '' "$weir" cursor set s c end
    check "$access: nothing is left to read" [ -z "$("$weir" read s --from cursor:c)" ]
    expect "$access: a stream that is not there" 1 'no stream nothing in this store, which has s;' "$weir" cursor set nothing c 1
    expect "$access: a name outside the allowed set" 1 'The cursor name .* is not allowed' "$weir" cursor set s 'a b' 1
    expect "$access: a system stream" 1 "is one of Weir's own" "$weir" cursor set weir.cursors c 1
    expect "$access: remove" 0 '' "$weir" cursor rm s c
    expect "$access: remove again" 1 'There is no cursor c' "$weir" cursor rm s c
    expect "$access: set for later" 0 '' "$weir" cursor set s later-$access 7
    [ $access = alone ] || end
done
check "both are there behind the writer" stands later-beside 7
check "both are there behind the writer (2)" stands later-alone 7
expect "a goal that is none" 2 "'soon' is invalid" "$weir" cursor set s c soon
expect "no goal" 2 'Missing expected argument' "$weir" cursor set s c
expect "a cursor that is not there is told of" 0 'no cursor is called new here.*first record; there are later-alone, later-beside' "$weir" read s --from cursor:new --count 1
check "a cursor that never committed begins with the first" [ "$("$weir" read s --from cursor:new --count 1)" = 0 ]
check "and a committed one where it stands" [ "$("$weir" read s --from cursor:later-alone --count 1)" = 7 ]
check "ls does not show Weir's own streams" [ "$("$weir" ls | grep -c 'weir\.')" -eq 0 ]
check "ls --all does" [ "$("$weir" ls --all | grep -c 'weir\.cursors')" -eq 1 ]
expect "Weir's own are not deleted" 1 'cannot be deleted' "$weir" delete weir.cursors --yes
expect "nor appended to" 1 'nobody else appends to' "$weir" append weir.cursors /dev/null

# Groups live in the process that writes: nothing to tell without one.
expect "groups without a writer" 1 'no process has .* open|writ' "$weir" group ls
begin
expect "no groups" 0 '' "$weir" group ls --json
check "it is an empty list of groups" [ "$(cat "$work/out")" = '[]' ]
expect "groups of a stream that is not there" 1 'nothing' "$weir" group ls nothing
end

# A writer that is killed: what was told of is there.
begin
"$weir" cursor set s killed 500 || echo "not ok set-up: no commit"
kill -9 "$writer"
end 2>/dev/null
check "a killed writer keeps its commits" stands killed 500
begin
check "and the next writer has them" stands killed 500
end
for name in a b c d e f; do "$weir" cursor set s $name 1 >/dev/null 2>&1; done
expect "of many cursors the first are told" 0 'there are a, b, c, d, e, …$' "$weir" read s --from cursor:new --count 1
"$weir" delete s --yes >/dev/null 2>&1
check "a deleted stream has none" [ "$("$weir" cursor ls --json)" = '[]' ]

# A segment of the cursors of which bytes do not hold, for who reads and for who writes; and a stream
# of them that cannot be opened.
echo 1 | "$weir" append s 2>/dev/null
for name in first second third; do "$weir" cursor set s $name 1; done
cp -r "$WEIR_STORE" "$work/good"
segment=$(grep -rl --include='*.segment' third "$WEIR_STORE"/streams)
place=$(grep -abo third "$segment" | tail -n 1 | cut -d: -f1)
printf '\377' | dd of="$segment" bs=1 seek="$place" conv=notrunc 2>/dev/null
for access in alone beside; do
    [ $access = alone ] || begin
    expect "$access: a damaged commit" 3 'commits of cursors are missing.*stream weir.cursors.*offsets' "$weir" cursor ls
    check "$access: says what to do" grep -q 'set it anew with `weir cursor set`' "$work/err"
    check "$access: lists the others" grep -q second "$work/out"
    expect "$access: the same in JSON" 3 'commits of cursors are missing' "$weir" cursor ls --json
    check "$access: has an entry that tells it" python3 -c 'import json, sys
[lost] = [c for c in json.load(open(sys.argv[1])) if c["cursor"] is None]
assert lost["stream"] == "weir.cursors" and "missing" in lost["problem"] and lost["offset"] is None' "$work/out"
    [ $access = alone ] || end
done
manifest=$(dirname "$segment")/MANIFEST
rm -f "$manifest" && mkdir "$manifest"
expect "a stream of cursors that cannot be opened" 3 'damage: the stream cannot be opened: .*MANIFEST' "$weir" cursor ls
rm -rf "$WEIR_STORE" && mv "$work/good" "$WEIR_STORE"
expect "the good copy" 0 '' "$weir" cursor ls

# A stream that is as it was before the cursor's commit, as power loss leaves one that nobody synced.
"$weir" create lost --durability flushed
seq 10 | "$weir" append lost
cp -r "$WEIR_STORE" "$work/before"
seq 11 20 | "$weir" append lost
"$weir" cursor set lost c 20
folder=$("$weir" info lost --json | grep -oE 'streams/[0-9a-f]+' | head -n 1)
rm -r "${WEIR_STORE:?}/$folder"
cp -r "$work/before/$folder" "$WEIR_STORE/streams/"
cp "$work/before/tail" "$WEIR_STORE/tail"
seq 101 105 | "$weir" append lost
for merge in "" --merge; do
    # shellcheck disable=SC2086
    expect "reading tells that the cursor was moved back $merge" 0 'gap \(unsynced\): reading .*goes on at offset 15, and not at 20' "$weir" read lost --from cursor:c $merge
done
"$weir" delete lost --yes

# Exactly once: cursor and result in one transaction of the consumer's own database.
count=10000
seq 1 $count | "$weir" append numbers 2>/dev/null || echo "not ok set-up: append fails"
once=("$WEIR_ROOT/Tests/Stages/sum-once.py" "$weir" numbers "$work/sums.db")
killed=0 moved=0 before=0
for ((round = 1; round <= kills; round++)); do
    # A machine with other work may need longer than this to begin: more each time, until it has worked.
    milliseconds=$((RANDOM % 400 + 100 + (moved == 0 ? 100 * round : 0)))
    # Without the shell's own words about it.
    (
        timeout --signal=KILL "$((milliseconds / 1000)).$(printf %03d $((milliseconds % 1000)))" "${once[@]}" 2>"$work/words"
        exit $?
    ) 2>/dev/null
    [ $? -eq 137 ] && killed=$((killed + 1))
    after=$(python3 -c 'import sqlite3, sys
try: print(sqlite3.connect(sys.argv[1]).execute("select next from cursor").fetchone()[0])
except (sqlite3.Error, TypeError): print(0)' "$work/sums.db")
    [ "$after" -gt "$before" ] && moved=$((moved + 1))
    before=$after
done
"${once[@]}" 2>"$work/words" || echo "not ok the consumer fails: $(tail -n 1 "$work/words")"
sum=$(python3 -c 'import sqlite3, sys
print(*sqlite3.connect(sys.argv[1]).execute("select sum, next from total, cursor").fetchone())' "$work/sums.db")
if [ "$sum" = "$((count * (count + 1) / 2)) $count" ]; then echo "ok a consumer that is killed $killed times of $kills, $moved of them after it had worked, counts each record once"; else echo "not ok exactly once: sum and next are $sum after $killed kills"; fi
if [ $killed -ge $((kills / 2)) ] && [ $moved -gt 0 ]; then echo "ok the kills met it at work"; else echo "not ok the kills came too late or too early: $killed of $kills, $moved after work"; fi

# A group: its process is killed in the middle of batches and commits, and other members go on.
soak=$WEIR_ROOT/.build/debug/weir-flow-soak
[ -x "$soak" ] || swift build --product weir-flow-soak >&2
"$weir" create jobs --partitions 4 --max-batch-bytes 4096
seq -f '%0100g' 1 4000 | "$weir" append jobs || echo "not ok set-up: append fails"
killed=0
live() { # COMMAND…: lives once, until it ends or is killed
    echo life >>"$work/lives"
    ("$@" "$soak" group --dir "$WEIR_STORE" >>"$work/lives" 2>"$work/words"; exit $?) 2>/dev/null
}
for ((round = 1; round <= kills; round++)); do
    live timeout --signal=KILL "0.$((RANDOM % 300 + 100))"
    [ $? -eq 137 ] && killed=$((killed + 1))
done
live timeout 120 || echo "not ok the group fails: $(tail -n 1 "$work/words")"
if found=$(grep -v '^{' "$work/lives" | python3 Tests/Stages/group-log.py /dev/stdin 4 1000 2>&1); then
    echo "ok a group whose process is killed $killed times of $kills passes over nothing and repeats behind the last commit only: $found"
else
    echo "not ok a group whose process is killed $killed times of $kills: $(tail -n 1 <<<"$found")"
fi
check "the kills met it at work" [ $killed -ge $((kills / 2)) ]
check "every partition is committed to its end" [ "$("$weir" cursor ls jobs --json | grep -o '"offset":1000' | wc -l)" -eq 4 ]
exit 0
