"""CRC-32C: the Castagnoli polynomial 0x82F63B78, reflected; `123456789` has 0xE3069283."""

from __future__ import annotations


def _entry(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_TABLE = tuple(_entry(byte) for byte in range(256))


def crc32c(data: bytes, start: int = 0) -> int:
    """The checksum of `data`, or of what `start` is the checksum of, followed by `data`."""
    crc = start ^ 0xFFFF_FFFF
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFF_FFFF
