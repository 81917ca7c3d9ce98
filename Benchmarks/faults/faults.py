#!/usr/bin/env python3
"""Breaks the server's worker, memory, descriptors and log in every way, under load, and counts what clients saw.

Usage: faults.py [--programs .build/release] [--short] [--kills 1000] [--clients 64] [--only kill,stop,…]
                 [--serve "--stall-seconds 2 --load-seconds 5"] [--output results.json]
                 [--write docs/operations/failures.md]
       faults.py --show results.json [--write PAGE]

Only the standard library. Clients ask all the time; every text is compared with what an undisturbed server said. Each
fault comes when the server is ready and under load. Beside it are kept: when `/readyz` first said no (noticed), when it
said yes again (ready again), and all its answers in between. Ends with status 1 if a call had no end, or text was lost,
came twice or was another's, or if the server did not come back by itself.
"""
import argparse
import asyncio
import random
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

from clients import BAD, ERROR, QUARANTINED, REFUSED, WHOLE, Call, Load, Probe, ask, calls, learn, percentile
from server import MemoryGroup, Server

import report  # noqa: E402, found by way of clients

MEGABYTES = 768
# A hang is noticed after these; the defaults are 30 and 600 seconds.
SERVE = "--stall-seconds 2 --load-seconds 5"


@dataclass
class Fault:
    """One way to break the server; `strike` does it, `times` times."""
    name: str
    strike: object
    times: int
    broken: bool = False
    log: str | None = None
    in_group: bool = False
    goes_down: bool = True


@dataclass
class Result:
    name: str
    times: int = 0
    noticed: list = field(default_factory=list)
    ready_again: list = field(default_factory=list)
    helped: int = 0
    not_back: int = 0
    tally: Counter = field(default_factory=Counter)
    details: list = field(default_factory=list)
    reasons: Counter = field(default_factory=Counter)
    readyz: list = field(default_factory=list)


class NothingStruck(Exception):
    """The fault did not come about."""


# MARK: The faults

async def kill(server, arguments):
    server.signal_worker(signal.SIGKILL)


async def stop(server, arguments):
    server.signal_worker(signal.SIGSTOP)


def broken(place, action):
    async def strike(server, arguments):
        # In a memory group the kernel objects first.
        server.arm(at=place, action=action, megabytes=MEGABYTES * (4 if server.is_in_group else 1))
        if place in ("hello", "load", "loaded"):
            # It has to start for that.
            server.signal_worker(signal.SIGKILL)
        deadline = time.monotonic() + 20
        while server.is_armed and time.monotonic() < deadline:
            if place == "cancel":
                await leave_early(server)
            await asyncio.sleep(0.002)
        if server.is_armed:
            server.disarm()
            raise NothingStruck(f"the message for {place} never came")
    return strike


async def leave_early(server):
    call = calls()[2]
    # Another request each time: one that has ended workers before is refused.
    call.body["messages"] = [{"role": "user", "content": f"Tell me something about {random.getrandbits(64)}."}]
    call.leaves_after = 1
    try:
        await ask(server.port, call)
    except (OSError, ValueError, asyncio.IncompleteReadError):
        pass


async def few_descriptors(server, arguments):
    """No free descriptor for two seconds, and a dead worker at the same time."""
    undo = server.limit_descriptors(spare=0)
    server.signal_worker(signal.SIGKILL)
    await asyncio.sleep(2)
    undo()


async def nothing(server, arguments):
    await asyncio.sleep(2)


def faults(arguments):
    short = arguments.short
    places = ["hello", "load", "loaded", "generate", "cancel", "events"]
    matrix = [(place, action) for action in ("crash", "exit", "hang") for place in places]
    matrix += [("half", "crash"), ("half", "hang"), ("generate", "eat"), ("events", "eat")]
    if short:
        matrix = [("load", "crash"), ("generate", "crash"), ("half", "crash"), ("events", "exit"), ("events", "hang"),
                  ("events", "eat")]
    found = [
        Fault("kill", kill, arguments.kills or (20 if short else 1000)),
        Fault("stop", stop, 1 if short else 20)]
    for place, action in matrix:
        found.append(Fault(
            f"{action} at {place}", broken(place, action), 1 if short else 5, broken=True, in_group=action == "eat"))
    found += [
        Fault("no descriptors", few_descriptors, 1 if short else 5),
        Fault("log disk full", kill, 2 if short else 20, log="/dev/full"),
        Fault("log disk full, no fault", nothing, 1, log="/dev/full", goes_down=False)]
    return [fault for fault in found if not arguments.only or fault.name.split()[0] in arguments.only]


# MARK: Running them

async def run(fault, arguments, learned):
    group = MemoryGroup.make(MEGABYTES << 20) if fault.in_group else None
    server = Server(
        arguments.programs, arguments.serve.split(), broken=fault.broken, log=fault.log, memory_group=group)
    result = Result(fault.name)
    try:
        wanted, expected = learned
        probe, load = Probe(server.port), Load(server.port, arguments.clients, wanted, expected, arguments.patience)
        await probe.first(lambda status: status == 200, 0, 60)
        load.start()
        try:
            for _ in range(fault.times):
                await one(fault, server, probe, load, result, arguments)
        except NothingStruck as reason:
            result.details.append(str(reason))
        await load.stop()
        probe.stop()
        await check_afterwards(server, load, result)
        result.tally = load.tally()
        bad = Counter(f"{ending.kind}: {ending.detail}" for ending in load.endings if ending.kind in BAD)
        result.details += [f"{count} × {detail}" for detail, count in bad.most_common(10)]
        result.reasons = Counter(
            f"{record.get('kind', '')}: {record.get('reason', '')}" for record in server.log_records()
            if record.get("event") == "worker.ended")
    finally:
        server.stop()
        if group:
            group.remove()
    return result


async def one(fault, server, probe, load, result, arguments):
    # Under load means: answers came since the last fault.
    count = len(load.endings)
    deadline = time.monotonic() + 10
    while load.tally(count)[WHOLE] < 8 and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    await asyncio.sleep(random.random() * 0.1)
    began = time.monotonic()
    result.times += 1
    await fault.strike(server, arguments)
    if not fault.goes_down:
        return
    down = await probe.first(lambda status: status != 200, began, arguments.patience)
    if down is None or not await comes_back(server, probe, down, result, began, arguments):
        await help_back(server, probe, result, arguments)
    answers = [(round(at - began, 4), status, what) for at, status, what in probe.changes if at >= began]
    result.readyz.append(answers[:50])


async def comes_back(server, probe, down, result, began, arguments):
    result.noticed.append(down - began)
    back = await probe.first(lambda status: status == 200, down, arguments.patience)
    if back is not None:
        result.ready_again.append(back - began)
    return back is not None


async def help_back(server, probe, result, arguments):
    """What an operator would do about a hang that nobody notices; counted, and a failure."""
    result.helped += 1
    now = time.monotonic()
    server.disarm()
    server.signal_worker(signal.SIGKILL)
    down = await probe.first(lambda status: status != 200, now, 5)
    if await probe.first(lambda status: status == 200, down or now, arguments.patience) is None:
        result.not_back += 1


async def check_afterwards(server, load, result):
    """The next request succeeds, and no call is left behind."""
    for number in range(3):
        message = {"role": "user", "content": f"Afterwards, for the {number + 1}. time."}
        ending = await load.one(Call({"messages": [message], "max_tokens": 8, "stream": number == 0}))
        if ending.kind != WHOLE:
            result.details.append(f"afterwards: {ending.kind} {ending.detail}")
            result.tally[ending.kind] += 1
            load.endings.append(ending)
    _, metrics = server.get("/metrics")
    for line in metrics.splitlines():
        if line.startswith("apus_calls_in_flight") and float(line.split()[-1]) != 0:
            result.details.append(f"left behind: {line}")


async def learned_from(arguments):
    server = Server(arguments.programs, arguments.serve.split())
    try:
        resuming = calls(resumes=True)
        ending = await ask(server.port, resuming[0])
        wanted = resuming if ending.kind == WHOLE else calls()
        return wanted, await learn(server.port, wanted)
    finally:
        server.stop()


# MARK: Results

def milliseconds(values, share):
    value = percentile(values, share)
    return "–" if value is None else f"{value * 1000:,.0f}"


def summary(result):
    return {
        "fault": result.name, "times": result.times, "calls": sum(result.tally.values()), "endings": dict(result.tally),
        "noticed": result.noticed, "ready_again": result.ready_again, "helped": result.helped,
        "not_back": result.not_back, "details": result.details, "log": dict(result.reasons), "readyz": result.readyz}


def failed(result):
    endings = result["endings"]
    return any(endings.get(kind, 0) for kind in BAD) or result["helped"] or result["not_back"] or result["details"]


def table(results):
    head = ["Fault", "Times", "Calls", "Whole", "Ended with an error", "503",
            "Quarantined", "No end", "Text lost, twice or another's",
            "Noticed p50, p99 (ms)", "Ready again p50, p99 (ms)"]
    rows = []
    for one in results["faults"]:
        endings = one["endings"]
        wrong = sum(endings.get(kind, 0) for kind in BAD[1:3])
        rows.append([
            one["fault"], one["times"], one["calls"], endings.get(WHOLE, 0), endings.get(ERROR, 0),
            endings.get(REFUSED, 0), endings.get(QUARANTINED, 0), endings.get(BAD[0], 0), wrong,
            f"{milliseconds(one['noticed'], 0.5)}, {milliseconds(one['noticed'], 0.99)}",
            f"{milliseconds(one['ready_again'], 0.5)}, {milliseconds(one['ready_again'], 0.99)}"])
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in rows:
        lines.append("| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else cell for cell in row) + " |")
    text = f"{results['clients']} clients, the bundled model, {report.describe(results['machine'])}."
    return text + "\n\n" + "\n".join(lines)


async def measure(arguments):
    learned = await learned_from(arguments)
    results = {"machine": report.machine(), "clients": arguments.clients, "faults": []}
    for fault in faults(arguments):
        began = time.monotonic()
        one = summary(await run(fault, arguments, learned))
        results["faults"].append(one)
        verdict = "FAILED" if failed(one) else "ok"
        print(f"{verdict:7} {fault.name:24} {one['times']:5} times, {time.monotonic() - began:6.1f} s, "
              f"{one['endings']}, noticed {milliseconds(one['noticed'], 0.5)} ms, "
              f"ready again {milliseconds(one['ready_again'], 0.5)} ms, log {one['log']}", flush=True)
        for detail in one["details"]:
            print(f"        {detail}", flush=True)
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--programs", default=".build/release")
    parser.add_argument("--short", action="store_true", help="less than a minute")
    parser.add_argument("--kills", type=int, help="SIGKILLs of the worker; default 1,000, in the short form 20")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--only", type=lambda text: text.split(","), help="first words of faults")
    parser.add_argument("--serve", default=SERVE, help="more words for apus serve")
    parser.add_argument("--patience", type=float, default=60, help="seconds to wait for an answer, or for readiness")
    report.add_options(parser)
    arguments = parser.parse_args()
    results = report.results(arguments, lambda: asyncio.run(measure(arguments)))
    report.publish(arguments, "faults", table(results))
    sys.exit(1 if any(failed(one) for one in results["faults"]) else 0)


if __name__ == "__main__":
    main()
