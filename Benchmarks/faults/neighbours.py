#!/usr/bin/env python3
"""Two models in one server: does one that crashes all the time change the answers or the speed of the other?

Usage: neighbours.py [--programs .build/release] [--seconds 30] [--clients 8] [--serve "…"]
                     [--output results.json] [--write docs/operations/failures.md]
       neighbours.py --show results.json [--write PAGE]

Only the standard library. Both models are the bundled one, so that they cost the same. Phases: the other model is idle;
its worker is killed as often as it becomes ready and has answered one request; it is idle again. Measured on the calm
model's streams: time to the first text, and between two pieces of text. A wrong text or a call without an end fails.
"""
import argparse
import asyncio
import signal
import sys
import time

from clients import BAD, WHOLE, Load, ask, calls, learn, percentile
from server import Server

import report  # noqa: E402, found by way of clients

CALM, CRASHING = "calm", "crashing"
PHASES = ["the other is idle", "the other crashes in a loop", "the other is idle again"]


def calls_of(model):
    found = [call for call in calls() if call.body["stream"]]
    for call in found:
        call.body["model"] = model
    return found


async def crash_in_a_loop(server, kills):
    """Kills the other model's worker each time that it has answered."""
    call = calls_of(CRASHING)[0]
    call.body["max_tokens"] = 1
    while True:
        try:
            ending = await ask(server.port, call)
        except (OSError, ValueError, asyncio.IncompleteReadError):
            continue
        if ending.kind == WHOLE and server.signal(server.worker_of(CRASHING), signal.SIGKILL):
            kills.append(time.monotonic())
        await asyncio.sleep(0.01)


async def phase(server, expected, arguments, crashes):
    load = Load(server.port, arguments.clients, calls_of(CALM), expected, keeps_times=True)
    kills = []
    loop = asyncio.create_task(crash_in_a_loop(server, kills)) if crashes else None
    load.start()
    began = time.monotonic()
    await asyncio.sleep(arguments.seconds)
    await load.stop()
    seconds = time.monotonic() - began
    if loop:
        loop.cancel()
    streams = [ending.times for ending in load.endings if len(ending.times) > 2]
    gaps = [after - before for times in streams for before, after in zip(times[1:], times[2:])]
    first = [times[1] - times[0] for times in streams]
    return {
        "seconds": seconds, "kills": len(kills), "endings": dict(load.tally()),
        "pieces_per_second": sum(len(times) - 1 for times in streams) / seconds,
        "first": [percentile(first, 0.5), percentile(first, 0.99)],
        "gap": [percentile(gaps, 0.5), percentile(gaps, 0.99)],
        "details": [ending.detail for ending in load.endings if ending.kind in BAD][:10]}


async def measure(arguments):
    server = Server(arguments.programs, [f"{CALM}=demo", f"{CRASHING}=demo", *arguments.serve.split()])
    try:
        expected = await learn(server.port, calls_of(CALM))
        while server.get("/readyz")[0] != 200:
            await asyncio.sleep(0.05)
        phases = [await phase(server, expected, arguments, crashes) for crashes in (False, True, False)]
        return {"machine": report.machine(), "clients": arguments.clients, "phases": phases}
    finally:
        server.stop()


def table(results):
    lines = ["| Phase | Deaths of the other | Answers | Wrong | Pieces of text per second | First text p50, p99 (ms) "
             "| Between pieces p50, p99 (ms) |", "|---|---|---|---|---|---|---|"]
    for name, one in zip(PHASES, results["phases"]):
        first, gap = (", ".join(f"{value * 1000:,.1f}" for value in one[what]) for what in ("first", "gap"))
        wrong = sum(one["endings"].get(kind, 0) for kind in BAD)
        lines.append(f"| {name} | {one['kills']:,} | {sum(one['endings'].values()):,} | {wrong} "
                     f"| {one['pieces_per_second']:,.0f} | {first} | {gap} |")
    return (f"{results['clients']} clients of the calm model, {report.describe(results['machine'])}.\n\n"
            + "\n".join(lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--programs", default=".build/release")
    parser.add_argument("--seconds", type=float, default=30, help="of each of the three phases")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--serve", default="", help="more words for apus serve")
    report.add_options(parser)
    arguments = parser.parse_args()
    results = report.results(arguments, lambda: asyncio.run(measure(arguments)))
    report.publish(arguments, "neighbours", table(results))
    wrong = [detail for one in results["phases"] for detail in one["details"]]
    for detail in wrong:
        print(detail)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
