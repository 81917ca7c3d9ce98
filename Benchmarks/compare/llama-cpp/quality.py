#!/usr/bin/env python3
"""Is the answer as good? Divergence from the F32 model and perplexity, of Apus and of llama.cpp, on the same files.

Usage: quality.py [--python PYTHON] [--base FILE.gguf] [--tokens 12000] [--window 512] [--type ...]
                  [--output results.json] [--write docs/performance/engine.md]
       quality.py --show results.json [--write PAGE]

The base is the model that this project trained, its weights turned into F32, and quantised by llama.cpp's own quantiser.
The text is stories of its generator with a seed that training did not use. It is cut into windows that are scored alone;
every token after a window's first counts: the rule of `apus score`, which llama.cpp's logits are made to follow.

 - reference: llama.cpp on the F32 file, its KV cache F32, flash attention off;
 - llama.cpp: the quantised file, with its defaults;
 - Apus: the same file, through `apus-benchmarks quality` (divergence) and `apus score` (perplexity).

Bars: Apus' divergence at most 1.05 times llama.cpp's; perplexity within 0.2 % of llama.cpp's, for F32 to 4 digits.
"""
import json
import subprocess
import sys
from pathlib import Path

import contest

TYPES = ["F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q5_1", "Q5_0", "Q4_K_M", "IQ4_NL", "Q4_1", "Q4_0", "Q3_K_M", "Q2_K"]
SEED, STORIES = 900, 400
DIVERGENCE_BAR, PERPLEXITY_BAR = 1.05, 0.002
# Two programs that both compute in F32 differ by rounding alone; below this, a ratio of divergences says nothing.
DIVERGENCE_FLOOR = 1e-6


def text_of_stories():
    """Plain texts of the trained model's own kind; the training seeds were others."""
    program = (f"import random, stories; source = random.Random({SEED})\n"
               f"for _ in range({STORIES}): print(stories.plain_text(source))")
    return subprocess.run([sys.executable, "-c", program], cwd=contest.ROOT / "tools/demo-model",
                          stdout=subprocess.PIPE, text=True, check=True).stdout


def measure(arguments):
    folder = arguments.models / "quality"
    folder.mkdir(parents=True, exist_ok=True)
    text = folder / "text.txt"
    text.write_text(text_of_stories())
    command = [contest.peer_python(arguments), str(contest.HERE / "quality_peer.py"), str(arguments.base),
               str(folder), str(text), "--tokens", str(arguments.tokens), "--window", str(arguments.window), "--type", *arguments.type]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"llama.cpp's part failed: {' '.join(command)}")
    peer = json.loads(done.stdout.splitlines()[-1])
    files = [measure_apus(arguments, file, peer) for file in peer["files"]]
    return {"base": arguments.base.name, "window": arguments.window, "reference": peer["reference"], "files": files}


def measure_apus(arguments, file, peer):
    programs = arguments.programs
    quality, error = contest.lines_of([str(programs / "apus-benchmarks"), "quality", file["path"], peer["logits"]])
    if not error:
        score, error = contest.lines_of(
            [str(programs / "apus"), "score", file["path"], peer["text"], "--window", str(arguments.window)])
    if not error:
        file["apus"] = {**quality[0], "score_tokens": score[0]["tokens"], "score_perplexity": score[0]["perplexity"]}
    file["error"] = error
    return file


def text(results):
    rows = []
    for file in results["files"]:
        llama, apus = file["llama.cpp"], file.get("apus")
        cells = [file["type"], file["tensor_types"], f"{llama['kl_divergence']:.6f}"]
        if not apus:
            rows.append(cells + ["–", "–", f"{llama['perplexity']:.4f}", "–", "–", f"no: {file['error']}"])
            continue
        both_tiny = max(llama["kl_divergence"], apus["kl_divergence"]) < DIVERGENCE_FLOOR
        ratio = apus["kl_divergence"] / llama["kl_divergence"] if llama["kl_divergence"] > 0 else 1.0
        difference = apus["score_perplexity"] / llama["perplexity"] - 1
        if file["type"] == "F32":
            good = f"{apus['score_perplexity']:.4g}" == f"{llama['perplexity']:.4g}"
        else:
            good = (both_tiny or ratio <= DIVERGENCE_BAR) and abs(difference) <= PERPLEXITY_BAR
        rows.append(cells + [
            f"{apus['kl_divergence']:.6f}", "–" if both_tiny else f"{ratio:.2f} ×", f"{llama['perplexity']:.4f}",
            f"{apus['score_perplexity']:.4f}", f"{100 * difference:+.3f} %", "yes" if good else "no"])
    headings = ["Type", "Tensor types in the file", "Divergence: llama.cpp", "Apus", "Ratio", "Perplexity: llama.cpp",
                "Apus", "Difference", "Bars reached"]
    reference = results["reference"]
    first = (f"Base: {results['base']} as F32; {reference['tokens']:,} tokens in windows of {results['window']}; perplexity "
             f"of the reference {reference['perplexity']:.4f}.")
    return first + "\n\n" + contest.markdown(headings, rows)


def options(parser):
    parser.add_argument("--base", type=Path, default=contest.ROOT / "Sources/Engine/CDemoModel/apus-demo.gguf")
    parser.add_argument("--tokens", type=int, default=12000, help="about so many tokens of text")
    parser.add_argument("--window", type=int, default=512)
    parser.add_argument("--type", nargs="+", choices=TYPES, default=TYPES)


if __name__ == "__main__":
    contest.run("quality", __doc__, measure, text, options)
