"""How measuring scripts keep and publish what they measured: the machine, options, a file of results, a part of a page.

Only the standard library.
"""
import json
import os
import platform
import sys
import time
from pathlib import Path


def machine():
    info = Path("/proc/cpuinfo").read_text()
    names = [line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")]
    flags = next((line.split(":", 1)[1].split() for line in info.splitlines() if line.startswith("flags")), [])
    wanted = ("avx2", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8")
    return {
        "processor": names[0] if names else platform.machine(), "processors": len(os.sched_getaffinity(0)),
        "extensions": [flag for flag in wanted if flag in flags],
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", platform.system()),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "date": time.strftime("%Y-%m-%d"),
    }


def describe(facts):
    """The machine in a few words, for the line above a table."""
    return f"{facts['processors']} processors of \"{facts['processor']}\", {facts['system']}; {facts['date']}"


def add_options(parser, output=None):
    parser.add_argument("--output", type=Path, default=output, help="keep the results in this file")
    parser.add_argument("--show", type=Path, metavar="RESULTS", help="measure nothing, print these results")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="also write the text between the page's marks")


def results(arguments, measure):
    """What `measure()` returns, kept in the file that was asked for; or what an earlier run kept."""
    if arguments.show:
        return json.loads(arguments.show.read_text())
    measured = measure()
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(measured, indent=1) + "\n")
        print(f"results: {arguments.output}", file=sys.stderr)
    return measured


def publish(arguments, part, text):
    """Prints the text, and writes it into the page that was asked for, between the marks of its part."""
    print(text)
    if arguments.write:
        replace_part(arguments.write, part, text)


def replace_part(page, name, text):
    begin, end = f"<!-- measured: {name} -->", f"<!-- end: {name} -->"
    content = page.read_text()
    if begin not in content or end not in content:
        sys.exit(f"{page} has no marks {begin} … {end}")
    head, rest = content.split(begin, 1)
    page.write_text(f"{head}{begin}\n\n{text}\n\n{end}{rest.split(end, 1)[1]}")
