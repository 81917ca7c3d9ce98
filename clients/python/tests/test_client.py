"""The client against a server that does what a test says."""

import fcntl
import os
import queue
import random
import tempfile
import threading
import unittest

import apus
from apus import messages as m
from apus import wire

from .fake_server import FINISHED, FakeServer, generation, refusal, tokens, welcome


def echo(peer, message):
    """Answers a generation with its own text, word by word, and all else as a server does."""
    body = message.body
    if isinstance(body, m.ListModels):
        peer.say(message.call, m.Models((m.Model("demo", "ready", 2048),)))
    elif isinstance(body, m.Ping):
        peer.say(message.call, m.Pong())
    elif isinstance(body, m.LocalCall):
        peer.send(message.call, *answer(body.request))


def answer(request):
    if isinstance(request, m.GenerateRequest):
        return generation(*request.inputs[0].text.split(" "))
    results = {
        m.ScoreRequest: m.Score(12, 2.5),
        m.TokenizeRequest: m.Tokenized((4, 5)),
        m.DetokenizeRequest: m.Detokenized(b"\xc3"),
        m.Chat: m.Rendered("<s>"),
        m.EmbedRequest: m.Embedded(apus.Tensor.of([[0.5, 2]]), 3),
    }
    return [m.Result(results[type(request)])]


class Recorder:
    """Lets a test wait for what the server got, and answer it by hand."""

    def __init__(self):
        self._messages = queue.Queue()

    def __call__(self, peer, message):
        self._messages.put((peer, message))

    def next(self, kind=m.LocalCall):
        while True:
            peer, message = self._messages.get(timeout=20)
            if isinstance(message.body, kind):
                return peer, message


class RequestTests(unittest.TestCase):
    def test_events_come_in_order_until_the_last(self):
        with FakeServer(echo) as server, apus.Client(server.path) as client:
            self.assertEqual(list(client.generate("a b")), generation("a", "b"))

    def test_text_joins_the_content_alone(self):
        recorder = Recorder()
        with FakeServer(recorder) as server, apus.Client(server.path) as client:
            running = client.generate("x")
            peer, message = recorder.next()
            peer.send(
                message.call, tokens("think", kind=m.TokenKind.REASONING), tokens("Gr"), tokens("üße"), FINISHED)
            self.assertEqual(running.text(), "Grüße")

    def test_requests_with_one_answer(self):
        with FakeServer(echo) as server, apus.Client(server.path) as client:
            self.assertEqual(client.score("x", window=4), apus.Score(12, 2.5))
            self.assertEqual(client.tokenize("x"), [4, 5])
            self.assertEqual(client.detokenize([4]), b"\xc3")
            self.assertEqual(client.render([{"role": "user", "content": "x"}]), "<s>")
            self.assertEqual(list(client.embed("x").vectors.row(0)), [0.5, 2])
            self.assertEqual(client.models(), [apus.Model("demo", "ready", 2048)])
            self.assertGreater(client.ping(), 0)

    def test_prompts_and_options_become_a_request(self):
        recorder = Recorder()
        with FakeServer(recorder) as server, apus.Client(server.path) as client:
            def sent(*arguments, **options):
                running = client.generate(*arguments, **options)
                peer, message = recorder.next()
                peer.send(message.call, FINISHED)
                self.assertEqual(list(running), [FINISHED])
                return message.body

            chat = sent([{"role": "user", "content": "é"}], tools=[{"type": "function"}], model="m", request_id="r-1")
            self.assertEqual((chat.model, chat.request_id, chat.resumes), ("m", "r-1", False))
            self.assertEqual(
                chat.request.inputs, (m.Chat('[{"role":"user","content":"é"}]', '[{"type":"function"}]'),))
            text = sent("x", temperature=0, maximum_tokens=5, stop_strings=["\n"], resumes=True)
            self.assertTrue(text.resumes)
            self.assertEqual((text.request.inputs, text.request.maximum_tokens), ((m.Text("x"),), 5))
            self.assertEqual((text.request.sampling.temperature, text.request.sampling.top_p), (0, 1))
            self.assertEqual(text.request.stop_strings, ("\n",))
            self.assertEqual(sent([1, 2]).request.inputs, (m.TokenIDs((1, 2)),))
            rows = apus.Tensor.of([[1, 2]])
            self.assertEqual(sent(rows).request.inputs, (m.Embeddings(rows),))
            with self.assertRaisesRegex(TypeError, "nonsense"):
                client.generate("x", nonsense=1)
            with self.assertRaisesRegex(TypeError, "a prompt is"):
                client.generate(7)

    def test_the_servers_errors_are_raised_with_their_fields(self):
        recorder = Recorder()
        with FakeServer(recorder) as server, apus.Client(server.path) as client:
            running = client.generate("x")
            peer, message = recorder.next()
            peer.send(message.call, m.Failed(apus.EngineError("queue_full", retry_after=1500)))
            with self.assertRaises(apus.EngineError) as caught:
                list(running)
            self.assertEqual((caught.exception.code, caught.exception.retry_after), ("queue_full", 1500))

    def test_an_answer_to_another_question_is_an_error(self):
        def confused(peer, message):
            if isinstance(message.body, m.LocalCall):
                peer.send(message.call, m.Result(m.Rendered("x")))
            else:
                peer.say(message.call, m.Pong())

        with FakeServer(confused) as server, apus.Client(server.path) as client:
            self.assertRaises(apus.UnexpectedAnswer, client.tokenize, "x")
            self.assertRaises(apus.UnexpectedAnswer, client.models)
            with self.assertRaises(apus.UnexpectedAnswer):
                client.score("x")

    def test_a_request_over_a_limit_is_not_sent(self):
        with FakeServer(echo) as server, apus.Client(server.path) as client:
            with self.assertRaisesRegex(apus.WireError, "choices: 200 is not from 0 to 128"):
                client.generate("x", choices=200)
            self.assertEqual(client.text("still here"), "stillhere")

    def test_the_server_may_ask_whether_the_client_lives(self):
        recorder = Recorder()
        with FakeServer(recorder) as server, apus.Client(server.path) as client:
            running = client.generate("x")
            peer, _ = recorder.next()
            peer.say(99, m.Ping())
            self.assertEqual(recorder.next(m.Pong)[1].call, 99)
            running.cancel()


class HandshakeTests(unittest.TestCase):
    def test_the_hello_says_what_the_client_wants(self):
        with FakeServer(echo) as server, apus.Client(server.path, "sécret", checks_payloads=True) as client:
            client.ping()
            fields, token = server.hellos[0]
            self.assertEqual(fields[:10], (b"APSH", 1, 0, 2, 2, 2, 0, 0, 64 << 20, 7))
            self.assertEqual(token, "sécret".encode())

    def test_checksums_cover_payloads_on_request(self):
        with FakeServer(echo, [welcome(features=2)]) as server:
            with apus.Client(server.path, checks_payloads=True) as client:
                self.assertEqual(client.text("a b"), "ab")

    def test_a_refusal_is_told_with_its_reason(self):
        for greeting, reason, words in [
            (refusal(4, "key 'x…' is unknown"), apus.RefusalReason.TOKEN_WRONG, "the token is not valid: key 'x…'"),
            (refusal(2, versions=(3, 5)), apus.RefusalReason.VERSION, "the server speaks versions 3 to 5"),
            (refusal(77, "new"), apus.RefusalReason.OTHER, "the server refused the connection: new"),
        ]:
            with self.subTest(reason), FakeServer(echo, [greeting] * 9) as server, apus.Client(server.path) as client:
                with self.assertRaisesRegex(apus.Refused, words) as caught:
                    client.ping()
                self.assertIs(caught.exception.reason, reason)

    def test_after_a_refusal_that_is_temporary_it_tries_again(self):
        with FakeServer(echo, [refusal(6, "at most 1"), refusal(9)]) as server, apus.Client(server.path) as client:
            self.assertEqual(client.text("x"), "x")
            self.assertEqual(len(server.hellos), 3)

    def test_an_answer_that_was_not_asked_for_is_no_connection(self):
        for greeting, words in [
            (welcome(version=3), "version 3 was not asked for"),
            (welcome(features=1), "features 1 were not asked for"),
            (welcome(message_bytes=(64 << 20) + 1), "bytes of the longest message"),
            (welcome(calls=0), "takes no calls"),
            (welcome(magic=b"HTTP"), "no handshake of Apus"),
        ]:
            with self.subTest(words), FakeServer(echo, [greeting] * 99) as server:
                with apus.Client(server.path, timeout=0.05) as client, self.assertRaisesRegex(apus.NotConnected, words):
                    client.ping()

    def test_without_a_server_calls_say_so(self):
        with apus.Client("/nowhere/ipc", timeout=0.01) as client:
            with self.assertRaisesRegex(apus.NotConnected, "/nowhere/ipc: No such file"):
                client.ping()

    def test_a_long_token_is_refused_at_once(self):
        with self.assertRaisesRegex(apus.WireError, "token: 4097 bytes are over the limit of 4096"):
            apus.Client("/nowhere", "x" * 4097)


class ManyCallsTests(unittest.TestCase):
    def test_calls_share_a_connection_and_keep_their_events_apart(self):
        recorder = Recorder()
        with FakeServer(recorder) as server, apus.Client(server.path) as client:
            running = [client.generate(f"call {number}") for number in range(20)]
            calls = [recorder.next() for _ in running]
            for word in ("a", "b"):
                for peer, message in reversed(calls):
                    peer.send(message.call, tokens(word + message.body.request.inputs[0].text[5:] + " "))
            calls[0][0].say(0, m.Events([m.CallEvent(message.call, FINISHED) for _, message in calls]))
            self.assertEqual([one.text() for one in running], [f"a{n} b{n} " for n in range(20)])
            self.assertEqual(len(server.peers), 1)

    def test_threads_share_a_client(self):
        with FakeServer(echo) as server, apus.Client(server.path) as client:
            texts = queue.Queue()
            threads = [
                threading.Thread(target=lambda n=n: texts.put([n, *(client.text(f"{n} {i}") for i in range(25))]))
                for n in range(8)
            ]
            for thread in threads:
                thread.start()
            for _ in threads:
                n, *found = texts.get(timeout=30)
                self.assertEqual(found, [f"{n}{i}" for i in range(25)])

    def test_a_slow_reader_gets_a_window_and_slows_nobody(self):
        """The server sends only what the call's window allows, as the real one does."""
        chunk = tokens("x" * 9_000)
        finish_of_first = threading.Event()
        ready = threading.Event()
        state = {"left": 100, "taken": 0, "sent": 0}

        def serve(peer, message):
            if isinstance(message.body, m.LocalCall) and message.body.request.inputs[0].text == "fast":
                return peer.send(message.call, *generation("quick"))
            if isinstance(message.body, m.Window):
                state["taken"] += message.body.bytes
                self.assertGreaterEqual(message.body.bytes, m.WINDOW // 4)
            elif not isinstance(message.body, m.LocalCall):
                return
            while state["left"] and peer.windows[message.call] > 0:
                peer.send(message.call, chunk)
                peer.windows[message.call] -= m.size_of(chunk)
                state["left"] -= 1
                state["sent"] += 1
            if not state["left"]:
                peer.send(message.call, FINISHED)
                finish_of_first.set()
            ready.set()

        with FakeServer(serve) as server, apus.Client(server.path) as client:
            slow = client.generate("slow")
            self.assertTrue(ready.wait(20))
            self.assertEqual(client.text("fast"), "quick")
            sent_before_reading = state["sent"]
            self.assertEqual(sent_before_reading, -(-m.WINDOW // m.size_of(chunk)))
            self.assertEqual(len(slow.text()), 100 * 9_000)
            self.assertTrue(finish_of_first.is_set())
            self.assertEqual(state["taken"] % m.size_of(chunk), 0)

    def test_cancel_ends_a_generation_on_the_server(self):
        recorder = Recorder()
        with FakeServer(recorder) as server, apus.Client(server.path) as client:
            running = client.generate("x")
            peer, message = recorder.next()
            running.cancel()
            self.assertEqual(recorder.next(m.Cancel)[1].call, message.call)
            peer.send(message.call, tokens("late"), m.Failed(apus.EngineError("cancelled")))
            self.assertEqual(next(running).text, "late")
            with self.assertRaises(apus.EngineError) as caught:
                next(running)
            self.assertEqual(caught.exception.code, "cancelled")
            self.assertEqual(list(running), [])

    def test_who_stops_early_cancels(self):
        recorder = Recorder()
        with FakeServer(recorder) as server, apus.Client(server.path) as client:
            running = client.generate("dropped")
            peer, message = recorder.next()
            del running
            self.assertEqual(recorder.next(m.Cancel)[1].call, message.call)
            with client.generate("left") as running:
                peer, message = recorder.next()
                peer.send(message.call, tokens("a"))
                next(running)
            self.assertEqual(recorder.next(m.Cancel)[1].call, message.call)

    def test_close_ends_what_is_running(self):
        recorder = Recorder()
        with FakeServer(recorder) as server:
            client = apus.Client(server.path)
            running = client.generate("x")
            recorder.next()
            client.close()
            self.assertRaises(apus.Closed, next, running)
            self.assertRaises(apus.Closed, client.ping)
            client.close()


class LostConnectionTests(unittest.TestCase):
    def lose(self, lose, **options):
        """What a call and the next one get when the server does something to the first."""
        recorder = Recorder()
        with FakeServer(recorder) as server, apus.Client(server.path, **options) as client:
            running = client.generate("x")
            peer, message = recorder.next()
            lose(peer, message.call)
            with self.assertRaises(apus.ConnectionLost) as caught:
                list(running)
            # The connection comes back by itself.
            again = client.generate("y")
            peer, message = recorder.next()
            peer.send(message.call, *generation("again"))
            self.assertEqual(again.text(), "again")
            return caught.exception

    def test_before_the_answer_nothing_was_delivered(self):
        self.assertFalse(self.lose(lambda peer, call: peer.close()).delivered)
        self.assertFalse(self.lose(lambda peer, call: peer.close(), reconnects=False).delivered)

    def test_in_the_middle_something_was_delivered(self):
        def lose(peer, call):
            peer.send(call, tokens("a"))
            peer.close()

        self.assertTrue(self.lose(lose).delivered)

    def test_what_came_before_the_end_is_delivered(self):
        recorder = Recorder()
        with FakeServer(recorder) as server, apus.Client(server.path) as client:
            running = client.generate("x")
            peer, message = recorder.next()
            peer.send(message.call, *generation("whole"))
            peer.send_bytes(b"garbage that is longer than a header")
            self.assertEqual(running.text(), "whole")

    def test_a_server_that_breaks_the_protocol_loses_the_connection(self):
        event = wire.encode(m.Message(0, m.Events([m.CallEvent(1, m.Started(0))])))

        long = wire.encode(m.Message(0, m.Events([m.CallEvent(1, tokens("x" * 300_000))])))

        def wrong_file(content):
            def lose(peer, call):
                file = os.memfd_create("test")
                os.write(file, content)
                peer.send_bytes(wire.external_header(event), [file])
                os.close(file)
            return lose

        def stray_descriptor(peer, call):
            peer.send_bytes(event, [0])

        cases = {
            "do not begin with the magic": lambda peer, call: peer.send_bytes(b"HTTP/1.1 200 OK and so on"),
            "checksum does not match": lambda peer, call: peer.send_bytes(event[:20] + b"abcd" + event[24:]),
            "does not say Window": lambda peer, call: peer.say(call, m.Window(1)),
            "memory file is missing": lambda peer, call: peer.send_bytes(wire.external_header(event)),
            "the memory file has 3 bytes": wrong_file(b"abc"),
            "1 descriptors belong to no message": stray_descriptor,
            "300064 bytes in the stream are over": lambda peer, call: peer.send_bytes(long[:100]),
        }
        for words, lose in cases.items():
            with self.subTest(words):
                self.assertRegex(str(self.lose(lose)), words)

    def test_mutated_answers_end_the_connection_and_nothing_else(self):
        numbers = random.Random(7)

        def serve(peer, message):
            if message.body.request.inputs[0].text == "at last":
                return peer.send(message.call, *generation("whole"))
            events = [m.CallEvent(message.call, event) for event in generation("a", "b")[:-1]]
            data = bytearray(wire.encode(m.Message(0, m.Events(events))))
            for _ in range(numbers.randint(1, 4)):
                data[numbers.randrange(wire.HEADER_SIZE, len(data))] = numbers.randrange(256)
            peer.send_bytes(bytes(data))
            peer.close()

        with FakeServer(serve) as server, apus.Client(server.path) as client:
            for _ in range(300):
                with self.assertRaises((apus.ConnectionLost, apus.EngineError)):
                    list(client.generate("x"))
            self.assertEqual(client.text("at last"), "whole")

    def test_a_server_that_comes_back_is_found(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "ipc")
            with apus.Client(path) as client:
                for text in ("first", "second"):
                    with FakeServer(echo, path=path):
                        self.assertEqual(client.text(text), text)

    def test_a_call_that_waits_is_sent_when_the_server_comes(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "ipc")
            with apus.Client(path, timeout=30) as client:
                running = client.generate("early")
                with FakeServer(echo, path=path):
                    self.assertEqual(running.text(), "early")


class LongMessageTests(unittest.TestCase):
    def test_a_long_request_travels_as_a_sealed_memory_file(self):
        recorder = Recorder()
        text = "ü" * 200_000
        with FakeServer(recorder) as server, apus.Client(server.path) as client:
            running = client.generate(text)
            peer, message = recorder.next()
            running.cancel()
            self.assertEqual(message.body.request.inputs[0].text, text)
            self.assertEqual(fcntl.fcntl(peer.file, fcntl.F_GET_SEALS), 0b1111)
            os.close(peer.file)

    def test_a_long_answer_is_read_from_a_memory_file(self):
        recorder = Recorder()
        with FakeServer(recorder) as server, apus.Client(server.path) as client:
            before = len(os.listdir("/proc/self/fd"))
            for _ in range(5):
                running = client.generate("x")
                peer, message = recorder.next()
                peer.send_external(message.call, tokens("y" * 1_000_000))
                peer.send(message.call, tokens("z"), FINISHED)
                self.assertEqual(len(running.text()), 1_000_001)
            self.assertLessEqual(len(os.listdir("/proc/self/fd")), before + 2)

    def test_many_requests_wait_for_room_in_the_socket(self):
        """More than the socket holds, while the server does not read."""
        release = threading.Event()

        def serve(peer, message):
            release.wait(20)
            echo(peer, message)

        with FakeServer(serve) as server, apus.Client(server.path) as client:
            running = [client.generate("x" * 100_000) for _ in range(50)]
            release.set()
            self.assertEqual({len(one.text()) for one in running}, {100_000})

    def test_a_message_over_the_servers_limit_is_not_sent(self):
        with FakeServer(echo, [welcome(message_bytes=1000)]) as server, apus.Client(server.path) as client:
            with self.assertRaisesRegex(apus.WireError, "over the server's limit of 1000"):
                client.text("x" * 1000)
            self.assertEqual(client.text("short"), "short")
