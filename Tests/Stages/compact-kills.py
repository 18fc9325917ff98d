"""Kills `weir compact` with -9 at random moments, and holds what is left against a dictionary.

usage: compact-kills.py WEIR STORE ROUNDS SEED

A round counts if the command had not ended by itself.
"""
import json
import os
import random
import subprocess
import sys
import time

weir, store, rounds, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
os.environ["WEIR_STORE"] = store
pick = random.Random(seed)
appended = []  # (key, value) by offset
failures = []
interrupted = leftovers = 0


def run(*arguments, text=None):
    return subprocess.run([weir, *arguments], input=text, capture_output=True, text=True)


def append(count):
    lines = []
    for _ in range(count):
        key = None if pick.random() < 0.05 else f"key {pick.randrange(4000)}"
        value = None if key and pick.random() < 0.05 else f"{len(appended)}-" + "x" * pick.randrange(120)
        appended.append((key, value))
        lines.append(json.dumps({"key": key, "value": value} if key else {"value": value}))
    done = run("append", "s", "--format", "ndjson", text="\n".join(lines) + "\n")
    if done.returncode != 0:
        sys.exit(f"append: {done.stderr}")


def read():
    done = run("read", "s", "--format", "json")
    if done.returncode != 0 or done.stderr:
        failures.append(f"read ends with {done.returncode}: {done.stderr.strip()}")
    return {record["offset"]: record for record in map(json.loads, done.stdout.splitlines())}


def check(exactly):
    found = read()
    last = {key: offset for offset, (key, _) in enumerate(appended) if key}
    for offset, record in found.items():
        key, value = appended[offset]
        if record.get("key") != key or record.get("value") != value:
            failures.append(f"offset {offset} holds {record}")
        if key and last[key] not in found:
            failures.append(f"offset {offset} is there, and not the tombstone {last[key]} of its key")
    for offset, (key, value) in enumerate(appended):
        isKept = key is None or (last[key] == offset and value is not None)
        if isKept and offset not in found:
            failures.append(f"offset {offset} is gone")
        if exactly and not isKept and offset in found:
            failures.append(f"offset {offset} is still there")


run("create", "s", "--compact", "--compact-tombstones", "0", "--compression", "auto")
append(12000)
start = time.monotonic()
run("compact", "s", "--now")
whole = time.monotonic() - start  # of what is rewritten in a round, about
round = 0
while interrupted < rounds and round < 20 * rounds + 100:
    round += 1
    append(1500)
    process = subprocess.Popen(
        [weir, "compact", "s", "--now"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(whole * (0.2 + 0.8 * pick.random()))
    process.kill()
    isInterrupted = process.wait() != 0
    interrupted += isInterrupted
    # Soon enough, and as late as can be.
    whole *= 1.05 if isInterrupted else 0.85
    for folder, _, names in os.walk(store):
        leftovers += "compacting" in names
    check(exactly=False)
    if failures:
        break
if not failures:
    done = run("compact", "s", "--now")
    if done.returncode != 0:
        failures.append(done.stderr)
    check(exactly=True)
for failure in failures[:5]:
    print(f"seed {seed}, round {round}: {failure}", file=sys.stderr)
print(f"{interrupted} of {round} interrupted, {leftovers} in the middle of a new segment")
sys.exit(1 if failures or interrupted < rounds or leftovers == 0 else 0)
