"""Writes messages.txt: link messages as hex, encoded without any of the project's code.

Run in this folder: python3 make_messages.py > messages.txt
The same values are written down again in GoldenMessageTests.swift.
"""

import struct

TYPES = {"hello": 0x10, "load": 0x300, "inspect": 0x301, "generate": 0x302, "score": 0x303, "tokenize": 0x304,
         "detokenize": 0x305, "renderTemplate": 0x306, "cancel": 0x307, "credit": 0x308, "embed": 0x309, "pause": 0x30A,
         "openSession": 0x30B, "changeSession": 0x30C, "closeSession": 0x30D, "loadAdapter": 0x30E, "unloadAdapter": 0x30F,
         "events": 0x340,
         "attachment": 0x11, "ping": 5, "pong": 6, "window": 0x130, "localCall": 0x360, "listModels": 0x361,
         "models": 0x362}


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


assert crc32c(b"123456789") == 0xE3069283


class Range:
    """A value in the tail: plain bytes, a list of structures, or None for an absent one."""

    def __init__(self, parts):
        self.parts = parts  # None, bytes, or a list of field lists


def flat(fields, tail_start, out):
    """Encodes one structure; appends its ranges' bytes to `out` (a bytearray that begins at tail_start)."""
    fixed = bytearray()
    for field in fields:
        if not isinstance(field, Range):
            fixed += field
            continue
        if field.parts is None:
            fixed += struct.pack("<II", 0, 0)
            continue
        offset = tail_start + len(out)
        if isinstance(field.parts, bytes):
            fixed += struct.pack("<II", offset, len(field.parts))
            out += field.parts
            continue
        sizes = [sum(8 if isinstance(f, Range) else len(f) for f in fields) for fields in field.parts]
        fixed += struct.pack("<II", offset, sum(sizes))
        place = len(out)
        out += bytes(sum(sizes))
        for element, size in zip(field.parts, sizes):
            out[place:place + size] = flat(element, tail_start, out)
            place += size
    return fixed


def payload(fields):
    size = sum(8 if isinstance(f, Range) else len(f) for f in fields)
    tail = bytearray()
    fixed = flat(fields, size, tail)
    return bytes(fixed + tail)


def message(kind, identifier, fields, checksum=False):
    body = payload(fields)
    head = b"SIPC" + struct.pack("<BBHIQ", 2, 2 if checksum else 0, TYPES[kind], len(body), identifier)
    covered = head + bytes(4) + (body if checksum else b"")
    return head + struct.pack("<I", crc32c(covered)) + body


def u8(v): return struct.pack("<B", v)
def i8(v): return struct.pack("<b", v)
def u16(v): return struct.pack("<H", v)
def u32(v): return struct.pack("<I", v)
def u64(v): return struct.pack("<Q", v)
def f32(v): return struct.pack("<f", v)
def f64(v): return struct.pack("<d", v)
def optional(v): return u32(0) + u32(0) if v is None else u32(1) + u32(v)
def text(v): return Range(None if v is None else v.encode())
def ids(*v): return Range(b"".join(struct.pack("<i", i) for i in v))
def one(fields): return Range([fields])
def tensor(rows, columns, *v): return [u32(rows), u32(columns), Range(b"".join(f32(x) for x in v))]


def chat(messages, tools=None, template=None, variables=None, prompt=True):
    return [text(messages), text(tools), text(template), text(variables), u8(prompt), bytes(3)]


def event(call, kind, fields):
    return [u64(call), u16(kind), u16(0), one(fields)]


def error(code, fields):
    return [u16(code), u16(0), one(fields)]


def logprob(token, value, data):
    return [u32(token), f32(value), Range(data)]


def result(code, fields):
    return [u16(code), u16(0), one(fields)]


CALL = 3 << 48 | 77
SESSION = 1 << 60
TENSOR = tensor(2, 3, 0, -1.5, float("inf"), 2.0 ** -149, 340282346638528859811704183484516925440.0, 7)
GOLDENS = {
    "hello": message("hello", 0, [u8(1), bytes(3), u64(0x0123456789ABCDEF)]),
    "load": message("load", CALL, [u8(0), u8(2), u8(8), u8(1), u32(3), u8(0), bytes(3), u32(2), optional(4096), u32(8), u32(2),
                                    u64(1 << 34), text("модель.gguf"),
                                    one([optional(1), u8(1), u8(4), u8(2), u8(1), u32(0xF0)])]),
    "loadDemo": message("load", 0, [u8(1), u8(0), u8(1), u8(0), u32(0), u8(255), bytes(3), u32(0), optional(None), u32(0), u32(0),
                                     u64(0), text(""), Range(None)]),
    "inspect": message("inspect", CALL, []),
    "cancel": message("cancel", CALL, [], checksum=True),
    "credit": message("credit", CALL, [u32(262144)]),
    "embed": message("embed", CALL, [
        Range([[u8(1), bytes(3), text("x")], [u8(2), bytes(3), ids(4)]]), u8(2), u8(1), i8(4), u8(0), u64(99),
        text("tenant-b")]),
    "generate": message("generate", CALL, [
        Range([[u8(0), bytes(3), one(chat('[{"role":"user"}]', tools="[]", variables="{}"))],
               [u8(1), bytes(3), text("Once upon")],
               [u8(2), bytes(3), ids(1, -2, 300)],
               [u8(3), bytes(3), one(TENSOR)],
               [u8(4), bytes(3), Range(None)],
               [u8(5), bytes(3), one([text("<image>?"), Range([
                   [u8(0), bytes(3), u32(1), u32(1), u32(2), u32(392), u32(393), text("<a>"), text("<b>"), text(""), *TENSOR],
                   [u8(1), bytes(3), u32(2), u32(3), u32(4), u32(5), u32(6), text(""), text(""), text(""), *tensor(0, 8)],
               ])])]]),
        u32(2), optional(64), u8(1), i8(-5), u8(3), u8(0), u64(123456789012345),
        u32(3), optional(5), u8(1), bytes(3), u8(1), u8(1), u16(0), u64(1 << 40),
        f32(0.5), f32(0.9), u32(40), f32(0.05), f32(1.1), f32(-0.25), f32(0.75),
        f32(0.95), f32(1.5), f32(0.25), f32(0.125), f32(0.3), f32(2),
        f32(0.8), f32(1.5), u32(4), optional(1024), Range([[text("\n")], [text("§")]]),
        u8(2), bytes(3), f32(4), f32(0.2), u64(2**64 - 1),
        Range([[u32(0) + f32(-100)], [struct.pack("<i", 7) + f32(1.5)]]),
        Range([[text("\n\n")], [text("Ende ✓")]]), ids(2, 32000), text("tenant-a"), text("salt §"),
        one([u64(SESSION), u8(1), u8(1), u16(0), u32(77)]), text("Märchen"),
        one([*TENSOR, *tensor(1, 2, 1, 2), *tensor(1, 1, 0.5), ids(0, -1)]),
    ], checksum=True),
    "score": message("score", CALL, [text("a b c"), optional(128)]),
    "tokenize": message("tokenize", CALL, [text("naïve"), u8(1), u8(0), u16(0)]),
    "detokenize": message("detokenize", CALL, [ids(0, 1, 2)]),
    "renderTemplate": message("renderTemplate", CALL, chat("[]", template="{{ x }}", prompt=False)),
    "pause": message("pause", CALL, []),
    "openSession": message("openSession", CALL, [u64(SESSION)]),
    "closeSession": message("closeSession", CALL, [u64(SESSION)]),
    "clearSession": message("changeSession", CALL, [u64(SESSION), u8(0), u8(1), u16(0), u32(0), u32(0)]),
    "clearRange": message("changeSession", CALL, [u64(SESSION), u8(1), u8(0), u16(0), u32(3), u32(9)]),
    "loadCache": message("changeSession", CALL, [u64(SESSION), u8(2), u8(0), u16(0), u32(0), u32(0)]),
    "releaseCache": message("changeSession", CALL, [u64(SESSION), u8(3), u8(0), u16(0), u32(0), u32(0)]),
    "loadAdapter": message("loadAdapter", CALL, [text("Märchen"), f32(0.5)]),
    "unloadAdapter": message("unloadAdapter", CALL, [text("Märchen")]),
    "attachment": message("attachment", 0, []),
    "ping": message("ping", 2**64 - 1, []),
    "pong": message("pong", 7, []),
    "window": message("window", CALL, [u32(65536)]),
    "localCall": message("localCall", CALL, [
        text("démo"), text("req_1.a-b"), u8(1), u8(0), u16(TYPES["score"]), one([text("a b c"), optional(128)])]),
    "localCallOfNothing": message("localCall", 1, [text(""), text(""), u8(0), u8(0), u16(TYPES["inspect"]), one([])]),
    "listModels": message("listModels", 5, []),
    "models": message("models", 5, [Range([
        [text("a"), text("ready"), u32(4096)], [text("b"), text("backing off"), u32(0)]])]),
    "eventsOfAGeneration": message("events", 0, [Range([
        event(CALL, 0, [u32(17), u32(3)]),
        event(CALL, 1, [u32(16)]),
        event(CALL, 2, [u32(1), u8(1), bytes(3), ids(5, 6), text("Grüße"), Range([
            [*logprob(5, -0.5, "Gr".encode()), Range([logprob(5, -0.5, "Gr".encode()), logprob(9, -2, b"\xff")])],
            [*logprob(6, -9999, "üße".encode()), Range([])],
        ])]),
        event(CALL + 1, 2, [u32(0), u8(0), bytes(3), ids(), text(""), Range([])]),
        event(CALL, 8, [u32(1), u8(1), bytes(3), u32(16), *TENSOR]),
        event(CALL, 8, [u32(0), u8(0), bytes(3), u32(0), *tensor(0, 8)]),
        event(CALL, 3, [u32(1), u8(1), bytes(3)]),
        event(CALL, 4, [u32(17), u32(2), u32(16), u32(1), u32(4), u32(0), u64(1), u64(2), u64(3), u64(4), Range(None)]),
        event(CALL, 4, [u32(1), u32(0), u32(0), u32(0), u32(0), u32(0), u64(0), u64(0), u64(0), u64(0),
                        one([f32(1.5), u32(2), f32(2.5), u32(4), f32(512)])]),
    ])]),
    "eventsOfFailures": message("events", 0, [Range([
        event(1, 5, error(0, [text("stop"), text("too many")])),
        event(2, 5, error(1, [text("no key")])),
        event(3, 5, error(2, [text("a/b")])),
        event(4, 5, error(3, [text("m")])),
        event(5, 5, error(4, [u32(2048), u32(2000), u32(100)])),
        event(6, 5, error(5, [text("tools")])),
        event(7, 5, error(6, [u32(1500)])),
        event(8, 5, error(7, [u32(250)])),
        event(9, 5, error(8, [])),
        event(10, 5, error(9, [])),
        event(11, 5, error(10, [u32(10), text("loading")])),
        event(12, 5, error(11, [u32(20), u8(1), bytes(3)])),
        event(13, 5, error(12, [])),
        event(14, 5, error(13, [u8(1), bytes(3), text("KV cache")])),
        event(15, 5, error(14, [])),
        event(16, 5, error(15, [text("id-1"), text("broken")])),
    ])]),
    "eventsOfResults": message("events", 0, [Range([
        event(CALL, 6, result(0, [text("llama"), text("demo"), u64(3000000), u32(4096), u32(288), u32(2048), u32(4096), u32(4),
                                  u32(2), u8(1), u8(8), bytes(2), u64(6000000), u64(1 << 33), u64(3 << 32), u64(9),
                              u64(1 << 40), u64(77), f64(1.5e12), f64(2e10), text("neon")])),
        event(CALL, 6, result(1, [text("{}")])),
        event(CALL, 6, result(2, [u64(12), f64(2.5)])),
        event(CALL, 6, result(3, [ids(9, 8)])),
        event(CALL, 6, result(4, [Range(b"\xff\x00")])),
        event(CALL, 6, result(5, [text("<s>")])),
        event(CALL, 6, result(6, [*TENSOR, u32(21)])),
        event(CALL, 6, result(7, [u32(40), u32(32), u8(1), bytes(3)])),
        event(CALL, 6, result(8, [])),
        event(0, 7, [u64(1), u32(2), u32(3)] + [u64(number) for number in range(4, 18)]),
    ])], checksum=True),
}

for name, data in GOLDENS.items():
    print(name, data.hex())
