#!/usr/bin/env python3
"""Apus against llama.cpp: the same files, the same machine, in turns, two threads each.

Usage: compare.py [--python PYTHON] [--models FOLDER] [--repeats 5] [--shape ...] [--type ...]
                  [--output results.json] [--write docs/performance/engine.md]
       compare.py --show results.json [--write PAGE]

Each repeat is a process of each program that loads the file, warms up and measures once; the programs take turns, and
the medians are compared. `--write` puts the table between the page's marks.
"""
import argparse
import json
import sys
from pathlib import Path

import contest
from contest import APUS, LLAMA

PROMPT, GENERATE = 256, 32

# What is measured: a shape, its types, and how many sequences decode together.
PLAN = {
    "qwen3-0.6b": {
        "Q4_0": [1, 8, 32], "Q8_0": [1, 8, 32], "Q4_K_M": [1, 8, 32], "Q6_K": [1], "Q5_K_M": [1], "IQ4_NL": [1],
        "F16": [1], "BF16": [1]},
    "llama-3.2-1b": {"Q4_0": [1, 32], "Q8_0": [1, 32], "Q4_K_M": [1, 32]},
    "qwen3-moe-small": {"Q4_0": [1, 32], "Q8_0": [1, 32], "Q4_K_M": [1, 32]},
}

# The least ratio to llama.cpp, by type; types without an entry of their own are to be no slower.
PREFILL_BARS = {"Q4_0": 4.0, "Q8_0": 4.0, "Q4_K_M": 3.5}
DECODE_BARS = {"Q4_0": 1.5, "Q4_K_M": 1.5, "Q8_0": 1.35}
BATCH_BARS = {32: 5.0}


def measure(arguments, python):
    cases = []
    for shape, types in PLAN.items():
        for type_name, batches in types.items():
            if shape not in arguments.shape or (arguments.type and type_name not in arguments.type):
                continue
            model = contest.model_path(python, arguments, shape, type_name)
            cases.append(measure_case(arguments, python, model, shape, type_name, batches))
    return {"machine": contest.machine(), "prompt": PROMPT, "generate": GENERATE, "cases": cases}


def measure_case(arguments, python, model, shape, type_name, batches):
    peer = contest.Peer(python, model)
    case = {"shape": shape, "type": type_name, "batches": batches, APUS: [], LLAMA: [], "errors": {}, "busy": []}
    # The likeliest tokens of random weights soon repeat, and would all go to the same few experts.
    temperature = 1 if "moe" in shape else 0
    programs = {
        APUS: lambda: contest.measure_apus(arguments, model, PROMPT, GENERATE, batches, temperature),
        LLAMA: lambda: peer.measure(PROMPT, GENERATE, batches)}
    for repeat in range(arguments.repeats):
        # Who begins changes, so that neither always follows the other's warm caches.
        for name in list(programs)[:: 1 if repeat % 2 == 0 else -1]:
            if name in case["errors"]:
                continue
            case["busy"].append(round(contest.wait_until_quiet(arguments.quiet_seconds), 3))
            lines, error = programs[name]()
            if error:
                case["errors"][name] = error
            else:
                case[name] += lines
    print(f"{shape} {type_name}: done", file=sys.stderr)
    return case


def phases(case):
    """(name, key, batch, bar) of each figure that is compared."""
    type_name = case["type"]
    yield f"prefill of {PROMPT} tokens", "prefill_tokens_per_second", 1, PREFILL_BARS.get(type_name, 1.0)
    for batch in case["batches"]:
        name = "decode, 1 sequence" if batch == 1 else f"decode, {batch} sequences"
        bar = DECODE_BARS.get(type_name, 1.0) if batch == 1 else BATCH_BARS.get(batch, 1.0)
        yield name, "decode_tokens_per_second", batch, bar


def table(results):
    rows = []
    for case in results["cases"]:
        for name, key, batch, bar in phases(case):
            measured = {
                program: [line for line in case[program] if line["batch"] == batch] for program in (APUS, LLAMA)}
            speeds = {program: contest.median(lines, key) if lines else None for program, lines in measured.items()}
            both = None not in speeds.values()
            ratio = speeds[APUS] / speeds[LLAMA] if both else None
            noise = max(contest.spread(lines, key) for lines in measured.values()) if both else None
            rows.append([
                case["shape"], case["type"], name, contest.figure(speeds[APUS]), contest.figure(speeds[LLAMA]),
                f"{ratio:.2f} ×" if both else "–", f"{bar:g} ×",
                "–" if not both else "yes" if ratio >= bar else f"no, {100 * (1 - ratio / bar):.0f} % short",
                f"± {100 * noise:.0f} %" if both else "–"])
    headings = ["Model", "Type", "Phase", "Apus, tok/s", "llama.cpp, tok/s", "Ratio", "Bar", "Reached", "Spread"]
    return contest.markdown(headings, rows)


def notes(results):
    repeats = max(len(case[APUS]) // max(1, len(case["batches"])) for case in results["cases"])
    busy = max((share for case in results["cases"] for share in case["busy"]), default=0)
    lines = [
        contest.describe_machine(results["machine"]),
        f"Medians of {repeats} interleaved repeats; {results['generate']} tokens decoded after {results['prompt']}; the "
        f"spread is half the distance between the smallest and the largest. Before a measurement, others used at most "
        f"{100 * busy:.0f} % of the machine."]
    for case in results["cases"]:
        for program, error in case["errors"].items():
            lines.append(f"{case['shape']} {case['type']}: {program} could not: {error}")
    return "\n\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    contest.add_options(parser)
    parser.add_argument("--shape", nargs="+", choices=PLAN, default=list(PLAN))
    parser.add_argument("--type", nargs="+")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path, default=contest.FOLDER / "results/compare.json")
    parser.add_argument("--show", type=Path, help="measure nothing, print these results")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="also write the table into a page")
    arguments = parser.parse_args()
    if arguments.show:
        results = json.loads(arguments.show.read_text())
    else:
        results = measure(arguments, contest.peer_python(arguments))
        contest.save(results, arguments.output)
    text = notes(results) + "\n\n" + table(results)
    print(text)
    if arguments.write:
        contest.replace_part(arguments.write, "compare", text)


if __name__ == "__main__":
    main()
