"""How a client and a server agree, over the Unix socket, before the first message.

This client asks for no shared memory: its messages travel over the same socket, right behind the server's welcome.
"""

from __future__ import annotations

import errno
import socket
import struct
import time
from dataclasses import dataclass
from typing import NamedTuple, Tuple

from .errors import NotConnected, Refused, RefusalReason, WireError

#: One frame: 64 bytes, little-endian, the same in every version of the protocol.
#:
#: | offset | type | hello | welcome | refusal |
#: |---|---|---|---|---|
#: | 0 | u32 | magic `APSH` | same | same |
#: | 4 | u16 | kind 1 | 2 | 4 |
#: | 8 | u16 | lowest version | version | lowest version of the server |
#: | 10 | u16 | highest version | – | highest version of the server |
#: | 12 | u32 | features wanted | features agreed | reason |
#: | 16, 20 | u32 | capacities of rings; 0 without shared memory | same | – |
#: | 24 | u32 | bytes of the longest message | the smaller one | – |
#: | 28 | u32 | bytes of token that follow | calls at a time | bytes of text that follow |
#: | 32 | u64 | – | connection id | – |
#: | 40 | u64 | – | generation of the server | – |
FRAME = struct.Struct("<4sHHHHIIIIIQQ16s")


class _Frame(NamedTuple):
    magic: bytes
    kind: int
    zero: int
    low: int
    high: int
    #: Features, or the reason of a refusal.
    word: int
    client_ring: int
    server_ring: int
    message_bytes: int
    #: Bytes of the text that follows a refusal; calls at a time of a welcome.
    extra: int
    connection_id: int
    generation: int
    rest: bytes


MAGIC = b"APSH"
HELLO, WELCOME, REFUSAL = 1, 2, 4
#: The lowest and the highest version that this client speaks.
VERSIONS = (2, 2)
#: The feature that the checksums of messages cover their payloads.
PAYLOAD_CHECKSUMS = 2
MESSAGE_BYTES = 64 << 20
TOKEN_BYTES = 4_096
REFUSAL_TEXT_BYTES = 255
#: How long an agreement may take.
SECONDS = 1.0


@dataclass(frozen=True)
class Agreement:
    version: int
    #: Whether the checksums of messages cover their payloads.
    checks_payloads: bool
    #: Bytes of the longest message that the server takes.
    message_bytes: int
    #: Calls that the server takes at a time.
    calls: int
    connection_id: int
    #: Another number after the server was started again.
    generation: int


def encoded_token(token: str) -> bytes:
    """The token's bytes; raises `WireError` when there are too many."""
    encoded = token.encode()
    if len(encoded) > TOKEN_BYTES:
        raise WireError(f"{len(encoded)} bytes are over the limit of {TOKEN_BYTES}", "token")
    return encoded


def connect(path: str, token: bytes = b"", checks_payloads: bool = False) -> Tuple[socket.socket, Agreement]:
    """Connects to a server's socket and agrees with it, within a second.

    Raises `Refused` when the server does not want this client, `NotConnected` when there is none or it does not answer,
    and `WireError` when its answer is no handshake.
    """
    deadline = time.monotonic() + SECONDS
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _connect(connection, path, deadline)
        agreement = agree(connection, deadline, token, checks_payloads)
        connection.setblocking(False)
        return connection, agreement
    except socket.timeout:
        connection.close()
        raise NotConnected(f"no agreement within {SECONDS:g} s") from None
    except OSError as error:
        connection.close()
        raise NotConnected(f"{path}: {error.strerror or error}") from error
    except BaseException:
        connection.close()
        raise


def _connect(connection: socket.socket, path: str, deadline: float) -> None:
    while True:
        connection.settimeout(_rest(deadline))
        try:
            return connection.connect(path)
        except BlockingIOError:
            # The server's queue of connections is full, and may not be a moment later.
            time.sleep(0.001)


def agree(connection: socket.socket, deadline: float, token: bytes, checks_payloads: bool) -> Agreement:
    """Says hello and reads the answer."""
    features = PAYLOAD_CHECKSUMS if checks_payloads else 0
    hello = FRAME.pack(MAGIC, HELLO, 0, *VERSIONS, features, 0, 0, MESSAGE_BYTES, len(token), 0, 0, bytes(16))
    connection.settimeout(_rest(deadline))
    try:
        connection.sendall(hello + token)
    except OSError as error:
        # A server may refuse before it has read all of this: then its words are there to be read.
        if error.errno not in (errno.EPIPE, errno.ECONNRESET):
            raise
    return _answer(connection, deadline, features)


def _answer(connection: socket.socket, deadline: float, features: int) -> Agreement:
    frame = _Frame._make(FRAME.unpack(_receive(connection, FRAME.size, deadline)))
    if frame.magic != MAGIC:
        raise WireError("these bytes are no handshake of Apus", "handshake")
    if frame.kind == REFUSAL:
        raise _refusal(connection, deadline, frame)
    if frame.kind != WELCOME:
        raise WireError(f"a frame of kind {frame.kind} where another one belongs", "handshake")
    if frame.zero or frame.high or any(frame.rest):
        raise WireError("a reserved byte is not zero", "handshake")
    if not VERSIONS[0] <= frame.low <= VERSIONS[1]:
        raise WireError(f"version {frame.low} was not asked for", "handshake")
    if frame.word & ~features or frame.client_ring or frame.server_ring:
        raise WireError(f"features {frame.word} were not asked for", "handshake")
    if not 24 <= frame.message_bytes <= MESSAGE_BYTES:
        raise WireError(f"{frame.message_bytes} bytes of the longest message were not asked for", "handshake")
    if not frame.extra:
        raise WireError("the server takes no calls", "handshake")
    return Agreement(
        frame.low, bool(frame.word & PAYLOAD_CHECKSUMS), frame.message_bytes, frame.extra, frame.connection_id,
        frame.generation)


def _refusal(connection: socket.socket, deadline: float, frame: _Frame) -> Refused:
    if frame.extra > REFUSAL_TEXT_BYTES:
        raise WireError(f"a text of {frame.extra} bytes is over the limit of {REFUSAL_TEXT_BYTES}", "handshake")
    text = _receive(connection, frame.extra, deadline).decode(errors="replace")
    known = frame.word in RefusalReason.__members__.values()
    return Refused(RefusalReason(frame.word) if known else RefusalReason.OTHER, text, (frame.low, frame.high))


def _receive(connection: socket.socket, count: int, deadline: float) -> bytes:
    """Exactly so many bytes, never one of what comes behind them."""
    data = b""
    while len(data) < count:
        connection.settimeout(_rest(deadline))
        part = connection.recv(count - len(data))
        if not part:
            raise NotConnected("the server closed the connection during the handshake")
        data += part
    return data


def _rest(deadline: float) -> float:
    rest = deadline - time.monotonic()
    if rest <= 0:
        raise socket.timeout
    return rest
