#!/usr/bin/env python3
"""Prints one line a Swift test: `ok`, `fail` or `skip`, its name, and the reason of a skip.

    read-test-report.py REPORT.xml LOG

The report is what `swift test --xunit-output` writes. It is read line by line, not as XML: the name
of a test may hold quotation marks and angle brackets, which Swift 6.3 writes as they are. A run that
crashed leaves no report; then the log tells what passed. A test that cancelled itself stands in the
report as passed, and only the log knows better.
"""

import html
import re
import sys

CASE = re.compile(r'^\s*<testcase classname="(.*?)" name="(.*?)"(?: time="[^"]*")? ?/?>\s*$')
SKIPPED = re.compile(r"^\s*<skipped>(.*)</skipped>|^\s*<(skipped)\b")
CANCELLED = re.compile(r'^. Test (.*?) was cancelled after [\d.]+ seconds(?:: "(.*)")?')
ENDED = re.compile(r"^. Test (?!run |case )(.*?)(?: with \d+ test cases?)? (passed|failed) after ")


def lines(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []


def bare(name):
    """The log writes a raw name in quotation marks and without parentheses."""
    return name.strip('`"').removesuffix("`()").removesuffix("()")


def from_report(report, cancelled):
    suite, name, verdict, reason = "", None, "ok", ""
    for line in report + ['<testcase classname="" name="" />']:
        case = CASE.match(line)
        if case:
            if name is not None:
                yield verdict, f"{suite} {name}", reason
            suite, name, verdict, reason = case[1], case[2], "ok", ""
            if bare(name) in cancelled:
                verdict, reason = "skip", cancelled[bare(name)]
        elif "<failure" in line or "<error" in line:
            verdict = "fail"
        elif skip := SKIPPED.match(line):
            verdict, reason = "skip", html.unescape(skip[1] or "no reason given")


def from_log(log):
    for line in log:
        if ended := ENDED.match(line):
            yield ("ok" if ended[2] == "passed" else "fail"), bare(ended[1]), ""


def main(report_path, log_path):
    log = lines(log_path)
    cancelled = {bare(m[1]): m[2] or "no reason given" for m in map(CANCELLED.match, log) if m}
    report = lines(report_path)
    for row in from_report(report, cancelled) if report else from_log(log):
        print("\t".join(row))


if __name__ == "__main__":
    main(*sys.argv[1:])
