#!/usr/bin/env python3
"""Apus and llama.cpp's own server under the same load, one after the other, on the same file, two threads each.

Usage: compare.py [MODEL.gguf] [--llama-server PROGRAM] [--llama-parallel 8,32] [--load few many]
                  [--output results.json] [--write docs/performance/engine.md]
       compare.py --show results.json [--write PAGE]

llama.cpp's server is built by Benchmarks/compare/llama-cpp/setup from the source inside the PyPI package. The server that
llama-cpp-python brings in Python answers one request at a time, so it is no match here and is not measured.
How many slots suit llama.cpp's server best depends on the load, so it is measured with each number that is given.
"""
import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "compare/llama-cpp"))
import contest
from servers import free_port, wait_until_ready

# Loads by name: what they are called in the table, and the options of load.py.
LOADS = {
    "few": ("32 clients, 64 completions of 220 + 32 tokens, 160 of the prompt shared", 32, 512,
            ["--clients", "32", "--requests", "64", "--lengths", "220", "--shared", "160", "--output-tokens", "32"]),
    "many": ("64 clients, 64 completions of 40 to 1,500 + 16 to 64 tokens, up to 160 of the prompt shared", 64, 2048,
             ["--clients", "64", "--requests", "64", "--lengths", "40,220,600,120,1500,300", "--shared", "160",
              "--output-tokens", "16,32,64,24"]),
}


def apus_command(arguments, model, port, parallel, positions):
    return [str(arguments.programs / "apus"), "serve", f"model={model}", "--port", str(port), "--threads",
            str(contest.THREADS), "--parallel", str(parallel), "--context", str(positions)]


def llama_command(arguments, model, port, parallel, positions):
    return [contest.peer_server(arguments), "-m", model, "--port", str(port), "-t", str(contest.THREADS),
            "-np", str(parallel), "-c", str(parallel * positions)]


def measure_load(command, port, options):
    """The summary of one load on one freshly started server."""
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    base = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(server, base + "/health")
        program = [sys.executable, str(HERE / "load.py"), base + "/v1"]
        # A first answer touches what is touched for the first time; its prompt has nothing in common with the others.
        subprocess.run([*program, "--clients", "1", "--requests", "1", "--lengths", "16", "--shared", "0"],
                       stdout=subprocess.DEVNULL, check=True)
        done = subprocess.run([*program, "--json", *options], stdout=subprocess.PIPE, text=True)
        return json.loads(done.stdout)
    finally:
        server.terminate()
        server.wait()


def measure(arguments):
    model = str(arguments.model or contest.model_path(arguments, "qwen3-0.6b", "Q4_0"))
    runs = []
    for name in arguments.load:
        title, clients, positions, options = LOADS[name]
        contenders = [("Apus", apus_command, clients)]
        contenders += [(f"llama.cpp's server, {slots} slots", llama_command, slots) for slots in arguments.llama_parallel]
        for contender, command, parallel in contenders:
            contest.wait_until_idle(arguments.wait_idle)
            port = free_port()
            result = measure_load(command(arguments, model, port, parallel, positions), port, options)
            runs.append({"load": title, "server": contender, **result})
            print(f"{contender}: {result['output_tokens_per_second']:.1f} output tokens per second", file=sys.stderr)
    return {"model": Path(model).stem, "runs": runs}


def text(results):
    parts = [f"Model: {results['model']}."]
    headings = ["", "Output tok/s", "First token p50", "p99", "Inter-token p50", "p99", "Whole run", "Failed"]
    for title in dict.fromkeys(run["load"] for run in results["runs"]):
        rows = [[
            run["server"], f"{run['output_tokens_per_second']:.1f}", f"{run['first_token_p50']:.2f} s",
            f"{run['first_token_p99']:.2f} s", f"{1000 * run['inter_token_p50']:.0f} ms",
            f"{1000 * run['inter_token_p99']:.0f} ms", f"{run['seconds']:.1f} s", str(run["failed"]),
        ] for run in results["runs"] if run["load"] == title]
        parts += [f"{title}:", contest.markdown(headings, rows)]
    return "\n\n".join(parts)


def options(parser):
    parser.add_argument("model", type=Path, nargs="?", help="default: the comparison's qwen3-0.6b in Q4_0")
    parser.add_argument("--llama-parallel", type=lambda text: [int(word) for word in text.split(",")], default=[8, 32])
    parser.add_argument("--load", nargs="+", choices=LOADS, default=list(LOADS))


if __name__ == "__main__":
    contest.run("serving", __doc__, measure, text, options)
