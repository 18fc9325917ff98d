#!/usr/bin/env python3
"""Reads Weir's files without Weir: written from Docs/FORMAT.md, to check document and program.

    weirformat.py batches SEGMENT             every batch: position, kind, offsets, times, validity
    weirformat.py records FILE... | DIR       records as `weir read --format json` prints them
    weirformat.py check-entries FILE...       decodes each message a second time, with rstream

SEGMENT is a segment file, FILE that or an archive, DIR a stream's directory. A segment whose header is damaged needs its
usual name, which holds its id. Damage is told on stderr and read past. The exit status is 0, or 1
if anything was damaged or differed, or 2 for wrong use. Needs Python 3.11 and `lz4`.
"""

import sys
from pathlib import Path

import weiramqp
import weirarchive
import weirtext
from weirbytes import Batch, Damaged, Newer
from weirmanifest import id_in_name, stream_segments
from weirsegment import Segment

complaints = 0


def complain(text):
    global complaints
    complaints += 1
    print(text, file=sys.stderr)


def open_segment(path):
    segment = Segment(Path(path).read_bytes(), id_in_name(path))
    for text in segment.complaints:
        complain(f"{path}: {text}; its batches are read all the same")
    return segment


def batch_line(batch):
    place = f"{batch.position:>10} {Batch.KINDS[batch.kind]:<7}"
    counts = (
        f"offsets {batch.first}..{batch.end} records {batch.records} entries {batch.entries}"
        f" keys {batch.keyed} tombstones {batch.tombstones}"
        f" body {batch.body_bytes} raw {batch.raw_bytes}")
    times = (
        f"epoch {batch.epoch} durable {batch.durable} appended {weirtext.time(batch.appended)}"
        f" times {weirtext.time(batch.least)}..{weirtext.time(batch.greatest)}")
    return f"{place} {counts} {times} {batch.defect or 'valid'}"


def print_batches(path):
    segment = open_segment(path)
    for epoch, offset in segment.header.epoch_starts if segment.header else []:
        print(f"{'':>10} epoch {epoch} begins at offset {offset}")
    for step in segment.steps():
        if isinstance(step, Batch):
            print(batch_line(step))
            if step.defect:
                complain(f"{path}: the batch at {step.position} is damaged: {step.defect}")
        else:
            print(f"{step[0]:>10} damaged bytes up to {step[1]}")
            complain(f"{path}: bytes {step[0]} to {step[1]} are no batch")
    print(f"{segment.limit:>10} {'footer' if segment.sealed else 'end'}")


def rows(path):
    """Each (batch, offset, entry, whether opaque): of a segment past damage, of an archive up to it."""
    with open(path, "rb") as file:
        if file.read(len(weirarchive.MAGIC)) == weirarchive.MAGIC:
            yield from weirarchive.rows(weirarchive.MAGIC + file.read())
            return
    for step in open_segment(path).steps():
        if not isinstance(step, Batch):
            complain(f"{path}: bytes {step[0]} to {step[1]} are no batch")
            continue
        try:
            if step.defect:
                raise Damaged(step.defect)
            if step.kind == 0:
                for offset, entry, opaque in step.rows():
                    yield step, offset, entry, opaque
        except Damaged as error:
            complain(
                f"{path}: the batch at {step.position}, offsets {step.first} to {step.end}, "
                f"is damaged: {error}")


def print_records(paths):
    log_start = 0
    if len(paths) == 1 and Path(paths[0]).is_dir():
        paths, log_start = stream_segments(paths[0], complain)
    expected, stream = log_start, ""
    out = sys.stdout.buffer
    for path in paths:
        for batch, offset, entry, opaque in rows(path):
            if batch.stream != stream:
                expected, stream = 0, batch.stream
            if offset < expected:
                continue
            found = weiramqp.Record("opaque", entry) if opaque else weiramqp.decode(entry)
            out.write(weirtext.record(offset, batch.appended, found, stream).encode() + b"\n")
            expected = offset + 1
    out.flush()


def check_entries(paths):
    import weircheck

    checked = 0
    for path in paths:
        for _, offset, entry, opaque in rows(path):
            found = weiramqp.Record("opaque", entry) if opaque else weiramqp.decode(entry)
            if found.shape in ("opaque", "raw"):
                continue
            checked += 1
            for text in weircheck.differences(entry, found):
                complain(f"{path}: offset {offset}: {text}")
    print(f"{checked} messages were decoded twice")


def main(arguments):
    if len(arguments) < 2 or arguments[0] not in ("batches", "records", "check-entries"):
        print(__doc__, file=sys.stderr)
        return 2
    command, *paths = arguments
    try:
        if command == "batches":
            for path in paths:
                print_batches(path)
        else:
            {"records": print_records, "check-entries": check_entries}[command](paths)
    except Newer as error:
        complain(f"{error}: a newer format than version 1")
    except (Damaged, OSError) as error:
        complain(str(error))
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
