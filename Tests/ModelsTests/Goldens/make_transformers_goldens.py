"""Writes transformers.json: logits and hidden states of tiny decoders, computed by the `transformers` library from PyPI.

The cases and their weights are those of make_goldens.py, whose own logits must agree with the library's. Needs numpy,
torch and transformers; run in this folder: python make_transformers_goldens.py
"""

import json

import numpy as np
import torch
from transformers import (
    Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM)

from make_goldens import CASES, forward, make

NAMES = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
    "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj", "ffn_gate_inp": "mlp.gate",
    "ffn_down_exps": "mlp.experts.down_proj",
}


def empty_model(case):
    common = dict(
        vocab_size=case["vocabulary"], hidden_size=case["width"], num_hidden_layers=case["layers"],
        num_attention_heads=case["heads"], num_key_value_heads=case["groups"], rms_norm_eps=case["epsilon"],
        rope_theta=case["base"], tie_word_embeddings=case["tied"], max_position_embeddings=64,
        head_dim=case["headDimension"])
    if case["architecture"] == "qwen3moe":
        return Qwen3MoeForCausalLM(Qwen3MoeConfig(
            **common, intermediate_size=4 * case["inner"],
            moe_intermediate_size=case["inner"], num_experts=case["experts"], num_experts_per_tok=case["used"],
            norm_topk_prob=True, decoder_sparse_step=1, mlp_only_layers=[], experts_implementation="eager"))
    if case["architecture"] == "qwen3":
        return Qwen3ForCausalLM(Qwen3Config(**common, intermediate_size=case["inner"]))
    return Qwen2ForCausalLM(Qwen2Config(**common, intermediate_size=case["inner"]))


def library_model(case):
    model = empty_model(case).double().eval()
    tensors = make(case)
    weights = {"model.embed_tokens.weight": tensors["token_embd.weight"],
               "model.norm.weight": tensors["output_norm.weight"],
               "lm_head.weight": tensors.get("output.weight", tensors["token_embd.weight"])}
    for layer in range(case["layers"]):
        ours, theirs = f"blk.{layer}.", f"model.layers.{layer}."
        for name, target in NAMES.items():
            for suffix in (".weight", ".bias"):
                if ours + name + suffix in tensors:
                    library_suffix = "" if "experts" in target else suffix
                    weights[theirs + target + library_suffix] = tensors[ours + name + suffix]
        if "experts" in case:
            # The library keeps gate and up in one tensor: experts × (gate rows, up rows) × width.
            weights[theirs + "mlp.experts.gate_up_proj"] = np.concatenate(
                [tensors[ours + "ffn_gate_exps.weight"], tensors[ours + "ffn_up_exps.weight"]], axis=1)
    model.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()}, strict=True)
    return model


def rounded(matrix):
    return {str(row): [float(f"{x:.9g}") for x in matrix[row]] for row in (0, 7, 19)}


goldens = []
for case in CASES:
    # Those whose heads the library rotates as their tensors lie in GGUF files, without other frequencies.
    if not case["architecture"].startswith("qwen") or "scaling" in case:
        continue
    model = library_model(case)
    with torch.no_grad():
        hidden = model.model(torch.tensor([case["tokens"]])).last_hidden_state
        logits = model.lm_head(hidden)[0].numpy()
    difference = np.abs(logits - forward(case, make(case))).max()
    assert difference < 1e-5, (case["name"], difference)
    goldens.append(dict(case, logits=rounded(logits), hiddenStates=rounded(hidden[0].numpy())))

with open("transformers.json", "w") as file:
    json.dump(goldens, file)
    file.write("\n")
