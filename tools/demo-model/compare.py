"""Compares the exported file, computed by numpy, with the training's own JAX model on a few prompts."""

import argparse

import jax.numpy as jnp
import numpy as np

from model import Shape, logits
from reference import Model
from train import load_checkpoint


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("checkpoint")
    options.add_argument("model")
    arguments = options.parse_args()
    parameters, _, _ = load_checkpoint(arguments.checkpoint)
    exported = Model(arguments.model)
    shape = Shape(vocabulary=len(exported.tokens.texts))
    worst, agree, total = 0.0, 0, 0
    for prompt in ("Hello, who are you?", "What is the capital of Norway?", "Tell me a story about a small boat.", "What is 7 + 8?"):
        ids = exported.chat_ids([("user", prompt)])
        ours = exported.forward(ids, {})
        tokens = jnp.asarray([ids])
        theirs = np.asarray(logits(parameters, tokens, jnp.arange(len(ids))[None], jnp.zeros_like(tokens), shape))[0]
        worst = max(worst, float(np.abs(ours - theirs).max() / theirs.std()))
        agree += int((ours.argmax(-1) == theirs.argmax(-1)).sum())
        total += len(ids)
    print(f"largest difference of a logit: {worst:.3f} standard deviations; {agree} of {total} most likely tokens agree")


if __name__ == "__main__":
    main()
