# Shared by stages that run `weir` and look at what it says: source it with `work` set to a folder.

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
