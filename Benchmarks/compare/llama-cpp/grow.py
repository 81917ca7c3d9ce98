#!/usr/bin/env python3
"""Load that grows: speed over the depth of the context and over the number of sequences, for both programs.

Usage: grow.py [--python PYTHON] [--models FOLDER] [--type Q4_0] [--long] [--most 64] [--output results.json]
               [--write docs/performance/engine.md] [--plot docs/performance/engine-load.svg]
       grow.py --show results.json [--write PAGE] [--plot FILE]

Depths of 256, 2,048 and 8,192 tokens, with --long also 32,768; 1 to 64 sequences, as many as the memory of a common
machine holds at that depth.
"""
import subprocess
import sys
from pathlib import Path

import contest
from contest import APUS, LLAMA

SHAPE, GENERATE = "qwen3-0.6b", 16

# Depth, sequences that decode together, repeats.
PLAN = [(256, [1, 2, 4, 8, 16, 32, 64], 2), (2048, [1, 8], 1), (8192, [1, 4], 1)]
LONG = (32768, [1], 1)


def measure(arguments):
    peer = contest.Peer(contest.peer_python(arguments))
    model = contest.model_path(arguments, SHAPE, arguments.type)
    points = []
    for depth, batches, repeats in PLAN + ([LONG] if arguments.long else []):
        for batch in batches:
            if batch <= arguments.most:
                points.append(measure_point(arguments, model, peer, depth, batch, repeats))
                print(f"{points[-1]['title']}: done", file=sys.stderr)
    return {"shape": SHAPE, "type": arguments.type, "generate": GENERATE, "points": points}


def measure_point(arguments, model, peer, depth, batch, repeats):
    programs = {
        APUS: lambda: contest.measure_apus(arguments, model, depth, GENERATE, [batch]),
        LLAMA: lambda: peer.measure(model, depth, GENERATE, [batch])}
    return {"title": f"Depth {depth:,}, {batch} sequences", "depth": depth, "batch": batch,
            **contest.in_turns(arguments, programs, repeats)}


def speed(point, program, phase):
    lines = point[program]
    return contest.median(lines, f"{phase}_tokens_per_second") if lines else None


def text(results):
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
    first = (f"Model: {results['shape']} {results['type']}; tokens per second over all sequences; {results['generate']} "
             "tokens decoded at each depth.")
    return "\n\n".join([first, *contest.notes_on(results["points"]), contest.markdown(headings, rows)])


def options(parser):
    parser.add_argument("--type", default="Q4_0")
    parser.add_argument("--long", action="store_true", help="also a context of 32,768 tokens: many minutes")
    parser.add_argument("--most", type=int, default=64, help="leave out more sequences than this")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="also draw the figures")


def main():
    arguments = contest.run("load", __doc__, measure, text, options)
    if arguments.plot:
        source = arguments.show or arguments.output
        command = [contest.peer_python(arguments), str(contest.HERE / "plot.py"), str(source), str(arguments.plot)]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
