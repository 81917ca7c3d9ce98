#!/usr/bin/env python3
"""Memory of a worker while it loads a model, at rest, and after an answer; and how fast it loads.

Usage: memory.py [--models FOLDER] [--type Q4_0 ...] [--output results.json] [--write docs/performance/engine.md]
       memory.py --show results.json [--write PAGE]

Resident is anonymous plus file-mapped, from /proc/PID/smaps_rollup, read every 5 ms while the model loads; the peak is the
kernel's own high-water mark. The file is in the page cache before, so loading is not the disk's speed.
Bars: at rest at most 1.15 times the file, at the peak at most 1.25 times, both plus the part of the KV cache that is taken
when the model is loaded: one whole context.
"""
import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "compare/llama-cpp"), str(HERE / "serving")]
import contest
from servers import free_port

SHAPE = "qwen3-0.6b"
TYPES = ["Q4_0", "Q8_0", "Q4_K_M", "Q6_K", "Q5_K_M", "IQ4_NL", "F16"]
# 28 layers of 8 heads of 128 elements, keys and values, F16.
CACHE_BYTES_PER_POSITION = 28 * 8 * 128 * 2 * 2
CONTEXT = 2048
COMMITTED_CACHE = CONTEXT * CACHE_BYTES_PER_POSITION
REST_BAR, PEAK_BAR = 1.15, 1.25
PROMPT, GENERATE = 256, 32


def table_of(path):
    lines = (line.split() for line in Path(path).read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if len(words) == 3 and words[2] == "kB"}


def resident(pid):
    """(anonymous, file-mapped) bytes."""
    fields = table_of(f"/proc/{pid}/smaps_rollup")
    return fields["Anonymous"], fields["Rss"] - fields["Anonymous"]


def worker_of(pid):
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else None


def watch_loading(server, url):
    """The worker, and the sample with the most memory until the model is ready."""
    deadline, most = time.monotonic() + 300, (0, 0)
    while time.monotonic() < deadline and server.poll() is None:
        pid = worker_of(server.pid)
        try:
            if pid:
                most = max(most, resident(pid), key=sum)
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return pid, most
        except (OSError, KeyError):
            pass
        time.sleep(0.005)
    sys.exit("the server did not become ready")


def ask(port):
    body = {"prompt": list(range(1000, 1000 + PROMPT)), "max_tokens": GENERATE, "ignore_eos": True, "temperature": 0}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=300).read()


def measure_file(arguments, type_name):
    model = Path(contest.model_path(arguments, SHAPE, type_name))
    size = model.stat().st_size
    with open(model, "rb") as file:
        while file.read(1 << 24):
            pass
    port = free_port()
    server = subprocess.Popen(
        [str(arguments.programs / "apus"), "serve", f"model={model}", "--port", str(port), "--context", str(CONTEXT),
         "--threads", str(contest.THREADS)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        pid, most = watch_loading(server, f"http://127.0.0.1:{port}/readyz")
        time.sleep(0.5)
        rest, peak = resident(pid), table_of(f"/proc/{pid}/status")["VmHWM"]
        ask(port)
        time.sleep(0.5)
        used = resident(pid)
    finally:
        server.terminate()
        log = server.stderr.read()
        server.wait()
    events = [json.loads(line) for line in log.splitlines() if line.startswith("{") and "load_ms" in line]
    return {"type": type_name, "file": size, "sampled_peak": most, "peak": peak, "rest": rest, "used": used,
            "load_ms": events[0]["load_ms"]}


def measure(arguments):
    files = []
    for type_name in arguments.type:
        contest.wait_until_idle(arguments.wait_idle)
        files.append(measure_file(arguments, type_name))
        print(f"{type_name}: done", file=sys.stderr)
    return {"files": files}


def text(results):
    rows = []
    for file in results["files"]:
        size, rest, used = file["file"], sum(file["rest"]), sum(file["used"])
        rest_alone, used_alone, peak_alone = (value - COMMITTED_CACHE for value in (rest, used, file["peak"]))
        good = [max(rest_alone, used_alone) <= REST_BAR * size, peak_alone <= PEAK_BAR * size]
        mebibytes = [f"{value / 2**20:,.0f}" for value in (size, file["peak"], *file["rest"], used)]
        rows.append([
            file["type"], mebibytes[0], mebibytes[1], f"{peak_alone / size:.2f} ×", mebibytes[2], mebibytes[3],
            f"{rest_alone / size:.2f} ×", mebibytes[4], f"{used_alone / size:.2f} ×",
            "yes" if all(good) else "rest: no" if good[1] else "peak: no" if good[0] else "no",
            f"{file['load_ms'] / 1000:.2f} s", f"{size / file['load_ms'] / 1e6:.2f}"])
    headings = ["Type", "File, MiB", "Peak", "of file, without KV cache", "At rest: anonymous", "file-mapped",
                "of file, without KV cache", f"After {PROMPT} + {GENERATE} tokens", "of file, without KV cache", "Bars reached", "Loaded in", "GB/s of file"]
    return f"Model: {SHAPE}; bars: peak {PEAK_BAR} ×, rest {REST_BAR} ×.\n\n" + contest.markdown(headings, rows)


def options(parser):
    parser.add_argument("--type", nargs="+", choices=TYPES, default=TYPES)


if __name__ == "__main__":
    contest.run("memory", __doc__, measure, text, options)
