#!/bin/sh
# Repeats the four stages that led to the committed file, each with the grammar of its time from the project's history.
# Usage: stages.sh WORK-FOLDER, where build.sh has already made WORK-FOLDER/venv; needs the full history (no shallow clone).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(cd "$1" && pwd)
python="$work/venv/bin/python"
for stage in first:65bf238 second:80ba299 third:ddd5199 fourth:df1ca25; do
    mkdir -p "$work/${stage%%:*}"
    git -C "$here" archive "${stage##*:}:tools/demo-model" | tar -x -C "$work/${stage%%:*}"
    cp "$here/train.py" "$work/${stage%%:*}/"
done
"$python" "$work/first/tokenizer.py" "$work/tokenizer.json"
train() {
    folder=$1
    shift
    "$python" "$work/$folder/train.py" --tokenizer "$work/tokenizer.json" --log "$work/train-log.jsonl" --output "$work/$folder.npz" "$@"
}
train first --seed 1 --rate 4e-3 --steps 2000 --until 700
train second --seed 2 --rate 4e-3 --steps 1600 --until 900 --resume "$work/first.npz"
train second --seed 2 --rate 4e-3 --steps 1400 --resume "$work/second.npz"
train third --seed 3 --rate 3e-3 --steps 2600 --until 2000 --resume "$work/second.npz"
train fourth --seed 4 --rate 3e-3 --steps 3000 --until 2500 --resume "$work/third.npz"
"$python" "$here/export.py" --tokenizer "$work/tokenizer.json" --checkpoint "$work/fourth.npz" "$work/apus-demo.gguf"
