"""Plays a scene of compaction and prints a line of JSON a figure; see tools/bench-compact."""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

BINARIES = os.environ["WEIR_BENCH_BIN"]
BENCH = BINARIES + "/weir-bench-index"
WEIR = BINARIES + "/weir"
# Room that a scene needs for each record, in bytes: what is written, and what compaction adds.
ROOM = {"keys": 320, "passes": 640, "dead": 320, "foreground": 900, "peers": 700}


def figure(scene, name, value, unit, target=""):
    print(json.dumps({"scene": scene, "figure": name, "value": round(value, 2), "unit": unit,
                      "target": target}), flush=True)


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed: {done.stderr.strip() or done.returncode}")
    return done.stdout


def fields(path):
    with open(path) as file:
        return dict(line.rstrip().split(":", 1) for line in file)


def watch(*command):
    """Runs a command and says how long it took by the clock and of the processor's time, how much
    memory of its own it had at most (pages of files that it maps are the system's), and how much it
    wrote."""
    os.sync()
    before = processor_seconds()
    start = time.perf_counter()
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True)
    output = []
    reader = threading.Thread(target=lambda: output.append(process.stdout.read()))
    reader.start()
    peak = 0
    # Not reaped before its counters are read.
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        found = fields(f"/proc/{process.pid}/status").get("RssAnon", "0 kB")
        peak = max(peak, int(found.split()[0]))
        time.sleep(0.005)
    seconds = time.perf_counter() - start
    written = int(fields(f"/proc/{process.pid}/io")["write_bytes"])
    reader.join()
    if process.wait() != 0:
        sys.exit(f"{' '.join(map(str, command))} failed with {process.returncode}")
    return {"seconds": seconds, "processor": processor_seconds() - before, "MiB": peak / 1024,
            "written": written, "output": output[0]}


def processor_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def size(folder):
    return sum(os.lstat(os.path.join(parent, name)).st_blocks * 512
               for parent, _, names in os.walk(folder) for name in names)


def fill(folder, records, pattern, lag=86_400):
    shutil.rmtree(folder, ignore_errors=True)
    run(BENCH, "compact-fill", "--dir", folder, "--records", records, *pattern, "--lag", lag)


def compact(folder, *words):
    """The report of `weir compact`, with the memory that it took."""
    found = watch(WEIR, "compact", "compacted", "--json", *words, "--store", folder)
    report = json.loads(found["output"])
    report = report[0] if isinstance(report, list) else report
    report["rate"] = report["bytesBefore"] / 1e6 / (report["milliseconds"] / 1000)
    report["amplification"] = report["bytesWritten"] / report["bytesBefore"]
    # What remains where others use the machine meanwhile.
    report["processorRate"] = report["bytesBefore"] / 1e6 / found["processor"]
    return report | {"MiB": found["MiB"]}


def check(folder, records, pattern):
    """Fails if anything else is kept than what a dictionary keeps."""
    return json.loads(
        run(BENCH, "compact-check", "--dir", folder, "--records", records, *pattern))


def keys(base, options):
    pattern = ["--random", options.records // 10]
    reports = []
    for number in range(options.rounds + 1):
        folder = os.path.join(base, "store")
        fill(folder, options.records, pattern)
        report = compact(folder, "--now")
        check(folder, options.records, pattern)
        if number > 0:
            reports.append(report)
    middle = {name: statistics.median(report[name] for report in reports)
              for name in ["rate", "processorRate", "amplification", "keys", "passes"]}
    figure("keys", "input compacted, median", middle["rate"], "MB/s", ">= 250")
    figure("keys", "the same, slowest", min(r["rate"] for r in reports), "MB/s")
    figure("keys", "the same by processor time, median", middle["processorRate"], "MB/s")
    figure("keys", "memory at most", max(r["MiB"] for r in reports), "MiB", "<= 256")
    figure("keys", "write amplification", middle["amplification"], "times")
    figure("keys", "keys", middle["keys"], "keys")
    figure("keys", "passes", middle["passes"], "passes")


def passes(base, options):
    records = options.records * 3 // 2
    pattern = ["--turns", options.records]
    folder = os.path.join(base, "store")
    fill(folder, records, pattern)
    report = compact(folder, "--now", "--map-bytes", "64MiB")
    kept = check(folder, records, pattern)["kept"]
    figure("passes", "passes", report["passes"], "passes", ">= 2")
    figure("passes", "input compacted", report["rate"], "MB/s")
    figure("passes", "memory at most", report["MiB"], "MiB", "<= 256")
    figure("passes", "records kept, as a dictionary does", kept, "records")


def dead(base, options):
    for percent, target in [(90, "<= 0.15"), (10, "<= 1.0")]:
        pattern = ["--dead", percent]
        folder = os.path.join(base, "store")
        if percent == 10:
            # Looked at as the policy says, which wants half of a segment to be superseded.
            fill(folder, options.records, pattern, lag=0)
            report = compact(folder)
            figure("dead", "segments rewritten by the policy, 10 % dead",
                   report["segmentsRewritten"], "segments", "0")
        else:
            fill(folder, options.records, pattern)
        report = compact(folder, "--now")
        check(folder, options.records, pattern)
        gone = report["recordsRemoved"] / report["recordsBefore"]
        figure("dead", f"records that went, {percent} % dead", gone * 100, "%")
        figure("dead", f"write amplification, {percent} % dead", report["amplification"], "times",
               target)
        figure("dead", f"input compacted, {percent} % dead", report["rate"], "MB/s")


def foreground(base, options):
    print(run(BENCH, "foreground", "--dir", os.path.join(base, "store"), "--records",
              options.records), end="")


def peers(base, options):
    pattern = ["--random", options.records // 10]
    runs = {}
    for number in range(options.rounds + 1):
        kept = {}
        for engine in ["weir", "rocksdb", "sqlite"]:
            folder = os.path.join(base, engine)
            shutil.rmtree(folder, ignore_errors=True)
            if engine == "weir":
                fill(folder, options.records, pattern)
                found = watch(WEIR, "compact", "compacted", "--now", "--store", folder)
                kept[engine] = check(folder, options.records, pattern)
            else:
                os.makedirs(folder)
                # Its sorter's files are written like all else.
                os.environ["SQLITE_TMPDIR"] = folder
                step = [".build-peers/compact", engine]
                rest = [folder, options.records, options.records // 10]
                run(*step, "fill", *rest)
                found = watch(*step, "compact", *rest)
                kept[engine] = json.loads(run(*step, "check", *rest))
            found["left"] = size(folder)
            shutil.rmtree(folder)
            if number > 0:
                runs.setdefault(engine, []).append(found)
        if len({(each["kept"], each["digest"]) for each in kept.values()}) > 1:
            sys.exit(f"The engines kept different records: {kept}")
    for engine, found in runs.items():
        for name, key, scale, unit in [
                ("time", "seconds", 1, "s"), ("processor time", "processor", 1, "s"),
                ("memory at most", "MiB", 1, "MiB"),
                ("bytes written", "written", 1e6, "MB"), ("bytes left", "left", 1e6, "MB")]:
            value = statistics.median(each[key] for each in found) / scale
            figure("peers", f"{engine}: {name}", value, unit)


SCENES = {"keys": keys, "passes": passes, "dead": dead, "foreground": foreground, "peers": peers}


def main():
    parser = argparse.ArgumentParser(prog="tools/bench-compact", description=__doc__)
    parser.add_argument("scene", choices=SCENES)
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3, help="measured, after a discarded one")
    parser.add_argument("--dir", help="an existing folder on the disk to measure")
    options = parser.parse_args()
    if options.records < 100_000 or options.rounds < 1:
        parser.error("at least 100000 records and one round, or the figures mean nothing")
    need = options.records * ROOM[options.scene]
    free = shutil.disk_usage(options.dir or tempfile.gettempdir()).free
    if free < need:
        sys.exit(f"{free >> 20} MiB are free; make {need >> 20} MiB of room, or give another "
                 "folder by --dir, or fewer --records.")
    with tempfile.TemporaryDirectory(dir=options.dir) as base:
        SCENES[options.scene](base, options)


main()
