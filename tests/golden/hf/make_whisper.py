"""Random-weight Whisper miniatures as Hugging Face directories: what test_encdec.c compares with.

    python make_whisper.py [NAME]...    # needs torch, transformers, tokenizers, safetensors (samples/training/requirements.txt)

For each NAME a directory, and raw little-endian arrays about WINDOWS windows, whose sound is noise:
  NAME.rows    f32 [windows, max_source_positions, d_model] what the encoder makes of them: the decoder is given these
  NAME.text    one line a window: its prompt, special tokens spelt out
  NAME.ids     i32 of all prompts, as the tokenizer has them; -1 after each
  NAME.logits  f32 [prompt rows of all windows, vocab]
  NAME.greedy  i32 [windows, 16] greedy continuations
  NAME.cross   f32 [alignment heads, prompt rows of window 1, max_source_positions] weights of the cross-attention
"whisper" is multilingual, one file of F32, as transformers 5 saves; "whisper-4" knows English only, BF16 in shards with the tied head stored
once more, in the words of transformers 4. The reference computes in float32 with the stored weights. The seed is the first with which
the two best logits of all steps lie more than 1e-2 apart, so that rounding cannot change an id.
"""
import json
import os
import shutil
import sys

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, trainers
from transformers import GenerationConfig, WhisperConfig, WhisperForConditionalGeneration, WhisperTokenizer
from transformers.modeling_outputs import BaseModelOutput

from make import edit

HERE = os.path.dirname(os.path.abspath(__file__))
STEPS, MARGIN, STAMPS = 16, 1e-2, 76
CORPUS = [" Hello there, it's the 1st of May.", " Guten Tag, na\u00efve \u6f22\u5b57!", " and so on, and so on"] * 3
LANGUAGES = ["en", "zh", "de"]
WINDOWS = {
    "whisper": ["<|startoftranscript|><|de|><|transcribe|><|notimestamps|>",
                "<|startofprev|> Hello there, it's the na\u00efve \u6f22\u5b57<|startoftranscript|><|en|><|translate|><|0.00|> and<|1.50|>",
                "<|startoftranscript|>"],
    "whisper-4": ["<|startoftranscript|><|notimestamps|> Hello", "<|startoftranscript|><|0.02|> so on"],
}
SHAPES = {
    "whisper": dict(d_model=16, encoder_layers=2, encoder_attention_heads=4, encoder_ffn_dim=24, decoder_layers=3, decoder_attention_heads=2,
                    decoder_ffn_dim=40, max_source_positions=40, max_target_positions=64, num_mel_bins=8),
    "whisper-4": dict(d_model=24, encoder_layers=1, encoder_attention_heads=2, encoder_ffn_dim=16, decoder_layers=1, decoder_attention_heads=3,
                      decoder_ffn_dim=16, max_source_positions=24, max_target_positions=48, num_mel_bins=8),
}


def tokenizer(languages):
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=276, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    model = json.loads(tok.to_str())["model"]
    vocab = {**model["vocab"], "<|endoftext|>": len(model["vocab"])}
    fast = WhisperTokenizer(vocab=vocab, merges=[tuple(m) for m in model["merges"]])
    special = ["startoftranscript"] + languages + ["translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps"]
    fast.add_tokens([AddedToken("<|%s|>" % t, special=True, normalized=False) for t in special], special_tokens=True)
    fast.add_tokens([AddedToken("<|%.2f|>" % (i * 0.02), special=False, normalized=False) for i in range(STAMPS)])
    fast.set_prefix_tokens()  # tokenizer.json's post_processor names tokens that exist now
    return fast


def ids_of(fast, text):
    return fast(text, add_special_tokens=False)["input_ids"]


def build(shape, fast, dtype, seed):
    torch.manual_seed(seed)
    end = fast.convert_tokens_to_ids("<|endoftext|>")
    config = WhisperConfig(vocab_size=len(fast), pad_token_id=end, bos_token_id=end, eos_token_id=end, decoder_start_token_id=end + 1,
                           suppress_tokens=None, begin_suppress_tokens=None, **shape)
    model = WhisperForConditionalGeneration._from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.ndim == 1:
                p.normal_(1.0 if "norm" in name and "weight" in name else 0.0, 0.2)
            else:
                p.normal_(0, 0.35 if "embed" in name else 1.3 * p[0].numel() ** -0.5)
            p.copy_(p.to(getattr(torch, dtype)))
    return model


def encode(model, n):
    torch.manual_seed(1)
    frames = 2 * model.config.max_source_positions
    with torch.no_grad():
        return model.model.encoder(torch.randn(n, model.config.num_mel_bins, frames)).last_hidden_state


def decode(model, rows, ids, **more):
    with torch.no_grad():
        return model(encoder_outputs=BaseModelOutput(last_hidden_state=rows[None]), decoder_input_ids=torch.tensor([ids]), **more)


def greedy(model, rows, ids):
    out, first, margin = list(ids), None, 1e9
    for _ in range(STEPS):
        logits = decode(model, rows, out).logits[0]
        first = logits if first is None else first
        top = logits[-1].topk(2).values
        margin = min(margin, float(top[0] - top[1]))
        out.append(int(logits[-1].argmax()))
        if margin < MARGIN:
            return None, None
    return first, out[len(ids):]


def generation(model, fast, languages):
    at = fast.convert_tokens_to_ids
    c = model.config
    g = dict(begin_suppress_tokens=[at("\u0120"), at("<|endoftext|>")], suppress_tokens=[1, 2, 7, at("<|startoftranscript|>"), at("<|nospeech|>")],
             alignment_heads=[[i, c.decoder_attention_heads - 1 - i % 2] for i in range(c.decoder_layers)], max_initial_timestamp_index=50,
             no_timestamps_token_id=at("<|notimestamps|>"), is_multilingual=bool(languages), max_length=c.max_target_positions,
             bos_token_id=c.bos_token_id, eos_token_id=c.eos_token_id, pad_token_id=c.pad_token_id,
             decoder_start_token_id=c.decoder_start_token_id, prev_sot_token_id=at("<|startofprev|>"))
    if languages:
        g.update(lang_to_id={"<|%s|>" % x: at("<|%s|>" % x) for x in reversed(languages)},
                 task_to_id={"transcribe": at("<|transcribe|>"), "translate": at("<|translate|>")})
    return g


def as_transformers_4(folder, fast, model):
    def config(c):
        c["torch_dtype"] = c.pop("dtype")
        c["transformers_version"] = "4.27.0"
        c["num_hidden_layers"] = c["encoder_layers"]
        c["forced_decoder_ids"] = [[1, 5]]
        c["max_length"] = c["max_target_positions"]
        with open(os.path.join(folder, "generation_config.json"), encoding="utf-8") as f:
            c["suppress_tokens"] = json.load(f)["suppress_tokens"]

    def generation_config(g):
        del g["suppress_tokens"]  # as before there was this file

    def tokenizer_json(t):
        t["model"]["merges"] = [" ".join(pair) for pair in t["model"]["merges"]]
        for token in t["added_tokens"]:
            if token["content"] == "<|nospeech|>":
                token["content"] = "<|nocaptions|>"
            token["normalized"] = token["special"]  # as early ones had it

    def tokenizer_config(t):
        t["added_tokens_decoder"] = {}
        with open(os.path.join(folder, "tokenizer.json"), encoding="utf-8") as f:
            for token in json.load(f)["added_tokens"]:
                t["added_tokens_decoder"][str(token.pop("id"))] = token
        for name in ("bos_token", "eos_token", "unk_token"):
            t[name] = {"content": t[name], "lstrip": False, "normalized": True, "rstrip": False, "single_word": False, "__type": "AddedToken"}
        t["clean_up_tokenization_spaces"] = True
    edit(os.path.join(folder, "config.json"), config)
    edit(os.path.join(folder, "generation_config.json"), generation_config)
    edit(os.path.join(folder, "tokenizer.json"), tokenizer_json)
    edit(os.path.join(folder, "tokenizer_config.json"), tokenizer_config)
    os.remove(os.path.join(folder, "model.safetensors"))
    state = {k: v.to(torch.bfloat16).contiguous().clone() for k, v in model.state_dict().items()}
    names, index = sorted(state), {}
    for i, part in enumerate((names[:len(names) // 2], names[len(names) // 2:])):
        file = "model-%05d-of-00002.safetensors" % (i + 1)
        save_file({n: state[n] for n in part}, os.path.join(folder, file), metadata={"format": "pt"})
        index.update({n: file for n in part})
    with open(os.path.join(folder, "model.safetensors.index.json"), "w", encoding="utf-8") as f:
        json.dump({"metadata": {"total_size": 0}, "weight_map": index}, f, separators=(",", ":"))
    assert "proj_out.weight" in index


def save(name, model, fast, languages):
    folder = os.path.join(HERE, name)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    GenerationConfig(**generation(model, fast, languages)).save_pretrained(folder)
    if name.endswith("-4"):
        as_transformers_4(folder, fast, model)
    else:
        edit(os.path.join(folder, "tokenizer.json"), lambda t: None)  # without the blanks
    for file in os.listdir(folder):
        os.chmod(os.path.join(folder, file), 0o644)


def make(name):
    old = name.endswith("-4")
    languages = [] if old else LANGUAGES
    fast = tokenizer(LANGUAGES)
    windows = [ids_of(fast, text) for text in WINDOWS[name]]
    seed, answers = -1, None
    while answers is None:
        seed += 1
        model = build(SHAPES[name], fast, "bfloat16" if old else "float32", seed)
        rows = encode(model, len(windows))
        answers = []
        for r, ids in zip(rows, windows):
            answers.append(greedy(model, r, ids))
            if answers[-1][0] is None:
                answers = None
                break
    save(name, model, fast, languages)
    heads = generation(model, fast, languages)["alignment_heads"]
    cross = decode(model, rows[1], windows[1], output_attentions=True).cross_attentions
    for suffix, data in (("rows", rows.numpy().astype("<f4")), ("ids", np.array(sum((w + [-1] for w in windows), []), "<i4")),
                         ("logits", np.concatenate([a[0].numpy() for a in answers]).astype("<f4")),
                         ("greedy", np.array([a[1] for a in answers], "<i4")),
                         ("cross", np.stack([cross[l][0, h].numpy() for l, h in heads]).astype("<f4"))):
        data.tofile(os.path.join(HERE, name + "." + suffix))
    with open(os.path.join(HERE, name + ".text"), "w", encoding="utf-8") as f:
        f.write("".join(t + "\n" for t in WINDOWS[name]))
    print("%s: seed %d, %d windows, %d tokens, %d files" % (name, seed, len(windows), len(fast), len(os.listdir(os.path.join(HERE, name)))))


if __name__ == "__main__":
    for which in sys.argv[1:] or WINDOWS:
        make(which)
