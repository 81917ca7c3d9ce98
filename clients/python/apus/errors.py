"""Everything that can go wrong, as exceptions with one base class."""

from __future__ import annotations

import enum
from typing import Any, Mapping, Tuple


class ApusError(Exception):
    """The base of all errors of this package."""


class NotConnected(ApusError):
    """Nobody listens at the path, or the server did not come back in time. Nothing was sent: ask again later."""


class RefusalReason(enum.IntEnum):
    """Why a server does not take a client."""

    MALFORMED_FRAME = 1
    VERSION = 2
    TOKEN_MISSING = 3
    TOKEN_WRONG = 4
    USER = 5
    TOO_MANY_CONNECTIONS = 6
    BAD_SEGMENT = 7
    TOO_SLOW = 8
    SHUTTING_DOWN = 9
    RESOURCES = 10
    OTHER = 0xFFFF_FFFF


_REFUSALS = {
    RefusalReason.MALFORMED_FRAME: "the server did not understand the handshake",
    RefusalReason.TOKEN_MISSING: "the server wants a token",
    RefusalReason.TOKEN_WRONG: "the token is not valid",
    RefusalReason.USER: "the server takes connections of its own user only",
    RefusalReason.TOO_MANY_CONNECTIONS: "the server has as many connections as it takes",
    RefusalReason.BAD_SEGMENT: "the server did not accept the shared memory",
    RefusalReason.TOO_SLOW: "the handshake took too long",
    RefusalReason.SHUTTING_DOWN: "the server is shutting down",
    RefusalReason.RESOURCES: "the server lacks memory or descriptors",
    RefusalReason.OTHER: "the server refused the connection",
}
_TEMPORARY = {
    RefusalReason.TOO_MANY_CONNECTIONS,
    RefusalReason.TOO_SLOW,
    RefusalReason.SHUTTING_DOWN,
    RefusalReason.RESOURCES,
}


class Refused(ApusError):
    """The server does not want this client."""

    def __init__(self, reason: RefusalReason, text: str = "", versions: Tuple[int, int] = (2, 2)) -> None:
        self.reason = reason
        #: The server's own words; they may be empty.
        self.text = text
        #: The lowest and the highest version that the server speaks.
        self.versions = versions
        words = _REFUSALS.get(reason, f"the server speaks versions {versions[0]} to {versions[1]}")
        super().__init__(f"{words}: {text}" if text else words)

    @property
    def is_temporary(self) -> bool:
        """Whether the server may take the same client later."""
        return self.reason in _TEMPORARY


class ConnectionLost(ApusError):
    """The connection ended while a call was running.

    If nothing was `delivered`, the request can be sent again without saying anything twice.
    """

    def __init__(self, delivered: bool, reason: str) -> None:
        self.delivered = delivered
        self.reason = reason
        when = "in the middle of the answer" if delivered else "before the answer began"
        super().__init__(f"the connection was lost {when}: {reason}")


class Closed(ApusError):
    """The client was closed."""

    def __init__(self) -> None:
        super().__init__("the client is closed")


class UnexpectedAnswer(ApusError):
    """The server answered with something else than was asked for."""


class WireError(ApusError):
    """Bytes that are no message, or a value that no message can hold.

    Names the place and the limit, never the contents.
    """

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        #: The path of the field, such as `inputs.text`; empty if it is about no field.
        self.field = field

    def inside(self, name: str) -> WireError:
        """The same error, seen from the structure that has the field."""
        self.field = f"{name}.{self.field}" if self.field else name
        return self

    def __str__(self) -> str:
        message = super().__str__()
        return f"{self.field}: {message}" if self.field else message


_ENGINE_ERRORS: Mapping[str, str] = {
    "invalid_request": "{explanation}",
    "unauthorized": "{explanation}",
    "path_not_allowed": "{path} is not below an allowed folder",
    "model_not_found": "the model '{model}' is not served here",
    "context_length_exceeded":
        "the context has {limit} tokens; the prompt needs {prompt} and {requested} are to be generated",
    "unsupported": "not supported: {feature}",
    "queue_full": "the queue is full",
    "rate_limited": "too many requests",
    "cancelled": "cancelled",
    "deadline_exceeded": "the deadline has passed",
    "model_not_ready": "{reason}",
    "worker_lost": "the model's process {loss}",
    "quarantined": "this request ended a model's process before",
    "resource_exhausted": "{explanation}",
    "slow_consumer": "the answer was not read for too long",
    "internal_error": "{explanation} ({id})",
}


class EngineError(ApusError):
    """The server's own answer to a call that it cannot do.

    `code` is one word that stays the same, such as `context_length_exceeded`; `message` is a sentence for a person;
    what else is known is an attribute:

    - `invalid_request`: `parameter`, the field at fault, or empty
    - `path_not_allowed`: `path`; `model_not_found`: `model`; `unsupported`: `feature`
    - `context_length_exceeded`: `limit`, `prompt` and `requested`, in tokens
    - `queue_full`, `rate_limited`, `model_not_ready`, `worker_lost`: `retry_after`, in milliseconds
    - `worker_lost`: `loss`, `crashed` or `stalled`
    - `resource_exhausted`: `permanent`: whether repeating the request is pointless
    - `internal_error`: `id`, which is in the server's log
    """

    #: The codes, in the order of their numbers on the wire.
    CODES = tuple(_ENGINE_ERRORS)

    def __init__(self, code: str, **details: Any) -> None:
        self.code = code
        self.details = details
        self.message = _ENGINE_ERRORS[code].format_map(details)
        super().__init__(self.message)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["details"][name]
        except KeyError:
            raise AttributeError(f"an error of the code {self.__dict__.get('code')} has no '{name}'") from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EngineError) and (self.code, self.details) == (other.code, other.details)

    __hash__ = None  # type: ignore[assignment]
