#!/usr/bin/env python3
"""Measures the optimised server with the bundled model: start-up, memory, first token, speed, the gateway's share.

Usage: measure.py [--programs .build/release] [--repeats 15]

Only the standard library is used. Every figure is a median over the repeats, measured from outside the server:
 - start-up: from exec to the first 200 of /readyz;
 - memory: resident, anonymous and file-mapped KiB of both processes, idle, from /proc/PID/status;
 - time to first token: from send to the first chunk with text;
 - speed: chunks per second after the first;
 - gateway share: processor time of the gateway (from /proc/PID/schedstat) divided by the tokens it passed on, and the
   difference between the median gap of chunks at the client and the worker's own time per token.
"""
import argparse
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import time


def start(programs):
    began = time.monotonic()
    process = subprocess.Popen(
        [os.path.join(programs, "apus"), "serve", "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True)
    port = None
    for line in process.stdout:
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
        if found:
            port = int(found.group(1))
            break
    if port is None:
        sys.exit("the server did not start")
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                break
        except OSError:
            pass
        time.sleep(0.0005)
    return process, port, time.monotonic() - began


def workers(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return [int(word) for word in children.read().split()]


def memory(pid):
    fields = {}
    with open(f"/proc/{pid}/status") as status:
        for line in status:
            name, _, value = line.partition(":")
            if name in ("VmRSS", "RssAnon", "RssFile", "RssShmem"):
                fields[name] = int(value.split()[0])
    return fields


def processor_seconds(pid):
    with open(f"/proc/{pid}/schedstat") as stat:
        return int(stat.read().split()[0]) / 1e9


def stream(port, tokens, prompt="Tell me a short story about a lighthouse."):
    body = json.dumps({
        "messages": [{"role": "user", "content": prompt}], "stream": True, "temperature": 0, "max_tokens": tokens,
        "ignore_eos": True, "stream_options": {"include_usage": True}})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    began = time.monotonic()
    connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    times, usage = [], None
    for line in response:
        if line.startswith(b'data: {'):
            if b'"content":"' in line:
                times.append(time.monotonic())
            if b'"usage":{' in line:
                usage = json.loads(line[6:])["usage"]
    return began, times, usage


def scrape(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    return {line.split()[0].split("{")[0]: float(line.split()[-1])
            for line in text.splitlines() if line and not line.startswith("#")}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--programs", default=".build/release")
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()

    starts = []
    for _ in range(arguments.repeats):
        process, _, seconds = start(arguments.programs)
        starts.append(seconds)
        process.terminate()
        process.wait()

    process, port, _ = start(arguments.programs)
    time.sleep(0.5)
    gateway, worker = process.pid, workers(process.pid)[0]
    idle = {"gateway": memory(gateway), "worker": memory(worker)}
    stream(port, 8)

    first, speed, gaps = [], [], []
    tokens_before = scrape(port)["apus_generated_tokens_total"]
    steps_before = scrape(port)["apus_step_seconds_total"]
    processor_before, tokens = processor_seconds(gateway), 0
    for _ in range(arguments.repeats):
        began, times, usage = stream(port, 200)
        first.append(times[0] - began)
        speed.append((len(times) - 1) / (times[-1] - times[0]))
        gaps += [after - before for before, after in zip(times, times[1:])]
        tokens += usage["completion_tokens"]
    processor = (processor_seconds(gateway) - processor_before) / tokens
    time.sleep(0.6)
    after = scrape(port)
    step = (after["apus_step_seconds_total"] - steps_before) / (after["apus_generated_tokens_total"] - tokens_before)
    busy = {"gateway": memory(gateway), "worker": memory(worker)}
    process.terminate()
    process.wait()

    milliseconds = lambda seconds: round(seconds * 1000, 3)
    print(json.dumps({
        "startup_ms": milliseconds(statistics.median(starts)),
        "idle_kib": idle,
        "after_load_kib": busy,
        "time_to_first_token_ms": milliseconds(statistics.median(first)),
        "tokens_per_second": round(statistics.median(speed), 1),
        "worker_ms_per_token": milliseconds(step),
        "client_gap_ms_median": milliseconds(statistics.median(gaps)),
        "gateway_processor_ms_per_token": milliseconds(processor),
    }, indent=2))


if __name__ == "__main__":
    main()
