"""Keys for a partitioned stream, and where they have to be: a second opinion by mmh3.

    partition-keys.py make                      records as NDJSON: text of many kinds, and bytes
    partition-keys.py check COUNT               what `weir read --format json` prints of a partitioned
                                                stream: every key in its partition, each record once
    partition-keys.py merge FILE...             the files' records, merged as `weir read` merges them
    partition-keys.py elsewhere                 keys of eleven that rstream's own strategy sends
                                                to another partition of three
"""

import asyncio
import base64
import json
import sys

import mmh3

SEED = 104729


def partition(key: bytes, count: int) -> int:
    return mmh3.hash(key, SEED, signed=False) % count


def keys() -> list[bytes]:
    texts = ["", " ", "a", "ab", "abc", "abcd", "abcde", "\0", "a\0b", "\n", "ключ", "鍵", "🔑", "é", "e\u0301"]
    texts += [f"order-{number}" for number in range(300)]
    texts += [f"größe {number} €" for number in range(100)]
    texts += ["x" * number for number in range(5, 70)]
    raw = [bytes([byte]) for byte in range(128, 256)]
    raw += [bytes((number * step) % 256 for number in range(step)) for step in range(3, 60)]
    return [text.encode() for text in texts] + raw


def make() -> None:
    for number, key in enumerate(keys()):
        try:
            named = {"key": key.decode()}
        except UnicodeDecodeError:
            named = {"keyBase64": base64.b64encode(key).decode()}
        print(json.dumps(named | {"value": str(number)}))


def key_of(record: dict) -> bytes:
    if "keyBase64" in record:
        return base64.b64decode(record["keyBase64"])
    return record["key"].encode()


def check(count: int) -> None:
    wanted = {str(number): key for number, key in enumerate(keys())}
    for line in sys.stdin:
        record = json.loads(line)
        key = wanted.pop(record["value"])
        assert key_of(record) == key, f"key {key_of(record)!r} where {key!r} was sent"
        found = int(record["stream"].rpartition("-")[2])
        expected = partition(key, count)
        assert found == expected, f"key {key!r} is in partition {found}; expected {expected}"
    assert not wanted, f"{len(wanted)} records are missing"


def merge(paths: list[str]) -> None:
    streams = []
    for path in paths:
        with open(path) as file:
            streams.append([(json.loads(line)["time"], line) for line in file])
    places = [0] * len(streams)
    while True:
        heads = [
            (stream[places[index]][0], index)
            for index, stream in enumerate(streams)
            if places[index] < len(stream)
        ]
        if not heads:
            return
        _, index = min(heads)
        print(streams[index][places[index]][1], end="")
        places[index] += 1


async def elsewhere() -> int:
    from rstream.superstream import HashRoutingMurmurStrategy

    class Three:
        async def partitions(self) -> list[str]:
            return ["0", "1", "2"]

    async def itself(message: str) -> str:
        return message

    strategy = HashRoutingMurmurStrategy(itself)
    moved = 0
    for number in [*range(1, 11), 88]:
        key = f"hello{number}"
        moved += await strategy.route(key, Three()) != [str(partition(key.encode(), 3))]
    return moved


match sys.argv[1:]:
    case ["make"]:
        make()
    case ["check", count]:
        check(int(count))
    case ["merge", *paths]:
        merge(paths)
    case ["elsewhere"]:
        print(asyncio.run(elsewhere()))
    case _:
        sys.exit(__doc__)
