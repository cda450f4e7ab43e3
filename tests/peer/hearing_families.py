"""Random-weight audio chat models of four families: the reference model, its own processor, and what llama.cpp's converter makes of them.

Voxtral, Qwen2-Audio and Qwen2.5-Omni's thinker are transformers' classes. Ultravox, which transformers does not have, is its
WhisperEncoder and LlamaForCausalLM with the projector between them, and the inputs, as fixie-ai's ultravox_model.py and
ultravox_processing.py write them out.

The converter cannot make everything that is served here, so beside what it writes:
  Voxtral        the file says tekken's splitting of text; the miniature's tekken.json holds Llama 3's, and that is what the file gets. Its
                 chat template, llama.cpp's stand-in for mistral-common, has no sound in it: the server gets the wording of mistral-common.
  all            encoders have three layers or more: with fewer, the converter does not know the second convolution
  Qwen2.5-Omni   the language model is converted as the Qwen2 that it is: architecture qwen2vl differs from it by M-RoPE, which turns
                 text and sound (all three positions equal) as plain RoPE does.
"""
import base64
import io
import itertools
import json
import os
import random
import subprocess
import sys
import wave

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from transformers import (LlamaConfig, LlamaForCausalLM, MistralCommonBackend, ProcessorMixin, Qwen2AudioConfig,
                          Qwen2AudioForConditionalGeneration, Qwen2AudioProcessor, Qwen2Config, Qwen2ForCausalLM, Qwen2Tokenizer,
                          Qwen2_5OmniProcessor, Qwen2_5OmniThinkerConfig,
                          Qwen2_5OmniThinkerForConditionalGeneration, VoxtralConfig, VoxtralForConditionalGeneration, VoxtralProcessor,
                          WhisperConfig, WhisperFeatureExtractor)
from transformers.masking_utils import create_bidirectional_mask
from transformers.models.whisper.modeling_whisper import WhisperEncoder

import common  # noqa: F401  (the path to export)
import export
from hf_directories import LLAMA3_SPLIT, learn, llama3_tokenizer
from tokenizers import Regex, normalizers, pre_tokenizers

RATE, POSITIONS, WINDOW = 16000, 1500, 480000
QWEN_AUDIO = ["<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>"]
OMNI_TOKENS = dict(image_token="<|IMAGE|>", audio_token="<|AUDIO|>", video_token="<|VIDEO|>", vision_bos_token="<|vision_bos|>",
                   vision_eos_token="<|vision_eos|>", audio_bos_token="<|audio_bos|>", audio_eos_token="<|audio_eos|>")
# The wording that Qwen2.5-Omni is published with, in the parts that matter here.
OMNI_CHAT = ("{% set audio_count = namespace(value=0) %}{% for message in messages %}{% if loop.first and message['role'] != 'system' %}"
             "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}<|im_start|>{{ message['role'] }}\n"
             "{% if message['content'] is string %}{{ message['content'] }}<|im_end|>\n{% else %}{% for content in message['content'] %}"
             "{% if content['type'] == 'image' or 'image' in content or 'image_url' in content %}<|vision_bos|><|IMAGE|><|vision_eos|>"
             "{% elif content['type'] == 'audio' or 'audio' in content or 'audio_url' in content %}"
             "{% set audio_count.value = audio_count.value + 1 %}"
             "{% if add_audio_id %}Audio {{ audio_count.value }}: {% endif %}<|audio_bos|><|AUDIO|><|audio_eos|>"
             "{% elif content['type'] == 'video' or 'video' in content %}<|vision_bos|><|VIDEO|><|vision_eos|>"
             "{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endif %}{% endfor %}"
             "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
VOXTRAL_CHAT = ("{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}[INST]{% if message['content'] is string %}"
                "{{ message['content'] }}{% else %}{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}"
                "{% elif part['type'] == 'audio' %}[AUDIO]{% endif %}{% endfor %}{% endif %}[/INST]"
                "{% else %}{{ message['content'] }}{{ eos_token }}{% endif %}{% endfor %}")
# Of tekken.json's version 7 and later, in order; [AUDIO] is the processor's 24.
TEKKEN = ("<unk> <s> </s> [INST] [/INST] [AVAILABLE_TOOLS] [/AVAILABLE_TOOLS] [TOOL_RESULTS] [/TOOL_RESULTS] [TOOL_CALLS] [IMG] <pad> [IMG_BREAK] "
          "[IMG_END] [PREFIX] [MIDDLE] [SUFFIX] [SYSTEM_PROMPT] [/SYSTEM_PROMPT] [TOOL_CONTENT] <SPECIAL_20> <SPECIAL_21> <SPECIAL_22> "
          "<SPECIAL_23> [AUDIO] [BEGIN_AUDIO] <SPECIAL_26> <SPECIAL_27> <SPECIAL_28> <SPECIAL_29> <SPECIAL_30> <SPECIAL_31> [ARGS] [CALL_ID] "
          "[TRANSCRIBE] [THINK] [/THINK]").split()


def wav(samples):
    """f32 of whole 1/32768ths -> the bytes of a file"""
    out = io.BytesIO()
    with wave.open(out, "wb") as w:
        w.setnchannels(1), w.setsampwidth(2), w.setframerate(RATE)
        w.writeframes((samples * 32768).astype("<i2").tobytes())
    return out.getvalue()


# ---- shapes and weights ----

def dims(seed):
    """Another small model for each seed: the encoder's and the language model's own sizes."""
    rng = random.Random(str(seed))
    heads, kv = rng.choice((2, 3, 4)), rng.choice((1, 2, 4))
    return dict(mels=rng.choice((80, 128)), width=heads * rng.choice((8, 12, 16)), heads=heads, layers=rng.choice((3, 4)),
                ff=rng.choice((48, 72, 100)), stack=rng.choice((4, 5, 8)),
                text=dict(hidden_size=rng.choice((48, 64, 96)), intermediate_size=rng.choice((64, 88)), num_hidden_layers=rng.choice((2, 3)),
                          num_attention_heads=4, num_key_value_heads=kv, max_position_embeddings=8192, tie_word_embeddings=False))


def audio_sizes(d):
    return dict(num_mel_bins=d["mels"], d_model=d["width"], encoder_layers=d["layers"], encoder_attention_heads=d["heads"],
                encoder_ffn_dim=d["ff"], max_source_positions=POSITIONS)


def fill(module, seed):
    """The converter stores convolutions in F16 whatever it is told: both sides hold such numbers."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, p in module.named_parameters():
            norm = any(x in name for x in ("norm", "ln_"))
            if p.ndim == 1:
                p.normal_(1.0 if norm and name.endswith("weight") else 0.0, 0.2)
            else:
                p.normal_(0, 0.25 if "embed" in name else 1.3 * p[0].numel() ** -0.5)
            if "conv" in name and p.ndim == 3:
                p.copy_(p.half())
    return module.float().eval()


def qwen_tokenizer(special, template=None, **fields):
    vocab, merges = learn(pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3_SPLIT.replace("{1,3}", "")), "isolated"),
                                                   pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]), 380, normalizers.NFC())
    vocab["<|endoftext|>"] = len(vocab)
    tok = Qwen2Tokenizer(vocab=vocab, merges=merges, chat_template=template, **fields)
    tok.add_tokens(["<|im_start|>", "<|im_end|>"] + special, special_tokens=True)
    tok.eos_token = "<|im_end|>"
    return tok


# ---- the families ----
#
# Of each: folders (text, tower) that the converter takes, the name of its pre-tokenizer, banned (ids that the reference could not take
# back), a template file for the server or None, inputs(parts) of one user message, and logits(inputs, ids).

class Family:
    template = None

    def __init__(self, folder, d, seed):
        self.folder, self.d, self.seed = folder, d, seed
        self.text, self.tower = os.path.join(folder, "text"), os.path.join(folder, "tower")
        os.makedirs(self.text)
        os.makedirs(self.tower)
        self.build()

    def count(self, sound):
        """Rows of a sound: the longest run of their token."""
        ids = self.inputs([sound, "x"])["input_ids"][0].tolist()
        return max(len(list(run)) for i, run in itertools.groupby(ids) if i == self.row_id)

    def forced(self, inputs, ids):
        """Log-probabilities [len(ids)][vocabulary] of the reference for the tokens that we sampled."""
        prompt = inputs["input_ids"]
        whole = torch.cat([prompt, torch.tensor([ids], dtype=torch.long)], 1)
        with torch.no_grad():
            logits = self.logits(inputs, whole)[0, prompt.shape[1] - 1:-1]
        return logits.double().log_softmax(-1).numpy()

    def logits(self, inputs, whole):
        return self.model(**{**inputs, "input_ids": whole, "attention_mask": torch.ones_like(whole)}).logits


class Voxtral(Family):
    pre = "llama-bpe"

    def build(self):
        d = self.d
        self.write_tekken()
        audio = dict(num_mel_bins=d["mels"], hidden_size=d["width"], num_hidden_layers=d["layers"], num_attention_heads=d["heads"],
                     intermediate_size=4 * d["width"], max_source_positions=POSITIONS)
        text = dict(model_type="llama", vocab_size=self.n_vocab, head_dim=d["text"]["hidden_size"] // 4,
                    rope_parameters={"rope_type": "default", "rope_theta": 1e6}, bos_token_id=1, eos_token_id=2, **d["text"])
        config = VoxtralConfig(audio_config=audio, text_config=text, audio_token_id=24)
        self.model = fill(VoxtralForConditionalGeneration._from_config(config, attn_implementation="eager", dtype=torch.float32), self.seed)
        self.model.save_pretrained(self.text)
        self.tower = self.text
        tokenizer = MistralCommonBackend(os.path.join(self.text, "tekken.json"))
        self.processor = VoxtralProcessor(WhisperFeatureExtractor(feature_size=d["mels"]), tokenizer)
        self.row_id, self.banned = 24, [2, 24]
        self.template = os.path.join(self.folder, "voxtral.jinja")
        with open(self.template, "w", encoding="utf-8") as f:
            f.write(VOXTRAL_CHAT)

    def write_tekken(self):
        vocab, merges = learn(pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3_SPLIT), "isolated"),
                                                       pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]), 380)
        raw = {c: bytes([b]) for b, c in enumerate(export.byte_alphabet())}
        tokens = [bytes([b]) for b in range(256)]
        for pair in merges:
            token = b"".join(raw[c] for c in "".join(pair))
            tokens += [token] if token not in tokens else []
        self.n_vocab = len(TEKKEN) + len(tokens)
        data = {"config": {"pattern": LLAMA3_SPLIT, "num_vocab_tokens": len(tokens), "default_vocab_size": self.n_vocab,
                           "default_num_special_tokens": len(TEKKEN), "version": "v13"},
                "vocab": [{"rank": i, "token_bytes": base64.b64encode(t).decode(), "token_str": t.decode(errors="replace")}
                          for i, t in enumerate(tokens)],
                "special_tokens": [{"rank": i, "token_str": t, "is_control": True} for i, t in enumerate(TEKKEN)],
                "audio": {"sampling_rate": RATE, "frame_rate": 12.5, "chunk_length_s": 30.0,
                          "audio_encoding_config": {"num_mel_bins": self.d["mels"], "hop_length": 160, "window_size": 400}}}
        with open(os.path.join(self.text, "tekken.json"), "w", encoding="utf-8") as f:
            json.dump(data, f)

    def inputs(self, parts):
        content = [{"type": "text", "text": p} if isinstance(p, str) else {"type": "audio", "base64": base64.b64encode(wav(p)).decode()}
                   for p in parts]
        made = dict(self.processor.apply_chat_template([{"role": "user", "content": content}]))
        return {k: made[k] for k in ("input_ids", "input_features")}


def three_frames(samples):
    """Of less the processors of Qwen's families make no row at all; here a sound has one, and ends in silence."""
    return np.pad(samples, (0, max(0, 3 * 160 - len(samples))))


def pieces_of(samples):
    """A clip longer than a window is several of Qwen2-Audio's: its processor would drop all but the first."""
    samples = three_frames(samples)
    return [samples[i:i + WINDOW] for i in range(0, len(samples), WINDOW)]


class Qwen2Audio(Family):
    pre = "qwen2"

    def build(self):
        d = self.d
        tok = qwen_tokenizer(QWEN_AUDIO)
        self.processor = Qwen2AudioProcessor(WhisperFeatureExtractor(feature_size=d["mels"]), tok)
        self.audio = tok.convert_tokens_to_ids("<|AUDIO|>")
        text = dict(model_type="qwen2", vocab_size=len(tok), rope_parameters={"rope_type": "default", "rope_theta": 1e4}, **d["text"])
        config = Qwen2AudioConfig(audio_config=dict(model_type="qwen2_audio_encoder", **audio_sizes(d)), text_config=text,
                                  audio_token_index=self.audio, audio_token_id=self.audio)
        self.model = fill(Qwen2AudioForConditionalGeneration._from_config(config, attn_implementation="eager", dtype=torch.float32), self.seed)
        self.model.save_pretrained(self.text)
        tok.chat_template = self.processor.chat_template
        tok.save_pretrained(self.text)
        self.tower = self.text
        self.row_id, self.banned = self.audio, [self.audio, tok.eos_token_id]

    def inputs(self, parts):
        content = [{"type": "text", "text": p} if isinstance(p, str) else {"type": "audio"} for p in parts]
        text = self.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False)
        sounds = [pieces_of(p) for p in parts if not isinstance(p, str)]
        for pieces in sounds:  # as many places as pieces, between one pair of marks
            text = text.replace("<|audio_bos|><|AUDIO|><|audio_eos|>", "<|audio_bos|>%s<|audio_eos|>" % ("\0" * len(pieces)), 1)
        text = text.replace("\0", "<|AUDIO|>")
        made = self.processor(text=text, audio=[p for pieces in sounds for p in pieces], sampling_rate=RATE, return_tensors="pt")
        return {k: made[k] for k in ("input_ids", "input_features", "feature_attention_mask")}


class Qwen25Omni(Family):
    pre = "qwen2"

    def build(self):
        d = self.d
        self.tok = tok = qwen_tokenizer(list(OMNI_TOKENS.values()), OMNI_CHAT, extra_special_tokens=OMNI_TOKENS)
        at = {n: tok.convert_tokens_to_ids(t) for n, t in OMNI_TOKENS.items()}
        self.processor = OmniEars(WhisperFeatureExtractor(feature_size=d["mels"], chunk_length=300), tok, OMNI_CHAT)
        size = d["text"]["hidden_size"]
        text = dict(vocab_size=len(tok), **d["text"])
        half = size // 4 // 2
        sections = [half - 2 * (half // 3), half // 3, half // 3]
        config = Qwen2_5OmniThinkerConfig(
            audio_config=dict(output_dim=size, n_window=100, **audio_sizes(d)),
            vision_config=dict(depth=1, hidden_size=32, intermediate_size=32, num_heads=2, out_hidden_size=size, fullatt_block_indexes=[0]),
            text_config=dict(rope_parameters={"rope_type": "default", "rope_theta": 1e6, "mrope_section": sections}, **text),
            audio_token_index=at["audio_token"], image_token_index=at["image_token"], video_token_index=at["video_token"],
            audio_start_token_id=at["audio_bos_token"], audio_end_token_id=at["audio_eos_token"], pad_token_id=0)
        config.vision_start_token_id = at["vision_bos_token"]
        self.model = fill(Qwen2_5OmniThinkerForConditionalGeneration._from_config(config, attn_implementation="eager", dtype=torch.float32),
                          self.seed)
        self.row_id, self.banned = at["audio_token"], sorted(set(at.values())) + [tok.eos_token_id]
        self.write_thinker()
        plain = Qwen2ForCausalLM(Qwen2Config(rope_parameters={"rope_type": "default", "rope_theta": 1e6}, **text))
        plain.model.load_state_dict(self.model.model.language_model.state_dict())
        plain.lm_head.load_state_dict(self.model.lm_head.state_dict())
        plain.save_pretrained(self.text)
        tok.save_pretrained(self.text)

    def write_thinker(self):
        """The directory of a whole Qwen2.5-Omni, as far as the converter reads it."""
        self.model.save_pretrained(self.tower)
        path = os.path.join(self.tower, "model.safetensors")
        save_file({"thinker." + k: v for k, v in load_file(path).items()}, path, metadata={"format": "pt"})
        with open(os.path.join(self.tower, "config.json"), "w", encoding="utf-8") as f:
            json.dump({"architectures": ["Qwen2_5OmniModel"], "model_type": "qwen2_5_omni", "thinker_config": self.model.config.to_dict()}, f)
        with open(os.path.join(self.tower, "preprocessor_config.json"), "w", encoding="utf-8") as f:
            json.dump({"image_mean": [0.5] * 3, "image_std": [0.5] * 3}, f)
        self.tok.save_pretrained(self.tower)

    def inputs(self, parts):
        content = [{"type": "text", "text": p} if isinstance(p, str) else {"type": "audio"} for p in parts]
        text = self.tok.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False)
        made = self.processor(text=[text], audio=[three_frames(p) for p in parts if not isinstance(p, str)], return_tensors="pt")
        return {k: made[k] for k in ("input_ids", "input_features", "feature_attention_mask")}


class OmniEars(Qwen2_5OmniProcessor):
    """transformers' processor with its tokenizer and its extractor alone: no picture is shown to it."""

    def __init__(self, feature_extractor=None, tokenizer=None, chat_template=None):
        ProcessorMixin.__init__(self, feature_extractor, tokenizer, chat_template=chat_template)
        self.image_processor = self.video_processor = None
        for name in OMNI_TOKENS:
            setattr(self, name, getattr(tokenizer, name))
        for name in ("image_token_id", "audio_token_id", "video_token_id"):
            setattr(self, name, getattr(tokenizer, name))


class Ultravox(Family):
    pre = "llama-bpe"

    def build(self):
        d = self.d
        self.tok, _ = llama3_tokenizer()
        text = dict(vocab_size=len(self.tok), head_dim=d["text"]["hidden_size"] // 4, rope_parameters={"rope_type": "default", "rope_theta": 5e5},
                    bos_token_id=self.tok.bos_token_id, eos_token_id=self.tok.eos_token_id, **d["text"])
        self.model = fill(LlamaForCausalLM._from_config(LlamaConfig(**text), attn_implementation="eager", dtype=torch.float32), self.seed)
        encoder = WhisperEncoder._from_config(WhisperConfig(**audio_sizes(d)), attn_implementation="eager", dtype=torch.float32)
        self.encoder = fill(encoder, self.seed + 1)
        size, hidden, stacked = d["text"]["hidden_size"], 56, d["width"] * d["stack"]
        self.projector = torch.nn.ModuleDict(dict(
            ln_pre=torch.nn.RMSNorm(stacked, eps=1e-6), linear_1=torch.nn.Linear(stacked, hidden, bias=False),
            ln_mid=torch.nn.RMSNorm(hidden // 2, eps=1e-6), linear_2=torch.nn.Linear(hidden // 2, size, bias=False)))
        fill(self.projector, self.seed + 2)
        self.extractor = WhisperFeatureExtractor(feature_size=d["mels"])
        self.model.save_pretrained(self.text)
        self.tok.save_pretrained(self.text)
        state = {"audio_tower." + k: v.contiguous() for k, v in self.encoder.state_dict().items()}
        state.update({"multi_modal_projector." + k: v for k, v in self.projector.state_dict().items()})
        save_file(state, os.path.join(self.tower, "model.safetensors"), metadata={"format": "pt"})
        with open(os.path.join(self.tower, "config.json"), "w", encoding="utf-8") as f:
            json.dump({"architectures": ["UltravoxModel"], "model_type": "ultravox", "stack_factor": d["stack"], "hidden_size": 1,
                       "audio_config": self.encoder.config.to_dict(), "text_config": self.model.config.to_dict()}, f)
        self.row_id, self.banned = self.tok.eos_token_id, [self.tok.eos_token_id]

    def inputs(self, parts):
        """Texts are lines, sounds stand right before the text that follows them; the ids of what stands between the sounds."""
        text = "".join(p + "\n" * (i + 1 < len(parts)) if isinstance(p, str) else "<|audio|>" for i, p in enumerate(parts))
        text = self.tok.apply_chat_template([{"role": "user", "content": text}], add_generation_prompt=True, tokenize=False)
        split = self.tok(text.split("<|audio|>"), add_special_tokens=False)["input_ids"]
        sounds = [p for p in parts if not isinstance(p, str)]
        with torch.no_grad():
            rows = [self.rows(x) for x in sounds]
        ids, where = list(split[0]), []
        for r, after in zip(rows, split[1:]):
            where += range(len(ids), len(ids) + len(r))
            ids += [self.tok.eos_token_id] * len(r) + after
        return {"input_ids": torch.tensor([ids]), "rows": torch.cat(rows), "where": torch.tensor(where)}

    def rows(self, x):
        """A sound of its own: in a batch the reference lets the longest one pad the others."""
        x = np.pad(x, (0, max(0, 320 - len(x))))
        frames = self.extractor(x, sampling_rate=RATE, padding="longest", pad_to_multiple_of=160, truncation=False,
                                return_tensors="pt")["input_features"][0]
        size, stack, out = 2 * POSITIONS, self.d["stack"], []
        for at in range(0, frames.shape[1], size):
            chunk, valid = frames[:, at:at + size], min(frames.shape[1] - at, size)
            chunk = F.pad(chunk, (0, size - chunk.shape[1])) if at else chunk
            h = F.gelu(self.encoder.conv2(F.gelu(self.encoder.conv1(chunk[None])))).transpose(1, 2)
            h = h + self.encoder.embed_positions.weight[:h.shape[1]]
            seen = (torch.arange(h.shape[1])[None] < (valid - 1) // 2 + 1).long()
            mask = create_bidirectional_mask(config=self.encoder.config, inputs_embeds=h, attention_mask=seen)
            for layer in self.encoder.layers:
                h = layer(h, mask)
                h = h[0] if isinstance(h, tuple) else h
            h = self.encoder.layer_norm(h)[0]
            h = F.pad(h, (0, 0, 0, -len(h) % stack)).reshape(-1, h.shape[1] * stack)
            value, gate = self.projector["linear_1"](self.projector["ln_pre"](h)).chunk(2, dim=-1)
            out.append(self.projector["linear_2"](self.projector["ln_mid"](F.silu(gate) * value))[:-(-valid // (2 * stack))])
        return torch.cat(out)

    def logits(self, inputs, whole):
        embedded = self.model.get_input_embeddings()(whole)
        embedded[0, inputs["where"]] = inputs["rows"]
        return self.model(inputs_embeds=embedded).logits


FAMILIES = {"voxtral": Voxtral, "qwen2-audio": Qwen2Audio, "qwen2.5-omni": Qwen25Omni, "ultravox": Ultravox}

# ---- the files ----

CONVERT = """
import sys
tree, pre = sys.argv[1:3]
sys.path[:0] = [tree, tree + "/gguf-py"]
import gguf
import conversion.base
conversion.base.TextModel.get_vocab_base_pre = lambda self, tokenizer: pre
put = gguf.GGUFWriter.add_tokenizer_pre
gguf.GGUFWriter.add_tokenizer_pre = lambda self, name: put(self, pre or name)
import convert_hf_to_gguf
sys.argv = ["convert", "--outtype", "f32"] + sys.argv[3:]
convert_hf_to_gguf.main()
"""


def convert(tree, pre, folder, out, *flags):
    r = subprocess.run([sys.executable, "-c", CONVERT, tree, pre, "--outfile", out, *flags, folder], capture_output=True, text=True)
    if r.returncode:
        raise RuntimeError("converter: " + r.stderr[-1500:])
    return out


def files(family, tree):
    """-> paths of model.gguf and mmproj.gguf"""
    return (convert(tree, family.pre, family.text, os.path.join(family.folder, "model.gguf")),
            convert(tree, family.pre, family.tower, os.path.join(family.folder, "mmproj.gguf"), "--mmproj"))
