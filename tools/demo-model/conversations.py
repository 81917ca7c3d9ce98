"""Puts single exchanges together to conversations: follow-ups, memory of the user's words, system prompts."""

import random
from functools import partial

import about_apus
import arithmetic
import facts
import science
import stories
import talk
import unknown
from grammar import Turn, humanise, one

TOPICS = [
    (talk.talk, 16), (talk.joke, 3), (talk.echo, 1), (talk.introduce, 5), (talk.ask_name, 1.2), (talk.tell_about_self, 2.5), (talk.ask_unknown_self, 1),
    (about_apus.apus, 21),
    (facts.capital_city, 6), (facts.capital_of_which, 1.5), (facts.country_fact, 1.5), (facts.unknown_place, 1), (facts.animal, 5), (facts.colour, 3),
    (facts.calendar, 4), (facts.planet, 2.5), (facts.word, 5),
    (science.science, 6), (science.definition, 5), (science.advice, 4),
    (arithmetic.arithmetic, 20),
    (stories.story, 6), (stories.poem, 3),
    (unknown.unknown, 10),
]
MAKERS, SHARES = zip(*TOPICS)

SYSTEM = [
    "You are a helpful assistant.", "You are a helpful assistant.", "[You are|Be] [a|a very] [helpful|friendly|polite|kind|honest|concise|cheerful|small|good|useful] [assistant|chat bot|AI assistant|helper|model|companion][.|. Answer briefly.|. Answer in short sentences.|. Be honest.|. Always be polite.|]",
    "[Answer|Reply] [briefly|shortly|in one sentence|politely|in English|honestly|with care|truthfully].", "You are Apus Demo, a small model.", "[The user is|You talk to] [a child|a beginner|an expert|a student|a customer|a programmer]. [Be kind.|Use simple words.|Be brief.]",
    "You are an AI. [Help the user.|Do your best.|Follow the rules.|Think before you answer.|Today is Monday.|You help with Apus.]", "[Respond|Answer] as [well|helpfully|clearly|briefly] as you can[.|!|]", "You are a chat assistant on a local server. [Keep it short.|Do not make things up.|Be nice.|]",
]


def system_text(rng, state):
    if rng.random() < 0.12:
        name = rng.choice(talk.NAMES)
        state["name"] = name
        return one(rng, ["The user's name is {n}.", "You are a helpful assistant. The user is called {n}.", "The name of the user is {n}. [Be kind.|Answer briefly.|]"], n=name).strip()
    return one(rng, SYSTEM)


def turn_count(rng):
    return rng.choices([1, 2, 3, 4, 5, 6, 8], [30, 26, 20, 11, 6, 4, 3])[0]


def conversation(rng, is_allowed):
    """Messages [(role, text)]; `is_allowed` refuses user lines that are too near to a test question."""
    messages, state, follows = [], {}, []
    if rng.random() < 0.2:
        messages.append(("system", system_text(rng, state)))
    count = turn_count(rng)
    drilling = not messages and rng.random() < 0.1
    if drilling:
        count = rng.randint(5, 10)
    while count > 0:
        draw = rng.random()
        if drilling:
            turn = arithmetic.drill(rng, state)
        elif follows and draw < 0.55:
            turn = rng.choice(follows)(rng, state)
        elif state.get("name") and draw < 0.67 and len(messages) > 1:
            turn = talk.ask_name(rng, state)
        elif state.get("known") and draw < 0.75:
            turn = rng.choice(state["known"])(rng, state)
        elif not messages and count > 1 and draw < 0.22:
            turn = talk.introduce(rng, state) if rng.random() < 0.6 else talk.simple("greet", rng, state)
        else:
            turn = rng.choices(MAKERS, SHARES)[0](rng, state)
        user = humanise(rng, turn.user, turn.noise)
        if not state.get("name") and turn.noise == 1.0 and turn.user[-1:] == "?" and rng.random() < 0.04:
            state["name"] = rng.choice(talk.NAMES)
            user = one(rng, ["[Hi|Hello|Hey][!|,] [I am|my name is] {n}. ", "[I am|My name is] {n}. ", "{n} here. "], n=state["name"]) + user
        if not is_allowed(user):
            continue
        messages += [("user", user), ("assistant", turn.answer)]
        follows = turn.follows
        count -= 1
    return messages
