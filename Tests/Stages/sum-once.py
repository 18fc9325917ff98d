#!/usr/bin/env python3
"""A consumer that counts every record exactly once, however often it dies.

    sum-once.py WEIR STREAM DATABASE

Reads numbers from a stream by `weir read` and adds them up in a SQLite database of its own. The sum
and the offset of the next record change in one transaction: after a death at any place both are
there or neither is, so nothing is missed and nothing counted twice. The store is WEIR_STORE's.
"""
import json
import sqlite3
import subprocess
import sys

BATCH = 50


def read(weir, stream, first):
    """The next records of the stream, as numbers."""
    command = [weir, "read", stream, "--from", f"offset:{first}", "--count", str(BATCH)]
    found = subprocess.run(
        command + ["--format", "json"], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    records = [json.loads(line) for line in found.stdout.splitlines()]
    # A gap would be records that are not there: nothing to be counted, and to be told of.
    for place, record in enumerate(records):
        if record["offset"] != first + place:
            raise SystemExit(f"offset {record['offset']} where {first + place} is expected")
    return [int(record["value"]) for record in records]


def main(weir, stream, path):
    database = sqlite3.connect(path, timeout=60)
    with database:
        database.execute("create table if not exists cursor (only integer primary key, next integer)")
        database.execute("create table if not exists total (only integer primary key, sum integer)")
        database.execute("insert or ignore into cursor values (1, 0)")
        database.execute("insert or ignore into total values (1, 0)")
    while True:
        (first,) = database.execute("select next from cursor").fetchone()
        values = read(weir, stream, first)
        if not values:
            return
        with database:  # begin … commit; an exception or a death rolls back
            for value in values:
                database.execute("update total set sum = sum + ?", (value,))
            moved = database.execute(
                "update cursor set next = ? where next = ?", (first + len(values), first))
            if moved.rowcount != 1:
                raise SystemExit("another consumer was faster")


main(*sys.argv[1:])
