#!/usr/bin/env python3
"""What the local door costs the engine: one answer of a real model through `apus serve --ipc`, and through `apus bench`.

Usage: door_cost.py MODEL.gguf [--programs .build/release] [--tokens 256] [--repeats 5]

In turns, on the same machine: `apus bench` has a worker and nothing else; the door has the gateway and a client in a process
of its own. Tokens per second are those of the decoding, without the first token. Prints one JSON object.
"""
import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "clients" / "python"))
import apus  # noqa: E402

PROMPT = [1000] * 16


def through_the_door(client, tokens):
    times = []
    for event in client.generate(PROMPT, maximum_tokens=tokens, temperature=0, ignore_end_of_sequence=True,
                                 speculation=apus.Speculation.OFF):
        if isinstance(event, apus.Tokens):
            times.append(time.monotonic())
    return (len(times) - 1) / (times[-1] - times[0])


def alone(programs, model, tokens):
    said = subprocess.run(
        [f"{programs}/apus", "bench", model, "--prompt", str(len(PROMPT)), "--generate", str(tokens), "--batch", "1",
         "--json"], check=True, capture_output=True, text=True)
    return json.loads(said.stdout.splitlines()[-1])["decode_tokens_per_second"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--programs", default=".build/release")
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/door"
        server = subprocess.Popen(
            [f"{arguments.programs}/apus", "serve", arguments.model, "--port", "0", "--ipc", path, "--context", "1024",
             "--parallel", "1"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            with apus.Client(path, timeout=60) as client:
                through_the_door(client, 8)
                pairs = [(through_the_door(client, arguments.tokens),
                          alone(arguments.programs, arguments.model, arguments.tokens))
                         for _ in range(arguments.repeats)]
        finally:
            server.terminate()
            server.wait()
    door, bench = ([round(value, 1) for value in side] for side in zip(*pairs))
    print(json.dumps({
        "door": door, "alone": bench, "tokens_per_second": [statistics.median(door), statistics.median(bench)],
        "loss_percent": round(100 * (1 - statistics.median(door) / statistics.median(bench)), 2)}, indent=2))


if __name__ == "__main__":
    main()
