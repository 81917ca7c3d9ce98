#!/usr/bin/env python3
"""Measures llama.cpp through the low-level API of llama-cpp-python, as `apus bench --json` measures Apus.

Usage: peer.py MODEL.gguf [--prompt 256] [--generate 64] [--batch 1,8,32] [--threads 2] [--settings JSON]

What is timed is llama_decode and the wait for it, nothing of Python's: token ids are chosen before, no token is sampled,
and logits are asked for only where a server would need them (the last token of a prompt, each row of a decode step).
KV cache F16, memory map, weights repacked as llama.cpp does by itself, 512 rows in a micro-batch: its defaults.

 - prefill: one prompt;
 - decode: all sequences together, one row each in every call, from the depth of the prompt on. The others' caches are
   copies of the first one's, each in cells of its own, so they cost as if they had been computed.

A setting is flash attention on or off, and with several sequences also one KV cache for all (`unified`) on or off.
`--settings` names it by the number of sequences, such as {"8": ["on", "off"]}; one that is missing is looked for: what
decodes (or, with one sequence, prefills and decodes) fastest. Each line says which it was.
"""
import argparse
import ctypes
import itertools
import json
import time

import llama_cpp as llama
import numpy as np

MICRO_BATCH = 512
BATCH = 2048
F16 = 1
NO_LOG = llama.llama_log_callback(lambda level, text, data: None)


class Contender:
    """A loaded model, and one context at a time."""

    def __init__(self, path, threads):
        llama.llama_log_set(NO_LOG, None)
        llama.llama_backend_init()
        begun = time.perf_counter()
        self.model = llama.llama_model_load_from_file(path.encode(), llama.llama_model_default_params())
        if not self.model:
            raise SystemExit(f"llama.cpp could not load {path}")
        self.load_seconds = time.perf_counter() - begun
        self.threads = threads
        self.context = None
        self.vocabulary = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(self.model))
        self.batch = llama.llama_batch_init(BATCH, 0, 1)
        self.random = np.random.default_rng(1)

    def open(self, sequences, positions, flash_attention, unified):
        self.close()
        parameters = llama.llama_context_default_params()
        parameters.n_ctx = sequences * (-(-positions // 256) * 256)
        parameters.n_batch, parameters.n_ubatch, parameters.n_seq_max = BATCH, MICRO_BATCH, sequences
        parameters.n_threads = parameters.n_threads_batch = self.threads
        parameters.type_k = parameters.type_v = F16
        parameters.flash_attn_type = int(flash_attention == "on")
        parameters.kv_unified = unified == "on"
        self.context = llama.llama_init_from_model(self.model, parameters)
        if not self.context:
            raise SystemExit(f"llama.cpp could not make a context of {sequences} x {positions} positions")

    def close(self):
        if self.context:
            llama.llama_free(self.context)
        self.context = None

    def clear(self):
        llama.llama_memory_clear(llama.llama_get_memory(self.context), False)

    def tokens(self, count):
        return [int(token) for token in self.random.integers(0, self.vocabulary - 8, count)]

    def compute(self, rows):
        """Seconds of one call. Rows are (token, position, sequence, wants logits)."""
        batch = self.batch
        for index, (token, position, sequence, wants_logits) in enumerate(rows):
            batch.token[index] = token
            batch.pos[index] = position
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = sequence
            batch.logits[index] = wants_logits
        batch.n_tokens = len(rows)
        begun = time.perf_counter()
        status = llama.llama_decode(self.context, batch)
        llama.llama_synchronize(self.context)
        seconds = time.perf_counter() - begun
        if status != 0:
            raise SystemExit(f"llama_decode failed with status {status}")
        return seconds

    def prefill(self, count):
        """Seconds in which the first sequence's prompt is computed."""
        rows = [(token, at, 0, at == count - 1) for at, token in enumerate(self.tokens(count))]
        return sum(self.compute(rows[first:first + BATCH]) for first in range(0, count, BATCH))

    def copy_to_others(self, sequences):
        """The first sequence's cache, in cells of their own."""
        if sequences == 1:
            return
        state = ctypes.create_string_buffer(llama.llama_state_seq_get_size(self.context, 0))
        room = ctypes.cast(state, ctypes.POINTER(ctypes.c_uint8))
        llama.llama_state_seq_get_data(self.context, room, len(state), 0)
        for sequence in range(1, sequences):
            if llama.llama_state_seq_set_data(self.context, room, len(state), sequence) == 0:
                raise SystemExit("a sequence could not be copied")

    def decode(self, sequences, depth, steps):
        """Seconds in which each of the sequences decodes `steps` tokens."""
        seconds = 0
        for step in range(steps):
            tokens = self.tokens(sequences)
            seconds += self.compute([(tokens[index], depth + step, index, True) for index in range(sequences)])
        return seconds


def measure(contender, sequences, prompt, generate):
    """Prefill and decode, both in tokens per second over all sequences."""
    contender.clear()
    prefill = contender.prefill(prompt)
    contender.copy_to_others(sequences)
    contender.decode(sequences, prompt, 1)
    return prompt / prefill, sequences * generate / contender.decode(sequences, prompt + 1, generate)


def best_setting(contender, sequences, prompt):
    prompt, steps, seconds = min(prompt, 512), 4, {}
    for setting in itertools.product(["on", "off"], ["on", "off"] if sequences > 1 else ["off"]):
        contender.open(sequences, prompt + 16, *setting)
        measure(contender, sequences, 16, 1)
        contender.clear()
        prefill = contender.prefill(prompt)
        contender.copy_to_others(sequences)
        decode = min(contender.decode(sequences, prompt + first, steps) for first in (0, steps)) / steps
        # Several sequences are measured for their decoding, one for both.
        seconds[setting] = decode + (prefill / 16 if sequences == 1 else 0)
    return list(min(seconds, key=seconds.get))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--prompt", type=int, default=256)
    parser.add_argument("--generate", type=int, default=64)
    parser.add_argument("--batch", type=lambda text: [int(word) for word in text.split(",")], default=[1])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--settings", type=json.loads, default={})
    arguments = parser.parse_args()
    contender = Contender(arguments.model, arguments.threads)
    for sequences in arguments.batch:
        setting = arguments.settings.get(str(sequences)) or best_setting(contender, sequences, arguments.prompt)
        contender.open(sequences, arguments.prompt + arguments.generate + 2, *setting)
        measure(contender, sequences, min(arguments.prompt, 128), 2)
        prefill, decode = measure(contender, sequences, arguments.prompt, arguments.generate)
        print(json.dumps({
            "model": arguments.model, "threads": arguments.threads, "prompt": arguments.prompt,
            "generate": arguments.generate, "batch": sequences, "prefill_tokens_per_second": round(prefill, 3),
            "decode_tokens_per_second": round(decode, 3), "load_seconds": round(contender.load_seconds, 3),
            "setting": setting,
        }), flush=True)


if __name__ == "__main__":
    main()
