"""Writes tokenizers.json: tiny vocabularies, and what independent libraries make of some texts with them.

    pip install tokenizers==0.23.3 sentencepiece==0.2.3
    python make_goldens.py

Byte-level BPE and the cutting into words come from `tokenizers`, SentencePiece BPE from `sentencepiece`. Everything is
trained here, on the sentences below, so the file is the same on every run with the same library versions.
"""

import io
import json
import os

import sentencepiece
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

CORPUS = [
    "The harbour was quiet when the first boat came in, and nobody counted the boxes twice.",
    "She said that they'd never seen 1,234 gulls; we've seen 56789 of them since 2019!",
    "I'm sure it's there. You'll find what you're looking for, won't you? DON'T SHOUT, I'LL LISTEN.",
    "Der kleine Hafen liegt ruhig, über den Dächern hängt Nebel, größer als gestern.",
    "Le café était fermé à l'été, où l'élève naïve cherchait un hôtel.",
    "Тихая гавань, лодка и чайка. Где мой хлеб?",
    "静かな港に船が来た。今日は2024年です。",
    "항구는 조용했다. 배가 들어왔다.",
    "def add(left, right):\n    return left + right  # 42\n\n\nprint(add(1, 2))\n",
    "for (int i = 0; i < 10; ++i) { total += values[i] * 3.14; }\r\n\t// done\r\n",
    "the the the boat boat harbour harbour quiet quiet and and in in over over there there",
]

TEXTS = [
    "",
    " ",
    "   ",
    "\n",
    "\n\n\n",
    "\t\n ",
    "The boat came in.",
    " The boat  came   in . ",
    "  two leading, two trailing  ",
    "I'm here; they'll come, we've won, you'd think it's 'til DON'T I'LL.",
    "0123456789 12 345 6789 ٣٤٥ Ⅷ ½ ²",
    "a1b22c333d4444",
    "def f(x):\n    return x  # none\n\n\nend\n",
    "line one\r\nline two\r\n\r\n  line three\r",
    "größer über Straße naïve café ÉCOLE",
    "e\u0301te\u0301 combining a\u0308",
    "Где мой хлеб? ТИХО.",
    "静かな港に船が来た。今日は2024年です。",
    "항구는 조용했다 ᄀ",
    "mixed 港boat港 café港123",
    "emoji 🙂🙃 family 👩‍👩‍👧 flag 🇩🇪 tone 👍🏽",
    "CamelCaseWords and HTTPServer iOSApp xY",
    "!!! ... --- ??? (a)[b]{c} <d> $5 #tag @name 100% a+b=c ^_^ ~ | `code`",
    "no\u00a0break\u2003em\u3000wide\u0085next\u180evowel\u200bzero",
    "<s> not control </s> <unk> <0x41> <|endoftext|>",
    "naïve—dash … “quotes” ‘single’ ！？。",
    "'S 'T 'RE 'Ve 's't",
    "x" * 70,
    "ab" * 40 + " " * 20 + "c",
    "ἀρχή ὥρα ᾳ\u1fbe Ω\u2126 K\u212a Å\u212b ﬁ 𝐀𝐛 ⅎ",
    "हिन्दी में पाठ ไทย العربية עברית",
]

CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
TAIL = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"


def cased(suffix, digits):
    return (
        rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{suffix}|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{suffix}|{digits}"
        + r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )


# Letters with case, as listed there (escaped where normalisation would change a character).
CASED = (
    "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚ"
    + r"\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D}"
    + r"\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3}"
    + r"\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107}\x{210A}-\x{2113}\x{2115}"
    + r"\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F}"
    + r"\x{2145}-\x{2149}\x{214E}"
    + "ↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃"
)

# The patterns of the models' own tokenizer files, by the name that GGUF files use.
RULES = {
    "gpt-2": [GPT2],
    "smollm": [r"\p{N}", GPT2],
    "llama-bpe": [CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + TAIL],
    "qwen2": [CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + TAIL],
    "qwen35": [
        CONTRACTION
        + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ],
    "bailingmoe": [
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
    ],
    "deepseek-coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+", r"\p{N}"],
    "deepseek-llm": [
        r"[\r\n]",
        r"\s?[" + CASED + "]+",
        r"\s?[!-/:-~！-／：-～‘-‟　-。]+",
        r"\s+\z",
        "[一-龥ࠀ-一가-퟿]+",
        r"\p{N}",
    ],
    "deepseek-v3": [
        r"\p{N}{1,3}",
        "[一-龥぀-ゟ゠-ヿ]+",
        r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
        + r"""| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+""",
    ],
    "falcon": [r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]"],
    "default": [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"],
    "tekken": [cased("", r"\p{N}")],
    "gpt-4o": [cased(CONTRACTION + "?", r"\p{N}{1,3}")],
}

ADDED = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
SPECIAL_TEXT = "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n<|im_end|><|im_endx"


def splits(name):
    return [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in RULES[name]]


def word_ends(name, text):
    pieces = pre_tokenizers.Sequence(splits(name)).pre_tokenize_str(text)
    return [len(text[:end].encode()) for _, (start, end) in pieces if end > start]


def byte_level():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        splits("gpt-2") + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    result = {
        "tokens": tokens,
        "merges": [" ".join(merge) for merge in model["merges"]],
        "added": ADDED,
        "ids": {},
    }
    for name in ["gpt-2", "llama-bpe", "qwen2", "deepseek-coder"]:
        tokenizer.model = models.BPE(
            vocab=model["vocab"], merges=[tuple(m) for m in model["merges"]], ignore_merges=name == "llama-bpe"
        )
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            splits(name) + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
        )
        result["ids"][name] = [tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS]
    tokenizer.add_special_tokens(ADDED)
    result["special"] = {
        "text": SPECIAL_TEXT,
        "ids": tokenizer.encode(SPECIAL_TEXT, add_special_tokens=False).ids,
    }
    return result


def sentence_piece(**options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(line for text in CORPUS for line in text.splitlines() if line),
        model_writer=model,
        model_type="bpe",
        character_coverage=0.98,
        normalization_rule_name="identity",
        minloglevel=2,
        num_threads=1,
        **options,
    )
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    types = []
    for id in range(processor.get_piece_size()):
        if processor.is_unknown(id):
            types.append(2)
        elif processor.is_control(id):
            types.append(3)
        elif processor.id_to_piece(id) in options.get("user_defined_symbols", []):
            types.append(4)
        elif processor.is_byte(id):
            types.append(6)
        else:
            types.append(1)
    return {
        "tokens": [processor.id_to_piece(id) for id in range(processor.get_piece_size())],
        "scores": [processor.get_score(id) for id in range(processor.get_piece_size())],
        "types": types,
        "addSpacePrefix": options.get("add_dummy_prefix", True),
        "removeExtraSpaces": options.get("remove_extra_whitespaces", True),
        "ids": [processor.encode(text) for text in TEXTS],
        "decoded": [processor.decode(processor.encode(text)) for text in TEXTS],
    }


result = {
    "texts": TEXTS,
    "wordEnds": {name: [word_ends(name, text) for text in TEXTS] for name in RULES},
    "byteLevel": byte_level(),
    "sentencePiece": {
        "byte fallback": sentence_piece(vocab_size=420, byte_fallback=True, remove_extra_whitespaces=False),
        "extra spaces removed": sentence_piece(vocab_size=180, byte_fallback=False, remove_extra_whitespaces=True),
        "no prefix, words joined": sentence_piece(
            vocab_size=420,
            byte_fallback=True,
            remove_extra_whitespaces=False,
            add_dummy_prefix=False,
            split_by_whitespace=False,
            user_defined_symbols=["boat", "▁▁"],
        ),
    },
}
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tokenizers.json")
with open(path, "w", encoding="utf-8") as file:
    text = json.dumps(result, ensure_ascii=True, separators=(",", ":"))
    file.write(text.replace('],"', '],\n"').replace('},"', '},\n"') + "\n")
print(os.path.getsize(path), "bytes")
