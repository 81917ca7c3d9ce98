"""Writes dequantise.json: packed blocks of every readable type and what the `gguf` package unpacks them to.

Needs numpy and gguf from PyPI; run in this folder: python make_goldens.py
"""

import json

import gguf
import numpy as np

random = np.random.default_rng(20240611)
# Where the F16 numbers of a block lie; everything else in a block is free.
HALVES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
    "IQ4_NL": [0], "IQ4_XS": [0],
}

# Scales that break careless code: the largest, and the smallest numbers with and without a leading bit.
EDGES = [(0x7BFF, 0xFBFF), (0xFBFF, 0x8001), (0x0001, 0x03FF), (0x83FF, 0x0400)]
FILLS = [0xFF, 0x80, 0x00, None]


def append(name, blocks):
    values = gguf.quants.dequantize(blocks.reshape(-1), gguf.GGMLQuantizationType[name]).astype(np.float32)
    cases.append({"type": name, "packed": blocks.tobytes().hex(), "values": values.tobytes().hex()})


cases = []
for name, places in HALVES.items():
    kind = gguf.GGMLQuantizationType[name]
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = random.integers(0, 256, (1 if elements == 256 else 2, size), dtype=np.uint8)
    for block in blocks:
        for place in places:
            half = np.float16(random.uniform(-0.05, 0.05))
            block[place : place + 2] = np.frombuffer(half.tobytes(), dtype=np.uint8)
    append(name, blocks)

for name, places in HALVES.items():
    elements, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]]
    for edges, fill in list(zip(EDGES, FILLS))[:: 3 if elements == 256 else 1]:
        block = random.integers(0, 256, size, dtype=np.uint8) if fill is None else np.full(size, fill, np.uint8)
        for place, edge in zip(places, edges):
            block[place : place + 2] = np.frombuffer(np.uint16(edge).tobytes(), dtype=np.uint8)
        append(name, block)

halves = np.array([0x0000, 0x8000, 0x0001, 0x03FF, 0x8200, 0x0400, 0x3C00, 0xC248, 0x7BFF, 0x7C00, 0xFC00], np.uint16)
cases.append({"type": "F16", "packed": halves.tobytes().hex(),
              "values": halves.view(np.float16).astype(np.float32).tobytes().hex()})
brains = np.array([0x0000, 0x8000, 0x0001, 0x3F80, 0xC049, 0x7F7F, 0x7F80], np.uint16)
cases.append({"type": "BF16", "packed": brains.tobytes().hex(),
              "values": (brains.astype(np.uint32) << 16).view(np.float32).tobytes().hex()})

with open("dequantise.json", "w") as file:
    json.dump(cases, file, indent=0)
    file.write("\n")
