#!/usr/bin/env python3
"""Loads an OpenAI-compatible server with streamed completions from many clients, and says what they saw.

Usage: load.py BASE_URL [--clients 32] [--requests 64] [--lengths 220] [--shared 160] [--output-tokens 32]
               [--chat] [--model NAME] [--json]

Only the standard library. Prompts are token ids (or, with --chat, text of about as many tokens), the same in every run:
the first `--shared` ids are common to all, the rest is each request's own. With several lengths and several output
lengths, requests take them in turn. Every client sends its next request when it has the whole answer of the last.

 - output tokens per second: tokens of all answers, by the server's own usage, over the time of the whole run;
 - time to first token: from the start of connecting to the first chunk with text;
 - inter-token: between chunks with text of one answer.
"""
import argparse
import asyncio
import json
import random
import sys
import time
import urllib.parse

SEED = 7
WORDS = "river stone lamp paper window garden bridge mountain letter music winter harbour".split()


class Plan:
    """The requests of a run."""

    def __init__(self, arguments):
        self.arguments = arguments
        source = random.Random(SEED)
        self.common = [self.token(source) for _ in range(arguments.shared)]

    def token(self, source):
        if self.arguments.chat:
            return source.choice(WORDS)
        return source.randrange(300, self.arguments.vocabulary)

    def body(self, index):
        arguments = self.arguments
        source = random.Random(SEED + 1 + index)
        length = arguments.lengths[index % len(arguments.lengths)]
        tokens = self.common[:max(0, length - 1)]
        tokens = tokens + [self.token(source) for _ in range(length - len(tokens))]
        body = {
            "max_tokens": arguments.output_tokens[index % len(arguments.output_tokens)], "temperature": 0,
            "ignore_eos": True, "stream": True, "stream_options": {"include_usage": True}}
        if arguments.model:
            body["model"] = arguments.model
        if arguments.chat:
            return body | {"messages": [{"role": "user", "content": " ".join(tokens)}]}
        return body | {"prompt": tokens}


async def body_lines(reader, is_chunked):
    """Lines of a body, chunked or not."""
    rest = b""
    while True:
        if is_chunked:
            size = int((await reader.readline()).split(b";")[0] or b"0", 16)
            piece = await reader.readexactly(size) if size else b""
            await reader.readline()
        else:
            piece = await reader.read(65536)
        if not piece:
            return
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line.strip()


async def answer(target, body):
    """One request: when it was sent, when chunks with text came, and the server's count of tokens."""
    path = "/chat/completions" if "messages" in body else "/completions"
    payload = json.dumps(body).encode()
    sent = time.monotonic()
    reader, writer = await asyncio.open_connection(target.hostname, target.port or 80)
    try:
        writer.write(
            f"POST {target.path.rstrip('/')}{path} HTTP/1.1\r\nHost: {target.netloc}\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n".encode() + payload)
        status = int((await reader.readline()).split()[1])
        headers = {}
        while (line := (await reader.readline()).strip()):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip().lower()
        times, usage = [], None
        async for line in body_lines(reader, headers.get("transfer-encoding") == "chunked"):
            if status != 200:
                raise RuntimeError(f"status {status}: {line.decode(errors='replace')[:300]}")
            if not line.startswith(b"data: {"):
                continue
            chunk = json.loads(line[6:])
            if "error" in chunk:
                raise RuntimeError(str(chunk["error"]))
            usage = chunk.get("usage") or usage
            if any(choice.get("text") or choice.get("delta", {}).get("content") for choice in chunk.get("choices", [])):
                times.append(time.monotonic())
        if not times or not usage:
            raise RuntimeError("an answer without text or without usage")
        return sent, times, usage
    finally:
        writer.close()


async def run(arguments):
    plan, target = Plan(arguments), urllib.parse.urlparse(arguments.base_url)
    waiting, answers, errors = iter(range(arguments.requests)), [], []

    async def client():
        for index in waiting:
            try:
                answers.append(await asyncio.wait_for(answer(target, plan.body(index)), arguments.timeout))
            except (OSError, RuntimeError, ValueError, asyncio.IncompleteReadError, TimeoutError) as error:
                errors.append(f"request {index}: {error or type(error).__name__}")

    began = time.monotonic()
    await asyncio.gather(*(client() for _ in range(arguments.clients)))
    return summary(arguments, answers, errors, time.monotonic() - began)


def percentile(values, share):
    """The smallest value that at least this share does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)] if ordered else None


def summary(arguments, answers, errors, seconds):
    first = [times[0] - sent for sent, times, _ in answers]
    gaps = [after - before for _, times, _ in answers for before, after in zip(times, times[1:])]
    output = sum(usage["completion_tokens"] for _, _, usage in answers)
    cached = sum((usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0) for _, _, usage in answers)
    return {
        "clients": arguments.clients, "requests": arguments.requests, "lengths": arguments.lengths,
        "shared": arguments.shared, "answered": len(answers), "failed": len(errors), "errors": errors[:3],
        "seconds": seconds, "output_tokens": output, "output_tokens_per_second": output / seconds,
        "prompt_tokens": sum(usage["prompt_tokens"] for _, _, usage in answers), "cached_tokens": cached,
        "first_token_p50": percentile(first, 0.5), "first_token_p99": percentile(first, 0.99),
        "inter_token_p50": percentile(gaps, 0.5), "inter_token_p99": percentile(gaps, 0.99)}


def numbers(text):
    return [int(word) for word in text.split(",")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("base_url", help="such as http://127.0.0.1:8080/v1")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--requests", type=int, default=64)
    parser.add_argument("--lengths", type=numbers, default=[220], help="tokens of prompts, taken in turn")
    parser.add_argument("--shared", type=int, default=160, help="tokens at the start that all prompts have in common")
    parser.add_argument("--output-tokens", type=numbers, default=[32])
    parser.add_argument("--vocabulary", type=int, default=30000, help="ids are taken below this")
    parser.add_argument("--chat", action="store_true")
    parser.add_argument("--model")
    parser.add_argument("--timeout", type=float, default=1200, help="seconds that one answer may take")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    result = asyncio.run(run(arguments))
    if arguments.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:26} {round(value, 3) if isinstance(value, float) else value}")
    sys.exit(1 if result["failed"] else 0)


if __name__ == "__main__":
    main()
