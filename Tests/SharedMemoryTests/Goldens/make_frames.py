"""Writes frames.txt: handshake frames and the head of a segment, made from the tables of the documentation alone.

Each line is a name and bytes in hexadecimal, without trailing zeros.
"""

import pathlib
import struct


def frame(kind, low=0, high=0, features=0, client=0, server=0, message=0, count=0, connection=0, generation=0):
    return struct.pack(
        "<4sHHHHIIIIIQQ16x", b"APSH", kind, 0, low, high, features, client, server, message, count, connection,
        generation)


def segment(capacity, role, connection, generation):
    return struct.pack("<4sHHIIQQ", b"APSM", 2, 1024, capacity, role, connection, generation)


lines = {
    "hello": frame(1, 1, 3, 3, 65536, 131072, 1 << 20, 5),
    "hello-stream": frame(1, 1, 1, 2, 0, 0, 64 << 20, 0),
    "welcome": frame(2, 1, 0, 3, 65536, 32768, 1 << 20, 256, 0x1122334455667788, 9),
    "ready": frame(3, connection=0x1122334455667788),
    "refusal": frame(4, 1, 2, 6, count=11),
    "server-segment": segment(16384, 1, 7, 3),
    "client-segment": segment(16384, 2, 0, 0),
}
for name, made in lines.items():
    assert name.endswith("segment") or len(made) == 64, name
text = "".join(f"{name} {made.rstrip(bytes(1)).hex()}\n" for name, made in lines.items())
(pathlib.Path(__file__).parent / "frames.txt").write_text(text)
