#!/usr/bin/env python3
"""Measures the local door: round trips, streams, connections, memory, errors, beside sockets, Node.js and HTTP.

Usage: ipc.py [--programs .build/release] [--only round-trips,streams,…] [--short] [--rounds N] [--minutes N]
              [--model FILE.gguf] [--raw .build/ipc] [--output .build/ipc.json] [--write docs/performance/ipc.md]
       ipc.py --show .build/ipc.json [--write PAGE]

Only the standard library; Node.js where it is installed. Every measurement has two or more processes of their own, in
turns with those it is compared with; figures are medians over the rounds of each round's percentiles. Each answer is
checked field by field, and a wrong one ends the run. Raw samples stay in the folder: 64-bit nanoseconds. Sections that are
not measured again keep what the file of results has.
"""
import argparse
import json
import sys
import time
from pathlib import Path

from processes import Context, samples
from sections import CARRIERS, KIB, SECTIONS, SIZES, STREAM_KINDS, size_name
from tables import STREAM_NAMES, TABLES, best, targets

import plots  # noqa: E402
import report  # noqa: E402, found by way of processes


def measure(arguments, results):
    context = Context(arguments)
    try:
        for name in arguments.only or SECTIONS:
            began = time.monotonic()
            results[name] = SECTIONS[name](context) | {
                "machine": report.machine(), "rounds": context.rounds, "short": context.short}
            print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
            if arguments.output:
                arguments.output.parent.mkdir(parents=True, exist_ok=True)
                arguments.output.write_text(json.dumps(results, indent=1) + "\n")
    finally:
        context.close()
    return results


def publish(arguments, results):
    for name, table in TABLES.items():
        if name not in results:
            continue
        one = results[name]
        head = f"{report.describe(one['machine'])}; {one['rounds']} rounds.\n\n"
        print(f"\n## {name}\n")
        report.publish(arguments, name, head + table(one))
    print("\n## targets\n")
    report.publish(arguments, "targets", targets(results))


def draw(results, raw, folder):
    """The plots beside the page."""
    if "round-trips" in results:
        rows = results["round-trips"]["rows"]
        series = {}
        for carrier in CARRIERS:
            for waiting in ("spin", "blocked"):
                found = [(size, best(rows, pin="two", size=size, waiting=waiting, checksum="off", carrier=carrier))
                         for size in SIZES]
                series[f"{carrier}, {waiting}"] = [(size, row["p50"]) for size, row in found if row]
        for peer, name in (("node_json.js", "Node.js, JSON"), ("node_http2.js", "Node.js, HTTP/2")):
            found = [row for row in results.get("node", {}).get("rows", []) if row["peer"] == peer]
            if found:
                series[name] = [(row["size"], row["p50"]) for row in found]
        ticks = [(size, size_name(size)) for size in SIZES]
        (folder / "ipc-round-trips.svg").write_text(plots.lines(
            "Round trip of a typed request and its answer, median", series, "text of the message", "µs", ticks))
    if "streams" in results:
        series = {}
        for kind in STREAM_KINDS:
            files = sorted(raw.glob(f"stream-16-{kind.replace(' ', '-')}-*.bin"))
            values = [value for file in files for value in samples(file)]
            if values:
                series[STREAM_NAMES[kind].split(" (")[0].replace("the worker's ", "")] = plots.distribution(values)
        if series:
            (folder / "ipc-streams.svg").write_text(plots.lines(
                "Age of a word when the client has it, 16 streams", series, "µs", "share", y_is_share=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--programs", default=".build/release")
    parser.add_argument("--only", type=lambda text: text.split(","), help=", ".join(SECTIONS))
    parser.add_argument("--short", action="store_true", help="minutes instead of hours")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--model", type=lambda text: Path(text).resolve(), help="GGUF file whose steps a worker takes")
    parser.add_argument("--minutes", type=float, help="of the memory's watch; default 60, in the short form half a one")
    parser.add_argument("--raw", default=".build/ipc", help="folder of the raw samples")
    report.add_options(parser, output=Path(".build/ipc.json"))
    arguments = parser.parse_args()
    if arguments.minutes is None:
        arguments.minutes = 0.5 if arguments.short else 60
    if arguments.show:
        results = json.loads(arguments.show.read_text())
    else:
        kept = arguments.output
        results = measure(arguments, json.loads(kept.read_text()) if kept and kept.exists() else {})
    publish(arguments, results)
    if arguments.write:
        draw(results, Path(arguments.raw), arguments.write.parent)


if __name__ == "__main__":
    main()
