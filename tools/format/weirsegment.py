"""Segment files: header, the walk through the batches past damage, footer."""

import struct
from dataclasses import dataclass, field

from weirbytes import HEADER_BYTES, Batch, Damaged, Newer, crc32c, sections, up

FOOTER_MAX = 64 << 20


@dataclass
class SegmentHeader:
    segment: int
    stream: int
    epoch: int
    base: int
    generation: int
    name: str
    start: int
    epoch_starts: list

    @staticmethod
    def decode(data):
        if data[:8] != b"WEIRSEG1" or len(data) < 88:
            raise Damaged("the file does not begin like a segment")
        checksum, length = struct.unpack_from("<II", data, 8)
        if not 88 <= length <= min(65_536, len(data)):
            raise Damaged(f"the segment header claims {length} bytes")
        if crc32c(data[:8], data[12:length]) != checksum:
            raise Damaged("the segment header's checksum does not hold")
        version, _, _, _, incompat = struct.unpack_from("<HHIII", data, 16)
        if version != 1 or incompat != 0:
            raise Newer(f"the segment has version {version}, features {incompat}")
        segment, stream, epoch, base = struct.unpack_from("<QQQQ", data, 32)
        (generation,) = struct.unpack_from("<I", data, 80)
        parts = sections(data[88:length], {1, 2, 3, 4}, "segment header")
        if 1 not in parts:
            raise Damaged("the segment header has no stream name")
        return SegmentHeader(
            segment, stream, epoch, base, generation, parts[1].decode(), up(length, 4096),
            starts_of_epochs(parts.get(4, b""), epoch, base))


def starts_of_epochs(payload, epoch, base):
    """Each (epoch, first offset) of a merged segment behind the first."""
    if len(payload) % 16:
        raise Damaged("a start of an epoch is cut")
    starts = list(struct.iter_unpack("<QQ", payload))
    for start in starts:
        if start[0] <= epoch or start[1] < base:
            raise Damaged(f"epoch {start[0]} begins at {start[1]}, behind {epoch} at {base}")
        epoch, base = start
    return starts


def footer_position(data, segment):
    """Where the footer begins; None if the file has none that holds."""
    if len(data) < 32:
        return None
    length, rows, found, version, count, checksum = struct.unpack_from(
        "<IIQHHI", data, len(data) - 32)
    if data[-8:] != b"WEIREND1" or found != segment:
        return None
    if not 32 <= length <= min(FOOTER_MAX, len(data)):
        return None
    start = len(data) - length
    place = struct.pack("<QQ", segment, start)
    if crc32c(place, data[start:-12], data[-8:]) != checksum:
        return None
    if version != 1:
        raise Newer(f"the footer has version {version}")
    return start if rows + count * 16 + 32 == length else None


@dataclass
class Segment:
    """A segment file's bytes and what its name or manifest says of it."""

    data: bytes
    segment: int = None
    header: SegmentHeader = None
    start: int = 4096
    limit: int = 0
    sealed: bool = False
    complaints: list = field(default_factory=list)

    def __post_init__(self):
        try:
            self.header = SegmentHeader.decode(self.data)
            self.start = self.header.start
            self.segment = self.header.segment if self.segment is None else self.segment
        except Damaged as error:
            self.complaints.append(str(error))
            if self.segment is None:
                raise
        end = footer_position(self.data, self.segment)
        self.sealed = end is not None
        self.limit = len(self.data) if end is None else end

    def steps(self):
        """Each batch, or (from, to) of bytes that are none."""
        place = bad = self.start
        while place + HEADER_BYTES <= self.limit:
            try:
                batch = Batch.decode(self.data, place, self.segment, self.limit)
            except Damaged:
                # The magic is looked for first: checksums in Python are slow.
                place = self.next_magic(place)
                continue
            if bad < place:
                yield bad, place
            yield batch
            place = bad = place + batch.stored_bytes
        if self.data[bad : self.limit].strip(b"\0"):
            yield bad, self.limit

    def next_magic(self, place):
        place += 1
        while True:
            place = self.data.find(b"WBAT", place)
            if place < 0:
                return self.limit
            if place % 8 == 0:
                return place
            place += 1
