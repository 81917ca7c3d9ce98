"""Messages against the goldens of the project, and against bytes that nobody meant."""

import dataclasses
import pathlib
import random
import struct
import unittest

from apus import messages as m
from apus import wire
from apus.checksum import crc32c
from apus.errors import EngineError, WireError

GOLDENS = pathlib.Path(__file__).parents[3] / "Tests/EngineProtocolTests/Goldens/messages.txt"
VECTORS = {name: bytes.fromhex(digits) for name, digits in (line.split() for line in GOLDENS.read_text().splitlines())}


def decode(data):
    return wire.decode(wire.Header.decode(data), data[wire.HEADER_SIZE:])


def sealed(type, payload, call=0, flags=0):
    """A message of any bytes, with the right checksum."""
    header = wire.Header(flags, type, len(payload), call, 0)
    return wire.Header(flags, type, len(payload), call, header.computed_checksum(payload)).encode() + payload


class GoldenTests(unittest.TestCase):
    def test_every_vector_decodes_and_encodes_to_the_same_bytes(self):
        self.assertGreater(len(VECTORS), 10)
        for name, vector in VECTORS.items():
            with self.subTest(name):
                message = decode(vector)
                self.assertEqual(wire.encode(message, wire.Header.decode(vector).flags), vector)

    def test_values_are_those_that_were_encoded(self):
        generate = decode(VECTORS["generate"]).body
        self.assertEqual(generate.inputs[1], m.Text("Once upon"))
        self.assertEqual(generate.inputs[2].ids, (1, -2, 300))
        self.assertEqual((generate.priority, generate.maximum_tokens, generate.cache_salt), (-5, 64, "salt §"))
        self.assertEqual(generate.sampling.dry.breakers, ("\n", "§"))
        self.assertEqual(generate.sampling.seed, 2**64 - 1)
        events = [item.event for item in decode(VECTORS["eventsOfAGeneration"]).body.events]
        self.assertEqual(events[0], m.Accepted(17, 3))
        self.assertEqual((events[2].kind, events[2].text), (m.TokenKind.REASONING, "Grüße"))
        self.assertEqual(events[2].log_probabilities[0].top[1].bytes, b"\xff")

    def test_every_error_has_its_code_and_its_fields(self):
        errors = [item.event.error for item in decode(VECTORS["eventsOfFailures"]).body.events]
        self.assertEqual([error.code for error in errors], list(EngineError.CODES))
        self.assertEqual(errors[0].parameter, "stop")
        self.assertRegex(str(errors[4]), "the context has 2048 tokens; the prompt needs 2000 and 100")
        self.assertEqual((errors[11].loss, errors[11].retry_after), ("stalled", 20))
        with self.assertRaises(AttributeError):
            errors[8].limit

    def test_messages_of_local_clients_survive(self):
        bodies = [
            m.LocalCall(m.TokenizeRequest("naïve"), model="m", request_id="a-B_9.", resumes=True),
            m.LocalCall(m.EmbedRequest((m.Text("x"),))), m.ListModels(), m.Window(70_000), m.Ping(), m.Pong(),
            m.Models((m.Model("demo", "ready", 2048), m.Model("modèle", "unloaded", 0))),
        ]
        for body in bodies:
            with self.subTest(type(body).__name__):
                self.assertEqual(decode(wire.encode(m.Message(5, body))), m.Message(5, body))

    def test_a_local_call_has_these_bytes(self):
        request = struct.pack("<IIBBH", 12 + 28 + 3, 1, 1, 0, 0)
        fixed = struct.pack("<IIIIBBHII", 28, 1, 29, 2, 1, 0, 0x304, 31, 12)
        payload = fixed + b"m" + b"id" + request + b"x"
        call = m.LocalCall(m.TokenizeRequest("x", parse_special=False), model="m", request_id="id", resumes=True)
        self.assertEqual(wire.encode(m.Message(77, call)), sealed(0x360, payload, call=77))

    def test_the_checksum_has_the_published_value(self):
        self.assertEqual(crc32c(b"123456789"), 0xE3069283)
        self.assertEqual(crc32c(b"56789", crc32c(b"1234")), 0xE3069283)


class HostileBytesTests(unittest.TestCase):
    def test_every_cut_is_a_wire_error(self):
        for name, vector in VECTORS.items():
            for length in range(len(vector)):
                with self.subTest(name, length=length), self.assertRaises(WireError):
                    decode(vector[:length])

    def test_every_changed_bit_of_a_header_is_a_wire_error(self):
        for vector in VECTORS.values():
            for bit in range(8 * wire.HEADER_SIZE):
                changed = bytearray(vector)
                changed[bit // 8] ^= 1 << bit % 8
                with self.assertRaises(WireError):
                    decode(bytes(changed))

    def test_a_covered_payload_cannot_change(self):
        vector = VECTORS["generate"]
        self.assertTrue(wire.Header.decode(vector).flags & wire.PAYLOAD_CHECKSUM)
        changed = vector[:-1] + bytes([vector[-1] ^ 1])
        with self.assertRaisesRegex(WireError, "payload: the payload's checksum"):
            decode(changed)

    def test_mutations_are_refused_or_mean_exactly_what_they_say(self):
        """Whatever decodes has one encoding: the mutated bytes themselves."""
        numbers = random.Random(20_250_101)
        decoded = 0
        for _ in range(6_000):
            vector = numbers.choice(list(VECTORS.values()))
            header = wire.Header.decode(vector)
            payload = bytearray(vector[wire.HEADER_SIZE:])
            for _ in range(numbers.randint(1, 3) if payload else 0):
                payload[numbers.randrange(len(payload))] = numbers.choice([0, 1, 0x7F, 0xFF, numbers.randrange(256)])
            if numbers.random() < 0.2:
                payload = payload[:numbers.randrange(len(payload) + 1)] + numbers.randbytes(numbers.randrange(4))
            mutated = sealed(header.type, bytes(payload), header.call)
            try:
                message = decode(mutated)
            except WireError:
                continue
            decoded += 1
            self.assertEqual(wire.encode(message), mutated)
        self.assertGreater(decoded, 500)

    def test_what_a_structure_does_not_allow_is_refused_by_name(self):
        cases = [
            ("payload: the payload has 0 bytes; its fixed part alone has 4", sealed(0x130, b"")),
            ("reserved", sealed(0x10, struct.pack("<BBHQ", 1, 1, 0, 0))),
            ("role: 9 has no meaning", sealed(0x10, struct.pack("<BBHQ", 9, 0, 0, 0))),
            ("ids: offset 4 with length 4", sealed(0x305, struct.pack("<II", 4, 4))),
            ("ids: length 3", sealed(0x305, struct.pack("<II3s", 8, 3, b"abc"))),
            ("ids: the value is missing", sealed(0x305, bytes(8))),
            ("4 bytes follow", sealed(0x305, struct.pack("<III", 8, 0, 1))),
            ("text: not valid UTF-8", sealed(0x303, struct.pack("<IIII2s", 16, 2, 0, 0, b"\xc3\x28"))),
            ("message id 3", sealed(0x340, struct.pack("<II", 8, 0), call=3)),
            ("message type 18", sealed(0x12, b"")),
            ("unknown flags 1", sealed(0x5, b"", flags=1)),
        ]
        for expected, data in cases:
            with self.subTest(expected), self.assertRaisesRegex(WireError, expected):
                decode(data)

    def test_a_payload_over_the_limit_is_refused_before_it_is_there(self):
        header = wire.Header(0, 0x303, (64 << 20) + 1, 0, 0)
        header = dataclasses.replace(header, checksum=header.computed_checksum(b""))
        with self.assertRaisesRegex(WireError, "67108865 is over the limit of 67108864"):
            wire.Header.decode(header.encode())


class EncodingTests(unittest.TestCase):
    def refuses(self, body, message):
        with self.assertRaisesRegex(WireError, message):
            wire.encode(m.Message(1, body))

    def test_a_value_over_a_limit_is_named_with_the_limit(self):
        text = (m.Text("x"),)
        self.refuses(m.GenerateRequest(text, choices=129), "choices: 129 is not from 0 to 128")
        self.refuses(m.GenerateRequest(text, stop_strings=["x"] * 65), "stop_strings: 65 is over the limit of 64")
        self.refuses(m.GenerateRequest(text, priority=128), "priority: 128 is not from -128 to 127")
        self.refuses(m.GenerateRequest(text, sampling=m.Sampling(top_p=float("nan"))), "sampling.top_p: not a finite")
        self.refuses(m.GenerateRequest(text, sampling=m.Sampling(top_p=1e300)), "sampling.top_p: a number of 32 bits")
        self.refuses(m.GenerateRequest(text, sampling=m.Sampling(top_p="1")), "sampling.top_p: str is no number")
        self.refuses(m.GenerateRequest(text, maximum_tokens=1.5), "maximum_tokens: float is no integer")
        self.refuses(m.GenerateRequest(text, speculation=9), "speculation: 9 has no meaning")
        self.refuses(m.GenerateRequest(["x"]), "inputs: str does not belong here")
        self.refuses(m.DetokenizeRequest([2**31]), "ids: a token id is an integer of 32 bits")
        self.refuses(m.ScoreRequest("\ud800"), "text: half of a surrogate pair")
        self.refuses(m.LocalCall(m.ScoreRequest("x"), request_id="a b"), "request_id: it must match")
        self.refuses(m.LocalCall(m.ScoreRequest("x"), model="m" * 4097), "model: 4097 is over the limit of 4096")
        self.refuses(m.LocalCall("x"), "request: str does not belong here")
        self.refuses(m.ScoreRequest("x" * (64 << 20)), "text: the message needs 67108880 bytes")
        self.refuses(
            m.GenerateRequest([m.Embeddings(m.Tensor(2, 2, bytes(12)))]), "embeddings: 12 bytes are not 2 rows of 2")

    def test_an_event_counts_what_the_server_counts(self):
        chosen, other = m.TokenLogProbability(1, -0.5, b"abc"), m.TokenLogProbability(2, -1, b"")
        entry = m.TokenLogProbabilities(chosen, (chosen, other))
        chunk = m.Tokens(0, m.TokenKind.CONTENT, (1, 2, 3), "Grüße", (entry,))
        self.assertEqual(m.size_of(chunk), 64 + 7 + 12 + (64 + 3) + (64 + 3) + 64)
        self.assertEqual(m.size_of(m.Started(0)), 64)
        rows = m.TensorRows(0, m.TensorKind.LOGITS, 0, m.Tensor(2, 3, bytes(24)))
        self.assertEqual(m.size_of(rows), 64 + 24)

    def test_tensors_are_rows_of_numbers(self):
        tensor = m.Tensor.of([[1, 2.5], [-3, 0]])
        self.assertEqual((tensor.rows, tensor.columns, list(tensor.row(1))), (2, 2, [-3, 0]))
        self.assertEqual([list(row) for row in tensor], [[1, 2.5], [-3, 0]])
        with self.assertRaises(ValueError):
            m.Tensor.of([[1], [1, 2]])
        with self.assertRaises(IndexError):
            tensor.row(2)
