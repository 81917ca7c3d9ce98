#!/usr/bin/env python3
"""The fuzzer's corpus between its folder, a file for each input, and corpus.txt beside this script, a line for each.

Usage: corpus.py unpack FOLDER | corpus.py pack FOLDER

In corpus.txt the checksums of messages are right, so that every decoder gets past them; inputs of more than 600 bytes stay
in the folder.
"""
import hashlib
import struct
import sys
from pathlib import Path

LINES = Path(__file__).with_name("corpus.txt")
LONGEST = 600
HEADER = 24


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def with_checksum(data):
    """An input with the right checksum, if it is taken for a message: those begin with an even byte."""
    message = data[1:]
    if not data or data[0] & 1 or len(message) < HEADER:
        return data
    covered = message[:20] + bytes(4) + (message[HEADER:] if message[5] & 2 else b"")
    return b"\0" + message[:20] + struct.pack("<I", crc32c(covered)) + message[HEADER:]


def main():
    action, folder = sys.argv[1], Path(sys.argv[2])
    if action == "unpack":
        folder.mkdir(parents=True, exist_ok=True)
        for line in LINES.read_text().split():
            data = bytes.fromhex(line)
            (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)
    else:
        inputs = {with_checksum(path.read_bytes()) for path in folder.iterdir()}
        kept = sorted((data for data in inputs if 0 < len(data) <= LONGEST), key=lambda data: (len(data), data))
        LINES.write_text("".join(data.hex() + "\n" for data in kept))
        print(f"{len(kept)} inputs in {LINES.name}")


if __name__ == "__main__":
    main()
