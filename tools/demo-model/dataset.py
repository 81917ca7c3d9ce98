"""Turns conversations into rows of tokens: packed, with weights for the loss and with positions that may jump.

Each conversation is a segment of its own: attention does not cross segments. Between the turns of some conversations
the positions jump ahead, so that the model meets distances up to the context length although rows are short.
"""

import random

import numpy as np
from tokenizers import Tokenizer

from generate import documents
from tokenizer import END_OF_TEXT, TURN_END, TURN_START

USER_WEIGHT = 0.1


def encoded(tokenizer: Tokenizer, document: dict, rng: random.Random, context: int, row: int):
    """Tokens, weights and positions of one document; a conversation too long for a row ends at a turn's border."""
    tokens, weights, positions = [], [], []

    def add(ids, weight, at):
        tokens.extend(ids)
        weights.extend([weight] * len(ids))
        positions.extend(range(at, at + len(ids)))
        return at + len(ids)

    if "text" in document:
        ids = tokenizer.encode(document["text"]).ids + [END_OF_TEXT]
        add([END_OF_TEXT] + ids if rng.random() < 0.5 else ids, 1.0, 0)
        return tokens[:row], weights[:row], positions[:row]
    newline = tokenizer.encode("\n").ids
    jumps = rng.random() < 0.3
    at = 0
    for role, text in document["messages"]:
        head = [TURN_START] + tokenizer.encode(role + "\n").ids
        body = tokenizer.encode(text).ids + [TURN_END]
        size = len(head) + len(body) + len(newline)
        if len(tokens) + size > row and role == "user":
            break
        if jumps and role == "user" and tokens and rng.random() < 0.5:
            at += rng.randint(1, max(1, (context - row - at) // 2)) if context - row - at > 1 else 0
        at = add(head, 0.0, at)
        at = add(body, 1.0 if role == "assistant" else USER_WEIGHT if role == "user" else 0.0, at)
        at = add(newline, 0.0, at)
    return tokens[:row], weights[:row], positions[:row]


def rows(tokenizer: Tokenizer, seed: int, count: int, row: int, context: int):
    """Yields packed rows (tokens, weights, positions, segments), each an array of length `row`."""
    rng = random.Random(seed + 7919)
    stream = documents(seed, count)
    waiting = []
    done = False
    while True:
        while not done and len(waiting) < 256:
            document = next(stream, None)
            if document is None:
                done = True
            else:
                one = encoded(tokenizer, document, rng, context, row)
                if len(one[0]) > 1:
                    waiting.append(one)
        if not waiting:
            return
        out = np.zeros((4, row), np.float32)
        out[3] = -1
        first = waiting.pop(rng.randrange(len(waiting)))
        chosen, room = [first], row - len(first[0])
        while True:  # the longest that still fits
            fitting = [i for i, w in enumerate(waiting) if len(w[0]) <= room]
            if not fitting:
                break
            best = waiting.pop(max(fitting, key=lambda i: len(waiting[i][0])))
            chosen.append(best)
            room -= len(best[0])
        at = 0
        for segment, (tokens, weights, positions) in enumerate(chosen):
            size = len(tokens)
            out[0, at : at + size] = tokens
            out[1, at : at + size] = weights
            out[2, at : at + size] = positions
            out[3, at : at + size] = segment
            at += size
        yield out


def batches(tokenizer: Tokenizer, seed: int, batch: int, row: int, context: int, count: int = 10**9):
    source = rows(tokenizer, seed, count, row, context)
    while True:
        group = [r for _, r in zip(range(batch), source)]
        if len(group) < batch:
            return
        stacked = np.stack(group, axis=1)
        yield stacked[0].astype(np.int32), stacked[1], stacked[2].astype(np.int32), stacked[3].astype(np.int32)
