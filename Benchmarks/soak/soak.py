#!/usr/bin/env python3
"""Mixed traffic for an hour, and the memory of each process every ten seconds: does anything grow?

Usage: soak.py [--programs .build/release] [--minutes 60] [--every 10] [--clients 24] [--serve "…"]
               [--output results.json] [--write docs/operations/failures.md] [--plot docs/operations/soak.svg]
       soak.py --show results.json [--write PAGE] [--plot FILE]

Only the standard library. Memory is what cannot be given back: anonymous pages plus what of them is swapped, from
/proc/PID/smaps_rollup. The first quarter is left out: caches fill, and allocators find their size. Of the rest, the slope
is the median of the slopes between all pairs of samples (Theil and Sen), and its interval comes from their ranks. A
process fails if its memory grows for sure, by more than one percent or one MiB an hour, whichever is more; a run of less
than twenty minutes says nothing about that. Texts are compared as in the measurement of faults, and a wrong one, or a call
without an end, fails too.
"""
import argparse
import asyncio
import math
import random
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "faults"))
from clients import BAD, Load, Probe, calls, learn  # noqa: E402
from server import Server  # noqa: E402

import report  # noqa: E402
from chart import chart  # noqa: E402

SHARE_LEFT_OUT = 0.25
LEAST_MINUTES = 20


# MARK: Traffic

class MixedLoad(Load):
    """Beside whole answers: clients that leave, requests that are wrong, and those who only look."""

    async def client(self, number):
        source = random.Random(number)
        while self.is_running:
            kind = source.random()
            call = source.choice(self.calls)
            if kind < 0.1 and call.body["stream"]:
                call = type(call)(call.body, call.path, leaves_after=source.randrange(1, 6))
            elif kind < 0.16:
                await self.look(source)
                continue
            elif kind < 0.2:
                await self.ask_wrongly(source)
                continue
            elif kind < 0.3:
                # A prompt that nobody had before, so that caches turn over.
                call = type(call)(dict(call.body, messages=[{"role": "user", "content": new_text(source)}]))
            self.endings.append(await self.one(call))
            await asyncio.sleep(source.random() * 0.2)

    async def look(self, source):
        path = source.choice(["/metrics", "/v1/models", "/readyz", "/livez", "/", "/nothing"])
        await self.raw(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())

    async def ask_wrongly(self, source):
        body = source.choice(
            [b"{", b'{"messages": 1}', b'{"messages": [], "x": 2}', b'[' * 2000, b'"' + b"x" * 100_000])
        head = (f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n").encode()
        await self.raw(head + body)

    async def raw(self, bytes_):
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(bytes_)
            await asyncio.wait_for(reader.read(), self.patience)
            writer.close()
        except (OSError, TimeoutError):
            pass


def new_text(source):
    words = "river stone lamp paper window garden bridge mountain letter music winter harbour".split()
    return " ".join(source.choice(words) for _ in range(source.randrange(5, 200)))


# MARK: Memory

def memory_kib(pid):
    """Anonymous plus swapped; None when the process is gone."""
    fields = {}
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
            name, _, value = line.partition(":")
            fields[name] = int(value.split()[0])
    except OSError:
        return None
    return fields["Anonymous"] + fields["Swap"]


def slope(samples):
    """KiB an hour over (seconds, KiB): the median of all pairs, and an interval of 99 % by their ranks."""
    slopes = sorted((later[1] - earlier[1]) / (later[0] - earlier[0]) * 3600
                    for number, earlier in enumerate(samples) for later in samples[number + 1:])
    if not slopes:
        return 0.0, 0.0, 0.0
    count = len(samples)
    spread = 2.576 * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    low = max(0, int((len(slopes) - spread) / 2))
    high = min(len(slopes) - 1, int((len(slopes) + spread) / 2))
    return slopes[len(slopes) // 2], slopes[low], slopes[high]


def judge(name, samples):
    settled = samples[int(len(samples) * SHARE_LEFT_OUT):]
    middle, low, high = slope(settled)
    mean = sum(kib for _, kib in settled) / max(len(settled), 1)
    return {"process": name, "samples": samples, "mean_kib": mean, "slope": middle, "slope_low": low,
            "slope_high": high, "limit": max(1024, mean / 100)}


def failed(process):
    return process["slope_low"] > process["limit"]


# MARK: The run

async def measure(arguments):
    server = Server(arguments.programs, arguments.serve.split())
    try:
        wanted = calls()
        expected = await learn(server.port, wanted)
        load, probe = MixedLoad(server.port, arguments.clients, wanted, expected), Probe(server.port, every=1)
        load.start()
        names = {server.process.pid: "gateway"} | {pid: "worker" for pid in server.workers()}
        samples = {pid: [] for pid in names}
        began = time.monotonic()
        while (now := time.monotonic() - began) < arguments.minutes * 60:
            for pid, kept in samples.items():
                if (kib := memory_kib(pid)) is not None:
                    kept.append((round(now, 1), kib))
            await asyncio.sleep(arguments.every)
        await load.stop()
        probe.stop()
        ready = [(round(at - began, 1), status, what) for at, status, what in probe.changes]
        _, metrics = server.get("/metrics")
        left = [line for line in metrics.splitlines() if line.startswith("apus_calls_in_flight")]
        return {
            "machine": report.machine(), "minutes": arguments.minutes, "every": arguments.every, "clients": arguments.clients,
            "endings": dict(load.tally()), "readyz": ready, "calls_in_flight_afterwards": left,
            "details": [f"{ending.kind}: {ending.detail}" for ending in load.endings if ending.kind in BAD][:10],
            "requests": requests(metrics), "processes": [judge(names[pid], kept) for pid, kept in samples.items()]}
    finally:
        server.stop()


def requests(metrics):
    """Requests by status, all routes together."""
    counts = {}
    for line in metrics.splitlines():
        if line.startswith("apus_http_requests_total{"):
            status = line.split('status="')[1][:3]
            counts[status] = counts.get(status, 0) + int(float(line.split()[-1]))
    return counts


def table(results):
    lines = ["| Process | Mean (MiB) | Slope (KiB an hour) | 99 % interval | Limit |", "|---|---|---|---|---|"]
    for process in results["processes"]:
        lines.append(
            f"| {process['process']} | {process['mean_kib'] / 1024:,.1f} | {process['slope']:+,.0f} "
            f"| {process['slope_low']:+,.0f} to {process['slope_high']:+,.0f} | {process['limit']:,.0f} |")
    endings = ", ".join(f"{count:,} {kind}" for kind, count in sorted(results["endings"].items()))
    statuses = ", ".join(f"{count:,} × {status}" for status, count in sorted(results["requests"].items()))
    return (f"{results['minutes']:g} minutes, {results['clients']} clients, the bundled model, "
            f"{report.describe(results['machine'])}. Answers: {endings}. Requests by status: {statuses}.\n\n"
            + "\n".join(lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--programs", default=".build/release")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--every", type=float, default=10, help="seconds between two samples")
    parser.add_argument("--clients", type=int, default=24)
    parser.add_argument("--serve", default="", help="more words for apus serve")
    report.add_options(parser)
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="also draw the memory over time")
    arguments = parser.parse_args()
    results = report.results(arguments, lambda: asyncio.run(measure(arguments)))
    report.publish(arguments, "soak", table(results))
    for detail in results["details"]:
        print(detail)
    if arguments.plot:
        arguments.plot.write_text(chart(results["processes"]))
    wrong = any(results["endings"].get(kind) for kind in BAD)
    wrong = wrong or any(status != 200 for _, status, _ in results["readyz"])
    grows = [process["process"] for process in results["processes"] if failed(process)]
    if results["minutes"] < LEAST_MINUTES:
        print("too short to say whether memory grows")
        grows = []
    for name in grows:
        print(f"the memory of the {name} grows")
    sys.exit(1 if wrong or grows else 0)


if __name__ == "__main__":
    main()
