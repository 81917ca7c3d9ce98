"""The demo model: a Llama-architecture decoder in JAX.

Weights of all layers are stacked along a leading axis, so one (unrolled) `scan` runs the layers.
Matrices are stored [in, out]; `export.py` transposes them. RoPE rotates interleaved pairs (2i, 2i + 1), which is what
a GGUF file with architecture `llama` means, so the export needs no permutation.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp


@dataclass(frozen=True)
class Shape:
    vocabulary: int = 2048
    width: int = 256
    layers: int = 5
    heads: int = 4
    kv_heads: int = 2
    feed_forward: int = 704
    context: int = 1024
    rope_base: float = 10000.0
    epsilon: float = 1e-5

    @property
    def head(self) -> int:
        return self.width // self.heads


MATRICES = ("q", "k", "v", "o", "gate", "up", "down")


def initial_parameters(shape: Shape, key: jax.Array) -> dict:
    """Random weights: embedding (tied to the output), stacked layers, norms."""
    s = shape
    sizes = {
        "q": (s.width, s.heads * s.head),
        "k": (s.width, s.kv_heads * s.head),
        "v": (s.width, s.kv_heads * s.head),
        "o": (s.heads * s.head, s.width),
        "gate": (s.width, s.feed_forward),
        "up": (s.width, s.feed_forward),
        "down": (s.feed_forward, s.width),
    }
    keys = jax.random.split(key, len(sizes) + 1)
    layers = {}
    for (name, (rows, columns)), one in zip(sizes.items(), keys[1:]):
        scale = rows**-0.5
        if name in ("o", "down"):
            scale *= (2 * s.layers) ** -0.5
        layers[name] = jax.random.normal(one, (s.layers, rows, columns), jnp.float32) * scale
    layers["attention_norm"] = jnp.ones((s.layers, s.width), jnp.float32)
    layers["feed_forward_norm"] = jnp.ones((s.layers, s.width), jnp.float32)
    return {
        "embedding": jax.random.normal(keys[0], (s.vocabulary, s.width), jnp.float32) * 0.05,
        "layers": layers,
        "norm": jnp.ones((s.width,), jnp.float32),
    }


def parameter_count(parameters: dict) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(parameters))


@jax.custom_vjp
def product(x, w):
    """x @ w in bfloat16 with float32 sums, forward and backward: about three times as fast where the CPU has it.

    x: [..., n, k]; w: [k, m] or, with the same leading axes as x, [..., k, m].
    """
    return jnp.matmul(x.astype(jnp.bfloat16), w.astype(jnp.bfloat16), preferred_element_type=jnp.float32)


def _product_forward(x, w):
    x, w = x.astype(jnp.bfloat16), w.astype(jnp.bfloat16)
    return jnp.matmul(x, w, preferred_element_type=jnp.float32), (x, w)


def _product_backward(saved, change):
    x, w = saved
    change = change.astype(jnp.bfloat16)
    dx = jnp.matmul(change, w.swapaxes(-1, -2), preferred_element_type=jnp.float32)
    if w.ndim == 2:
        rows, columns = x.reshape(-1, x.shape[-1]), change.reshape(-1, change.shape[-1])
        return dx, jnp.matmul(rows.T, columns, preferred_element_type=jnp.float32)
    return dx, jnp.matmul(x.swapaxes(-1, -2), change, preferred_element_type=jnp.float32)


product.defvjp(_product_forward, _product_backward)


def normalised(x, weight, epsilon):
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + epsilon) * weight


def rotated(x, cosine, sine):
    """RoPE over interleaved pairs. x: [batch, position, head, width of a head]."""
    pairs = x.reshape(*x.shape[:-1], -1, 2)
    even, odd = pairs[..., 0], pairs[..., 1]
    turned = jnp.stack([even * cosine - odd * sine, even * sine + odd * cosine], axis=-1)
    return turned.reshape(x.shape)


def hidden_states(parameters, tokens, positions, segments, shape: Shape):
    """Final normalised states, [batch, position, width].

    Rows hold several conversations; a position sees only earlier positions of its own segment.
    """
    s = shape
    batch, length = tokens.shape
    x = parameters["embedding"][tokens]
    frequencies = s.rope_base ** (-jnp.arange(0, s.head, 2, dtype=jnp.float32) / s.head)
    angles = positions[..., None].astype(jnp.float32) * frequencies
    cosine, sine = jnp.cos(angles)[:, :, None, :], jnp.sin(angles)[:, :, None, :]
    causal = jnp.tril(jnp.ones((length, length), bool))
    visible = causal[None] & (segments[:, :, None] == segments[:, None, :])
    bias = jnp.where(visible, 0.0, -1e9)[:, None]
    group = s.heads // s.kv_heads

    def attention(q, k, v):
        """Plain batched products over (row, K/V head): much faster on a CPU than one many-axis contraction."""
        q = q.transpose(0, 2, 1, 3).reshape(batch * s.kv_heads, group * length, s.head)
        k = k.transpose(0, 2, 3, 1).reshape(batch * s.kv_heads, s.head, length)
        v = v.transpose(0, 2, 1, 3).reshape(batch * s.kv_heads, length, s.head)
        scores = product(q, k).reshape(batch, s.heads, length, length) * s.head**-0.5 + bias
        weights = jax.nn.softmax(scores, axis=-1).reshape(batch * s.kv_heads, group * length, length)
        mixed = product(weights, v).reshape(batch, s.heads, length, s.head)
        return mixed.transpose(0, 2, 1, 3).reshape(batch, length, s.width)

    def layer(x, w):
        h = normalised(x, w["attention_norm"], s.epsilon)
        q = rotated(product(h, w["q"]).reshape(batch, length, s.heads, s.head), cosine, sine)
        k = rotated(product(h, w["k"]).reshape(batch, length, s.kv_heads, s.head), cosine, sine)
        v = product(h, w["v"]).reshape(batch, length, s.kv_heads, s.head)
        x = x + product(attention(q, k, v), w["o"])
        h = normalised(x, w["feed_forward_norm"], s.epsilon)
        x = x + product(jax.nn.silu(product(h, w["gate"])) * product(h, w["up"]), w["down"])
        return x, None

    x, _ = jax.lax.scan(layer, x, parameters["layers"], unroll=s.layers)
    return normalised(x, parameters["norm"], s.epsilon)


def logits(parameters, tokens, positions, segments, shape: Shape):
    return product(hidden_states(parameters, tokens, positions, segments, shape), parameters["embedding"].T)
