"""What an entry is: AMQP 1.0 as far as Docs/FORMAT.md gives it a meaning."""

import struct
from dataclasses import dataclass, field

DEPTH_MAX = 16
WIDTHS = {4: 0, 5: 1, 6: 2, 7: 4, 8: 8, 9: 16}
I64 = range(-(1 << 63), 1 << 63)


class Malformed(Exception):
    pass


@dataclass
class Record:
    shape: str
    value: bytes | None
    key: bytes | None = None
    time: int | None = None
    headers: list = field(default_factory=list)


class Hand:
    """A place in encoded values, and an end that it never passes."""

    def __init__(self, data, place=0, end=None):
        self.data, self.place = data, place
        self.end = len(data) if end is None else end

    @property
    def left(self):
        return self.end - self.place

    def take(self, count):
        if count > self.left:
            raise Malformed
        self.place += count
        return self.data[self.place - count : self.place]

    def number(self, form):
        return struct.unpack(">" + form, self.take(struct.calcsize(form)))[0]

    def skip(self, depth=0):
        if depth > DEPTH_MAX:
            raise Malformed
        self.skip_octets(self.number("B"), depth)

    def skip_octets(self, constructor, depth):
        upper = constructor >> 4
        if upper in WIDTHS:
            self.take(WIDTHS[upper])
        elif constructor == 0:
            self.skip(depth + 1)
            self.skip(depth + 1)
        elif upper in (0xA, 0xB):
            self.take(self.number("B" if upper == 0xA else "I"))
        elif upper in (0xC, 0xD):
            count, items = self.compound("B" if upper == 0xC else "I")
            for _ in range(count):
                items.skip(depth + 1)
            items.expect_end()
        elif upper in (0xE, 0xF):
            self.skip_array("B" if upper == 0xE else "I", depth)
        else:
            raise Malformed

    def compound(self, form):
        size = self.number(form)
        start = self.place
        self.take(size)
        items = Hand(self.data, start, self.place)
        count = items.number(form)
        if count > items.left:
            raise Malformed
        return count, items

    def skip_array(self, form, depth):
        if depth >= DEPTH_MAX:
            raise Malformed
        size = self.number(form)
        start = self.place
        self.take(size)
        items = Hand(self.data, start, self.place)
        count, constructor = items.number(form), items.number("B")
        if constructor == 0:
            items.skip(depth + 1)
            constructor = items.number("B")
        if constructor >> 4 == 0:
            raise Malformed
        if constructor >> 4 == 4:
            return items.expect_end()
        if count > items.left:
            raise Malformed
        for _ in range(count):
            items.skip_octets(constructor, depth + 1)
        return items.expect_end()

    def expect_end(self):
        if self.left:
            raise Malformed

    def octets(self):
        """The octets of a string, symbol or binary; None, and nothing consumed, of another."""
        constructor = self.number("B")
        if constructor in (0xA0, 0xA1, 0xA3):
            return self.take(self.number("B"))
        if constructor in (0xB0, 0xB1, 0xB3):
            return self.take(self.number("I"))
        self.place -= 1
        return None

    def map(self):
        constructor = self.number("B")
        if constructor not in (0xC1, 0xD1):
            raise Malformed
        count, items = self.compound("B" if constructor == 0xC1 else "I")
        if count % 2:
            raise Malformed
        return count // 2, items

    def encoding(self):
        start = self.place
        self.skip()
        return self.data[start : self.place]


def simple(encoding):
    """(type, value) of an encoded simple value; None of any other."""
    constructor, rest = encoding[0], encoding[1:]
    fixed = {
        0x50: ("unsigned", "B"), 0x52: ("unsigned", "B"), 0x53: ("unsigned", "B"),
        0x60: ("unsigned", "H"), 0x70: ("unsigned", "I"), 0x80: ("unsigned", "Q"),
        0x51: ("int", "b"), 0x54: ("int", "b"), 0x55: ("int", "b"), 0x61: ("int", "h"),
        0x71: ("int", "i"), 0x81: ("int", "q"), 0x72: ("double", "f"), 0x82: ("double", "d"),
        0x83: ("timestamp", "q"),
    }
    if constructor in fixed:
        kind, form = fixed[constructor]
        return kind, struct.unpack(">" + form, rest)[0]
    if constructor in (0x40, 0x41, 0x42):
        return {0x40: ("null", None), 0x41: ("bool", True), 0x42: ("bool", False)}[constructor]
    if constructor == 0x56:
        return "bool", rest[0] != 0
    if constructor in (0x43, 0x44):
        return "unsigned", 0
    if constructor == 0x73:
        (scalar,) = struct.unpack(">I", rest)
        fits = scalar < 0xD800 or 0xE000 <= scalar < 0x110000
        return ("string", chr(scalar)) if fits else None
    if constructor == 0x98:
        return "uuid", rest
    lengths = {0xA0: "bytes", 0xA1: "string", 0xA3: "symbol"}
    kind = lengths.get(constructor & 0xEF | 0xA0) if constructor >> 4 in (0xA, 0xB) else None
    if kind is None:
        return None
    octets = rest[1:] if constructor >> 4 == 0xA else rest[4:]
    return kind, octets if kind == "bytes" else octets.decode(errors="replace")


def decode(entry):
    """The record that an entry is."""
    try:
        return Message(entry).record()
    except Malformed:
        return Record("raw", entry)


class Message:
    def __init__(self, entry):
        self.entry = entry
        self.key = self.annotated = self.created = None
        self.headers, self.bodies = [], []
        hand = Hand(entry)
        while hand.left:
            self.section(hand)
        if not self.bodies:
            raise Malformed

    def record(self):
        shape, value = self.bodies[0] if len(self.bodies) == 1 else ("other", None)
        if shape == "tombstone" and self.key is None:
            shape = "other"
        if shape == "other":
            value = self.entry
        time = self.created if self.annotated is None else self.annotated
        return Record(shape, value, self.key, time, self.headers)

    def section(self, hand):
        if hand.number("B") != 0:
            raise Malformed
        form = {0x53: "B", 0x80: "Q"}.get(hand.number("B"))
        if form is None:
            raise Malformed
        code = hand.number(form)
        readers = {
            0x72: self.annotations, 0x73: self.properties, 0x74: self.application,
            0x75: self.data, 0x77: self.value,
        }
        if code in readers:
            readers[code](hand)
        elif code in (0x70, 0x71, 0x76, 0x78):
            hand.skip()
            if code == 0x76:
                self.bodies.append(("other", None))
        else:
            raise Malformed

    def annotations(self, hand):
        count, items = hand.map()
        for _ in range(count):
            name = items.octets()
            if name is None:
                items.skip()
            if name == b"x-opt-partition-key" and self.key is None:
                octets = items.octets()
                self.key = items.encoding() if octets is None else octets
                continue
            encoding = items.encoding()
            if name == b"x-opt-weir-time":
                found = simple(encoding)
                if found and found[0] == "int":
                    self.annotated = found[1]
        items.expect_end()

    def properties(self, hand):
        encoding = hand.encoding()
        if encoding[0] == 0x45:
            return
        if encoding[0] not in (0xC0, 0xD0):
            raise Malformed
        count, items = Hand(encoding, 1).compound("B" if encoding[0] == 0xC0 else "I")
        if count > 9:
            for _ in range(9):
                items.skip()
            found = simple(items.encoding())
            if found and found[0] == "timestamp" and self.created is None:
                self.created = max(I64[0], min(I64[-1], found[1] * 1000))

    def application(self, hand):
        count, items = hand.map()
        headers = []
        for _ in range(count):
            name = items.octets()
            if name is None:
                raise Malformed
            value = simple(items.encoding())
            if value is not None:
                headers.append((name.decode(errors="replace"), value))
        items.expect_end()
        self.headers = headers

    def data(self, hand):
        octets = hand.octets()
        if octets is None:
            raise Malformed
        self.bodies.append(("value", octets))

    def value(self, hand):
        octets = hand.octets()
        if octets is not None:
            self.bodies.append(("value", octets))
        elif hand.encoding() == b"\x40":
            self.bodies.append(("tombstone", None))
        else:
            self.bodies.append(("other", None))
