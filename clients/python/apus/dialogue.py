"""A conversation in which the model may call the client's tools."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

from . import messages as m
from .client import Client
from .errors import ApusError


@dataclass(frozen=True)
class Tool:
    """A function of the client that a model may call."""

    name: str
    purpose: str
    #: A JSON schema of its arguments.
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class ToolCall:
    """What a model asks of a tool."""

    name: str
    arguments: Any

    @classmethod
    def of(cls, text: str) -> Optional[ToolCall]:
        """The call that a model wrote as a JSON object; None if it is none."""
        try:
            call = json.loads(text)
            return cls(call["name"], call.get("arguments", {})) if isinstance(call["name"], str) else None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None


@dataclass
class Turn:
    """What one round brought: text, and the tools that are to be used before the model goes on."""

    text: str = ""
    calls: List[ToolCall] = field(default_factory=list)


class TooManyRounds(ApusError):
    """The model called tools again and again without an answer."""


class Dialogue:
    """A conversation whose messages are the session.

    Each turn sends them all, and the server finds what it has computed of them in its prefix cache. One thread uses it
    at a time.
    """

    #: How often the model may call tools before it has to answer.
    maximum_rounds = 8

    def __init__(
        self, client: Client, *, model: str = "", tools: Sequence[Tool] = (), system: Optional[str] = None,
        **fields: Any,
    ) -> None:
        """The fields are those of `Client.generate`, and hold for each turn."""
        self._client = client
        self._model = model
        self._tools = [_definition(tool) for tool in tools] or None
        self._fields = fields
        self.messages: List[Dict[str, Any]] = []
        if system is not None:
            self.messages.append({"role": "system", "content": system})

    def answer(self, text: str, use: Callable[[ToolCall], str] = lambda _: "there is no such tool") -> str:
        """The model's answer to a user, after all tools that it wanted.

        `use` does what a tool does; its result goes back to the model. Raises what `Client.generate` raises, and
        `TooManyRounds`.
        """
        self.messages.append({"role": "user", "content": text})
        for _ in range(self.maximum_rounds):
            turn = self.next()
            if not turn.calls:
                return turn.text
            for call in turn.calls:
                self.add(use(call), call)
        raise TooManyRounds(f"the model called tools in {self.maximum_rounds} rounds without an answer")

    def next(self) -> Turn:
        """The model's next turn, which is added to the messages."""
        turn = Turn()
        for event in self._client.generate(self.messages, tools=self._tools, model=self._model, **self._fields):
            if not isinstance(event, m.Tokens) or event.choice != 0:
                continue
            call = ToolCall.of(event.text) if event.kind == m.TokenKind.TOOL_CALL else None
            if call:
                turn.calls.append(call)
            else:
                turn.text += event.text
        self.messages.append(_message(turn))
        return turn

    def add(self, result: str, call: ToolCall) -> None:
        """What a tool has found out, for the model's next turn."""
        self.messages.append({"role": "tool", "name": call.name, "content": result})


def _definition(tool: Tool) -> Dict[str, Any]:
    function = {"name": tool.name, "description": tool.purpose, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def _message(turn: Turn) -> Dict[str, Any]:
    message: Dict[str, Any] = {"role": "assistant", "content": turn.text}
    if turn.calls:
        message["tool_calls"] = [
            {"type": "function", "function": {"name": call.name, "arguments": call.arguments}} for call in turn.calls]
    return message
