"""The written test questions, and the measure of how near a line is to one of them."""

import json
import re
from pathlib import Path

PATH = Path(__file__).with_name("questions.json")
NEAR = 0.8


def load() -> dict:
    return json.loads(PATH.read_text())


def asked_lines() -> list[str]:
    data = load()
    lines = [q["ask"] for q in data["questions"]]
    return lines + [q["ask"] for c in data["conversations"] for q in c]


def words(line: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z0-9]+", line.lower().replace("'", "")))


def similarity(a: frozenset, b: frozenset) -> float:
    """Jaccard similarity of two sets of words."""
    union = len(a | b)
    return len(a & b) / union if union else 1.0


class Nearness:
    """Compares a line with all questions; a set that differs too much in size is skipped."""

    def __init__(self):
        self.questions = [words(line) for line in asked_lines()]

    def nearest(self, line: str) -> float:
        have = words(line)
        best = 0.0
        for question in self.questions:
            small, large = sorted((len(have), len(question)))
            if large and small / large > best:
                best = max(best, similarity(have, question))
        return best

    def is_allowed(self, line: str) -> bool:
        return self.nearest(line) < NEAR
