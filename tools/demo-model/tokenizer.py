"""Trains the tokenizer: byte-level BPE with single digits (the pre-tokenizer that GGUF calls `smollm`)."""

import argparse

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from generate import documents

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
END_OF_TEXT, TURN_START, TURN_END = range(3)


def lines(seed: int, count: int):
    for document in documents(seed, count):
        if "text" in document:
            yield document["text"]
        else:
            for role, text in document["messages"]:
                yield f"{role}\n"
                yield text


def train(seed: int, count: int, size: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=SPECIAL, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False)
    tokenizer.train_from_iterator(lines(seed, count), trainer)
    return tokenizer


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seed", type=int, default=100)
    options.add_argument("--count", type=int, default=40000)
    options.add_argument("--size", type=int, default=2048)
    options.add_argument("output")
    arguments = options.parse_args()
    tokenizer = train(arguments.seed, arguments.count, arguments.size)
    tokenizer.save(arguments.output)
    print(f"{tokenizer.get_vocab_size()} tokens")


if __name__ == "__main__":
    main()
