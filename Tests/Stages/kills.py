"""Kills commands with -9 in their middle, does them again, and holds what is there against what was.

usage: kills.py WEIR FOLDER ROUNDS SEED

A command is killed some time after it changed its first file (one that only looks: after it came up),
drawn anew each time within what it takes from there to its end. A round counts if it was killed then.
"""
import concurrent.futures
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time

weir, top, rounds, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
source, backups = os.path.join(top, "source"), os.path.join(top, "backups")


class Wrong(Exception):
    pass


def run(*arguments, store):
    done = subprocess.run(
        [weir, *arguments], capture_output=True, text=True, env={**os.environ, "WEIR_STORE": store})
    if done.returncode != 0:
        raise Wrong(f"{' '.join(arguments)} ends with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def append(lines):
    """Into the source, by a writer that is killed behind its acknowledgements: the next one seals
    the segment then."""
    writer = subprocess.Popen(
        [weir, "append", "s", "--format", "ndjson", "--batch", "10", "--acks", "--store", source],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    writer.stdin.write("".join(lines))
    writer.stdin.flush()
    acknowledged = 0
    while acknowledged < len(lines):
        ack = json.loads(writer.stdout.readline())
        acknowledged += ack["last"] - ack["first"] + 1
    writer.kill()
    writer.communicate()


def read(store, stream="s"):
    return run("read", stream, "--format", "json", store=store)


def copy(folder, target):
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns("reserve"))


def flip(path, place):
    with open(path, "r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1]))


def files(folder, of):
    """What `of` tells of each file, by its path."""
    found = {}
    for place, _, names in os.walk(folder):
        for path in (os.path.join(place, name) for name in names):
            try:
                found[path] = of(path)
            except FileNotFoundError:
                continue
    return found


def state(path):
    """What no change leaves as it is."""
    now = os.stat(path)
    return now.st_ino, now.st_size, now.st_mtime_ns


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).digest()


def kinds(folder):
    """How many files there are of each name, without what differs from run to run."""
    found = {}
    for path in files(folder, state):
        kind = re.sub("[0-9a-f]{16,}|[0-9][0-9TZ.:-]*", "#", os.path.relpath(path, folder))
        # Each writer that is killed leaves a segment: `verify` knows whether one is too many.
        if not kind.endswith(".segment"):
            found[kind] = found.get(kind, 0) + 1
    return found


class Trial:
    """A command: `start` makes what it works on, and `rest` holds what it leaves when it ends."""

    looks = False  # it changes no file
    target = "store"
    share = 1  # of the rounds
    spare = None  # the place where a run that was killed near its end leaves its files once more

    def __init__(self):
        self.folder = os.path.join(top, type(self).__name__)
        self.store = self.made = os.path.join(self.folder, self.target)
        self.pick = random.Random(f"{seed} {type(self).__name__}")
        self.attempts = self.met = 0
        os.makedirs(self.folder)

    def start(self):
        shutil.rmtree(self.made, ignore_errors=True)

    def ended(self):
        """It was not killed."""

    def judge(self):
        """Holds what a kill left, before the command is done again."""

    def rest(self):
        if read(self.store) != records:
            raise Wrong("other records")
        run("verify", "--deep", store=self.store)

    def begun(self, process, before):
        """Waits until it has changed a file, or has ended."""
        if self.looks:
            return self.ends(process, self.startup)
        while process.poll() is None and files(self.folder, state) == before:
            time.sleep(0.0002)

    def ends(self, process, seconds):
        """Whether it does within so long."""
        try:
            process.wait(seconds)
            return True
        except subprocess.TimeoutExpired:
            return False

    def killed(self):
        """Whether it was killed in time."""
        before = files(self.folder, state)
        process = subprocess.Popen(
            [weir, *self.command()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, env={**os.environ, "WEIR_STORE": self.store})
        self.begun(process, before)
        begin = time.monotonic()
        if self.ends(process, self.pick.uniform(0, self.middle)):
            # However long it took when it was measured: a machine that stood still then.
            self.middle = min(self.middle * 0.9, time.monotonic() - begin + 0.001)
            self.startup *= 0.95
        process.kill()
        said = process.communicate()[1]
        if process.returncode not in (0, -9):
            raise Wrong(f"it ends with {process.returncode}: {said}")
        return process.returncode == -9

    def measure(self):
        """How long it takes behind its startup, and what files it leaves."""
        begin = time.monotonic()
        run("--version", store="")
        self.startup = time.monotonic() - begin
        self.start()
        begin = time.monotonic()
        run(*self.command(), store=self.store)
        self.middle = max(time.monotonic() - begin - self.startup, 0.001)
        self.usual = kinds(self.folder)
        self.rest()

    def attempt(self):
        self.attempts += 1
        self.start()
        if not self.killed():
            return self.ended()
        self.middle *= 1.03
        self.met += 1
        self.judge()
        run(*self.command(), store=self.store)
        for kind, count in kinds(self.folder).items():
            most = self.usual.get(kind, 0)
            if self.spare and kind.startswith(self.spare):
                most *= 2
            if count > most:
                raise Wrong(f"{count} of {kind} are left where {most} belong")
        self.rest()

    def work(self):
        wanted = round(rounds * self.share)
        try:
            self.measure()
            while self.met < wanted and self.attempts < 20 * wanted + 100:
                self.attempt()
        except Wrong as wrong:
            return f"not ok {self}, seed {seed}, attempt {self.attempts}: {wrong}"
        is_enough = "ok" if self.met == wanted else "not ok"
        return f"{is_enough} {self}: {self.met} kills in its middle, of {self.attempts}"

    def __str__(self):
        return f"kill -9 of weir {' '.join(self.command()[:2])} ({type(self).__name__})"


class Export(Trial):
    share = 0.5
    target = "s.ndjson"

    def __init__(self):
        super().__init__()
        self.store = source

    def start(self):
        if os.path.exists(self.made):
            os.remove(self.made)

    def command(self):
        return ["export", "s", "-o", self.made, "--resume"]

    def judge(self):
        # Whole, then, and not written over.
        if os.path.exists(self.made):
            self.rest()
            os.remove(self.made)

    def rest(self):
        with open(self.made) as file:
            found = file.read()
        if found != records:
            raise Wrong("another file")
        with open(self.made + ".sha256") as file:
            line = file.read()
        if line != f"{hashlib.sha256(found.encode()).hexdigest()}  {self.target}\n":
            raise Wrong("another checksum beside the file")


class ExportArchive(Export):
    """Of a partitioned stream."""

    target = "p.archive"

    def command(self):
        return ["export", "p", "-o", self.made, "--resume"]

    def rest(self):
        # Each has an id of its own, so that the files differ.
        store = os.path.join(self.folder, "store")
        run("import", "p", self.made, store=store)
        if read(store, "p") != parts:
            raise Wrong("another archive")
        shutil.rmtree(store)


class Import(Trial):
    share = 0.5

    def command(self):
        return ["import", "s", os.path.join(top, "s.csv")]


class ImportArchive(Trial):
    """Of a partitioned stream."""

    share = 0.5

    def command(self):
        return ["import", "p", os.path.join(top, "p.archive")]

    def rest(self):
        if read(self.store, "p") != parts:
            raise Wrong("other records")
        run("verify", "--deep", store=self.store)


class CopyWithin(Trial):
    share = 0.5

    def start(self):
        copy(source, self.store)

    def command(self):
        return ["copy", "s", "t"]

    def rest(self):
        if read(self.store, "t") != records:
            raise Wrong("other records")
        super().rest()


class CopyAway(Trial):
    share = 0.5

    def command(self):
        return ["copy", "s", "s", "--store", source, "--to-store", self.store]


class Backup(Trial):
    """Upon an earlier one, which stays whole."""

    target = "backups"
    spare = "backups/snapshots/"

    def __init__(self):
        super().__init__()
        self.store = source

    def start(self):
        copy(backups, self.made)

    def command(self):
        return ["backup", self.made]

    def judge(self):
        restored = os.path.join(self.folder, "restored")
        run("restore", self.made, restored, "--snapshot", snapshot, store="")
        if read(restored) != earlier:
            raise Wrong("the earlier snapshot has other records")
        shutil.rmtree(restored)

    def rest(self):
        restored = os.path.join(self.folder, "restored")
        run("restore", self.made, restored, store="")
        if read(restored) != records:
            raise Wrong("other records")
        shutil.rmtree(restored)


class Restore(Trial):
    def command(self):
        return ["restore", backups, self.store]

    def judge(self):
        # There is none, or it is whole; and a whole one is not overwritten.
        if os.path.exists(self.store):
            self.rest()
            shutil.rmtree(self.store)

    def rest(self):
        if read(self.store) != earlier:
            raise Wrong("other records")
        run("verify", "--deep", store=self.store)


class Trim(Trial):
    """A segment goes, or a part of one, at each."""

    share, goal = 0.5, 600

    def start(self):
        self.old = self.goal
        if self.old > 450:
            copy(source, self.store)
            self.old = 0
        self.goal = self.old + self.pick.randrange(20, 140)

    def command(self):
        return ["trim", "s", "--before", f"offset:{self.goal}"]

    def judge(self):
        self.expect(self.old, self.goal)

    def expect(self, *firsts):
        found = read(self.store)
        if found not in ("".join(lines[first:]) for first in firsts):
            raise Wrong(f"it begins with {found[:30]} where {firsts} is expected, or has a gap")

    def rest(self):
        self.expect(self.goal)
        run("verify", "--deep", store=self.store)


class Retention(Trim):
    goal = 360

    def start(self):
        copy(os.path.join(top, "policy"), self.store)

    def command(self):
        return ["trim", "s"]

    def judge(self):
        self.expect(0, 100, 200, self.goal)


class Config(Trial):
    number = 0

    def start(self):
        self.number += 1
        if self.number == 1:
            copy(source, self.store)

    def command(self):
        return ["config", "s", "set", f"linger={self.number}", f"retention.age={self.number}d"]

    def setting(self):
        found = json.loads(run("config", "s", "get", "--json", store=self.store))
        return found["linger"], found["retention.age"]

    def judge(self):
        found = self.setting()
        if found not in (self.of(self.number), self.old):
            raise Wrong(f"the settings are {found}, which is neither {self.old} nor {self.number}")

    def of(self, number):
        return str(number), f"{number * 86400}s"

    def rest(self):
        self.ended()
        if self.setting() != self.old:
            raise Wrong(f"the settings are {self.setting()}")
        super().rest()

    def ended(self):
        self.old = self.of(self.number)


class Verify(Trial):
    looks = True

    def start(self):
        if not os.path.exists(self.store):
            copy(source, self.store)
            self.wanted = files(self.store, digest)

    def command(self):
        return ["verify", "--deep"]

    def rest(self):
        if files(self.store, digest) != self.wanted:
            raise Wrong("it changes a file")


class IndexCheck(Verify):
    def command(self):
        return ["index", "check", "--all"]


class IndexRebuild(Trial):
    def start(self):
        if not os.path.exists(self.store):
            copy(source, self.store)

    def command(self):
        return ["index", "rebuild"]

    def rest(self):
        run("index", "check", "--all", store=self.store)
        if read(self.store) != records:
            raise Wrong("other records")


class Repair(Trial):
    spare = "store/repair-"

    def start(self):
        copy(os.path.join(top, "bad"), self.store)

    def command(self):
        return ["repair", "--apply"]


def prepare():
    """The source, of six segments, and what is made of it."""
    run("create", "s", store=source)
    append(written[:300])
    run("backup", backups, store=source)
    for place in range(300, len(written), 60):
        append(written[place:place + 60])
    run("append", "s", os.devnull, store=source)
    run("create", "p", "--partitions", "3", store=source)
    text = os.path.join(top, "text")
    with open(text, "w") as file:
        file.writelines(written)
    run("append", "p", text, "--format", "ndjson", "--batch", "10", store=source)
    run("export", "s", "-o", os.path.join(top, "s.csv"), store=source)
    run("export", "p", "-o", os.path.join(top, "p.archive"), store=source)
    policy, bad = os.path.join(top, "policy"), os.path.join(top, "bad")
    copy(source, policy)
    run("config", "s", "set", "retention.records=200", store=policy)
    copy(source, bad)
    os.remove(os.path.join(bad, "EPOCHS"))
    # The marker of a close, behind all records: it goes with the stream that is put in order.
    segment = min(path for path in files(bad, state) if path.endswith(".segment"))
    flip(segment, os.path.getsize(segment) - 40)
    flip(os.path.join(os.path.dirname(segment), "MANIFEST"), 60)
    with open(os.path.join(os.path.dirname(segment), "notes.txt"), "w") as file:
        file.write("hello")


written = [
    '{"key":"","value":""}\n', '{"key":"gone","value":null}\n',
    '{"keyBase64":"/w==","valueBase64":"AP8NCiwi","time":"2001-02-03T04:05:06.789Z"}\n',
    *(f'{{"key":"k{n % 97}","value":"v{n}","headers":{{"n":{n}}}}}\n' for n in range(3, 600))]
prepare()
records, parts = read(source), read(source, "p")
lines = records.splitlines(keepends=True)
earlier = "".join(lines[:300])
snapshot = run("backup", backups, "--list", store="").splitlines()[-1].split()[0]
with concurrent.futures.ThreadPoolExecutor(os.cpu_count() + 1) as pool:
    for told in pool.map(lambda trial: trial().work(), (
            ExportArchive, ImportArchive, Backup, IndexRebuild, Repair, Trim, Retention, Restore,
            CopyWithin, CopyAway, Config, Export, Import, Verify, IndexCheck)):
        print(told, flush=True)
