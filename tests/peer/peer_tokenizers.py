#!/usr/bin/env python3
"""Token ids against the references, on random text: Hugging Face tokenizers for directories, llama.cpp and sentencepiece
for GGUF files, sentencepiece and mistral-common for directories that have their files alone. All families of
tests/golden/text/families.py, larger than in the goldens. llama.cpp's tekken and gpt-4o tell capitals from small letters in ASCII only, and its
contractions know two spellings of 's; there Hugging Face's ids are the right ones, and such texts are counted as skipped.

    pip install tokenizers transformers sentencepiece protobuf mistral-common gguf llama-cpp-python
    python peer_tokenizers.py [--texts 20000] [--only NAME] [--time]

PEER_TOKENIZE names the program (default build/peer_tokenize)."""
import argparse
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import time

REPO = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "tests" / "golden" / "text"))
import families as fam  # noqa: E402

PROGRAM = os.environ.get("PEER_TOKENIZE", str(REPO / "build" / "peer_tokenize"))


class Ours:
    def __init__(self, path):
        self.p = subprocess.Popen([PROGRAM, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, kind, data, item):
        self.p.stdin.write(struct.pack("<I", kind | len(data) << 2) + data)
        self.p.stdin.flush()
        n, = struct.unpack("<I", self.p.stdout.read(4))
        return self.p.stdout.read(n * item)

    def encode(self, text, trusted):
        b = self.ask(int(trusted), text.encode() if isinstance(text, str) else text, 4)
        return list(struct.unpack("<%di" % (len(b) // 4), b))

    def decode(self, ids):
        return self.ask(2, struct.pack("<%di" % len(ids), *ids), 1).decode()

    def close(self):
        self.p.stdin.close()
        self.p.wait()


# ---- random text ----

def unicode_15():
    """Ranges of characters by script that utf8proc (Unicode 15.0) knows: Python's table is as old or older."""
    import unicodedata
    return [c for c in range(0x20000) if unicodedata.category(chr(c)) not in ("Cn", "Cs")]


CHARS = unicode_15()
PIECES = [t for t in fam.TORTURE if t] + fam.WORDS
BLANKS = [" ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", "\u00a0", "\u3000", "\u0085", "\u2028", "\u2009", "\r", "\x0b", "\x0c", "\x1c", "\u200b", "▁"]
MARKS = ["\u0301", "\u0323", "\u0308", "\u093f", "\u094d", "\u05b8", "\u064e", "\u200d", "\ufe0f", "\u1161", "\u11a8", "\u20dd", "\U0001F3FD"]
ODD = ["'", "'s", "'S", "'ſ", "'re", "'LL", "!", ".", "#", "_", "-", "<", ">", "|", "½", "٣", "१", "Ⅷ", "²", "ß", "İ", "ı", "K", "Å", "ﬁ", "가", "각", "ᄀ"]


def random_text(rng):
    kind = rng.random()
    n = rng.randint(1, 12)
    if kind < 0.35:
        return "".join(rng.choice(PIECES) for _ in range(rng.randint(1, 4)))
    if kind < 0.75:
        return "".join(rng.choice(rng.choice((BLANKS, BLANKS, ODD, MARKS, list("abXYZ"), list("0123456789"), fam.WORDS, fam.SPECIAL + fam.USER)))
                       for _ in range(2 * n))
    if kind < 0.9:
        return "".join(chr(rng.choice(CHARS)) for _ in range(n))
    return "".join(chr(rng.randrange(32, 127)) for _ in range(2 * n))


# ---- the references ----

def write_gguf(path, g):
    from gguf import GGUFWriter
    w = GGUFWriter(path, "llama")
    for add in (w.add_block_count, w.add_head_count, w.add_feed_forward_length):
        add(1)
    w.add_context_length(1024)
    w.add_embedding_length(8)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_tokenizer_model(g["model"])
    w.add_token_list(g["tokens"])
    w.add_token_types(g["types"])
    if "scores" in g:
        w.add_token_scores(g["scores"])
        w.add_add_space_prefix(g["add_space_prefix"])
        for name in ("bos", "eos", "unk"):
            getattr(w, "add_%s_token_id" % name)(g[name])
    else:
        w.add_tokenizer_pre(g["pre"])
        w.add_token_merges(g["merges"])
        w.add_bos_token_id(g["tokens"].index("<|endoftext|>"))
        w.add_eos_token_id(g["tokens"].index("<|im_end|>"))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.close()


class LlamaCpp:
    def __init__(self, path):
        import llama_cpp
        self.model = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)

    def encode(self, text, trusted):
        return self.model.tokenize(text.encode(), add_bos=False, special=trusted)


class Count:
    def __init__(self, what):
        self.what, self.n, self.bad, self.skipped = what, 0, 0, 0

    def __call__(self, text, ours, theirs):
        self.n += 1
        if ours != theirs:
            self.bad += 1
            if self.bad <= 5:
                print("  %r\n    ours   %s\n    theirs %s" % (text, ours, theirs))

    def end(self):
        skipped = ", %d skipped: the reference is known to be wrong" % self.skipped if self.skipped else ""
        print("%-6s %s: %d texts, %d differ%s" % ("ok" if not self.bad else "FAILED", self.what, self.n, self.bad, skipped), flush=True)
        return self.bad > 0


def compare_directory(f, texts, folder):
    f.write(folder)
    ours, failed = Ours(folder), 0
    for trusted in (False, True):
        count = Count("%s: directory, %s, against tokenizers" % (f.name, "trusted" if trusted else "untrusted"))
        for t, want in zip(texts, f.oracle(trusted).encode_batch(texts, add_special_tokens=False)):
            count(t, ours.encode(t, trusted), want.ids)
        failed += count.end()
    oracle, count = f.oracle(True), Count("%s: decoding, against tokenizers" % f.name)
    for t in texts:
        ids = ours.encode(t, False)
        count(t, ours.decode(ids), oracle.decode(ids, skip_special_tokens=True))
    failed += count.end()
    ours.close()
    return failed


def compare_gguf(f, texts, path):
    write_gguf(path, f.gguf)
    ours, theirs, failed = Ours(path), LlamaCpp(path), 0
    for trusted in (False, True):
        count = Count("%s: GGUF, %s, against llama.cpp" % (f.name, "trusted" if trusted else "untrusted"))
        for t in texts:
            if "'ſ" in t and f.gguf.get("pre") in ("llama-bpe", "qwen2"):
                count.skipped += 1
                continue  # 's in any case: llama.cpp's pattern has only the two ASCII ones
            if f.gguf.get("pre") in ("tekken", "gpt-4o") and not t.isascii():
                count.skipped += 1
                continue  # capitals and small letters: llama.cpp tells them apart in ASCII only
            count(t, ours.encode(t, trusted), theirs.encode(t, trusted))
        failed += count.end()
    ours.close()
    return failed


def compare_alone(f, texts, folder):
    f.write(folder)
    ours, failed = Ours(folder), 0
    for trusted in (False, True):
        count = Count("%s: %s, %s, against its own program" % (f.name, min(f.files, key=lambda n: "config" in n), "trusted" if trusted else "untrusted"))
        for t in texts:
            if "pieces" in f.name and ("▁" in t or "\0" in t):
                count.skipped += 1
                continue  # sentencepiece takes U+2581 for a blank in user-defined pieces too, and ends at a NUL
            count(t, ours.encode(t, trusted), f.ids(trusted, t))
        failed += count.end()
    ours.close()
    return failed


def speed(f, folder, text):
    """Encoding MB/s of one text, ours and tokenizers', one thread each, the best of three."""
    f.write(folder)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    mine = min(float(subprocess.run([PROGRAM, folder, "time"], input=text.encode(), stdout=subprocess.PIPE, check=True).stdout.split()[0]) for _ in range(3))
    best, oracle = 1e9, f.oracle(False)
    for _ in range(3):
        start = time.perf_counter()
        oracle.encode(text, add_special_tokens=False)
        best = min(best, time.perf_counter() - start)
    size = len(text.encode()) / 1e6
    print("%s: ours %.1f MB/s, tokenizers %.1f MB/s, ratio %.1f" % (f.name, size / mine, size / best, best / mine), flush=True)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--texts", type=int, default=20000)
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--only")
    a.add_argument("--time", action="store_true")
    a = a.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as tmp:
        for f in fam.families():
            if a.only and a.only != f.name:
                continue
            rng = random.Random(a.seed)
            if a.time:
                speed(f, os.path.join(tmp, f.name), "".join(fam.corpus(rng, 20000)))
                continue
            texts = [random_text(rng) for _ in range(a.texts)]
            failed += compare_directory(f, texts, os.path.join(tmp, f.name))
            if f.gguf:
                failed += compare_gguf(f, texts, os.path.join(tmp, f.name + ".gguf"))
        for f in fam.alone():
            if not a.time and (not a.only or a.only == f.name):
                rng = random.Random(a.seed)
                failed += compare_alone(f, [random_text(rng) for _ in range(a.texts)], os.path.join(tmp, f.name))
    sys.exit(failed > 0)


main()
