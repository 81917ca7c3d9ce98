"""Quick checks, no training: questions against training lines, file size, parameter count.

Exit status 0 if all hold. Needs only Python's standard library (the questions) and, for the model file, nothing more.
"""

import argparse
import itertools
import struct
import sys
from pathlib import Path

from generate import documents
from questions import NEAR, asked_lines, similarity, words

LARGEST_FILE = 6_000_000
PARAMETERS = range(2_000_000, 5_000_001)
MODEL = Path(__file__).resolve().parents[2] / "Sources/Engine/CDemoModel/apus-demo.gguf"


def nearest_lines(seeds, count):
    """For each question: (similarity, the most similar training line)."""
    asked = [(line, words(line)) for line in asked_lines()]
    best = {line: (0.0, "") for line, _ in asked}
    seen = set()
    for document in itertools.chain.from_iterable(documents(seed, count) for seed in seeds):
        for role, text in document.get("messages", []):
            have = words(text)
            if role != "user" or have in seen:
                continue
            seen.add(have)
            for line, question in asked:
                near = similarity(have, question)
                if near > best[line][0]:
                    best[line] = (near, text)
    return best


def parameter_count(path):
    """Sum over the tensor table of a GGUF file."""
    data = path.read_bytes()
    at = 4

    def take(form):
        nonlocal at
        (value,) = struct.unpack_from(form, data, at)
        at += struct.calcsize(form)
        return value

    def skip(kind):
        nonlocal at
        if kind == 8:
            size = take("<Q")
            at += size
        elif kind == 9:
            element, count = take("<I"), take("<Q")
            for _ in range(count):
                skip(element)
        else:
            at += {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}[kind]

    if data[:4] != b"GGUF":
        raise ValueError(f"{path} is not a GGUF file")
    take("<I")
    tensors, keys = take("<Q"), take("<Q")
    for _ in range(keys):
        skip(8)
        skip(take("<I"))
    total = 0
    for _ in range(tensors):
        skip(8)
        size = 1
        for _ in range(take("<I")):
            size *= take("<Q")
        take("<I")
        take("<Q")
        total += size
    return total


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", type=int, nargs="+", default=[1, 4], help="seeds of the training")
    options.add_argument("--count", type=int, default=8000, help="how many training documents of each seed to compare")
    options.add_argument("--model", type=Path, default=MODEL)
    options.add_argument("--verbose", action="store_true")
    arguments = options.parse_args()
    failures = []

    best = nearest_lines(arguments.seeds, arguments.count)
    for line, (near, text) in sorted(best.items(), key=lambda item: -item[1][0]):
        if arguments.verbose:
            print(f"{near:.2f}  {line!r}  nearest: {text!r}")
        if near >= NEAR:
            failures.append(f"{line!r} is too near to the training line {text!r} ({near:.2f})")
    print(f"{len(best)} questions, highest similarity with a training line {max(n for n, _ in best.values()):.2f}, allowed below {NEAR}")

    size = arguments.model.stat().st_size
    count = parameter_count(arguments.model)
    print(f"{arguments.model.name}: {size} bytes, {count} parameters")
    if size > LARGEST_FILE:
        failures.append(f"the file has {size} bytes, allowed {LARGEST_FILE}")
    if count not in PARAMETERS:
        failures.append(f"the model has {count} parameters, allowed {PARAMETERS.start} to {PARAMETERS.stop - 1}")
    for failure in failures:
        print("failed: " + failure, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
