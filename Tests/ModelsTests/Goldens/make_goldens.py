"""Writes decoders.json: logits of tiny decoders, computed in float64 from the papers' formulas.

The weights are not stored: test and script draw them from the same SplitMix64 sequence. Tensors are in the layout of
GGUF files, so the neighbours' rotation of `llama` needs no permutation here. Needs numpy; run in this folder:
python make_goldens.py
"""

import json
import math

import numpy as np

MASK = (1 << 64) - 1


class SplitMix64:
    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        mixed = self.state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & MASK
        return mixed ^ (mixed >> 31)

    def tensor(self, shape, center=0.0):
        """Multiples of 2^-12 in [center - 0.5, center + 0.5), exact in F32."""
        values = [center + (self.next() >> 52) / 4096.0 - 0.5 for _ in range(int(np.prod(shape)))]
        return np.array(values).reshape(shape)


def frequencies(case):
    dimensions, base = case["rotated"], case["base"]
    plain = [base ** (-2 * pair / dimensions) for pair in range(dimensions // 2)]
    plain = [value / divisor for value, divisor in zip(plain, case.get("divisors", [1] * len(plain)))]
    scaling, factor = case.get("scaling", "none"), case.get("factor", 1.0)
    if scaling == "linear":
        return np.array(plain) / factor, 1.0
    if scaling == "yarn":
        # Peng et al. 2023, "NTK-by-parts": wavelengths much shorter than the trained context are kept.
        def pair_with(turns):
            return dimensions * math.log(case["trained"] / (turns * 2 * math.pi)) / (2 * math.log(base))

        low = max(math.floor(pair_with(32.0)), 0)
        high = min(math.ceil(pair_with(1.0)), dimensions - 1)
        result = []
        for pair, value in enumerate(plain):
            interpolated = min(max((pair - low) / max(high - low, 0.001), 0), 1)
            result.append(value / factor * interpolated + value * (1 - interpolated))
        return np.array(result), 0.1 * math.log(factor) + 1.0
    return np.array(plain), 1.0


def norm(x, weight, epsilon):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + epsilon) * weight


def rotate(heads, case, halves):
    """heads: positions × heads × dimension."""
    frequency, magnitude = frequencies(case)
    angles = np.arange(heads.shape[0])[:, None, None] * frequency
    cosine, sine = np.cos(angles) * magnitude, np.sin(angles) * magnitude
    rotated, pairs = case["rotated"], case["rotated"] // 2
    first = np.arange(pairs) if halves else np.arange(0, rotated, 2)
    second = first + (pairs if halves else 1)
    result = heads.copy()
    result[..., first] = heads[..., first] * cosine - heads[..., second] * sine
    result[..., second] = heads[..., first] * sine + heads[..., second] * cosine
    return result


def feed_forward(y, gate, up, down):
    gated = y @ gate.T
    return (gated / (1 + np.exp(-gated)) * (y @ up.T)) @ down.T


def mixture(y, case, weight):
    """Qwen3 technical report: softmax over all experts, the chosen ones' shares divided by their sum."""
    scores = y @ weight("ffn_gate_inp").T
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    result = np.zeros_like(y)
    for row, share in enumerate(shares):
        chosen = np.argsort(-share, kind="stable")[: case["used"]]
        for expert in chosen:
            matrices = [weight(name)[expert] for name in ("ffn_gate_exps", "ffn_up_exps", "ffn_down_exps")]
            result[row] += share[expert] / share[chosen].sum() * feed_forward(y[row], *matrices)
    return result


def forward(case, tensors):
    heads, groups, size, epsilon = case["heads"], case["groups"], case["headDimension"], case["epsilon"]
    halves = case["architecture"] != "llama"
    x = tensors["token_embd.weight"][case["tokens"]]
    length = len(x)
    for layer in range(case["layers"]):
        def weight(name):
            return tensors[f"blk.{layer}.{name}.weight"]

        def bias(name):
            return tensors.get(f"blk.{layer}.{name}.bias", 0.0)

        y = norm(x, weight("attn_norm"), epsilon)
        q = (y @ weight("attn_q").T + bias("attn_q")).reshape(length, heads, size)
        k = (y @ weight("attn_k").T + bias("attn_k")).reshape(length, groups, size)
        v = (y @ weight("attn_v").T + bias("attn_v")).reshape(length, groups, size)
        if case["architecture"].startswith("qwen3"):
            q, k = norm(q, weight("attn_q_norm"), epsilon), norm(k, weight("attn_k_norm"), epsilon)
        q, k = rotate(q, case, halves), rotate(k, case, halves)
        out = np.zeros((length, heads, size))
        for i in range(length):
            start = max(0, i + 1 - case.get("window", length))
            for head in range(heads):
                group = head // (heads // groups)
                scores = k[start : i + 1, group] @ q[i, head] / math.sqrt(size)
                scores = np.exp(scores - scores.max())
                out[i, head] = (scores / scores.sum()) @ v[start : i + 1, group]
        x = x + out.reshape(length, -1) @ weight("attn_output").T
        y = norm(x, weight("ffn_norm"), epsilon)
        if "experts" in case:
            x = x + mixture(y, case, weight)
        else:
            x = x + feed_forward(y, weight("ffn_gate"), weight("ffn_up"), weight("ffn_down"))
    x = norm(x, tensors["output_norm.weight"], epsilon)
    return x @ tensors.get("output.weight", tensors["token_embd.weight"]).T


def make(case):
    """Tensors in the order in which the test draws them."""
    source = SplitMix64(case["seed"])
    width, inner = case["width"], case["inner"]
    query, key = case["heads"] * case["headDimension"], case["groups"] * case["headDimension"]
    tensors = {"token_embd.weight": source.tensor((case["vocabulary"], width))}
    for layer in range(case["layers"]):
        block = f"blk.{layer}."
        tensors[block + "attn_norm.weight"] = source.tensor((width,), 1.0)
        for name, rows in [("attn_q", query), ("attn_k", key), ("attn_v", key)]:
            tensors[block + name + ".weight"] = source.tensor((rows, width))
            if case["architecture"] == "qwen2":
                tensors[block + name + ".bias"] = source.tensor((rows,))
        if case["architecture"].startswith("qwen3"):
            for name in ["attn_q_norm", "attn_k_norm"]:
                tensors[block + name + ".weight"] = source.tensor((case["headDimension"],), 1.0)
        tensors[block + "attn_output.weight"] = source.tensor((width, query))
        tensors[block + "ffn_norm.weight"] = source.tensor((width,), 1.0)
        if "experts" in case:
            experts = case["experts"]
            tensors[block + "ffn_gate_inp.weight"] = source.tensor((experts, width))
            tensors[block + "ffn_gate_exps.weight"] = source.tensor((experts, inner, width))
            tensors[block + "ffn_up_exps.weight"] = source.tensor((experts, inner, width))
            tensors[block + "ffn_down_exps.weight"] = source.tensor((experts, width, inner))
        else:
            tensors[block + "ffn_gate.weight"] = source.tensor((inner, width))
            tensors[block + "ffn_up.weight"] = source.tensor((inner, width))
            tensors[block + "ffn_down.weight"] = source.tensor((width, inner))
    tensors["output_norm.weight"] = source.tensor((width,), 1.0)
    if not case["tied"]:
        tensors["output.weight"] = source.tensor((case["vocabulary"], width))
    return tensors


BASE = dict(architecture="llama", seed=1, width=20, inner=28, layers=2, heads=4, groups=2, headDimension=6, rotated=6,
            vocabulary=23, epsilon=1e-5, base=10000.0, tied=False,
            tokens=[3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 8, 4])
CASES = [
    dict(BASE, name="llama"),
    dict(BASE, name="llama with a window", seed=2, window=5, tied=True),
    dict(BASE, name="llama with divisors", seed=3, divisors=[1.0, 2.5, 8.0]),
    dict(BASE, name="llama with linear scaling", seed=4, scaling="linear", factor=4.0),
    dict(BASE, name="llama with a partial rotation", seed=5, rotated=4),
    dict(BASE, name="qwen2", architecture="qwen2", seed=6, base=1000000.0),
    dict(BASE, name="qwen2 with YaRN", architecture="qwen2", seed=7, headDimension=16, rotated=16, scaling="yarn",
         factor=4.0, trained=256),
    dict(BASE, name="qwen3", architecture="qwen3", seed=8, headDimension=8, rotated=8, tied=True),
    dict(BASE, name="llama with odd sizes", seed=9, width=17, inner=35, heads=3, groups=1, headDimension=10,
         rotated=10),
    dict(BASE, name="qwen3moe", architecture="qwen3moe", seed=10, inner=12, headDimension=8, rotated=8, experts=5,
         used=2, base=1000000.0),
    dict(BASE, name="qwen3moe with odd sizes", architecture="qwen3moe", seed=11, width=17, inner=13, heads=3, groups=1,
         headDimension=10, rotated=10, experts=7, used=3, tied=True),
    dict(BASE, name="qwen3moe with all experts", architecture="qwen3moe", seed=12, inner=5, headDimension=8, rotated=8,
         experts=3, used=3, tied=True),
]

if __name__ == "__main__":
    with open("decoders.json", "w") as file:
        golden = []
        for case in CASES:
            logits = forward(case, make(case))
            rows = {str(row): [float(f"{x:.9g}") for x in logits[row]] for row in (0, 7, 19)}
            golden.append(dict(case, logits=rows))
        json.dump(golden, file)
        file.write("\n")
