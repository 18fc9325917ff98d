"""Holds the reader's view of a message against that of `rstream`, a client of the protocol."""

import math
import uuid

from rstream.amqp import amqp_decoder

KEY = b"x-opt-partition-key"


def differences(entry, found):
    """What the other decoder sees differently, in words."""
    try:
        message = amqp_decoder(entry)
    except Exception as error:  # whatever a foreign decoder throws is a difference
        yield f"rstream cannot decode it: {error!r}"
        return
    annotations = message.message_annotations or {}
    if not same_key(annotations.get(KEY), found):
        yield f"key {found.key!r}, and rstream reads {annotations.get(KEY)!r}"
    theirs = {
        name: value
        for name, value in (message.application_properties or {}).items()
        if not isinstance(value, (list, dict))
    }
    ours = {name.encode(): plain(*value) for name, value in found.headers}
    if not same(ours, theirs):
        yield f"headers {ours!r}, and rstream reads {theirs!r}"
    if found.shape == "value" and found.value not in (message.body, message.value):
        yield f"value {found.value!r}, and rstream reads {message.body or message.value!r}"
    if found.shape == "tombstone" and (message.body, message.value) != (None, None):
        yield f"a tombstone, and rstream reads {message.body or message.value!r}"


def same_key(theirs, found):
    # A key of another type is its encoding, which the other decoder does not show.
    return found.key == theirs or theirs is not None and not isinstance(theirs, bytes)


def plain(kind, value):
    """A header's value as rstream shows it: text and symbols as bytes, ids as UUIDs."""
    if kind in ("string", "symbol"):
        return value.encode()
    if kind == "uuid":
        return uuid.UUID(bytes=value)
    return value


def same(ours, theirs):
    if ours.keys() != theirs.keys():
        return False
    for name, value in ours.items():
        other = theirs[name]
        if isinstance(value, float) and math.isnan(value):
            if not math.isnan(other):
                return False
        elif value != other or type(value) is not type(other):
            return False
    return True
