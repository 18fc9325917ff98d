"""Runs the engines interleaved, compares what they stored, prints medians side by side."""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ENGINES = ["weir", "lmdb", "sqlite", "rocksdb", "bare"]
# Workload: records, and which engines take part.
WORKLOADS = {
    "append100": (2_000_000, ENGINES),
    "appendKeyed": (1_000_000, ["weir", "lmdb"]),
    "append1k": (300_000, ["weir", "lmdb", "bare"]),
    "replay100": (0, ENGINES),
    "durable1": (3_000, ENGINES),
    "durable256": (200_000, ["weir"]),
}


def command(engine, workload, folder, records):
    binaries = os.environ["WEIR_BENCH_BIN"]
    if engine == "weir":
        return [binaries + "/weir-bench-peers", workload, "--dir", folder, "--records", str(records)]
    if engine == "bare":
        return [binaries + "/weir-bench-bare", workload, "--dir", folder, "--records", str(records)]
    return [".build-peers/peers", engine, workload, folder, str(records)]


def warm(folder):
    """Has the kernel hold memory that was touched: a virtual machine gets the first touch of a page
    from its host, many times slower than any engine writes. The same for every engine."""
    path = os.path.join(folder, "warm")
    chunk = bytes(1 << 20)
    with open(path, "wb", buffering=0) as file:
        for _ in range(768):
            file.write(chunk)
    os.remove(path)


def run(engine, workload, folder, records):
    # What the one before left dirty would be written back in this one's time.
    os.sync()
    if workload.startswith("append"):
        warm(folder)
    done = subprocess.run(
        command(engine, workload, folder, records), capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{engine} failed at {workload}: {done.stderr.strip() or done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def one_round(base, scale, results):
    """Every workload, engine after engine; what append100 left is replayed and compared."""
    for workload, (records, engines) in WORKLOADS.items():
        digests = {}
        for engine in engines:
            folder = os.path.join(base, f"{engine}-append100" if workload in ("append100", "replay100")
                                  else f"{engine}-{workload}")
            if workload != "replay100":
                shutil.rmtree(folder, ignore_errors=True)
                os.makedirs(folder)
            count = max(1000, int(records * scale) // 1000 * 1000)
            results.setdefault((workload, engine), []).append(
                run(engine, workload, folder, count)["recordsPerSecond"])
            if workload == "replay100" and engine != "bare":
                found = run(engine, "verify", folder, count)
                digests[engine] = (found["records"], found["digest"])
            if workload not in ("append100", "replay100"):
                shutil.rmtree(folder, ignore_errors=True)
        if len(set(digests.values())) > 1:
            sys.exit(f"The engines hold different records after append100: {digests}")
    for name in os.listdir(base):
        shutil.rmtree(os.path.join(base, name))


def table(medians):
    lines = ["workload      " + "".join(f"{engine:>14}" for engine in ENGINES)
             + "   Weir against"]
    for workload, (_, engines) in WORKLOADS.items():
        row = f"{workload:<14}"
        for engine in ENGINES:
            value = medians.get((workload, engine))
            row += f"{value:>14,}" if value else f"{'-':>14}"
        ours = medians[(workload, "weir")]
        ratios = [f"{engine} {ours / medians[(workload, engine)]:.2f}"
                  for engine in engines if engine != "weir"]
        lines.append(row + "   " + ", ".join(ratios))
    return "\n".join(lines)


def print_memory(base):
    free = shutil.disk_usage(base or tempfile.gettempdir()).free
    if free < 12 << 30:
        sys.exit(f"{free >> 20} MiB are free; make 12 GiB of room, or give another folder by --dir.")
    with tempfile.TemporaryDirectory(dir=base) as folder:
        found = run("weir", "memory", folder, (8 << 30) // 1024 // 1000 * 1000)
    print(f"8 GiB: appending takes {found['appendKiB'] / 1024:.1f} MiB of heap, "
          f"replaying {found['replayKiB'] / 1024:.1f} MiB; at most 64 are allowed")


def print_tail(base, weir, lines=500):
    """From a line at the writer's input to the same line at the output of `tail -f` elsewhere."""
    with tempfile.TemporaryDirectory(dir=base) as folder:
        store = ["--store", os.path.join(folder, "store")]
        subprocess.run([weir, "create", "s", *store], check=True)
        # A line goes when the input pauses for 10 ms, or when its batch is full: one line is one.
        writer = subprocess.Popen(
            [weir, "append", "s", "-", "--batch", "1", *store], stdin=subprocess.PIPE)
        reader = subprocess.Popen(
            [weir, "tail", "-f", "s", *store], stdout=subprocess.PIPE)
        taken = []
        for number in range(lines + 20):
            line = b"line %d\n" % number
            start = time.perf_counter()
            writer.stdin.write(line)
            writer.stdin.flush()
            while reader.stdout.readline() != line:
                pass
            if number >= 20:
                taken.append((time.perf_counter() - start) * 1000)
            time.sleep(0.002)
        writer.stdin.close()
        writer.wait()
        reader.terminate()
        reader.wait()
    taken.sort()
    print(f"tail -f, a durable line in one process to a line out of another, {lines} lines: "
          f"median {taken[lines // 2]:.2f} ms, 99 of 100 within {taken[lines * 99 // 100]:.2f} ms, "
          f"all within {taken[-1]:.2f} ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds, after a discarded one")
    parser.add_argument("--quick", action="store_true", help="a tenth of the records, two rounds")
    parser.add_argument("--dir", help="where the stores are made; at least 4 GiB free")
    parser.add_argument("--memory", action="store_true",
                        help="instead: the heap that appending and replaying 8 GiB takes")
    parser.add_argument("--tail", action="store_true",
                        help="instead: how long a line takes from a writer to a follower")
    parser.add_argument("--json", help="also write the medians and all runs here")
    options = parser.parse_args()
    rounds, scale = (2, 0.1) if options.quick else (options.rounds, 1)
    if options.tail:
        return print_tail(options.dir, os.environ["WEIR_BENCH_WEIR"])
    if options.memory:
        return print_memory(options.dir)
    free = shutil.disk_usage(options.dir or tempfile.gettempdir()).free
    if free < 4 << 30:
        sys.exit(f"{free >> 20} MiB are free; make 4 GiB of room, or give another folder by --dir.")
    results = {}
    with tempfile.TemporaryDirectory(dir=options.dir) as base:
        for index in range(rounds + 1):
            print(f"round {index} of {rounds}" + (" (discarded)" if index == 0 else ""),
                  file=sys.stderr)
            current = {}
            one_round(base, scale, current)
            if index > 0:
                for key, values in current.items():
                    results.setdefault(key, []).extend(values)
    medians = {key: int(statistics.median(values)) for key, values in results.items()}
    print(f"records a second, medians of {rounds} interleaved rounds; read back and compared\n")
    print(table(medians))
    if options.json:
        with open(options.json, "w") as file:
            json.dump([{"workload": w, "engine": e, "median": medians[(w, e)], "runs": runs}
                       for (w, e), runs in results.items()], file, indent=1)


main()
