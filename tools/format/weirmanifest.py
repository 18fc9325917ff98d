"""A stream's directory: which segments it consists of, by its MANIFEST or by their names."""

import re
import struct
from dataclasses import dataclass
from pathlib import Path

from weirbytes import Batch, Damaged, Newer, crc32c
from weirsegment import Segment

EDIT_MAX = 1 << 20
SEGMENT_NAME = re.compile(r"(\d{20})-([0-9a-f]{16})\.segment")


@dataclass
class Edit:
    kind: int
    payload: bytes
    sequence: int
    previous: int
    checksum: int
    length: int


def decode_edit(data, place):
    if place + 32 > len(data):
        raise Damaged("an edit is cut")
    length, checksum, magic, kind, version, sequence, previous, payload = struct.unpack_from(
        "<II4sHHQII", data, place)
    if length % 8 or not 32 <= length <= min(EDIT_MAX, len(data) - place):
        raise Damaged(f"an edit claims {length} bytes")
    whole = data[place : place + length]
    if magic != b"WMAN" or crc32c(whole[:4], whole[8:]) != checksum or payload > length - 32:
        raise Damaged("an edit's checksum does not hold")
    if version != 1 or not 1 <= kind <= 12:
        raise Newer(f"an edit of type {kind}, version {version}")
    return Edit(kind, whole[32 : 32 + payload], sequence, previous, checksum, length)


def edits(data):
    """All edits that hold, and how the file ends: `whole`, `torn` or `damaged`."""
    found, place = [], 0
    while place < len(data):
        try:
            edit = decode_edit(data, place)
            if found and (edit.sequence, edit.previous) != (
                found[-1].sequence + 1, found[-1].checksum):
                raise Damaged("an edit does not follow the one before it")
        except Damaged:
            return found, "damaged" if holds_edit(data, place) or not found else "torn"
        found.append(edit)
        place += edit.length
    return found, "whole" if found and found[0].kind == 1 else "damaged"


def holds_edit(data, place):
    for candidate in range(place // 8 * 8 + 8, len(data) - 31, 8):
        try:
            decode_edit(data, candidate)
            return True
        except Damaged:
            pass
    return False


class Manifest:
    """What the edits add up to, as far as a reader needs it."""

    def __init__(self):
        self.stream = None
        self.name = ""
        self.segments = {}
        self.log_start = 0
        self.deleted = False
        self.opened = None
        self.end = 0

    def apply(self, kind, payload):
        if kind == 1:
            self.stream, length = struct.unpack_from("<QQ", payload)
            self.name = payload[16 : 16 + length].decode()
        elif kind == 3:
            self.add(payload, 0)
        elif kind == 4:
            self.end = max(self.end, struct.unpack_from("<Q", payload, 8)[0])
        elif kind == 5:
            self.replace(payload)
        elif kind == 6:
            for segment in self.ids(payload)[0]:
                self.segments.pop(segment, None)
        elif kind == 7:
            self.log_start = max(self.log_start, struct.unpack("<Q", payload)[0])
        elif kind == 8:
            (self.opened,) = struct.unpack("<Q", payload)
        elif kind == 9:
            self.opened = None
        elif kind == 10:
            self.deleted = True
        elif kind == 11:
            place = 0
            while place < len(payload):
                inner, length = struct.unpack_from("<II", payload, place)
                self.apply(inner, payload[place + 8 : place + 8 + length])
                place += 8 + length

    @staticmethod
    def ids(payload):
        (count,) = struct.unpack_from("<Q", payload)
        return struct.unpack_from(f"<{count}Q", payload, 8), 8 + 8 * count

    def add(self, payload, place):
        segment, base, _, generation, sealed = struct.unpack_from("<QQQII", payload, place)
        self.segments[segment] = base, generation
        end = struct.unpack_from("<Q", payload, place + 32)[0] if sealed else base
        self.end = max(self.end, end)
        return place + (112 if sealed else 32)

    def replace(self, payload):
        old, place = self.ids(payload)
        for segment in old:
            self.segments.pop(segment)
        (count,) = struct.unpack_from("<Q", payload, place)
        place += 8
        for _ in range(count):
            place = self.add(payload, place)


def stream_segments(directory, complain):
    """The paths of a stream's segments in the order of their bases, and its log start."""
    directory = Path(directory)
    files = {}
    for path in directory.iterdir():
        match = SEGMENT_NAME.fullmatch(path.name)
        if match:
            files[int(match[2], 16)] = int(match[1]), path
    manifest, ending = Manifest(), "missing"
    if (directory / "MANIFEST").exists():
        found, ending = edits((directory / "MANIFEST").read_bytes())
        for edit in found:
            manifest.apply(edit.kind, edit.payload)
    if ending in ("missing", "damaged"):
        complain(f"{directory}/MANIFEST is {ending}: all segments that are there are read")
        return [path for _, path in sorted(files.values())], 0
    for segment, (base, _) in manifest.segments.items():
        if segment not in files:
            complain(f"{directory}/{base:020}-{segment:016x}.segment is missing")
    rows = sorted((base, segment) for segment, (base, _) in manifest.segments.items())
    paths = [files[segment][1] for _, segment in rows if segment in files]
    return paths + begun_segments(manifest, files), manifest.log_start


def begun_segments(manifest, files):
    """Segments that their writer had begun and not yet listed."""
    begun = []
    for segment, (base, path) in files.items():
        if segment in manifest.segments or base < manifest.end or manifest.opened is None:
            continue
        found = Segment(path.read_bytes(), segment)
        batches = [
            step for step in found.steps() if isinstance(step, Batch) and not step.defect]
        header = found.header
        named = header and (header.segment, header.stream, header.epoch) == (
            segment, manifest.stream, manifest.opened)
        if (named or not header) and batches and all(
                batch.epoch == manifest.opened for batch in batches):
            begun.append((base, path))
    return [path for _, path in sorted(begun)]


def id_in_name(path):
    match = SEGMENT_NAME.fullmatch(Path(path).name)
    return int(match[2], 16) if match else None
