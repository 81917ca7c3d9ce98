"""The JSON-RPC client against a server that answers line by line."""

import json
import os
import socket
import tempfile
import threading
import unittest

from apus import Closed, ConnectionLost, NotConnected
from apus.rpc import RPCClient, RPCError


class FakeRPCServer:
    """Calls `answer(request)` for each line; what it yields is sent, and None ends the connection."""

    def __init__(self, answer):
        self._folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self._folder.name, "rpc")
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.path)
        self._listener.listen(4)
        self.requests = []
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.close()
        self._folder.cleanup()

    def _serve(self):
        connection, _ = self._listener.accept()
        with connection, connection.makefile("rwb") as lines:
            for line in lines:
                request = json.loads(line)
                self.requests.append(request)
                for message in self._answer(request):
                    if message is None:
                        return
                    text = message if isinstance(message, str) else json.dumps(message)
                    lines.write(text.encode() + b"\n")
                    lines.flush()


def response(request, result):
    return {"jsonrpc": "2.0", "id": request["id"], "result": result}


def part(request, sequence, text):
    params = {"request_id": request["id"], "seq": sequence, "result": {"text": text}}
    return {"jsonrpc": "2.0", "method": "rkllm.stream", "params": params}


def run(request):
    if request["method"] == "rkllm.run":
        yield part(request, 0, "Gr")
        yield {"jsonrpc": "2.0", "method": "server.other", "params": {}}
        yield part(request, 1, "üße")
        yield response(request, {"text": "Grüße", "finish_reason": "stop"})
    elif request["method"] == "cut":
        yield part(request, 0, "a")
        yield None
    elif request["method"] == "garbage":
        yield "{"
    elif request["method"] == "wrong":
        error = {"code": -32602, "message": "'x' is a number", "data": {"field": "x"}}
        yield {"jsonrpc": "2.0", "id": request["id"], "error": error}
    else:
        yield response(request, request.get("params"))


class RPCTests(unittest.TestCase):
    def test_calls_and_their_results(self):
        with FakeRPCServer(run) as server, RPCClient(server.path, "key") as client:
            self.assertEqual(client.call("echo", [1, "é"]), [1, "é"])
            self.assertIsNone(client.call("echo"))
            self.assertEqual(server.requests[0]["params"], {"key": "key"})
            self.assertEqual(server.requests[1], {"jsonrpc": "2.0", "id": 2, "method": "echo", "params": [1, "é"]})
            self.assertNotIn("params", server.requests[2])

    def test_a_stream_yields_its_parts_and_has_the_response(self):
        with FakeRPCServer(run) as server, RPCClient(server.path) as client:
            stream = client.stream("rkllm.run", {"prompt": "x"})
            self.assertEqual([part["result"]["text"] for part in stream], ["Gr", "üße"])
            self.assertEqual(stream.response["text"], "Grüße")
            self.assertEqual(client.call("rkllm.run")["finish_reason"], "stop")

    def test_cancel_names_the_run(self):
        def serve(request):
            if request["method"] == "rkllm.cancel":
                yield {"jsonrpc": "2.0", "id": request["params"]["request_id"], "result": {"finish_reason": "aborted"}}
                yield response(request, {"success": True})

        with FakeRPCServer(serve) as server, RPCClient(server.path) as client:
            stream = client.stream("rkllm.run", {"prompt": "x"})
            stream.cancel()
            self.assertEqual(list(stream), [])
            self.assertEqual(stream.response, {"finish_reason": "aborted"})

    def test_errors_have_their_code_and_data(self):
        with FakeRPCServer(run) as server, RPCClient(server.path) as client:
            with self.assertRaisesRegex(RPCError, "'x' is a number") as caught:
                client.call("wrong")
            self.assertEqual((caught.exception.code, caught.exception.data), (-32602, {"field": "x"}))

    def test_a_lost_connection_says_whether_anything_came(self):
        with FakeRPCServer(run) as server, RPCClient(server.path) as client:
            with self.assertRaises(ConnectionLost) as caught:
                list(client.stream("cut"))
            self.assertTrue(caught.exception.delivered)
            self.assertRaises(ConnectionLost, client.call, "echo")
        with FakeRPCServer(run) as server, RPCClient(server.path) as client:
            with self.assertRaisesRegex(ConnectionLost, "a line that is no message") as caught:
                client.call("garbage")
            self.assertFalse(caught.exception.delivered)

    def test_closed_clients_and_missing_servers(self):
        with FakeRPCServer(run) as server:
            client = RPCClient(server.path)
            client.close()
            self.assertRaises(Closed, client.call, "echo")
        with self.assertRaisesRegex(NotConnected, "/nowhere/rpc"):
            RPCClient("/nowhere/rpc")
