"""Conversations in which the model calls tools, with a server that plays the model."""

import json
import unittest

import apus
from apus import messages as m

from .fake_server import FINISHED, FakeServer, tokens

WEATHER = apus.Tool("weather", "The weather of a city.", {"type": "object"})


class Model:
    """Says one turn after the other, and remembers what it was told."""

    def __init__(self, *turns):
        self._turns = list(turns)
        self.chats = []

    def __call__(self, peer, message):
        if isinstance(message.body, m.LocalCall):
            self.chats.append(message.body.request.inputs[0])
            peer.send(message.call, *self._turns.pop(0), FINISHED)


def call(**members):
    return tokens(json.dumps(members), kind=m.TokenKind.TOOL_CALL)


class DialogueTests(unittest.TestCase):
    def test_tools_are_used_before_the_answer(self):
        model = Model(
            [tokens("Let me see. "), call(name="weather", arguments={"city": "Köln"}), call(name="weather")],
            [tokens("It "), tokens("rains.")], [tokens("Bye.")])
        with FakeServer(model) as server, apus.Client(server.path) as client:
            used = []
            dialogue = apus.Dialogue(client, tools=[WEATHER], system="Be brief.", temperature=0)
            answer = dialogue.answer("And in Köln?", lambda call: used.append(call) or "rain")
            self.assertEqual(answer, "It rains.")
            self.assertEqual(used, [apus.ToolCall("weather", {"city": "Köln"}), apus.ToolCall("weather", {})])
            self.assertEqual(dialogue.answer("Thanks"), "Bye.")
        self.assertEqual(json.loads(model.chats[0].tools_json)[0]["function"]["name"], "weather")
        told = json.loads(model.chats[2].messages_json)
        self.assertEqual(
            [message["role"] for message in told],
            ["system", "user", "assistant", "tool", "tool", "assistant", "user"])
        self.assertEqual(told[2]["tool_calls"][0]["function"]["arguments"], {"city": "Köln"})
        self.assertEqual(told[3], {"role": "tool", "name": "weather", "content": "rain"})

    def test_what_is_no_call_is_text(self):
        texts = ["{", "[]", "7", '{"name": 1}', '{"arguments": {}}', "[" * 100_000]
        model = Model(*([tokens(text, kind=m.TokenKind.TOOL_CALL)] for text in texts))
        with FakeServer(model) as server, apus.Client(server.path) as client:
            for text in texts:
                self.assertEqual(apus.Dialogue(client).answer("x"), text)

    def test_a_model_that_never_answers_is_stopped(self):
        model = Model(*([call(name="weather")] for _ in range(3)))
        with FakeServer(model) as server, apus.Client(server.path) as client:
            dialogue = apus.Dialogue(client, tools=[WEATHER])
            dialogue.maximum_rounds = 3
            with self.assertRaisesRegex(apus.TooManyRounds, "in 3 rounds"):
                dialogue.answer("x", lambda call: "more")
