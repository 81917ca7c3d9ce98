"""Writes the training conversations, one JSON object per line: `{"messages": [["user", "..."], ...]}` or `{"text": "..."}`."""

import argparse
import json
import random
import sys

import conversations
import stories
from questions import Nearness


def documents(seed: int, count: int):
    """`count` documents, the same for the same seed."""
    rng = random.Random(seed)
    nearness = Nearness()
    for _ in range(count):
        if rng.random() < 0.03:
            yield {"text": stories.plain_text(rng)}
        else:
            yield {"messages": conversations.conversation(rng, nearness.is_allowed)}


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--count", type=int, default=100)
    options.add_argument("--output", default="-")
    arguments = options.parse_args()
    out = sys.stdout if arguments.output == "-" else open(arguments.output, "w", encoding="utf-8")
    for document in documents(arguments.seed, arguments.count):
        out.write(json.dumps(document, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
