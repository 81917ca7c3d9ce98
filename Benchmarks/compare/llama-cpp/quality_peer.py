#!/usr/bin/env python3
"""llama.cpp's part of quality.py: the files, the reference logits, and its own divergence and perplexity.

Usage: quality_peer.py BASE.gguf FOLDER TEXT [--tokens N] [--window N] [--type ...]

Prints one JSON object. The reference (see Benchmarks/apus-benchmarks/QualityMeasurement.swift) is left in FOLDER.
"""
import argparse
import collections
import json
import struct
import sys
from pathlib import Path

import gguf
import llama_cpp as llama
import numpy as np

from make_models import quantise

F32, F16 = 0, 1
NO_LOG = llama.llama_log_callback(lambda level, text, data: None)


def write_f32(base, target):
    """The base with every tensor as F32: same metadata, same names."""
    if target.exists():
        return
    reader = gguf.GGUFReader(str(base))
    architecture = reader.get_field("general.architecture").contents()
    partial = target.with_suffix(".partial")
    writer = gguf.GGUFWriter(str(partial), architecture)
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in ("general.architecture", "general.file_type"):
            continue
        element = field.types[1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), field.types[0], element)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        writer.add_tensor(tensor.name, values.reshape([int(size) for size in reversed(tensor.shape)]))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.rename(target)


def tensor_types(path):
    """Types of the matrices: where a width does not divide into blocks, the quantiser takes another type."""
    counts = collections.Counter(
        tensor.tensor_type.name for tensor in gguf.GGUFReader(str(path)).tensors if len(tensor.shape) > 1)
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())


class Evaluation:
    """A loaded file whose logits are wanted, window by window."""

    def __init__(self, path, window, is_reference):
        self.model = llama.llama_model_load_from_file(str(path).encode(), llama.llama_model_default_params())
        if not self.model:
            sys.exit(f"llama.cpp could not load {path}")
        self.vocab = llama.llama_model_get_vocab(self.model)
        self.size = llama.llama_vocab_n_tokens(self.vocab)
        parameters = llama.llama_context_default_params()
        parameters.n_ctx = parameters.n_batch = window + 8
        parameters.n_threads = parameters.n_threads_batch = 2
        if is_reference:
            parameters.type_k = parameters.type_v = F32
            parameters.flash_attn_type = llama.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self.context = llama.llama_init_from_model(self.model, parameters)
        self.batch = llama.llama_batch_init(window + 8, 0, 1)

    def close(self):
        llama.llama_batch_free(self.batch)
        llama.llama_free(self.context)
        llama.llama_model_free(self.model)

    @property
    def bos(self):
        return llama.llama_vocab_bos(self.vocab) if llama.llama_vocab_get_add_bos(self.vocab) else None

    def tokenize(self, text):
        room = (llama.llama_token * (len(text) + 8))()
        count = llama.llama_tokenize(self.vocab, text, len(text), room, len(room), False, False)
        return list(room[:count])

    def logits(self, tokens):
        """Logits after each token of a window but the last."""
        prefix = [] if self.bos is None else [self.bos]
        rows = prefix + tokens[:-1]
        llama.llama_memory_clear(llama.llama_get_memory(self.context), True)
        for index, token in enumerate(rows):
            self.batch.token[index], self.batch.pos[index] = token, index
            self.batch.n_seq_id[index], self.batch.seq_id[index][0] = 1, 0
            self.batch.logits[index] = index >= len(prefix)
        self.batch.n_tokens = len(rows)
        if llama.llama_decode(self.context, self.batch) != 0:
            sys.exit("llama_decode failed")
        count = len(tokens) - 1
        values = llama.llama_get_logits(self.context)
        return np.ctypeslib.as_array(values, shape=(count, self.size)).astype(np.float32, copy=True)


def log_probabilities(logits):
    logits = logits.astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def compare(evaluation, windows, reference):
    """Mean divergence from the reference, and perplexity, over every token after a window's first."""
    divergence = nll = rows = 0
    for tokens, expected in zip(windows, reference):
        found = log_probabilities(evaluation.logits(tokens))
        expected = log_probabilities(expected)
        divergence += (np.exp(expected) * (expected - found)).sum()
        nll -= found[np.arange(len(tokens) - 1), tokens[1:]].sum()
        rows += len(tokens) - 1
    return {"tokens": rows, "kl_divergence": divergence / rows, "perplexity": float(np.exp(nll / rows))}


def write_reference(path, bos, size, windows, logits):
    with open(path, "wb") as file:
        file.write(struct.pack("<iii", size, -1 if bos is None else bos, len(windows)))
        for tokens, values in zip(windows, logits):
            file.write(struct.pack(f"<i{len(tokens)}i", len(tokens), *tokens))
            file.write(values.astype("<f4").tobytes())


def first_lines(evaluation, text, tokens):
    """As many whole lines as have about so many tokens, so that both programs cut the same text."""
    lines, count = [], 0
    for line in text.splitlines(keepends=True):
        lines.append(line)
        count += len(evaluation.tokenize(line.encode()))
        if count >= tokens:
            break
    return "".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("base", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("--tokens", type=int, default=12000)
    parser.add_argument("--window", type=int, default=512)
    parser.add_argument("--type", nargs="+", required=True)
    arguments = parser.parse_args()
    llama.llama_log_set(NO_LOG, None)
    llama.llama_backend_init()
    source = arguments.folder / f"{arguments.base.stem}-F32.gguf"
    write_f32(arguments.base, source)

    evaluation = Evaluation(source, arguments.window, is_reference=True)
    text = first_lines(evaluation, arguments.text.read_text(), arguments.tokens)
    scored = arguments.folder / "scored.txt"
    scored.write_text(text)
    tokens = evaluation.tokenize(text.encode())
    windows = [tokens[at:at + arguments.window] for at in range(0, len(tokens), arguments.window)]
    windows = [window for window in windows if len(window) >= 2]
    reference = [evaluation.logits(window) for window in windows]
    logits = arguments.folder / "reference.logits"
    write_reference(logits, evaluation.bos, evaluation.size, windows, reference)
    own = compare(evaluation, windows, reference)
    evaluation.close()

    files = []
    for type_name in arguments.type:
        target = arguments.folder / f"{arguments.base.stem}-{type_name}.gguf"
        if not target.exists():
            quantise(source, target, type_name)
        evaluation = Evaluation(target, arguments.window, is_reference=False)
        files.append({"type": type_name, "path": str(target), "tensor_types": tensor_types(target),
                      "llama.cpp": compare(evaluation, windows, reference)})
        evaluation.close()
    print(json.dumps({"reference": own, "logits": str(logits), "text": str(scored), "files": files}))


if __name__ == "__main__":
    main()
