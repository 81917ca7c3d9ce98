#!/usr/bin/env python3
"""Many JSON-RPC clients on one server: streams, aborts and disconnects, what became of them, and how old their words were.

Usage: rpc_load.py [--programs .build/release] [--worker model|stamps] [--clients 100] [--seconds 120] [--json]

With the demo model each client asks seeded questions again and again and compares the parts of each answer with its whole,
and the whole with what the same question was answered before by anybody: a token of another client would show. One run in
ten is aborted at a random moment, and one in ten is left by closing the connection.

With `stamps` a worker takes the model's place whose words are the moments at which it sent them, at 100 words a second for
each client, while `apus bench` has the demo model compute on every processor. The age of a word is taken when the client
has read it, so it is the whole way: link, gateway, socket, client.

Memory is the gateway's resident set.
"""
import argparse
import gc
import json
import os
import random
import re
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

QUESTIONS = 20


class Client:
    """One connection: asks, reads, and now and then aborts or leaves."""

    def __init__(self, load, number):
        self.load = load
        self.random = random.Random(number)
        self.connect()

    def connect(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(self.load.path)
        self.socket.setblocking(False)
        self.load.selector.register(self.socket, selectors.EVENT_READ, self)
        self.unread = b""
        self.number = 0
        self.begin()

    def send(self, method, params):
        self.number += 1
        message = {"jsonrpc": "2.0", "id": self.number, "method": method, "params": params}
        self.socket.sendall(json.dumps(message).encode() + b"\n")
        return self.number

    def begin(self):
        self.question = self.random.randrange(QUESTIONS)
        self.ending = self.random.choices(["finished", "aborted", "left"], [8, 1, 1])[0]
        self.stop_after = self.random.randrange(1, 20)
        self.text, self.parts, self.asked = "", 0, None
        self.run = self.send("rkllm.run", {
            "prompt": f"What is {self.question} + 2? Tell me a story about it.", "seed": self.question,
            "max_new_tokens": self.load.tokens})

    def read(self):
        try:
            data = self.socket.recv(1 << 20)
        except BlockingIOError:
            return
        now = time.monotonic_ns()
        if not data:
            raise ConnectionError("the server closed the connection")
        *lines, self.unread = (self.unread + data).split(b"\n")
        for line in lines:
            if self.receive(json.loads(line), now) == "gone":
                return

    def receive(self, message, now):
        self.load.counts["messages"] += 1
        if message.get("method") == "rkllm.stream":
            part = message["params"]["result"]["text"] or ""
            self.load.note_age(part, now)
            self.text += part
            self.parts += 1
            if message["params"]["request_id"] != self.run:
                self.load.counts["mixed"] += 1
        elif message.get("id") == self.run:
            self.load.note(self.question, self.text, message, self.asked, now)
            return self.leave() if self.load.is_over() else self.begin()
        if self.parts == self.stop_after and self.ending == "left":
            self.load.counts["left"] += 1
            self.leave()
            if not self.load.is_over():
                self.connect()
            return "gone"
        if self.parts == self.stop_after and self.ending == "aborted" and self.asked is None:
            self.asked = now
            self.send("rkllm.abort", {})
        return None

    def leave(self):
        self.load.selector.unregister(self.socket)
        self.socket.close()
        return "gone"


class Load:
    def __init__(self, path, arguments):
        self.path = path
        self.has_stamps = arguments.worker == "stamps"
        self.tokens = 200 if self.has_stamps else 32
        self.begun = time.monotonic()
        self.until = self.begun + arguments.seconds
        self.selector = selectors.DefaultSelector()
        self.answers = {}
        self.counts = {"finished": 0, "aborted": 0, "left": 0, "errors": 0, "mixed": 0, "messages": 0}
        self.abort_seconds = []
        self.ages = []

    def is_over(self):
        return time.monotonic() >= self.until

    def turn(self, clients):
        for number in range(clients):
            Client(self, number)
        while self.selector.get_map():
            for key, _ in self.selector.select(1):
                if key.fileobj.fileno() >= 0:
                    key.data.read()

    def note_age(self, part, now):
        if self.has_stamps and part:
            self.ages.append(now - int(part.rsplit(None, 1)[-1].split(".")[0]))

    def note(self, question, text, message, asked, now):
        if "error" in message:
            self.counts["errors"] += 1
            print(message["error"], file=sys.stderr)
            return
        result = message["result"]
        if result["finish_reason"] == "aborted":
            self.counts["aborted"] += 1
            self.abort_seconds.append((now - asked) / 1e9)
            return
        if result["text"] != text:
            self.counts["mixed"] += 1
        if self.has_stamps:
            numbers = [int(word.split(".")[1]) for word in text.split()]
            self.counts["mixed"] += numbers != list(range(self.tokens))
        elif self.answers.setdefault(question, text) != text:
            self.counts["mixed"] += 1
        self.counts["finished"] += 1


def stream_percentile(base, share):
    """The upper edge of the bucket that holds this share of the door's latencies, in milliseconds."""
    text = urllib.request.urlopen(base + "/metrics").read().decode()
    buckets = re.findall(r'apus_rpc_stream_seconds_bucket\{le="([^"]+)"\} (\d+)', text)
    total = int(buckets[-1][1])
    return next(float(edge) * 1000 for edge, count in buckets if int(count) >= share * total), total


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else None


def processor_seconds(process):
    words = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def milliseconds(nanoseconds):
    return None if nanoseconds is None else round(nanoseconds / 1e6, 3)


def measure(arguments, path, base, server):
    load = Load(path, arguments)
    sampler = subprocess.Popen(
        [sys.executable, "-c", SAMPLER, str(server.pid), str(arguments.seconds)], stdout=subprocess.PIPE, text=True)
    gc.disable()
    load.turn(arguments.clients)
    early, late = map(float, sampler.communicate()[0].split())
    p99, flushes = stream_percentile(base, 0.99)
    found = {"clients": arguments.clients, "seconds": arguments.seconds, **load.counts,
             "messages_per_second": round(load.counts["messages"] / (time.monotonic() - load.begun)),
             "gateway_us_per_message": round(1e6 * processor_seconds(server.pid) / load.counts["messages"], 1),
             "client_us_per_message": round(1e6 * time.process_time() / load.counts["messages"], 1),
             "door_p99_ms_at_most": p99, "door_flushes": flushes,
             "abort_p99_ms": round(1000 * (percentile(load.abort_seconds, 0.99) or 0), 1),
             "gateway_mebibytes_early": early, "gateway_mebibytes_late": late}
    for share in (0.5, 0.99, 0.999):
        if load.ages:
            found[f"age_p{100 * share:g}_ms"] = milliseconds(percentile(load.ages, share))
    return found


SAMPLER = """
import re, sys, time
def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", open(f"/proc/{sys.argv[1]}/status").read())[1]) / 1024
seconds = float(sys.argv[2])
time.sleep(seconds / 4); early = resident()
time.sleep(seconds * 0.7); print(round(early, 1), round(resident(), 1))
"""


def start_server(arguments, folder, path):
    programs = arguments.programs.resolve()
    apus = programs / "apus"
    if arguments.worker == "stamps":
        apus = Path(folder) / "apus"
        shutil.copy(programs / "apus", apus)
        worker = Path(folder) / "apus-worker"
        worker.write_text(f'#!/bin/sh\nexec "{programs}/apus-benchmarks" ipc worker --step-ms 10 "$@"\n')
        worker.chmod(0o755)
    command = [str(apus), "serve", "--port", "0", "--rpc", path,
               "--rpc-max-connections", str(2 * arguments.clients + 10)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    base = next(match[1] for line in server.stdout if (match := re.search(r"(http://127\.0\.0\.1:\d+)", line)))
    return server, base


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=Path, default=Path(__file__).resolve().parents[2] / ".build/release")
    parser.add_argument("--worker", choices=["model", "stamps"], default="model")
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    model = None
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/apus.sock"
        server, base = start_server(arguments, folder, path)
        try:
            if arguments.worker == "stamps":
                bench = arguments.programs.resolve() / "apus"
                model = subprocess.Popen(
                    ["sh", "-c", f"while :; do '{bench}' bench >/dev/null 2>&1; done"], start_new_session=True)
            found = measure(arguments, path, base, server)
        finally:
            if model:
                os.killpg(model.pid, signal.SIGKILL)
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
