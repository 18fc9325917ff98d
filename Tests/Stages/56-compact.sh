#!/usr/bin/env bash
# Compaction on the command line: what it keeps, beside a writer, killed, damaged, without room.
#
#   WEIR_COMPACT_KILLS=1000 Tests/Stages/56-compact.sh     more rounds than CI's 100
#   WEIR_COMPACTION_SECONDS=600 …                          a longer run under load than CI's 60 s
source "$(dirname "$0")/expect.sh"
need_weir

records() { # FROM TO KEYS: records whose keys come again and again
    python3 -c 'import json, sys
for number in range(int(sys.argv[1]), int(sys.argv[2])):
    print(json.dumps({"key": f"k{number % int(sys.argv[3])}", "value": f"{number} " + "x" * 90}))' "$@"
}
values() { "$weir" read s "$@" 2>/dev/null | cut -d' ' -f1; }
expect "a stream to compact" 0 '' "$weir" create s --compact --compact-tombstones 0
records 0 6000 500 | "$weir" append s --format ndjson 2>/dev/null || echo "not ok set-up: append fails"
expect "a dry run" 0 '' "$weir" compact s --dry-run
expect "compaction at once" 0 '' "$weir" compact s --now
check "names what it did" grep -qE '^s +1 +→ 1 .*6,000 +5,500 +500 ' "$work/out"
check "keeps the last of each key" cmp <(seq 5500 5999) <(values)
check "keeps their offsets" cmp <(seq 5500 5999) <(values --from offset:5500)
expect "a report in JSON" 0 '' "$weir" compact s --now --json
check "is an object a stream" python3 -c 'import json,sys; [report] = json.load(open(sys.argv[1])); assert report["recordsRemoved"] == 0 and report["keys"] == 500' "$work/out"
check "tells its write amplification" python3 -c 'import json,sys; [report] = json.load(open(sys.argv[1])); assert report["writeAmplification"] == report["bytesWritten"] / report["bytesBefore"]' "$work/out"
expect "info" 0 '' "$weir" info s
check "says that it is compacted" grep -q '^compacted by key' "$work/out"
"$weir" create plain >/dev/null
expect "a stream that keeps everything" 1 'is not compacted: every record of it is to stay.*config plain set compaction=on' "$weir" compact plain
expect "a stream that is not there" 1 'There is no stream nope' "$weir" compact nope
expect "neither stream nor --all" 2 'Name a stream, or give --all' "$weir" compact
expect "a map that is too small" 1 'expected at least 33554432' "$weir" compact s --map-bytes 1MiB
expect "a map that no machine has" 1 'at most [0-9]+: 32 GiB, or half of this machine' "$weir" compact s --map-bytes 4096GiB
expect "how, and not that" 2 'give --compact with them' "$weir" create t --compact-dirty 20
expect "a lag and a delay with their units" 0 '' "$weir" create lagging --compact --compact-lag 90s --compact-tombstones 2h
check "are what they say" diff <(printf '90s\n2h\n') <("$weir" config lagging get | awk '$1 ~ /compaction.(lag|tombstones)/ { print $2 }')
expect "a time of no unit that there is" 2 'compaction.lag is "5 fortnights"; expected a time with its unit' "$weir" create t --compact --compact-lag "5 fortnights"
expect "an absurd ratio" 2 'dirty ratio is 101; expected 1 to 100' "$weir" create t --compact --compact-dirty 101

# Beside a writer: it is asked through its socket, and appends go on.
mkfifo "$work/lines"
"$weir" append s --format ndjson --batch 100 <"$work/lines" >/dev/null 2>&1 &
writer=$!
exec 7>"$work/lines"
records 6000 9000 500 >&7
until [ "$("$weir" read s --last 1 2>/dev/null | cut -d' ' -f1)" = 8999 ]; do
    kill -0 "$writer" 2>/dev/null || break
done
expect "compaction by the writer" 0 '' "$weir" compact s --now
check "looks at what was sealed" grep -qE '^s +2 +→ 1 .* 3,500 +3,000 +500 +1 ' "$work/out"
records 9000 9010 500 >&7
exec 7>&-
wait "$writer"
check "beside its appends" cmp <(seq 8510 8999; seq 9000 9009) <(values | awk '$1 >= 8510')
expect "all streams" 0 '' "$weir" compact --all --now
check "keep the last of each key" cmp <(seq 8510 9009) <(values)

# One bad byte costs its segment the compaction, and no other.
segment=$(ls -S "$work"/store/streams/*/*.segment | head -n 1)
printf '\xff' | dd of="$segment" bs=1 seek=9000 conv=notrunc 2>/dev/null
records 9010 10010 500 | "$weir" append s --format ndjson 2>/dev/null
expect "a damaged segment" 3 'is set aside by compaction' "$weir" compact s --now
check "costs no other its compaction" cmp <(seq 9510 10009) <(values --from offset:9010)

# A footer that does not hold, and may have told of producers what nothing else does, is no empty
# one: its segment waits for the repair.
mended() { WEIR_STORE=$work/mended "$weir" "$@"; }
mended create m --compact >/dev/null
records 0 1000 500 | mended append m --format ndjson 2>/dev/null
mended compact m --now >/dev/null
records 1000 2000 500 | mended append m --format ndjson 2>/dev/null
segment=$(ls "$work"/mended/streams/*/*.segment | head -n 1)
printf '\xff' | dd of="$segment" bs=1 seek=$(($(stat -c %s "$segment") - 40)) conv=notrunc 2>/dev/null
expect "a damaged footer" 3 'footer is to say of producers cannot be told.*is set aside' mended compact m --now
expect "is repaired" 0 '' mended repair --apply
expect "and its segment compacted" 0 '' mended compact m --now
check "and loses nothing" cmp <(seq 1500 1999) <(mended read m | cut -d' ' -f1)

# What is rewritten is compressed as the stream says now.
for stream in off lz4; do
    "$weir" create $stream --compact >/dev/null
    records 0 6000 3000 | "$weir" append $stream --format ndjson 2>/dev/null
    expect "compression=$stream" 0 '' "$weir" config $stream set compression=$stream
    expect "compaction with it" 0 '' "$weir" compact $stream --now
    check "keeps every value" cmp <(records 3000 6000 3000 | cut -d'"' -f8) <("$weir" read $stream)
done
stored() { "$weir" ls --json | python3 -c 'import json, sys
print(next(s["logicalBytes"] for s in json.load(sys.stdin) if s["stream"] == sys.argv[1]))' "$1"; }
check "compresses what was appended without" [ "$(stored lz4)" -lt $(($(stored off) / 2)) ]

# No room for the new segment.
room=$work/room
mkdir "$room"
if ! mount -t tmpfs -o size=48M weir-compact "$room" 2>/dev/null; then
    echo "skip disk full in compaction: privilege: this user may not mount a small file system"
else
    export WEIR_STORE=$room/store
    "$weir" create s --compact >/dev/null
    records 0 100000 60000 | "$weir" append s --format ndjson 2>/dev/null
    "$weir" create t --compact >/dev/null
    records 0 1000 100 | "$weir" append t --format ndjson 2>/dev/null
    head -c "$(($(df --output=avail -B1 "$room" | tail -n 1) - 2097152))" /dev/zero >"$room/filler"
    expect "compaction on a full disk" 1 'No space|no space|full' "$weir" compact s --now
    check "leaves no half of a segment" [ -z "$(find "$room/store" -name compacting)" ]
    check "leaves every record" [ "$(values | wc -l)" -eq 100000 ]
    expect "that of all streams" 1 '^weir: s: .*(No space|no space|full)' "$weir" compact --all --now
    check "costs no other stream its own" [ "$("$weir" read t | wc -l)" -eq 100 ]
    rm "$room/filler"
    expect "compaction with room" 0 '' "$weir" compact s --now
    check "takes what is superseded" [ "$(values | wc -l)" -eq 60000 ]
fi

# What the writing process does by itself, within a quarter of a minute: looked at behind the kills.
alone() { WEIR_STORE=$work/alone "$weir" "$@"; }
alone create c --set compaction=on --set compaction.dirty=1 >/dev/null
alone create kept --set compaction=on --set compaction.dirty=1 --set compaction.lag=1h >/dev/null
alone create r --set retention.records=1000 >/dev/null
alone create all >/dev/null
for from in 0 1000; do
    for stream in c kept r all; do
        records $from $((from + 1000)) 500 | alone append "$stream" --format ndjson 2>/dev/null
        # What was begun when segments were larger is sealed.
        alone config "$stream" set segment.bytes=$((100 - from / 100))MiB >/dev/null
    done
done
mkfifo "$work/held"
WEIR_STORE=$work/alone "$weir" append all - <"$work/held" >/dev/null 2>&1 &
exec 8>"$work/held"

# Under load, for longer than the unit tests' five seconds, and beside the kills.
load=.build/compaction-load.log
WEIR_COMPACTION_SECONDS=${WEIR_COMPACTION_SECONDS:-60} swift test --skip-build \
    --filter CompactionLoadTests >"$load" 2>&1 &
loading=$!

kills=${WEIR_COMPACT_KILLS:-100}
seed=${WEIR_SEED:-$RANDOM}
if said=$(python3 "Tests/Stages/compact-kills.py" "$weir" "$work/killed" "$kills" "$seed"); then
    echo "ok kill -9 of a compaction loses nothing: $said"
else
    echo "not ok kill -9 of a compaction, seed $seed: $said"
fi

wait "$loading"
status=$?
if [ $status -eq 0 ] && grep -q 'with 1 test in 1 suite passed' "$load"; then
    echo "ok no reader meets a repeat or a loss while a stream is compacted"
else
    echo "not ok a reader beside compaction: status $status; see $load: $(grep -m 1 '✘' "$load" || tail -n 1 "$load")"
fi

has() { [ "$(alone read "$1" 2>/dev/null | cut -d' ' -f1 | cksum)" = "$(seq "$2" 1999 | cksum)" ]; }
until_true has c 1500
check "the writer compacts by itself" has c 1500
until_true has r 1000
check "and lets go what is past its retention" has r 1000
check "but no record that is younger than the lag" has kept 0
check "nor any of a stream without a policy" has all 0
exec 8>&-
