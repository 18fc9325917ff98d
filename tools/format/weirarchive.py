"""Archives: what `weir export --format archive` writes, read from Docs/FORMAT.md alone."""

import struct

from weirbytes import HEADER_BYTES, Batch, Damaged, Newer, crc32c, sections

MAGIC, END_MAGIC = b"WEIRARC1", b"WEIRAEND"
HEAD_BYTES, HEAD_MAX, TRAILER_BYTES = 72, 64 << 10, 56
SERIES = 1


def rows(data):
    """Each (batch, offset, entry, whether opaque) that was asked for, of all partitions."""
    place, previous = 0, None
    while place < len(data) or previous is None or not previous.is_last:
        archive = Archive(data[place:])
        if not archive.follows(previous):
            raise Damaged(f"the archive at byte {place} may not stand there")
        for batch, *row in archive.rows():
            batch.stream = archive.name if archive.group else ""
            yield batch, *row
        place, previous = place + archive.byte_count, archive


def partition(configuration):
    """(index, count, group) of a stream that is one of several."""
    place = 0
    while place + 4 <= len(configuration):
        setting, length = struct.unpack_from("<HH", configuration, place)
        if setting == 8 and length >= 8:
            index, count = struct.unpack_from("<II", configuration, place + 4)
            return index, count, configuration[place + 12 : place + 4 + length]
        place += 4 + length
    raise Damaged("the archive's head does not say which partition it is of")


class Archive:
    """The head of an archive, or of one in a series, and a walk through its batches up to the trailer."""

    def __init__(self, data):
        self.data = data
        if data[:8] != MAGIC or len(data) < HEAD_BYTES:
            raise Damaged("the file does not begin like an archive")
        checksum, self.head_bytes, version = struct.unpack_from("<IIH", data, 8)
        if not HEAD_BYTES <= self.head_bytes <= min(HEAD_MAX, len(data)) or self.head_bytes % 8:
            raise Damaged(f"the archive's head claims {self.head_bytes} bytes")
        if crc32c(MAGIC, data[12 : self.head_bytes]) != checksum:
            raise Damaged("the checksum of the archive's head does not hold")
        incompat, self.id, self.store, _, self.first, self.end = struct.unpack_from("<IQQQQQ", data, 20)
        if version != 1 or incompat & ~SERIES:
            raise Newer(f"the archive has version {version}, features {incompat}")
        parts = sections(data[HEAD_BYTES : self.head_bytes], {1, 2}, "archive's head")
        if 1 not in parts:
            raise Damaged("the archive names no stream")
        self.name = parts[1].decode()
        self.index, self.count, self.group = 0, 1, None
        if incompat:
            self.index, self.count, self.group = partition(parts.get(2, b""))

    @property
    def is_last(self):
        return self.index + 1 == self.count

    def follows(self, previous):
        """Whether it may stand behind that archive, or at the beginning."""
        if previous is None:
            return self.index == 0
        place = (previous.store, previous.group, previous.count, previous.index + 1)
        return not previous.is_last and (self.store, self.group, self.count, self.index) == place

    def batches(self):
        """Each batch; raises `Damaged` where the archive is cut or altered."""
        place, count, records, end = self.head_bytes, 0, 0, self.first
        while self.data[place : place + 8] != END_MAGIC:
            if place + HEADER_BYTES > len(self.data):
                raise Damaged(f"the archive ends at byte {len(self.data)} without a trailer")
            batch = Batch.decode(self.data, place, self.id, len(self.data))
            if batch.defect:
                raise Damaged(f"the batch at byte {place}: {batch.defect}")
            if batch.kind != 0 or count and batch.first < end:
                raise Damaged(f"the batch at byte {place} may not stand there")
            yield batch
            place += batch.stored_bytes
            count, records, end = count + 1, records + batch.records, batch.end
        self.check_trailer(place, (count, records, end, place))

    def check_trailer(self, place, expected):
        self.byte_count = place + TRAILER_BYTES
        if len(self.data) < self.byte_count:
            raise Damaged(f"the trailer at byte {place} is cut")
        checksum, of_all = struct.unpack_from("<II", self.data, place + 8)
        if crc32c(END_MAGIC, self.data[place + 12 : self.byte_count]) != checksum:
            raise Damaged("the trailer's checksum does not hold")
        if struct.unpack_from("<QQQQ", self.data, place + 16) != expected:
            raise Damaged("the trailer counts other batches, records or bytes")
        if crc32c(self.data[:place]) != of_all:
            raise Damaged("the checksum of the whole archive does not hold")

    def rows(self):
        """Each (batch, offset, entry, whether opaque) that was asked for."""
        for batch in self.batches():
            for offset, entry, opaque in batch.rows():
                if self.first <= offset < self.end:
                    yield batch, offset, entry, opaque
