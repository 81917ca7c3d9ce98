"""Trains the model on conversations that are generated while it trains; nothing is seen twice.

Matrices are updated by Muon (momentum, then orthogonalised by Newton-Schulz steps), embedding and norms by Adam.
The learning rate warms up, stays, and falls to zero over the last part of the run.
"""

import argparse
import json
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from tokenizers import Tokenizer

import dataset
from model import MATRICES, Shape, initial_parameters, logits, parameter_count

ROW = 256


def loss_of(parameters, batch, shape):
    tokens, weights, positions, segments = batch
    scores = logits(parameters, tokens[:, :-1], positions[:, :-1], segments[:, :-1], shape)
    goal = tokens[:, 1:]
    weight = weights[:, 1:] * (segments[:, 1:] == segments[:, :-1])
    nll = jax.nn.logsumexp(scores, axis=-1) - jnp.take_along_axis(scores, goal[..., None], axis=-1)[..., 0]
    answers = (weight == 1.0).astype(jnp.float32)
    return (nll * weight).sum() / weight.sum(), (nll * answers).sum() / answers.sum()


def orthogonal(g, steps=5):
    """Newton-Schulz iteration towards the nearest matrix with orthonormal rows or columns. g: [layer, rows, columns]."""
    a, b, c = 3.4445, -4.7750, 2.0315
    flip = g.shape[-2] > g.shape[-1]
    x = g.swapaxes(-1, -2) if flip else g
    x = x / (jnp.linalg.norm(x, axis=(-2, -1), keepdims=True) + 1e-7)
    for _ in range(steps):
        square = x @ x.swapaxes(-1, -2)
        x = a * x + (b * square + c * square @ square) @ x
    return x.swapaxes(-1, -2) if flip else x


def initial_state(parameters):
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    return {"momentum": zeros, "variance": jax.tree.map(jnp.zeros_like, parameters)}


def make_step(shape, peak, decay=0.02):
    def step(parameters, state, batch, rate, count):
        (loss, answer_loss), gradient = jax.value_and_grad(loss_of, has_aux=True)(parameters, batch, shape)
        norm = jnp.sqrt(sum(jnp.sum(g * g) for g in jax.tree.leaves(gradient)))
        gradient = jax.tree.map(lambda g: g * jnp.minimum(1.0, 1.0 / norm), gradient)

        def update(path, w, g, m, v):
            if path[-1].key in MATRICES:
                m = 0.95 * m + g
                change = orthogonal(g + 0.95 * m) * 0.2 * max(w.shape[-2:]) ** 0.5
                return w * (1 - rate * decay) - rate * change, m, v
            m = 0.9 * m + 0.1 * g
            v = 0.98 * v + 0.02 * g * g
            change = (m / (1 - 0.9**count)) / (jnp.sqrt(v / (1 - 0.98**count)) + 1e-8)
            return w - 0.75 * rate * change, m, v

        out = jax.tree_util.tree_map_with_path(update, parameters, gradient, state["momentum"], state["variance"])
        pick = lambda i: jax.tree.map(lambda leaf: leaf[i], out, is_leaf=lambda leaf: isinstance(leaf, tuple))
        return pick(0), {"momentum": pick(1), "variance": pick(2)}, loss, answer_loss

    return jax.jit(step, donate_argnums=(0, 1))


def rate_at(step, steps, peak, warm_up=40, falling=0.35):
    if step < warm_up:
        return peak * (step + 1) / warm_up
    return peak * min(1.0, (steps - step) / (falling * steps))


def flat(tree):
    return {"/".join(k.key for k in path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def unflat(values):
    tree = {}
    for name, value in values.items():
        *folders, last = name.split("/")
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {})
        node[last] = jnp.asarray(value)
    return tree


def load_checkpoint(path):
    """(parameters, optimiser state or None, step)"""
    tree = unflat(dict(np.load(path)))
    step = int(tree.pop("step"))
    return tree["parameters"], tree.get("state"), step


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--tokenizer", default="tokenizer.json")
    options.add_argument("--output", default="checkpoint.npz")
    options.add_argument("--steps", type=int, default=2600)
    options.add_argument("--batch", type=int, default=16)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--rate", type=float, default=4e-3)
    options.add_argument("--log", default="train-log.jsonl")
    options.add_argument("--until", type=int, help="stop at this step; the rate still follows --steps")
    options.add_argument("--resume", help="checkpoint to go on from, with the same seed and batch")
    arguments = options.parse_args()

    tokenizer = Tokenizer.from_file(arguments.tokenizer)
    shape = Shape(vocabulary=tokenizer.get_vocab_size())
    parameters = initial_parameters(shape, jax.random.key(arguments.seed))
    state, start = initial_state(parameters), 0
    if arguments.resume:
        parameters, state, start = load_checkpoint(arguments.resume)
    print(f"{parameter_count(parameters)} parameters", flush=True)
    stream = dataset.batches(tokenizer, arguments.seed, arguments.batch, ROW, shape.context)
    held_out = [b for _, b in zip(range(4), dataset.batches(tokenizer, 999, 24, ROW, shape.context))]
    for _ in range(start):
        next(stream)
    step_function = make_step(shape, arguments.rate)
    evaluate = jax.jit(lambda p, b: loss_of(p, b, shape)[1])
    began, sums, seen = time.time(), [], 0
    end = min(arguments.until or arguments.steps, arguments.steps)
    for step in range(start, end):
        batch = next(stream)
        rate = rate_at(step, arguments.steps, arguments.rate)
        parameters, state, loss, answer_loss = step_function(parameters, state, batch, rate, float(step + 1))
        sums.append(float(answer_loss))
        seen += batch[0].size
        last = step + 1 == end
        if (step + 1) % 25 == 0 or last:
            record = {"step": step + 1, "answer_loss": round(float(np.mean(sums)), 4), "tokens_per_second": round(seen / (time.time() - began)), "seconds": round(time.time() - began)}
            if (step + 1) % 100 == 0 or last:
                record["held_out_loss"] = round(float(np.mean([evaluate(parameters, b) for b in held_out])), 4)
                partial = Path(arguments.output + ".partial.npz")
                np.savez(partial, **flat({"parameters": parameters, "state": state, "step": np.array(step + 1)}))
                partial.rename(arguments.output)
            sums = []
            print(json.dumps(record), flush=True)
            with open(arguments.log, "a") as log:
                log.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
