"""The grammar's machinery: patterns with alternatives, and the small noise that people's typing has.

A pattern is text with alternatives in square brackets, `[Hello|Hi][| there]`, which may be nested.
`{name}` is replaced by a value after the choice, so values may contain brackets.
"""

import random
from dataclasses import dataclass, field
from typing import Callable


@dataclass
class Turn:
    """One exchange. `follows` are makers of turns that fit right after this one."""

    user: str
    answer: str
    follows: list[Callable] = field(default_factory=list)
    noise: float = 1.0


def expand(rng: random.Random, pattern: str, **values) -> str:
    text = _choose(rng, pattern)
    for name, value in values.items():
        text = text.replace("{" + name + "}", str(value))
    return text


def one(rng: random.Random, patterns, **values) -> str:
    """Chooses a pattern and expands it."""
    return expand(rng, rng.choice(patterns), **values)


def _choose(rng: random.Random, pattern: str) -> str:
    out, at = [], 0
    while at < len(pattern):
        if pattern[at] != "[":
            out.append(pattern[at])
            at += 1
            continue
        depth, options, start, end = 1, [], at + 1, at + 1
        while depth:
            c = pattern[end]
            if c == "[":
                depth += 1
            elif c == "]":
                depth -= 1
            if (c == "|" and depth == 1) or depth == 0:
                options.append(pattern[start:end])
                start = end + 1
            end += 1
        out.append(_choose(rng, rng.choice(options)))
        at = end
    return "".join(out)


def article(noun: str) -> str:
    return ("an " if noun[0].lower() in "aeiou" and not noun.startswith(("uni", "eu", "one")) else "a ") + noun


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


SHORT_FORMS = [
    ("What is", "What's", 0.3), ("what is", "what's", 0.3), ("Who is", "Who's", 0.3), ("I am", "I'm", 0.5),
    ("do not", "don't", 0.5), ("does not", "doesn't", 0.5), ("How do I", "How can I", 0.25), ("how do I", "how can I", 0.25),
    ("How do I", "How to", 0.1), ("how do I", "how to", 0.1), ("Tell me", "Please tell me", 0.1), ("Tell me", "Can you tell me", 0.15),
    ("Tell me", "Could you tell me", 0.1), ("please", "pls", 0.1), (" you ", " u ", 0.02), ("colour", "color", 0.5),
    ("favourite", "favorite", 0.5), ("What are", "What're", 0.03), ("What does", "What do", 0.02), ("can not", "can't", 0.7),
]
PREFIXES = [
    "Hey, ", "Hi, ", "Hello, ", "Ok, ", "Okay, ", "So, ", "Well, ", "Hi! ", "Hello! ", "Quick question: ", "I have a question. ",
    "I was wondering: ", "One more thing: ", "Tell me: ", "Please: ", "Question: ", "Next question: ", "Now, ", "Alright, ",
    "Great. ", "Good. ", "Thanks. ", "I see. ", "Cool. ", "Sorry, ", "Excuse me, ", "By the way, ", "And ", "Also, ", "Um, ",
    "Just curious: ", "Do you know this? ", "Help me please. ", "For my homework: ", "My son asks: ", "My daughter wants to know: ",
    "I am new here. ", "I have a test tomorrow. ", "A friend asked me: ", "Any idea: ", "Could you help me with this: ", "Another thing: ",
    "Let me ask you something. ", "Maybe you know: ", "I am curious: ", "Something else: ", "Then ", "Listen, ", "Right, ", "Say, ", "Dear Apus, ",
    "Would you kindly tell me: ", "I want to ask: ", "One question: ", "Here is my question: ", "Remind me: ", "I always forget: ",
]
FILLERS = ["actually", "just", "really", "exactly", "please", "kindly", "perhaps", "maybe", "now", "then", "again", "quickly", "simply", "usually", "normally", "well", "sort of", "here"]
SUFFIXES = [" please", " please?", ", please", "?", "??", " :)", " thanks", " Thanks!", ", thank you", " pls", "!", "...", " ?", ", if you can"]


SMALL_WORDS = frozenset("the a an is are do does of to i me you can could would please my that it for in with have has there be what how".split())
TAILS = [", if you do not mind", ", when you have a moment", ", for a friend of mine", ", because I want to learn it", ", my colleague asked me", ", I am curious", ", I forgot it", ", if you know it",
         ", just to be sure", ", for my notes", ", I need it for school", ", in a few words", ", in short", ", in simple words", ", I would like to know", ", please be so kind", ", my friend", ", dear machine", ", that would be nice",
         ", if that is possible", ", if I may ask", ", out of interest", ", I was wondering", " again", " in your words", ", by the way", ", for today", " exactly", " then", " anyway"]
LEADS = ["I was just thinking: ", "My little brother asks: ", "My teacher asks: ", "Somebody at work wants to know: ", "It would be nice to know: ", "Here is an easy one: ", "I would love to know: ", "Let me think. ", "I wonder: ",
         "You surely know: ", "First of all: ", "Before I forget: ", "To begin with: ", "Now something different: ", "We talked about it at home: ", "I read about it but forgot: ", "If you please: ", "Good morning, ", "Good evening, "]


def telegraphic(rng, text):
    """Some small words left out, as people do in a hurry."""
    parts = text.split(" ")
    kept = [p for p in parts if p.lower().strip("?.,!") not in SMALL_WORDS or rng.random() < 0.5]
    return " ".join(kept) if len(kept) >= 2 else text


def humanise(rng: random.Random, text: str, level: float = 1.0) -> str:
    """Typed as people type: short forms, greetings in front, lower case, missing punctuation, a rare slip."""
    for long, short, chance in SHORT_FORMS:
        if long in text and rng.random() < chance:
            text = text.replace(long, short, 1)
    if rng.random() < 0.1 * level and len(text) > 6:
        prefix = rng.choice(PREFIXES)
        first = text.split(" ", 1)[0]
        if prefix.endswith((", ", "nd ", ": ")) and first not in ("I", "I'm") and text[1:2].islower():
            text = text[0].lower() + text[1:]
        text = prefix + text
    if rng.random() < 0.06 * level:
        text = text.rstrip("?.!") + rng.choice(SUFFIXES)
    wordy = text.count(" ") > 2
    if wordy and rng.random() < 0.06 * level:
        text = text.rstrip("?.!") + rng.choice(TAILS) + rng.choice(["", "?", "."])
    if wordy and rng.random() < 0.06 * level:
        text = rng.choice(LEADS) + (text if text[:1] == "I" else text[:1].lower() + text[1:])
    if wordy and rng.random() < 0.07 * level:
        text = telegraphic(rng, text)
    if rng.random() < 0.03 * level and wordy:
        parts = text.split(" ")
        parts.insert(rng.randrange(1, len(parts)), rng.choice(FILLERS))
        text = " ".join(parts)
    draw = rng.random()
    if draw < 0.3 * level:
        text = text.lower()
    elif draw < 0.36 * level and text[:2] not in ("I ", "I'"):
        text = text[0].lower() + text[1:]
    elif draw < 0.365 * level:
        text = text.upper()
    if rng.random() < 0.3 * level:
        text = text.rstrip("?.!")
    if rng.random() < 0.1 * level:
        text = text.replace("'", "")
    if rng.random() < 0.05 * level:
        text = slip(rng, text)
    return text.strip() or "hi"


def slip(rng: random.Random, text: str) -> str:
    """One typing slip inside a longer word."""
    words = text.split(" ")
    places = [i for i, w in enumerate(words) if len(w) >= 4 and w.isalpha() and w.islower()]
    if not places:
        return text
    i = rng.choice(places)
    w = words[i]
    k = rng.randrange(1, len(w) - 1)
    kind = rng.randrange(3)
    if kind == 0:
        w = w[:k] + w[k + 1] + w[k] + w[k + 2 :]
    elif kind == 1:
        w = w[:k] + w[k + 1 :]
    else:
        w = w[:k] + w[k] + w[k:]
    words[i] = w
    return " ".join(words)
