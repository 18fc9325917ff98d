#!/usr/bin/env bash
# Streams are exported, imported and copied, and the records are the source's, each once. Damaged and wrong
# inputs are refused in a sentence.
source "$(dirname "$0")/expect.sh"
need_weir
export WEIR_STORE=$work/source
formats=(archive ndjson csv)

digest() { "$weir" read "$1" --store "$2" --format json 2>"$work/read.err" | md5sum; } # STREAM STORE
# The same without offsets, which text does not bring along.
values() { "$weir" read "$1" --store "$2" --format json 2>"$work/read.err" | sed 's/"offset":[0-9]*,//' | md5sum; }

# Records of every kind, among many plain ones, in small batches.
"$weir" create s --compression auto --durability flushed
{
    echo '{"key":"","value":""}'
    echo '{"key":"gone","value":null}'
    echo '{"keyBase64":"/w==","valueBase64":"AP8NCiwi","time":"2001-02-03T04:05:06.789Z","headers":{"i":5,"b":{"base64":"AA=="},"s":{"symbol":"x"},"d":1.5,"t":{"timestamp":"2020-01-01T00:00:00Z"},"n":null,"y":true}}'
    echo '{"value":"a, \"quoted\"\nline\r"}'
    seq 5996 | sed 's/.*/{"key":"k&","value":"value &","headers":{"n":&}}/'
} | "$weir" append s --format ndjson --batch 4
want=$(digest s "$WEIR_STORE")
want_values=$(values s "$WEIR_STORE")

for format in "${formats[@]}"; do
    check "export as $format" "$weir" export s -o "$work/s.$format"
    check "import of $format" "$weir" import s "$work/s.$format" --store "$work/in-$format"
    if [ "$(values s "$work/in-$format")" = "$want_values" ]; then echo "ok $format brings every record as it was"; else echo "not ok $format: other records"; fi
    "$weir" export s --format "$format" 2>"$work/err" | "$weir" import p --format "$format" --store "$work/in-$format" 2>"$work/err"
    if [ "$(values p "$work/in-$format")" = "$want_values" ]; then echo "ok $format through a pipe"; else echo "not ok $format through a pipe: $(head -n 1 "$work/err")"; fi
done
if [ "$(digest s "$work/in-archive")" = "$want" ]; then echo "ok an archive brings the offsets along"; else echo "not ok an archive: other offsets"; fi

# A named pipe is opened once: its writer may be gone by a second time.
mkfifo "$work/named"
for round in 1 2 3 4; do
    printf '{"value":"%d"}\n' 1 2 3 >"$work/named" &
    said=$([ $round -eq 1 ] && echo '3 records into n, offsets 0 to before 3, which are new' || echo '0 records into n; 3 were there already')
    expect "a named pipe, round $round" 0 "imported $said" timeout -s KILL 20 "$weir" import n "$work/named" --producer p --store "$work/in-named"
done
check "what came by it is there once" cmp <(seq 3) <("$weir" read n --store "$work/in-named")

# Through a pipe an archive says itself what it is.
"$weir" export s --format archive 2>"$work/err" | "$weir" import unnamed --store "$work/in-pipe" 2>"$work/err"
if [ "$(digest unnamed "$work/in-pipe")" = "$want" ]; then echo "ok an archive is known without its format"; else echo "not ok an archive without its format: $(head -n 1 "$work/err")"; fi
expect "text tells how much was imported" 0 'imported 6,000 records into told, offsets 0 to before 6000, which are new' "$weir" import told "$work/s.csv" --store "$work/in-pipe"
expect "and how much was there" 0 'imported 0 records into told; 6,000 were there already' "$weir" import told "$work/s.csv" --store "$work/in-pipe"

# What comes later is copied later; partitions go together.
"$weir" copy s c --to-store "$work/later" 2>"$work/err"
echo more | "$weir" append s
expect "a copy goes on with what is new" 0 'copied 1 record into c, offsets 6000 to before 6001, as they were' "$weir" copy s c --to-store "$work/later"
if [ "$(digest c "$work/later")" = "$(digest s "$WEIR_STORE")" ]; then echo "ok a copy in two parts is the source"; else echo "not ok a copy in two parts"; fi
"$weir" create p --partitions 3
seq 300 | sed 's/.*/{"key":"k&","value":"&"}/' | "$weir" append p --format ndjson
check "a partitioned stream is copied" "$weir" copy p q --to-store "$work/later"
partitions() { "$weir" read "$1" --store "$2" --format json | sed "s/\"stream\":\"$1-/\"stream\":\"p-/" | md5sum; } # STREAM STORE
same_partitions() { if [ "$(partitions "$2" "$work/later")" = "$(partitions p "$WEIR_STORE")" ]; then echo "ok $1 has all partitions"; else echo "not ok $1: other records"; fi; } # WHAT STREAM
same_partitions "a partitioned stream's copy" q
expect "a partitioned stream in one archive" 0 'exported 300 records of p' "$weir" export p -o "$work/p.archive"
expect "comes back with its partitions" 0 'imported 300 records into r, in 3 partitions, with their offsets' "$weir" import r "$work/p.archive" --store "$work/later"
same_partitions "a partitioned stream from an archive" r
expect "and once" 0 '300 were there already' "$weir" import r "$work/p.archive" --store "$work/later"
check "through a pipe" bash -c "'$weir' export p --format archive | '$weir' import t - --format archive --store '$work/later'"
same_partitions "a partitioned stream through a pipe" t
size=$(stat -c %s "$work/p.archive")
for count in 100 $((size / 3)) $((size / 2)) $((size - 1)); do
    head -c $count "$work/p.archive" >"$work/p-$count.archive.partial"
    expect "an archive of partitions goes on behind byte $count" 0 'exported 300 records' "$weir" export p -o "$work/p-$count.archive" --resume
    expect "and is whole" 0 'imported 0 records into r, in 3 partitions' "$weir" import r "$work/p-$count.archive" --store "$work/later"
    head -c $count "$work/p.archive" >"$work/cut.archive"
    expect "one that is cut there" 1 'At byte [0-9]+ of the archive' "$weir" import "u$count" "$work/cut.archive" --store "$work/later"
    expect "is completed by the whole one" 0 "into u$count, in 3 partitions" "$weir" import "u$count" "$work/p.archive" --store "$work/later"
    same_partitions "a partitioned stream in two parts" "u$count"
done
for format in ndjson csv; do
    "$weir" export p --format $format >"$work/p.$format"
    "$weir" create "$format" --partitions 3 --store "$work/later"
    expect "a partitioned stream as $format" 0 '' "$weir" import "$format" "$work/p.$format" --store "$work/later"
    same_partitions "a partitioned stream as $format" "$format"
done

# Offsets whose records compaction took at the end are not given out anew, by whatever way they came.
"$weir" create keyed --compact && "$weir" config keyed set compaction.tombstones=0s >"$work/out"
{
    seq 50 | sed 's/.*/{"key":"k&","value":"v"}/'
    seq 20 | sed 's/.*/{"key":"g&","value":"v"}/'
    seq 20 | sed 's/.*/{"key":"g&","value":null}/'
} | "$weir" append keyed --format ndjson
until_true bash -c "'$weir' compact keyed --now >'$work/out' && [ \"\$('$weir' read keyed | wc -l)\" -eq 50 ]"
"$weir" export keyed -o "$work/keyed.archive" 2>"$work/err"
"$weir" backup "$work/keyed-backup" >"$work/out"
for way in "copy keyed way --to-store $work/way-copy" "import way $work/keyed.archive --store $work/way-import" "restore $work/keyed-backup $work/way-restore"; do
    name=${way%% *}
    expect "$name of a stream that ends in a hole" 0 '' "$weir" $way
    stream=$([ "$name" = restore ] && echo keyed || echo way)
    first=$(echo new | "$weir" append "$stream" --store "$work/way-$name" --acks)
    if [[ $first == '{"first":90,'* ]]; then echo "ok $name goes on where the source does"; else echo "not ok $name goes on elsewhere: $first"; fi
    expect "$name: and is healthy" 0 '' "$weir" verify --deep --store "$work/way-$name"
done

# Text has its checksum beside it, of a whole and of a resumed export.
for format in ndjson csv; do
    text=$work/sums.$format
    size=$(stat -c %s "$work/s.$format")
    head -c $((size / 2)) "$work/s.$format" >"$text.partial"
    check "a resumed export as $format" "$weir" export s -o "$text" --resume
    check "its checksum is that of sha256sum" bash -c "cd '$work' && sha256sum -c --strict --status sums.$format.sha256 s.$format.sha256"
    if "$weir" export s --format $format | cmp -s - "$text"; then echo "ok it is the whole one"; else echo "not ok a resumed $format: other bytes"; fi
    printf 'X' | dd of="$text" bs=1 seek=$((size / 3)) conv=notrunc 2>/dev/null
    expect "altered $format" 1 'has the SHA-256 [0-9a-f]{64}, and .* says [0-9a-f]{64}.*Nothing was imported.*remove .*sha256' "$weir" import t "$text" --store "$work/sums"
    if [ ! -e "$work/sums/streams" ]; then echo "ok nothing was made for it"; else echo "not ok altered $format: a store was made"; fi
    echo none >"$text.sha256"
    expect "a checksum file that is none" 1 'does not begin with the 64 hexadecimal digits' "$weir" import t "$text" --store "$work/sums"
    cp "$work/s.$format" "$text"
    rm "$text.sha256"
    expect "$format without a checksum" 0 '' "$weir" import t "$text" --store "$work/sums-$format"
    rm "$text"
    (cd "$work" && sha256sum s.ndjson "s.$format" >"$text.sha256")
    sum=$(md5sum <"$text.sha256")
    expect "sums of other files" 1 'exists, and is not the checksum of .*; move it away, or choose another name' "$weir" export s -o "$text"
    check "are not written over" [ "$(md5sum <"$text.sha256")" = "$sum" ]
    check "and nothing was written" [ ! -e "$text.partial" ]
    echo "${sum%% *}${sum%% *}  sums.$format" >"$text.sha256"
    expect "the checksum of a file of that name which is gone" 0 'exported' "$weir" export s -o "$text"
    check "is replaced by its own" bash -c "cd '$work' && sha256sum -c --strict --status sums.$format.sha256"
done

# Refused, each in a sentence, and nothing lost.
archive=$work/s.archive
size=$(stat -c %s "$archive")

# What is no archive and no text leaves no store, and in one that exists no stream.
"$weir" create other --store "$work/exists"
unmade() { # NAME PATTERN FILE [OPTION…]
    local name=$1 pattern=$2 file=$3
    shift 3
    expect "$name" 1 "$pattern" "$weir" import t "$file" --store "$work/unmade" "$@"
    expect "$name, into a store that exists" 1 "$pattern" "$weir" import t "$file" --store "$work/exists" "$@"
    "$weir" import t --store "$work/exists" "$@" <"$file" 2>"$work/err" && echo "not ok $name through a pipe is taken"
    if [ ! -e "$work/unmade" ] && [ "$("$weir" ls --store "$work/exists" | tail -n +2 | cut -d' ' -f1)" = other ]; then echo "ok $name leaves nothing"; else echo "not ok $name leaves something"; fi
}
: >"$work/empty"
head -c 40 "$archive" >"$work/beginning"
head -c 4000 /dev/urandom >"$work/random"
cp "$archive" "$work/other-head" && printf 'X' | dd of="$work/other-head" bs=1 seek=60 conv=notrunc 2>/dev/null
echo '{"value"' >"$work/no.json"
unmade "an empty archive" "ends inside the archive's head" "$work/empty" --format archive
unmade "an archive cut within its head" "ends inside the archive's head" "$work/beginning"
unmade "random bytes for an archive" 'does not begin with WEIRARC1' "$work/random" --format archive
unmade "an archive with another head" "head has the checksum" "$work/other-head"
unmade "random bytes" 'no JSON object' "$work/random"
unmade "random bytes for csv" 'an export has offset,time' "$work/random" --format csv
unmade "a line that is cut" 'Line 1: this is no JSON object' "$work/no.json"
unmade "a directory" 'is a directory' "$work"
unmade "a directory for csv" 'is a directory' "$work" --format csv
unmade "a directory for an archive" 'is a directory' "$work" --format archive
head -c $((size - 30)) "$archive" >"$work/cut.archive"
expect "a cut archive" 1 'before the archive.s trailer' "$weir" import t "$work/cut.archive" --store "$work/bad"
expect "the whole one goes on behind it" 0 '6,000 were there already' "$weir" import t "$archive" --store "$work/bad"
cp "$archive" "$work/altered.archive"
printf 'X' | dd of="$work/altered.archive" bs=1 seek=$((size / 2)) conv=notrunc 2>/dev/null
expect "an altered archive" 1 'At byte [0-9]+ of the archive' "$weir" import u "$work/altered.archive" --store "$work/bad"
grep -q 'stopped early: .* imported before, up to offset' "$work/err" && echo "ok it says what was imported" || echo "not ok an altered archive: $(tail -n 1 "$work/err")"
expect "the whole one mends it" 0 'imported .* as they were; .* were there already' "$weir" import u "$archive" --store "$work/bad"
if [ "$(digest u "$work/bad")" = "$want" ]; then echo "ok nothing of a damaged batch was imported"; else echo "not ok an altered archive: other records"; fi
expect "text for an archive" 1 'does not begin with WEIRARC1' "$weir" import v "$work/s.ndjson" --format archive --store "$work/bad"
expect "an archive for text" 1 'no JSON object. Only what .export. or .read. wrote' "$weir" import v "$archive" --format ndjson --store "$work/bad"
"$weir" create small --max-batch-bytes 64k --store "$work/bad"
python3 -c 'print("{\"value\":\"" + "x" * 100000 + "\"}")' >"$work/large.ndjson"
expect "a record too large for the stream" 1 'see --max-batch-bytes of create\)\.$' "$weir" import small "$work/large.ndjson" --store "$work/bad"
expect "another csv" 1 'an export has offset,time' "$weir" import v Tests/Fixtures/flights-january.csv --store "$work/bad"
expect "a file that is not there" 1 'cannot be opened' "$weir" import v "$work/none" --store "$work/bad"
expect "a stream that is not there" 1 'There is no stream nobody' "$weir" export nobody -o "$work/none.ndjson"
expect "a stream that is not there is not copied" 1 'There is no stream nobody' "$weir" copy nobody c
expect "a copy onto itself" 2 'give it another name' "$weir" copy s s
expect "an archive of the stream itself" 1 'is of the stream s itself' "$weir" import s "$archive"
expect "a target that exists" 1 'exists; remove it, or choose another name' "$weir" export s -o "$archive"
expect "an archive that ends at a time" 2 'give --to offset:N' "$weir" export s --format archive --to time:2020-01-01 -o "$work/x"
expect "a partitioned stream's text is not resumed" 1 'cannot be resumed; export its partitions' "$weir" export p -o "$work/x.csv" --resume
expect "resuming a pipe" 2 'name it with --output' "$weir" export s --resume
expect "an archive of partitions that begins at an offset" 1 'begin at a time' "$weir" export p --from offset:5 -o "$work/x.archive"
expect "an archive of partitions that ends early" 1 'leave --to out' "$weir" export p --to offset:5 -o "$work/x.archive"
"$weir" create four --partitions 4 --store "$work/later"
expect "another number of partitions" 1 'has 4 partitions and 3 were asked for' "$weir" import four "$work/p.archive" --store "$work/later"
head -c 1500 "$work/p.archive" >"$work/half.archive.partial"
expect "a partition's archive that is none" 1 'with all other partitions' "$weir" export p-0 -o "$work/half.archive" --resume
head -c 5000 "$archive" >"$work/left.archive.partial"
expect "what is left of an export" 1 'go on with it by --resume' "$weir" export s -o "$work/left.archive"
"$weir" create other
expect "what is left of another stream's export" 1 'and not of other' "$weir" export other -o "$work/left.archive" --resume
for format in ndjson csv; do
    head -c 3000 "$work/s.$format" >"$work/left.$format.partial"
    sum=$(md5sum <"$work/left.$format.partial")
    seq 200 | "$weir" append "numbers-$format"
    for stream in "numbers-$format" other; do
        expect "what is left of another stream's $format" 1 "is not what the stream $stream has.*export anew" "$weir" export "$stream" -o "$work/left.$format" --resume
    done
    check "it stays" [ "$(md5sum <"$work/left.$format.partial")" = "$sum" ]
    expect "and is gone on with by its own" 0 exported "$weir" export s -o "$work/left.$format" --resume
    if "$weir" export s --format $format | cmp -s - "$work/left.$format"; then echo "ok to its end"; else echo "not ok left $format: other bytes"; fi
done
expect "a copy onto a name that is taken" 1 '^weir: p is a partitioned stream already' "$weir" copy s p
check "has not begun" [ "$(wc -l <"$work/err")" -eq 1 ]
if [ "$(id -u)" -ne 0 ]; then
    mkdir -m 500 "$work/closed"
    expect "a folder without permission" 1 'cannot be made' "$weir" export s -o "$work/closed/s.ndjson"
else
    echo "skip a folder without permission: privilege: root may write everywhere"
fi
if [ "$(id -u)" -eq 0 ] && mkdir "$work/full" && mount -t tmpfs -o size=128k tmpfs "$work/full" 2>/dev/null; then
    for format in ndjson csv; do
        expect "$format onto a full disk" 1 'No space left.*--resume' "$weir" export s -o "$work/full/s.$format"
        rm "$work/full/s.$format.partial"
    done
    expect "a full disk" 1 'No space left.*--resume' "$weir" export s -o "$work/full/s.archive"
    mount -o remount,size=64m "$work/full"
    for format in "${formats[@]}"; do
        if [ ! -e "$work/full/s.$format" ] && [ ! -e "$work/full/s.$format.sha256" ]; then echo "ok nothing has the name of a whole $format"; else echo "not ok a full disk: half a file has its name"; fi
    done
    check "the export goes on when there is room" "$weir" export s -o "$work/full/s.archive" --resume
    "$weir" import s "$work/full/s.archive" --store "$work/back" 2>"$work/err"
    if [ "$(digest s "$work/back")" = "$(digest s "$WEIR_STORE")" ]; then echo "ok it is whole"; else echo "not ok a full disk: other records"; fi

    # What comes onto a full disk goes on behind what had room, and is whole then.
    filled() { # WHAT, STORE, then the command that fills it; again with room for all
        local what=$1 store=$2
        shift 2
        "$weir" create other --store "$store"
        cat /dev/zero >"$work/full/filler" 2>/dev/null
        truncate -s -256K "$work/full/filler"
        expect "$what onto a full disk" 1 'No space left|disk is full' "$@"
        check "$what: what had room can be read" "$weir" verify --store "$store" --deep
        rm "$work/full/filler"
        expect "$what goes on when there is room" 0 'were there already|copied' "$@"
    }
    for format in "${formats[@]}"; do
        filled "an import of $format" "$work/full/$format" "$weir" import s "$work/s.$format" --store "$work/full/$format"
        if [ "$(values s "$work/full/$format")" = "$want_values" ]; then echo "ok an import of $format is whole"; else echo "not ok an import of $format onto a full disk: other records"; fi
        rm -r "$work/full/$format"
    done
    filled "a copy" "$work/full/copy" "$weir" copy s c --to-store "$work/full/copy"
    if [ "$(digest c "$work/full/copy")" = "$(digest s "$WEIR_STORE")" ]; then echo "ok a copy is whole"; else echo "not ok a copy onto a full disk: other records"; fi
else
    echo "skip a full disk: privilege: mounting a tmpfs needs root"
fi
