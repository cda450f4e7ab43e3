#!/usr/bin/env python3
"""Makes the goldens of core/text's tokenizers with Hugging Face tokenizers (the oracle).

    pip install tokenizers transformers sentencepiece protobuf mistral-common
    python make_tokenizers.py

Writes gpt2.json and smollm.json (what a GGUF file holds), spm.json (the same for SentencePiece, with sentencepiece's own
ids), and hf/<family>/ (directories as transformers has them) with cases.json. Deterministic: synthetic text from fixed
seeds, vocabularies of a few hundred tokens."""
import json
import os
import random
import shutil
import sys
import unicodedata

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import families as fam  # noqa: E402

MARKED = ["<|im_start|>User: hi<end_of_utterance>\nAssistant:", "<image><image> <image>", "a<ab><cd>e<cd>e<ab>x", "<ab<ab>",
          "<|im_start|><|im_end|>  <|endoftext|>\n\n<|endoftext|>12", "x <image>\n\n y"]
TURNS = ["<bos><start_of_turn>user\nhi<end_of_turn>\n<start_of_turn>model\n", "<s>[INST] hi [/INST] yes </s>", "<s><s> a</s>", "<|tool|>x<table>", "\n\n\n\n\n<unk>"]


def same_class(text):
    """Characters that Unicode 15.0 (ours) does not have are not what is tested here."""
    return not any(unicodedata.category(c) == "Cn" and ord(c) < 0xFFF0 for c in text)


def texts(rng, n):
    out = list(fam.TORTURE)
    pieces = [t for t in fam.TORTURE if t] + fam.WORDS + [" ", "\n", "  ", "'s", "9", "\u0301"]
    out += ["".join(rng.choice(pieces) for _ in range(rng.randint(2, 6)))[:120] for _ in range(n)]
    out += ["".join(chr(rng.choice([rng.randrange(32, 127), rng.randrange(0xA0, 0x250), rng.randrange(0x250, 0xD800),
                                    rng.randrange(0xE000, 0x11000), rng.randrange(0x1F300, 0x1F700)]))
                    for _ in range(rng.randint(1, 20))) for _ in range(n)]
    return [t for t in out if same_class(t)]


def cases(f, rng, n):
    plain, special = f.oracle(False), f.oracle(True)
    out = [{"text": t, "plain": fam.ids(plain, t)} for t in texts(rng, n)]
    return out + [{"text": t, "plain": fam.ids(plain, t), "special": fam.ids(special, t)} for t in MARKED + TURNS + getattr(f, "turns", [])]


def write(path, value):
    with open(os.path.join(HERE, path), "w", encoding="utf-8") as f:
        json.dump(value, f, ensure_ascii=False, separators=(",", ":"))
        f.write("\n")


def piece_cases(f, rng):
    """sentencepiece's own ids: the reference for a GGUF file's scores. It knows no trust (control tokens are text to it), and
    where llama.cpp puts a blank after each special token, user-defined ones too, it puts one at the start only."""
    import sentencepiece
    sp = sentencepiece.SentencePieceProcessor(model_proto=f.proto)
    avoid = ["<start_of_turn>", "<end_of_turn>", "<|tool|>", "\0", "▁"]
    avoid += [t for t, k in zip(f.gguf["tokens"], f.gguf["types"]) if k == 4] if f.gguf["add_space_prefix"] else []
    return [{"text": t, "plain": sp.encode(t)} for t in texts(rng, 12) if not any(x in t for x in avoid)]


def may_ask(f, text):
    """sentencepiece takes U+2581 and NUL for something else."""
    return "pieces" not in f.name or not ("▁" in text or "\0" in text)


def main():
    shutil.rmtree(os.path.join(HERE, "hf"), ignore_errors=True)
    spm = {}
    for k, f in enumerate(fam.families()):
        rng = random.Random(100 + k)
        if f.name in ("gpt2", "smollm"):
            write(f.name + ".json", {"pre": f.gguf["pre"], "tokens": f.gguf["tokens"], "types": f.gguf["types"], "merges": f.gguf["merges"],
                                     "cases": cases(f, rng, 60)})
        if f.gguf and "scores" in f.gguf:
            spm[f.name] = {**f.gguf, "cases": piece_cases(f, rng)}
        if f.name not in ("llama2-always", "llama2-split"):  # the peer has them
            f.write(os.path.join(HERE, "hf", f.name))
            write("hf/%s/cases.json" % f.name, cases(f, rng, 12))
    write("spm.json", spm)
    for k, f in enumerate(fam.alone()):
        rng = random.Random(200 + k)
        f.write(os.path.join(HERE, "hf", f.name))
        asked = texts(rng, 12) + TURNS + getattr(f, "turns", [])
        write("hf/%s/cases.json" % f.name, [{"text": t, "plain": f.ids(False, t), "special": f.ids(True, t)} for t in asked if may_ask(f, t)])


main()
