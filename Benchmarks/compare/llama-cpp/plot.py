#!/usr/bin/env python3
"""Draws the results of grow.py: speed over depth, and speed over sequences.

Usage: plot.py results.json FILE.svg
"""
import json
import statistics
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({"svg.hashsalt": "apus", "svg.fonttype": "none"})
import matplotlib.pyplot as plots

STYLE = {"apus": ("Apus", "#0b6e4f", "o"), "llama.cpp": ("llama.cpp", "#8d8d8d", "s")}


def series(points, program, axis, phase):
    measured = [(point[axis], statistics.median(line[f"{phase}_tokens_per_second"] for line in point[program]))
                for point in points if point[program]]
    return [x for x, _ in measured], [y for _, y in measured]


def panel(axes, points, axis, phase, title, label):
    for program, (name, colour, marker) in STYLE.items():
        x, y = series(points, program, axis, phase)
        if x:
            axes.plot(x, y, marker=marker, color=colour, label=name)
    ticks = sorted({point[axis] for point in points})
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_minor_formatter(matplotlib.ticker.FuncFormatter(
        lambda value, _: f"{value:,.0f}" if str(int(value or 1))[0] in "25" else ""))
    axes.set_xlabel(label)
    axes.set_title(title)
    axes.grid(True, which="both", alpha=0.25)


def main():
    source, target = sys.argv[1:]
    with open(source) as file:
        results = json.load(file)
    alone = [point for point in results["points"] if point["batch"] == 1]
    shallow = [point for point in results["points"] if point["depth"] == min(p["depth"] for p in results["points"])]
    figure, (left, middle, right) = plots.subplots(1, 3, figsize=(12, 4), layout="constrained")
    panel(left, alone, "depth", "prefill", "Prefill, one prompt", "tokens of prompt")
    panel(middle, alone, "depth", "decode", "Decode, one sequence", "depth of the context")
    panel(right, shallow, "batch", "decode", f"Decode at a depth of {shallow[0]['depth']}", "sequences together")
    left.set_ylabel("tokens per second")
    left.legend()
    figure.suptitle(f"{results['shape']} {results['type']}, 2 threads")
    figure.savefig(target, metadata={"Date": None})


if __name__ == "__main__":
    main()
