"""Makes llama-goldens.json: what llama.cpp's samplers do to a row, for the samplers that mean the same here.

Needs numpy and llama-cpp-python (0.3.36) from PyPI, and a vocabulary as GGUF whose tokens 0 to 255 are no more than one
character each, such as ggml-vocab-gpt-2.gguf, for the texts that DRY's breakers are found in.
Run: python3 make_llama_goldens.py ggml-vocab-gpt-2.gguf > llama-goldens.json
"""

import ctypes
import json
import sys

import llama_cpp
import numpy


def candidates(logits):
    data = (llama_cpp.llama_token_data * len(logits))()
    for i, logit in enumerate(logits):
        data[i].id, data[i].logit, data[i].p = i, logit, 0
    return llama_cpp.llama_token_data_array(data=data, size=len(logits), selected=-1, sorted=False)


def kept(array):
    return [(array.data[i].id, array.data[i].logit) for i in range(array.size) if numpy.isfinite(array.data[i].logit)]


def probabilities(array, size):
    """The softmax over what is left."""
    tokens = kept(array)
    x = numpy.array([logit for _, logit in tokens], dtype=numpy.float64)
    p = numpy.exp(x - x.max())
    p /= p.sum()
    result = [0.0] * size
    for (token, _), value in zip(tokens, p):
        result[token] = float(f"{value:.8g}")
    return result


def apply(sampler, logits):
    array = candidates(logits)
    llama_cpp.llama_sampler_apply(sampler, ctypes.byref(array))
    return array


def rows(random, count, size, spread):
    return [[float(numpy.float32(v)) for v in random.normal(0, spread, size).round(3)] for _ in range(count)]


def filters(random):
    made = {
        "typicalP": lambda v: llama_cpp.llama_sampler_init_typical(v, 1),
        "topNSigma": lambda v: llama_cpp.llama_sampler_init_top_n_sigma(v),
        "xtcThreshold": lambda v: llama_cpp.llama_sampler_init_xtc(1, v, 1, 1),
        "dynamicTemperatureRange": lambda v: llama_cpp.llama_sampler_init_temp_ext(1, v, 1.5),
    }
    cases = []
    for name, value in [
        ("typicalP", 0.15), ("typicalP", 0.6), ("typicalP", 0.95), ("topNSigma", 0.5), ("topNSigma", 1),
        ("topNSigma", 2), ("xtcThreshold", 0.02), ("xtcThreshold", 0.1), ("xtcThreshold", 0.3),
        ("dynamicTemperatureRange", 0.5), ("dynamicTemperatureRange", 0.9),
    ]:
        for logits in rows(random, 2, 30, 2):
            sampler = made[name](value)
            cases.append({
                "name": name, "value": value, "logits": logits,
                "probabilities": probabilities(apply(sampler, logits), len(logits))})
            llama_cpp.llama_sampler_free(sampler)
    return cases


def mirostat(random):
    cases = []
    for version, tau, eta in [(1, 3, 0.1), (1, 1, 0.5), (2, 3, 0.1), (2, 1, 0.5), (2, 0.5, 1)]:
        size = 150
        if version == 1:
            sampler = llama_cpp.llama_sampler_init_mirostat(size, 11, tau, eta, 100)
        else:
            sampler = llama_cpp.llama_sampler_init_mirostat_v2(12, tau, eta)
        # One row for all steps: only the bound changes.
        logits = rows(random, 1, size, 2)[0]
        steps = []
        for _ in range(15):
            array = apply(sampler, logits)
            steps.append({"kept": sorted(token for token, _ in kept(array)), "token": array.data[array.selected].id})
        cases.append({"version": version, "target": tau, "rate": eta, "logits": logits, "steps": steps})
        llama_cpp.llama_sampler_free(sampler)
    return cases


def dry(random, path):
    llama_cpp.llama_log_set(ctypes.cast(None, llama_cpp.llama_log_callback), None)
    parameters = llama_cpp.llama_model_default_params()
    parameters.vocab_only = True
    model = llama_cpp.llama_model_load_from_file(path.encode(), parameters)
    vocab = llama_cpp.llama_model_get_vocab(model)

    def text(token):
        buffer = ctypes.create_string_buffer(64)
        length = llama_cpp.llama_token_to_piece(vocab, token, buffer, 64, 0, True)
        return buffer.raw[:length]

    size = 40
    texts = [text(token) for token in range(size)]
    cases = []
    for multiplier, base, allowed, window, breakers in [
        (0.8, 1.75, 2, 500, []), (1, 1.1, 1, 500, []), (2, 1.5, 3, 20, []), (0.5, 2, 1, 500, [texts[2], texts[7]]),
        (0.5, 2, 1, 500, [texts[3] + texts[4]]), (1, 3, 2, 64, [texts[1]]), (0.25, 1, 1, 30, [texts[5]]),
    ]:
        array_of_texts = (ctypes.c_char_p * max(1, len(breakers)))(*breakers)
        sampler = llama_cpp.llama_sampler_init_dry(
            vocab, multiplier, base, allowed, window, array_of_texts, len(breakers))
        # Few different tokens, and whole stretches again, so that there is much to find.
        tokens = [int(v) for v in random.integers(0, 9, 60)]
        for _ in range(5):
            start, length = int(random.integers(0, 50)), int(random.integers(3, 14))
            tokens += tokens[start:start + length]
        for token in tokens:
            llama_cpp.llama_sampler_accept(sampler, token)
        logits = [0.0] * size
        array = apply(sampler, logits)
        result = dict(kept(array))
        cases.append({
            "multiplier": multiplier, "base": base, "allowedLength": allowed, "window": window,
            "breakers": [list(breaker) for breaker in breakers], "tokens": tokens,
            "logits": [float(f"{result[token]:.8g}") for token in range(size)]})
        llama_cpp.llama_sampler_free(sampler)
    return {"texts": [list(piece) for piece in texts], "cases": cases}


def main():
    random = numpy.random.default_rng(31)
    llama_cpp.llama_backend_init()
    result = {"filters": filters(random), "mirostat": mirostat(random), "dry": dry(random, sys.argv[1])}
    print(json.dumps(result, separators=(",", ":")))


main()
