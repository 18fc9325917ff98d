#!/usr/bin/env python3
"""`weir sql` on a terminal: Tests/Stages/sql-prompt.py WEIR STORE, which has a stream flights.

Types a line whenever the prompt for it is there, and looks at what stands behind each.
"""

import os
import pty
import sys
import termios

WEIR, STORE = sys.argv[1:]
READY, GOES_ON = b"weir> ", b"  ... "
END = b"\x04"


def tell(name, is_good, detail=""):
    print(f"ok {name}" if is_good else f"not ok {name}: {detail}")


def converse(lines):
    """The status, and what was printed before the first prompt and behind each line."""
    process, terminal = pty.fork()
    if process == 0:
        os.environ["TERM"] = "xterm"
        os.execv(WEIR, [WEIR, "sql", "--store", STORE])
    settings = termios.tcgetattr(terminal)
    settings[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSANOW, settings)
    termios.tcsetwinsize(terminal, (40, 120))
    answers, output, waiting = [], b"", list(lines)
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # The program has let go of the terminal.
            break
        if not piece:
            break
        output += piece
        if output.endswith((READY, GOES_ON)) and waiting:
            answers.append(output)
            output = b""
            os.write(terminal, waiting.pop(0))
    answers.append(output)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), answers


status, (greeting, count, error, half, rows, last) = converse([
    b"select count(*) as many from flights;\n",
    b"select carier from flights;\n",
    b"select offset\n",
    b"from flights where offset < 2;\n",
    b".quit\n",
])
tell("the prompt says how to leave", b".quit" in greeting, greeting)
tell("a query is answered by a table", b"many\r\n----\r\n" in count, count)
tell(
    "an error is told, with the columns that there are",
    b"no such column: carier; the columns" in error and error.endswith(READY), error,
)
tell("a statement may go over lines", half.endswith(GOES_ON), half)
tell("the prompt goes on after an error", b"offset\r\n------\r\n0\r\n1\r\n" in rows, rows)
tell(".quit ends it with status 0", status == 0 and READY not in last, f"{status}, {last}")

status, (_, answer, last) = converse([b"select 1 as one;\n", END])
tell("so does the end of the input", status == 0 and b"one\r\n" in answer, f"{status}, {answer}")
