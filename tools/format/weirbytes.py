"""Batches and their bodies, read from Docs/FORMAT.md alone.

Nothing here shares code or tables with the program: what both agree on, the document says.
"""

import struct
import sys
import zlib
from dataclasses import dataclass

try:
    import lz4.frame
except ImportError:
    sys.exit("The Python package lz4 is missing: run this with .venv/bin/python, which tools/test makes.")

HEADER_BYTES = 152
EXTENSION_MAX, BODY_MAX, RAW_MAX, ENTRIES_MAX = 1 << 20, 16 << 20, 64 << 20, 65_535
OFFSET_LIMIT = 1 << 64


class Damaged(Exception):
    """Bytes do not hold."""


class Newer(Exception):
    """Bytes hold, and mean something that version 1 does not have."""


def _crc32c_tables():
    first = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        first.append(byte)
    return first


CRC32C = _crc32c_tables()


def crc32c(*pieces):
    """CRC-32C of the pieces one behind the other."""
    crc = 0xFFFFFFFF
    table = CRC32C
    for piece in pieces:
        for byte in piece:
            crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def up(value, alignment):
    return -(-value // alignment) * alignment


def sections(data, known, what):
    """{type: payload} of a row of sections."""
    found, place = {}, 0
    while place < len(data):
        if place + 8 > len(data):
            raise Damaged(f"a section of the {what} is cut")
        kind, flags, length = struct.unpack_from("<HHI", data, place)
        if place + 8 + up(length, 8) > len(data):
            raise Damaged(f"a section of the {what} is too long")
        if flags & 1 and kind not in known:
            raise Newer(f"the {what} has an unknown critical section {kind}")
        found[kind] = data[place + 8 : place + 8 + length]
        place += 8 + up(length, 8)
    return found


@dataclass
class Batch:
    position: int
    kind: int
    compat: int
    extension_crc: int
    body_crc: int
    extension_bytes: int
    body_bytes: int
    raw_bytes: int
    entries: int
    records: int
    first: int
    span: int
    keyed: int
    tombstones: int
    epoch: int
    durable: int
    appended: int
    least: int
    greatest: int
    extension: bytes = b""
    body: bytes = b""
    defect: str = ""
    stream: str = ""  # which of several, in the archive of a partitioned stream

    KINDS = ("records", "marker", "filler")

    @property
    def end(self):
        return self.first + self.span

    @property
    def stored_bytes(self):
        return up(HEADER_BYTES + self.extension_bytes + self.body_bytes, 8)

    @staticmethod
    def decode(data, position, segment, limit):
        """The batch at a position; raises `Damaged` for rules 1 to 8, notes a defect for 9, 10."""
        if position % 8 or position + HEADER_BYTES > limit:
            raise Damaged("no room for a batch")
        head = data[position : position + HEADER_BYTES]
        if head[:4] != b"WBAT":
            raise Damaged("no batch")
        (checksum,) = struct.unpack_from("<I", head, 4)
        if crc32c(struct.pack("<QQ", segment, position), head[:4], head[8:]) != checksum:
            raise Damaged("the header's checksum does not hold")
        version, kind, length = struct.unpack_from("<BBH", head, 8)
        compat, _, incompat, _ = struct.unpack_from("<IIII", head, 12)
        if version != 1 or length != HEADER_BYTES or incompat or kind > 2:
            raise Newer(f"a batch of version {version}, kind {kind}, features {incompat}")
        batch = Batch(
            position, kind, compat, *struct.unpack_from("<IIIIIII", head, 28),
            *struct.unpack_from("<QIII", head, 56), *struct.unpack_from("<QQqqq", head, 80))
        batch.check()
        if position + batch.stored_bytes > limit:
            raise Damaged("the batch reaches beyond the end")
        start = position + HEADER_BYTES
        batch.extension = data[start : start + batch.extension_bytes]
        start += batch.extension_bytes
        batch.body = data[start : start + batch.body_bytes]
        expected = crc32c(batch.extension) if batch.extension else 0
        if expected != batch.extension_crc:
            batch.defect = "the extension's checksum does not hold"
        elif zlib.crc32(batch.body) != batch.body_crc:
            batch.defect = "the body's checksum does not hold"
        return batch

    def check(self):
        rules = (
            self.extension_bytes <= EXTENSION_MAX and self.extension_bytes % 8 == 0,
            self.body_bytes <= BODY_MAX,
            self.raw_bytes <= RAW_MAX,
            self.entries <= ENTRIES_MAX and self.entries <= self.records,
            self.records <= self.raw_bytes // 4,
            self.records <= self.span and self.end < OFFSET_LIMIT,
            self.tombstones <= self.keyed <= self.records,
            self.kind == 0 or self.records == 0 == self.span,
            self.least <= self.greatest,
        )
        if not all(rules):
            raise Damaged(f"rule {rules.index(False)} of the header's numbers does not hold")

    def offset_table(self):
        table = sections(self.extension, {1, 2, 3, 4}, "batch extension").get(2, b"")
        return [row[0] for row in struct.iter_unpack("<I", table[: len(table) // 4 * 4])]

    def rows(self):
        """Each (offset, entry); an opaque sub-batch comes as (offset, head and bytes, True)."""
        table = self.offset_table()
        index = 0
        packed = bool(self.compat & 1)
        for data, count, opaque in body_rows(self.body, packed):
            relative = table[index] if index < len(table) else index
            yield self.first + relative, data, opaque
            index += count


def sub_batch(body, place):
    """(codec, records, raw length, packed bytes, end) of the sub-batch at a place, or None."""
    if place + 11 > len(body) or not body[place] & 0x80:
        return None
    first, count, raw, stored = struct.unpack_from(">BHII", body, place)
    if stored > len(body) - place - 11 or raw > RAW_MAX or not 0 < count <= raw // 4:
        return None
    return first >> 4 & 7, count, raw, body[place + 11 : place + 11 + stored], place + 11 + stored


def body_rows(body, unpacking):
    """Each (bytes, how many offsets, whether opaque) of a body."""
    place = 0
    while place < len(body):
        found = sub_batch(body, place)
        if found:
            codec, count, raw, packed, end = found
            if unpacking and codec in (0, 3):
                yield from body_rows(unpack(codec, raw, packed), False)
            else:
                yield body[place:end], count, True
            place = end
            continue
        if place + 4 > len(body):
            raise Damaged("the body ends inside an entry's length")
        (length,) = struct.unpack_from(">I", body, place)
        if length > len(body) - place - 4:
            raise Damaged(f"an entry has {length} bytes where {len(body) - place - 4} are left")
        yield body[place + 4 : place + 4 + length], 1, False
        place += 4 + length


def unpack(codec, raw, packed):
    if codec == 0:
        data = packed
    else:
        decompressor = lz4.frame.LZ4FrameDecompressor()
        try:
            data = decompressor.decompress(packed, max_length=raw + 1)
        except RuntimeError as error:
            raise Damaged(f"an LZ4 frame does not unpack: {error}") from error
        if not decompressor.eof or decompressor.unused_data:
            raise Damaged("an LZ4 frame is cut, or followed by more")
    if len(data) != raw:
        raise Damaged(f"a sub-batch unpacks to {len(data)} bytes where {raw} are declared")
    return data
