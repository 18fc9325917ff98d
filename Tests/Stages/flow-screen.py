#!/usr/bin/env python3
"""`weir flow` on a terminal: Tests/Stages/flow-screen.py WEIR STORE, whose stream is called soak.

Waits until the screen was drawn over three times, presses Ctrl-C, and looks at what is left; and
once more, with Ctrl-Z and going on before that.
"""

import os
import pty
import re
import signal
import sys
import termios

WEIR, STORE = sys.argv[1:]
ENTER, LEAVE, HOME = b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[H"
SHOWN, HIDDEN = b"\x1b[?25h", b"\x1b[?25l"


def tell(name, is_good, detail=""):
    print(f"ok {name}" if is_good else f"not ok {name}: {detail}")


process, terminal = pty.fork()
if process == 0:
    os.environ["TERM"] = "xterm"
    os.execv(WEIR, [WEIR, "flow", "soak", "--store", STORE, "--interval", "0.1"])
termios.tcsetwinsize(terminal, (40, 120))

output = b""


def read():
    """What comes next; nothing once the program has let go of the terminal."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


is_interrupted = False
while piece := read():
    output += piece
    if output.count(HOME) >= 4 and not is_interrupted:
        is_interrupted = True
        os.write(terminal, b"\x03")
status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
screens = [re.sub(rb"\x1b\[[?0-9]*[a-zA-Z]", b"", page) for page in output.split(HOME)[1:-1]]
tell(
    "the screen shows the stream and each consumer's window", bool(screens) and all(
        b"stream soak" in page and b"CONSUMER" in page and b"WINDOW" in page and b"adaptive" in page
        for page in screens
    ), screens[-1:],
)
tell(
    "it is drawn over in place, on a page of its own",
    output.count(ENTER) == 1 and output.count(b"\x1b[2J") == 0 and len(screens) >= 3
    and output.index(ENTER) < output.index(HOME), f"{len(screens)} screens",
)
after = output[output.rfind(HOME):]
tell(
    "Ctrl-C ends it and gives the terminal back",
    is_interrupted and status in (130, -2) and LEAVE in after and SHOWN in after
    and HIDDEN not in after,
    f"status {status}; {after[-80:]}",
)

process, terminal = pty.fork()
if process == 0:
    os.environ["TERM"] = "xterm"
    os.execv(WEIR, [WEIR, "flow", "soak", "--store", STORE, "--interval", "0.1"])
termios.tcsetwinsize(terminal, (40, 120))


def give_up(*_):
    """Nothing stopped, or nothing went on."""
    os.kill(process, signal.SIGKILL)
    tell("Ctrl-Z gives the terminal back, and going on takes it again", False, "it hangs")
    sys.exit(1)


signal.signal(signal.SIGALRM, give_up)
signal.alarm(30)
output = b""
while output.count(HOME) < 3 and (piece := read()):
    output += piece
os.write(terminal, b"\x1a")
is_stopped = os.WIFSTOPPED(os.waitpid(process, os.WUNTRACED)[1])
# What is there while it stands still, and one that goes on draws more.
while not output.endswith(LEAVE) and (piece := read()):
    output += piece
given_back = output[output.rfind(HOME):]
os.kill(process, signal.SIGCONT)
again = b""
while again.count(HOME) < 2 and (piece := read()):
    again += piece
os.write(terminal, b"\x03")
while piece := read():
    again += piece
os.waitpid(process, 0)
tell(
    "Ctrl-Z gives the terminal back, and going on takes it again",
    is_stopped and SHOWN in given_back and ENTER in again and again.index(ENTER) < again.index(HOME)
    and again.rfind(LEAVE) > again.rfind(HOME), f"{given_back[-80:]}, {again[:80]}",
)
