"""An independent forward pass and chat in numpy, straight from the GGUF file: checks the export and asks questions."""

import re

import numpy as np

import gguf


def _byte_alphabet():
    """GPT-2's printable stand-ins for bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table, extra = {b: chr(b) for b in plain}, 0
    for b in range(256):
        if b not in table:
            table[b] = chr(256 + extra)
            extra += 1
    return table


class Tokens:
    """Byte-level BPE from the file's metadata."""

    SPLIT = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?[^\W\d_]+| ?[^\s\w]+|\d| ?_+|\s+(?!\S)|\s+")

    def __init__(self, metadata):
        self.texts = metadata["tokenizer.ggml.tokens"]
        self.ids = {text: i for i, text in enumerate(self.texts)}
        self.ranks = {tuple(m.split(" ")): i for i, m in enumerate(metadata["tokenizer.ggml.merges"])}
        self.alphabet = _byte_alphabet()
        self.back = {c: b for b, c in self.alphabet.items()}

    def encode(self, text):
        out = []
        for digits in re.split(r"(\d)", text):
            for piece in self.SPLIT.findall(digits):
                parts = [self.alphabet[b] for b in piece.encode("utf-8")]
                while len(parts) > 1:
                    rank, i = min((self.ranks.get(pair, 1 << 30), i) for i, pair in enumerate(zip(parts, parts[1:])))
                    if rank == 1 << 30:
                        break
                    parts[i : i + 2] = [parts[i] + parts[i + 1]]
                out += [self.ids[p] for p in parts]
        return out

    def decode(self, ids):
        return bytes(self.back[c] for i in ids for c in self.texts[i] if c in self.back).decode("utf-8", "replace")


class Model:
    def __init__(self, path):
        self.metadata, self.tensors = gguf.read(path)
        m = self.metadata
        self.tokens = Tokens(m)
        self.layers, self.heads, self.kv_heads = m["llama.block_count"], m["llama.attention.head_count"], m["llama.attention.head_count_kv"]
        self.width, self.epsilon = m["llama.embedding_length"], m["llama.attention.layer_norm_rms_epsilon"]
        self.head = self.width // self.heads
        self.base, self.context = m["llama.rope.freq_base"], m["llama.context_length"]
        self.start, self.end, self.stop = self.tokens.ids["<|im_start|>"], m["tokenizer.ggml.eos_token_id"], {m["tokenizer.ggml.eos_token_id"], m["tokenizer.ggml.bos_token_id"]}

    def parameter_count(self):
        return sum(t.size for t in self.tensors.values())

    def _norm(self, x, name):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + self.epsilon) * self.tensors[name]

    def _rotate(self, x, positions):
        angle = positions[:, None] * self.base ** (-np.arange(0, self.head, 2) / self.head)
        c, s = np.cos(angle)[:, None], np.sin(angle)[:, None]
        out = np.empty_like(x)
        out[..., 0::2], out[..., 1::2] = x[..., 0::2] * c - x[..., 1::2] * s, x[..., 0::2] * s + x[..., 1::2] * c
        return out

    def forward(self, ids, cache):
        """Logits for each of `ids`; `cache` (a dictionary) holds keys and values of what came before."""
        t = self.tensors
        past = len(cache[0][0]) if cache else 0
        positions = np.arange(past, past + len(ids))
        x = t["token_embd.weight"][ids]
        for i in range(self.layers):
            w = lambda name: t[f"blk.{i}.{name}.weight"]
            h = self._norm(x, f"blk.{i}.attn_norm.weight")
            q = self._rotate((h @ w("attn_q").T).reshape(len(ids), self.heads, -1), positions)
            k = self._rotate((h @ w("attn_k").T).reshape(len(ids), self.kv_heads, -1), positions)
            v = (h @ w("attn_v").T).reshape(len(ids), self.kv_heads, -1)
            if i in cache:
                k, v = np.concatenate([cache[i][0], k]), np.concatenate([cache[i][1], v])
            cache[i] = (k, v)
            group = self.heads // self.kv_heads
            keys, values = k.repeat(group, 1), v.repeat(group, 1)
            scores = np.einsum("thd,uhd->htu", q, keys) / np.sqrt(self.head)
            scores = np.where(positions[None, :, None] >= np.arange(len(k))[None, None], scores, -np.inf)
            scores = np.exp(scores - scores.max(-1, keepdims=True))
            mixed = np.einsum("htu,uhd->thd", scores / scores.sum(-1, keepdims=True), values)
            x = x + mixed.reshape(len(ids), -1) @ w("attn_output").T
            h = self._norm(x, f"blk.{i}.ffn_norm.weight")
            gate = h @ w("ffn_gate").T
            x = x + (gate / (1 + np.exp(-gate)) * (h @ w("ffn_up").T)) @ w("ffn_down").T
        return self._norm(x, "output_norm.weight") @ t["token_embd.weight"].T

    def chat_ids(self, messages):
        ids = []
        for role, text in messages:
            ids += [self.start, *self.tokens.encode(role + "\n"), *self.tokens.encode(text), self.end, *self.tokens.encode("\n")]
        return ids + [self.start, *self.tokens.encode("assistant\n")]

    def answer(self, messages, temperature=0.0, rng=None, limit=160):
        """(text, did it end by itself)"""
        cache, out = {}, []
        scores = self.forward(self.chat_ids(messages), cache)[-1]
        while len(out) < limit:
            if temperature > 0:
                p = np.exp((scores - scores.max()) / temperature)
                token = int(rng.choice(len(p), p=p / p.sum()))
            else:
                token = int(scores.argmax())
            if token in self.stop:
                return self.tokens.decode(out), True
            out.append(token)
            scores = self.forward([token], cache)[-1]
        return self.tokens.decode(out), False
