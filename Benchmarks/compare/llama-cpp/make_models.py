#!/usr/bin/env python3
"""Makes the models of the comparison: random weights of real shapes, quantised by llama.cpp's own quantiser.

Usage: make_models.py [--models .build/compare/models] [--shape qwen3-0.6b ...] [--type Q4_0 ...]

Runs under the Python of the comparison (see run.py), which has llama-cpp-python, gguf and numpy. A file that is there
already is kept; a file that is being made has another name until it is complete. The weights follow from a fixed seed
and the tensor's name, so two machines make the same F16 file.

Speed does not depend on the values of weights, only on shapes and types, so random weights measure what real ones would.
The tokenizer is minimal: one token per byte, and filler tokens up to the real size of the vocabulary.
"""
import argparse
import ctypes
import math
import os
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np

SEED = 20261121
STANDARD_DEVIATION = 0.02
DEFAULT_MODELS = ".build/compare/models"
TYPES = ["Q4_0", "Q8_0", "Q4_K_M", "F16", "Q6_K", "Q5_K_M", "IQ4_NL", "BF16", "F32"]
EXTRA_TYPES = ["Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K_M"]

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


@dataclass(frozen=True)
class Shape:
    """What decides the amount of work: the hyper-parameters of a decoder."""

    architecture: str
    layers: int
    width: int
    heads: int
    kv_heads: int
    head_dimension: int
    feed_forward: int
    vocabulary: int
    context: int
    rope_base: float
    epsilon: float
    pre_tokenizer: str
    tied: bool = True
    experts: int = 0
    experts_used: int = 0


SHAPES = {
    "qwen3-0.6b": Shape("qwen3", 28, 1024, 16, 8, 128, 3072, 151936, 40960, 1e6, 1e-6, "qwen2"),
    "llama-3.2-1b": Shape("llama", 16, 2048, 32, 8, 64, 8192, 128256, 131072, 5e5, 1e-5, "llama-bpe"),
    # Each expert is small and the vocabulary is a quarter of Qwen3's, so that the experts are most of the work.
    "qwen3-moe-small": Shape(
        "qwen3moe", 8, 512, 8, 2, 64, 768, 32768, 40960, 1e6, 1e-6, "qwen2", tied=False, experts=32, experts_used=4),
}


def byte_tokens():
    """The 256 characters by which byte-level BPE writes bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    characters, next_free = {}, 256
    for byte in range(256):
        if byte in printable:
            characters[byte] = chr(byte)
        else:
            characters[byte] = chr(next_free)
            next_free += 1
    return [characters[byte] for byte in range(256)]


def add_tokenizer(writer, shape):
    tokens = byte_tokens()
    # The format asks for merges; this one joins two NUL bytes, which no prompt holds.
    merge = f"{tokens[0]} {tokens[0]}"
    tokens.append(tokens[0] * 2)
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    first_special = shape.vocabulary - len(specials)
    tokens += [f"w{index}" for index in range(len(tokens), first_special)] + specials
    normal, control = gguf.TokenType.NORMAL, gguf.TokenType.CONTROL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(shape.pre_tokenizer)
    writer.add_token_list(tokens)
    writer.add_token_types([normal] * first_special + [control] * len(specials))
    writer.add_token_merges([merge])
    writer.add_bos_token_id(first_special)
    writer.add_eos_token_id(first_special + 2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHATML)


def add_hyper_parameters(writer, shape):
    writer.add_context_length(shape.context)
    writer.add_block_count(shape.layers)
    writer.add_embedding_length(shape.width)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_dimension)
    writer.add_value_length(shape.head_dimension)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_vocab_size(shape.vocabulary)
    if shape.architecture == "llama":
        writer.add_rope_dimension_count(shape.head_dimension)
    if shape.experts:
        writer.add_expert_count(shape.experts)
        writer.add_expert_used_count(shape.experts_used)
        writer.add_expert_feed_forward_length(shape.feed_forward)


def matrices(shape):
    """Names and shapes ([.., rows, columns], as numpy has them) of all tensors that are quantised."""
    width, queries, keys = shape.width, shape.heads * shape.head_dimension, shape.kv_heads * shape.head_dimension
    yield "token_embd.weight", (shape.vocabulary, width)
    if not shape.tied:
        yield "output.weight", (shape.vocabulary, width)
    for layer in range(shape.layers):
        block = f"blk.{layer}."
        yield block + "attn_q.weight", (queries, width)
        yield block + "attn_k.weight", (keys, width)
        yield block + "attn_v.weight", (keys, width)
        yield block + "attn_output.weight", (width, queries)
        if shape.experts:
            yield block + "ffn_gate_exps.weight", (shape.experts, shape.feed_forward, width)
            yield block + "ffn_up_exps.weight", (shape.experts, shape.feed_forward, width)
            yield block + "ffn_down_exps.weight", (shape.experts, width, shape.feed_forward)
        else:
            yield block + "ffn_gate.weight", (shape.feed_forward, width)
            yield block + "ffn_up.weight", (shape.feed_forward, width)
            yield block + "ffn_down.weight", (width, shape.feed_forward)


def vectors(shape):
    """Names and values of the tensors that stay F32: norms near 1, the router, the angles of long contexts."""
    yield "output_norm.weight", norm(shape.width, "output_norm.weight")
    if shape.architecture == "llama":
        yield "rope_freqs.weight", llama3_rope_factors(shape)
    for layer in range(shape.layers):
        names = ["attn_norm", "ffn_norm"]
        if shape.architecture != "llama":
            names += ["attn_q_norm", "attn_k_norm"]
        for name in names:
            full = f"blk.{layer}.{name}.weight"
            yield full, norm(shape.head_dimension if name.endswith(("q_norm", "k_norm")) else shape.width, full)
        if shape.experts:
            router = f"blk.{layer}.ffn_gate_inp.weight"
            yield router, random_values(router, (shape.experts, shape.width))


def generator(name):
    return np.random.default_rng([SEED, zlib.crc32(name.encode())])


def random_values(name, dimensions):
    values = generator(name).standard_normal(dimensions, dtype=np.float32)
    values *= STANDARD_DEVIATION
    return values


def norm(size, name):
    return (1 + 0.05 * generator(name).standard_normal(size, dtype=np.float32)).astype(np.float32)


def llama3_rope_factors(shape, factor=32.0, low=1.0, high=4.0, trained=8192):
    """The published rule of Llama 3.2: long waves are stretched by `factor`, short ones kept, those between blended."""
    factors = []
    for index in range(0, shape.head_dimension, 2):
        wave = 2 * math.pi * shape.rope_base ** (index / shape.head_dimension)
        if wave < trained / high:
            factors.append(1.0)
        elif wave > trained / low:
            factors.append(factor)
        else:
            smooth = (trained / wave - low) / (high - low)
            factors.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(factors, dtype=np.float32)


def write_f16(path, name, shape):
    partial = path.with_suffix(".partial")
    writer = gguf.GGUFWriter(str(partial), shape.architecture)
    writer.add_name(f"{name} with random weights")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    add_hyper_parameters(writer, shape)
    add_tokenizer(writer, shape)
    for tensor, values in vectors(shape):
        writer.add_tensor(tensor, values)
    for tensor, dimensions in matrices(shape):
        writer.add_tensor_info(tensor, dimensions, np.dtype(np.float16), 2 * math.prod(dimensions))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    # Tensor data goes out in the order of the table: the vectors first, as they were added.
    for tensor, values in vectors(shape):
        writer.write_tensor_data(values)
    for tensor, dimensions in matrices(shape):
        writer.write_tensor_data(random_values(tensor, dimensions).astype(np.float16))
    writer.close()
    partial.rename(path)


def quantise(source, target, type_name, threads=os.cpu_count()):
    """llama.cpp's own quantiser, with its own choice of a type for each tensor."""
    import llama_cpp

    prefix = "LLAMA_FTYPE_ALL_" if type_name == "F32" else "LLAMA_FTYPE_MOSTLY_"
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = getattr(llama_cpp, prefix + type_name)
    parameters.nthread = threads
    partial = target.with_suffix(".partial")
    status = llama_cpp.llama_model_quantize(str(source).encode(), str(partial).encode(), ctypes.byref(parameters))
    if status != 0:
        partial.unlink(missing_ok=True)
        sys.exit(f"llama.cpp could not quantise {source} to {type_name} (status {status})")
    partial.rename(target)


def make(models, shape_name, type_name):
    """The path of a model file, which is made if it is not there."""
    models.mkdir(parents=True, exist_ok=True)
    target = models / f"{shape_name}-{type_name}.gguf"
    if target.exists():
        return target
    source = models / f"{shape_name}-F16.gguf"
    if not source.exists():
        print(f"making {source}", file=sys.stderr)
        write_f16(source, shape_name, SHAPES[shape_name])
    if type_name != "F16":
        print(f"making {target}", file=sys.stderr)
        quantise(source, target, type_name)
    return target


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", type=Path, default=Path(DEFAULT_MODELS), help="folder of the model files")
    parser.add_argument("--shape", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--type", nargs="+", choices=TYPES + EXTRA_TYPES, default=TYPES)
    arguments = parser.parse_args()
    for shape in arguments.shape:
        for type_name in arguments.type:
            print(make(arguments.models, shape, type_name))


if __name__ == "__main__":
    main()
