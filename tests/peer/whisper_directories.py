"""Whisper directories of many shapes, saved by transformers with random weights: our token ids and logits against its own.

    python whisper_directories.py [--only TEXT] [--keep DIR]

Needs torch, transformers, tokenizers, safetensors (samples/training/requirements.txt). The decoder is given the rows that transformers'
encoder makes of noise; ids must be the tokenizer's and every row's logits within 1e-4 of its largest, in plain C, AVX2 and AVX-512. A
directory in REFUSED must not load, and the refusal must hold the words beside it. PEER_DECODE names the program (default
build/peer_decode).
"""
import argparse
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")
REPO = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPO / "tests" / "golden" / "hf"), str(REPO / "tests" / "peer")]

import numpy as np
import torch
import transformers

import make_whisper as mw
from common import Verdict

PROGRAM = os.environ.get("PEER_DECODE", str(REPO / "build" / "peer_decode"))
BOUND = 1e-4
BASE = dict(d_model=32, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=48, decoder_layers=2, decoder_attention_heads=2,
            decoder_ffn_dim=48, max_source_positions=50, max_target_positions=64, num_mel_bins=16)


def shape(**changes):
    return {**BASE, **changes}


# name: (shape, dtype, shard size, what else is done to the folder)
def nothing(folder, model, fast):
    pass


def edited(file, change):
    return lambda folder, model, fast: mw.edit(os.path.join(folder, file), change)


def without(file):
    return lambda folder, model, fast: os.remove(os.path.join(folder, file))


def as_4(folder, model, fast):
    mw.as_transformers_4(folder, fast, model)


def language_in_prefix(folder, model, fast):
    fast.set_prefix_tokens(language="german", task="transcribe", predict_timestamps=False)
    fast.save_pretrained(folder)


CASES = {
    "tiny's proportions": (shape(d_model=384, encoder_layers=1, encoder_attention_heads=6, decoder_attention_heads=6, decoder_layers=4,
                                 decoder_ffn_dim=1536, encoder_ffn_dim=64, max_source_positions=1500, max_target_positions=448,
                                 num_mel_bins=80), "float32", None, nothing),
    "large's heads, two layers": (shape(d_model=1280, encoder_attention_heads=20, decoder_attention_heads=20, decoder_ffn_dim=5120, encoder_layers=1,
                                        encoder_ffn_dim=64, max_source_positions=300), "float16", "20MB", nothing),
    "turbo: fewer decoder layers": (shape(encoder_layers=4, decoder_layers=1), "float16", None, nothing),
    "a wide and a narrow stack": (shape(encoder_attention_heads=8, decoder_attention_heads=4, encoder_ffn_dim=16, decoder_ffn_dim=200), "bfloat16", "30KB", nothing),
    "a head of its own": (shape(tie_word_embeddings=False), "float32", None, nothing),
    "transformers 4": (shape(), "bfloat16", None, as_4),
    "no generation_config.json": (shape(), "float32", None, without("generation_config.json")),
    "language and task in the tokenizer": (shape(), "float32", None, language_in_prefix),
    "odd rows": (shape(max_source_positions=37, d_model=48, encoder_attention_heads=3, decoder_attention_heads=3), "float32", None, nothing),
}
REFUSED = {
    "another activation": (shape(activation_function="relu"), "float32", None, nothing, "activation_function: relu is not supported (gelu is)"),
    "scaled embedding": (shape(scale_embedding=True), "float32", None, nothing, "scale_embedding is not supported"),
    "heads that do not divide": (shape(), "float32", None, edited("config.json", lambda c: c.update(decoder_attention_heads=3)), "d_model: 32 is not divided"),
    "a layer too many": (shape(), "float32", None, edited("config.json", lambda c: c.update(decoder_layers=3)), "model.decoder.layers.2"),
    "an encoder layer too few": (shape(), "float32", None, edited("config.json", lambda c: c.update(encoder_layers=1)), "has no place"),
    "fewer positions": (shape(), "float32", None, edited("config.json", lambda c: c.update(max_target_positions=63)), "position_embd.weight"),
    "another vocabulary": (shape(), "float32", None, edited("config.json", lambda c: c.update(vocab_size=500)), "vocab_size is 500"),
    "a language that is no token": (shape(), "float32", None, edited("generation_config.json", lambda g: g["lang_to_id"].update({"<|xx|>": 5})),
                                    "<|xx|> is not that token"),
    "a head that is not there": (shape(), "float32", None, edited("generation_config.json", lambda g: g.update(alignment_heads=[[0, 2]])), "alignment_heads: pair 0"),
    "quantised": (shape(), "float32", None, edited("config.json", lambda c: c.update(quantization_config={"quant_method": "gptq"})), "quantised weights (gptq)"),
    "another class": (shape(), "float32", None, edited("config.json", lambda c: c.update(architectures=["WhisperForAudioClassification"])),
                      "WhisperForAudioClassification is not supported"),
}


def write(case, folder, seed):
    dims, dtype, shards, change = case[:4]
    shutil.rmtree(folder, ignore_errors=True)
    fast = mw.tokenizer(mw.LANGUAGES)
    model = mw.build(dims, fast, dtype, seed)
    if not model.config.tie_word_embeddings:
        assert model.proj_out.weight.data_ptr() != model.model.decoder.embed_tokens.weight.data_ptr()
    import copy
    copy.deepcopy(model).to(getattr(torch, dtype)).save_pretrained(folder, **({"max_shard_size": shards} if shards else {}))
    fast.save_pretrained(folder)
    transformers.GenerationConfig(**mw.generation(model, fast, mw.LANGUAGES)).save_pretrained(folder)
    change(folder, model, fast)
    return model, fast


def prompts(n_positions):
    long = "<|startofprev|>" + " and so on, it's the na\u00efve \u6f22\u5b57 1st" * 3 + "<|startoftranscript|><|zh|><|translate|><|1.02|> Tag"
    return ["<|startoftranscript|>", "<|startoftranscript|><|de|><|transcribe|><|notimestamps|> Hello  there,\n\nGuten", long]


def ask(folder, isa, windows):
    data = b"".join(struct.pack("<I", len(t.encode())) + t.encode() + r.numpy().astype("<f4").tobytes() for t, r in windows)
    p = subprocess.run([PROGRAM, folder, str(isa)], input=data, capture_output=True)
    return p.returncode, p.stdout, p.stderr.decode()


def check(name, case, folder, seed, verdict):
    model, fast = write(case, folder, seed)
    texts = [t for t in prompts(model.config.max_target_positions) if len(mw.ids_of(fast, t)) <= model.config.max_target_positions]
    rows = mw.encode(model, len(texts))
    for isa in (1, 2, 3):
        code, out, err = ask(folder, isa, list(zip(texts, rows)))
        if code:
            return verdict(False, name, err.strip())
        worst, same = 0, True
        for text, r in zip(texts, rows):
            want = mw.ids_of(fast, text)
            n, = struct.unpack_from("<I", out)
            ids = list(struct.unpack_from("<%di" % n, out, 4))
            same &= ids == want
            logits = np.frombuffer(out, "<f4", n * len(fast), 4 + 4 * n).reshape(n, -1)
            out = out[4 + 4 * n + logits.nbytes:]
            if ids == want:
                reference = mw.decode(model, r, want).logits[0].numpy()
                worst = max(worst, float((abs(logits - reference).max(1) / abs(reference).max(1)).max()))
        verdict(same and not out and worst <= BOUND, "%s, ISA %d" % (name, isa), "%d windows, ids %s, worst %.1e" % (len(texts), "equal" if same else "DIFFER", worst))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--only", default="", help="cases whose names hold this")
    p.add_argument("--keep", help="folder for the directories")
    args = p.parse_args()
    verdict = Verdict()
    transformers.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as temporary:
        for i, (name, case) in enumerate({**CASES, **REFUSED}.items()):
            if args.only not in name:
                continue
            folder = os.path.join(args.keep or temporary, str(i))
            if name in CASES:
                check(name, case, folder, i, verdict)
                continue
            write(case, folder, i)
            code, _, err = ask(folder, 0, [])
            verdict(code == 2 and case[4] in err, "%s is refused" % name, err.strip())
        if args.only in "ggml":
            path = os.path.join(temporary, "ggml-tiny.bin")
            with open(path, "wb") as f:
                f.write(struct.pack("<12i", 0x67676d6c, 51865, 1500, 384, 6, 4, 448, 384, 6, 4, 80, 1) + bytes(1000))
            code, _, err = ask(path, 0, [])
            verdict(code == 2 and "Hugging Face directory" in err, "whisper.cpp's file is refused", err.strip())
    verdict.end()


if __name__ == "__main__":
    main()
