"""A server for the tests of the client: it shakes hands, and answers as a test says."""

import array
import os
import socket
import struct
import tempfile
import threading

from apus import messages as m
from apus import wire
from apus.stream import memory_file


def welcome(version=2, features=0, message_bytes=64 << 20, calls=256, magic=b"APSH"):
    return struct.pack("<4sHHHHIIIIIQQ16x", magic, 2, 0, version, 0, features, 0, 0, message_bytes, calls, 7, 9)


def refusal(reason, text="", versions=(2, 2)):
    encoded = text.encode()
    return struct.pack("<4sHHHHIIIIIQQ16x", b"APSH", 4, 0, *versions, reason, 0, 0, 0, len(encoded), 0, 0) + encoded


class FakeServer:
    """Listens at a path and calls `answer(peer, message)` for each message of each client, on the client's thread.

    `greetings` are what the first clients get instead of a welcome.
    """

    def __init__(self, answer=lambda peer, message: None, greetings=(), path=None):
        self._folder = tempfile.TemporaryDirectory() if path is None else None
        self.path = path or os.path.join(self._folder.name, "ipc")
        self._answer = answer
        self._greetings = list(greetings)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.path)
        self._listener.listen(16)
        self.peers = []
        self.hellos = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        if self._folder:
            self._folder.cleanup()

    def stop(self):
        # Closing alone does not wake a thread in accept.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        os.unlink(self.path)
        for peer in self.peers:
            peer.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            peer = Peer(connection, self._answer)
            self.peers.append(peer)
            greeting = self._greetings.pop(0) if self._greetings else welcome()
            threading.Thread(target=peer.serve, args=(greeting, self.hellos), daemon=True).start()


class Peer:
    """One client, as the server sees it."""

    def __init__(self, connection, answer):
        self._socket = connection
        self._answer = answer
        self._received = b""
        self._descriptors = []
        self.windows = {}
        self._writes = threading.Lock()

    def serve(self, greeting, hellos):
        try:
            fields = struct.unpack("<4sHHHHIIIIIQQ16x", self._read(64))
            hellos.append((fields, self._read(fields[9])))
            self._socket.sendall(greeting)
            if greeting[4] != 2:
                return self.close()
            while True:
                self._take(self._next())
        except (OSError, EOFError):
            self.close()

    def _take(self, message):
        """Counts windows as the server does: a call has one from its beginning."""
        if isinstance(message.body, m.LocalCall):
            self.windows[message.call] = m.WINDOW
        if isinstance(message.body, m.Window):
            self.windows[message.call] = min(m.WINDOW, self.windows[message.call] + message.body.bytes)
        self._answer(self, message)

    def _read(self, count):
        while len(self._received) < count:
            data, ancillary, _, _ = self._socket.recvmsg(65536, socket.CMSG_SPACE(64))
            if not data:
                raise EOFError
            for _, _, content in ancillary:
                self._descriptors += array.array("i", content)
            self._received += data
        data, self._received = self._received[:count], self._received[count:]
        return data

    def _next(self):
        header = wire.Header.decode(self._read(24))
        if not header.is_external:
            return wire.decode(header, self._read(header.length))
        self.file = self._descriptors.pop(0)
        return wire.decode(header, os.pread(self.file, header.length, 0))

    # ---- To the client

    def send(self, call, *events):
        self.say(0, m.Events([m.CallEvent(call, event) for event in events]))

    def say(self, call, body):
        self.send_bytes(wire.encode(m.Message(call, body)))

    def send_bytes(self, data, descriptors=()):
        with self._writes:
            if descriptors:
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
                data = data[self._socket.sendmsg([data], rights):]
            if data:
                self._socket.sendall(data)

    def send_external(self, call, *events):
        """The same as `send`, with the payload in a memory file."""
        data = wire.encode(m.Message(0, m.Events([m.CallEvent(call, event) for event in events])))
        file = memory_file(memoryview(data)[24:])
        self.send_bytes(wire.external_header(data), [file])
        os.close(file)

    def close(self):
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()


# ---- Answers


def tokens(text, choice=0, kind=m.TokenKind.CONTENT):
    return m.Tokens(choice, kind, (1,), text)


FINISHED = m.Finished(m.Usage(3, 2, 0, 0, 0), m.Timings(1, 2, 3, 4))


def generation(*texts):
    """The events of a whole generation."""
    return [m.Accepted(3, 0), m.Started(0), *map(tokens, texts), m.ChoiceFinished(0, m.FinishReason.STOP), FINISHED]
