#!/usr/bin/env bash
# The control socket and `weir flow`, from outside: what a writer that runs answers, what is said
# where none does, and what a killed one leaves behind.
source "$(dirname "$0")/expect.sh"
need_weir
check_not() { # NAME, then a command that must fail
    local name=$1
    shift
    if "$@" >/dev/null 2>&1; then echo "not ok $name: $* succeeds"; else echo "ok $name"; fi
}
# A line at a time, each of them JSON.
is_json() { python3 -c 'import json, sys
for line in open(sys.argv[1]): assert "timeMicroseconds" in json.loads(line)
assert sum(1 for _ in open(sys.argv[1])) == int(sys.argv[2])' "$1" "$2"; }
begin() { # starts a writer that waits for more, and waits until it serves
    exec 8>&- 2>/dev/null
    rm -f "$work/input"
    mkfifo "$work/input"
    "$weir" append s - <"$work/input" >/dev/null 2>"$work/writer" &
    writer=$!
    exec 8>"$work/input"
    echo more >&8
    until_true "$weir" flow s --once || echo "not ok set-up: the writer does not serve; $(head -n 1 "$work/writer")"
}

expect "no store" 1 'There is no store at .*/store' "$weir" flow s
mkdir "$work/other" && echo hello >"$work/other/file"
expect "a directory that is no store" 1 'is no store' "$weir" flow s --store "$work/other"
seq 1000 | "$weir" append s 2>/dev/null || echo "not ok set-up: append fails"
expect "no writer" 1 'No writer has the store at .* open' "$weir" flow s --once --json
check "nothing is printed without a writer" [ ! -s "$work/out" ]
check_not "a clean close leaves no socket" [ -e "$WEIR_STORE/control" ]

begin
check "the socket is its owner's alone" [ "$(stat -c '%F %a' "$WEIR_STORE/control")" = "socket 600" ]
expect "a report as JSON" 0 '' "$weir" flow s --once --json
check "it is JSON" python3 -m json.tool "$work/out"
check "it is one line" is_json "$work/out" 1
expect "three reports" 0 '' "$weir" flow --json --interval 0.1 --count 3
check "an object a line" is_json "$work/out" 3
expect "a report as text" 0 '' "$weir" flow s --once
check "it is text" grep -q '^weir flow  stream s  20' "$work/out"
check_not "a pipe gets no escape codes" grep -q $'\033' "$work/out"
expect "a stream that does not exist" 1 'no stream nothing in this store, which has s' "$weir" flow nothing
expect "a name outside the allowed set" 1 'not allowed' "$weir" flow 'a/b'
for interval in 0 0.09 3601 nan inf -1; do
    expect "--interval $interval" 2 'expected 0.1 to 3600 seconds' "$weir" flow s --interval "$interval"
done
expect "--interval soon" 2 "'soon' is invalid" "$weir" flow s --interval soon
expect "--count 0" 2 'expected 1 report or more' "$weir" flow s --count 0
expect "--once and --count" 2 'one of the two' "$weir" flow s --once --count 2
"$weir" flow s --json --interval 0.1 2>"$work/err" | head -n 1 >/dev/null
if [ "${PIPESTATUS[0]}" -eq 0 ] && [ ! -s "$work/err" ]; then echo "ok a reader that went away ends it quietly"; else echo "not ok a reader that went away: $(head -n 1 "$work/err")"; fi
"$weir" flow s --once --json >/dev/full 2>/dev/null
if [ $? -eq 1 ]; then echo "ok a full output fails"; else echo "not ok a full output does not fail"; fi

# Ctrl-C ends it, and the writer is none the worse.
"$weir" flow s --json --interval 3600 >"$work/out" 2>"$work/err" </dev/null &
looker=$!
until_true [ -s "$work/out" ]
kill -INT $looker
wait $looker
status=$?
if [ $status -eq 130 ] && [ ! -s "$work/err" ]; then echo "ok Ctrl-C, status 130"; else echo "not ok Ctrl-C: status $status; $(head -n 1 "$work/err")"; fi

# The wire, as any program may use it.
python3 - "$WEIR_STORE" <<'P'
import json, os, socket, sys

def connect():
    # An address is short, and a path is not.
    directory = os.open(sys.argv[1], os.O_RDONLY)
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(30)
    s.connect(f"/proc/self/fd/{directory}/control")
    os.close(directory)
    return s, s.makefile("rb")

def ask(s, lines, text):
    s.sendall(text)
    return lines.readline()

s, lines = connect()
for name, text, member in [
    ("ping", b'{"command":"ping"}\n', "epoch"),
    ("flow", b'{"command":"flow"}\n', "signals"),
    ("no JSON", b"hello\n", "error"),
    ("an unknown command", b'{"command":"dance"}\n', "error"),
    ("a stream of another type", b'{"command":"flow","stream":7}\n', "error"),
    ("no UTF-8", b'{"command":"\xff\xfe"}\n', "error"),
    ("a nested line", b"[" * 60000 + b"\n", "error"),
    ("ping after all that", b'{"command":"ping"}\n', "epoch"),
]:
    answer = ask(s, lines, text)
    print("ok" if member in json.loads(answer) else "not ok", f"the wire: {name}"
          + ("" if member in json.loads(answer) else f": {answer[:100]}"))
s, lines = connect()
answer = ask(s, lines, b"x" * 70000)
good = "error" in json.loads(answer) and lines.readline() == b""
print("ok" if good else "not ok", "the wire: a line that is too long" + ("" if good else f": {answer[:100]}"))
crowd = [connect() for _ in range(40)]
answered = told = 0
for s, lines in crowd:
    try:
        s.sendall(b'{"command":"ping"}\n')
    except BrokenPipeError:
        pass
    answer = json.loads(lines.readline())
    answered += "epoch" in answer
    told += "already" in answer.get("error", "")
good = answered + told == 40 and 14 <= answered <= 16
print("ok" if good else "not ok", f"the wire: of 40 connections {answered} are answered and {told} told why not")
P
check "the writer goes on" kill -0 "$writer"
echo last >&8
exec 8>&-
wait "$writer"
status=$?
if [ $status -eq 0 ] && [ "$("$weir" tail s -n 1)" = last ]; then echo "ok the writer ends in good order"; else echo "not ok the writer ends with status $status: $(head -n 1 "$work/writer")"; fi
check_not "its close takes the socket away" [ -e "$WEIR_STORE/control" ]

# A writer that is killed while somebody looks on.
begin
"$weir" flow s --json --interval 0.1 >"$work/out" 2>"$work/err" </dev/null &
looker=$!
until_true [ -s "$work/out" ]
kill -9 "$writer"
wait "$writer" 2>/dev/null
wait $looker
status=$?
if [ $status -eq 1 ] && grep -qE 'No writer|closed before' "$work/err"; then echo "ok a writer that vanishes is told, status 1"; else echo "not ok a writer that vanishes: status $status; $(head -n 1 "$work/err")"; fi
check "it leaves its socket" [ -S "$WEIR_STORE/control" ]
expect "a socket that nobody serves" 1 'No writer has the store' "$weir" flow s
begin
check "the next writer serves again" "$weir" flow s --once
exec 8>&-
wait "$writer"

# Something else in the way of the socket.
echo mine >"$WEIR_STORE/control"
echo more | "$weir" append s - 2>"$work/err"
status=$?
if [ $status -eq 0 ] && grep -q 'is not a socket' "$work/err"; then echo "ok a file in the way is told, and the store is written"; else echo "not ok a file in the way: status $status; $(head -n 1 "$work/err")"; fi
check "the file is left alone" [ "$(cat "$WEIR_STORE/control")" = mine ]
rm "$WEIR_STORE/control"

# A path that no socket's address holds.
long=$work/$(printf 'd%.0s' {1..200})
WEIR_STORE=$long begin
WEIR_STORE=$long expect "a path of more than 200 bytes" 0 '' "$weir" flow s --once
exec 8>&-
wait "$writer"

# Another user's store, its directory open to look at.
if [ "$(id -u)" -ne 0 ]; then
    echo "skip another user's store: privilege: becoming another user needs root"
elif command -v setpriv >/dev/null; then
    begin
    chmod 755 "$work" "$WEIR_STORE" && chmod 644 "$WEIR_STORE"/{WEIR,LOCK}
    cp "$weir" "$work/weir" && chmod 755 "$work/weir"
    nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups "$work/weir")
    expect "another user's store" 1 'could not connect to .*permission' "${nobody[@]}" flow s
    chmod 666 "$WEIR_STORE/control"
    expect "another user is turned away, whatever the file's mode" 1 'User 65534' "${nobody[@]}" flow s
    exec 8>&-
    wait "$writer"
else
    echo "skip another user's store: privilege: this root cannot become another user"
fi
