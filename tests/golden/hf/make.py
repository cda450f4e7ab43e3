"""Random-weight miniatures as Hugging Face directories, saved by transformers: what test_hf_golden.c compares with.

    python make.py [--convert] [--llama-cpp DIR] [NAME]...    # needs torch, transformers, tokenizers (samples/training/requirements.txt)

For each NAME a directory, and raw little-endian arrays of the prompt PROMPT in the directory's own chat template:
  NAME.ids     i32 [rows]
  NAME.logits  f32 [every eighth row and the last, vocab]
  NAME.greedy  i32 [16] greedy continuation
  NAME.positions u32 [rows][3]: where its rows stand, of models with three axes
With --llama-cpp, a source tree of llama.cpp, also NAME.gguf for the names in CONVERTED, by its convert_hf_to_gguf.py (of whose table of tokenizer
hashes none is synthetic: it is told which splitting of text to write); with --convert nothing but these, of the directories that are there.
Together they hold both layouts (transformers 5 as it saves; transformers 4 rewritten from that, with the key names, the string merges
and the template inside tokenizer_config.json that it had), one file and shards, F32, BF16 and compressed-tensors' 8-bit floats, each family, each kind of RoPE. The
reference computes in float32 with the stored weights (8-bit floats times their scales). The seed is the first with which the two best logits of all steps lie more than
1e-2 apart, so that rounding cannot change an id, and with which no special token comes up.
"""
import copy
import json
import os
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (Gemma3Config, Gemma3ForCausalLM, Gemma3ForConditionalGeneration, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM, Mistral3Config, Mistral3ForConditionalGeneration, MistralConfig, MistralForCausalLM, Phi3Config,
                          Phi3ForCausalLM, PreTrainedTokenizerFast, Qwen2Config, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration,
                          Qwen2ForCausalLM, Qwen2VLConfig, Qwen2VLForConditionalGeneration, Qwen3Config, Qwen3ForCausalLM, Qwen3MoeConfig,
                          Qwen3MoeForCausalLM, Qwen3VLConfig, Qwen3VLForConditionalGeneration, Qwen3VLMoeConfig,
                          Qwen3VLMoeForConditionalGeneration, SmolLM3Config, SmolLM3ForCausalLM)

HERE = os.path.dirname(os.path.abspath(__file__))
PROMPT = "Zeichne 12 Kreise, na\u00efve \u6f22\u5b57 \U0001F600 don't!"
STEPS, MARGIN = 16, 1e-2
SPECIAL = ["<unk>", "<s>", "</s>", "<|end|>"]
TEMPLATE = ("{{ bos_token }}{% for m in messages %}{{ m['role'] }}: {{ m['content'] | trim }}<|end|>\n{% endfor %}"
            "{% if add_generation_prompt %}assistant:{% endif %}")
CORPUS = ["user: Zeichne 12 Kreise, don't!", "assistant: Here are 3 circles\n", "system: you see, they're circles"] * 3
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")

TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
          r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def byte_level(pre, normalizer=None):
    tok = Tokenizer(models.BPE())
    tok.normalizer, tok.pre_tokenizer, tok.decoder = normalizer, pre, decoders.ByteLevel()
    tok.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=256 + 20, show_progress=False,
                                                        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return tok


def sentencepiece():
    """As Gemma's: text with U+2581 for blanks, bytes for what has no token."""
    letters = sorted(set("".join(CORPUS).replace(" ", "\u2581")))
    vocab = {t: i for i, t in enumerate(SPECIAL + ["<0x%02X>" % b for b in range(256)] + letters)}
    merges = [("r", "e"), ("i", "r"), ("\u2581", "c"), ("s", "e"), ("e", "i"), ("ir", "c"), ("\u2581", "y")]
    for pair in merges:
        vocab["".join(pair)] = len(vocab)
    tok = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tok.normalizer = normalizers.Replace(" ", "\u2581")
    tok.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tok.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    return tok


def smollm():
    return byte_level(pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                               pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]))


def tekken():
    return byte_level(pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(TEKKEN), "isolated", invert=False),
                                               pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]))


def qwen2():
    return byte_level(pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(QWEN2), "isolated", invert=False),
                                               pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]), normalizers.NFC())


LLAMA3 = {"rope_type": "llama3", "rope_theta": 1e4, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 32}
TWO_ROPES = {"full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0},
             "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}
# name: (strategy, type of the scales, static activations): every Linear but the head in 8-bit floats
F8 = {"llama-f8": ("channel", "bfloat16", False), "qwen2-f8": ("tensor", "float32", True), "phi3-f8": ("block", "float32", False),
      "qwen3-fp8": ("fp8", "float32", False)}
BLOCKS = {"block": [12, 5], "fp8": [4, 8]}  # outputs and inputs of a block: what transformers reads as fp8 they must divide
LONG = {"rope_type": "longrope", "rope_theta": 1e4, "partial_rotary_factor": 0.75, "short_factor": [1.0, 1.1, 1.2], "long_factor": [1.5, 3.0, 9.0]}
MOE = dict(head_dim=12, num_hidden_layers=3, num_experts=5, num_experts_per_tok=2, moe_intermediate_size=12)
IN_TURN = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [1, 2, 1]}
BY_TURNS = {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [2, 1, 3], "mrope_interleaved": True}
# name: (configuration, model, its own settings, tokenizer, dtype, shard size, layout of transformers 4)
MINIATURES = {
    "llama": (LlamaConfig, LlamaForCausalLM, dict(head_dim=12, rope_parameters=LLAMA3), smollm, "float32", None, False),
    "llama-4": (LlamaConfig, LlamaForCausalLM, dict(attention_bias=True, mlp_bias=True, tie_word_embeddings=True, rope_parameters={
        "rope_type": "linear", "rope_theta": 2e4, "factor": 2.0}), smollm, "bfloat16", "12KB", True),
    "llama-f8": (LlamaConfig, LlamaForCausalLM, dict(head_dim=12, mlp_bias=True), smollm, "bfloat16", None, False),
    "mistral": (MistralConfig, MistralForCausalLM, dict(head_dim=8, num_hidden_layers=1, sliding_window=None), smollm, "bfloat16", None, False),
    "mistral-window": (MistralConfig, MistralForCausalLM, dict(sliding_window=9, rope_parameters={"rope_type": "yarn", "rope_theta": 1e4, "factor": 8.0,
        "original_max_position_embeddings": 32}), smollm, "bfloat16", None, False),
    "smollm3": (SmolLM3Config, SmolLM3ForCausalLM, dict(num_hidden_layers=5, rope_parameters={"rope_type": "default", "rope_theta": 5e6}), smollm,
                "float32", None, False),
    "phi3": (Phi3Config, Phi3ForCausalLM, dict(original_max_position_embeddings=32, rope_parameters=LONG), smollm, "float32", None, False),
    "phi3-f8": (Phi3Config, Phi3ForCausalLM, dict(original_max_position_embeddings=32, rope_parameters=LONG), smollm, "bfloat16", None, False),
    "qwen3-fp8": (Qwen3Config, Qwen3ForCausalLM, dict(head_dim=12), qwen2, "bfloat16", None, False),
    "qwen3moe": (Qwen3MoeConfig, Qwen3MoeForCausalLM, dict(head_dim=12, num_hidden_layers=3, num_experts=5, num_experts_per_tok=2, moe_intermediate_size=12,
        norm_topk_prob=True, rope_parameters={"rope_type": "default", "rope_theta": 1e6}), qwen2, "float32", None, False),
    "qwen2-window": (Qwen2Config, Qwen2ForCausalLM, dict(use_sliding_window=True, sliding_window=9, max_window_layers=1, num_hidden_layers=3,
                                                         rope_parameters={"rope_type": "default", "rope_theta": 1e4}), qwen2, "bfloat16", None, False),
    "qwen2vl": (Qwen2VLConfig, Qwen2VLForConditionalGeneration, dict(rope_parameters=IN_TURN, tie_word_embeddings=True), qwen2, "float32", None, False),
    "qwen2.5vl": (Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, dict(rope_parameters=IN_TURN), qwen2, "bfloat16", None, True),
    "qwen3vl": (Qwen3VLConfig, Qwen3VLForConditionalGeneration, dict(head_dim=12, rope_parameters=BY_TURNS), qwen2, "float32", None, False),
    "qwen3vlmoe": (Qwen3VLMoeConfig, Qwen3VLMoeForConditionalGeneration, dict(**MOE, rope_parameters=BY_TURNS), qwen2, "float32", None, False),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, dict(rope_parameters={"rope_type": "default", "rope_theta": 1e6}), qwen2, "bfloat16", "12KB", False),
    "qwen2-f8": (Qwen2Config, Qwen2ForCausalLM, dict(tie_word_embeddings=True), qwen2, "bfloat16", None, False),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, dict(head_dim=12, tie_word_embeddings=True, rope_parameters={"rope_type": "default", "rope_theta": 1e6}), qwen2,
              "bfloat16", None, False),
    "gemma3": (Gemma3TextConfig, Gemma3ForCausalLM, dict(head_dim=12, query_pre_attn_scalar=20, sliding_window=9, num_hidden_layers=3, layer_types=[
        "sliding_attention", "full_attention", "sliding_attention"], rope_parameters=TWO_ROPES), sentencepiece, "float32", None, False),
    # as the published ones are: a GGUF file says no more of its layers than their number
    "gemma3-6": (Gemma3TextConfig, Gemma3ForCausalLM, dict(head_dim=12, query_pre_attn_scalar=12, sliding_window=9, num_hidden_layers=7,
                                                          rope_parameters=TWO_ROPES), sentencepiece, "float32", None, False),
    "gemma3-tower": (Gemma3Config, Gemma3ForConditionalGeneration, dict(head_dim=12, query_pre_attn_scalar=20, sliding_window=9, num_hidden_layers=2,
        layer_types=["sliding_attention", "full_attention"], rope_parameters=TWO_ROPES), sentencepiece, "float32", None, False),
    "mistral3-tower": (Mistral3Config, Mistral3ForConditionalGeneration, dict(head_dim=12, sliding_window=None,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6}), smollm, "bfloat16", None, False),
    "gemma3-4": (Gemma3TextConfig, Gemma3ForCausalLM, dict(head_dim=12, query_pre_attn_scalar=12, sliding_window=300, sliding_window_pattern=2,
                                                          rope_parameters=TWO_ROPES), sentencepiece, "bfloat16", "12KB", True),
}


# what the converter is to say of their tokenizers; None: a SentencePiece model stands beside them
CONVERTED = {"llama": "smollm", "llama-4": "smollm", "mistral": "smollm", "smollm3": "smollm", "phi3": "smollm", "qwen2": "qwen2", "qwen2vl": "qwen2",
             "qwen3": "qwen2", "qwen3moe": "qwen2", "qwen3vl": "qwen2", "qwen3vlmoe": "qwen2", "gemma3-6": None,
             "mistral3-tower": "smollm"}
CONVERT = """
import sys
tree, pre, folder, out = sys.argv[1:]
sys.path[:0] = [tree, tree + "/gguf-py"]
import conversion.base
conversion.base.TextModel.get_vocab_base_pre = lambda self, tokenizer: pre
import convert_hf_to_gguf
sys.argv = ["convert", "--outtype", "f32", "--outfile", out, folder]
convert_hf_to_gguf.main()
"""


def convert(tree, pre, folder, out, pieces=None):
    """What llama.cpp makes of the directory. pieces: its tokenizer as a SentencePiece model."""
    with tempfile.TemporaryDirectory() as tmp:
        copied = os.path.join(tmp, "mini")  # by the name phi3 llama.cpp knows what Phi-3's tokens do to white space; this one's do not
        shutil.copytree(folder, copied)
        if pieces:
            with open(os.path.join(copied, "tokenizer.model"), "wb") as f:
                f.write(pieces)
        if os.path.basename(folder) in ("qwen2", "qwen3"):  # by these types transformers takes a class of tokenizer that adds tokens
            edit(os.path.join(copied, "config.json"), lambda c: c.update(model_type="smollm3"))
        if "phi" in os.path.basename(folder):  # else the converter asks for a SentencePiece file
            edit(os.path.join(copied, "tokenizer_config.json"), lambda t: t.update(tokenizer_class="GPT2Tokenizer"))
        r = subprocess.run([sys.executable, "-c", CONVERT, tree, pre or "", copied, out], capture_output=True, text=True)
    if r.returncode:
        raise RuntimeError("converter: " + r.stderr[-300:])


def pieces_of(folder):
    """The SentencePiece model that makes of text what sentencepiece() makes of it."""
    from sentencepiece import sentencepiece_model_pb2 as pb
    with open(os.path.join(folder, "tokenizer.json"), encoding="utf-8") as f:
        model = json.load(f)["model"]
    ranks = {"".join(m if isinstance(m, list) else m.split(" ")): i for i, m in enumerate(model["merges"])}
    out = pb.ModelProto()
    out.trainer_spec.model_type = 2  # BPE
    out.trainer_spec.byte_fallback = True
    out.normalizer_spec.add_dummy_prefix = out.normalizer_spec.remove_extra_whitespaces = False
    for text, i in sorted(model["vocab"].items(), key=lambda x: x[1]):
        kind = 2 if text == "<unk>" else 3 if text in SPECIAL else 6 if len(text) == 6 and text.startswith("<0x") else 1
        out.pieces.add(piece=text, score=-ranks.get(text, len(ranks) + i) if kind == 1 else 0, type=kind)
    return out.SerializeToString()


def with_tower(model_class, settings):
    """A text model beside a media tower that nobody asks."""
    tied = settings.pop("tie_word_embeddings", model_class is Gemma3ForConditionalGeneration)
    if model_class in TOWERED:
        of = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, image_size=8, patch_size=4, vision_use_head=False)
        more = dict(mm_tokens_per_image=1) if tied else {}
        return dict(text_config={**settings, "model_type": "gemma3_text" if tied else "mistral"}, vision_config={**of, "model_type": "siglip_vision_model"
                    if tied else "pixtral"}, tie_word_embeddings=tied, **more)
    of = dict(depth=1, num_heads=2, patch_size=1, in_channels=1, spatial_merge_size=1, temporal_patch_size=1)
    if model_class is Qwen2VLForConditionalGeneration:
        of.update(embed_dim=8, mlp_ratio=1, hidden_size=settings["hidden_size"])
    else:
        of.update(hidden_size=8, intermediate_size=8, out_hidden_size=settings["hidden_size"])
    if model_class in (Qwen3VLForConditionalGeneration, Qwen3VLMoeForConditionalGeneration):
        of.update(num_position_embeddings=4, deepstack_visual_indexes=[])
    return dict(text_config=settings, vision_config=of, tie_word_embeddings=tied, **{n + "_token_id": 4 + i for i, n in enumerate(("image", "video",
                "vision_start", "vision_end"))})


TOWERED = (Gemma3ForConditionalGeneration, Mistral3ForConditionalGeneration)


def has_axes(settings):
    return "mrope_section" in settings.get("rope_parameters", {})


def has_tower(model_class, settings):
    return has_axes(settings) or model_class in TOWERED


def grids(n):
    """[n][3]: text, a picture, text, a clip whose steps in time are long, text"""
    out, at = [], 0
    for rows, grid, step in ((7, (1, 3, 4), 1), (4, (2, 2, 3), 7), (n, None, 1)):
        out += [(at + i,) * 3 for i in range(min(rows, n - len(out)))]
        if grid:
            at += rows
            out += [(at + i * step, at + j, at + k) for i in range(grid[0]) for j in range(grid[1]) for k in range(grid[2])]
            at = max(max(p) for p in out) + 1
    return out


def build(config_class, model_class, settings, n_vocab, dtype, seed):
    torch.manual_seed(seed)
    # Width 16: gemma's scale of the embedding, its root, is exact in every type.
    given = dict(vocab_size=n_vocab, hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
                 max_position_embeddings=256, bos_token_id=SPECIAL.index("<s>"), eos_token_id=[SPECIAL.index("</s>"), SPECIAL.index("<|end|>")],
                 pad_token_id=SPECIAL.index("<unk>"))
    settings = {**given, **settings}
    config = config_class(**(with_tower(model_class, settings) if has_tower(model_class, settings) else settings))
    model = model_class._from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
    gemma = config_class in (Gemma3TextConfig, Gemma3Config)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.ndim == 1:
                p.normal_(1.0 if "norm" in name and not gemma else 0.0, 0.2)
            else:
                p.normal_(0, 0.25 if "embed" in name else 1.3 * p[0].numel() ** -0.5)
            p.copy_(p.to(getattr(torch, dtype)))
    return model


def linears(model):
    return {name + ".weight": m for name, m in model.named_modules() if isinstance(m, torch.nn.Linear) and name != "lm_head"}


def to_f8(model, strategy, scale_type, _):
    """The weights become what their 8-bit floats say; gives those and their scales."""
    stored = {}
    for name, m in linears(model).items():
        w = m.weight.detach()
        rows, cols = {"tensor": w.shape, "channel": (1, w.shape[1])}.get(strategy) or BLOCKS[strategy]
        blocks = [[part.abs().max() for part in band.split(cols, 1)] for band in w.split(rows)]
        scale = (torch.tensor(blocks) / 448).to(getattr(torch, scale_type))
        each = scale.float().repeat_interleave(rows, 0).repeat_interleave(cols, 1)[:w.shape[0], :w.shape[1]]
        stored[name] = (w / each).clamp(-448, 448).to(torch.float8_e4m3fn)
        stored[name + ("_scale_inv" if strategy == "fp8" else "_scale")] = scale.reshape(-1) if strategy == "tensor" else scale
        m.weight.data.copy_(stored[name].float() * each)
    return stored


def put_f8(folder, stored, strategy, static):
    """As llm-compressor writes them, or as Qwen publishes its own."""
    path = os.path.join(folder, "model.safetensors")
    tensors = {**load_file(path), **stored}
    if static:
        tensors.update({name.replace("weight_scale", "input_scale"): torch.ones(1) for name in stored if name.endswith("weight_scale")})
    save_file(tensors, path, {"format": "pt"})
    os.chmod(path, 0o644)
    if strategy == "fp8":
        return edit(os.path.join(folder, "config.json"), lambda c: c.update(quantization_config={
            "activation_scheme": "dynamic", "fmt": "e4m3", "modules_to_not_convert": ["lm_head"], "quant_method": "fp8",
            "weight_block_size": BLOCKS[strategy]}))
    args = {"actorder": None, "block_structure": BLOCKS.get(strategy), "dynamic": False, "group_size": None, "num_bits": 8, "observer": "minmax",
            "observer_kwargs": {}, "strategy": strategy, "symmetric": True, "type": "float"}
    inputs = {**args, "block_structure": None, "dynamic": not static, "strategy": "tensor" if static else "token", "observer": None if not static else "minmax"}
    edit(os.path.join(folder, "config.json"), lambda c: c.update(quantization_config={
        "config_groups": {"group_0": {"input_activations": inputs, "output_activations": None, "targets": ["Linear"], "weights": args}},
        "format": "float-quantized", "global_compression_ratio": None, "ignore": ["lm_head"], "kv_cache_scheme": None,
        "quant_method": "compressed-tensors", "quantization_status": "compressed"}))


def greedy(model, ids, where=None):
    out, first, margin = list(ids), None, 1e9
    for _ in range(STEPS):
        more = {}
        if where:
            behind = max(max(p) for p in where) + 1
            more["position_ids"] = torch.tensor(where + [(behind + i,) * 3 for i in range(len(out) - len(where))]).T.unsqueeze(1)
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([out]), use_cache=False, **more).logits[0]
        first = logits if first is None else first
        top = logits[-1].topk(2).values
        margin = min(margin, float(top[0] - top[1]))
        out.append(int(logits[-1].argmax()))
        if margin < MARGIN or out[-1] < len(SPECIAL):
            return None, None
    return first, out[len(ids):]


def edit(path, change):
    with open(path, encoding="utf-8") as f:
        data = json.load(f)
    change(data)
    with open(path, "w", encoding="utf-8") as f:
        json.dump(data, f, ensure_ascii=False, separators=(",", ":"))


def as_transformers_4(folder):
    """What transformers 5 saved, in the words of transformers 4."""
    def config(c):
        if "text_config" in c:  # Qwen2-VL's and Qwen2.5-VL's text models were described at the top
            c.update({k: v for k, v in c.pop("text_config").items() if k not in ("model_type", "tie_word_embeddings", "layer_types")})
            c["rope_parameters"]["rope_type"] = "mrope"
        c["torch_dtype"] = c.pop("dtype")
        c["transformers_version"] = "4.51.3"
        rope = c.pop("rope_parameters")
        full = rope.get("full_attention", rope)
        c["rope_theta"] = full.pop("rope_theta")
        c["rope_scaling"] = full if full["rope_type"] != "default" else None
        if "sliding_attention" in rope:
            c["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
            c["sliding_window_pattern"] = c.pop("_sliding_window_pattern")
            del c["layer_types"]

    def tokenizer(t):
        t["model"]["merges"] = [" ".join(pair) for pair in t["model"]["merges"]]

    def tokenizer_config(t):
        with open(os.path.join(folder, "chat_template.jinja"), encoding="utf-8") as f:
            t["chat_template"] = [{"name": "other", "template": "no"}, {"name": "default", "template": f.read()}]
        t["tokenizer_class"] = "PreTrainedTokenizerFast"
        for name in ("bos_token", "eos_token", "unk_token"):
            t[name] = {"content": t[name], "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "__type": "AddedToken"}
    edit(os.path.join(folder, "config.json"), config)
    edit(os.path.join(folder, "tokenizer.json"), tokenizer)
    edit(os.path.join(folder, "tokenizer_config.json"), tokenizer_config)
    os.remove(os.path.join(folder, "chat_template.jinja"))
    path = os.path.join(folder, "model.safetensors")
    if "qwen2.5vl" in folder:
        plain = {n.replace("model.language_model.", "model.").replace("model.visual.", "visual."): t for n, t in load_file(path).items()}
        save_file(plain, path, {"format": "pt"})
        os.chmod(path, 0o644)


def save(name, model, fast, dtype, shards, old, folder):
    shutil.rmtree(folder, ignore_errors=True)
    copy.deepcopy(model).to(getattr(torch, dtype)).save_pretrained(folder, **({"max_shard_size": shards} if shards else {}))
    fast.save_pretrained(folder)
    if old:
        as_transformers_4(folder)
    else:
        edit(os.path.join(folder, "tokenizer.json"), lambda t: None)  # without the blanks
    for file in os.listdir(folder):
        os.chmod(os.path.join(folder, file), 0o644)


def turn_experts(folder):
    """Qwen3-VL-MoE's checkpoints hold experts as [expert][in][out]; transformers reads them, but saves them the other way round."""
    path = os.path.join(folder, "model.safetensors")
    save_file({n: t.transpose(1, 2).contiguous() if ".mlp.experts." in n else t for n, t in load_file(path).items()}, path, {"format": "pt"})
    os.chmod(path, 0o644)


def tokenizer(make):
    tok = make()
    if tok.token_to_id("<unk>") is None:  # special tokens first, as the ids above have them
        state = json.loads(tok.to_str())
        state["model"]["vocab"] = {t: i + len(SPECIAL) for t, i in state["model"]["vocab"].items()}
        state["model"]["vocab"].update({t: i for i, t in enumerate(SPECIAL)})
        tok = Tokenizer.from_str(json.dumps(state))
    tok.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL])
    fast = PreTrainedTokenizerFast(tokenizer_object=tok, bos_token="<s>", eos_token="</s>", unk_token="<unk>", clean_up_tokenization_spaces=False)
    fast.chat_template = TEMPLATE
    return fast


def prompt_ids(fast, text=PROMPT):
    prompt = fast.apply_chat_template([{"role": "user", "content": text}], add_generation_prompt=True, tokenize=False)
    return fast(prompt, add_special_tokens=False)["input_ids"]


def make(name):
    config_class, model_class, settings, make_tokenizer, dtype, shards, old = MINIATURES[name]
    fast = tokenizer(make_tokenizer)
    ids = prompt_ids(fast)
    logits, seed = None, -1
    while logits is None:
        seed += 1
        model = build(config_class, model_class, settings, len(fast), dtype, seed)
        stored = to_f8(model, *F8[name]) if name in F8 else {}
        where = grids(len(ids)) if has_axes(settings) else None
        logits, answer = greedy(model, ids, where)
    save(name, model, fast, dtype, shards, old, os.path.join(HERE, name))
    if name == "qwen3vlmoe":
        turn_experts(os.path.join(HERE, name))
    if where:
        np.array(where, "<u4").tofile(os.path.join(HERE, name + ".positions"))
    if stored:
        put_f8(os.path.join(HERE, name), stored, F8[name][0], F8[name][2])
    rows = sorted(set(range(7, len(ids), 8)) | {len(ids) - 1})
    for suffix, data in (("ids", np.array(ids, "<i4")), ("greedy", np.array(answer, "<i4")), ("logits", logits[rows].numpy().astype("<f4"))):
        data.tofile(os.path.join(HERE, name + "." + suffix))
    print("%s: seed %d, %d rows, %d tokens, %d files" % (name, seed, len(ids), len(fast), len(os.listdir(os.path.join(HERE, name)))))


if __name__ == "__main__":
    names, llama_cpp, only = sys.argv[1:], None, False
    if names[:1] == ["--convert"]:  # directories that are there
        only, names = True, names[1:]
    if names[:1] == ["--llama-cpp"]:
        llama_cpp, names = names[1], names[2:]
    for which in names or MINIATURES:
        if not only:
            make(which)
        if llama_cpp and which in CONVERTED:
            folder = os.path.join(HERE, which)
            convert(llama_cpp, CONVERTED[which], folder, folder + ".gguf", None if CONVERTED[which] else pieces_of(folder))
