#!/usr/bin/env bash
# SQL over records, as a user asks it: answers beside what `weir read` prints, the prompt, bad input.
source "$(dirname "$0")/expect.sh"
need_weir

"$weir" append flights Tests/Fixtures/flights-january.csv --format csv --key-column tailnum \
    --time-column time_hour 2>/dev/null || echo "not ok set-up: append fails"
says() { [ "$("$weir" sql "$1" 2>/dev/null | tail -n +2)" = "$2" ]; }
total=$("$weir" read flights --format json | wc -l)
check "every record is a row" says "select count(*) from flights" "$total"
united=$("$weir" read flights | grep -c '"carrier":"UA"')
check "values are JSON for SQLite" \
    says "select count(*) from flights where value ->> 'carrier' = 'UA'" "$united"
"$weir" read flights --from offset:100 --count 50 --format json >"$work/read"
"$weir" read flights --where 'offset between 100 and 149' --format json >"$work/where" 2>/dev/null
check "--where by offset prints what --from and --count do" cmp "$work/read" "$work/where"
"$weir" read flights --format json | grep '"key":"N14228"' >"$work/read"
expect "--where by key" 0 '' "$weir" read flights --where "key = 'N14228'" --format json
check "it prints those records" cmp "$work/read" "$work/out"
check "and is no scan" [ ! -s "$work/err" ]
"$weir" create bare --no-key-index 2>/dev/null
"$weir" append bare Tests/Fixtures/flights-january.csv --format csv --key-column tailnum \
    --time-column time_hour 2>/dev/null
expect "--where by a key that is not indexed" 0 'condition on key .* all of bare: the stream.s keys are not indexed' \
    "$weir" read bare --where "key = 'N14228'" --format json
check "it prints the same" cmp "$work/read" "$work/out"
expect "--where with a time" 0 '' "$weir" read flights --where "time >= '2013-01-06' and key = 'N14228'" --count 1
check "is no scan" [ ! -s "$work/err" ]

expect "a scan for a condition is told by weir sql" 0 \
    'note: The condition on value was answered by looking at all of flights, as nothing' \
    "$weir" sql "select count(*) from flights where value ->> 'carrier' = 'UA'"
check "once" [ "$(wc -l <"$work/err")" -eq 1 ]
expect "a walk that nobody put a condition on" 0 '' "$weir" sql "select count(distinct value) from flights"
check "is not told" [ ! -s "$work/err" ]

expect "rows as JSON" 0 '' "$weir" sql 'select offset, key from flights limit 3' --format json
check "are an object a line" python3 -c 'import json, sys
assert [json.loads(line)["offset"] for line in open(sys.argv[1])] == [0, 1, 2]' "$work/out"
printf 'select 1; select\n 2;\nselect 3' | "$weir" sql >"$work/out" 2>"$work/err"
check "statements come from standard input" [ "$(grep -c '^[123]$' "$work/out")" -eq 6 ]
expect "a table for eyes" 0 '' "$weir" sql 'select 1 as one, null as none' --format table
check "has its columns' names" grep -q '^one  none' "$work/out"

# Streams, segments, blocks, cursors, producers: what other commands say of them.
member() { "$weir" info flights --json | python3 -c "import json, sys
stream = json.load(sys.stdin)['streams'][0]
print($1)"; }
"$weir" append orders Tests/Fixtures/flights-january.csv --format csv --producer loader 2>/dev/null
"$weir" cursor set flights billing offset:100
check "weir_streams says what weir info says" \
    says "select end_offset, bytes, durability from weir_streams where name = 'flights'" \
    "$(member "'%d,%d,%s' % (stream['end'], stream['logicalBytes'], stream['durability'])")"
check "weir_segments too" \
    says "select segment, file, state from weir_segments where stream = 'flights'" \
    "$(member "'%s,%s,active' % (stream['segments'][0]['id'], stream['segments'][0]['path'])")"
block=$("$weir" sql "select file, b.first_offset, position from weir_blocks b join weir_segments using (segment)
    where b.stream = 'flights' order by position desc limit 1" | tail -n 1)
IFS=, read -r file offset position <<<"$block"
check "weir_blocks has places where batches begin" \
    grep -q "position=$position .*first=$offset " <("$weir" dump "$WEIR_STORE/$file")
check "weir_cursors has the lag" says "select name, offset, lag_records from weir_cursors" "billing,100,$((total - 100))"
check "weir_producers has the last publishing id" says "select name, publishing_id from weir_producers" "loader,$total"
check "weir_index has no lag after a clean end" says "select sum(lag_records) from weir_index" 0
printf '.tables\n.columns weir_producers\n.columns none\n.more\n' | "$weir" sql >"$work/out" 2>"$work/err"
check ".tables has every table" grep -qx 'weir_blocks' "$work/out"
check ".columns has those of a table" grep -qx 'stream, name, publishing_id, offset' "$work/out"
check "an unknown table is told" grep -q 'no table none' "$work/err"
check "so is an unknown word" grep -q 'no .more; there are' "$work/err"

timeout 60 python3 Tests/Stages/sql-prompt.py "$weir" "$WEIR_STORE"
check "the prompt on a terminal ends by itself" [ $? -eq 0 ]

while IFS='|' read -r name status pattern sql; do
    expect "$name" "$status" "$pattern" "$weir" sql "$sql"
done <<'cases'
a statement that deletes|1|may not be modified|delete from flights
a statement that makes a table|1|only reads|create table a(b)
a second statement that deletes|1|may not be modified|select 1; delete from flights
a file that is attached|1|only reads|attach '/tmp/none' as a
a pragma that writes|1|only reads|pragma writable_schema = 1
a pragma that only reads|1|only reads|pragma table_info(flights)
a copy into a file|1|only reads|vacuum into '/tmp/none'
a library that is loaded|1|not authorized|select load_extension('/tmp/none')
a table that is dropped|1|only reads|drop table weir_streams
a row for a table over streams|1|may not be modified|insert into weir_streams(name) values (1)
a change behind WITH|1|may not be modified|with a as (select 1) update weir_cursors set offset = 0
a module that is used anew|1|only reads|create virtual table a using weir_records('flights')
a column that a table over streams lacks|1|no such column: nam; the columns of weir_cursors are stream, name|select nam from weir_cursors
an unknown column|1|no such column: carier; the columns|select carier from flights
an unknown table|1|no such table: none; there are .*flights|select * from none
half a statement|1|SQLite says|select
no statement|1|empty statement|
cases
for condition in "1) union select 1 --" "1; drop table flights" "(1" "'" ""; do
    expect "--where $condition" 1 'no single expression' "$weir" read flights --where "$condition"
done
expect "--where an unknown column" 1 'carier; the columns of a stream are offset, time' "$weir" read flights --where "carier = 'UA'"
expect "--where an unknown column, and no record asked for" 1 "carier; the columns" "$weir" read flights --where "carier = 'UA'" --count 0
expect "--where with a place for a value" 1 'write the values themselves' "$weir" read flights --where 'key = ?'
expect "--where and the knobs" 2 'leave out --key, --header and the knobs' "$weir" read flights --where 1 --window 1MiB
check "nothing was changed" says "select count(*) from flights" "$total"

python3 - "$WEIR_STORE/$file" <<'P'
import sys
with open(sys.argv[1], "r+b") as file:
    file.seek(200_000)
    byte = file.read(1)
    file.seek(200_000)
    file.write(bytes([byte[0] ^ 1]))
P
expect "damage is told, and the rest is answered" 3 'gap \(damage\)' "$weir" sql 'select count(*) from flights'
exit 0
