#!/usr/bin/env bash
# Backups from outside: beside a writer that appends all the while, grown, restored and compared; a full
# disk, and every wrong argument.
source "$(dirname "$0")/expect.sh"
need_weir

# digest STORE: of every record of every stream.
digest() {
    local stream
    for stream in $("$weir" ls --all --store "$1" | tail -n +2 | cut -d' ' -f1); do
        echo "$stream"
        "$weir" read "$stream" --store "$1" --format json
    done | sha256sum
}
# same NAME STORE STORE: both hold the same records.
same() { if [ "$(digest "$2")" = "$(digest "$3")" ]; then echo "ok $1"; else echo "not ok $1: the digests differ"; fi; }
number() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
names() { "$weir" backup "$work/backups" --list | tail -n +2 | cut -d' ' -f1; }

"$weir" create empty && "$weir" create gone && "$weir" create trips --partitions 3
"$weir" create packed --compression lz4 && "$weir" create loose --durability flushed
seq 20000 | "$weir" append s --batch 100
seq 5000 | "$weir" append packed --batch 1000
seq 300 | sed 's/.*/{"key":"k&","value":"v&"}/' | "$weir" append trips --format ndjson
seq 10 | "$weir" append gone && "$weir" delete gone --yes 2>/dev/null
"$weir" cursor set s billing 400

# Beside a writer: what was acknowledged before the backup began is in it, in order, without a hole.
mkfifo "$work/input"
"$weir" append s - --acks <"$work/input" >"$work/acks" 2>"$work/writer" &
writer=$!
python3 -c 'import time
for i in range(10**6):
    print("live", i, flush=True)
    if i % 10 == 0: time.sleep(0.005)' >"$work/input" 2>/dev/null &
feeder=$!
disown $feeder
until [ -s "$work/acks" ]; do :; done
held=0
for round in 1 2 3; do
    acknowledged=$(grep '}$' "$work/acks" | tail -n 1 | grep -o '"last":[0-9]*' | cut -d: -f2)
    "$weir" backup "$work/live" >/dev/null 2>"$work/err" || { echo "not ok a backup beside a writer: $(head -n 1 "$work/err")"; continue; }
    rm -rf "$work/restored"
    "$weir" restore "$work/live" "$work/restored" >/dev/null 2>"$work/err" || { echo "not ok its restore: $(head -n 1 "$work/err")"; continue; }
    "$weir" read s --store "$work/restored" --format json >"$work/records"
    "$weir" verify --deep --store "$work/restored" >"$work/out" 2>"$work/err" || { echo "not ok it is healthy: $(head -n 1 "$work/out" "$work/err")"; continue; }
    cmp -s <("$weir" read s --store "$work/restored") <("$weir" read s --count "$(wc -l <"$work/records")") || { echo "not ok its values: they are not the store's"; continue; }
    python3 - "$work/records" "$acknowledged" <<'P' && held=$((held + 1))
import json, sys
offsets = [json.loads(line)["offset"] for line in open(sys.argv[1])]
assert offsets == list(range(len(offsets))), "a hole, or out of order"
assert len(offsets) > int(sys.argv[2]), (len(offsets), sys.argv[2])
P
done
if [ $held -eq 3 ]; then echo "ok 3 backups beside a writer hold what was acknowledged before they began"; else echo "not ok backups beside a writer: $held of 3 hold"; fi
check "the writer noticed nothing" kill -0 $writer
kill -9 $writer $feeder 2>/dev/null
wait $writer 2>/dev/null
echo more | "$weir" append s 2>/dev/null

# Of a store at rest: the same records, cursors and partitions.
full=$("$weir" backup "$work/backups" --json | number bytesWritten)
"$weir" restore "$work/backups" "$work/whole" >/dev/null 2>&1 || echo "not ok set-up: restore fails"
same "a restored store has every record of every stream" "$WEIR_STORE" "$work/whole"
expect "and is healthy to its last byte" 0 '' "$weir" verify --deep --store "$work/whole"
[ "$("$weir" cursor ls --store "$work/whole" | tail -n 1 | awk '{ print $3 }')" = 400 ] && echo "ok and the cursors" || echo "not ok the cursors of a restored store"
cmp -s "$WEIR_STORE/WEIR" "$work/whole/WEIR" && echo "not ok a restored store has an id of its own" || echo "ok a restored store has an id of its own"
echo appended | "$weir" append s --store "$work/whole" 2>/dev/null
check "and takes appends" [ "$("$weir" read s --store "$work/whole" --from last)" = appended ]
cp -a "$WEIR_STORE" "$work/before"

# Growth by a hundredth.
size=$(du -sb "$WEIR_STORE/streams" | cut -f1)
head -c $((size / 100)) /dev/zero | tr '\0' x | fold -w 990 | "$weir" append s 2>/dev/null
grown=$("$weir" backup "$work/backups" --json | number bytesWritten)
if [ $((grown * 50)) -le "$full" ]; then echo "ok growth by 1 % costs $grown bytes of $full"; else echo "not ok growth by 1 % costs $grown bytes of $full"; fi
"$weir" restore "$work/backups" "$work/grown" >/dev/null
same "the grown store is restored" "$WEIR_STORE" "$work/grown"
"$weir" restore "$work/backups" "$work/old" --snapshot "$(names | head -n 1)" >/dev/null
same "and so is what it was before" "$work/before" "$work/old"

# Ends.
for count in 1 99 100 12345; do
    "$weir" restore "$work/backups" "$work/end" --stream s --to offset:$count >/dev/null
    check "a restore to offset $count has $count records" cmp <("$weir" read s --store "$work/end") <("$weir" read s | head -n $count)
    [ $count -ne 12345 ] || expect "and is healthy" 0 '' "$weir" verify --deep --store "$work/end"
    rm -rf "$work/end"
done
"$weir" restore "$work/backups" "$work/end" --stream packed --to offset:1234 >/dev/null
check "and so has one of a packed stream" cmp <("$weir" read packed --store "$work/end") <(seq 1234)
rm -rf "$work/end"
sleep 0.01 && now=$(date +%s.%6N) && sleep 0.01
seq 7 | "$weir" append packed 2>/dev/null
"$weir" backup "$work/backups" >/dev/null
"$weir" restore "$work/backups" "$work/end" --to "time:@$now" >/dev/null
check "a restore to a time has what was taken before it" cmp <("$weir" read packed --store "$work/end") <(seq 5000)
same "a restore to a time leaves other streams whole" "$work/end" "$work/grown"
rm -rf "$work/end"
"$weir" restore "$work/backups" "$work/end" --stream trips >/dev/null
check "a partitioned stream is restored by its name" [ "$("$weir" read trips --store "$work/end" | wc -l)" -eq 300 ]
rm -rf "$work/end"

# A stream whose oldest records went: its offsets stay, and what is gone cannot be asked for.
"$weir" trim packed --before offset:1500 >/dev/null
"$weir" backup "$work/backups" >/dev/null
"$weir" restore "$work/backups" "$work/end" >/dev/null
same "a trimmed stream is restored" "$WEIR_STORE" "$work/end"
check "and begins where it began" [ "$("$weir" read packed --store "$work/end" --from offset:1500 --count 1)" = 1501 ]
rm -rf "$work/end"
expect "an end before its first record" 1 'is not among them' "$weir" restore "$work/backups" "$work/end" --stream packed --to offset:1400

# Links.
"$weir" backup "$work/links" --link >/dev/null
"$weir" restore "$work/links" "$work/end" >/dev/null
same "a backup with links is restored" "$WEIR_STORE" "$work/end"
rm -rf "$work/end"

# Bad input.
expect "no store" 1 'There is no store at' "$weir" backup "$work/new" --store "$work/nowhere"
check "and nothing is made for it" [ ! -e "$work/new" ]
expect "a backup inside the store" 1 'inside the store' "$weir" backup "$WEIR_STORE/backups"
expect "a backup over the store" 1 'inside the store' "$weir" backup "$WEIR_STORE"
ln -s "$WEIR_STORE" "$work/link"
expect "a backup inside the store by a link" 1 'inside the store' "$weir" backup "$work/link/backups"
check "nothing was made in the store" [ ! -e "$WEIR_STORE/backups" ]
mkdir "$work/things" && echo hello >"$work/things/file"
expect "a directory of other things" 1 'is no backup: it holds file' "$weir" backup "$work/things"
expect "another store" 1 'is a store' "$weir" backup "$work/grown"
expect "a path in no directory" 1 'check the path' "$weir" backup "$work/no/where"
expect "a path that is a file" 1 'not a directory' "$weir" backup "$work/things/file"
expect "backups of another store" 1 'backups of another store' "$weir" backup "$work/backups" --store "$work/grown"
expect "no snapshot to keep" 2 'expected 1 or more' "$weir" backup "$work/backups" --keep 0
expect "a list that keeps" 2 'makes no backup' "$weir" backup "$work/backups" --list --keep 1
expect "a list of nothing" 1 'no backup at' "$weir" backup "$work/nowhere" --list
expect "a list of other things" 1 'is no backup' "$weir" backup "$work/things" --list
expect "a restore of nothing" 1 'no backup at' "$weir" restore "$work/nowhere" "$work/end"
expect "a restore of a store" 1 'is no backup' "$weir" restore "$WEIR_STORE" "$work/end"
expect "a restore onto a store" 1 'overwrites nothing' "$weir" restore "$work/backups" "$work/whole"
expect "a restore onto a file" 1 'overwrites nothing' "$weir" restore "$work/backups" "$work/things/file"
expect "a restore into no directory" 1 'check the path' "$weir" restore "$work/backups" "$work/no/where"
expect "an offset of no stream" 1 'name the one' "$weir" restore "$work/backups" "$work/end" --to offset:5
expect "an offset behind the end" 1 'is not among them' "$weir" restore "$work/backups" "$work/end" --stream packed --to offset:999999
expect "a time behind the end" 1 'give an earlier time' "$weir" restore "$work/backups" "$work/end" --to time:2999-01-01
expect "a time before the first record" 1 'give a later one' "$weir" restore "$work/backups" "$work/end" --to time:1999-01-01
expect "an end that is none" 2 'invalid' "$weir" restore "$work/backups" "$work/end" --to soon
expect "a stream that is not there" 1 'has no stream nothing' "$weir" restore "$work/backups" "$work/end" --stream nothing
expect "a snapshot that is not there" 1 'has no snapshot' "$weir" restore "$work/backups" "$work/end" --snapshot never
expect "a snapshot outside" 1 'has no snapshot' "$weir" restore "$work/backups" "$work/end" --snapshot ../../x
check "none of these left anything" [ ! -e "$work/end" ] && check "nor its beginning" [ ! -e "$work/end.restoring" ]

# Damage: on the source's side, and on the backup's.
cp -a "$work/before" "$work/damaged"
segment=$(find "$work/damaged/streams" -name '*.segment' -size +100k | head -n 1)
printf '\377\376\375' | dd of="$segment" bs=1 seek=20000 conv=notrunc 2>/dev/null
expect "a damaged batch in the store" 3 'stream s, .*bytes [0-9]+ to [0-9]+, offsets' "$weir" backup "$work/hurt" --store "$work/damaged"
expect "and its restore" 0 '' "$weir" restore "$work/hurt" "$work/end"
same "a damaged batch costs itself" "$work/damaged" "$work/end" 2>/dev/null
rm -rf "$work/end"
damaged() { # a copy of the backups
    rm -rf "$work/copy" "$work/end" && cp -a "$work/backups" "$work/copy"
    segment=$(find "$work/copy/streams" -name '*.segment' -size +100k | head -n 1)
}
damaged && printf '\377\376\375' | dd of="$segment" bs=1 seek=20000 conv=notrunc 2>/dev/null
expect "an altered segment in the backup" 3 'not the one that the snapshot names' "$weir" restore "$work/copy" "$work/end"
check "the rest of it is there" [ "$("$weir" read s --store "$work/end" 2>/dev/null | wc -l)" -gt 19000 ]
damaged && rm "$segment"
expect "a missing segment in the backup" 3 'missing in the backup' "$weir" restore "$work/copy" "$work/end"
check "the other streams are there" [ "$("$weir" read packed --store "$work/end" 2>/dev/null | wc -l)" -eq 3507 ]
"$weir" backup "$work/copy" >/dev/null
rm -rf "$work/end"
expect "the next backup brings it back" 0 '' "$weir" restore "$work/copy" "$work/end"
damaged && last=$(find "$work/copy/snapshots" -type f | sort | tail -n 1) && truncate -s -10 "$last"
expect "a snapshot that was cut, in the list" 3 'claims' "$weir" backup "$work/copy" --list
expect "a snapshot that was cut" 1 'cannot be read' "$weir" restore "$work/copy" "$work/end"
expect "the one before it" 0 '' "$weir" restore "$work/copy" "$work/end" --snapshot "$(names | head -n 2 | tail -n 1)"
expect "a backup beside it" 0 '' "$weir" backup "$work/copy" --keep 1
check "removes nothing" [ "$(find "$work/copy/snapshots" -type f | wc -l)" -eq 5 ]
rm -rf "$work/end"

# Ended in the middle, each says what is there; the same again comes to its end.
interrupted() { # NAME PATTERN FOLDER COMMAND…: ended as soon as the folder is there
    local name=$1 pattern=$2 folder=$3 process
    shift 3
    "$@" >"$work/out" 2>"$work/err" </dev/null &
    process=$!
    until [ -n "$(find "$folder" -name '*.segment*' -print -quit 2>/dev/null)" ] || ! kill -0 $process 2>/dev/null; do :; done
    kill -TERM $process 2>/dev/null
    wait $process
    found=$?
    if [ $found -eq 130 ] && grep -qE "$pattern" "$work/err"; then echo "ok $name says what is there"; else echo "not ok $name: exit status $found, $(head -n 1 "$work/err")"; fi
    expect "$name comes to its end the next time" 0 '' "$@"
}
head -c 150000000 /dev/zero | tr '\0' x | fold -w 990 | "$weir" append wide --store "$work/wide" 2>/dev/null
interrupted "a backup" 'stopped early: no snapshot was made, and earlier ones are whole; the same command again' "$work/wide-backups" "$weir" backup "$work/wide-backups" --store "$work/wide"
interrupted "a restore" 'stopped early: no store was made at .*/end; the same command again' "$work/end.restoring" "$weir" restore "$work/wide-backups" "$work/end"
rm -rf "$work/end" "$work/wide" "$work/wide-backups"

# No permission, and no room.
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
    mkdir -m 755 "$work/theirs" && chmod 755 "$work" && chmod -R a+rX "$WEIR_STORE"
    expect "a directory of somebody else's" 1 'permission' setpriv --reuid=65534 --clear-groups "$weir" backup "$work/theirs"
else
    echo "skip a missing permission: privilege: this root cannot become another user"
fi
mkdir "$work/room"
if mount -t tmpfs -o size=1m none "$work/room" 2>/dev/null; then
    seq 1000 | "$weir" append tiny --store "$work/tiny" 2>/dev/null
    "$weir" backup "$work/room/backups" --store "$work/tiny" >/dev/null
    free=$(df --output=avail -B1 "$work/room" | tail -n 1)
    head -c 1500000 /dev/zero | tr '\0' x | fold -w 990 | "$weir" append tiny --store "$work/tiny" 2>/dev/null
    expect "a full disk under a backup" 1 'make room' "$weir" backup "$work/room/backups" --store "$work/tiny"
    check "gives the room back" [ "$(df --output=avail -B1 "$work/room" | tail -n 1)" -ge $((free - 16384)) ]
    expect "the earlier one is whole" 0 '' "$weir" restore "$work/room/backups" "$work/tiny-again"
    check "and has its records" [ "$("$weir" read tiny --store "$work/tiny-again" | wc -l)" -eq 1000 ]
    "$weir" backup "$work/tiny-backups" --store "$work/tiny" >/dev/null
    expect "a full disk under a restore" 1 'make room' "$weir" restore "$work/tiny-backups" "$work/room/store"
    check "leaves nothing" [ -z "$(find "$work/room" -maxdepth 1 -name 'store*')" ]
else
    echo "skip a full disk: privilege: mounting a tmpfs needs root"
fi

# Where files can share their blocks, sealed segments cost nothing: those of a restored store are sealed.
[ "$(id -u)" -ne 0 ] || need_packages xfsprogs
mkdir "$work/shared"
if truncate -s 320M "$work/image" && mkfs.xfs -q "$work/image" 2>/dev/null && mount -o loop "$work/image" "$work/shared" 2>/dev/null; then
    seq 6000 | "$weir" append a --batch 10 --durability flushed --store "$work/small"
    "$weir" backup "$work/small-backups" --store "$work/small" >/dev/null
    "$weir" restore "$work/small-backups" "$work/shared/store" >/dev/null
    "$weir" backup "$work/shared/backups" --store "$work/shared/store" --json >"$work/report"
    if [ "$(number bytesShared <"$work/report")" -gt 100000 ] && [ "$(number bytesWritten <"$work/report")" -lt 10000 ]; then echo "ok a backup shares blocks where it can"; else echo "not ok a backup shares blocks where it can: $(cat "$work/report")"; fi
    "$weir" restore "$work/shared/backups" "$work/shared/again" >/dev/null
    same "and is restored" "$work/shared/store" "$work/shared/again"
else
    echo "skip shared blocks: privilege: mounting a file system needs root"
fi
