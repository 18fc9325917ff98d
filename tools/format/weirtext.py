"""Records as lines of JSON, as `weir read --format json` prints them."""

import base64
import math
import re
import uuid

ESCAPES = {8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"}
SPECIAL = re.compile(r'[\x00-\x1f"\\]')


def string(text):
    def escape(match):
        code = ord(match[0])
        return ESCAPES.get(code, f"\\u{code:04x}")

    return '"' + SPECIAL.sub(escape, text) + '"'


def civil_date(days):
    """Year, month, day in the proleptic Gregorian calendar, for any year."""
    era, day = divmod(days + 719_468, 146_097)
    year = (day - day // 1460 + day // 36_524 - day // 146_096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    day += 1 - (153 * month + 2) // 5
    month += 3 if month < 10 else -9
    return year + era * 400 + (month <= 2), month, day


def time(microseconds):
    second, fraction = divmod(microseconds, 1_000_000)
    days, second = divmod(second, 86_400)
    year, month, day = civil_date(days)
    sign = "-" if year < 0 else ""
    text = f"{sign}{abs(year):04}-{month:02}-{day:02}T"
    text += f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
    if fraction % 1000:
        text += f".{fraction:06}"
    elif fraction:
        text += f".{fraction // 1000:03}"
    return text + "Z"


def shortest(number):
    """The shortest decimal; with an exponent below 1e-4 and above 2^53."""
    text = repr(number)
    if 2.0**53 < abs(number) < 1e16:
        digits = text.lstrip("-").removesuffix(".0")
        fraction = digits[1:].rstrip("0") or "0"
        return f"{'-' if number < 0 else ''}{digits[0]}.{fraction}e+{len(digits) - 1}"
    return text


def double(number):
    if math.isnan(number):
        return '{"double":"nan"}'
    if math.isinf(number):
        return '{"double":"inf"}' if number > 0 else '{"double":"-inf"}'
    return '{"double":%s}' % shortest(number) if number == int(number) else shortest(number)


def header(kind, value):
    if kind == "null":
        return "null"
    if kind == "bool":
        return "true" if value else "false"
    if kind == "int" or kind == "unsigned" and value < 1 << 63:
        return str(value)
    if kind == "unsigned":
        return '{"unsigned":"%d"}' % value
    if kind == "double":
        return double(value)
    if kind == "timestamp":
        micros = max(-(1 << 63), min((1 << 63) - 1, value * 1000))
        return '{"timestamp":"%s"}' % time(micros)
    if kind == "uuid":
        return '{"uuid":"%s"}' % uuid.UUID(bytes=value)
    if kind == "bytes":
        return '{"base64":"%s"}' % base64.b64encode(value).decode()
    return '{"symbol":%s}' % string(value) if kind == "symbol" else string(value)


def member(name, octets):
    try:
        return f'"{name}":{string(octets.decode())}'
    except UnicodeDecodeError:
        return f'"{name}Base64":"{base64.b64encode(octets).decode()}"'


def record(offset, append_time, found, stream=""):
    parts = [f'"stream":{string(stream)}'] if stream else []
    parts += [
        f'"offset":{offset}',
        f'"time":"{time(append_time if found.time is None else found.time)}"',
    ]
    if found.key is not None:
        parts.append(member("key", found.key))
    if found.headers:
        rows = (f"{string(name)}:{header(*value)}" for name, value in found.headers)
        parts.append('"headers":{' + ",".join(rows) + "}")
    parts.append('"value":null' if found.value is None else member("value", found.value))
    return "{" + ",".join(parts) + "}"
