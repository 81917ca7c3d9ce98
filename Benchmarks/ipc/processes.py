"""The processes of a measurement: how they are started, what they use, and what they leave behind."""
import array
import contextlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "faults")]
from server import Server  # noqa: E402

PATIENCE = 180
CPUS = sorted(os.sched_getaffinity(0))


class Context:
    """Where the programs are, where raw samples go, and how much is to be measured."""

    def __init__(self, arguments):
        self.programs = Path(arguments.programs).resolve()
        self.short = arguments.short
        self.rounds = arguments.rounds or (3 if arguments.short else 7)
        self.minutes = arguments.minutes
        self.model = arguments.model
        self.raw = Path(arguments.raw)
        self.raw.mkdir(parents=True, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix="apus-ipc-"))
        self.node = shutil.which("node")

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def socket(self):
        path = self.folder / "door"
        path.unlink(missing_ok=True)
        return str(path)

    def samples(self, name):
        return str(self.raw / f"{name}.bin")

    def start(self, role, cpus=None, **options):
        words = [str(self.programs / "apus-benchmarks"), "ipc", role]
        for name, value in options.items():
            words += ["--" + name.replace("_", "-"), str(value)]
        return Role(words, cpus)

    def start_node(self, script, role, path, cpus=None, **options):
        words = [self.node, str(HERE / script), role, path]
        for name, value in options.items():
            words += ["--" + name.replace("_", "-"), str(value)]
        return Role(words, cpus)


class Role:
    """One process of a measurement, which speaks in lines of JSON."""

    def __init__(self, words, cpus=None):
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            preexec_fn=(lambda: os.sched_setaffinity(0, cpus)) if cpus else None)

    @property
    def pid(self):
        return self.process.pid

    def word(self):
        """What it says next; one that says nothing for minutes is ended."""
        watchdog = threading.Timer(PATIENCE, self.process.kill)
        watchdog.start()
        line = self.process.stdout.readline()
        watchdog.cancel()
        if not line:
            raise RuntimeError(f"{' '.join(self.process.args)} ended with status {self.process.wait()}")
        return json.loads(line)

    def go(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def end(self):
        """Waits for the process, which leaves by itself once nobody talks to it."""
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        self.process.wait()
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        self.process.stdout.close()


class DoorServer(Server):
    """`apus serve --ipc` with the bundled model, or with the worker whose words are moments."""

    def __init__(self, context, stamps=True, step_ms=10, model=None, arguments=()):
        self.context, self.step_ms, self.model = context, step_ms, model
        self.door = str(context.folder / "private" / "door")
        super().__init__(
            context.programs, ["--ipc", self.door, "--log-level", "warning", *arguments], broken=stamps)
        self.wait_until_ready()

    def programs_with_a_broken_worker(self, programs):
        shutil.copy(programs / "apus", self.folder / "apus")
        worker = self.folder / "apus-worker"
        steps = f'--model "{self.model}"' if self.model else f"--step-ms {self.step_ms}"
        worker.write_text(f'#!/bin/sh\nexec "{programs}/apus-benchmarks" ipc worker {steps} "$@"\n')
        worker.chmod(0o755)
        return self.folder / "apus"

    def wait_until_ready(self):
        deadline = time.monotonic() + 60
        while self.get("/readyz")[0] != 200:
            if time.monotonic() > deadline:
                raise SystemExit(f"the server did not become ready: {self.log_path.read_text()}")
            time.sleep(0.02)

    def metrics(self):
        """Sums by name, without labels."""
        sums = {}
        for line in self.get("/metrics")[1].splitlines():
            if found := re.match(r"([a-z_]+)(?:\{[^}]*\})? ([0-9.e+-]+)$", line):
                sums[found.group(1)] = sums.get(found.group(1), 0) + float(found.group(2))
        return sums


# MARK: Processor time

def processor_ns(pid):
    """What all threads of a living process have used."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            total += int((task / "schedstat").read_text().split()[0])
    return total


class Load:
    """How much of the machine others used in the meantime: share of its processor time, and what the host took.

    Not counted among others: this process, children that have ended, and the processes that are named.
    """

    def __init__(self, *pids):
        self.pids = pids

    def __enter__(self):
        self.before = self.now()
        return self

    def __exit__(self, *_):
        (busy, steal, total, own), before = self.now(), self.before
        span = max(total - before[2], 1e-9)
        self.foreign = max(0.0, (busy - before[0]) - (own - before[3])) / span
        self.stolen = (steal - before[1]) / span

    def now(self):
        ticks = os.sysconf("SC_CLK_TCK")
        user, nice, system, idle, iowait, irq, softirq, steal = (
            int(word) / ticks for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9])
        busy = user + nice + system + irq + softirq
        usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        own = sum(usage.ru_utime + usage.ru_stime for usage in usages)
        own += sum(processor_ns(pid) for pid in self.pids) / 1e9
        return busy, steal, busy + idle + iowait + steal, own

    def facts(self):
        return {"foreign": round(self.foreign, 4), "stolen": round(self.stolen, 4)}


# MARK: Memory

def table(path):
    fields = {}
    for line in Path(path).read_text().splitlines():
        words = line.split()
        if len(words) >= 2 and words[1].isdigit():
            fields[words[0].rstrip(":")] = int(words[1])
    return fields


def memory(pid):
    """KiB, and how many descriptors."""
    rollup, status, machine = table(f"/proc/{pid}/smaps_rollup"), table(f"/proc/{pid}/status"), table("/proc/meminfo")
    return {
        "rss": rollup["Rss"], "pss": rollup["Pss"], "shmem": status["RssShmem"], "anonymous": rollup["Anonymous"],
        "page_tables": status["VmPTE"], "slab": machine["Slab"], "machine_shmem": machine["Shmem"],
        "descriptors": len(os.listdir(f"/proc/{pid}/fd"))}


# MARK: Samples

def samples(path):
    values = array.array("Q")
    values.frombytes(Path(path).read_bytes())
    return values


def percentile(ordered, share):
    """Of values in ascending order; the smallest one that so many are not above."""
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))] if ordered else None


def summary(values):
    """Nanoseconds in, microseconds out."""
    ordered = sorted(values)
    if not ordered:
        return None
    named = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
    return {"count": len(ordered), "max": ordered[-1] / 1000} | {
        name: percentile(ordered, share) / 1000 for name, share in named.items()}


def median(values):
    ordered = sorted(value for value in values if value is not None)
    if not ordered:
        return None
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def median_summary(rounds):
    """Of the rounds' percentiles, each for itself."""
    rounds = [one for one in rounds if one]
    return {name: median(one[name] for one in rounds) for name in rounds[0]} if rounds else None
