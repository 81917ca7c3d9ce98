"""Writes the trained model as one GGUF file: Q8_0 matrices, F32 norms, tokenizer, chat template.

The training rotates interleaved pairs, as `llama` in GGUF does, so the rows of q and k stay in their order.
"""

import argparse
import json

import numpy as np

import gguf
from model import Shape
from tokenizer import END_OF_TEXT, TURN_END
from train import load_checkpoint

TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
NORMAL, CONTROL = 1, 3


def metadata(shape: Shape, vocabulary: list[str], merges: list[str], special: int):
    u32, f32, string = gguf.U32, gguf.F32, gguf.STRING
    return [
        ("general.architecture", string, "llama"),
        ("general.type", string, "model"),
        ("general.name", string, "Apus Demo"),
        ("general.basename", string, "apus-demo"),
        ("general.description", string, "A tiny chat model that the Apus project trained on conversations of its own grammar, so that the first start needs no download. A demo: load a larger GGUF for real work."),
        ("general.license", string, "apache-2.0"),
        ("general.languages", gguf.ARRAY, (string, ["en"])),
        ("general.size_label", string, "4M"),
        ("general.quantization_version", u32, 2),
        ("general.file_type", u32, 7),
        ("llama.vocab_size", u32, shape.vocabulary),
        ("llama.context_length", u32, shape.context),
        ("llama.embedding_length", u32, shape.width),
        ("llama.block_count", u32, shape.layers),
        ("llama.feed_forward_length", u32, shape.feed_forward),
        ("llama.rope.dimension_count", u32, shape.head),
        ("llama.rope.freq_base", f32, shape.rope_base),
        ("llama.attention.head_count", u32, shape.heads),
        ("llama.attention.head_count_kv", u32, shape.kv_heads),
        ("llama.attention.layer_norm_rms_epsilon", f32, shape.epsilon),
        ("tokenizer.ggml.model", string, "gpt2"),
        ("tokenizer.ggml.pre", string, "smollm"),
        ("tokenizer.ggml.tokens", gguf.ARRAY, (string, vocabulary)),
        ("tokenizer.ggml.token_type", gguf.ARRAY, (gguf.I32, [CONTROL] * special + [NORMAL] * (len(vocabulary) - special))),
        ("tokenizer.ggml.merges", gguf.ARRAY, (string, merges)),
        ("tokenizer.ggml.bos_token_id", u32, END_OF_TEXT),
        ("tokenizer.ggml.eos_token_id", u32, TURN_END),
        ("tokenizer.ggml.eot_token_id", u32, TURN_END),
        ("tokenizer.ggml.padding_token_id", u32, END_OF_TEXT),
        ("tokenizer.ggml.add_bos_token", gguf.BOOL, False),
        ("tokenizer.ggml.add_space_prefix", gguf.BOOL, False),
        ("tokenizer.chat_template", string, TEMPLATE),
    ]


def tensors(parameters, shape: Shape):
    matrix = lambda array: np.asarray(array, np.float32).T
    out = [("token_embd.weight", np.asarray(parameters["embedding"], np.float32), gguf.TYPE_Q8_0), ("output_norm.weight", np.asarray(parameters["norm"]), gguf.TYPE_F32)]
    names = {"q": "attn_q", "k": "attn_k", "v": "attn_v", "o": "attn_output", "gate": "ffn_gate", "up": "ffn_up", "down": "ffn_down"}
    for i in range(shape.layers):
        layers = parameters["layers"]
        out.append((f"blk.{i}.attn_norm.weight", np.asarray(layers["attention_norm"][i]), gguf.TYPE_F32))
        out.append((f"blk.{i}.ffn_norm.weight", np.asarray(layers["feed_forward_norm"][i]), gguf.TYPE_F32))
        out += [(f"blk.{i}.{there}.weight", matrix(layers[here][i]), gguf.TYPE_Q8_0) for here, there in names.items()]
    return out


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--tokenizer", default="tokenizer.json")
    options.add_argument("--checkpoint", default="checkpoint.npz")
    options.add_argument("output")
    arguments = options.parse_args()
    saved = json.load(open(arguments.tokenizer, encoding="utf-8"))
    vocabulary = [token for token, _ in sorted(saved["model"]["vocab"].items(), key=lambda pair: pair[1])]
    merges = [m if isinstance(m, str) else " ".join(m) for m in saved["model"]["merges"]]
    parameters, _, step = load_checkpoint(arguments.checkpoint)
    shape = Shape(vocabulary=len(vocabulary))
    gguf.write(arguments.output, metadata(shape, vocabulary, merges, len(saved["added_tokens"])), tensors(parameters, shape))
    print(f"{arguments.output}: after {step} steps")


if __name__ == "__main__":
    main()
