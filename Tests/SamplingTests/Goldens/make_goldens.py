"""Makes sampling-goldens.json: what the sampler must do, from numpy and by other means.

The filters sort the whole row (the sampler selects without sorting), softmax is numpy's, and Philox is written from the
paper's description with Python integers. Run: python3 make_goldens.py > sampling-goldens.json
"""

import json

import numpy

MASK = 0xFFFFFFFF


def philox4x32(counter, key):
    c, k = list(counter), list(key)
    for round_number in range(10):
        if round_number > 0:
            k = [(k[0] + 0x9E3779B9) & MASK, (k[1] + 0xBB67AE85) & MASK]
        left, right = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [(right >> 32) ^ c[1] ^ k[0], right & MASK, (left >> 32) ^ c[3] ^ k[1], left & MASK]
    return c


def uniform(seed, choice, position):
    words = philox4x32(
        [position & MASK, position >> 32, choice & MASK, choice >> 32], [seed & MASK, seed >> 32])
    return ((words[1] << 32 | words[0]) >> 11) / 2**53


def distribution(logits, p, prompt, answer):
    x = numpy.array(logits, dtype=numpy.float64)
    for token, value in p.get("biases", []):
        x[token] += value
    repetition = p.get("repetitionPenalty", 1)
    for token in set(prompt) | set(answer):
        x[token] = x[token] / repetition if x[token] > 0 else x[token] * repetition
    for token in set(answer):
        x[token] -= p.get("frequencyPenalty", 0) * answer.count(token) + p.get("presencePenalty", 0)
    order = sorted(range(len(x)), key=lambda i: (-x[i], i))
    temperature = p.get("temperature", 1)
    result = numpy.zeros(len(x))
    if temperature == 0:
        result[order[0]] = 1
        return result
    kept = order[: p["topK"]] if p.get("topK", 0) > 0 else order
    mass = numpy.exp((x[kept] - x[kept[0]]) / temperature)
    mass /= mass.sum()
    if p.get("topP", 1) < 1:
        before = numpy.cumsum(mass) - mass
        count = max(1, int((before < p["topP"]).sum()))
        kept, mass = kept[:count], mass[:count] / mass[:count].sum()
    if p.get("minP", 0) > 0:
        stays = mass >= p["minP"] * mass[0]
        kept, mass = [i for i, s in zip(kept, stays) if s], mass[stays] / mass[stays].sum()
    for token, probability in zip(kept, mass):
        result[token] = probability
    return result


PARAMETERS = [
    {},
    {"temperature": 0},
    {"temperature": 0.25},
    {"temperature": 3},
    {"topK": 1},
    {"topK": 7},
    {"topK": 1000},
    {"topP": 0.01},
    {"topP": 0.5},
    {"topP": 0.95},
    {"topP": 0.9, "temperature": 0.5},
    {"minP": 0.1},
    {"minP": 1},
    {"minP": 0.05, "temperature": 2},
    {"topK": 20, "topP": 0.8, "minP": 0.1, "temperature": 0.7},
    {"repetitionPenalty": 1.3},
    {"repetitionPenalty": 0.8, "temperature": 0},
    {"presencePenalty": 1.5},
    {"frequencyPenalty": 0.75},
    {"frequencyPenalty": -2, "presencePenalty": -2},
    {"biases": [[3, 10], [5, -10]]},
    {"biases": [[0, -100], [9, 2.5]], "topK": 3},
    {
        "biases": [[1, 4]], "repetitionPenalty": 1.1, "presencePenalty": 0.5, "frequencyPenalty": 0.25,
        "temperature": 0.8, "topK": 16, "topP": 0.9, "minP": 0.02,
    },
]


def main():
    random = numpy.random.default_rng(20)
    cases = []
    for index, parameters in enumerate(PARAMETERS):
        size = int(random.integers(24, 48))
        logits = [float(numpy.float32(v)) for v in random.normal(0, 3, size).round(3)]
        prompt = [int(v) for v in random.integers(0, size, 6)]
        answer = [int(v) for v in random.integers(0, size // 3, 8)]
        p = distribution(logits, parameters, prompt, answer)
        seed = int(random.integers(0, 2**63))
        picks = []
        for position in range(12):
            # The answer grows with each pick, so the distribution is a new one when penalties are on.
            now = distribution(logits, parameters, prompt, answer + picks)
            total, draw, token = 0.0, uniform(seed, index, position), None
            for i in range(size):
                total += now[i]
                if now[i] > 0 and total > draw:
                    token = i
                    break
            picks.append(token)
        cases.append({
            "parameters": parameters, "logits": logits, "prompt": prompt, "answer": answer,
            "probabilities": [float(f"{v:.9g}") for v in p], "seed": str(seed), "choice": index, "picks": picks})
    numbers = [
        {"seed": str(s), "choice": str(c), "position": str(n), "uniform": uniform(s, c, n)}
        for s, c, n in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (2**64 - 1, 3, 70_000), (42, 2**40, 2**33)]
    ]
    print(json.dumps({"cases": cases, "numbers": numbers}, separators=(",", ":")))


main()
