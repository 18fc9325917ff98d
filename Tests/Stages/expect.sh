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
