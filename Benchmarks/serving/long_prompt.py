#!/usr/bin/env python3
"""What running answers feel of a long prompt: the gaps between their chunks, alone and while it is prefilled.

Usage: long_prompt.py MODEL.gguf [--programs .build/release] [--prompt 8192] [--clients 4] [--repeats 5] [--alone 30]
                      [--kv-cache f16]

Only the standard library. `--clients` answers stream without a break; in turns, they do so beside a request of `--prompt`
tokens of which one token is generated, and alone for `--alone` seconds. Drafts are off, so that each chunk is one step's.
Prints one JSON object.
"""
import argparse
import http.client
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time

from servers import free_port, wait_until_ready

SEED = 7


class Streamer(threading.Thread):
    """One client that streams answer after answer, and keeps the time of each chunk."""

    def __init__(self, port, number):
        super().__init__(daemon=True)
        self.port, self.number, self.answers, self.leaving = port, number, [], False

    def run(self):
        while not self.leaving:
            times = []
            self.answers.append(times)
            for line in request(self.port, [1000 + self.number] * 64, tokens=512):
                if b'"text":"' in line:
                    times.append(time.monotonic())
                if self.leaving:
                    return

    def gaps(self, start, end):
        return [after - before for times in self.answers for before, after in zip(times, times[1:])
                if before >= start and after <= end]


def request(port, prompt, tokens):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    connection.request("POST", "/v1/completions", json.dumps({
        "prompt": prompt, "max_tokens": tokens, "temperature": 0, "ignore_eos": True, "stream": True,
        "speculation": "off"}), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    if answer.status != 200:
        sys.exit(f"status {answer.status}: {answer.read().decode()}")
    yield from answer
    connection.close()


def percentile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def figures(gaps):
    return {"chunks": len(gaps), "p50_ms": round(1000 * statistics.median(gaps), 1),
            "p99_ms": round(1000 * percentile(gaps, 0.99), 1), "longest_ms": round(1000 * max(gaps), 1)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--programs", default=".build/release")
    parser.add_argument("--prompt", type=int, default=8192)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--alone", type=float, default=30, help="seconds without the prompt, after each")
    parser.add_argument("--kv-cache", default="f16", help="f16 or q8_0")
    arguments = parser.parse_args()
    port = free_port()
    server = subprocess.Popen(
        [os.path.join(arguments.programs, "apus"), "serve", arguments.model, "--port", str(port), "--context",
         str(arguments.prompt + 64), "--parallel", str(arguments.clients + 1), "--kv-cache", arguments.kv_cache],
        stderr=subprocess.DEVNULL)
    try:
        wait_until_ready(server, f"http://127.0.0.1:{port}/readyz")
        streamers = [Streamer(port, number) for number in range(arguments.clients)]
        for streamer in streamers:
            streamer.start()
        time.sleep(3)
        alone, beside, took = [], [], []
        for repeat in range(arguments.repeats):
            source = random.Random(SEED + repeat)
            prompt = [source.randrange(300, 30_000) for _ in range(arguments.prompt)]
            start = time.monotonic()
            for _ in request(port, prompt, tokens=1):
                pass
            end = time.monotonic()
            took.append(end - start)
            time.sleep(arguments.alone)
            for streamer in streamers:
                beside += streamer.gaps(start, end)
                alone += streamer.gaps(end, time.monotonic())
        for streamer in streamers:
            streamer.leaving = True
        print(json.dumps({
            "prompt": arguments.prompt, "clients": arguments.clients, "kv_cache": arguments.kv_cache,
            "prompt_seconds": round(statistics.median(took), 1), "alone": figures(alone), "beside": figures(beside),
            "p99_ratio": round(percentile(beside, 0.99) / percentile(alone, 0.99), 2)}, indent=2))
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
