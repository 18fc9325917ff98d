"""Keys for a partitioned stream, and where they have to be: a second opinion by mmh3.

    partition-keys.py make                      records as NDJSON: text of many kinds, and bytes
    partition-keys.py check COUNT               what `weir read --format json` prints of a partitioned
                                                stream: every key in its partition, each record once
    partition-keys.py merge FILE...             the files' records, merged as `weir read` merges them
    partition-keys.py rstream COUNT             what `weir read --format json` prints, every key where
                                                rstream's routing by key sends it
    partition-keys.py elsewhere                 keys of eleven that rstream's own hash sends
                                                to another partition of three
    partition-keys.py kept                      the route of a second key, by rstream's own metadata
"""

import asyncio
import base64
import json
import sys

import mmh3
from rstream import superstream

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


class Bound(superstream.Metadata):
    """A super stream whose partitions have their numbers as binding keys."""

    def __init__(self, count: int) -> None:
        self.count = count

    async def partitions(self) -> list[str]:
        return [str(number) for number in range(self.count)]

    async def routes(self, routing_key: str) -> list[str]:
        return [name for name in await self.partitions() if name == routing_key]


async def rstream(count: int) -> None:
    async def number(record: dict) -> int:
        return partition(key_of(record), count)

    strategy = superstream.RoutingKeyRoutingStrategy(number)
    for line in sys.stdin:
        record = json.loads(line)
        chosen = await strategy.route(record, Bound(count))
        found = record["stream"].rpartition("-")[2]
        assert chosen == [found], f"rstream sends {key_of(record)!r} to {chosen}; it is in {found}"


async def elsewhere() -> int:
    async def itself(message: str) -> str:
        return message

    strategy = superstream.HashRoutingMurmurStrategy(itself)
    moved = 0
    for number in [*range(1, 11), 88]:
        key = f"hello{number}"
        moved += await strategy.route(key, Bound(3)) != [str(partition(key.encode(), 3))]
    return moved


async def kept() -> str:
    class Broker:
        async def route(self, routing_key: str, super_stream: str) -> list[str]:
            return [routing_key]

    metadata = superstream.DefaultSuperstreamMetadata("orders", Broker())
    await metadata.routes("0")
    return (await metadata.routes("1"))[0]


match sys.argv[1:]:
    case ["make"]:
        make()
    case ["check", count]:
        check(int(count))
    case ["merge", *paths]:
        merge(paths)
    case ["rstream", count]:
        asyncio.run(rstream(int(count)))
    case ["kept"]:
        print(asyncio.run(kept()))
    case ["elsewhere"]:
        print(asyncio.run(elsewhere()))
    case _:
        sys.exit(__doc__)
