"""Makes sampling-goldens.json: what the sampler must do, from numpy and by other means.

The filters sort the whole row (the sampler selects without sorting), softmax and logarithms are numpy's, repetitions are
found by comparing slices, and Philox is written from the paper's description with Python integers.
Needs numpy from PyPI. Run: python3 make_goldens.py > sampling-goldens.json
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


def uniform(seed, choice, position, stream=0):
    words = philox4x32(
        [position & MASK, position >> 32, choice & MASK, choice >> 32], [seed & MASK, seed >> 32])
    return ((words[2 * stream + 1] << 32 | words[2 * stream]) >> 11) / 2**53


def dry_penalties(p, tokens):
    """Token -> penalty, by comparing every earlier place with the end, slice by slice."""
    window = p.get("dryWindow", len(tokens))
    allowed = p.get("dryAllowedLength", 2)
    breakers = p.get("dryBreakers", [])
    recent = tokens[max(0, len(tokens) - window):]
    lengths = {}
    for place in range(len(recent) - 1):
        length = 0
        while length <= place and recent[place - length] == recent[-1 - length] and recent[-1 - length] not in breakers:
            length += 1
        follower = recent[place + 1]
        if length >= allowed and follower not in breakers:
            lengths[follower] = max(length, lengths.get(follower, 0))
    return {t: p["dryMultiplier"] * p.get("dryBase", 1.75) ** (n - allowed) for t, n in lengths.items()}


def surprise(q):
    return -numpy.log(q)


def mirostat_count(p, mass, mu, size):
    """How many of the probabilities, in falling order, Mirostat leaves."""
    if p["mirostat"] == 2:
        return max(1, int((surprise(mass) / numpy.log(2) <= mu).sum()))
    top = mass[:100]
    t = numpy.log(numpy.arange(2, len(top) + 1) / numpy.arange(1, len(top)))
    s = (t * numpy.log(top[:-1] / top[1:])).sum() / (t * t).sum()
    k = ((s - 1) * 2**mu / (1 - size ** -(s - 1))) ** (1 / s)
    return max(1, min(int(k), len(mass)))


def distribution(logits, p, prompt, answer, mu=None, exclusion=0.0):
    x = numpy.array(logits, dtype=numpy.float64)
    if len(answer) < p.get("minimumTokens", 0):
        x[p["endTokens"]] = -numpy.inf
    for token, value in p.get("biases", []):
        x[token] += value
    repetition = p.get("repetitionPenalty", 1)
    for token in set(prompt) | set(answer):
        x[token] = x[token] / repetition if x[token] > 0 else x[token] * repetition
    for token in set(answer):
        x[token] -= p.get("frequencyPenalty", 0) * answer.count(token) + p.get("presencePenalty", 0)
    if "dryMultiplier" in p:
        for token, penalty in dry_penalties(p, prompt + answer).items():
            x[token] -= penalty
    order = sorted(range(len(x)), key=lambda i: (-x[i], i))
    temperature = p.get("temperature", 1)
    result = numpy.zeros(len(x))
    if temperature == 0:
        result[order[0]] = 1
        return result
    if "topNSigma" in p:
        finite = x[numpy.isfinite(x)]
        x[x < finite.max() - p["topNSigma"] * finite.std()] = -numpy.inf
    if "dynamicTemperatureRange" in p:
        q = numpy.exp(x[numpy.isfinite(x)] - x.max())
        q /= q.sum()
        share = (q * surprise(q)).sum() / numpy.log(len(q))
        low, high = max(0, temperature - p["dynamicTemperatureRange"]), temperature + p["dynamicTemperatureRange"]
        temperature = low + (high - low) * share ** p.get("dynamicTemperatureExponent", 1)
    kept = order[: p["topK"]] if p.get("topK", 0) > 0 else order
    kept = [i for i in kept if numpy.isfinite(x[i])]
    mass = numpy.exp((x[kept] - x[kept[0]]) / temperature)
    mass /= mass.sum()
    if p.get("typicalP", 1) < 1:
        distance = abs(surprise(mass) - (mass * surprise(mass)).sum())
        near = sorted(range(len(kept)), key=lambda i: (distance[i], kept[i]))
        before = numpy.cumsum(mass[near]) - mass[near]
        near = sorted(near[: max(1, int((before < p["typicalP"]).sum()))])
        kept, mass = [kept[i] for i in near], mass[near] / mass[near].sum()
    if p.get("topP", 1) < 1:
        before = numpy.cumsum(mass) - mass
        count = max(1, int((before < p["topP"]).sum()))
        kept, mass = kept[:count], mass[:count] / mass[:count].sum()
    if p.get("minP", 0) > 0:
        stays = mass >= p["minP"] * mass[0]
        kept, mass = [i for i, s in zip(kept, stays) if s], mass[stays] / mass[stays].sum()
    if "xtcProbability" in p and exclusion < p["xtcProbability"]:
        first = max(0, int((mass >= p.get("xtcThreshold", 0.1)).sum()) - 1)
        kept, mass = kept[first:], mass[first:] / mass[first:].sum()
    if "mirostat" in p:
        count = mirostat_count(p, mass, mu, len(x))
        kept, mass = kept[:count], mass[:count] / mass[:count].sum()
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
    {"typicalP": 0.2},
    {"typicalP": 0.7, "temperature": 0.4},
    {"typicalP": 0},
    {"typicalP": 0.5, "topK": 12, "minP": 0.2},
    {"topNSigma": 1},
    {"topNSigma": 0.3, "temperature": 1.5},
    {"dynamicTemperatureRange": 0.5},
    {"dynamicTemperatureRange": 2, "dynamicTemperatureExponent": 0.5},
    {"temperature": 0.7, "dynamicTemperatureRange": 0.3, "topNSigma": 2, "topP": 0.9},
    {"xtcProbability": 1},
    {"xtcProbability": 0.5, "xtcThreshold": 0.05, "temperature": 2},
    {"xtcProbability": 1, "xtcThreshold": 0},
    {"xtcProbability": 1, "xtcThreshold": 0.6},
    {"dryMultiplier": 0.8},
    {"dryMultiplier": 2, "dryBase": 1.2, "dryAllowedLength": 1, "dryWindow": 9},
    {"dryMultiplier": 3, "dryAllowedLength": 1, "dryBreakers": [2, 4]},
    {"dryMultiplier": 5, "temperature": 0},
    {"mirostat": 1, "mirostatTarget": 3},
    {"mirostat": 1, "mirostatTarget": 0.5, "mirostatRate": 0.5, "temperature": 2},
    {"mirostat": 2, "mirostatTarget": 1.5},
    {"mirostat": 2, "mirostatTarget": 0.2, "mirostatRate": 1},
    {"minimumTokens": 12, "endTokens": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], "biases": [[3, 100]]},
    {
        "biases": [[1, 4]], "repetitionPenalty": 1.1, "presencePenalty": 0.5, "temperature": 1.2, "minimumTokens": 14,
        "endTokens": [1, 5], "dryMultiplier": 1, "dryAllowedLength": 1, "topNSigma": 3, "dynamicTemperatureRange": 0.4,
        "topK": 20, "typicalP": 0.95, "topP": 0.97, "minP": 0.01, "xtcProbability": 0.4, "xtcThreshold": 0.15,
        "mirostat": 2, "mirostatTarget": 2, "mirostatRate": 0.3,
    },
]
# From here on answers repeat themselves.
REPEATING = 23


def main():
    random = numpy.random.default_rng(20)
    cases = []
    for index, parameters in enumerate(PARAMETERS):
        size = int(random.integers(24, 48))
        logits = [float(numpy.float32(v)) for v in random.normal(0, 3, size).round(3)]
        prompt = [int(v) for v in random.integers(0, size, 6)]
        answer = [int(v) for v in random.integers(0, size // 3, 8)]
        if index >= REPEATING:
            prompt, answer = [1, 2, 3, 4, 5, 1, 2, 3, 6], [7, 1, 2, 3, 4, 5, 1, 2]
        seed = int(random.integers(0, 2**63))
        target = parameters.get("mirostatTarget", 5)
        mu = 2 * target
        p = distribution(logits, parameters, prompt, answer, mu, uniform(seed, index, 0, 1))
        picks = []
        for position in range(12):
            # The answer grows with each pick, so the distribution is a new one when penalties are on.
            now = distribution(
                logits, parameters, prompt, answer + picks, mu, uniform(seed, index, position, 1))
            total, draw, token = 0.0, uniform(seed, index, position), None
            for i in range(size):
                total += now[i]
                if now[i] > 0 and total > draw:
                    token = i
                    break
            picks.append(token)
            mu -= parameters.get("mirostatRate", 0.1) * (surprise(now[token]) / numpy.log(2) - target)
        cases.append({
            "parameters": parameters, "logits": logits, "prompt": prompt, "answer": answer,
            "probabilities": [float(f"{v:.9g}") for v in p], "seed": str(seed), "choice": index, "picks": picks})
    numbers = [
        {"seed": str(s), "choice": str(c), "position": str(n), "uniform": uniform(s, c, n),
         "exclusion": uniform(s, c, n, 1)}
        for s, c, n in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (2**64 - 1, 3, 70_000), (42, 2**40, 2**33)]
    ]
    print(json.dumps({"cases": cases, "numbers": numbers}, separators=(",", ":")))


main()
