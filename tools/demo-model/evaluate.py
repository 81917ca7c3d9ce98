"""Asks the exported model the written questions and conversations, and held-out lines of the grammar."""

import argparse
import re

import numpy as np

import questions
from generate import documents
from reference import Model


def asked(model, temperature, rng, quiet=False):
    data, passed, total, ended = questions.load(), 0, 0, 0
    dialogues = [[q] for q in data["questions"]] + data["conversations"]
    for dialogue in dialogues:
        messages = []
        for question in dialogue:
            messages.append(("user", question["ask"]))
            text, stopped = model.answer(messages, temperature, rng)
            messages.append(("assistant", text))
            good = bool(re.search(question["expect"], text)) and stopped
            passed, total, ended = passed + good, total + 1, ended + stopped
            if not quiet:
                print(f"[{'ok' if good else 'NO'}] {question['ask']}\n     {text!r}")
    return passed, total, ended


def probed(model):
    """The probes: everyday questions, written before the model was finished and not used to make its text."""
    import json
    from pathlib import Path

    passed, probes = 0, json.loads(Path(__file__).with_name("probes.json").read_text())["questions"]
    for question in probes:
        text, stopped = model.answer([("user", question["ask"])])
        good = bool(re.search(question["expect"], text)) and stopped
        passed += good
        if not good:
            print(f"[NO] {question['ask']}\n     {text!r}")
    return passed, len(probes)


def held_out(model, seed, count):
    """Share of answers to unseen documents' first questions that equal the grammar's answer, and examples of misses."""
    same, total, misses = 0, 0, []
    for document in documents(seed, count):
        if "messages" not in document:
            continue
        messages = [tuple(m) for m in document["messages"]]
        last = next(i for i, m in enumerate(messages) if m[0] == "assistant")
        text, _ = model.answer(messages[:last])
        total += 1
        same += text == messages[last][1]
        if text != messages[last][1]:
            misses.append((messages[last - 1][1], text, messages[last][1]))
    return same, total, misses


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("model")
    options.add_argument("--held-out", type=int, default=0, metavar="N", help="also ask N unseen lines of the grammar")
    options.add_argument("--misses", action="store_true")
    options.add_argument("--warm", type=int, default=0, metavar="N", help="ask everything N more times at temperature 0.8")
    arguments = options.parse_args()
    model = Model(arguments.model)
    passed, total, ended = asked(model, 0.0, None)
    print(f"temperature 0: {passed} of {total} sensible, {ended} ended by themselves")
    print("probes: {} of {} sensible".format(*probed(model)))
    for run in range(arguments.warm):
        passed, total, ended = asked(model, 0.8, np.random.default_rng(run), quiet=True)
        print(f"temperature 0.8, seed {run}: {passed} of {total} sensible, {ended} ended by themselves")
    if arguments.held_out:
        same, total, misses = held_out(model, 31337, arguments.held_out)
        print(f"held-out lines: {same} of {total} answers equal the grammar's own (several wordings are right)")
        for user, got, expected in misses if arguments.misses else []:
            print(f"  {user!r}\n    got  {got!r}\n    want {expected!r}")


if __name__ == "__main__":
    main()
