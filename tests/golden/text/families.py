"""Small tokenizers of every family, trained here: as Hugging Face directories (tokenizer.json as transformers' converters
write it) and as what a GGUF file would hold (tokens, types, scores or merges). Shared by tokenizers.py, which makes the
goldens, and tests/peer/peer_tokenizers.py.

    pip install tokenizers transformers sentencepiece protobuf
"""
import io
import json
import os
import random
import re

WORDS = ("the quick brown fox jumps over lazy dogs a picture of two red squares and one blue circle what is in this image "
         "it's we're they've I'm you'll he'd don't naïve café über straße Москва привет мир 世界 你好 日本語 テスト 한국어 "
         "User Assistant hello world 2023 1234567 3.14 πρώτη 😀 👩‍👩‍👧‍👦 def main return العربية لغة جميلة हिन्दी भाषा में पाठ "
         "for (int i = 0; i < n; i++) { x[i] += y[i]; } #include <stdio.h> self.value == None === !== -> => :: && || "
         "https://example.org/a?b=c ก็ไม่ เขียน שלום עולם Ελληνικά français garçon señor İstanbul Iğdır ﬁne ½ Ⅷ ²").split()

TORTURE = [
    "", " ", "  ", "   ", "\n", "\n\n\n", " \n \n ", "\t\tx", "a  b   c    d", "  leading", "trailing  ", "a\r\nb\r\n\r\nc", "\r\r\n",
    "x\n\n  y", "x \n y", "1", "12", "123", "1234", "12345", "123456", "1234567", "12345678", "123456789", "1234567890", "a1b22c333",
    " 1 22  333", "3.14e-10", "½ ² Ⅷ ٣٤ 一二", "٣٤٥٦٧", "１２３４", "1a2b3c", "0x1F600", "1,234,567.89",
    "it's IT'S we're they've I'm you'll he'd 's ''s '' 'x '", " 's 're", "don't'll've", "'re'", "a'", "a'r", "a'v", "'", "WE'LL I'M HE'D",
    "'ſ 'ſa x'ſ", "'S'T'RE'VE'M'LL'D", "'sx 'tx 'rex", "'lL 'Ll 'l", "’s don’t",
    "世界你好", "日本語 テスト。", "한국어 텍스트", "a世b界c", "Москва, привет!", "πρώτη φορά", "العربية لغة جميلة ١٢٣", "हिन्दी पाठ में १२३", "שָׁלוֹם עוֹלָם",
    "😀😀", "👩‍👩‍👧‍👦 family", "🇩🇪🇫🇷", "👍🏽!", "🏴\U000E0067\U000E0062\U000E007F", "❤️ ☺︎", "1️⃣2️⃣",
    "e\u0301 a\u0308 n\u0303", "\u0301\u0301", "a\u0323\u0301 a\u0301\u0323", "\u1100\u1161\u11a8 가각", "\u212b \u2126 \u1fef \u037e", "ก็ไม่", "ﬁ ﬀ ſt",
    "a\u00a0b\u00a0\u00a0c", "\u3000全角\u3000\u3000", "x\u2003y\u2028z\u2029w\u0085v", "\u1680\u202f\u205f", "\u200b\u200d\ufeff", "\u180e",
    "zero\u0000byte", "\u0001\u001f\u007f", "\u001c\u001d \u001e", "&&&&....!!!!----", "\u2581 a\u2581\u2581b", "\u2581",
    "foo_bar(baz)[0]->qux;", "https://example.org/a?b=c&d=%20", "    indented\n        more\n\tx", "a \u00a0 b", " \u00a0x", "\u00a0x", " \u00a0",
    "!\n", "!\r\n\nx", " !\n\n  x", "a!\n!b", "\n x", "\n  x", "\n\tx", " \nx", "x\r", "\r x", "\u0085x", "\u2028\n\u2028x", "\u3000\nx", "\tabc", "\t abc",
    "{\n\t\"key\": [1, 22, 333],\n}\n", "for(;;){}//x\n", "a+b==c!=d", "$100 €50 £20", "#tag @you", "\\n \\u0041",
    "ǅ ʰ ª º ⁿ", "_x_ __", "\U00010400\U0001D400\U0001F600\U000E0001", "\ufffd\ufffe\uffff", "word\n", "word \n", "word  \n  word",
    "<|im_start|> is text <image>", "<|im_start|", "<0x0A><0x41>", "<s></s><unk>", "<bos><start_of_turn>user\n", "</s", "a<ab><cd>e<cd>e<ab>x",
]

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<end_of_utterance>", "<ab>"]
USER = ["<ab><cd>", "<cd>e"]
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace("{1,3}", "")
TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
          r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
BEHIND = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
GPT4O = TEKKEN.replace("]+|[", "]+%s|[" % BEHIND, 1).replace("]*|\\p{N}|", "]*%s|\\p{N}{1,3}|" % BEHIND)


def corpus(rng, n):
    for _ in range(n):
        words = [rng.choice(WORDS) for _ in range(rng.randint(3, 20))]
        if rng.random() < 0.3:
            words = [w.upper() if rng.random() < 0.5 else w.capitalize() for w in words]
        yield rng.choice(["", " ", "\n", "    "]).join([""] + [w + rng.choice([" ", " ", " ", ", ", ".\n", "\n\n", "  ", "\t", "\r\n"]) for w in words])


def added(special=SPECIAL, user=USER):
    from tokenizers import AddedToken
    return ([AddedToken(t, special=True, normalized=False) for t in special] + [AddedToken(t, special=False, normalized=False) for t in user])


class Family:
    """name; files: {file name: text} of the directory; gguf: what a GGUF file would hold."""

    def __init__(self, name, tokenizer, gguf=None, config=None):
        self.name, self.gguf = name, gguf
        self.json = json.loads(tokenizer.to_str())
        self.files = {"tokenizer.json": json.dumps(self.json, ensure_ascii=False, separators=(",", ":")) + "\n",
                      "tokenizer_config.json": json.dumps(config or {}) + "\n"}

    def write(self, folder):
        os.makedirs(folder, exist_ok=True)
        for name, text in self.files.items():
            with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
                f.write(text)

    def oracle(self, trusted):
        """As the model's author made it; untrusted: control tokens, and what looks like one, are text."""
        from tokenizers import Tokenizer
        j = json.loads(json.dumps(self.json))
        for t in [] if trusted else list(j["added_tokens"]):
            if not t["special"] and not re.fullmatch(r"<\|.*\|>", t["content"]):
                continue
            if t["content"] in j["model"]["vocab"]:
                j["added_tokens"].remove(t)
            else:  # ids are given anew on loading: this one keeps its place under a name that nobody writes
                t["content"] = "\ue000\ue001%d\ue002" % t["id"]
        return Tokenizer.from_str(json.dumps(j))


def ids(oracle, text):
    return oracle.encode(text, add_special_tokens=False).ids


# ---- byte level ----

def train_bytes(pre, seed, size, normalizer=None):
    """vocab and merges of a byte-level BPE; special tokens are not in it."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre
    if normalizer:
        t.normalizer = normalizer
    t.train_from_iterator(list(corpus(random.Random(seed), 3000)),
                          trainers.BpeTrainer(vocab_size=size, show_progress=False, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    m = json.loads(t.to_str())["model"]
    return m["vocab"], [tuple(x) if isinstance(x, list) else tuple(x.split(" ")) for x in m["merges"]]


def byte_gguf(pre, family):
    tokens = {i: t for t, i in family["model"]["vocab"].items()}
    types = dict.fromkeys(tokens, 1)
    for t in family["added_tokens"]:
        tokens[t["id"]] = t["content"]
        types[t["id"]] = 3 if t["special"] else 4
    merges = [m if isinstance(m, str) else " ".join(m) for m in family["model"]["merges"]]
    return {"model": "gpt2", "pre": pre, "tokens": [tokens[i] for i in range(len(tokens))], "types": [types[i] for i in range(len(tokens))], "merges": merges}


def byte_level(name, pre_name, pre, seed, size=700, first=False, thin=0, normalizer=None, bos=None, **model):
    """first: special tokens get the ids before the vocabulary (as SmolLM's), else those after it. thin: merges left out,
    so that some tokens are met only by ignore_merges."""
    from tokenizers import Tokenizer, decoders, models, processors
    vocab, merges = train_bytes(pre, seed, size, normalizer)
    if first:
        vocab = {**{t: i for i, t in enumerate(SPECIAL + USER)}, **{t: i + len(SPECIAL + USER) for t, i in vocab.items()}}
    rng = random.Random(seed)
    merges = [m for i, m in enumerate(merges) if i < 100 or rng.random() >= thin]
    t = Tokenizer(models.BPE(vocab=vocab, merges=merges, **model))
    t.pre_tokenizer = pre
    t.decoder = decoders.ByteLevel()
    if normalizer:
        t.normalizer = normalizer
    t.add_tokens(added())
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    if bos:
        t.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(
            single=f"{bos}:0 $A:0", pair=f"{bos}:0 $A:0 {bos}:1 $B:1", special_tokens=[(bos, t.token_to_id(bos))])])
    f = Family(name, t, config={"bos_token": bos, "eos_token": "<|im_end|>", "clean_up_tokenization_spaces": True})
    f.gguf = byte_gguf(pre_name, f.json)
    return f


def byte_families():
    from tokenizers import Regex, normalizers, pre_tokenizers as p
    def split(regex):
        return p.Sequence([p.Split(Regex(regex), "isolated", invert=False), p.ByteLevel(add_prefix_space=False, use_regex=False)])
    yield byte_level("gpt2", "gpt-2", p.ByteLevel(add_prefix_space=False), 1, first=True)
    yield byte_level("smollm", "smollm", p.Sequence([p.Digits(individual_digits=True), p.ByteLevel(add_prefix_space=False)]), 2, first=True)
    yield byte_level("llama3", "llama-bpe", split(LLAMA3), 3, thin=0.3, bos="<|endoftext|>", ignore_merges=True)
    yield byte_level("qwen2", "qwen2", split(QWEN2), 4, normalizer=normalizers.NFC())


def cased_families():
    from tokenizers import Regex, pre_tokenizers as p
    yield byte_level("tekken", "tekken", p.Sequence([p.Split(Regex(TEKKEN), "isolated", invert=False), p.ByteLevel(add_prefix_space=False, use_regex=False)]), 5, first=True, bos="<|endoftext|>", ignore_merges=True)
    yield byte_level("gpt4o", "gpt-4o", p.Sequence([p.Split(Regex(GPT4O), "removed", invert=True), p.ByteLevel(add_prefix_space=False, use_regex=False)]), 6)


# ---- SentencePiece ----

def train_pieces(seed, size, gemma):
    """[(piece, score, type)] of a SentencePiece BPE with byte fallback."""
    import sentencepiece as spm
    from sentencepiece import sentencepiece_model_pb2 as pb
    out = io.BytesIO()
    ids = dict(pad_id=0, eos_id=1, bos_id=2, unk_id=3, pad_piece="<pad>", eos_piece="<eos>", bos_piece="<bos>") if gemma else \
        dict(unk_id=0, bos_id=1, eos_id=2, pad_id=-1)
    user = ["<start_of_turn>", "<end_of_turn>", "\n\n", "\n\n\n", "<table>", "<|tool|>"] if gemma else ["[INST]", "\n\n"]
    text = [w for line in corpus(random.Random(seed), 3000) for w in re.split(r"(?<=\n)", line)]
    spm.SentencePieceTrainer.train(sentence_iterator=iter(text), model_writer=out, model_type="bpe", vocab_size=size, byte_fallback=True,
                                   character_coverage=0.98, split_digits=True, allow_whitespace_only_pieces=True, add_dummy_prefix=not gemma,
                                   remove_extra_whitespaces=False, normalization_rule_name="identity", user_defined_symbols=user,
                                   num_threads=1, minloglevel=2, **ids)
    m = pb.ModelProto()
    m.ParseFromString(out.getvalue())
    return [(p.piece, p.score, p.type) for p in m.pieces], out.getvalue()


def piece_tokenizer(pieces, gemma, style):
    """style: gemma | legacy (Prepend, Replace) | first | always | split (Metaspace)"""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers.convert_slow_tokenizer import generate_merges
    vocab = {p: i for i, (p, _, _) in enumerate(pieces)}
    merges = generate_merges(vocab, {p: s for p, s, _ in pieces})
    t = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    if style == "gemma":
        t.normalizer = normalizers.Replace(" ", "▁")
        t.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    elif style == "legacy":
        t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        t.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always" if style == "split" else style, split=style == "split")
    chain = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    t.decoder = decoders.Sequence(chain + ([] if gemma else [decoders.Strip(content=" ", left=1)]))
    turns = {"<start_of_turn>", "<end_of_turn>"}
    t.add_tokens([AddedToken(p, special=type in (2, 3) or p in turns, normalized=False) for p, _, type in pieces if type in (2, 3, 4)])
    bos = "<bos>" if gemma else "<s>"
    t.post_processor = processors.TemplateProcessing(single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, vocab[bos])])
    return t


def piece_gguf(pieces, gemma):
    """As llama.cpp's converter writes it: turns are control tokens, blanks of user-defined ones are blanks."""
    turns = {"<start_of_turn>", "<end_of_turn>", "<|tool|>"}
    return {"model": "llama", "tokens": [p.replace("▁", " ") if t == 4 else p for p, _, t in pieces], "scores": [s for _, s, _ in pieces],
            "types": [3 if p in turns else t for p, _, t in pieces], "bos": 2 if gemma else 1, "eos": 1 if gemma else 2, "unk": 3 if gemma else 0,
            "add_space_prefix": not gemma}


def piece_families():
    for name, seed, gemma, styles in (("gemma", 5, True, ["gemma"]), ("llama2", 6, False, ["legacy", "first", "always", "split"])):
        pieces, proto = train_pieces(seed, 900, gemma)
        for style in styles:
            f = Family(name if style in ("gemma", "legacy") else name + "-" + style, piece_tokenizer(pieces, gemma, style),
                       config={"bos_token": {"content": "<bos>" if gemma else "<s>"}, "eos_token": "<eos>" if gemma else "</s>", "add_bos_token": True})
            f.gguf = piece_gguf(pieces, gemma) if style in ("gemma", "legacy") else None
            f.proto = proto
            yield f


def rstripped():
    """As Phi-3's: tokens that take the white space behind them along."""
    pieces, _ = train_pieces(8, 900, False)
    f = Family("phi3", piece_tokenizer(pieces, False, "legacy"))
    for t in f.json["added_tokens"]:
        t["rstrip"] = t["special"] and t["content"] not in ("<unk>", "<s>")
    f.files["tokenizer.json"] = json.dumps(f.json, ensure_ascii=False, separators=(",", ":")) + "\n"
    f.files["tokenizer_config.json"] = json.dumps({"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": True}) + "\n"
    f.turns = ["a</s> \n \n b</s>\u3000\u00a0</s>  <s>  x</s>", "</s>\u200b </s>\u0085\ty", "</s>   "]
    return f


class Older:
    """A directory without tokenizer.json, read by who knows the file that it has: files {name: bytes}, oracle(trusted) with encode(text) -> ids."""

    def __init__(self, name, files, plain, special, gguf=None):
        self.name, self.files, self.gguf, self.encoders = name, files, gguf, (plain, special)

    def write(self, folder):
        os.makedirs(folder, exist_ok=True)
        for name, data in self.files.items():
            with open(os.path.join(folder, name), "wb") as f:
                f.write(data)

    def ids(self, trusted, text):
        return self.encoders[trusted](text)


def pieces_alone():
    """tokenizer.model: sentencepiece's own ids; and where special tokens stand in the text, those of what is between them."""
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2
    for name, seed, gemma in (("gemma-pieces", 5, True), ("llama2-pieces", 6, False)):
        pieces, proto = train_pieces(seed, 900, gemma)
        turns = ["<start_of_turn>", "<end_of_turn>"] if gemma else []
        control = [*turns, "<|tool|>"] if gemma else []  # what looks like one is not matched in untrusted text
        m = sentencepiece_model_pb2.ModelProto.FromString(proto)
        for p in m.pieces:
            p.type = 3 if p.piece in control else p.type
        sp = sentencepiece.SentencePieceProcessor(model_proto=m.SerializeToString())
        ids = {p: i for i, (p, _, _) in enumerate(pieces)}
        special = {p: i for p, i in ids.items() if pieces[i][2] in (2, 3) or p in control}
        user = [p.replace("▁", " ") for p, _, t in pieces if t == 4 and p not in control]

        def encode(text, cut, sp=sp, ids=ids, gemma=gemma):
            """cut: tokens that are taken out first, longest first; each rest is a text of its own, and has its blank"""
            out = []
            for part in re.split("(%s)" % "|".join(re.escape(t) for t in sorted(cut, key=len, reverse=True)), text):
                out += [ids[part]] if part in cut else sp.encode(part) if part else []
            return out
        config = {"bos_token": "<bos>" if gemma else "<s>", "eos_token": "<eos>" if gemma else "</s>", "added_tokens_decoder": {
            str(i): {"content": p, "special": True} for p, i in special.items() if p != "<|tool|>"}}
        files = {"tokenizer.model": proto, "tokenizer_config.json": json.dumps(config).encode()}
        yield Older(name, files, lambda t, e=encode, u=user: e(t, u), lambda t, e=encode, u=user, s=special: e(t, [*u, *s]))


def tekken_alone(named=True):
    """tekken.json, read by mistral-common; named: the file says what its special tokens are called."""
    import base64
    import tempfile
    from mistral_common.tokens.tokenizers.tekken import Tekkenizer
    from tokenizers import Regex, pre_tokenizers as p
    _, merges = train_bytes(p.Sequence([p.Split(Regex(TEKKEN), "isolated", invert=False), p.ByteLevel(add_prefix_space=False, use_regex=False)]), 9, 700)
    letters = [b for b in range(256) if 33 <= b <= 126 or 161 <= b != 173]
    byte_of = {chr(b): b for b in letters} | {chr(256 + i): b for i, b in enumerate(b for b in range(256) if b not in letters)}
    ranks = {bytes([b]): b for b in range(256)}
    for left, right in merges:
        ranks.setdefault(bytes(byte_of[c] for c in left + right), len(ranks))
    n_special = 24
    special = [{"rank": i, "token_str": t, "is_control": True} for i, t in enumerate(["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[ab]"])]
    data = {"config": {"pattern": TEKKEN, "num_vocab_tokens": len(ranks), "default_vocab_size": len(ranks) + n_special - 20,
                       "default_num_special_tokens": n_special, "version": "v3"},
            "vocab": [{"rank": r, "token_bytes": base64.b64encode(b).decode(), "token_str": b.decode("utf-8", "replace")} for b, r in ranks.items()]}
    if named:
        data["special_tokens"] = special
    raw = json.dumps(data).encode()
    with tempfile.TemporaryDirectory() as tmp:
        path = os.path.join(tmp, "tekken.json")
        with open(path, "wb") as f:
            f.write(raw)
        t = Tekkenizer.from_file(path)
    names = {t.id_to_piece(i): i for i in range(n_special)}

    def trusted(text):
        out = []
        for part in re.split("(%s)" % "|".join(re.escape(x) for x in sorted(names, key=len, reverse=True)), text):
            out += [names[part]] if part in names else t.encode(part, bos=False, eos=False)
        return out
    f = Older("tekken-alone" if named else "tekken-v1", {"tekken.json": raw}, lambda x: t.encode(x, bos=False, eos=False), trusted)
    f.turns = ["<s>[INST] hi [/INST] yes</s>", "[ab][ab]<SPECIAL_20>[TOOL_CALLS]", "<s><s>a</s>"]
    return f


def alone():
    """Directories of other files than tokenizer.json."""
    yield from pieces_alone()
    yield tekken_alone()
    yield tekken_alone(False)


def families():
    yield from byte_families()
    yield from piece_families()
    yield from cased_families()
    yield rstripped()
