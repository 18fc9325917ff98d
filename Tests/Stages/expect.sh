# What stages share; each begins with `source "$(dirname "$0")/expect.sh"` and is at the root then.
set -uo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../tools/lib.sh"
cd "$WEIR_ROOT" || exit 1

# need_work: `work`, a folder with room for a store. It goes when the stage ends, and before it
# what the stage started that still runs, and what it mounted there.
need_work() {
    work=$(mktemp -d)
    export WEIR_STORE=$work/store
    trap leave EXIT
}
leave() {
    local process place
    for process in $(jobs -p); do
        kill -9 "$process"
        wait "$process"
    done 2>/dev/null
    for place in $(awk -v work="$work/" 'index($2, work) == 1 { print $2 }' /proc/mounts | tac); do
        umount "$place"
    done
    chmod -R u+rwx "$work"
    rm -rf "$work"
}
# need_weir: `weir`, as the tests' build made it, and a place to work.
need_weir() {
    weir=$WEIR_ROOT/.build/debug/weir
    [ -x "$weir" ] || swift build --product weir >&2 || {
        echo "not ok set-up: weir does not build"
        exit 1
    }
    need_work
}
# need_optimised PRODUCT: builds it; `optimised` is its path.
need_optimised() {
    local log=.build/optimised-$1.log
    if ! swift build -c release --product "$1" >"$log" 2>&1; then
        grep -E 'error: ' "$log" | head -n 5
        echo "not ok set-up: $1 does not build with the optimiser; see $log"
        exit 1
    fi
    optimised=$WEIR_ROOT/.build/release/$1
}
# until_true COMMAND…: waits for it, for a minute at most.
until_true() {
    local end=$((SECONDS + 60))
    until "$@" >/dev/null 2>&1; do [ $SECONDS -lt $end ] || return 1; done
}

# expect NAME STATUS PATTERN COMMAND…: status, and one sentence on stderr that has the pattern.
expect() {
    local name=$1 status=$2 pattern=$3 found
    shift 3
    "$@" >"$work/out" 2>"$work/err" </dev/null
    found=$?
    if [ $found -ne "$status" ]; then
        echo "not ok $name: exit status $found where $status is expected; $(head -n 1 "$work/err")"
    elif [ -n "$pattern" ] && ! grep -qE "$pattern" "$work/err"; then
        echo "not ok $name: stderr lacks \"$pattern\": $(head -n 1 "$work/err")"
    elif grep -qE 'Fatal error|Backtrac|Stack dump' "$work/err"; then
        echo "not ok $name: it trapped"
    else
        echo "ok $name"
    fi
}
check() { # NAME, then a command that must succeed
    local name=$1
    shift
    if "$@" >/dev/null 2>&1; then echo "ok $name"; else echo "not ok $name: $* fails"; fi
}
# make_newer STORE: its file WEIR is one that version 9 of the format wrote.
make_newer() {
    python3 - "$1/WEIR" <<'P'
import sys
path = sys.argv[1]
data = bytearray(open(path, "rb").read())
data[8] = 9
table = []
for n in range(256):
    for _ in range(8):
        n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
    table.append(n)
crc = 0xFFFFFFFF
for byte in data[:60]:
    crc = table[(crc ^ byte) & 255] ^ crc >> 8
data[60:64] = (crc ^ 0xFFFFFFFF).to_bytes(4, "little")
open(path, "wb").write(data)
P
}
