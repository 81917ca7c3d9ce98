"""The client: what an application uses."""

from __future__ import annotations

import dataclasses
import queue
import time
from typing import Any, Iterable, Iterator, List, Mapping, Optional, Sequence, Type, TypeVar, Union

from . import messages as m
from .connection import Answer, Connection, Options
from .errors import ApusError, UnexpectedAnswer

#: What a prompt may be: a text, a conversation (a list of messages), token ids, rows in the place of embeddings, or one
#: of the inputs of `GenerateRequest`.
Prompt = Union[str, Sequence[Mapping[str, Any]], Sequence[int], m.Tensor, m.Input]

_INPUTS = (m.Text, m.TokenIDs, m.Chat, m.Embeddings)
_SAMPLING = {field.name for field in dataclasses.fields(m.Sampling)}
_Result = TypeVar("_Result")


class Client:
    """A client of a server on the same machine, over the path that was given to `apus serve --ipc`.

    One connection carries all calls; any number of threads may use it. When it is lost, the calls that were running
    raise `ConnectionLost`, which says whether anything had been delivered, and the client connects again.

    Calls raise `NotConnected`, `Refused`, `ConnectionLost`, `Closed`, `EngineError` for the server's own answers, and
    `WireError` for a request that is over a limit of the protocol; all are `ApusError`.
    """

    def __init__(
        self, path: str, token: Optional[str] = None, *, timeout: float = 5.0, checks_payloads: bool = False,
        reconnects: bool = True,
    ) -> None:
        """Begins to connect; the first call waits for it.

        - `token`: one of the server's API keys, if it needs one.
        - `timeout`: how long a call waits for a connection before it fails, in seconds.
        - `checks_payloads`: whether the messages' checksums cover their payloads, not only their headers.
        - `reconnects`: whether it connects again at once when the connection was lost, or not before the next call.
        """
        self._connection = Connection(path, Options(token or "", timeout, checks_payloads, reconnects))

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_connection"):
            self._connection.close(waits=False)

    def close(self) -> None:
        """Ends the connection; calls that are running raise `Closed`."""
        self._connection.close()

    # ---- Generations

    def generate(
        self, prompt: Union[Prompt, m.GenerateRequest], *, model: str = "", request_id: str = "",
        resumes: bool = False, **fields: Any,
    ) -> Generation:
        """Generates; iterate over what it returns for the events as they are made.

        - `model`: as `models()` lists it; empty is the only one.
        - `request_id`: what the server's log calls it.
        - `resumes`: goes on with the answer after the death of the model's process.
        - the fields of `GenerateRequest` and of `Sampling`, such as `maximum_tokens=64` or `temperature=0`, and `tools`
          for a conversation.
        """
        if not isinstance(prompt, m.GenerateRequest):
            prompt = request(prompt, **fields)
        elif fields:
            raise TypeError("a whole GenerateRequest has all its fields")
        return Generation(self, m.LocalCall(prompt, model, request_id, resumes))

    def text(self, prompt: Union[Prompt, m.GenerateRequest], **options: Any) -> str:
        """The whole text of a generation with one choice; the options are those of `generate`."""
        return self.generate(prompt, **options).text()

    # ---- Requests with one answer

    def embed(
        self, inputs: Union[str, Sequence[Prompt]], *, model: str = "", pooling: m.Pooling = m.Pooling.LAST,
        normalizes: bool = True,
    ) -> m.Embedded:
        """One vector for each input; `normalizes` scales them to length 1."""
        prompts = [inputs] if isinstance(inputs, str) else inputs
        request = m.EmbedRequest([input_of(prompt) for prompt in prompts], pooling, normalizes)
        return self._result(request, m.Embedded, model)

    def score(self, text: str, *, window: Optional[int] = None, model: str = "") -> m.Score:
        """The mean negative log-likelihood of a text, cut into windows of so many tokens that are scored alone."""
        return self._result(m.ScoreRequest(text, window), m.Score, model)

    def tokenize(
        self, text: str, *, add_special: bool = True, parse_special: bool = True, model: str = ""
    ) -> List[int]:
        """The token ids of a text; see `TokenizeRequest` for the two switches."""
        return list(self._result(m.TokenizeRequest(text, add_special, parse_special), m.Tokenized, model).ids)

    def detokenize(self, ids: Sequence[int], *, model: str = "") -> bytes:
        """What token ids write, as bytes, because they need not form whole characters."""
        return self._result(m.DetokenizeRequest(ids), m.Detokenized, model).bytes

    def render(
        self, messages: Union[m.Chat, Sequence[Mapping[str, Any]]], *, model: str = "", **fields: Any
    ) -> str:
        """What a conversation becomes by the model's chat template; the fields are those of `Chat.of`."""
        chat = messages if isinstance(messages, m.Chat) else m.Chat.of(messages, **fields)
        return self._result(chat, m.Rendered, model).text

    def _result(self, request: Any, wanted: Type[_Result], model: str) -> _Result:
        for event in _RunningCall(self, m.LocalCall(request, model)):
            if isinstance(event, m.Result) and isinstance(event.value, wanted):
                return event.value
        raise UnexpectedAnswer(f"the server did not answer with {wanted.__name__}")

    # ---- About the server

    def models(self) -> List[m.Model]:
        """The server's models and their states."""
        return list(self._answer(m.ListModels(), m.Models).models)

    def ping(self) -> float:
        """How long a message takes to the server and back, in seconds."""
        start = time.perf_counter()
        self._answer(m.Ping(), m.Pong)
        return time.perf_counter() - start

    def _answer(self, body: Any, wanted: Type[_Result]) -> _Result:
        answers: queue.SimpleQueue = queue.SimpleQueue()
        self._connection.begin(body, answers.put)
        answer = answers.get()
        if isinstance(answer, ApusError):
            raise answer
        if not isinstance(answer, wanted):
            raise UnexpectedAnswer(f"the server did not answer with {wanted.__name__}")
        return answer


class _RunningCall:
    """The events of one call; when nobody holds it any more, the call is cancelled."""

    def __init__(self, client: Client, call: m.LocalCall) -> None:
        self._client = client  # which would be closed if nobody held it
        self._connection = client._connection
        self._answers: queue.SimpleQueue = queue.SimpleQueue()
        self._taken = 0
        self._has_ended = True
        self._id = self._connection.begin(call, self._answers.put)
        self._has_ended = False

    def __del__(self) -> None:
        if not self._has_ended:
            self.cancel()

    def __iter__(self) -> Iterator[m.Event]:
        return self

    def __next__(self) -> m.Event:
        if self._has_ended:
            raise StopIteration
        event: Answer = self._answers.get()
        if isinstance(event, ApusError):
            self._has_ended = True
            raise event
        self._has_ended = isinstance(event, (m.Finished, m.Failed, m.Result, m.Models, m.Pong))
        if isinstance(event, m.Failed):
            raise event.error
        if isinstance(event, (m.Models, m.Pong)):
            raise UnexpectedAnswer(f"the server answered a request with {type(event).__name__}")
        self._take(m.size_of(event))
        return event

    def _take(self, size: int) -> None:
        """Counts what was taken, and tells the server now and then."""
        self._taken += size
        if self._taken >= m.WINDOW // 4:
            self._connection.widen(self._id, self._taken)
            self._taken = 0

    def cancel(self) -> None:
        """Ends the call; the server's last word is then an `EngineError` with the code `cancelled`."""
        self._connection.cancel(self._id)


class Generation(_RunningCall):
    """The events of one generation as they come, to iterate over once.

    Whoever stops early cancels it: by leaving its `with` block, or by dropping it. A slow reader slows nobody else: the
    server sends no more than a window of 256 KiB before some of it was taken, joins what comes meanwhile, and ends the
    generation with `slow_consumer` when too much waits for too long.
    """

    def __enter__(self) -> Generation:
        return self

    def __exit__(self, *_: Any) -> None:
        if not self._has_ended:
            self._has_ended = True
            self.cancel()

    def text(self) -> str:
        """The whole text of a generation with one choice."""
        return "".join(
            event.text for event in self if isinstance(event, m.Tokens) and event.kind == m.TokenKind.CONTENT)


def input_of(prompt: Prompt, tools: Optional[Sequence[Mapping[str, Any]]] = None) -> m.Input:
    """The input that a prompt stands for; `tools` are definitions for a conversation."""
    if isinstance(prompt, _INPUTS):
        return prompt
    if isinstance(prompt, str):
        return m.Text(prompt)
    if isinstance(prompt, m.Tensor):
        return m.Embeddings(prompt)
    if isinstance(prompt, Iterable):
        items: List[Any] = list(prompt)
        if items and all(isinstance(item, int) for item in items):
            return m.TokenIDs(items)
        if all(isinstance(item, Mapping) for item in items):
            return m.Chat.of(items, tools)
    raise TypeError("a prompt is a text, a list of messages, a list of token ids, or a tensor")


def request(prompt: Prompt, tools: Optional[Sequence[Mapping[str, Any]]] = None, **fields: Any) -> m.GenerateRequest:
    """A request of a prompt and of the fields of `GenerateRequest` and `Sampling`, by name."""
    sampling = {name: fields.pop(name) for name in _SAMPLING & fields.keys()}
    if sampling:
        fields["sampling"] = dataclasses.replace(fields.get("sampling", m.Sampling()), **sampling)
    return m.GenerateRequest(inputs=[input_of(prompt, tools)], **fields)
