#!/usr/bin/env bash
# The format is neutral to languages: a reader in Python, written from the document alone, prints the
# same records as `weir read`, and an independent AMQP decoder agrees on every entry.
source "$(dirname "$0")/expect.sh"
python_venv
need_weir

# Records of every kind: keys, no keys, times that go back, odd bytes, every type of header.
python3 - >"$work/odd.ndjson" <<'P'
import base64, json, random
random.seed(7)
for number in range(2000):
    record = {}
    if random.random() < 0.7:
        record["time"] = "2013-%02d-%02dT%02d:00:00Z" % (
            random.randint(1, 12), random.randint(1, 28), random.randint(0, 23))
    if random.random() < 0.6:
        record["key"] = random.choice(["k%d" % (number % 50), "schlüssel", "", "\u0001"])
    elif random.random() < 0.5:
        record["keyBase64"] = base64.b64encode(random.randbytes(20)).decode()
    headers = {}
    for name in random.sample("abcdefghij", random.randint(0, 5)):
        headers[name] = random.choice([
            None, True, False, random.randint(-2**63, 2**63 - 1), random.randint(-100, 100),
            random.random() * 10 - 5, "text", "日本", {"timestamp": "2020-01-02T03:04:05.678Z"},
            {"base64": base64.b64encode(random.randbytes(9)).decode()}, {"double": 3},
            {"uuid": "00112233-4455-6677-8899-aabbccddeeff"}, {"symbol": "sym"},
            {"unsigned": str(2**64 - 1)}])
    if headers:
        record["headers"] = headers
    kind = random.random()
    if kind < 0.1 and ("key" in record or "keyBase64" in record):
        record["value"] = None
    elif kind < 0.3:
        record["valueBase64"] = base64.b64encode(random.randbytes(random.randint(1, 400))).decode()
    else:
        record["value"] = "value %d\n\"\\\t" % number * random.randint(0, 40)
    print(json.dumps(record, ensure_ascii=False))
P
compression=(off lz4 auto)
# Batches of a named producer carry an extension, which the other reader steps over.
producer=("--producer ветер" "--producer wind" "")
for index in 0 1 2; do
    # shellcheck disable=SC2086
    "$weir" append "odd$index" "$work/odd.ndjson" --format ndjson --batch 77 \
        --compact --compact-tombstones 0 --compression "${compression[$index]}" \
        ${producer[$index]} || exit 1
done
"$weir" append flights Tests/Fixtures/flights-january.csv --format csv --key-column tailnum \
    --time-column time_hour --header-columns carrier,origin,dest --compression auto
compare() { # WHEN: every stream, read by both
    local folder segments stream
    for folder in "$WEIR_STORE"/streams/*/; do
        segments=("$folder"*.segment)
        stream=$("$weir" dump "${segments[0]}" --json | head -n 1 | grep -o '"name":"[^"]*"' | cut -d'"' -f4)
        "$weir" read "$stream" --format json >"$work/ours"
        "$WEIR_PYTHON" tools/format/weirformat.py records "${segments[@]}" >"$work/theirs" 2>"$work/err"
        if [ -s "$work/ours" ] && cmp -s "$work/ours" "$work/theirs"; then
            echo "ok $stream$1: $(wc -l <"$work/ours") records read alike by Swift and by Python"
        else
            echo "not ok $stream$1: Python reads otherwise: $(head -n 1 "$work/err") $(diff "$work/ours" "$work/theirs" | head -n 2 | cut -c 1-200)"
        fi
        if "$WEIR_PYTHON" tools/format/weirformat.py check-entries "${segments[@]}" >"$work/check" 2>&1; then
            echo "ok $stream$1: an independent AMQP decoder agrees on every entry"
        else
            echo "not ok $stream$1: the AMQP decoders differ: $(tail -n 1 "$work/check" | cut -c 1-200)"
        fi
    done
}
compare ""

# Archives: a whole stream, and a part that begins and ends inside of batches; what is altered is refused.
archived() { "$WEIR_PYTHON" tools/format/weirformat.py records "$1" >"$work/theirs" 2>"$work/err"; }
for index in 0 1 2; do
    for part in "" "--from offset:100 --to offset:200"; do
        rm -f "$work/odd.archive"
        # shellcheck disable=SC2086
        "$weir" export "odd$index" -o "$work/odd.archive" $part 2>"$work/words"
        # shellcheck disable=SC2086
        "$weir" read "odd$index" --format json $part >"$work/ours"
        if archived "$work/odd.archive" && [ -s "$work/ours" ] && cmp -s "$work/ours" "$work/theirs"; then
            echo "ok archive of odd$index $part: $(wc -l <"$work/ours") records read alike by Swift and by Python"
        else
            echo "not ok archive of odd$index $part: $(head -n 1 "$work/err") $(diff "$work/ours" "$work/theirs" | head -n 2 | cut -c 1-200)"
        fi
    done
done
"$weir" create parts --partitions 3 2>/dev/null
seq 90 | sed 's/.*/{"key":"k&","value":"&"}/' | "$weir" append parts --format ndjson 2>/dev/null
"$weir" export parts -o "$work/parts.archive" 2>"$work/words"
for index in 0 1 2; do "$weir" read "parts-$index" --format json | sed "s/^{/{\"stream\":\"parts-$index\",/"; done >"$work/ours"
if archived "$work/parts.archive" && [ "$(wc -l <"$work/ours")" -eq 90 ] && cmp -s "$work/ours" "$work/theirs"; then
    echo "ok archive of a partitioned stream: read alike by Swift and by Python"
else
    echo "not ok archive of a partitioned stream: $(head -n 1 "$work/err") $(diff "$work/ours" "$work/theirs" | head -n 2 | cut -c 1-200)"
fi
size=$(stat -c %s "$work/odd.archive")
taken=
for place in 12 40 73 $((size / 2)) $((size - 50)) $((size - 1)) cut; do
    cp "$work/odd.archive" "$work/altered.archive"
    if [ "$place" = cut ]; then
        truncate --size=-56 "$work/altered.archive"
    else
        printf '\377' | dd of="$work/altered.archive" bs=1 seek="$place" conv=notrunc 2>/dev/null
    fi
    if archived "$work/altered.archive"; then taken+=" $place"; fi
done
if [ -z "$taken" ]; then echo "ok Python refuses archives that were altered or cut"; else echo "not ok Python takes archives altered at$taken"; fi

# The two formats make a round trip: what is read is appended, and reads the same.
"$weir" read odd1 --format json >"$work/first"
"$weir" append again "$work/first" --format ndjson
"$weir" read again --format json >"$work/second"
if cmp -s "$work/first" "$work/second"; then echo "ok NDJSON makes a round trip"; else echo "not ok NDJSON: $(diff "$work/first" "$work/second" | head -n 3 | cut -c 1-200)"; fi
if "$weir" compact --all --now >/dev/null; then compare " compacted"; else echo "not ok compaction fails"; fi

# The golden store, whole and with a damaged twin in place of one of its segments. The store's log
# starts at offset 1, which a reader of single segments cannot know.
golden=Tests/Fixtures/v1
twins=(whole "body-bit 00000000000000000000" "header-bit 00000000000000000000"
    "footer 00000000000000000000" "torn-tail 00000000000000000055")
for twin in "${twins[@]}"; do
    read -r name base <<<"$twin"
    rm -rf "$work/golden" && cp -r "$golden/store" "$work/golden"
    segments=("$work"/golden/streams/*/*.segment)
    [ "$name" = whole ] || cp "$golden/damaged/$name.segment" "$work"/golden/streams/*/"$base"-*.segment
    "$weir" read golden.v1 --store "$work/golden" --format json >"$work/ours" 2>"$work/words"
    status=$?
    "$WEIR_PYTHON" tools/format/weirformat.py records "${segments[@]}" 2>"$work/err" |
        grep -v '^{"offset":0,' >"$work/theirs"
    case $name in body-bit | header-bit) expected=3 ;; *) expected=0 ;; esac
    [ "$name" = whole ] && ! cmp -s "$work/ours" "$golden/store.ndjson" && echo "not ok golden store: $(diff "$work/ours" "$golden/store.ndjson" | head -n 2 | cut -c 1-200)"
    if [ "$status" -eq "$expected" ] && [ -s "$work/ours" ] && cmp -s "$work/ours" "$work/theirs"; then
        echo "ok golden store, $name: $(wc -l <"$work/ours") records read alike by Swift and by Python"
    else
        echo "not ok golden store, $name: exit $status, expected $expected; $(head -n 1 "$work/words") $(diff "$work/ours" "$work/theirs" | head -n 2 | cut -c 1-200)"
    fi
done

# Of merged segments the header tells where epochs began; in its damaged twin it tells nothing.
theirs=$("$WEIR_PYTHON" tools/format/weirformat.py batches "$golden/merged.segment")
ours=$("$weir" dump "$golden/merged.segment" --json | head -n 1)
if [ "$(grep -c 'epoch 5 begins at offset 202\|epoch 7 begins at offset 203' <<<"$theirs")" -eq 2 ] &&
    [[ $ours == *'"epochs":"5 at 202, 7 at 203"'* ]]; then
    echo "ok starts of epochs are read alike by Swift and by Python"
else
    echo "not ok starts of epochs: $(head -n 3 <<<"$theirs") and $ours"
fi
twin=$golden/damaged/merged-bit.segment
if ! "$WEIR_PYTHON" tools/format/weirformat.py batches "$twin" >"$work/theirs" 2>&1 &&
    grep -q 'header' "$work/theirs" && ! grep -q begins "$work/theirs"; then
    echo "ok starts of epochs behind a damaged bit are told by none"
else
    echo "not ok damaged starts of epochs: $(head -n 2 "$work/theirs")"
fi

# Killed between a roll and the edit that lists it: the second segment is unlisted, and the log's end.
rm -rf "$work/golden" && cp -r "$golden/store" "$work/golden"
stream=("$work"/golden/streams/*/)
truncate --size=-168 "${stream[0]}MANIFEST"
"$weir" read golden.v1 --store "$work/golden" --format json >"$work/ours" 2>"$work/words"
status=$?
"$WEIR_PYTHON" tools/format/weirformat.py records "${stream[0]}" >"$work/theirs" 2>"$work/err"
if [ "$status" -eq 0 ] && cmp -s "$work/ours" "$golden/store.ndjson" && cmp -s "$work/ours" "$work/theirs"; then
    echo "ok golden store, last segment not listed yet: read alike by Swift and by Python"
else
    echo "not ok golden store, last segment not listed yet: exit $status; $(head -n 1 "$work/words") $(head -n 1 "$work/err") $(diff "$work/ours" "$work/theirs" | head -n 2 | cut -c 1-200)"
fi
