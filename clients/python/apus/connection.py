"""The one connection of a client: its thread, its calls, and the attempts to connect again."""

from __future__ import annotations

import collections
import itertools
import random
import selectors
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any, Callable, Deque, Dict, Optional, Union

from . import handshake
from . import messages as m
from .errors import ApusError, Closed, ConnectionLost, EngineError, NotConnected, Refused, WireError
from .stream import Ended, Outgoing, Stream

#: What a call gets: the events of its answer, another answer's body, or the error that ended it.
Answer = Union[m.Event, m.Models, m.Pong, ApusError]

#: Between two attempts to connect, in seconds.
FIRST_DELAY, LONGEST_DELAY = 0.01, 1.0


@dataclass(frozen=True)
class Options:
    token: str = ""
    #: How long a call waits for a connection before it fails, in seconds.
    timeout: float = 5.0
    #: Whether the messages' checksums cover their payloads.
    checks_payloads: bool = False
    #: Whether it connects again when the connection was lost and nobody waits for it.
    reconnects: bool = True


@dataclass
class _Call:
    #: None once it was sent.
    outgoing: Optional[Outgoing]
    receive: Callable[[Any], None]
    #: Monotonic seconds until which it waits for a connection.
    deadline: float
    was_delivered: bool = False


class Connection:
    """`begin`, `cancel`, `widen` and `close` are for any thread; all else happens on the client's own thread."""

    def __init__(self, path: str, options: Options) -> None:
        self._path = path
        self._options = options
        self._token = handshake.encoded_token(options.token)
        self._ids = itertools.count(1)
        self._commands: Deque[Callable[[], None]] = collections.deque()
        self._waker, self._wakes = socket.socketpair()
        self._waker.setblocking(False)
        self._wakes.setblocking(False)
        # Re-entrant, because the collector may drop a call in the middle of `_post`, which cancels it.
        self._lock = threading.RLock()
        self._is_closed = False
        # On the thread
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wakes, selectors.EVENT_READ)
        self._stream: Optional[Stream] = None
        self._message_bytes = handshake.MESSAGE_BYTES
        self._calls: Dict[int, _Call] = {}
        self._stops = False
        #: Monotonic seconds of the next attempt to connect; None if there is to be none.
        self._attempt: Optional[float] = time.monotonic()
        self._failures = 0
        self._last_failure = "no attempt was made yet"
        self._thread = threading.Thread(target=self._run, name="apus-client", daemon=True)
        self._thread.start()

    # ---- From any thread

    def begin(self, body: Any, receive: Callable[[Any], None]) -> int:
        """Sends a message as soon as there is a connection.

        `receive` is called on the client's thread with each part of the answer, and with the error that ends it.
        Returns the call's number; raises `WireError` when the message breaks a limit, and `Closed`.
        """
        call = next(self._ids)
        outgoing = Outgoing(m.Message(call, body), self._options.checks_payloads)
        waiting = _Call(outgoing, receive, time.monotonic() + self._options.timeout)
        self._post(lambda: self._begin(call, waiting))
        return call

    def cancel(self, call: int) -> None:
        """Asks the server to end a call, whose last event is then the failure `cancelled`."""
        self._post_if_open(lambda: self._cancel(call))

    def widen(self, call: int, count: int) -> None:
        """Tells the server that so many bytes of a call's events were taken."""
        self._post_if_open(lambda: self._send_about(call, m.Window(count)))

    def close(self, waits: bool = True) -> None:
        """Ends all calls with `Closed`, and the client's thread, for whose end it waits."""
        self._post_if_open(self._stop)
        if waits and threading.current_thread() is not self._thread:
            self._thread.join()

    def _post_if_open(self, command: Callable[[], None]) -> None:
        try:
            self._post(command)
        except Closed:
            pass

    def _post(self, command: Callable[[], None]) -> None:
        with self._lock:
            if self._is_closed:
                raise Closed
            self._commands.append(command)
            try:
                self._waker.send(b"\0")
            except BlockingIOError:
                pass  # It has been woken often enough.

    # ---- The thread

    def _run(self) -> None:
        try:
            while not self._stops:
                self._turn()
        finally:
            with self._lock:
                self._is_closed = True
            if self._stream:
                self._stream.close()
                self._stream = None
            for command in self._commands:
                command()  # Calls that began meanwhile end with the others.
            for call in list(self._calls):
                self._end(call, Closed())
            self._selector.close()
            self._waker.close()
            self._wakes.close()

    def _turn(self) -> None:
        ready = self._selector.select(self._patience())
        for key, mask in ready:
            if key.fileobj is self._wakes:
                self._wakes.recv(4096)
            elif self._stream and key.fileobj is self._stream.socket:
                self._serve(mask)
        while self._commands and not self._stops:
            self._commands.popleft()()
        now = time.monotonic()
        if self._attempt is not None and self._attempt <= now and not self._stops:
            self._connect()
        if not self._stream:
            for call in [id for id, call in self._calls.items() if call.deadline <= now]:
                self._end(call, NotConnected(self._last_failure))

    def _patience(self) -> Optional[float]:
        times = [] if self._attempt is None else [self._attempt]
        if not self._stream:
            times += [call.deadline for call in self._calls.values()]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _stop(self) -> None:
        self._stops = True

    # ---- Calls

    def _begin(self, id: int, call: _Call) -> None:
        self._calls[id] = call
        if self._stream:
            self._send(id)
        else:
            self._connect_soon()

    def _send(self, id: int) -> None:
        outgoing, self._calls[id].outgoing = self._calls[id].outgoing, None
        assert outgoing
        if outgoing.size <= self._message_bytes:
            self._write(outgoing)
        else:
            limit = self._message_bytes
            self._end(id, WireError(f"{outgoing.size} bytes are over the server's limit of {limit}", "message"))

    def _cancel(self, id: int) -> None:
        call = self._calls.get(id)
        if call and call.outgoing:
            self._end(id, EngineError("cancelled"))
        elif call:
            self._send_about(id, m.Cancel())

    def _send_about(self, call: int, body: Any) -> None:
        if call in self._calls:
            self._write(Outgoing(m.Message(call, body)))

    def _write(self, outgoing: Outgoing) -> None:
        if not self._stream:
            return
        try:
            self._stream.send(outgoing)
            self._watch()
        except OSError as error:
            self._lost(str(error.strerror))

    def _watch(self) -> None:
        if self._stream:
            writing = selectors.EVENT_WRITE if self._stream.waits_to_write else 0
            self._selector.modify(self._stream.socket, selectors.EVENT_READ | writing)

    def _end(self, id: int, error: ApusError) -> None:
        call = self._calls.pop(id, None)
        if call:
            call.receive(error)

    # ---- Messages

    def _serve(self, mask: int) -> None:
        stream = self._stream
        assert stream
        try:
            if mask & selectors.EVENT_WRITE:
                stream.flush()
                self._watch()
            if mask & selectors.EVENT_READ:
                for message in stream.receive():
                    self._receive(message)
        except OSError as error:
            self._lost(str(error.strerror))
        except (Ended, WireError) as error:
            self._lost(str(error))

    def _receive(self, message: m.Message) -> None:
        body = message.body
        if isinstance(body, m.Events):
            for item in body.events:
                self._deliver(item.call, item.event)
        elif isinstance(body, m.Ping):
            self._write(Outgoing(m.Message(message.call, m.Pong())))
        else:
            call = self._calls.pop(message.call, None)
            if call:
                call.receive(body)

    def _deliver(self, id: int, event: m.Event) -> None:
        call = self._calls.get(id)
        if not call:
            return
        if isinstance(event, (m.Finished, m.Failed, m.Result)):
            del self._calls[id]
        call.was_delivered = True
        call.receive(event)

    # ---- Connecting

    def _connect(self) -> None:
        self._attempt = None
        try:
            connection, agreement = handshake.connect(self._path, self._token, self._options.checks_payloads)
        except Refused as refusal:
            # What the server says no to, it says no to again; when it is full or stopping, it may not.
            if refusal.is_temporary:
                self._failed(refusal)
            else:
                for id in list(self._calls):
                    self._end(id, refusal)
        except ApusError as error:
            self._failed(error)
        else:
            self._failures = 0
            self._message_bytes = agreement.message_bytes
            self._stream = Stream(connection)
            self._selector.register(connection, selectors.EVENT_READ)
            for id in sorted(self._calls):
                if self._stream:
                    self._send(id)

    def _failed(self, error: ApusError) -> None:
        self._last_failure = str(error)
        self._failures += 1
        if self._calls or self._options.reconnects:
            self._connect_soon()

    def _connect_soon(self) -> None:
        if self._attempt is not None:
            return
        delay = min(FIRST_DELAY * 2 ** min(self._failures - 1, 10), LONGEST_DELAY) if self._failures else 0.0
        # Many clients of one server do not come back at the same moment.
        self._attempt = time.monotonic() + delay * random.uniform(0.5, 1)

    def _lost(self, reason: str) -> None:
        if not self._stream:
            return
        self._selector.unregister(self._stream.socket)
        self._stream.close()
        self._stream = None
        self._last_failure = reason
        for id, call in list(self._calls.items()):
            if not call.outgoing:
                self._end(id, ConnectionLost(call.was_delivered, reason))
        if self._calls or self._options.reconnects:
            self._connect_soon()
