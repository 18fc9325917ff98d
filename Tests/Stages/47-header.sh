#!/usr/bin/env bash
# Replay by key and by header on the command line: by the index, and without it.
source "$(dirname "$0")/expect.sh"
need_weir

expect "a stream with an indexed header" 0 '' "$weir" create flights --index-header carrier --index-header hour
python3 -c 'import json
for number in range(3000):
    headers = {"carrier": ["UA", "B6", "AA"][number % 3], "hour": number % 24, "origin": "JFK"}
    print(json.dumps({"key": f"N{number % 7}", "headers": headers, "value": str(number)}))' |
    "$weir" append flights --format ndjson 2>/dev/null || echo "not ok set-up: append fails"
"$weir" read flights --format json >"$work/all"
while IFS='|' read -r option reason pattern; do
    expect "--header $option" 0 "$reason" "$weir" read flights --header "$option" --format json
    grep -E "$pattern" "$work/all" >"$work/expected"
    check "prints those records" cmp "$work/expected" "$work/out"
    [ -n "$reason" ] || check "and reads no others" [ ! -s "$work/err" ]
done <<'cases'
carrier=UA||"carrier":"UA"
hour=5||"hour":5[,}]
carrier=ua||"carrier":"ua"
origin=JFK|note: the log is read instead of the index: the stream's header origin is not indexed|"origin":"JFK"
cases
where="headers ->> 'carrier' = 'UA' and time >= '2000-01-01'"
expect "--where with a header" 0 '' "$weir" read flights --where "$where" --format json
grep '"carrier":"UA"' "$work/all" >"$work/expected"
check "prints those records" cmp "$work/expected" "$work/out"
check "and looks them up" [ ! -s "$work/err" ]
expect "a hidden column in SQL" 0 '' "$weir" sql "select count(*) as n from flights where \"headers ->> 'carrier'\" = 'UA'"
check "counts them" grep -qx 1000 "$work/out"
check "and looks them up" [ ! -s "$work/err" ]
expect "a header that is not indexed" 0 'condition on headers was answered by looking at all' "$weir" read flights --where "headers ->> 'origin' = 'LGA'"
# A key, a time and a header in one condition: by the index, and where an index lacks one of them.
condition="key = 'N14228' and time >= '2013-06-01' and headers ->> 'carrier' = 'UA'"
"$weir" create year --index-header carrier
"$weir" create keyed
"$weir" create bare --no-key-index
python3 -c 'import json
for number in range(3000):
    time = f"2013-{number % 12 + 1:02}-{number % 28 + 1:02}T05:00:00Z"
    headers = {"carrier": ["UA", "B6", "AA"][number // 5 % 3]}
    print(json.dumps({"key": ["N14228", "N24211"][number % 2], "time": time,
                      "headers": headers, "value": str(number)}))' >"$work/year"
grep N14228 "$work/year" | grep '"UA"' | grep -E '"2013-(0[6-9]|1[0-2])-' | python3 -c 'import json, sys
for line in sys.stdin: print(json.loads(line)["value"])' >"$work/expected"
check "a condition on key, time and header fits some records" [ "$(wc -l <"$work/expected")" -gt 99 ]
while IFS='|' read -r stream note; do
    "$weir" append "$stream" --format ndjson <"$work/year" 2>/dev/null
    expect "--where with key, time and header, of $stream" 0 "$note" "$weir" read "$stream" --where "$condition"
    check "prints those records" cmp "$work/expected" "$work/out"
    [ -n "$note" ] || check "and looks them up" [ ! -s "$work/err" ]
done <<'cases'
year|
keyed|
bare|note: The condition on key was answered by looking at all of bare from the time on: the stream.s keys
cases
expect "a time and a header that is not indexed" 0 'condition on headers was .* all of keyed from the time on, as no index' \
    "$weir" read keyed --where "time >= '2013-06-01' and headers ->> 'carrier' = 'UA'"
expect "a time and a value" 0 '' "$weir" read keyed --where "time >= '2013-06-01' and value = '7'"
check "is no news" [ ! -s "$work/err" ]
expect "one on what is not indexed" 0 'note: The condition on key.* was answered by looking at all of bare' \
    "$weir" read bare --where "key = 'N14228' and headers ->> 'carrier' = 'UA'"
check "is told once" [ "$(wc -l <"$work/err")" -eq 1 ]
expect "one with an unknown column" 1 'no such column: tail; the columns of a stream are offset, time' \
    "$weir" read year --where "tail = 'N14228' and time >= '2013-06-01' and headers ->> 'carrier' = 'UA'"
expect "--key" 0 '' "$weir" read flights --key N3 --format json
grep '"key":"N3"' "$work/all" >"$work/expected"
check "prints those records" cmp "$work/expected" "$work/out"

"$weir" create more --index-header carrier
echo '{"headers":{"carrier":"UA"},"value":"more"}' | "$weir" append more --format ndjson
expect "--header of several streams" 0 '' "$weir" read flights more --merge --header carrier=UA --format value
check "prints those of both" [ "$(wc -l <"$work/out")" -eq 1001 ]

rm "$WEIR_STORE"/index-*
expect "--header without an index" 0 'note: the log is read' "$weir" read flights --header carrier=UA --format json
grep '"carrier":"UA"' "$work/all" >"$work/expected"
check "prints those records" cmp "$work/expected" "$work/out"
expect "no record as CSV" 0 "" "$weir" read flights --header carrier=XX --format csv
check "prints the columns" grep -qx "offset,time,key,value,headers" "$work/out"
expect "--header and --key" 2 'both given' "$weir" read flights --header carrier=UA --key N3
expect "--header without a value" 2 'carrier' "$weir" read flights --header carrier
expect "nine indexed headers" 2 'expected at most 8' "$weir" create many $(for number in {1..9}; do echo "--index-header h$number"; done)
exit 0
