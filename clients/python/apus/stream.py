"""Messages over a connected socket: bytes and descriptors in, messages out, and the reverse."""

from __future__ import annotations

import array
import collections
import fcntl
import os
import socket
from typing import Deque, Iterator, Optional

from . import messages as m
from . import wire
from .errors import ApusError, WireError

#: Longer payloads travel as a sealed memory file instead of in the stream, in bytes.
INLINE_LIMIT = 256 << 10
#: Bytes that are read at a time.
READ_BYTES = 64 << 10
#: Descriptors that were received and belong to a message that is not complete yet.
DESCRIPTOR_LIMIT = 129
#: What a server says to a client.
INCOMING = (m.Events, m.Models, m.Ping, m.Pong)

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class Ended(ApusError):
    """The other side closed the connection."""


class Outgoing:
    """One encoded message; a long payload is a memory file, which is closed with `close`."""

    def __init__(self, message: m.Message, checks_payload: bool = False) -> None:
        self.file: Optional[int] = None
        data = wire.encode(message, wire.PAYLOAD_CHECKSUM if checks_payload else 0)
        self.size = len(data)
        self.data = data
        if len(data) - wire.HEADER_SIZE > INLINE_LIMIT:
            self.data = wire.external_header(data)
            self.file = memory_file(memoryview(data)[wire.HEADER_SIZE:])

    def close(self) -> None:
        if self.file is not None:
            os.close(self.file)
            self.file = None

    def __del__(self) -> None:
        self.close()


def memory_file(payload: memoryview) -> int:
    """A descriptor of a file in memory with these bytes, which nobody can change any more."""
    file = os.memfd_create("apus-payload", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        written = 0
        while written < len(payload):
            written += os.write(file, payload[written:])
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(file)
        raise
    return file


class Stream:
    """The messages of one socket, which never waits; used by one thread."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.socket = connection
        self._received = bytearray()
        self._descriptors: Deque[int] = collections.deque()
        self._outgoing: Deque[Outgoing] = collections.deque()
        #: Bytes of the first outgoing message that have left.
        self._written = 0

    def close(self) -> None:
        self.socket.close()
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()
        for outgoing in self._outgoing:
            outgoing.close()
        self._outgoing.clear()

    # ---- Writing

    @property
    def waits_to_write(self) -> bool:
        return bool(self._outgoing)

    def send(self, outgoing: Outgoing) -> None:
        """Sends at once what there is room for, and keeps the rest for `flush`; raises `OSError`."""
        self._outgoing.append(outgoing)
        if len(self._outgoing) == 1:
            self.flush()

    def flush(self) -> None:
        while self._outgoing:
            first = self._outgoing[0]
            try:
                self._written += self._write(first)
            except BlockingIOError:
                return
            if self._written == len(first.data):
                first.close()
                self._outgoing.popleft()
                self._written = 0

    def _write(self, outgoing: Outgoing) -> int:
        data = memoryview(outgoing.data)[self._written:]
        if outgoing.file is None or self._written:
            return self.socket.send(data, socket.MSG_NOSIGNAL)
        rights = array.array("i", [outgoing.file])
        return self.socket.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)], socket.MSG_NOSIGNAL)

    # ---- Reading

    def receive(self) -> Iterator[m.Message]:
        """The messages that are there; raises `Ended`, `OSError`, or `WireError` when they break the protocol."""
        self._read()
        yield from self._messages()
        # They travel with the first byte of their message, so between two messages there are none.
        if not self._received and self._descriptors:
            raise WireError(f"{len(self._descriptors)} descriptors belong to no message", "stream")

    def _read(self) -> None:
        room = socket.CMSG_SPACE(DESCRIPTOR_LIMIT * array.array("i").itemsize)
        try:
            data, ancillary, flags, _ = self.socket.recvmsg(READ_BYTES, room, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors = array.array("i")
                descriptors.frombytes(content[:len(content) - len(content) % descriptors.itemsize])
                self._descriptors.extend(descriptors)
        if flags & socket.MSG_CTRUNC or len(self._descriptors) > DESCRIPTOR_LIMIT:
            raise WireError(f"more than {DESCRIPTOR_LIMIT} descriptors", "stream")
        if not data:
            raise Ended("the server closed the connection")
        self._received += data

    def _messages(self) -> Iterator[m.Message]:
        place = 0
        while len(self._received) - place >= wire.HEADER_SIZE:
            header = wire.Header.decode(bytes(self._received[place:place + wire.HEADER_SIZE]))
            start = place + wire.HEADER_SIZE
            if header.is_external:
                payload, place = self._external(header.length), start
            elif header.length > INLINE_LIMIT:
                raise WireError(f"{header.length} bytes in the stream are over the limit of {INLINE_LIMIT}", "payload")
            elif len(self._received) - start < header.length:
                break
            else:
                place = start + header.length
                payload = bytes(self._received[start:place])
            message = wire.decode(header, payload)
            if not isinstance(message.body, INCOMING):
                raise WireError(f"a server does not say {type(message.body).__name__}", "stream")
            yield message
        del self._received[:place]

    def _external(self, length: int) -> bytes:
        """Reads a memory file, which is copied and not mapped: whoever made it could cut it short."""
        if not self._descriptors:
            raise WireError("the message's memory file is missing", "payload")
        file = self._descriptors.popleft()
        try:
            size = os.fstat(file).st_size
            if size != length:
                raise WireError(f"the memory file has {size} bytes instead of {length}", "payload")
            parts, place = [], 0
            while place < length:
                part = os.pread(file, length - place, place)
                if not part:
                    raise WireError(f"the memory file ends after {place} bytes", "payload")
                parts.append(part)
                place += len(part)
            return b"".join(parts)
        except OSError as error:
            raise WireError(f"the memory file cannot be read: {error.strerror}", "payload") from error
        finally:
            os.close(file)
