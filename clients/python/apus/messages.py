"""What clients and the server say to each other, as plain values.

Texts of JSON stay texts, because chat templates see any member that a client sends.
"""

from __future__ import annotations

import array
import enum
import json
import sys
from dataclasses import dataclass
from typing import Any, Iterator, Mapping, Optional, Sequence, Union

from .errors import EngineError

# ---- Inputs


@dataclass(frozen=True)
class Text:
    """A text as it is; no chat template touches it."""

    text: str


@dataclass(frozen=True)
class TokenIDs:
    ids: Sequence[int]


@dataclass(frozen=True)
class Chat:
    """A conversation for the model's chat template; `Chat.of` makes one of Python values."""

    #: A JSON array of messages.
    messages_json: str
    #: A JSON array of tool definitions.
    tools_json: Optional[str] = None
    #: Replaces the model's template.
    template: Optional[str] = None
    #: A JSON object of further template variables.
    variables_json: Optional[str] = None
    add_generation_prompt: bool = True

    @classmethod
    def of(
        cls, messages: Sequence[Mapping[str, Any]], tools: Optional[Sequence[Mapping[str, Any]]] = None,
        template: Optional[str] = None, variables: Optional[Mapping[str, Any]] = None,
        add_generation_prompt: bool = True,
    ) -> Chat:
        return cls(_json(messages), _json(tools), template, _json(variables), add_generation_prompt)


def _json(value: Any) -> Any:
    return None if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True)
class Tensor:
    """Rows of numbers; any number is allowed, also one that is not finite."""

    rows: int
    columns: int
    #: F32, little-endian, row after row; `numpy.frombuffer(tensor.data, "<f4")` reads it without a copy.
    data: bytes

    @classmethod
    def of(cls, rows: Sequence[Sequence[float]]) -> Tensor:
        """A tensor of rows that are all equally long; raises `ValueError` if they are not."""
        columns = len(rows[0]) if rows else 0
        if any(len(row) != columns for row in rows):
            raise ValueError("the rows of a tensor are equally long")
        values = array.array("f")
        for row in rows:
            values.extend(row)
        return cls(len(rows), columns, _swapped(values).tobytes())

    def row(self, index: int) -> array.array:
        """The numbers of one row, which counts from 0."""
        if not 0 <= index < self.rows:
            raise IndexError(f"row {index} of {self.rows}")
        values = array.array("f")
        values.frombytes(self.data[index * self.columns * 4:(index + 1) * self.columns * 4])
        return _swapped(values)

    def __iter__(self) -> Iterator[array.array]:
        return (self.row(index) for index in range(self.rows))

    def __len__(self) -> int:
        return self.rows


def _swapped(values: array.array) -> array.array:
    if sys.byteorder == "big":
        values.byteswap()
    return values


@dataclass(frozen=True)
class Embeddings:
    """Rows that stand in the place of the embedding's, one for each position of the prompt."""

    embeddings: Tensor


@dataclass(frozen=True)
class Resumed:
    """Nothing new: goes on with the answer that was paused in the request's session."""


class MediaKind(enum.IntEnum):
    IMAGE = 0
    VIDEO = 1


@dataclass(frozen=True)
class Media:
    """All images, or all videos, of a prompt."""

    kind: MediaKind
    count: int
    frames_per_item: int
    tokens_per_frame: int
    #: In pixels.
    width: int
    height: int
    start_tag: str
    end_tag: str
    content_tag: str
    #: A row for each token of each frame of each item.
    embeddings: Tensor


@dataclass(frozen=True)
class Multimodal:
    prompt: str
    media: Sequence[Media]


Input = Union[Text, TokenIDs, Chat, Embeddings, Resumed, Multimodal]

# ---- Requests


@dataclass(frozen=True)
class LogitBias:
    token: int
    bias: float


@dataclass(frozen=True)
class DRY:
    """The penalty against repeated sequences."""

    #: 0 is off.
    multiplier: float = 0
    base: float = 1.75
    allowed_length: int = 2
    #: Tokens that are looked at; None is all of them.
    window: Optional[int] = None
    breakers: Sequence[str] = ()


class MirostatVersion(enum.IntEnum):
    OFF = 0
    ONE = 1
    TWO = 2


@dataclass(frozen=True)
class Mirostat:
    """The control of an answer's surprise."""

    version: MirostatVersion = MirostatVersion.OFF
    #: Bits for each token.
    target: float = 5
    rate: float = 0.1


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen; the defaults change nothing."""

    #: 0 is greedy.
    temperature: float = 1
    top_p: float = 1
    #: 0 is off.
    top_k: int = 0
    min_p: float = 0
    #: Over prompt and answer; 1 is off.
    repetition_penalty: float = 1
    #: Over the answer.
    presence_penalty: float = 0
    #: Over the answer.
    frequency_penalty: float = 0
    #: 1 is off.
    typical_p: float = 1
    #: 0 is off.
    top_n_sigma: float = 0
    #: 0 is off.
    xtc_probability: float = 0
    xtc_threshold: float = 0.1
    #: To both sides of the temperature; 0 is off.
    dynamic_temperature_range: float = 0
    dynamic_temperature_exponent: float = 1
    dry: DRY = DRY()
    mirostat: Mirostat = Mirostat()
    #: The same seed, choice and position draw the same number.
    seed: int = 0
    logit_bias: Sequence[LogitBias] = ()


class Stage(enum.IntEnum):
    #: The model's own distribution.
    MODEL = 0
    #: The one that was drawn from, after penalties, temperature and filters.
    SAMPLING = 1


@dataclass(frozen=True)
class LogProbabilityOptions:
    #: The likeliest tokens that are told beside the chosen one, at most 128.
    top: int = 0
    stage: Stage = Stage.MODEL


class TensorKind(enum.IntEnum):
    #: The normalised output of the last layer.
    HIDDEN_STATES = 0
    #: The output of the model as it is, before any sampling parameter changes it.
    LOGITS = 1


@dataclass(frozen=True)
class TensorRequest:
    """Asks for a row of `kind` for every position that is computed."""

    kind: TensorKind
    #: Bytes of rows that may be on their way; the server allows less.
    credit: int = 256 << 10


class Speculation(enum.IntEnum):
    """Where draft tokens come from; it changes the speed and never the text."""

    OFF = 0
    NGRAM = 1
    AUTOMATIC = 2
    MODEL = 3


@dataclass(frozen=True)
class SessionUse:
    """The session of a worker that a generation belongs to; the server refuses it from clients."""

    id: int
    keeps_history: bool = False
    saves_cache: bool = False
    context_length: int = 0


@dataclass(frozen=True)
class CrossAttention:
    """The output of an encoder that the model's layers attend to."""

    keys: Tensor
    values: Tensor
    mask: Tensor
    positions: Sequence[int]


@dataclass(frozen=True)
class GenerateRequest:
    """Several inputs, each continued `choices` times.

    Choice k of input i has the index i × choices + k in every event.
    """

    inputs: Sequence[Input]
    choices: int = 1
    #: Tokens to generate per choice; None is the rest of the context, and 0, with `tensors`, computes the prompt alone.
    maximum_tokens: Optional[int] = None
    #: Generates past the model's end-of-sequence tokens.
    ignore_end_of_sequence: bool = False
    #: From -128 to 127; higher goes first.
    priority: int = 0
    speculation: Speculation = Speculation.AUTOMATIC
    #: Nanoseconds of `time.monotonic_ns()` by which the answer must be there; 0 is none.
    deadline: int = 0
    #: Tokens of a choice before which no end-of-sequence token and no stop token is chosen.
    minimum_tokens: int = 0
    log_probabilities: Optional[LogProbabilityOptions] = None
    tensors: Optional[TensorRequest] = None
    sampling: Sampling = Sampling()
    stop_strings: Sequence[str] = ()
    stop_token_ids: Sequence[int] = ()
    #: The server sets it by the client's token.
    tenant: str = ""
    #: Prompts are found in the cache only by requests with the same salt; empty: by all without a salt.
    cache_salt: str = ""
    session: Optional[SessionUse] = None
    #: The name of a loaded adapter; None is the model alone.
    adapter: Optional[str] = None
    cross_attention: Optional[CrossAttention] = None


class Pooling(enum.IntEnum):
    """How the hidden states of an input become one vector."""

    LAST = 0
    MEAN = 1
    FIRST = 2


@dataclass(frozen=True)
class EmbedRequest:
    inputs: Sequence[Input]
    pooling: Pooling = Pooling.LAST
    #: Scales each vector to length 1.
    normalizes: bool = True
    priority: int = 0
    #: As in `GenerateRequest`.
    deadline: int = 0
    tenant: str = ""


@dataclass(frozen=True)
class ScoreRequest:
    text: str
    #: Tokens per window; None is the context length.
    window: Optional[int] = None


@dataclass(frozen=True)
class TokenizeRequest:
    text: str
    #: Adds the model's BOS and EOS where the model asks for them.
    add_special: bool = True
    #: Recognises the text of special tokens such as `<|im_start|>`.
    parse_special: bool = True


@dataclass(frozen=True)
class DetokenizeRequest:
    ids: Sequence[int]


@dataclass(frozen=True)
class InspectRequest:
    pass


@dataclass(frozen=True)
class Cancel:
    """Ends the call that the message names."""


@dataclass(frozen=True)
class Credit:
    """Lets a generation send so many more bytes of tensors; only a gateway says so to a worker."""

    credit: int


@dataclass(frozen=True)
class Pause:
    """Ends a generation of a session so that it can go on; as all requests about sessions, no client may send it."""


@dataclass(frozen=True)
class OpenSession:
    session: int


class SessionChange(enum.IntEnum):
    CLEAR = 0
    CLEAR_RANGE = 1
    LOAD_CACHE = 2
    RELEASE_CACHE = 3


@dataclass(frozen=True)
class ChangeSession:
    session: int
    change: SessionChange
    #: Of `CLEAR`.
    keeps_system_prompt: bool = False
    #: Of `CLEAR_RANGE`: positions from `first` to before `end`.
    first: int = 0
    end: int = 0


@dataclass(frozen=True)
class CloseSession:
    session: int


@dataclass(frozen=True)
class LoadAdapter:
    name: str
    scale: float


@dataclass(frozen=True)
class UnloadAdapter:
    name: str


class ModelFiles(enum.IntEnum):
    DESCRIPTORS = 0
    BUNDLED_DEMO = 1
    NONE = 255


class Purpose(enum.IntEnum):
    INSPECT = 0
    TOKENIZE = 1
    GENERATE = 2


class CacheType(enum.IntEnum):
    F32 = 0
    F16 = 1
    Q8 = 8


@dataclass(frozen=True)
class RuntimeOptions:
    """How a vendor's runtime is started; 0 and None are its own choice."""

    base_domain: Optional[int]
    reads_embeddings_from_storage: bool
    processors: int
    batch: int
    uses_cross_attention: bool
    processor_mask: int


@dataclass(frozen=True)
class LoadRequest:
    """Loads a worker's model; no client may send it."""

    source: ModelFiles
    purpose: Purpose
    cache_type: CacheType
    measures_machine: bool
    source_files: int
    draft_source: ModelFiles
    draft_files: int
    context_length: Optional[int]
    parallel: int
    threads: int
    memory_limit: int
    display_name: str
    runtime: Optional[RuntimeOptions] = None


# ---- Events


@dataclass(frozen=True)
class Accepted:
    """The input is tokenized and fits; so many sequences are ahead."""

    prompt_tokens: int
    queue_position: int


@dataclass(frozen=True)
class Started:
    """The prompt is computed, except for the tokens that were found in the cache."""

    cached_tokens: int


class TokenKind(enum.IntEnum):
    CONTENT = 0
    REASONING = 1
    TOOL_CALL = 2


@dataclass(frozen=True)
class TokenLogProbability:
    """A token and the natural logarithm of its probability; its bytes need not be whole characters."""

    id: int
    log_probability: float
    bytes: bytes


@dataclass(frozen=True)
class TokenLogProbabilities:
    """A chosen token and the likeliest ones at its place, likeliest first; it can be among them."""

    chosen: TokenLogProbability
    top: Sequence[TokenLogProbability]


@dataclass(frozen=True)
class Tokens:
    """New tokens of one choice.

    The text may lag the ids: incomplete characters and possible stop strings are held back.
    """

    choice: int
    kind: TokenKind
    ids: Sequence[int]
    text: str
    #: Of the tokens that `text` shows, if they were asked for.
    log_probabilities: Sequence[TokenLogProbabilities] = ()


@dataclass(frozen=True)
class TensorRows:
    """Neighbouring rows of one choice."""

    #: The choice's index, as in `Tokens`.
    choice: int
    kind: TensorKind
    #: Position of the first row: the prompt's positions count from 0, generated tokens follow.
    first_row: int
    tensor: Tensor


class FinishReason(enum.IntEnum):
    #: The model ended, or a stop string or stop token came.
    STOP = 0
    #: The token limit or the context was reached.
    LENGTH = 1
    #: Its session can go on.
    PAUSED = 2


@dataclass(frozen=True)
class ChoiceFinished:
    choice: int
    reason: FinishReason


@dataclass(frozen=True)
class Usage:
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    #: Draft tokens that were right, and so are among the completion's, and those that were computed in vain.
    accepted_draft_tokens: int
    rejected_draft_tokens: int


@dataclass(frozen=True)
class RuntimeFigures:
    """What a vendor's runtime says about a run."""

    prefill_milliseconds: float
    prefill_tokens: int
    generate_milliseconds: float
    generate_tokens: int
    memory_megabytes: float


@dataclass(frozen=True)
class Timings:
    """Measured by the model's process, in nanoseconds."""

    #: Template, tokenizer, checks.
    preparation: int
    #: From accepted to the first step of the prompt.
    queue: int
    #: From there to the first sampled token.
    prefill: int
    #: From the first sampled token to the last.
    decode: int
    #: Of a vendor's runtime; None where the engine has none.
    runtime: Optional[RuntimeFigures] = None


@dataclass(frozen=True)
class Finished:
    """The last event of a generation."""

    usage: Usage
    timings: Timings


@dataclass(frozen=True)
class Failed:
    """The last event of a call that failed; clients raise its error."""

    error: EngineError


@dataclass(frozen=True)
class Score:
    #: How many tokens were counted.
    tokens: int
    #: The mean over them, in nats per token.
    negative_log_likelihood: float


@dataclass(frozen=True)
class Embedded:
    """One row for each input."""

    vectors: Tensor
    prompt_tokens: int


@dataclass(frozen=True)
class Tokenized:
    ids: Sequence[int]


@dataclass(frozen=True)
class Detokenized:
    bytes: bytes


@dataclass(frozen=True)
class Rendered:
    text: str


@dataclass(frozen=True)
class Inspected:
    json: str


@dataclass(frozen=True)
class Compute:
    operations_per_token: int
    bytes_per_step: int
    byte_operations_per_second: float
    read_bytes_per_second: float
    instruction_set: str


@dataclass(frozen=True)
class Loaded:
    """What a loaded model is and can do; only a gateway gets it."""

    architecture: str
    name: str
    parameter_count: int
    vocabulary_size: int
    embedding_width: int
    context_length: int
    trained_context_length: int
    parallel: int
    threads: int
    has_chat_template: bool
    cache_type: CacheType
    weight_bytes: int
    key_value_cache_bytes: int
    memory_bytes: int
    load_nanoseconds: int
    compute: Compute


@dataclass(frozen=True)
class SessionState:
    """What a session holds; only a gateway gets it."""

    positions: int
    cached_positions: int
    is_paused: bool


@dataclass(frozen=True)
class Done:
    """An adapter was loaded or unloaded; only a gateway gets it."""


@dataclass(frozen=True)
class Result:
    """The answer to a request that is no generation."""

    value: Union[Score, Embedded, Tokenized, Detokenized, Rendered, Inspected, Loaded, SessionState, Done]


@dataclass(frozen=True)
class Statistics:
    """Counters of a worker since it started, and gauges of this moment; only a gateway gets them."""

    taken_at: int
    sequences_running: int
    sequences_waiting: int
    cache_blocks_used: int
    cache_blocks_idle: int
    cache_blocks: int
    prompt_tokens: int
    cached_tokens: int
    generated_tokens: int
    steps: int
    step_nanoseconds: int
    cancelled: int
    preemptions: int
    draft_tokens: int
    accepted_draft_tokens: int
    model_draft_tokens: int
    accepted_model_draft_tokens: int


Event = Union[Accepted, Started, Tokens, TensorRows, ChoiceFinished, Finished, Failed, Result, Statistics]

#: What the events of one call may count before the client has to say that it took some, in bytes.
WINDOW = 256 << 10


def size_of(event: Event) -> int:
    """What an event counts against the window of its call, in bytes; both sides count the same."""
    size = 64
    if isinstance(event, Tokens):
        size += len(event.text.encode()) + 4 * len(event.ids)
        for entry in event.log_probabilities:
            size += sum(64 + len(token.bytes) for token in (entry.chosen, *entry.top))
    elif isinstance(event, TensorRows):
        size += len(event.tensor.data)
    return size


# ---- Messages


class Role(enum.IntEnum):
    GATEWAY = 0
    WORKER = 1


@dataclass(frozen=True)
class Hello:
    role: Role
    build_id: int


@dataclass(frozen=True)
class Attachment:
    """In a ring of shared memory: a file of the message that follows. None comes over a socket."""


@dataclass(frozen=True)
class CallEvent:
    call: int
    event: Event


@dataclass(frozen=True)
class Events:
    events: Sequence[CallEvent]


@dataclass(frozen=True)
class LocalCall:
    """A request, and what a client adds to it."""

    request: Any
    #: As `Client.models` lists it; empty is the only model.
    model: str = ""
    #: What the client calls it, for the server's log; empty, or up to 128 characters of A–Z, a–z, 0–9, `.`, `_`, `-`.
    request_id: str = ""
    #: Goes on with the answer after the death of the model's process, also when a part of it has been sent.
    resumes: bool = False


@dataclass(frozen=True)
class ListModels:
    pass


@dataclass(frozen=True)
class Model:
    """One model of the server."""

    name: str
    #: A word, such as `ready`; `unloaded` is loaded by the first request for it.
    state: str
    #: Positions of a sequence; 0 until the model was loaded for the first time.
    context_length: int


@dataclass(frozen=True)
class Models:
    models: Sequence[Model]


@dataclass(frozen=True)
class Window:
    """The client has taken so many bytes of a call's events, and takes as many more."""

    bytes: int


@dataclass(frozen=True)
class Ping:
    pass


@dataclass(frozen=True)
class Pong:
    pass


@dataclass(frozen=True)
class Message:
    """One message: the number of its call, or 0, and what it says."""

    call: int
    body: Any
