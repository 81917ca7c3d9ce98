#!/usr/bin/env python3
"""Load that grows: speed over the depth of the context and over the number of sequences, for both programs.

Usage: grow.py [--python PYTHON] [--models FOLDER] [--type Q4_0] [--long] [--output results.json]
               [--write docs/performance/engine.md] [--plot docs/performance/engine-load.svg]
       grow.py --show results.json [--write PAGE] [--plot FILE]

Depths of 256, 2,048 and 8,192 tokens, with --long also 32,768; 1 to 64 sequences, as many as the memory of a common
machine holds at that depth. llama.cpp fills the caches of deep contexts by copying the first sequence's, Apus computes
each prompt: that changes how long the measuring takes, not what is measured.
"""
import argparse
import json
import subprocess
import sys
from pathlib import Path

import contest
from contest import APUS, LLAMA

SHAPE, GENERATE = "qwen3-0.6b", 16

# Depth, sequences that decode together, repeats.
PLAN = [(256, [1, 2, 4, 8, 16, 32, 64], 3), (2048, [1, 8, 32], 3), (8192, [1, 4, 8], 1)]
LONG = (32768, [1], 1)


def measure(arguments, python):
    model = contest.model_path(python, arguments, SHAPE, arguments.type)
    points = []
    for depth, batches, repeats in PLAN + ([LONG] if arguments.long else []):
        peer = contest.Peer(python, model, instant_depth=depth > 256)
        for batch in batches:
            if batch <= arguments.most:
                points.append(measure_point(arguments, model, peer, depth, batch, repeats))
    return {"machine": contest.machine(), "shape": SHAPE, "type": arguments.type, "generate": GENERATE, "points": points}


def measure_point(arguments, model, peer, depth, batch, repeats):
    point = {"depth": depth, "batch": batch, APUS: [], LLAMA: [], "errors": {}}
    programs = {
        APUS: lambda: contest.measure_apus(arguments, model, depth, GENERATE, [batch]),
        LLAMA: lambda: peer.measure(depth, GENERATE, [batch])}
    for _ in range(repeats):
        for name, program in programs.items():
            if name in point["errors"]:
                continue
            contest.wait_until_quiet(arguments.quiet_seconds)
            lines, error = program()
            if error:
                point["errors"][name] = error
            else:
                point[name] += lines
    print(f"depth {depth}, {batch} sequences: done", file=sys.stderr)
    return point


def speed(point, program, phase):
    lines = point[program]
    return contest.median(lines, f"{phase}_tokens_per_second") if lines else None


def table(results):
    rows = []
    for point in results["points"]:
        cells = [f"{point['depth']:,}", str(point["batch"])]
        for phase in ("prefill", "decode"):
            # Prefill does not gain from more prompts: one figure for each depth.
            apus, llama = (speed(point, program, phase) for program in (APUS, LLAMA))
            wanted = phase == "decode" or point["batch"] == 1
            ratio = f"{apus / llama:.2f} ×" if wanted and apus and llama else "–"
            cells += [contest.figure(apus if wanted else None), contest.figure(llama if wanted else None), ratio]
        rows.append(cells)
    headings = ["Depth", "Sequences", "Prefill: Apus", "llama.cpp", "Ratio", "Decode: Apus", "llama.cpp", "Ratio"]
    text = (f"{contest.describe_machine(results['machine'])} Model: {results['shape']} {results['type']}; tokens per "
            f"second over all sequences; {results['generate']} tokens decoded at each depth.")
    failed = [f"Depth {point['depth']:,}, {point['batch']} sequences: {program} could not: {error}"
              for point in results["points"] for program, error in point["errors"].items()]
    return "\n\n".join([text, contest.markdown(headings, rows), *failed])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    contest.add_options(parser)
    parser.add_argument("--type", default="Q4_0")
    parser.add_argument("--long", action="store_true", help="also a context of 32,768 tokens: many minutes")
    parser.add_argument("--most", type=int, default=64, help="leave out more sequences than this")
    parser.add_argument("--output", type=Path, default=contest.FOLDER / "results/grow.json")
    parser.add_argument("--show", type=Path, help="measure nothing, print these results")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="also write the table into a page")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="also draw the figures")
    arguments = parser.parse_args()
    if arguments.show:
        results = json.loads(arguments.show.read_text())
    else:
        results = measure(arguments, contest.peer_python(arguments))
        contest.save(results, arguments.output)
    text = table(results)
    print(text)
    if arguments.write:
        contest.replace_part(arguments.write, "load", text)
    if arguments.plot:
        source = arguments.show or arguments.output
        python = contest.peer_python(arguments)
        subprocess.run([python, str(contest.HERE / "plot.py"), str(source), str(arguments.plot)], check=True)


if __name__ == "__main__":
    main()
