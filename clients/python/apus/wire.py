"""The bytes of messages: the only module that knows them."""

from __future__ import annotations

import functools
import struct
from dataclasses import dataclass, replace
from typing import Any, Dict

from . import messages as m
from .checksum import crc32c
from .errors import EngineError, WireError
from .structures import (
    PAYLOAD_LIMIT, Codec, Enumeration, Flag, Float, Integer, List, Maybe, Nested, Nothing, OptionalNested, OptionalText,
    Padded, Raw, Reader, Structure, Text, TokenIDs, Variant, Writer,
)

# ---- The header

HEADER_SIZE = 24
MAGIC = b"SIPC"
VERSION = 2
#: The checksum covers the payload too, not only the header.
PAYLOAD_CHECKSUM = 0x02
#: The payload is a memory file, a descriptor that travels beside the header, and not in the stream.
EXTERNAL_PAYLOAD = 0x08

_HEADER = struct.Struct("<4sBBHIQI")


@dataclass(frozen=True)
class Header:
    """The 24 bytes before each payload, little-endian.

    | offset | size | field |
    |---|---|---|
    | 0 | 4 | magic, the bytes `SIPC` |
    | 4 | 1 | version, 2 |
    | 5 | 1 | flags |
    | 6 | 2 | message type |
    | 8 | 4 | payload length in bytes |
    | 12 | 8 | message id: the call |
    | 20 | 4 | CRC-32C of the header with this field zero, then of the payload if the flag says so |
    """

    flags: int
    type: int
    length: int
    call: int
    checksum: int

    @property
    def is_external(self) -> bool:
        return bool(self.flags & EXTERNAL_PAYLOAD)

    @classmethod
    def decode(cls, data: bytes) -> Header:
        """Reads and checks the first 24 bytes; raises `WireError`."""
        if len(data) < HEADER_SIZE:
            raise WireError(f"{len(data)} bytes are no header", "header")
        magic, version, flags, type, length, call, checksum = _HEADER.unpack_from(data)
        if magic != MAGIC:
            raise WireError("the bytes do not begin with the magic of a message", "header")
        if version != VERSION:
            raise WireError(f"message version {version} is not supported", "header")
        if flags & ~(PAYLOAD_CHECKSUM | EXTERNAL_PAYLOAD):
            raise WireError(f"unknown flags {flags}", "header")
        header = cls(flags, type, length, call, checksum)
        # With the payload covered, the checksum can only be verified once that is here.
        if not flags & PAYLOAD_CHECKSUM and header.computed_checksum(b"") != checksum:
            raise WireError("the header's checksum does not match", "header")
        if type not in _TYPES:
            raise WireError(f"message type {type} is unknown", "header")
        if length > PAYLOAD_LIMIT:
            raise WireError(f"{length} is over the limit of {PAYLOAD_LIMIT}", "payload")
        return header

    def computed_checksum(self, payload: bytes) -> int:
        head = _HEADER.pack(MAGIC, VERSION, self.flags, self.type, self.length, self.call, 0)
        checksum = crc32c(head)
        return crc32c(payload, checksum) if self.flags & PAYLOAD_CHECKSUM else checksum

    def encode(self) -> bytes:
        return _HEADER.pack(MAGIC, VERSION, self.flags, self.type, self.length, self.call, self.checksum)


def encode(message: m.Message, flags: int = 0) -> bytes:
    """The header and the payload of a message; raises `WireError` when a value breaks a limit."""
    type = _NUMBERS[message.body.__class__]
    structure = _TYPES[type]
    writer = Writer(structure.size)
    structure.write(writer, message.body)
    payload = bytes(writer.data)
    header = Header(flags, type, len(payload), message.call, 0)
    return replace(header, checksum=header.computed_checksum(payload)).encode() + payload


def external_header(data: bytes) -> bytes:
    """The header of an encoded message whose payload is to travel as a memory file."""
    header = Header.decode(data)
    flagged = replace(header, flags=header.flags | EXTERNAL_PAYLOAD)
    return replace(flagged, checksum=flagged.computed_checksum(data[HEADER_SIZE:])).encode()


def decode(header: Header, payload: bytes) -> m.Message:
    """The message of a header that was read and its payload; raises `WireError`."""
    if len(payload) != header.length:
        raise WireError(f"{len(payload)} bytes instead of {header.length}", "payload")
    if header.flags & PAYLOAD_CHECKSUM and header.computed_checksum(payload) != header.checksum:
        raise WireError("the payload's checksum does not match", "payload")
    structure = _TYPES[header.type]
    if structure.type in (m.Hello, m.Events) and header.call:
        raise WireError(f"message id {header.call} is not allowed for this type", "header")
    reader = Reader(payload, structure.size)
    body = structure.read(reader)
    reader.finish()
    return m.Message(header.call, body)


# ---- Plain values

U8, U16, U32, U64 = (Integer(layout) for layout in "BHIQ")
I8, I32 = Integer("b"), Integer("i")
F32, F64 = Float("f", finite=True), Float("d", finite=False)
FLAG = Flag()
OPTIONAL = Maybe(U32, U32)
NAME = Text(4_096)
EXPLANATION = Text(65_536)
LONG_TEXT = Text(PAYLOAD_LIMIT)
OPTIONAL_TEXT = OptionalText(PAYLOAD_LIMIT)
IDS = TokenIDs(8 << 20)


def _enumeration(choices: Any, zeros: int = 0) -> Codec:
    return Padded(Enumeration(U8, choices), zeros)


def _check_shape(tensor: m.Tensor) -> None:
    if tensor.rows * tensor.columns * 4 != len(tensor.data):
        raise WireError(f"{len(tensor.data)} bytes are not {tensor.rows} rows of {tensor.columns} numbers")


TENSOR = Structure(
    m.Tensor, rows=U32, columns=U32, data=Raw(PAYLOAD_LIMIT // 4, element_size=4)).checked(_check_shape)

# ---- Requests

CHAT = Structure(
    m.Chat, messages_json=LONG_TEXT, tools_json=OPTIONAL_TEXT, template=OPTIONAL_TEXT, variables_json=OPTIONAL_TEXT,
    add_generation_prompt=Padded(FLAG, 3))
MEDIA = Structure(
    m.Media, kind=_enumeration(m.MediaKind, zeros=3), count=U32, frames_per_item=U32, tokens_per_frame=U32, width=U32,
    height=U32, start_tag=NAME, end_tag=NAME, content_tag=NAME, embeddings=TENSOR)
MULTIMODAL = Structure(m.Multimodal, prompt=LONG_TEXT, media=List(MEDIA, 2))
INPUT = Variant(Padded(U8, 3), {
    0: Nested(CHAT),
    1: Structure(m.Text, text=LONG_TEXT),
    2: Structure(m.TokenIDs, ids=IDS),
    3: Structure(m.Embeddings, embeddings=Nested(TENSOR)),
    4: Nothing(m.Resumed),
    5: Nested(MULTIMODAL),
})
INPUTS = List(INPUT, 2_048)
DRY = Structure(
    m.DRY, multiplier=F32, base=F32, allowed_length=U32, window=OPTIONAL, breakers=List(Text(4_096), 64))
MIROSTAT = Structure(m.Mirostat, version=_enumeration(m.MirostatVersion, zeros=3), target=F32, rate=F32)
SAMPLING = Structure(
    m.Sampling, temperature=F32, top_p=F32, top_k=U32, min_p=F32, repetition_penalty=F32, presence_penalty=F32,
    frequency_penalty=F32, typical_p=F32, top_n_sigma=F32, xtc_probability=F32, xtc_threshold=F32,
    dynamic_temperature_range=F32, dynamic_temperature_exponent=F32, dry=DRY, mirostat=MIROSTAT, seed=U64,
    logit_bias=List(Structure(m.LogitBias, token=I32, bias=F32), 65_536))
LOG_PROBABILITY_OPTIONS = Structure(
    m.LogProbabilityOptions, top=Integer("I", maximum=128), stage=_enumeration(m.Stage, zeros=3))
TENSOR_REQUEST = Structure(m.TensorRequest, kind=_enumeration(m.TensorKind, zeros=2), credit=U64)
SESSION_USE = Structure(m.SessionUse, id=U64, keeps_history=FLAG, saves_cache=Padded(FLAG, 2), context_length=U32)
CROSS_ATTENTION = Structure(m.CrossAttention, keys=TENSOR, values=TENSOR, mask=TENSOR, positions=IDS)
GENERATE = Structure(
    m.GenerateRequest, inputs=INPUTS, choices=Integer("I", maximum=128), maximum_tokens=OPTIONAL,
    ignore_end_of_sequence=FLAG, priority=I8, speculation=_enumeration(m.Speculation, zeros=1), deadline=U64,
    minimum_tokens=U32, log_probabilities=Maybe(U32, LOG_PROBABILITY_OPTIONS), tensors=Maybe(U8, TENSOR_REQUEST),
    sampling=SAMPLING, stop_strings=List(Text(4_096), 64), stop_token_ids=TokenIDs(1_024), tenant=NAME,
    cache_salt=NAME, session=OptionalNested(SESSION_USE), adapter=OptionalText(4_096),
    cross_attention=OptionalNested(CROSS_ATTENTION))
EMBED = Structure(
    m.EmbedRequest, inputs=INPUTS, pooling=_enumeration(m.Pooling), normalizes=FLAG, priority=Padded(I8, 1),
    deadline=U64, tenant=NAME)
SCORE = Structure(m.ScoreRequest, text=LONG_TEXT, window=OPTIONAL)
TOKENIZE = Structure(m.TokenizeRequest, text=LONG_TEXT, add_special=FLAG, parse_special=Padded(FLAG, 2))
DETOKENIZE = Structure(m.DetokenizeRequest, ids=IDS)
INSPECT = Structure(m.InspectRequest)


def _check_change(request: m.ChangeSession) -> None:
    if request.keeps_system_prompt and request.change != m.SessionChange.CLEAR:
        raise WireError("the system prompt is kept by nothing but clearing", "keeps_system_prompt")
    if (request.first or request.end) and request.change != m.SessionChange.CLEAR_RANGE:
        raise WireError("positions belong to a range", "first")


CHANGE_SESSION = Structure(
    m.ChangeSession, session=U64, change=_enumeration(m.SessionChange), keeps_system_prompt=Padded(FLAG, 2), first=U32,
    end=U32).checked(_check_change)


def _check_files(load: m.LoadRequest) -> None:
    for source, count in ((load.source, load.source_files), (load.draft_source, load.draft_files)):
        if source != m.ModelFiles.DESCRIPTORS and count:
            raise WireError(f"{count} files of a model that has none", "source")
    if load.source == m.ModelFiles.NONE:
        raise WireError("there is no model", "source")
    if load.source_files + load.draft_files > 128:
        raise WireError(f"{load.source_files + load.draft_files} files are over the limit of 128", "source")


RUNTIME_OPTIONS = Structure(
    m.RuntimeOptions, base_domain=OPTIONAL, reads_embeddings_from_storage=FLAG, processors=U8, batch=U8,
    uses_cross_attention=FLAG, processor_mask=U32)
LOAD = Structure(
    m.LoadRequest, source=_enumeration(m.ModelFiles), purpose=_enumeration(m.Purpose),
    cache_type=_enumeration(m.CacheType), measures_machine=FLAG, source_files=U32,
    draft_source=_enumeration(m.ModelFiles, zeros=3), draft_files=U32, context_length=OPTIONAL, parallel=U32,
    threads=U32, memory_limit=U64, display_name=NAME, runtime=OptionalNested(RUNTIME_OPTIONS)).checked(_check_files)

# ---- Errors


def _error(code: str, **fields: Codec) -> Nested:
    return Nested(Structure(functools.partial(EngineError, code), **fields))


class _Loss(Codec):
    """How a model's process was lost: a word, which is one byte on the wire."""

    size = 4
    _WORDS = ("crashed", "stalled")
    _NUMBER = Padded(Integer("B", maximum=1), 3)

    def read(self, reader: Reader) -> str:
        return self._WORDS[self._NUMBER.read(reader)]

    def write(self, writer: Writer, value: str) -> None:
        self._NUMBER.write(writer, self._WORDS.index(value))


_ERRORS = [
    _error("invalid_request", parameter=NAME, explanation=EXPLANATION),
    _error("unauthorized", explanation=EXPLANATION),
    _error("path_not_allowed", path=NAME),
    _error("model_not_found", model=NAME),
    _error("context_length_exceeded", limit=U32, prompt=U32, requested=U32),
    _error("unsupported", feature=EXPLANATION),
    _error("queue_full", retry_after=U32),
    _error("rate_limited", retry_after=U32),
    _error("cancelled"),
    _error("deadline_exceeded"),
    _error("model_not_ready", retry_after=U32, reason=EXPLANATION),
    _error("worker_lost", retry_after=U32, loss=_Loss()),
    _error("quarantined"),
    _error("resource_exhausted", permanent=Padded(FLAG, 3), explanation=EXPLANATION),
    _error("slow_consumer"),
    _error("internal_error", id=NAME, explanation=EXPLANATION),
]
ERROR = Variant(Padded(U16, 2), dict(enumerate(_ERRORS)), code_of=lambda error: EngineError.CODES.index(error.code))

# ---- Events

LOG_PROBABILITY = Structure(m.TokenLogProbability, id=I32, log_probability=F32, bytes=Raw(PAYLOAD_LIMIT))
LOG_PROBABILITIES = Structure(m.TokenLogProbabilities, chosen=LOG_PROBABILITY, top=List(LOG_PROBABILITY, 128))
TOKENS = Structure(
    m.Tokens, choice=U32, kind=_enumeration(m.TokenKind, zeros=3), ids=IDS, text=LONG_TEXT,
    log_probabilities=List(LOG_PROBABILITIES, 8 << 20))
TENSOR_ROWS = Structure(
    m.TensorRows, choice=U32, kind=_enumeration(m.TensorKind, zeros=3), first_row=U32, tensor=TENSOR)
RUNTIME_FIGURES = Structure(
    m.RuntimeFigures, prefill_milliseconds=F32, prefill_tokens=U32, generate_milliseconds=F32, generate_tokens=U32,
    memory_megabytes=F32)
FINISHED = Structure(
    m.Finished,
    usage=Structure(
        m.Usage, prompt_tokens=U32, completion_tokens=U32, cached_tokens=U32, accepted_draft_tokens=U32,
        rejected_draft_tokens=Padded(U32, 4)),
    timings=Structure(
        m.Timings, preparation=U64, queue=U64, prefill=U64, decode=U64, runtime=OptionalNested(RUNTIME_FIGURES)))
COMPUTE = Structure(
    m.Compute, operations_per_token=U64, bytes_per_step=U64, byte_operations_per_second=F64,
    read_bytes_per_second=F64, instruction_set=NAME)
LOADED = Structure(
    m.Loaded, architecture=NAME, name=NAME, parameter_count=U64, vocabulary_size=U32, embedding_width=U32,
    context_length=U32, trained_context_length=U32, parallel=U32, threads=U32, has_chat_template=FLAG,
    cache_type=_enumeration(m.CacheType, zeros=2), weight_bytes=U64, key_value_cache_bytes=U64, memory_bytes=U64,
    load_nanoseconds=U64, compute=COMPUTE)
RESULT = Variant(Padded(U16, 2), {
    0: Nested(LOADED),
    1: Nested(Structure(m.Inspected, json=LONG_TEXT)),
    2: Nested(Structure(m.Score, tokens=U64, negative_log_likelihood=F64)),
    3: Nested(Structure(m.Tokenized, ids=IDS)),
    4: Nested(Structure(m.Detokenized, bytes=Raw(PAYLOAD_LIMIT))),
    5: Nested(Structure(m.Rendered, text=LONG_TEXT)),
    6: Nested(Structure(m.Embedded, vectors=TENSOR, prompt_tokens=U32)),
    7: Nested(Structure(m.SessionState, positions=U32, cached_positions=U32, is_paused=Padded(FLAG, 3))),
    8: Nested(Structure(m.Done)),
})
_COUNTERS = [name for name in m.Statistics.__dataclass_fields__ if not name.startswith(("taken", "sequences"))]
STATISTICS = Structure(
    m.Statistics, taken_at=U64, sequences_running=U32, sequences_waiting=U32, **{name: U64 for name in _COUNTERS})
EVENT = Structure(m.CallEvent, call=U64, event=Variant(Padded(U16, 2), {
    0: Nested(Structure(m.Accepted, prompt_tokens=U32, queue_position=U32)),
    1: Nested(Structure(m.Started, cached_tokens=U32)),
    2: Nested(TOKENS),
    3: Nested(Structure(m.ChoiceFinished, choice=U32, reason=_enumeration(m.FinishReason, zeros=3))),
    4: Nested(FINISHED),
    5: Nested(Structure(m.Failed, error=ERROR)),
    6: Nested(Structure(m.Result, value=RESULT)),
    7: Nested(STATISTICS),
    8: Nested(TENSOR_ROWS),
}))

# ---- Messages

_REQUESTS = {
    0x0300: LOAD,
    0x0301: INSPECT,
    0x0302: GENERATE,
    0x0303: SCORE,
    0x0304: TOKENIZE,
    0x0305: DETOKENIZE,
    0x0306: CHAT,
    0x0307: Structure(m.Cancel),
    0x0308: Structure(m.Credit, credit=U32),
    0x0309: EMBED,
    0x030A: Structure(m.Pause),
    0x030B: Structure(m.OpenSession, session=U64),
    0x030C: CHANGE_SESSION,
    0x030D: Structure(m.CloseSession, session=U64),
    0x030E: Structure(m.LoadAdapter, name=NAME, scale=F32),
    0x030F: Structure(m.UnloadAdapter, name=NAME),
}
LOCAL_CALL = Structure(
    m.LocalCall, model=NAME, request_id=Text(128, "[A-Za-z0-9._-]*"), resumes=Padded(FLAG, 1),
    request=Variant(U16, {number: Nested(structure) for number, structure in _REQUESTS.items()}))
MODEL = Structure(m.Model, name=NAME, state=NAME, context_length=U32)
_TYPES: Dict[int, Structure] = {
    0x0005: Structure(m.Ping),
    0x0006: Structure(m.Pong),
    0x0010: Structure(m.Hello, role=_enumeration(m.Role, zeros=3), build_id=U64),
    0x0011: Structure(m.Attachment),
    0x0130: Structure(m.Window, bytes=U32),
    **_REQUESTS,
    0x0340: Structure(m.Events, events=List(EVENT, 65_536)),
    0x0360: LOCAL_CALL,
    0x0361: Structure(m.ListModels),
    0x0362: Structure(m.Models, models=List(MODEL, 4_096)),
}
_NUMBERS = {structure.type: number for number, structure in _TYPES.items()}
