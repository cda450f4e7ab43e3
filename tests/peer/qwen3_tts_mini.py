#!/usr/bin/env python3
"""Miniatures of Qwen3-TTS with random weights, and what the reference package makes of them.

    qwen3_tts_mini.py SOURCE OUT [VARIANT...]

SOURCE holds the folder qwen_tts of QwenLM/Qwen3-TTS. Needs transformers 4.57 (the package's own), torch, librosa, soundfile, numpy.
OUT/VARIANT is a model as it is published: config.json, generation_config.json, model.safetensors, speech_tokenizer/, vocab.json, merges.txt,
tokenizer_config.json. Beside it lies OUT/VARIANT.npz: README has its arrays. Variants: custom, small (custom voices of the size that takes
no instructions, predictor and talker equally wide), base, design.

Weights are such that each part matters: scales, snakes and norms are of order one, greedy codes neither repeat nor stop at once."""
import importlib
import json
import os
import sys
import types

import numpy as np
import torch

SECONDS = 2.3   # of the recording that is cloned, where a case says nothing
MARGIN = 1e-3    # between the best two logits, at every choice: what other arithmetic must not turn over
SPEAKERS = {"serena": 3066, "vivian": 3065, "ryan": 3061, "eric": 2875, "dylan": 2878}  # ids as published, behind 2048 codes
DIALECTS = {"eric": "sichuan_dialect", "dylan": "beijing_dialect"}
LANGUAGES = {"chinese": 2055, "english": 2050, "german": 2053, "italian": 2070, "portuguese": 2071, "spanish": 2054, "japanese": 2058, "korean": 2064,
             "french": 2061, "russian": 2069, "beijing_dialect": 2074, "sichuan_dialect": 2062}
CODEC = {"codec_pad_id": 2148, "codec_bos_id": 2149, "codec_eos_token_id": 2150, "codec_think_id": 2154, "codec_nothink_id": 2155,
         "codec_think_bos_id": 2156, "codec_think_eos_id": 2157}
ADDED = [("<|endoftext|>", True), ("<|im_start|>", True), ("<|im_end|>", True), ("<|object_ref_start|>", True), ("<|vision_start|>", True),
         ("<tool_call>", False), ("</tool_call>", False), ("<think>", False), ("</think>", False), ("<|audio_start|>", True), ("<|audio_end|>", True),
         ("<tts_pad>", True), ("<tts_text_bos>", True), ("<tts_text_eod>", True), ("<tts_text_bos_single>", True), ("<|audio_pad|>", True)]
CORPUS = ["the quick brown fox jumps over the lazy dog and we'll see what it's worth", "assistant user system speak slowly and with a warm voice",
          "Hello there, how are you today? It is 12:45, we have 3 apples.", "Straße, naïve, 漢字 你好 世界 今天 天气 русский текст こんにちは",
          "one two three four five six seven eight nine ten", "Please say this with great excitement!\n\nThen whisper."] * 4
TEXTS = ["Hello there, how are you today", "It is 12:45; we have 3 apples", "你好，世界，今天天气很好", "The quick brown fox jumps over the lazy dog, and naïve Straße",
         "Ten."]  # each one sentence: one utterance
INSTRUCTIONS = "speak slowly and with a warm voice"


class Sizes:
    """What a miniature is made of. The talker's vocabulary has 1024 more than there are codes, as the real one."""
    codes, groups = 64, 16
    frames = 44  # max_new_tokens
    end = {"small": 1.25, "design": 1.25}  # how likely the end is; 0.55: hardly before the limit
    bf16 = False  # as published; all but the codec
    voices, languages = SPEAKERS, LANGUAGES
    text_hidden = 40
    talker = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=16)
    mrope = [4, 2, 2]
    predictor = dict(hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=16)
    ear = dict(enc_channels=[32, 32, 32, 32, 96], enc_se_channels=12, enc_attention_channels=16)
    decoder = dict(codebook_dim=16, hidden_size=32, latent_dim=24, num_attention_heads=16, num_key_value_heads=16, head_dim=4, sliding_window=72,
                   intermediate_size=40, num_hidden_layers=3, upsample_rates=[8, 5, 4, 3], upsampling_ratios=[2, 2], decoder_dim=96)
    encoder = dict(hidden_size=16, num_filters=4, codebook_dim=8, vector_quantization_hidden_dimension=8, intermediate_size=16, num_attention_heads=2,
                   num_key_value_heads=2, head_dim=8, upsample_groups=16)

    def id(self, published):
        return published - 2048 + self.codes

    def ids(self, published):
        return {name: self.id(i) for name, i in published.items()}


def package(root):
    """The package's classes without what it only needs for sound files of other kinds and its 25 Hz tokenizer."""
    root = os.path.join(os.path.abspath(root), "qwen_tts")
    for name in ("qwen_tts", "qwen_tts.core", "qwen_tts.inference", "qwen_tts.core.models", "qwen_tts.core.tokenizer_12hz"):
        module = types.ModuleType(name)
        module.__path__ = [os.path.join(root, *name.split(".")[1:])]
        sys.modules[name] = module
    v2 = importlib.import_module("qwen_tts.core.tokenizer_12hz.configuration_qwen3_tts_tokenizer_v2")
    core = sys.modules["qwen_tts.core"]
    core.Qwen3TTSTokenizerV2Config = v2.Qwen3TTSTokenizerV2Config
    core.Qwen3TTSTokenizerV2Model = importlib.import_module("qwen_tts.core.tokenizer_12hz.modeling_qwen3_tts_tokenizer_v2").Qwen3TTSTokenizerV2Model

    from transformers import PretrainedConfig, PreTrainedModel

    class OtherConfig(PretrainedConfig):
        model_type = "qwen3_tts_tokenizer_25hz"

    class Other(PreTrainedModel):
        config_class = OtherConfig

    core.Qwen3TTSTokenizerV1Config, core.Qwen3TTSTokenizerV1Model = OtherConfig, Other
    models = sys.modules["qwen_tts.core.models"]
    for name in ("configuration", "processing", "modeling"):
        part = importlib.import_module(f"qwen_tts.core.models.{name}_qwen3_tts")
        for key in part.__all__ if hasattr(part, "__all__") else dir(part):
            setattr(models, key, getattr(part, key))
    return importlib.import_module("qwen_tts.inference.qwen3_tts_model").Qwen3TTSModel, models


def write_tokenizer(path):
    """-> ids of the added tokens, the size of the text vocabulary with unused rows behind."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    pattern = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    tok = Tokenizer(models.BPE())
    tok.normalizer = normalizers.NFC()
    tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"),
                                                 pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tok.decoder = decoders.ByteLevel()
    tok.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=480, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    model = json.loads(tok.to_str())["model"]
    n = len(model["vocab"])
    with open(os.path.join(path, "vocab.json"), "w", encoding="utf-8") as f:
        json.dump(model["vocab"], f, ensure_ascii=False)
    with open(os.path.join(path, "merges.txt"), "w", encoding="utf-8") as f:
        f.write("#version: 0.2\n" + "".join((m if isinstance(m, str) else " ".join(m)) + "\n" for m in model["merges"]))
    ids = {t: n + i for i, (t, _) in enumerate(ADDED)}
    added = {str(n + i): {"content": t, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": special}
             for i, (t, special) in enumerate(ADDED)}
    config = {"add_bos_token": False, "add_prefix_space": False, "added_tokens_decoder": added,
              "additional_special_tokens": [t for t, special in ADDED[1:] if special], "bos_token": None, "clean_up_tokenization_spaces": False,
              "eos_token": "<|im_end|>", "errors": "replace", "model_max_length": 131072, "pad_token": "<|endoftext|>", "split_special_tokens": False,
              "tokenizer_class": "Qwen2Tokenizer", "unk_token": None, "processor_class": "Qwen3TTSProcessor"}
    with open(os.path.join(path, "tokenizer_config.json"), "w", encoding="utf-8") as f:
        json.dump(config, f, ensure_ascii=False, indent=1)
    return ids, (n + len(ADDED) + 63) // 64 * 64


def config_of(variant, ids, text_vocab, sizes):
    predictor = dict(sizes.predictor, **{"hidden_size": sizes.talker["hidden_size"]} if variant == "small" else {})
    kind = {"custom": "custom_voice", "small": "custom_voice", "base": "base", "design": "voice_design"}[variant]
    voices = sizes.voices if kind == "custom_voice" else {}
    same = dict(hidden_act="silu", max_position_embeddings=2048, rms_norm_eps=1e-6, rope_theta=1000000, attention_bias=False, num_code_groups=sizes.groups)
    talker = dict(
        vocab_size=sizes.codes + 1024, **sizes.talker, **same, rope_scaling={"interleaved": True, "mrope_section": sizes.mrope, "rope_type": "default"},
        text_hidden_size=sizes.text_hidden, text_vocab_size=text_vocab, **sizes.ids(CODEC), codec_language_id=sizes.ids(sizes.languages),
        position_id_per_seconds=13, spk_id=sizes.ids(voices), spk_is_dialect={v: DIALECTS.get(v, False) for v in voices},
        code_predictor_config=dict(vocab_size=sizes.codes, **predictor, **same, max_window_layers=28))
    return dict(talker_config=talker, speaker_encoder_config=dict(enc_dim=sizes.talker["hidden_size"], sample_rate=24000, **sizes.ear),
                tokenizer_type="qwen3_tts_tokenizer_12hz", tts_model_size="0b6" if variant == "small" else "1b7", tts_model_type=kind,
                im_start_token_id=ids["<|im_start|>"], im_end_token_id=ids["<|im_end|>"], tts_pad_token_id=ids["<tts_pad>"],
                tts_bos_token_id=ids["<tts_text_bos>"], tts_eos_token_id=ids["<tts_text_eod>"])


def codec_config(sizes):
    decoder = dict(codebook_size=sizes.codes, num_quantizers=sizes.groups, max_position_embeddings=8000, rope_theta=10000, rms_norm_eps=1e-5,
                   layer_scale_initial_scale=0.01, **sizes.decoder)
    encoder = dict(num_residual_layers=1, upsampling_ratios=[8, 6, 5, 4], codebook_size=sizes.codes, num_quantizers=sizes.groups, num_hidden_layers=1,
                   sampling_rate=24000, frame_rate=12.5, **sizes.encoder)
    return dict(encoder_config=encoder, decoder_config=decoder, encoder_valid_num_quantizers=sizes.groups,
                decode_upsample_rate=int(np.prod(sizes.decoder["upsample_rates"] + sizes.decoder["upsampling_ratios"])))


def randomise(model, seed, end=None):
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith(("alpha", "beta")):
                p.uniform_(-0.7, 0.7)
            elif name.endswith((".scale", "gamma")):
                p.uniform_(0.4, 1.2)
            elif name.endswith("cluster_usage"):
                p.uniform_(0.0, 3.0)
                p[0] = 0
            elif name.endswith("embedding_sum"):
                p.normal_(0, 1)
                p[0] *= 1e-5
            elif "norm" in name:
                p.uniform_(0.5, 1.5)
            elif name.endswith("bias"):
                p.uniform_(-0.3, 0.3)
            elif "text_embedding" in name:
                p.normal_(0, 1)
            elif name.startswith("decoder.decoder.") and p.dim() > 1:
                p.normal_(0, 0.5 / np.sqrt(p[0].numel()))  # else the snakes' arguments grow until their sines are noise
            elif "codec_embedding" in name:
                p.normal_(0, 0.4)
            elif "codec_head" in name or "lm_head" in name:
                p.normal_(0, 3.0 / np.sqrt(p.shape[1]))
            else:
                p.normal_(0, 1.2 / np.sqrt(p[0].numel()))
            if name == "talker.codec_head.weight":
                p[end[0]] *= end[1]
    return model.float().eval()


def write_model(variant, out, models, seed, sizes):
    from safetensors.torch import save_file
    from transformers import EncodecFeatureExtractor
    os.makedirs(os.path.join(out, "speech_tokenizer"), exist_ok=True)
    config = config_of(variant, *write_tokenizer(out), sizes)
    end = sizes.id(CODEC["codec_eos_token_id"]), sizes.end.get(variant, 0.55)
    state = randomise(models.Qwen3TTSForConditionalGeneration(models.Qwen3TTSConfig(**config)), seed, end).state_dict()
    save_file({k: v.to(torch.bfloat16 if sizes.bf16 else v.dtype).contiguous() for k, v in state.items()}, os.path.join(out, "model.safetensors"),
              {"format": "pt"})
    with open(os.path.join(out, "config.json"), "w") as f:
        json.dump({"architectures": ["Qwen3TTSForConditionalGeneration"], "model_type": "qwen3_tts", **config}, f, indent=1)
    with open(os.path.join(out, "generation_config.json"), "w") as f:
        json.dump(dict(do_sample=True, repetition_penalty=1.05, temperature=0.9, top_p=1.0, top_k=50, subtalker_dosample=True, subtalker_temperature=0.9,
                       subtalker_top_p=1.0, subtalker_top_k=50, max_new_tokens=sizes.frames), f, indent=1)
    core = sys.modules["qwen_tts.core"]
    codec = randomise(core.Qwen3TTSTokenizerV2Model(core.Qwen3TTSTokenizerV2Config(**codec_config(sizes))), 8)
    with torch.inference_mode():  # the clamp would hide errors
        last, codes = codec.decoder.decoder[-1].conv, torch.randint(0, sizes.codes, (1, sizes.groups, 60))
        last.bias.zero_()
        last.weight.mul_(1e-4)
        last.weight.mul_(0.6 / codec.decoder(codes).abs().max())
        last.bias.fill_(0.03)
    folder = os.path.join(out, "speech_tokenizer")
    codec.save_pretrained(folder)
    EncodecFeatureExtractor(feature_size=1, sampling_rate=24000).save_pretrained(folder)


class Recorder:
    """What passes between the parts while the package speaks."""

    def __init__(self, model):
        self.reset()
        talker, real = model.model.talker, model.model.talker.generate

        def generate(**kw):
            self.prompt = kw["inputs_embeds"][0].numpy()
            self.flow = kw["trailing_text_hidden"][0].numpy()
            result = real(output_scores=True, **kw)
            self.margins += [gap(s) for s in result.scores]
            self.tokens = result.sequences[0].numpy()
            return result

        talker.generate = generate
        predictor = talker.code_predictor
        said = predictor.generate

        def predict(**kw):
            result = said(output_scores=True, **kw)
            self.predicted.append(min(gap(s) for s in result.scores))
            return result

        predictor.generate = predict
        whole = model.model.generate

        def codes(**kw):
            self.ids = kw["input_ids"][0][0].numpy()
            result = whole(**kw)
            self.codes = result[0][0].numpy()
            return result

        model.model.generate = codes

    def reset(self):
        self.margins, self.predicted = [], []


def gap(scores):
    best = scores[0].topk(2).values
    return float(best[0] - best[1])


def recording(seconds=SECONDS, rate=24000):
    """Something like a voice: harmonics of a pitch that moves, syllables, noise."""
    rng = np.random.default_rng(5)
    t = np.arange(int(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(140 + 30 * np.sin(2 * np.pi * 1.3 * t)) / rate
    wave = sum(np.sin(k * phase) / k ** 1.2 for k in range(1, 20)) * (0.3 + 0.7 * np.abs(np.sin(2 * np.pi * 2.1 * t)))
    return (0.2 * wave + 0.005 * rng.standard_normal(len(t))).astype(np.float32)


def cases_of(variant):
    auto = [dict(text=t, language="Auto") for t in TEXTS]
    if variant in ("custom", "small"):
        voices = ["serena", "ryan", "eric", "dylan", "vivian"]
        cases = [dict(c, speaker=v) for c, v in zip(auto, voices)]
        cases += [dict(text=TEXTS[0], language="english", speaker="vivian"), dict(text=TEXTS[2], language="Chinese", speaker="eric"),
                  dict(text=TEXTS[0], language="english", speaker="eric"), dict(text=TEXTS[0], language="auto", speaker="serena", instruct=INSTRUCTIONS),
                  dict(text=TEXTS[3], language="german", speaker="ryan", instruct=INSTRUCTIONS),
                  dict(text=TEXTS[3], language="german", speaker="ryan", non_streaming_mode=False)]
        return cases
    if variant == "design":
        return [dict(auto[0], instruct=INSTRUCTIONS), dict(auto[1], instruct=""), dict(text=TEXTS[2], language="chinese", instruct=INSTRUCTIONS),
                dict(text=TEXTS[3], language="french", instruct="", non_streaming_mode=False)]
    return auto + [dict(text=TEXTS[0], language="english"), dict(text=TEXTS[3], language="german", non_streaming_mode=True),
                   dict(auto[4], seconds=0.0534), dict(auto[1], seconds=30)]


def speak(model, case, sound):
    """Greedily. `sound`: what is cloned -> wave"""
    kw = dict({k: v for k, v in case.items() if k in ("text", "language", "speaker", "instruct", "non_streaming_mode")}, do_sample=False, subtalker_dosample=False)
    kind = model.model.tts_model_type
    if kind == "custom_voice":
        return model.generate_custom_voice(**kw)[0][0]
    if kind == "voice_design":
        return model.generate_voice_design(**kw)[0][0]
    return model.generate_voice_clone(ref_audio=(sound, 24000), x_vector_only_mode=True, **kw)[0][0]


def settle(model, record, case, sound, limit):
    """Words are added until no choice is close. -> the case as it is then, wave, least margin"""
    for more in ("", " seven", " nine, ten", " dog", " and we", " today"):
        record.reset()
        tried = dict(case, text=case["text"] + more)
        wave = speak(model, tried, sound)
        margin = min(record.margins + record.predicted)
        if margin >= MARGIN and len(record.codes) >= 8:
            break
    print(f"{len(record.codes)} frames of {len(set(map(tuple, record.codes)))} kinds, {len(set(record.codes[:, 0]))} codes, "
          f"prompt {len(record.prompt)} rows, ended {len(record.codes) < limit - 1}, least margin {margin:.4f}, "
          f"sound rms {np.sqrt(np.mean(wave ** 2)):.3f} peak {np.abs(wave).max():.3f}")
    return tried, wave.astype(np.float32), margin


def reference_of(variant, out, Model):
    model = Model.from_pretrained(out, dtype=torch.float32, attn_implementation="eager")
    record = Recorder(model)
    arrays, least = {}, 1e9
    cases = cases_of(variant)
    for i, case in enumerate(cases):
        print(f"{variant} {i}: ", end="")
        cases[i], arrays[f"{i}.wave"], margin = settle(model, record, case, recording(case.get("seconds", SECONDS)), Sizes.frames)
        least = min(least, margin)
        for key in ("prompt", "flow", "codes", "ids"):
            arrays[f"{i}.{key}"] = np.ascontiguousarray(getattr(record, key))
        arrays[f"{i}.margins"] = np.array(record.margins, np.float32)
    arrays["cases"] = np.array(json.dumps(cases))
    if variant == "base":
        for i, case in enumerate(cases):
            arrays[f"{i}.recording"] = recording(case.get("seconds", SECONDS))
        for ms in (54, 100, 2300, 8000):
            sound = recording(ms / 1000)
            arrays[f"recording-{ms}"] = sound
            arrays[f"x-vector-{ms}"] = model.model.extract_speaker_embedding(audio=sound, sr=24000).numpy()
    np.savez(out + ".npz", **arrays)
    return least


def main():
    torch.set_num_threads(1)
    Model, models = package(sys.argv[1])
    out = os.path.abspath(sys.argv[2])
    for variant in sys.argv[3:] or ["custom", "small", "base", "design"]:
        folder = os.path.join(out, variant)
        write_model(variant, folder, models, 7, Sizes())
        print(f"{variant}: least margin {reference_of(variant, folder, Model):.4f}")


if __name__ == "__main__":
    main()
