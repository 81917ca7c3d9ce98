"""A client of Apus, the local model server, over its door for programs on the same machine.

>>> with apus.Client("/run/user/1000/apus/ipc") as client:
...     for event in client.generate([{"role": "user", "content": "Hello!"}], maximum_tokens=64):
...         if isinstance(event, apus.Tokens):
...             print(event.text, end="", flush=True)
"""

from .client import Client, Generation
from .dialogue import Dialogue, Tool, ToolCall, TooManyRounds, Turn
from .errors import (
    ApusError, Closed, ConnectionLost, EngineError, NotConnected, Refused, RefusalReason, UnexpectedAnswer, WireError,
)
from .messages import (
    DRY, Accepted, Chat, ChoiceFinished, Embedded, Embeddings, Finished, FinishReason, GenerateRequest, LogitBias,
    LogProbabilityOptions, Mirostat, MirostatVersion, Model, Pooling, Sampling, Score, Speculation, Stage, Started,
    Tensor, TensorKind, TensorRequest, TensorRows, Text, Timings, TokenIDs, TokenKind, TokenLogProbabilities,
    TokenLogProbability, Tokens, Usage,
)

__all__ = [
    "Accepted", "ApusError", "Chat", "ChoiceFinished", "Client", "Closed", "ConnectionLost", "DRY", "Dialogue",
    "Embedded", "Embeddings", "EngineError", "FinishReason", "Finished", "GenerateRequest", "Generation",
    "LogProbabilityOptions", "LogitBias", "Mirostat", "MirostatVersion", "Model", "NotConnected", "Pooling",
    "RefusalReason", "Refused", "Sampling", "Score", "Speculation", "Stage", "Started", "Tensor", "TensorKind",
    "TensorRequest", "TensorRows", "Text", "Timings", "TokenIDs", "TokenKind", "TokenLogProbabilities",
    "TokenLogProbability", "Tokens", "TooManyRounds", "Tool", "ToolCall", "Turn", "UnexpectedAnswer", "Usage",
    "WireError",
]
