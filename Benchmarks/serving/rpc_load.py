#!/usr/bin/env python3
"""Many JSON-RPC clients on one server with the demo model: streams, aborts and disconnects, and what became of them.

Usage: rpc_load.py [--programs .build/release] [--clients 100] [--seconds 120] [--json]

Each client asks seeded questions again and again and compares the parts of each answer with its whole, and the whole with
what the same question was answered before by anybody: a token of another client would show. One run in ten is aborted at
a random moment, and one in ten is left by closing the connection. Memory is the gateway's resident set.
"""
import argparse
import asyncio
import json
import random
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path


class Client:
    def __init__(self, path):
        self.path = path
        self.reader = None
        self.number = 0

    async def connect(self):
        self.reader, self.writer = await asyncio.open_unix_connection(self.path, limit=1 << 24)

    async def send(self, method, params):
        self.number += 1
        message = {"jsonrpc": "2.0", "id": self.number, "method": method, "params": params}
        self.writer.write(json.dumps(message).encode() + b"\n")
        await self.writer.drain()
        return self.number

    async def receive(self):
        line = await self.reader.readline()
        if not line:
            raise ConnectionError("the server closed the connection")
        return json.loads(line)


class Load:
    def __init__(self, path, seconds):
        self.path = path
        self.until = time.monotonic() + seconds
        self.answers = {}
        self.counts = {"finished": 0, "aborted": 0, "left": 0, "errors": 0, "mixed": 0, "messages": 0}
        self.abort_seconds = []

    async def client(self, number):
        generator = random.Random(number)
        client = Client(self.path)
        await client.connect()
        while time.monotonic() < self.until:
            if await self.run(client, generator) == "left":
                client = Client(self.path)
                await client.connect()
        client.writer.close()

    async def run(self, client, generator):
        question = generator.randrange(20)
        ending = generator.choices(["finished", "aborted", "left"], [8, 1, 1])[0]
        stop_after = generator.randrange(1, 20)
        run = await client.send("rkllm.run", {
            "prompt": f"What is {question} + 2? Tell me a story about it.", "seed": question, "max_new_tokens": 32})
        text, parts, asked = "", 0, None
        while True:
            message = await client.receive()
            self.counts["messages"] += 1
            if message.get("method") == "rkllm.stream":
                text += message["params"]["result"]["text"] or ""
                parts += 1
                if message["params"]["request_id"] != run:
                    self.counts["mixed"] += 1
            elif message.get("id") == run:
                return self.note(question, text, message, asked)
            if parts == stop_after and ending == "left":
                client.writer.close()
                self.counts["left"] += 1
                return "left"
            if parts == stop_after and ending == "aborted" and asked is None:
                asked = time.monotonic()
                await client.send("rkllm.abort", {})

    def note(self, question, text, message, asked):
        if "error" in message:
            self.counts["errors"] += 1
            print(message["error"], file=sys.stderr)
            return "error"
        result = message["result"]
        if result["finish_reason"] == "aborted":
            self.counts["aborted"] += 1
            self.abort_seconds.append(time.monotonic() - asked)
            return "aborted"
        if result["text"] != text or self.answers.setdefault(question, text) != text:
            self.counts["mixed"] += 1
        self.counts["finished"] += 1
        return "finished"


def resident_mebibytes(process):
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def stream_percentile(base, share):
    """The upper edge of the bucket that holds this share of the door's latencies, in milliseconds."""
    text = urllib.request.urlopen(base + "/metrics").read().decode()
    buckets = re.findall(r'apus_rpc_stream_seconds_bucket\{le="([^"]+)"\} (\d+)', text)
    total = int(buckets[-1][1])
    return next(float(edge) * 1000 for edge, count in buckets if int(count) >= share * total), total


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else None


async def measure(arguments, path, base, server):
    load = Load(path, arguments.seconds)
    clients = [asyncio.create_task(load.client(number)) for number in range(arguments.clients)]
    await asyncio.sleep(min(10, arguments.seconds / 4))
    early = resident_mebibytes(server.pid)
    await asyncio.gather(*clients)
    late = resident_mebibytes(server.pid)
    p99, flushes = stream_percentile(base, 0.99)
    return {"clients": arguments.clients, "seconds": arguments.seconds, **load.counts,
            "door_p99_ms_at_most": p99, "door_flushes": flushes,
            "abort_p99_ms": round(1000 * (percentile(load.abort_seconds, 0.99) or 0), 1),
            "gateway_mebibytes_early": round(early, 1), "gateway_mebibytes_late": round(late, 1)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=Path, default=Path(__file__).resolve().parents[2] / ".build/release")
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/apus.sock"
        command = [str(arguments.programs / "apus"), "serve", "--port", "0", "--rpc", path,
                   "--rpc-max-connections", str(2 * arguments.clients + 10)]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            base = next(match[1] for line in server.stdout if (match := re.search(r"(http://127\.0\.0\.1:\d+)", line)))
            found = asyncio.run(measure(arguments, path, base, server))
        finally:
            server.terminate()
            server.wait()
    if arguments.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:28} {value}")
    if found["errors"] or found["mixed"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
