"""What the measuring scripts share: their options, one measurement of each program, the machine, results, tables.

Only the standard library: it runs under the system's Python and starts the peer's Python as a program.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(ROOT / "Benchmarks"))
import report  # noqa: E402

FOLDER = Path(os.environ.get("APUS_COMPARE", ROOT / ".build/compare"))
APUS, LLAMA = "apus", "llama.cpp"
THREADS = 2


def run(part, doc, measure, text, options=lambda parser: None):
    """What every script does: options, measuring (or `--show`), the text of the results, and its place on a page.

    `measure(arguments)` returns the results, `text(results)` what people read; `part` names both. Returns the arguments.
    """
    parser = argparse.ArgumentParser(description=doc.split("\n")[0])
    parser.add_argument("--programs", type=Path, default=ROOT / ".build/release", help="folder of apus")
    parser.add_argument("--python", type=Path, help="a Python with llama-cpp-python; default: one is set up")
    parser.add_argument("--models", type=Path, default=FOLDER / "models", help="folder of the model files")
    parser.add_argument("--llama-server", type=Path, help="llama.cpp's own server; default: it is built")
    parser.add_argument("--wait-idle", type=float, default=0, metavar="SECONDS",
                        help="wait at most so long for an idle machine before each measurement")
    report.add_options(parser, output=FOLDER / f"results/{part}.json")
    options(parser)
    arguments = parser.parse_args()
    results = report.results(arguments, lambda: {"machine": report.machine(), **measure(arguments)})
    report.publish(arguments, part, describe_machine(results["machine"]) + " " + text(results))
    return arguments


def peer_python(arguments):
    if arguments.python:
        return str(arguments.python)
    subprocess.run([str(HERE / "setup")], cwd=ROOT, check=True)
    return str(FOLDER / "venv/bin/python")


def peer_server(arguments):
    if arguments.llama_server:
        return str(arguments.llama_server)
    subprocess.run([str(HERE / "setup"), "server"], cwd=ROOT, check=True)
    return str(FOLDER / "llama-server")


def model_path(arguments, shape, type_name):
    """The model file, made if it is not there."""
    file = arguments.models / f"{shape}-{type_name}.gguf"
    if file.exists():
        return str(file)
    command = [peer_python(arguments), str(HERE / "make_models.py"), "--models", str(arguments.models), "--shape", shape, "--type", type_name]
    made = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    if made.returncode != 0:
        sys.exit(f"could not make {shape} {type_name}: run {' '.join(command)}")
    return made.stdout.strip().splitlines()[-1]


# MARK: Measurements

def lines_of(command):
    """JSON lines of a program, or what it said when it failed."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        return None, (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")], None


def phase_options(prompt, generate, batches):
    return ["--prompt", str(prompt), "--generate", str(generate), "--batch", ",".join(map(str, batches)),
            "--threads", str(THREADS)]


def measure_apus(arguments, model, prompt, generate, batches, temperature=0):
    return lines_of([str(arguments.programs / "apus"), "bench", model, "--json", "--repeat", "1", "--temperature",
                     str(temperature), *phase_options(prompt, generate, batches)])


class Peer:
    """llama.cpp on files of one shape.

    Its best setting for a depth and a number of sequences is looked for once, on the file that is measured first, and kept.
    """

    def __init__(self, python):
        self.python = python
        self.settings = {}

    def measure(self, model, prompt, generate, batches):
        known = {batch: self.settings[prompt, batch] for batch in batches if (prompt, batch) in self.settings}
        lines, error = lines_of([self.python, str(HERE / "peer.py"), model, "--settings", json.dumps(known),
                                 *phase_options(prompt, generate, batches)])
        for line in lines or []:
            self.settings[prompt, line["batch"]] = line["setting"]
        return lines, error


def describe_setting(setting):
    return f"flash attention {setting[0]}, cache {'shared' if setting[1] == 'on' else 'divided'}"


def in_turns(arguments, programs, repeats):
    """Lines and errors of each program, and how busy others kept the machine.

    `programs` maps names to functions that measure once. Who begins changes, so that neither always follows the other's
    warm caches; a program that failed is not asked again.
    """
    results = {"errors": {}, "busy": [], **{name: [] for name in programs}}
    for repeat in range(repeats):
        for name in list(programs)[:: 1 if repeat % 2 == 0 else -1]:
            if name in results["errors"]:
                continue
            results["busy"].append(round(wait_until_idle(arguments.wait_idle), 3))
            lines, error = programs[name]()
            if error:
                results["errors"][name] = error
            else:
                results[name] += lines
    return results


# MARK: The machine

def busy_share(seconds=0.3):
    """Share of processor time that somebody used, this program waiting."""
    def read():
        fields = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
        return sum(fields), fields[3] + fields[4]
    total, idle = read()
    time.sleep(seconds)
    total_after, idle_after = read()
    return 1 - (idle_after - idle) / max(1, total_after - total)


def wait_until_idle(seconds):
    """The share of the machine that others use; waits, at most so long, until that is less than a twentieth."""
    deadline = time.monotonic() + seconds
    busy = busy_share()
    while busy > 0.05 and time.monotonic() < deadline:
        time.sleep(2)
        busy = busy_share()
    return busy


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


def notes_on(cases):
    """What should be known about measured cases: how idle the machine was, and what failed. They have a `title`."""
    busy = max((share for case in cases for share in case["busy"]), default=0)
    failed = [f"{case['title']}: {program} could not: {error}"
              for case in cases for program, error in case["errors"].items()]
    return [f"Before a measurement, others used at most {100 * busy:.0f} % of the machine."] + failed


def markdown(headings, rows):
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def figure(value):
    return "–" if value is None else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"
