#!/bin/sh
# Repeats the three stages that led to the committed file, taking the grammar of the first two from the project's history.
# Usage: stages.sh WORK-FOLDER, where build.sh has already made WORK-FOLDER/venv; needs the full history (no shallow clone).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(cd "$1" && pwd)
python="$work/venv/bin/python"
for stage in first:65bf238 second:80ba299; do
    mkdir -p "$work/${stage%%:*}"
    git -C "$here" archive "${stage##*:}:tools/demo-model" | tar -x -C "$work/${stage%%:*}"
    cp "$here/train.py" "$work/${stage%%:*}/"
done
"$python" "$work/first/tokenizer.py" "$work/tokenizer.json"
train() { folder=$1; shift; "$python" "$folder/train.py" --tokenizer "$work/tokenizer.json" --log "$work/train-log.jsonl" "$@"; }
train "$work/first" --output "$work/first.npz" --seed 1 --steps 2000 --until 700
train "$work/second" --output "$work/second.npz" --seed 2 --steps 1600 --until 900 --resume "$work/first.npz"
train "$work/second" --output "$work/second.npz" --seed 2 --steps 1400 --resume "$work/second.npz"
train "$here" --output "$work/checkpoint.npz" --seed 3 --steps 2600 --rate 3e-3 --resume "$work/second.npz"
"$python" "$here/export.py" --tokenizer "$work/tokenizer.json" --checkpoint "$work/checkpoint.npz" "$work/apus-demo.gguf"
