#!/usr/bin/env bash
# The doctor from outside: what it finds, what it says, and that looking changes no byte.
source "$(dirname "$0")/expect.sh"
need_weir
# finding FIELD: of the first finding in a report that stands in $work/out.
finding() { python3 -c 'import json, sys
print(json.load(open(sys.argv[1]))["findings"][0][sys.argv[2]])' "$work/out" "$1"; }
digest() { (cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum); }
flip() { # FILE POSITION: another bit there
    python3 -c 'import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(int(sys.argv[2])); b = f.read(1)[0]
    f.seek(int(sys.argv[2])); f.write(bytes([b ^ 1]))' "$1" "$2"
}

# Two segments, one of them sealed; keys, and a stream of compressed batches.
export WEIR_STORE=$work/good
"$weir" create s --segment-bytes 64MiB 2>/dev/null || "$weir" create s
head -c 90000000 /dev/zero | tr '\0' x | fold -w 50000 | "$weir" append s 2>/dev/null
awk 'BEGIN { print "k,n"; for (i = 0; i < 20000; i++) printf "key-%d,%d\n", i % 97, i }' |
    "$weir" append keyed - --format csv --key-column k 2>/dev/null
"$weir" create packed --compression lz4 && seq 50000 | "$weir" append packed 2>/dev/null
"$weir" cursor set keyed c 77
before=$(digest "$WEIR_STORE")
expect "a healthy store" 0 '' "$weir" verify
expect "a healthy store, every byte" 0 '' "$weir" verify --deep
check "it says how much it read" grep -qE 'healthy: 4 streams, .* records, .* read' "$work/out"
check "looking changes no byte" [ "$(digest "$WEIR_STORE")" = "$before" ]

expect "no store" 1 '^weir: There is no store at [^ ]*/nowhere; check the path\.$' "$weir" verify --store "$work/nowhere"
mkdir "$work/other" && echo hello >"$work/other/file"
expect "a folder of other things" 1 'is no store' "$weir" verify --store "$work/other"
expect "threads out of range" 2 'expected 1 to 64' "$weir" verify --threads 0
cp -a "$WEIR_STORE" "$work/newer" && make_newer "$work/newer"
expect "a store of a newer format" 1 'version 9' "$weir" verify --store "$work/newer"
flip "$work/newer/WEIR" 33
expect "a file WEIR that does not hold" 3 '' "$weir" verify --store "$work/newer"
# Somebody else's store; and one that is one's own but for a segment.
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
    chmod 755 "$work" && cp "$weir" "$work/weir" && chmod 755 "$work/weir"
    nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups "$work/weir")
    expect "no permission" 1 'permission' "${nobody[@]}" verify
    expect "no permission to repair" 1 'permission' "${nobody[@]}" repair --apply
    cp -a "$WEIR_STORE" "$work/shared" && chown -R 65534:65534 "$work/shared"
    closed=$(find "$work/shared/streams" -name '0*.segment' -size +50M | head -n 1)
    chown 0:0 "$closed" && chmod 000 "$closed"
    expect "no permission for one segment" 3 '' "${nobody[@]}" verify --json --store "$work/shared"
    check "is told of that one" [ "$(finding kind)" = unreadableFile ]
    rm -rf "$work/shared"
else
    echo "skip no permission: privilege: only root can become another user"
fi

cp -a "$WEIR_STORE" "$work/bad"
sealed=$(find "$work/bad/streams" -name '0000000000000000000*.segment' -size +50M | sort | head -n 1)
flip "$sealed" 70000
expect "a bad bit is not seen by a quick look" 0 '' "$weir" verify --store "$work/bad"
expect "and by a deep one" 3 '' "$weir" verify --deep --json --store "$work/bad"
check "it says what" [ "$(finding kind)" = damagedBatches ]
check "where" [ "$(finding path)" = "${sealed#"$work/bad/"}" ]
check "which records" python3 -c "assert $(finding offsets)[0] < $(finding offsets)[1]"
check "and what to do" grep -q 'backup' <<<"$(finding advice)"
flip "$sealed" $(($(stat -c %s "$sealed") - 40))
expect "a bad footer" 3 '' "$weir" verify --json --store "$work/bad"
check "is called one" [ "$(finding kind)" = damagedFooter ]
rm "$sealed"
expect "a lost segment" 3 '' "$weir" verify --json --store "$work/bad"
check "is called one (2)" [ "$(finding kind)" = missingSegment ]

# A full disk under all of a store: what is begun here ends while it is repaired, and is looked at then. The index
# that is made anew comes beside the old one, and the writer that makes it has no room.
room=$work/room
roomy() { mkdir -p "$1" && mount -t tmpfs -o size="$2" weir-doctor "$1" 2>/dev/null; }
fill() { cat /dev/zero >"$1/filler" 2>/dev/null; }
keyed() { awk -v from="$1" -v to="$2" 'BEGIN { print "k,n"; for (i = from; i <= to; i++) printf "key-%d,%d\n", i, i }'; }
rebuilding=
if roomy "$room/index" 16m; then
    export WEIR_STORE=$room/index/store
    keyed 1 20000 | "$weir" append keyed - --format csv --key-column k 2>/dev/null
    seq 2000 | "$weir" append kept 2>/dev/null
    "$weir" config kept set segment.bytes=100MiB >/dev/null
    seq 2001 3000 | "$weir" append kept 2>/dev/null
    mkfifo "$work/rows"
    "$weir" append keyed - --format csv --key-column k --batch 100 --acks <"$work/rows" >"$work/acks" 2>"$work/appends" &
    appending=$!
    exec 4>"$work/rows"
    keyed 20001 20100 >&4
    until_true grep -q . "$work/acks"
    fill "$room/index"
    "$weir" index rebuild >"$work/rebuilt" 2>&1 &
    rebuilding=$!
    expect "settings change on a full disk, beside a writer" 0 '' "$weir" config kept set retention.records=1000
    export WEIR_STORE=$work/good
fi

# Beside a writer that appends all the while: nothing is wrong at any moment.
export WEIR_STORE=$work/live
seq 100000000 | "$weir" append live 2>/dev/null &
writer=$!
until "$weir" ls --json 2>/dev/null | grep -q '"stream":"live"'; do :; done
for round in 1 2 3; do
    expect "beside a writer, round $round" 0 '' "$weir" verify --deep
done
check "it says so" grep -q 'beside a writer' "$work/out"
kill -9 "$writer" && wait "$writer" 2>/dev/null
expect "after the writer was killed" 0 '' "$weir" verify --deep

# The index: held against the log, thrown away and made anew, also by a writer that is asked to.
export WEIR_STORE=$work/good
expect "the index" 0 '' "$weir" index check
check "a sample was compared" grep -qE 'compared  1,0[0-9]{2} keys, 0 findings' "$work/out"
expect "the index, every key" 0 '' "$weir" index check --all --json
check "every key was compared" grep -q '"keys":20000' "$work/out"
before=$(digest "$WEIR_STORE")
index=$(find "$WEIR_STORE" -name 'index-*.sqlite')
head -c 100 /dev/urandom >"$index"
expect "an index that is none" 3 '' "$weir" index check
check "it says what to do" grep -q 'weir index rebuild' "$work/out"
expect "verify finds it too" 3 '' "$weir" verify
expect "it is made anew" 0 '' "$weir" index rebuild --json
check "of all records" python3 -c 'import json, sys; r = json.load(open(sys.argv[1])); assert r["records"] >= 71000, r' "$work/out"
expect "and holds" 0 '' "$weir" index check --all
expect "no store to check an index of" 1 'There is no store at' "$weir" index check --store "$work/nowhere"
expect "no store to rebuild an index of" 1 'There is no store at' "$weir" index rebuild --store "$work/nowhere"
mkfifo "$work/input"
"$weir" append keyed - --format csv --key-column k <"$work/input" >/dev/null 2>&1 &
writer=$!
exec 3>"$work/input"
printf 'k,n\nkey-1,1\n' >&3
until "$weir" flow keyed --once >/dev/null 2>&1; do kill -0 "$writer" || break; done
expect "a writer makes it anew" 0 '' "$weir" index rebuild
expect "and it holds beside the writer" 0 '' "$weir" index check --all
exec 3>&-
wait "$writer"

# Repair: a plan first, and then exactly that. What is left is a store that holds.
expect "nothing to repair" 0 '' "$weir" repair
check "it says so" grep -q 'nothing to repair' "$work/out"
make_bad() { # STORE: the good store with a bad footer, strangers, a lost EPOCHS, a bad manifest
    rm -rf "$1" && cp -a "$work/good" "$1"
    local sealed folder
    sealed=$(find "$1/streams" -name '0*.segment' -size +50M | sort | head -n 1)
    folder=$(dirname "$sealed")
    cp "$sealed" "$folder/00000000000000000001-00000000000000ff.segment"
    flip "$sealed" $(($(stat -c %s "$sealed") - 40))
    echo hello >"$folder/notes.txt"
    rm "$1/EPOCHS"
    folder=$("$weir" info keyed --json --store "$1" 2>/dev/null | grep -oE 'streams/[0-9a-f]+' | head -n 1)
    flip "$1/$folder/MANIFEST" 60
}
records() { for stream in s keyed packed; do "$weir" read $stream --store "$1" 2>/dev/null | md5sum; done; }
wanted=$(records "$work/good")
make_bad "$work/bad"
before=$(digest "$work/bad")
expect "a plan" 3 '' "$weir" repair --store "$work/bad"
check "it has numbered steps, and says what is lost" grep -q '^3\. .*; nothing is lost' "$work/out"
check "it changes nothing" [ "$(digest "$work/bad")" = "$before" ]
expect "it is performed" 0 '' "$weir" repair --apply --store "$work/bad"
check "what was removed is listed" grep -q 'notes.txt' "$(find "$work/bad" -name CONTENTS)"
expect "the store is healthy then" 0 '' "$weir" verify --deep --store "$work/bad"
check "and has every record" [ "$(records "$work/bad")" = "$wanted" ]
expect "and opens for writing without a word" 0 '' "$weir" append s /dev/null --store "$work/bad"
check "not a word" [ ! -s "$work/err" ] || cat "$work/err"

cp -a "$work/good" "$work/lost"
rm "$work/lost/WEIR" "$(find "$work/lost/streams" -name '0*.segment' -size +50M | sort | tail -n 1)"
expect "a lost segment and a lost WEIR" 3 '' "$weir" repair --store "$work/lost"
check "the plan says which offsets" grep -qE 'the offsets [0-9]+ to before [0-9]+ are lost already' "$work/out"
expect "the loss is noted" 0 '' "$weir" repair --apply --json --store "$work/lost"
expect "and is no news any more" 0 '' "$weir" verify --deep --store "$work/lost"
expect "reading tells of the gap" 3 'gap' "$weir" read s --count 100000 --store "$work/lost"

flip "$(find "$work/bad/streams" -name '0*.segment' -size +50M | sort | head -n 1)" 70000
expect "a damaged batch stays" 3 '' "$weir" repair --deep --apply --store "$work/bad"
check "and that is said" grep -q 'left as it is' "$work/out"

expect "no store to repair" 1 '^weir: There is no store at [^ ]*/nowhere; check the path\.$' "$weir" repair --store "$work/nowhere"
expect "a folder of other things to repair" 1 'is no store' "$weir" repair --apply --store "$work/other"
cp -a "$work/good" "$work/newest" && make_newer "$work/newest"
expect "a newer format to repair" 1 'version 9' "$weir" repair --apply --store "$work/newest"
make_bad "$work/bad"
rm "$work/input" && mkfifo "$work/input"
"$weir" append packed - --store "$work/bad" <"$work/input" >/dev/null 2>&1 &
writer=$!
exec 3>"$work/input"
echo more >&3
until "$weir" flow packed --once --store "$work/bad" >/dev/null 2>&1; do kill -0 "$writer" || break; done
expect "a store that somebody writes" 1 "process $writer " "$weir" repair --apply --store "$work/bad"
exec 3>&-
wait "$writer" || true

# A repair with room for a few pages more each time: each of its steps meets the end of the disk.
if [ -z "$rebuilding" ]; then
    echo "skip a full disk: privilege: mounting a small file system needs root"
    exit
fi
export WEIR_STORE=$work/whole
seq 1000 | "$weir" append s 2>/dev/null
"$weir" config s set segment.bytes=100MiB >/dev/null
seq 1001 2000 | "$weir" append s 2>/dev/null
wanted=$("$weir" read s | md5sum)
sealed=$(find "$WEIR_STORE/streams" -name '0*.segment' | sort | head -n 1)
flip "$sealed" $(($(stat -c %s "$sealed") - 40))
flip "$(dirname "$sealed")/MANIFEST" 60
flip "$WEIR_STORE/EPOCHS" 70
echo hello >"$(dirname "$sealed")/notes.txt"
roomy "$room/repair" 2m
damaged=$room/repair/store
failed=0
for pages in $(seq 0 20); do
    rm -rf "$damaged" "$room/repair/filler"
    cp -a "$WEIR_STORE" "$damaged"
    rm -f "$damaged/reserve"
    fill "$room/repair"
    truncate -s -$((pages * 4096)) "$room/repair/filler"
    "$weir" repair --apply --store "$damaged" >"$work/out" 2>"$work/err" && break
    failed=$((failed + 1))
    if [ "$(grep -cv '^weir: step' "$work/err")" -ne 1 ] || ! grep -q 'No space left' "$work/err"; then echo "not ok a repair with room for $pages pages: $(tail -n 2 "$work/err")"; fi
    if [ "$("$weir" read s --store "$damaged" 2>/dev/null | md5sum)" != "$wanted" ]; then echo "not ok a repair with room for $pages pages: records are lost"; fi
    if [ $((pages % 2)) -eq 0 ]; then
        rm "$room/repair/filler"
        "$weir" repair --apply --store "$damaged" >"$work/out" 2>"$work/err" || echo "not ok a repair after one with room for $pages pages: $(tail -n 1 "$work/err")"
        "$weir" verify --deep --store "$damaged" >"$work/out" 2>"$work/err" || echo "not ok a store after a repair with room for $pages pages: $(head -n 1 "$work/out")"
    fi
done
check "a repair on a full disk loses nothing, whichever step has no room" [ $failed -ge 4 ]
check "and is done once it has" "$weir" verify --deep --store "$damaged"
check "with every record" [ "$("$weir" read s --store "$damaged" | md5sum)" = "$wanted" ]

# The index, made beside the writer, whose appends go on or fail whole; then again, by the command itself.
export WEIR_STORE=$room/index/store
wait $rebuilding
status=$?
if [ $status -eq 1 ] && grep -q 'There is no space for the index; make room' "$work/rebuilt"; then echo "ok a full disk under an index that is made anew"; else echo "not ok a full disk under an index that is made anew: status $status, $(tail -n 1 "$work/rebuilt")"; fi
begins() { [ "$("$weir" read kept --count 1)" = "$1" ]; }
check "what is past its retention goes, on a full disk too" until_true begins 2001
check "and nothing else" cmp <(seq 2001 3000) <("$weir" read kept)
keyed 20101 22000 | tail -n +2 >&4
exec 4>&-
if wait "$appending" || grep -q 'No space left' "$work/appends"; then echo "ok appends go on, or say that there is no room"; else echo "not ok appends on a full disk: $(tail -n 1 "$work/appends")"; fi
acknowledged=$(($(tail -n 1 "$work/acks" | grep -o '"last":[0-9]*' | cut -d: -f2) + 1))
values() { "$weir" read keyed 2>/dev/null; }
kept=$(values | wc -l)
check "nothing that was acknowledged is lost" [ "$kept" -ge "$acknowledged" ]
check "and nothing else is there" cmp <(seq "$kept") <(values)
expect "a key is found without the index" 0 '' "$weir" read keyed --key key-77
check "and is the right one" [ "$(cat "$work/out")" = 77 ]
expect "nothing is damaged" 0 '' "$weir" verify --deep
rm "$room/index/filler"
expect "with room the index is made" 0 '' "$weir" index rebuild
expect "and holds" 0 '' "$weir" index check --all
check "of every record" grep -qF "compared  $(printf "%'d" "$kept" | sed 's/^\([0-9]*\)\([0-9]\{3\}\)$/\1,\2/')" "$work/out"
