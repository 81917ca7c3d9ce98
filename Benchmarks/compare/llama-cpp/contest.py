"""What the scripts here share: where the programs are, one measurement of each, the machine, results, tables.

Only the standard library: it runs under the system's Python and starts the peer's Python as a program.
"""
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
FOLDER = Path(os.environ.get("APUS_COMPARE", ROOT / ".build/compare"))
APUS, LLAMA = "apus", "llama.cpp"
THREADS = 2


def add_options(parser):
    parser.add_argument("--python", type=Path, help="a Python with llama-cpp-python; default: one is set up")
    parser.add_argument("--programs", type=Path, default=ROOT / ".build/release", help="folder of apus")
    parser.add_argument("--models", type=Path, default=FOLDER / "models", help="folder of the model files")
    parser.add_argument("--quiet-seconds", type=int, default=60,
                        help="wait at most so long for an idle machine before each measurement")


def peer_python(arguments):
    if arguments.python:
        return str(arguments.python)
    subprocess.run([str(HERE / "setup")], cwd=ROOT, check=True)
    return str(FOLDER / "venv/bin/python")


def model_path(python, arguments, shape, type_name):
    """The model file, made if it is not there."""
    command = [python, str(HERE / "make_models.py"), "--models", str(arguments.models), "--shape", shape, "--type", type_name]
    made = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    if made.returncode != 0:
        sys.exit(f"could not make {shape} {type_name}: run {' '.join(command)}")
    return made.stdout.strip().splitlines()[-1]


# MARK: One measurement

def lines_of(command):
    """JSON lines of a program, or what it said when it failed."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        return None, (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")], None


def phase_options(prompt, generate, batches):
    return ["--prompt", str(prompt), "--generate", str(generate), "--batch", ",".join(map(str, batches)),
            "--threads", str(THREADS), "--repeat", "1"]


def measure_apus(arguments, model, prompt, generate, batches, temperature=0):
    return lines_of([str(arguments.programs / "apus"), "bench", model, "--json", "--temperature", str(temperature),
                     *phase_options(prompt, generate, batches)])


class Peer:
    """llama.cpp on one file: its best setting is found once for each batch and kept for the repeats."""

    def __init__(self, python, model, instant_depth=False):
        self.command = [python, str(HERE / "peer.py"), model]
        if instant_depth:
            self.command.append("--instant-depth")
        self.settings = {}

    def measure(self, prompt, generate, batches):
        lines = []
        for batch in batches:
            on_off = {True: "on", False: "off"}
            known = self.settings.get((prompt, batch))
            fixed = ["--flash-attention", on_off[known[0]], "--unified", on_off[known[1]]] if known else []
            measured, error = lines_of(self.command + phase_options(prompt, generate, [batch]) + fixed)
            if error:
                return None, error
            self.settings[prompt, batch] = (measured[0]["flash_attention"], measured[0]["unified"])
            lines += measured
        return lines, None


# MARK: The machine

def busy_share(seconds=0.5):
    """Share of processor time that somebody used, this program waiting."""
    def read():
        fields = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
        return sum(fields), fields[3] + fields[4]
    total, idle = read()
    time.sleep(seconds)
    total_after, idle_after = read()
    return 1 - (idle_after - idle) / max(1, total_after - total)


def wait_until_quiet(seconds):
    """The share of the machine that others use; waits, as long as it may, until that is less than a twentieth."""
    deadline = time.monotonic() + seconds
    busy = busy_share()
    while busy > 0.05 and time.monotonic() < deadline:
        time.sleep(2)
        busy = busy_share()
    return busy


def machine():
    info = Path("/proc/cpuinfo").read_text()
    names = [line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")]
    flags = next((line.split(":", 1)[1].split() for line in info.splitlines() if line.startswith("flags")), [])
    system = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    wanted = ("avx2", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8")
    return {
        "processor": names[0] if names else platform.machine(), "processors": len(os.sched_getaffinity(0)),
        "extensions": [flag for flag in wanted if flag in flags], "system": system,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "date": time.strftime("%Y-%m-%d"),
    }


def describe_machine(facts):
    extensions = ", ".join(facts["extensions"]) or "no vector extensions named"
    return (f"Machine: {facts['processors']} processors of \"{facts['processor']}\" ({extensions}), "
            f"{facts['memory_gib']} GiB, {facts['system']}; {THREADS} threads each; {facts['date']}.")


# MARK: Results

def median(rows, key):
    return statistics.median(row[key] for row in rows)


def spread(rows, key):
    """Half the distance between smallest and largest, as a share of the median."""
    values = [row[key] for row in rows]
    return (max(values) - min(values)) / 2 / statistics.median(values)


def save(results, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")
    print(f"results: {path}", file=sys.stderr)


def markdown(headings, rows):
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def figure(value):
    return "–" if value is None else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def replace_part(page, name, text):
    """Writes a measured part of a page, between its two marks."""
    begin, end = f"<!-- measured: {name} -->", f"<!-- end: {name} -->"
    content = page.read_text()
    if begin not in content or end not in content:
        sys.exit(f"{page} has no marks {begin} … {end}")
    head, rest = content.split(begin, 1)
    tail = rest.split(end, 1)[1]
    page.write_text(f"{head}{begin}\n\n{text}\n\n{end}{tail}")
