"""The building blocks of messages.

A payload is a fixed structure and a tail. A value of variable length is a range in the fixed part: its offset from
the payload's first byte and its length in bytes, both u32, little-endian. Ranges lie in the tail one after the other,
in the order of the fields, without gaps, so each value has exactly one encoding. The range (0, 0) is an absent value.

A codec has the `size` of its fixed part in bytes, and reads and writes one value. Reading trusts nothing: whatever the
bytes are, it returns a value or raises `WireError`.
"""

from __future__ import annotations

import enum
import math
import re
import struct
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Tuple, Type

from .errors import WireError

#: Bytes of the longest payload.
PAYLOAD_LIMIT = 64 << 20

_RANGE = struct.Struct("<II")


class Writer:
    """Fills the fixed part of a payload and appends to its tail."""

    def __init__(self, size: int) -> None:
        self.data = bytearray(size)
        self.place = 0

    def pack(self, layout: struct.Struct, *values: Any) -> None:
        layout.pack_into(self.data, self.place, *values)
        self.place += layout.size

    def reserve(self, count: int, element_size: int, limit: int) -> int:
        """Writes the range of values that are to be appended next; returns where they begin."""
        if count > limit:
            raise WireError(f"{count} is over the limit of {limit}")
        start, length = len(self.data), count * element_size
        if start + length > PAYLOAD_LIMIT:
            raise WireError(f"the message needs {start + length} bytes; the limit is {PAYLOAD_LIMIT}")
        self.pack(_RANGE, start, length)
        return start

    def structures(self, codec: Codec, values: Any, limit: int) -> None:
        """Appends structures; what they point to comes behind all of them."""
        start = self.reserve(len(values), codec.size, limit)
        outer = self.place
        self.data += bytes(len(values) * codec.size)
        for index, value in enumerate(values):
            self.place = start + index * codec.size
            codec.write(self, value)
        self.place = outer


class Reader:
    """Reads what `Writer` writes from bytes that nobody vouches for."""

    def __init__(self, data: bytes, size: int) -> None:
        if len(data) < size:
            raise WireError(f"the payload has {len(data)} bytes; its fixed part alone has {size}", "payload")
        self.data = data
        self.place = 0
        self._tail = size

    def unpack(self, layout: struct.Struct) -> Tuple[Any, ...]:
        values = layout.unpack_from(self.data, self.place)
        self.place += layout.size
        return values

    def zeros(self, count: int) -> None:
        if any(self.data[self.place:self.place + count]):
            raise WireError("a reserved byte is not zero")
        self.place += count

    def range(self, element_size: int, limit: int) -> Optional[bytes]:
        """The bytes of the next range, which must start where the one before it ended; None if the value is absent."""
        offset, length = self.unpack(_RANGE)
        if offset == 0 and length == 0:
            return None
        if offset != self._tail or length > len(self.data) - self._tail:
            raise WireError(f"offset {offset} with length {length} does not continue the tail of the payload")
        if length % element_size:
            raise WireError(f"length {length} does not fit elements of {element_size} bytes")
        if length // element_size > limit:
            raise WireError(f"{length // element_size} is over the limit of {limit}")
        self._tail += length
        return self.data[offset:offset + length]

    def required(self, element_size: int, limit: int) -> bytes:
        found = self.range(element_size, limit)
        if found is None:
            raise WireError("the value is missing")
        return found

    def structures(self, codec: Codec, limit: int) -> list:
        length = len(self.required(codec.size, limit))
        start, outer = self._tail - length, self.place
        values = []
        for place in range(start, start + length, codec.size):
            self.place = place
            values.append(codec.read(self))
        self.place = outer
        return values

    def structure(self, codec: Codec) -> Any:
        """A range that is exactly one structure."""
        found = self.optional_structure(codec)
        if found is None:
            raise WireError("the value is missing")
        return found

    def optional_structure(self, codec: Codec) -> Any:
        """The same; None if the value is absent."""
        found = self.range(1, codec.size)
        if found is None:
            return None
        length = len(found)
        if length != codec.size:
            raise WireError(f"length {length} is not that of the structure, {codec.size}")
        outer = self.place
        self.place = self._tail - length
        value = codec.read(self)
        self.place = outer
        return value

    def finish(self) -> None:
        """Checks that every byte was read."""
        if self._tail != len(self.data):
            raise WireError(f"{len(self.data) - self._tail} bytes follow the last field")


class Codec:
    size: int

    def read(self, reader: Reader) -> Any:
        raise NotImplementedError

    def write(self, writer: Writer, value: Any) -> None:
        raise NotImplementedError


class Integer(Codec):
    def __init__(self, layout: str, maximum: Optional[int] = None) -> None:
        self._layout = struct.Struct("<" + layout)
        self.size = self._layout.size
        bits = 8 * self.size
        self._low = -(1 << bits - 1) if layout.islower() else 0
        self._high = maximum if maximum is not None else (1 << bits - 1) - 1 if layout.islower() else (1 << bits) - 1

    def read(self, reader: Reader) -> int:
        return self._checked(reader.unpack(self._layout)[0])

    def write(self, writer: Writer, value: int) -> None:
        if not isinstance(value, int):
            raise WireError(f"{type(value).__name__} is no integer")
        writer.pack(self._layout, self._checked(value))

    def _checked(self, value: int) -> int:
        if not self._low <= value <= self._high:
            raise WireError(f"{value} is not from {self._low} to {self._high}")
        return value


class Float(Codec):
    def __init__(self, layout: str, finite: bool) -> None:
        self._layout = struct.Struct("<" + layout)
        self.size = self._layout.size
        self._finite = finite

    def read(self, reader: Reader) -> float:
        return self._checked(reader.unpack(self._layout)[0])

    def write(self, writer: Writer, value: float) -> None:
        if not isinstance(value, (int, float)):
            raise WireError(f"{type(value).__name__} is no number")
        try:
            writer.pack(self._layout, self._checked(value))
        except OverflowError:
            raise WireError(f"a number of {8 * self.size} bits cannot hold it") from None

    def _checked(self, value: float) -> float:
        if self._finite and not math.isfinite(value):
            raise WireError("not a finite number")
        return value


class Flag(Codec):
    size = 1
    _LAYOUT = struct.Struct("<B")

    def read(self, reader: Reader) -> bool:
        (value,) = reader.unpack(self._LAYOUT)
        if value > 1:
            raise WireError(f"{value} is neither 0 nor 1")
        return bool(value)

    def write(self, writer: Writer, value: bool) -> None:
        writer.pack(self._LAYOUT, 1 if value else 0)


class Enumeration(Codec):
    def __init__(self, number: Integer, choices: Type[enum.IntEnum]) -> None:
        self._number = number
        self._choices = choices
        self.size = number.size

    def read(self, reader: Reader) -> enum.IntEnum:
        return self._choice(self._number.read(reader))

    def write(self, writer: Writer, value: int) -> None:
        self._number.write(writer, self._choice(value))

    def _choice(self, value: int) -> enum.IntEnum:
        try:
            return self._choices(value)
        except ValueError:
            raise WireError(f"{value!r} has no meaning") from None


class Padded(Codec):
    """A value, and zeros behind it."""

    def __init__(self, codec: Codec, zeros: int) -> None:
        self._codec = codec
        self._zeros = zeros
        self.size = codec.size + zeros

    def read(self, reader: Reader) -> Any:
        value = self._codec.read(reader)
        reader.zeros(self._zeros)
        return value

    def write(self, writer: Writer, value: Any) -> None:
        self._codec.write(writer, value)
        writer.place += self._zeros


class Maybe(Codec):
    """1 and a value, or zeros for None."""

    def __init__(self, presence: Integer, codec: Codec) -> None:
        self._presence = presence
        self._codec = codec
        self.size = presence.size + codec.size

    def read(self, reader: Reader) -> Any:
        presence = self._presence.read(reader)
        if presence == 1:
            return self._codec.read(reader)
        if presence:
            raise WireError(f"{presence} is neither 0 nor 1")
        return reader.zeros(self._codec.size)

    def write(self, writer: Writer, value: Any) -> None:
        if value is None:
            writer.place += self.size
        else:
            self._presence.write(writer, 1)
            self._codec.write(writer, value)


# ---- Ranges


class Text(Codec):
    """UTF-8 of at most `limit` bytes; all of it matches the pattern, if there is one."""

    size = 8

    def __init__(self, limit: int, pattern: str = "") -> None:
        self._limit = limit
        self._pattern = re.compile(pattern) if pattern else None

    def read(self, reader: Reader) -> Any:
        return self._decoded(reader.required(1, self._limit))

    def write(self, writer: Writer, value: Any) -> None:
        if not isinstance(value, str):
            raise WireError(f"{type(value).__name__} is no text")
        try:
            encoded = self._checked(value).encode()
        except UnicodeEncodeError:
            raise WireError("half of a surrogate pair is no text") from None
        writer.reserve(len(encoded), 1, self._limit)
        writer.data += encoded

    def _decoded(self, data: bytes) -> str:
        try:
            return self._checked(data.decode())
        except UnicodeDecodeError:
            raise WireError("not valid UTF-8") from None

    def _checked(self, value: str) -> str:
        if self._pattern and not self._pattern.fullmatch(value):
            raise WireError(f"it must match {self._pattern.pattern}")
        return value


class OptionalText(Text):
    """A text or None."""

    def read(self, reader: Reader) -> Optional[str]:
        data = reader.range(1, self._limit)
        return None if data is None else self._decoded(data)

    def write(self, writer: Writer, value: Optional[str]) -> None:
        if value is None:
            writer.place += self.size
        else:
            super().write(writer, value)


class Raw(Codec):
    """At most `limit` elements of bytes as they are."""

    size = 8

    def __init__(self, limit: int, element_size: int = 1) -> None:
        self._limit = limit
        self._element_size = element_size

    def read(self, reader: Reader) -> bytes:
        return reader.required(self._element_size, self._limit)

    def write(self, writer: Writer, value: bytes) -> None:
        if not isinstance(value, (bytes, bytearray)):
            raise WireError(f"{type(value).__name__} is no bytes")
        count, rest = divmod(len(value), self._element_size)
        if rest:
            raise WireError(f"length {len(value)} does not fit elements of {self._element_size} bytes")
        writer.reserve(count, self._element_size, self._limit)
        writer.data += value


class TokenIDs(Codec):
    """At most `limit` token ids, each an i32."""

    size = 8

    def __init__(self, limit: int) -> None:
        self._limit = limit

    def read(self, reader: Reader) -> Tuple[int, ...]:
        data = reader.required(4, self._limit)
        return struct.unpack(f"<{len(data) // 4}i", data)

    def write(self, writer: Writer, value: Sequence[int]) -> None:
        writer.reserve(len(value), 4, self._limit)
        try:
            writer.data += struct.pack(f"<{len(value)}i", *value)
        except struct.error:
            raise WireError("a token id is an integer of 32 bits") from None


class List(Codec):
    """At most `limit` values of one kind."""

    size = 8

    def __init__(self, codec: Codec, limit: int) -> None:
        self._codec = codec
        self._limit = limit

    def read(self, reader: Reader) -> tuple:
        return tuple(reader.structures(self._codec, self._limit))

    def write(self, writer: Writer, value: Sequence[Any]) -> None:
        writer.structures(self._codec, value, self._limit)


class Structure(Codec):
    """Fields one after the other; `type` is made of them, and has them as attributes."""

    def __init__(self, type: Callable[..., Any], /, **fields: Codec) -> None:
        self.type = type
        self._fields = fields
        self._check: Callable[[Any], None] = lambda value: None
        self.size = sum(codec.size for codec in fields.values())

    def checked(self, check: Callable[[Any], None]) -> Structure:
        """The same, for values in which `check` finds nothing; it raises `WireError`."""
        self._check = check
        return self

    def read(self, reader: Reader) -> Any:
        values: Dict[str, Any] = {}
        for name, codec in self._fields.items():
            try:
                values[name] = codec.read(reader)
            except WireError as error:
                raise error.inside(name)
        value = self.type(**values)
        self._check(value)
        return value

    def write(self, writer: Writer, value: Any) -> None:
        self._check(value)
        for name, codec in self._fields.items():
            try:
                codec.write(writer, getattr(value, name))
            except WireError as error:
                raise error.inside(name)


class Nested(Codec):
    """A structure in the tail."""

    size = 8

    def __init__(self, structure: Structure) -> None:
        self.type = structure.type
        self._structure = structure

    def read(self, reader: Reader) -> Any:
        return reader.structure(self._structure)

    def write(self, writer: Writer, value: Any) -> None:
        writer.structures(self._structure, [value], 1)


class OptionalNested(Nested):
    """A structure in the tail, or None."""

    def read(self, reader: Reader) -> Any:
        return reader.optional_structure(self._structure)

    def write(self, writer: Writer, value: Any) -> None:
        if value is None:
            writer.place += self.size
        else:
            super().write(writer, value)


class Nothing(Codec):
    """A value without fields in the place of a range."""

    size = 8

    def __init__(self, type: Callable[[], Any]) -> None:
        self.type = type

    def read(self, reader: Reader) -> Any:
        reader.zeros(self.size)
        return self.type()

    def write(self, writer: Writer, value: Any) -> None:
        writer.place += self.size


class Variant(Codec):
    """A code, and the structure that belongs to it; `code_of` finds the code of a value, by default by its type."""

    def __init__(
        self, code: Codec, structures: Mapping[int, Any], code_of: Optional[Callable[[Any], Optional[int]]] = None
    ) -> None:
        self._code = code
        self._structures = structures
        codes = {structure.type: code for code, structure in structures.items()}
        self._code_of = code_of or (lambda value: codes.get(type(value)))
        self.size = code.size + 8

    def read(self, reader: Reader) -> Any:
        code = self._code.read(reader)
        if code not in self._structures:
            raise WireError(f"{code} has no meaning")
        return self._structures[code].read(reader)

    def write(self, writer: Writer, value: Any) -> None:
        code = self._code_of(value)
        if code is None:
            raise WireError(f"{type(value).__name__} does not belong here")
        self._code.write(writer, code)
        self._structures[code].write(writer, value)
