"""Checkpoint -> what runtimes load, and back.

    python export.py run/checkpoint.pt --out ../model            # model.gguf, mmproj.gguf (and mmproj-audio.gguf)
    python export.py run/checkpoint.pt --aux auxiliary_heads.safetensors
    python export.py run/checkpoint.pt --hf DIR                  # for transformers

model.gguf (architecture llama) and mmproj.gguf (architecture clip, projector
idefics3) follow llama.cpp's conventions, and so does mmproj-audio.gguf (projector ultravox), which a model with ears
has too.  Matrices are BF16; norms, biases, the patch filters and the positions are F32, the filters over sound F16.
A checkpoint may also be a folder with the GGUF files.
"""

import argparse
import json
import os

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter, LlamaFileType, TokenType
from gguf.quants import dequantize, quantize

import model as m
from hearing import HearingConfig, sines
from watch_tasks import MOST

NAME = "sensorium-sample"

CHAT_TEMPLATE = (
    "<|im_start|>"
    "{%- for message in messages -%}"
    "{{- message['role'] | capitalize -}}"
    "{%- if message['content'] is string -%}"
    "{{- ': ' + message['content'] -}}"
    "{%- else -%}"
    "{{- ':' if message['content'][0]['type'] in ['image', 'audio'] else ': ' -}}"
    "{%- for part in message['content'] -%}"
    "{%- if part['type'] == 'image' -%}{{- '<image>' -}}"
    "{%- elif part['type'] == 'audio' -%}{{- '<|audio|>' -}}"
    "{%- elif part['type'] == 'text' -%}{{- part['text'] -}}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- endif -%}"
    "{{- '<end_of_utterance>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- 'Assistant:' -}}{%- endif -%}"
)


def byte_alphabet():
    """GPT-2's printable stand-in for each byte."""
    printable = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    stand_in, spare = {}, 256
    for b in range(256):
        if b in printable:
            stand_in[b] = chr(b)
        else:
            stand_in[b] = chr(spare)
            spare += 1
    return [stand_in[b] for b in range(256)]


RESERVED = ["<|reserved_%d|>" % i for i in range(m.RESERVED)]
# llama.cpp wants a list of merges.  This one never applies: 0xFF is no part of UTF-8.
RESERVED[0] = "\u00ff\u00ff"
MERGES = ["\u00ff \u00ff"]
RESERVED[m.AUDIO - m.BYTES - len(m.SPECIAL)] = "<|audio|>"
TOKENS = byte_alphabet() + m.SPECIAL + RESERVED


def interleave(weight, heads):
    """Rows of q and k from transformers' order (halves) to llama.cpp's (pairs)."""
    n, i = weight.shape
    return weight.reshape(heads, 2, n // heads // 2, i).swapaxes(1, 2).reshape(n, i)


def separate(weight, heads):
    n, i = weight.shape
    return weight.reshape(heads, n // heads // 2, 2, i).swapaxes(1, 2).reshape(n, i)


def tensor_names(c):
    """(checkpoint name, file, GGUF name, heads if rotary) for every tensor."""
    text, vision = "model.text_model.", "model.vision_model."
    names = [(text + "embed_tokens.weight", "model", "token_embd.weight", 0),
             (text + "norm.weight", "model", "output_norm.weight", 0)]
    for n in range(c.layers):
        a, b = text + "layers.%d." % n, "blk.%d." % n
        names += [(a + x + ".weight", "model", b + y + ".weight", h) for x, y, h in (
            ("input_layernorm", "attn_norm", 0), ("self_attn.q_proj", "attn_q", c.heads),
            ("self_attn.k_proj", "attn_k", c.kv_heads), ("self_attn.v_proj", "attn_v", 0),
            ("self_attn.o_proj", "attn_output", 0), ("post_attention_layernorm", "ffn_norm", 0),
            ("mlp.gate_proj", "ffn_gate", 0), ("mlp.up_proj", "ffn_up", 0),
            ("mlp.down_proj", "ffn_down", 0))]
    names += [(vision + "embeddings.patch_embedding." + x, "mmproj", "v.patch_embd." + x, 0)
              for x in ("weight", "bias")]
    names += [(vision + "embeddings.position_embedding.weight", "mmproj", "v.position_embd.weight", 0)]
    for n in range(c.v_layers):
        a, b = vision + "encoder.layers.%d." % n, "v.blk.%d." % n
        names += [(a + x + "." + w, "mmproj", b + y + "." + w, 0) for x, y in (
            ("layer_norm1", "ln1"), ("self_attn.q_proj", "attn_q"), ("self_attn.k_proj", "attn_k"),
            ("self_attn.v_proj", "attn_v"), ("self_attn.out_proj", "attn_out"),
            ("layer_norm2", "ln2"), ("mlp.fc1", "ffn_up"), ("mlp.fc2", "ffn_down"))
            for w in ("weight", "bias")]
    names += [(vision + "post_layernorm." + x, "mmproj", "v.post_ln." + x, 0) for x in ("weight", "bias")]
    names += [("model.connector.modality_projection.proj.weight", "mmproj", "mm.model.fc.weight", 0)]
    return names


def audio_tensor_names(c):
    """The same for the ears."""
    tower, projector = "hearing.audio_tower.", "hearing.multi_modal_projector."
    names = [(tower + "conv%d.%s" % (k, w), "mmproj-audio", "a.conv1d.%d.%s" % (k, w), 0) for k in (1, 2) for w in ("weight", "bias")]
    for n in range(c.layers):
        a, b = tower + "layers.%d." % n, "a.blk.%d." % n
        names += [(a + x + "." + w, "mmproj-audio", b + y + "." + w, 0) for x, y in (
            ("self_attn_layer_norm", "ln1"), ("self_attn.q_proj", "attn_q"), ("self_attn.k_proj", "attn_k"),
            ("self_attn.v_proj", "attn_v"), ("self_attn.out_proj", "attn_out"), ("final_layer_norm", "ln2"),
            ("fc1", "ffn_up"), ("fc2", "ffn_down")) for w in ("weight", "bias") if (x, w) != ("self_attn.k_proj", "bias")]
    names += [(tower + "layer_norm." + w, "mmproj-audio", "a.post_ln." + w, 0) for w in ("weight", "bias")]
    return names + [(projector + x + ".weight", "mmproj-audio", "mm.a." + y + ".weight", 0) for x, y in (
        ("ln_pre", "norm_pre"), ("linear_1", "mlp.1"), ("ln_mid", "norm_mid"), ("linear_2", "mlp.2"))]


def write_tensors(writer, state, names, file):
    for source, where, target, heads in names:
        if where != file:
            continue
        a = state[source].float().numpy()
        if heads:
            a = interleave(a, heads)
        if a.ndim == 2 and "position_embd" not in target:
            writer.add_tensor(target, quantize(np.ascontiguousarray(a), GGMLQuantizationType.BF16),
                              raw_dtype=GGMLQuantizationType.BF16)
        elif "conv1d" in target:            # llama.cpp wants F16 filters, and biases that spread over time
            writer.add_tensor(target, a.astype(np.float16) if a.ndim == 3 else np.ascontiguousarray(a[:, None]))
        else:
            writer.add_tensor(target, np.ascontiguousarray(a))


def finish(writer, path):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(path + ".tmp", path)


def describe(writer, name):
    writer.add_name(name)
    writer.add_license("mit")
    writer.add_file_type(LlamaFileType.MOSTLY_BF16)
    writer.add_quantization_version(2)


def write_model(state, c, path):
    w = GGUFWriter(path + ".tmp", "llama")
    w.add_type("model")
    describe(w, NAME)
    w.add_block_count(c.layers)
    w.add_context_length(c.positions)
    w.add_embedding_length(c.hidden)
    w.add_feed_forward_length(c.mlp)
    w.add_head_count(c.heads)
    w.add_head_count_kv(c.kv_heads)
    w.add_rope_freq_base(c.rope_theta)
    w.add_layer_norm_rms_eps(c.eps)
    w.add_vocab_size(c.vocab)
    w.add_rope_dimension_count(c.head_dim)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("smollm")
    w.add_token_list(TOKENS)
    w.add_token_types([TokenType.NORMAL] * m.BYTES + [TokenType.CONTROL] * len(m.SPECIAL)
                      + [TokenType.NORMAL, TokenType.CONTROL] + [TokenType.UNUSED] * (m.RESERVED - 2))
    w.add_token_merges(MERGES)
    w.add_bos_token_id(m.BOS)
    w.add_eos_token_id(m.END)
    w.add_eot_token_id(m.END)
    w.add_pad_token_id(m.TOKEN["<|im_end|>"])
    w.add_add_bos_token(False)
    w.add_add_space_prefix(False)
    w.add_chat_template(CHAT_TEMPLATE)
    write_tensors(w, state, tensor_names(c), "model")
    finish(w, path)


def write_mmproj(state, c, path):
    w = GGUFWriter(path + ".tmp", "clip")
    w.add_type("mmproj")
    describe(w, NAME)
    w.add_clip_has_vision_encoder(True)
    w.add_clip_projector_type("idefics3")
    w.add_vision_projection_dim(c.hidden)
    w.add_vision_image_size(c.image_size)
    # The same as image_size: the picture is not split into tiles.
    w.add_vision_preproc_image_size(c.image_size)
    w.add_vision_patch_size(c.patch_size)
    w.add_vision_embedding_length(c.v_hidden)
    w.add_vision_feed_forward_length(c.v_mlp)
    w.add_vision_block_count(c.v_layers)
    w.add_vision_head_count(c.v_heads)
    w.add_vision_attention_layernorm_eps(c.v_eps)
    w.add_vision_image_mean([0.5, 0.5, 0.5])
    w.add_vision_image_std([0.5, 0.5, 0.5])
    w.add_vision_projector_scale_factor(c.scale_factor)
    w.add_vision_use_gelu(True)
    # A clip is looked at in so many frames at most: what training had, and what fits beside its sound.
    w.add_uint32("clip.vision.video.max_frames", MOST)
    write_tensors(w, state, tensor_names(c), "mmproj")
    finish(w, path)


def write_audio_mmproj(state, c, path):
    w = GGUFWriter(path + ".tmp", "clip")
    w.add_type("mmproj")
    describe(w, NAME)
    w.add_clip_has_audio_encoder(True)
    w.add_clip_projector_type("ultravox")
    w.add_audio_projection_dim(c.text_hidden)
    w.add_audio_num_mel_bins(c.mels)
    w.add_audio_embedding_length(c.hidden)
    w.add_audio_feed_forward_length(c.mlp)
    w.add_audio_block_count(c.layers)
    w.add_audio_head_count(c.heads)
    w.add_audio_attention_layernorm_eps(c.eps)
    w.add_audio_stack_factor(c.stack)
    w.add_tensor("a.position_embd.weight", sines(c).numpy())
    write_tensors(w, state, audio_tensor_names(c), "mmproj-audio")
    finish(w, path)


def read_export(folder, c, hearing=None):
    """The tensors of model.gguf and mmproj.gguf (and, given its configuration, mmproj-audio.gguf), under their checkpoint names."""
    state = {}
    names = tensor_names(c) + (audio_tensor_names(hearing) if hearing else [])
    for file in ("model", "mmproj") + (("mmproj-audio",) if hearing else ()):
        tensors = {t.name: t for t in GGUFReader(os.path.join(folder, file + ".gguf")).tensors}
        for target, where, source, heads in names:
            if where == file:
                t = tensors[source]
                a = dequantize(t.data, t.tensor_type).reshape([int(n) for n in t.shape[::-1]])
                if heads:
                    a = separate(a, heads)
                if "conv1d" in source and source.endswith("bias"):
                    a = a[:, 0]
                state[target] = torch.from_numpy(np.array(a, np.float32))
    return state


def load_export(folder, model, aux=None):
    """Fill a model from the exported files, and the auxiliary heads if they are given."""
    model.load_state_dict(read_export(folder, model.c, model.hearing and model.hearing.c))
    if aux is not None:
        load_auxiliary(aux)


def load_auxiliary(heads):
    """Whatever the file of auxiliary heads has for a module of them."""
    from safetensors.torch import load_file
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "auxiliary_heads.safetensors")
    heads.load_state_dict({k: v.float() for k, v in load_file(path).items()}, strict=False)


# ---------------------------------------------------------------- transformers

def write_hf(state, c, folder):
    """A folder that transformers' Idefics3 classes load (F32 weights, without the ears)."""
    from safetensors.torch import save_file
    os.makedirs(folder, exist_ok=True)

    def put(name, value):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
            json.dump(value, f, indent=1, ensure_ascii=False)

    save_file({k: v.contiguous() for k, v in state.items() if not k.startswith("hearing.")},
              os.path.join(folder, "model.safetensors"), {"format": "pt"})
    pad = m.TOKEN["<|im_end|>"]
    put("config.json", {
        "architectures": ["Idefics3ForConditionalGeneration"], "model_type": "idefics3",
        "image_token_id": m.IMAGE, "scale_factor": c.scale_factor, "tie_word_embeddings": True,
        "bos_token_id": m.BOS, "eos_token_id": m.END, "pad_token_id": pad, "torch_dtype": "float32",
        "text_config": {
            "model_type": "llama", "vocab_size": c.vocab, "hidden_size": c.hidden,
            "intermediate_size": c.mlp, "num_hidden_layers": c.layers,
            "num_attention_heads": c.heads, "num_key_value_heads": c.kv_heads,
            "head_dim": c.head_dim, "rope_theta": c.rope_theta, "rms_norm_eps": c.eps,
            "max_position_embeddings": c.positions, "hidden_act": "silu",
            "tie_word_embeddings": True, "attention_bias": False, "bos_token_id": m.BOS,
            "eos_token_id": m.END, "pad_token_id": pad},
        "vision_config": {
            "model_type": "idefics3_vision", "image_size": c.image_size, "patch_size": c.patch_size,
            "hidden_size": c.v_hidden, "intermediate_size": c.v_mlp,
            "num_hidden_layers": c.v_layers, "num_attention_heads": c.v_heads,
            "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": c.v_eps}})
    put("generation_config.json", {"bos_token_id": m.BOS, "eos_token_id": m.END, "pad_token_id": pad})
    put("preprocessor_config.json", {
        "image_processor_type": "Idefics3ImageProcessor", "processor_class": "Idefics3Processor",
        "do_convert_rgb": True, "do_resize": True, "size": {"longest_edge": c.image_size},
        "resample": 1, "do_image_splitting": False, "max_image_size": {"longest_edge": c.image_size},
        "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True,
        "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "do_pad": True})
    put("processor_config.json", {"processor_class": "Idefics3Processor", "image_seq_len": m.ROWS})
    added = [{"id": m.BYTES + i, "content": t, "single_word": False, "lstrip": False,
              "rstrip": False, "normalized": False, "special": True}
             for i, t in enumerate(TOKENS[m.BYTES:])
             if i != len(m.SPECIAL)]
    put("tokenizer.json", {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": True},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}]},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                  "vocab": {t: i for i, t in enumerate(TOKENS)}, "merges": [p.split(" ") for p in MERGES]}})
    put("tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast", "processor_class": "Idefics3Processor",
        "bos_token": "<|im_start|>", "eos_token": "<end_of_utterance>", "pad_token": "<|im_end|>",
        "unk_token": "<|endoftext|>", "add_prefix_space": False,
        "clean_up_tokenization_spaces": False, "model_max_length": c.positions,
        "extra_special_tokens": {"image_token": "<image>", "fake_image_token": "<fake_token_around_image>",
                                 "global_image_tag": "<global-img>",
                                 "end_of_utterance_token": "<end_of_utterance>"},
        "added_tokens_decoder": {str(a["id"]): {k: v for k, v in a.items() if k != "id"} for a in added}})
    with open(os.path.join(folder, "chat_template.jinja"), "w", encoding="utf-8") as f:
        f.write(CHAT_TEMPLATE)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("checkpoint", help="checkpoint.pt, or a folder with the GGUF files")
    p.add_argument("--out", help="folder for model.gguf and mmproj.gguf")
    p.add_argument("--aux", help="file for the auxiliary heads (F16), needed to train on")
    p.add_argument("--hf", help="folder for the transformers export")
    args = p.parse_args()
    c, ears = m.Config(), HearingConfig()
    if os.path.isdir(args.checkpoint):
        hears = os.path.exists(os.path.join(args.checkpoint, "mmproj-audio.gguf"))
        state, aux = read_export(args.checkpoint, c, ears if hears else None), None
    else:
        loaded = torch.load(args.checkpoint, map_location="cpu")
        state, aux = loaded["model"], dict(loaded["aux"], **loaded.get("speller", {}))
        hears = any(k.startswith("hearing.") for k in state)
    if args.out:
        os.makedirs(args.out, exist_ok=True)
        write_model(state, c, os.path.join(args.out, "model.gguf"))
        write_mmproj(state, c, os.path.join(args.out, "mmproj.gguf"))
        files, roles = {"model": "model.gguf", "mmproj": "mmproj.gguf"}, ["chat", "vision"]
        if hears:
            write_audio_mmproj(state, ears, os.path.join(args.out, "mmproj-audio.gguf"))
            files["mmproj"], roles = ["mmproj.gguf", "mmproj-audio.gguf"], roles + ["hearing"]
        with open(os.path.join(args.out, "models.json"), "w") as f:
            json.dump({"models": [{"name": NAME, "files": files, "roles": roles}]}, f, indent=2)
            f.write("\n")
    if args.aux and aux:
        from safetensors.torch import save_file
        save_file({k: v.half().contiguous() for k, v in aux.items()}, args.aux)
    if args.hf:
        write_hf(state, c, args.hf)


if __name__ == "__main__":
    main()
