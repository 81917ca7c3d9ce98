"""A client of the server's JSON-RPC 2.0 door over a Unix socket: one message a line."""

from __future__ import annotations

import itertools
import json
import queue
import socket
import threading
from typing import Any, Dict, Iterator, Mapping, Optional, Sequence, Union

from .errors import ApusError, Closed, ConnectionLost, NotConnected

Params = Union[Mapping[str, Any], Sequence[Any], None]

#: Bytes of the longest line that the server sends.
LINE_LIMIT = 256 << 20


class RPCError(ApusError):
    """The server's error: a `code` that stays the same, a sentence, and `data` for programs."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


class _End:
    """The last message of a call: its response, or why there is none."""

    def __init__(self, result: Any = None, error: Optional[ApusError] = None) -> None:
        self.result = result
        self.error = error


class RPCClient:
    """A connection to the path that was given to `apus serve --rpc`; any number of threads may use it.

    Calls raise `RPCError` for the server's own errors, `ConnectionLost` when the connection ends, and `Closed`.
    """

    def __init__(self, path: str, key: Optional[str] = None, *, timeout: float = 5.0) -> None:
        """Connects within `timeout` seconds, and shows the key if there is one.

        Raises `NotConnected`, and `RPCError` for a wrong key.
        """
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            raise NotConnected(f"{path}: {error.strerror or error}") from error
        self._socket.settimeout(None)
        self._ids = itertools.count(1)
        self._writes = threading.Lock()
        self._calls: Dict[int, queue.SimpleQueue] = {}
        self._lock = threading.Lock()
        #: Why no call can begin any more.
        self._end: Optional[str] = None
        self._is_closed = False
        threading.Thread(target=self._read, name="apus-rpc", daemon=True).start()
        if key is not None:
            self.call("rpc.authenticate", {"key": key})

    def __enter__(self) -> RPCClient:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection; calls that are running raise `Closed`."""
        self._is_closed = True
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # The server was faster.

    def call(self, method: str, params: Params = None) -> Any:
        """The result of one request."""
        stream = self.stream(method, params)
        for _ in stream:
            pass
        return stream.response

    def stream(self, method: str, params: Params = None) -> Stream:
        """Sends a request whose answer comes in parts; iterate over what it returns.

        It is sent at once, before the first part is asked for.
        """
        id = next(self._ids)
        parts: queue.SimpleQueue = queue.SimpleQueue()
        with self._lock:
            if self._end is not None or self._is_closed:
                raise self._error(delivered=False)
            self._calls[id] = parts
        message: Dict[str, Any] = {"jsonrpc": "2.0", "id": id, "method": method}
        if params is not None:
            message["params"] = params
        try:
            self._send(message)
        except BaseException:
            self._calls.pop(id, None)
            raise
        return Stream(self, id, parts)

    def _send(self, message: Mapping[str, Any]) -> None:
        line = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        try:
            with self._writes:
                self._socket.sendall(line)
        except OSError as error:
            raise ConnectionLost(False, error.strerror or str(error)) from error

    # ---- The reader's thread

    def _read(self) -> None:
        reason = "the server closed the connection"
        try:
            with self._socket.makefile("rb") as lines:
                while True:
                    line = lines.readline(LINE_LIMIT)
                    if not line.endswith(b"\n"):
                        break
                    self._receive(json.loads(line))
        except OSError as error:
            reason = error.strerror or str(error)
        except (ValueError, TypeError, AttributeError, RecursionError):
            reason = "the server sent a line that is no message"
        with self._lock:
            self._end = reason
            calls, self._calls = self._calls, {}
        for parts in calls.values():
            parts.put(_End(error=self._error(delivered=False)))
        self._socket.close()

    def _receive(self, message: Mapping[str, Any]) -> None:
        params = message.get("params", {})
        if message.get("method") == "rkllm.stream":
            parts = self._calls.get(params.get("request_id"))
            if parts:
                parts.put(params)
        elif "method" not in message and message.get("id") is not None:
            parts = self._calls.pop(message["id"], None)
            if parts:
                parts.put(_End(message.get("result"), _error(message.get("error"))))

    def _error(self, delivered: bool) -> ApusError:
        return Closed() if self._is_closed else ConnectionLost(delivered, self._end or "it is closed")


def _error(error: Optional[Mapping[str, Any]]) -> Optional[RPCError]:
    return None if error is None else RPCError(error.get("code", 0), error.get("message", ""), error.get("data"))


class Stream:
    """The parts of one answer, as the parameters of `rkllm.stream`: `seq` counts from 0, `result` holds the part.

    After the last one, `response` is the result of the request: the whole answer and its figures.
    """

    def __init__(self, client: RPCClient, id: int, parts: queue.SimpleQueue) -> None:
        self._client = client
        self._id = id
        #: None until all parts have come.
        self.response: Any = None
        self._parts = parts
        #: How many parts were taken.
        self._count = 0
        self._has_ended = False

    def cancel(self) -> None:
        """Ends the run; what it has made becomes its response, with the finish reason `aborted`."""
        self._client.call("rkllm.cancel", {"request_id": self._id})

    def __iter__(self) -> Iterator[Dict[str, Any]]:
        return self

    def __next__(self) -> Dict[str, Any]:
        if self._has_ended:
            raise StopIteration
        part: Union[Dict[str, Any], _End] = self._parts.get()
        if not isinstance(part, _End):
            self._count += 1
            return part
        self._has_ended = True
        if isinstance(part.error, ConnectionLost):
            raise ConnectionLost(self._count > 0, part.error.reason)
        if part.error:
            raise part.error
        self.response = part.result
        raise StopIteration
