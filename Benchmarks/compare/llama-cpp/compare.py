#!/usr/bin/env python3
"""Apus against llama.cpp: the same files, the same machine, in turns, two threads each.

Usage: compare.py [--python PYTHON] [--models FOLDER] [--repeats 3] [--shape ...] [--type ...] [--wait-idle SECONDS]
                  [--output results.json] [--write docs/performance/engine.md]
       compare.py --show results.json [--write PAGE]

Each repeat is a process of each program that loads the file, warms up and measures once; the programs take turns, and
the medians are compared. llama.cpp's best setting is found once for each shape, on its first type.
"""
import sys

import contest
from contest import APUS, LLAMA

PROMPT, GENERATE = 256, 32

# What is measured: a shape, its types, and how many sequences decode together.
PLAN = {
    "qwen3-0.6b": {
        "Q4_0": [1, 8, 32], "Q8_0": [1, 8, 32], "Q4_K_M": [1, 8, 32], "Q6_K": [1], "Q5_K_M": [1], "IQ4_NL": [1],
        "F16": [1]},
    "llama-3.2-1b": {"Q4_0": [1, 32], "Q8_0": [1, 32]},
    "qwen3-moe-small": {"Q4_0": [1, 32]},
}

# The least ratio to llama.cpp, by type; types without an entry of their own are to be no slower.
PREFILL_BARS = {"Q4_0": 4.0, "Q8_0": 4.0, "Q4_K_M": 3.5}
DECODE_BARS = {"Q4_0": 1.5, "Q4_K_M": 1.5, "Q8_0": 1.35}
BATCH_BARS = {32: 5.0}


def measure(arguments):
    python, cases = contest.peer_python(arguments), []
    for shape in arguments.shape:
        peer = contest.Peer(python)
        for type_name, batches in PLAN[shape].items():
            if not arguments.type or type_name in arguments.type:
                cases.append(measure_case(arguments, peer, shape, type_name, batches))
                print(f"{shape} {type_name}: done", file=sys.stderr)
    return {"prompt": PROMPT, "generate": GENERATE, "repeats": arguments.repeats, "cases": cases}


def measure_case(arguments, peer, shape, type_name, batches):
    model = contest.model_path(arguments, shape, type_name)
    # The likeliest tokens of random weights soon repeat, and would all go to the same few experts.
    temperature = 1 if "moe" in shape else 0
    programs = {
        APUS: lambda: contest.measure_apus(arguments, model, PROMPT, GENERATE, batches, temperature),
        LLAMA: lambda: peer.measure(model, PROMPT, GENERATE, batches)}
    return {"title": f"{shape} {type_name}", "shape": shape, "type": type_name, "batches": batches,
            **contest.in_turns(arguments, programs, arguments.repeats)}


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


def settings(cases):
    """llama.cpp's setting for each shape and number of sequences."""
    found = {(case["shape"], line["batch"]): contest.describe_setting(line["setting"])
             for case in cases for line in case[LLAMA]}
    texts = [f"{shape} × {batch}: {setting}" for (shape, batch), setting in found.items()]
    return f"llama.cpp's fastest settings, found once for each shape on its first type: {'; '.join(texts)}."


def text(results):
    cases = results["cases"]
    first = (f"Medians of {results['repeats']} interleaved repeats; {results['generate']} tokens decoded after "
             f"{results['prompt']}; the spread is half the distance between the smallest and the largest.")
    return "\n\n".join([first, *contest.notes_on(cases), settings(cases), table(results)])


def options(parser):
    parser.add_argument("--shape", nargs="+", choices=PLAN, default=list(PLAN))
    parser.add_argument("--type", nargs="+")
    parser.add_argument("--repeats", type=int, default=3)


if __name__ == "__main__":
    contest.run("compare", __doc__, measure, text, options)
