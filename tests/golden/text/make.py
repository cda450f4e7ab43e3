#!/usr/bin/env python3
"""Makes the goldens of core/text's tokenizers with Hugging Face tokenizers (the oracle).

    pip install tokenizers
    python make.py            # writes gpt2.json, smollm.json beside this file

Everything is deterministic: synthetic text from a fixed seed, vocabularies of a few hundred tokens.
"""
import json
import os
import random

HERE = os.path.dirname(os.path.abspath(__file__))


def write(name, value):
    with open(os.path.join(HERE, name), "w", encoding="utf-8") as f:
        json.dump(value, f, ensure_ascii=False, separators=(",", ":"), indent=None)
        f.write("\n")


# ---- tokenizers ----

WORDS = ("the quick brown fox jumps over lazy dogs a picture of two red squares and one blue circle what is in this image "
         "it's we're they've I'm you'll he'd don't naïve café über straße Москва привет мир 世界 你好 日本語 テスト 한국어 "
         "User Assistant hello world 2023 1234567 3.14 πρώτη 😀 👩‍👩‍👧‍👦 def main return").split()


def corpus(rng, n):
    for _ in range(n):
        words = [rng.choice(WORDS) for _ in range(rng.randint(3, 20))]
        yield rng.choice(["", " ", "\n"]).join([""] + [w + rng.choice([" ", " ", " ", ", ", ".\n", "\n\n", "  ", "\t"]) for w in words])


TORTURE = [
    "", " ", "  ", "   ", "\n", "\n\n\n", " \n \n ", "\t\tx", "a  b   c    d", "  leading", "trailing  ", "a\r\nb\r\n\r\nc", "\r\r\n",
    "x\n\n  y", "x \n y", "1", "12", "123", "1234567890", "a1b22c333", " 1 22  333", "3.14e-10", "½ ² Ⅷ ٣٤ 一二",
    "it's IT'S we're they've I'm you'll he'd 's ''s '' 'x '", " 's 're", "don't'll've", "'re'", "a'", "a'r", "a'v", "'",
    "世界你好", "日本語 テスト。", "한국어 텍스트", "a世b界c", "Москва, привет!", "πρώτη φορά",
    "😀😀", "👩‍👩‍👧‍👦 family", "🇩🇪🇫🇷", "👍🏽!", "e\u0301 a\u0308 n\u0303", "\u0301\u0301", "ก็ไม่", "हिन्दी पाठ",
    "a\u00a0b\u00a0\u00a0c", "\u3000全角\u3000\u3000", "x\u2003y\u2028z\u2029w\u0085v", "\u1680\u202f\u205f", "\u200b\u200d\ufeff",
    "zero\u0000byte", "\u0001\u001f\u007f", "\u001c\u001d \u001e", "<|im_start|> is text <image>", "<|im_start|", "&&&&....!!!!----",
    "foo_bar(baz)[0]->qux;", "https://example.org/a?b=c&d=%20", "    indented\n        more\n\tx", "a \u00a0 b", " \u00a0x",
    "ǅ ʰ ª º ⁿ", "_x_ __", "\U00010400\U0001D400\U0001F600\U000E0001", "\ufffd\ufffe\uffff", "word\n", "word \n", "word  \n  word",
]


def make_tokenizer(name, pre_tokenizer, rng):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizer
    tok.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<end_of_utterance>", "<ab>", "<ab><cd>", "<cd>e"]
    trainer = trainers.BpeTrainer(vocab_size=900, special_tokens=special, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tok.train_from_iterator(list(corpus(rng, 3000)), trainer)
    model = json.loads(tok.to_str())["model"]
    tokens = [t for t, _ in sorted(model["vocab"].items(), key=lambda kv: kv[1])]
    merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]

    texts = list(TORTURE)
    pieces = TORTURE + WORDS + [" ", "\n", "  ", "'s", "9"]
    for _ in range(150):
        texts.append("".join(rng.choice(pieces) for _ in range(rng.randint(2, 6)))[:120])
    texts += ["".join(chr(rng.choice([rng.randrange(32, 127), rng.randrange(0xA0, 0x250), rng.randrange(0x250, 0xD800),
                                      rng.randrange(0xE000, 0x11000), rng.randrange(0x1F300, 0x1F700)]))
                      for _ in range(rng.randint(1, 20))) for _ in range(150)]
    # Characters that the two Unicode versions class differently are not what is tested here.
    import unicodedata
    texts = [t for t in texts if not any(unicodedata.category(c) == "Cn" and ord(c) < 0xFFF0 for c in t)]

    def plain(text):
        out = Tokenizer(models.BPE.from_str(json.dumps(model)) if hasattr(models.BPE, "from_str") else tok.model)
        out.pre_tokenizer = pre_tokenizer
        return out.encode(text, add_special_tokens=False).ids

    cases = [{"text": t, "plain": plain(t)} for t in texts]
    marked = ["<|im_start|>User: hi<end_of_utterance>\nAssistant:", "<image><image> <image>", "a<ab><cd>e<cd>e<ab>x", "<ab<ab>",
              "<|im_start|><|im_end|>  <|endoftext|>\n\n<|endoftext|>12", "x <image>\n\n y"]
    for t in marked:
        cases.append({"text": t, "plain": plain(t), "special": tok.encode(t, add_special_tokens=False).ids})
    types = [3 if t in special[:6] else 4 if t in special else 1 for t in tokens]
    write(name + ".json", {"pre": {"gpt2": "gpt-2"}.get(name, name), "tokens": tokens, "types": types, "merges": merges, "cases": cases})


def make_tokenizers():
    from tokenizers import pre_tokenizers as p
    make_tokenizer("gpt2", p.ByteLevel(add_prefix_space=False), random.Random(1))
    make_tokenizer("smollm", p.Sequence([p.Digits(individual_digits=True), p.ByteLevel(add_prefix_space=False)]), random.Random(2))


if __name__ == "__main__":
    make_tokenizers()
