"""Checkpoints of the speaker -> what the runtime loads (speaker.gguf, vocoder.gguf), and back.

    python export_speech.py talk/checkpoint.pt --codec codec/checkpoint.pt --out ../model --encoder

speaker.gguf is an ordinary model of architecture llama, with a byte vocabulary and 1,024 tokens of code; vocoder.gguf holds the codec's
decoder (plugins/vocos/vocos.h lists its tensors) and the keys speak.*, which tell how the two go together.  Matrices are
BF16, filters F16, everything small F32.
"""

import argparse
import os

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter, TokenType
from gguf.quants import dequantize, quantize

import sayings
import speaking as s
from export import byte_alphabet, describe, finish, interleave, separate
from voice import Voice

NAME = "sensorium-speaker"
FILES = {"model": "speaker.gguf", "voice": "vocoder.gguf"}
ENCODER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "voice_encoder.safetensors")
TOP_K = 0


# ------------------------------------------------------------------- the voice

def voice_tensors(decoder, codebook):
    """(name in the file, tensor) of everything that decoding needs."""
    out = [("token_embd.weight", codebook.vectors), ("conv1d.weight", decoder.conv.weight), ("conv1d.bias", decoder.conv.bias)]
    both = lambda name, module: [(name + ".weight", module.weight), (name + ".bias", module.bias)]
    out += both("token_embd_norm", decoder.norm)
    for n, block in enumerate(decoder.blocks):
        at = "convnext.%d." % n
        out += [(at + "dw.weight", block.dw), (at + "dw.bias", block.dw_bias), (at + "gamma.weight", block.gamma)]
        out += both(at + "norm", block.norm) + both(at + "pw1", block.pw1) + both(at + "pw2", block.pw2)
    return out + both("output_norm", decoder.norm_out) + both("output", decoder.embed_out)


def stored(name, a, exact):
    """As (array, type): products in BF16, filters over time in F16, or all of it as it is."""
    if exact:
        return np.ascontiguousarray(a), None
    if a.ndim == 2 and name.split(".")[-2] in ("pw1", "pw2", "output"):
        return quantize(np.ascontiguousarray(a), GGMLQuantizationType.BF16), GGMLQuantizationType.BF16
    return (a.astype(np.float16) if a.ndim == 3 else np.ascontiguousarray(a)), None


def write_voice(voice, path, temperature, exact=False):
    c = voice.c
    w = GGUFWriter(path + ".tmp", "vocos")
    w.add_type("mmproj")
    describe(w, NAME)
    for key, value in (("sample_rate", sayings.sounds.RATE), ("vocab_size", c.codes), ("features_length", c.code_width),
                       ("embedding_length", c.hidden), ("feed_forward_length", c.mlp), ("block_count", c.blocks),
                       ("kernel_length", c.kernel), ("fft_length", c.fft), ("hop_length", c.hop)):
        w.add_uint32("vocos." + key, value)
    w.add_float32("vocos.layer_norm_epsilon", c.eps)
    w.add_float32("vocos.max_magnitude", c.max_magnitude)
    w.add_bool("vocos.causal", True)
    w.add_array("speak.voices", list(sayings.VOICES))
    w.add_array("speak.voice_prompts", [s.voice_prompt(v) for v in sayings.VOICES])
    w.add_array("speak.languages", ["en-US"] * len(sayings.VOICES))
    w.add_array("speak.prompt_kinds", ["trusted", "voice", "text", "trusted"])
    w.add_array("speak.prompt_texts", [s.SPECIAL[s.BEGIN - s.BYTES], "", "", s.SPECIAL[s.SPEECH - s.BYTES]])
    w.add_string("speak.first_code", s.code_token(0))
    w.add_array("speak.end_tokens", [s.SPECIAL[s.END - s.BYTES]])
    w.add_bool("speak.bos", False)
    w.add_bool("speak.lower_case", True)
    w.add_uint32("speak.max_text", sayings.LONGEST_TEXT)
    w.add_uint32("speak.max_frames", s.MAX_FRAMES)
    w.add_uint32("speak.top_k", TOP_K)
    w.add_float32("speak.temperature", temperature)
    w.add_float32("speak.top_p", 1.0)
    w.add_float32("speak.repetition_penalty", 1.0)
    for name, tensor in voice_tensors(voice.decoder, voice.codebook):
        a, raw = stored(name, tensor.detach().float().numpy(), exact)
        w.add_tensor(name, a, raw_dtype=raw)
    finish(w, path)


# ----------------------------------------------------------- the language model

TOKENS = byte_alphabet() + s.SPECIAL + [s.reserved_token(i) for i in range(s.RESERVED)] + [s.code_token(i) for i in range(s.CODES)]
# As in export.py: one merge that never applies, since a list of them is wanted.
MERGED = s.BYTES + len(s.SPECIAL)
TOKENS[MERGED] = "\u00ff\u00ff"


def lm_tensors(c):
    """(checkpoint name, GGUF name, heads if rotary)"""
    names = [("embed_tokens.weight", "token_embd.weight", 0), ("norm.weight", "output_norm.weight", 0)]
    for n in range(c.layers):
        a, b = "layers.%d." % n, "blk.%d." % n
        names += [(a + x + ".weight", b + y + ".weight", h) for x, y, h in (
            ("input_layernorm", "attn_norm", 0), ("self_attn.q_proj", "attn_q", c.heads), ("self_attn.k_proj", "attn_k", c.kv_heads),
            ("self_attn.v_proj", "attn_v", 0), ("self_attn.o_proj", "attn_output", 0), ("post_attention_layernorm", "ffn_norm", 0),
            ("mlp.gate_proj", "ffn_gate", 0), ("mlp.up_proj", "ffn_up", 0), ("mlp.down_proj", "ffn_down", 0))]
    return names


def write_lm(state, c, path):
    w = GGUFWriter(path + ".tmp", "llama")
    w.add_type("model")
    describe(w, NAME)
    w.add_block_count(c.layers)
    w.add_context_length(s.CONTEXT)
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
    special = [TokenType.CONTROL] * (len(TOKENS) - s.BYTES)
    special[MERGED - s.BYTES] = TokenType.NORMAL
    w.add_token_types([TokenType.NORMAL] * s.BYTES + special)
    w.add_token_merges(["\u00ff \u00ff"])
    w.add_bos_token_id(s.BEGIN)
    w.add_eos_token_id(s.END)
    w.add_pad_token_id(s.PAD)
    w.add_add_bos_token(False)
    for source, target, heads in lm_tensors(c):
        a = state[source].float().numpy()
        if heads:
            a = interleave(a, heads)
        if a.ndim == 2:
            w.add_tensor(target, quantize(np.ascontiguousarray(a), GGMLQuantizationType.BF16), raw_dtype=GGMLQuantizationType.BF16)
        else:
            w.add_tensor(target, a)
    finish(w, path)


# ------------------------------------------------------------------------- back

def read_tensors(path):
    return {t.name: dequantize(t.data, t.tensor_type).reshape([int(n) for n in t.shape[::-1]]) for t in GGUFReader(path).tensors}


def load_export(folder, lm, voice):
    """Fill both from the exported files (the voice without its encoder)."""
    tensors = read_tensors(os.path.join(folder, FILES["model"]))
    state = {}
    for target, source, heads in lm_tensors(s.config()):
        a = tensors[source]
        state[target] = torch.from_numpy(np.array(separate(a, heads) if heads else a, np.float32))
    lm.load_state_dict(state)
    tensors = read_tensors(os.path.join(folder, FILES["voice"]))
    with torch.no_grad():
        for name, tensor in voice_tensors(voice.decoder, voice.codebook):
            tensor.copy_(torch.from_numpy(np.array(tensors[name], np.float32)))


def load_voice(path):
    """The codec of a checkpoint of train_codec.py, or of the exported files in a folder."""
    voice = Voice()
    if os.path.isdir(path):
        load_export(path, s.make_model(), voice)
        from safetensors.torch import load_file
        voice.encoder.load_state_dict({k: v.float() for k, v in load_file(ENCODER).items()})
    else:
        voice.load_state_dict(torch.load(path, map_location="cpu")["voice"])
    return voice


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("checkpoint", help="of train_speech.py")
    p.add_argument("--codec", required=True, help="checkpoint of train_codec.py, or a folder with the GGUF files")
    p.add_argument("--out", help="folder for speaker.gguf and vocoder.gguf")
    p.add_argument("--encoder", action="store_true", help="also write voice_encoder.safetensors (F16), needed to train on from the files")
    p.add_argument("--temperature", type=float, default=0.0, help="the speaker's usual one")
    args = p.parse_args()
    loaded, voice = torch.load(args.checkpoint, map_location="cpu"), load_voice(args.codec)
    if args.out:
        os.makedirs(args.out, exist_ok=True)
        write_lm(loaded["model"], s.config(), os.path.join(args.out, FILES["model"]))
        write_voice(voice, os.path.join(args.out, FILES["voice"]), args.temperature)
    if args.encoder:
        from safetensors.torch import save_file
        save_file({k: v.half().contiguous() for k, v in voice.encoder.state_dict().items()}, ENCODER)


if __name__ == "__main__":
    main()
