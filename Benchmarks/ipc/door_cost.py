#!/usr/bin/env python3
"""What the local door costs the engine: answers of one model, one stream, in three ways, in turns.

Usage: door_cost.py MODEL.gguf [--programs .build/release] [--tokens 256] [--pairs 8] [--raw FILE.json]

- door: `apus serve --ipc` and a Swift client in a process of its own, over rings: two processes are woken for each token.
- unread: the same server, the same request and the same worker, over HTTP without streaming. The gateway takes each token from
  the worker's link, as always, and nobody else is woken: it is what a call inside the gateway costs.
- bench: `apus bench`, a worker of its own and nothing else.

Tokens per second are those of the decoding, without the first token. Of the steps, the worker's own time is told as well.
Each pair's loss is kept; the interval is that of the pairs' median (sign test, at least 95 %). Prints one JSON object.
"""
import argparse
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import time
import types
from math import comb
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from processes import Context, DoorServer, Load, processor_ns  # noqa: E402

PROMPT = "The river and the stone and the lamp and the window."


class ModelServer(DoorServer):
    def __init__(self, context, model):
        super().__init__(context, stamps=False, arguments=(str(Path(model).resolve()), "--context", "2048", "--parallel", "1"))


def steps(server):
    """How many steps there have been, and their seconds; the worker tells four times a second."""
    time.sleep(0.6)
    sums = server.metrics()
    return sums.get("apus_steps_total", 0), sums.get("apus_step_seconds_total", 0)


def watched(server, work):
    """The figures of some work, with what it used."""
    before, pids = steps(server), (server.process.pid, server.workers()[0])
    used = [processor_ns(pid) for pid in pids]
    with Load(*pids) as load:
        figures = work()
    figures["gateway_us"], figures["worker_us"] = ((processor_ns(pid) - start) / 1000 for pid, start in zip(pids, used))
    count, seconds = (after - start for after, start in zip(steps(server), before))
    return figures | load.facts() | {"step_us": seconds / count * 1e6 if count else None}


def through_the_door(context, server, tokens):
    client = context.start("streams", path=server.door, streams=1, words=tokens, plain="on", prompt=PROMPT,
                           samples=context.samples("door-cost"))
    said = client.word()
    client.end()
    assert said["wrong"] == 0 and said["tokens"] == tokens, said
    return {"per_second": (tokens - 1) / said["seconds"], "client_us": said["processor_ns"] / 1000}


def unread(server, tokens):
    def ask(count):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=600)
        began = time.monotonic()
        connection.request("POST", "/v1/completions", json.dumps({
            "prompt": PROMPT, "max_tokens": count, "temperature": 0, "ignore_eos": True, "speculation": "off"}),
            {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        assert answer["usage"]["completion_tokens"] == count, answer
        return time.monotonic() - began
    # What comes before the second token is in both.
    return {"per_second": (tokens - 1) / (ask(tokens) - ask(1))}


def bench(programs, model, tokens):
    said = subprocess.run(
        [f"{programs}/apus", "bench", model, "--prompt", "16", "--generate", str(tokens), "--batch", "1", "--repeat", "1",
         "--json"], check=True, capture_output=True, text=True)
    return {"per_second": json.loads(said.stdout.splitlines()[-1])["decode_tokens_per_second"]}


def interval(values):
    """The median of the pairs' differences, and the order statistics between which it lies in at least 95 of 100 cases."""
    ordered, count = sorted(values), len(values)
    cut = max((k for k in range(count // 2) if sum(comb(count, i) for i in range(k + 1)) / 2 ** count <= 0.025), default=None)
    low, high = (ordered[cut], ordered[-1 - cut]) if cut is not None else (None, None)
    return {"median": statistics.median(ordered), "low": low, "high": high, "pairs": count}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--programs", default=".build/release")
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--without-bench", action="store_true")
    parser.add_argument("--raw", type=Path, default=Path(".build/ipc/door-cost.json"))
    arguments = parser.parse_args()
    context = Context(types.SimpleNamespace(
        programs=arguments.programs, short=True, model=None, rounds=1, minutes=1, raw=".build/ipc"))
    server = ModelServer(context, arguments.model)
    ways = {
        "door": lambda: watched(server, lambda: through_the_door(context, server, arguments.tokens)),
        "unread": lambda: watched(server, lambda: unread(server, arguments.tokens))}
    if not arguments.without_bench:
        ways["bench"] = lambda: bench(arguments.programs, arguments.model, arguments.tokens)
    try:
        ways["door"]()
        # Each way is first as often as last.
        rounds = [{name: ways[name]() for name in (list(ways) if number % 2 else reversed(ways))}
                  for number in range(arguments.pairs)]
    finally:
        server.stop()
        context.close()
    arguments.raw.parent.mkdir(parents=True, exist_ok=True)
    arguments.raw.write_text(json.dumps(rounds, indent=1))
    losses = {f"loss_percent_against_{other}": interval([
        100 * (1 - one["door"]["per_second"] / one[other]["per_second"]) for one in rounds])
        for other in ways if other != "door"}
    middle = {name: {key: round(statistics.median(one[name][key] for one in rounds), 3) for key in rounds[0][name]
                     if rounds[0][name][key] is not None} for name in ways}
    for figures in middle.values():
        for key in ("gateway_us", "client_us", "worker_us"):
            if key in figures:
                figures[key] = round(figures[key] / arguments.tokens, 1)
    print(json.dumps({"tokens": arguments.tokens, "medians": middle} | losses, indent=2))


if __name__ == "__main__":
    main()
