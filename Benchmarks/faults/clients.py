"""Clients that know what they must be told: each text is compared with the one that an undisturbed server gave."""
import asyncio
import json
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(BENCHMARKS / "serving"), str(BENCHMARKS)]
from load import body_lines, percentile  # noqa: E402

SUBJECTS = "a lighthouse, the sea, an old map, winter, two friends, a clock, bread, the moon".split(", ")

# How a call ended, as its client saw it. The last four must never happen.
WHOLE, ERROR, REFUSED, QUARANTINED, LEFT = "whole", "error", "refused", "quarantined", "left"
NO_END, LOST, MIXED, OTHER = "no end", "lost text", "wrong text", "other"
BAD = (NO_END, LOST, MIXED, OTHER)


@dataclass
class Call:
    """One request: what is asked, and how the client behaves."""
    body: dict
    path: str = "/v1/chat/completions"
    leaves_after: int | None = None

    @property
    def key(self):
        return json.dumps({name: value for name, value in self.body.items() if name != "stream"}, sort_keys=True)


def calls(resumes=False):
    """Requests whose answers are the same every time: by temperature 0 or by their seed."""
    found = []
    for number, subject in enumerate(SUBJECTS):
        for tokens in (8, 48, 120):
            body = {"messages": [{"role": "user", "content": f"Tell me something about {subject}."}],
                    "max_tokens": tokens, "ignore_eos": True, "stream": tokens != 8 or number % 2 == 0}
            body |= {"temperature": 0} if number % 2 else {"temperature": 0.9, "seed": number}
            if resumes and number % 4 == 0:
                body["resume_on_worker_loss"] = True
            found.append(Call(body))
    return found


@dataclass
class Ending:
    kind: str
    at: float
    text: str = ""
    detail: str = ""
    call: Call | None = None
    retry_after: float = 0.0
    # When the request was sent, and when each piece of text came.
    times: list = field(default_factory=list)


async def read_head(reader):
    line = await reader.readline()
    if not line:
        raise ConnectionError("closed before the status")
    status, headers = int(line.split()[1]), {}
    while (line := (await reader.readline()).strip()):
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    return status, headers


async def ask(port, call, began=None):
    """Sends one request and reads its answer to the end, whatever that is."""
    payload = json.dumps(call.body).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    if began is not None:
        began()
    try:
        writer.write(
            f"POST {call.path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n".encode() + payload)
        status, headers = await read_head(reader)
        is_chunked = headers.get("transfer-encoding") == "chunked"
        if status == 200 and call.body.get("stream"):
            return await read_stream(reader, is_chunked, call)
        whole = b"\n".join([line async for line in body_lines_of(reader, is_chunked, headers)])
        return whole_answer(status, headers, whole, call)
    finally:
        writer.close()


async def body_lines_of(reader, is_chunked, headers):
    if is_chunked:
        async for line in body_lines(reader, True):
            yield line
    else:
        yield await reader.readexactly(int(headers.get("content-length", 0)))


async def read_stream(reader, is_chunked, call):
    text, error, chunks, times = "", None, 0, [time.monotonic()]
    try:
        async for line in body_lines(reader, is_chunked):
            if line == b"data: [DONE]":
                return Ending(ERROR if error else WHOLE, time.monotonic(), text, str(error or ""), call, times=times)
            if not line.startswith(b"data: {"):
                continue
            chunk = json.loads(line[6:])
            error = chunk.get("error") or error
            for choice in chunk.get("choices", []):
                if piece := choice.get("delta", {}).get("content"):
                    text += piece
                    times.append(time.monotonic())
            chunks += 1
            if call.leaves_after is not None and chunks > call.leaves_after:
                return Ending(LEFT, time.monotonic(), text, "", call)
    except (ValueError, OSError, asyncio.IncompleteReadError) as problem:
        return Ending(NO_END, time.monotonic(), text, repr(problem), call)
    return Ending(NO_END, time.monotonic(), text, "the stream ended without [DONE]", call)


def whole_answer(status, headers, bytes_, call):
    now = time.monotonic()
    if status == 200:
        message = json.loads(bytes_)["choices"][0]["message"]
        return Ending(WHOLE, now, message["content"] or "", "", call)
    detail = f"{status} {bytes_.decode(errors='replace')[:300]}"
    if status in (503, 429) and "retry-after" in headers:
        wait = float(headers.get("retry-after-ms", 0)) / 1000 or float(headers["retry-after"])
        return Ending(REFUSED, now, "", detail, call, wait)
    return Ending(QUARANTINED if '"quarantined"' in detail else OTHER, now, "", detail, call)


@dataclass
class Load:
    """Clients that ask one request after the other until they are stopped."""
    port: int
    clients: int
    calls: list
    expected: dict
    patience: float = 60.0
    keeps_times: bool = False
    endings: list = field(default_factory=list)
    is_running: bool = True
    tasks: list = field(default_factory=list)

    def start(self):
        self.tasks = [asyncio.create_task(self.client(number)) for number in range(self.clients)]

    async def stop(self):
        """Lets every client finish what it has begun."""
        self.is_running = False
        await asyncio.gather(*self.tasks)

    async def client(self, number):
        source = random.Random(number)
        while self.is_running:
            call = source.choice(self.calls)
            ending = await self.one(call)
            self.endings.append(ending)
            if ending.kind in (REFUSED, QUARANTINED, OTHER):
                await asyncio.sleep(min(ending.retry_after, 0.2) or 0.05)

    async def one(self, call):
        try:
            ending = await asyncio.wait_for(ask(self.port, call), self.patience)
        except TimeoutError:
            return Ending(NO_END, time.monotonic(), "", f"nothing for {self.patience} s", call)
        except ConnectionRefusedError as problem:
            return Ending(OTHER, time.monotonic(), "", repr(problem), call)
        except (OSError, ValueError, KeyError, IndexError, asyncio.IncompleteReadError) as problem:
            return Ending(NO_END, time.monotonic(), "", repr(problem), call)
        return self.judged(ending)

    def judged(self, ending):
        """An answer that says it is whole must be the expected text, a broken one must begin it."""
        expected, text = self.expected.get(ending.call.key), ending.text
        ending.text = ""
        if not self.keeps_times:
            ending.times = []
        if expected is None or ending.kind not in (WHOLE, ERROR, LEFT) or text == expected:
            return ending
        if not expected.startswith(text):
            ending.kind = MIXED
        elif ending.kind == WHOLE:
            ending.kind = LOST
        if ending.kind in BAD:
            ending.detail = f"expected {expected[-60:]!r}, got {text[-60:]!r}"
        return ending

    def tally(self, since=0):
        return Counter(ending.kind for ending in self.endings[since:])


async def learn(port, wanted):
    """What an undisturbed server says to each call, asked one by one."""
    expected = {}
    for call in wanted:
        ending = await ask(port, call)
        if ending.kind != WHOLE:
            raise SystemExit(f"the undisturbed server said: {ending.detail}")
        expected[call.key] = ending.text
    return expected


class Probe:
    """Asks `/readyz` all the time on one connection, and keeps each change of its answer."""

    def __init__(self, port, every=0.004):
        self.port, self.every = port, every
        self.changes = []
        self.task = asyncio.create_task(self.run())

    async def run(self):
        reader = writer = None
        while True:
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.write(f"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n\r\n".encode())
                status, headers = await asyncio.wait_for(read_head(reader), 10)
                body = json.loads(await reader.readexactly(int(headers["content-length"])))
                reason = "; ".join(filter(None, (model.get("reason") for model in body.get("models", []))))
                states = ", ".join(model["state"] for model in body.get("models", []))
                self.note(status, f"{states}: {reason}" if reason else states)
            except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as problem:
                self.note(0, repr(problem))
                if writer is not None:
                    writer.close()
                reader = writer = None
                await asyncio.sleep(0.02)
            await asyncio.sleep(self.every)

    def note(self, status, what):
        if not self.changes or self.changes[-1][1:] != (status, what):
            self.changes.append((time.monotonic(), status, what))

    @property
    def is_ready(self):
        return bool(self.changes) and self.changes[-1][1] == 200

    async def first(self, condition, since, patience):
        """When the answer first was as wanted after a time; None if that does not come."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            for at, status, _ in self.changes:
                if at >= since and condition(status):
                    return at
            await asyncio.sleep(self.every)
        return None

    def stop(self):
        self.task.cancel()
