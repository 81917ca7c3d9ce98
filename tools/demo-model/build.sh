#!/bin/sh
# Makes the demo model from nothing: tokenizer, training (about half an hour on two free cores), export, evaluation.
# Usage: build.sh [WORK-FOLDER]; the result is WORK-FOLDER/apus-demo.gguf. It never touches the committed file.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=${1:-build-demo-model}
steps=${STEPS:-2600}
mkdir -p "$work"
work=$(cd "$work" && pwd)
[ -x "$work/venv/bin/python" ] || python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --requirement "$here/requirements.txt"
python="$work/venv/bin/python"
cd "$here"
"$python" tokenizer.py "$work/tokenizer.json"
"$python" train.py --tokenizer "$work/tokenizer.json" --output "$work/checkpoint.npz" --log "$work/train-log.jsonl" --steps "$steps"
"$python" export.py --tokenizer "$work/tokenizer.json" --checkpoint "$work/checkpoint.npz" "$work/apus-demo.gguf"
"$python" compare.py "$work/checkpoint.npz" "$work/apus-demo.gguf"
"$python" evaluate.py "$work/apus-demo.gguf" --held-out 200 --warm 2
"$python" check.py --model "$work/apus-demo.gguf"
