"""A small GGUF (version 3) writer and reader, with Q8_0: what this model needs and no more.

Layout: magic, version, counts, metadata, tensor table, then tensor data, each tensor aligned to 32 bytes.
Q8_0: blocks of 32 weights, a float16 scale (largest magnitude / 127) and 32 signed bytes.
"""

import struct

import numpy as np

ALIGNMENT = 32
U32, I32, F32, BOOL, STRING, ARRAY, U64 = 4, 5, 6, 7, 8, 9, 10
TYPE_F32, TYPE_Q8_0 = 0, 8
SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", U32: "<I", I32: "<i", F32: "<f", BOOL: "<?", U64: "<Q", 11: "<q", 12: "<d"}


def quantised(values: np.ndarray) -> bytes:
    """Q8_0 bytes of a [rows, columns] array, columns a multiple of 32."""
    blocks = values.astype(np.float32).reshape(-1, 32)
    scale = (np.abs(blocks).max(axis=1) / 127).astype(np.float16)
    inverse = np.divide(1.0, scale.astype(np.float32), out=np.zeros(len(scale), np.float32), where=scale != 0)
    out = np.empty((len(blocks), 34), np.uint8)
    out[:, :2] = scale.view(np.uint8).reshape(-1, 2)
    out[:, 2:] = np.clip(np.rint(blocks * inverse[:, None]), -127, 127).astype(np.int8).view(np.uint8)
    return out.tobytes()


def dequantised(data: bytes, shape: tuple) -> np.ndarray:
    blocks = np.frombuffer(data, np.uint8).reshape(-1, 34)
    scale = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    return (blocks[:, 2:].copy().view(np.int8).astype(np.float32) * scale).reshape(shape)


def _string(text: str) -> bytes:
    raw = text.encode("utf-8")
    return struct.pack("<Q", len(raw)) + raw


def _value(kind, value) -> bytes:
    if kind == STRING:
        return _string(value)
    if kind == ARRAY:
        element, items = value
        return struct.pack("<IQ", element, len(items)) + b"".join(_value(element, item) for item in items)
    return struct.pack(SCALARS[kind], value)


def write(path, metadata, tensors):
    """metadata: [(key, kind, value)]; tensors: [(name, array [rows, columns] or [n], type)]."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    for key, kind, value in metadata:
        head += _string(key) + struct.pack("<I", kind) + _value(kind, value)
    at, bodies = 0, []
    for name, array, kind in tensors:
        body = quantised(array) if kind == TYPE_Q8_0 else array.astype("<f4").tobytes()
        head += _string(name) + struct.pack("<I", array.ndim) + b"".join(struct.pack("<Q", n) for n in reversed(array.shape)) + struct.pack("<IQ", kind, at)
        body += b"\0" * (-len(body) % ALIGNMENT)
        bodies.append(body)
        at += len(body)
    head += b"\0" * (-len(head) % ALIGNMENT)
    with open(path, "wb") as out:
        out.write(head + b"".join(bodies))


def read(path):
    """(metadata as a dictionary, tensors as float32 arrays [rows, columns])."""
    data = open(path, "rb").read()
    at = 0

    def take(form):
        nonlocal at
        (value,) = struct.unpack_from(form, data, at)
        at += struct.calcsize(form)
        return value

    def text():
        nonlocal at
        size = take("<Q")
        at += size
        return data[at - size : at].decode("utf-8")

    def value(kind):
        if kind == STRING:
            return text()
        if kind == ARRAY:
            element, count = take("<I"), take("<Q")
            return [value(element) for _ in range(count)]
        return take(SCALARS[kind])

    if data[:4] != b"GGUF":
        raise ValueError("not a GGUF file")
    at = 4
    version, tensor_count, key_count = take("<I"), take("<Q"), take("<Q")
    if version != 3:
        raise ValueError(f"GGUF version {version}, expected 3")
    metadata = {}
    for _ in range(key_count):
        key = text()
        metadata[key] = value(take("<I"))
    table = []
    for _ in range(tensor_count):
        name, axes = text(), take("<I")
        shape = tuple(reversed([take("<Q") for _ in range(axes)]))
        table.append((name, shape, take("<I"), take("<Q")))
    at += -at % ALIGNMENT
    tensors = {}
    for name, shape, kind, offset in table:
        count = int(np.prod(shape))
        start = at + offset
        if kind == TYPE_Q8_0:
            tensors[name] = dequantised(data[start : start + count // 32 * 34], shape)
        else:
            tensors[name] = np.frombuffer(data, "<f4", count, start).reshape(shape).copy()
    return metadata, tensors
