#!/usr/bin/env python3
"""Goldens of Qwen3-TTS' codec decoder, by its own code. Needs numpy, torch, transformers, safetensors, gguf, and the source of qwen-tts:

    qwen3_tts.py DIRECTORY     # that holds the folder qwen_tts: of QwenLM/Qwen3-TTS or of the package

  qwen3-tts.gguf             a miniature with random weights, by way of safetensors and samples/convert/qwen3_tts_codec.py
  qwen3-tts-FRAMES.codes     i32 [frames][4]
  qwen3-tts-FRAMES.f32       its sound

qwen-tts is written for transformers 4.57; with 5, what has another name or is gone is put in its place here."""
import importlib
import importlib.util
import json
import os
import sys
import tempfile
import types

import numpy as np
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
CONFIG = dict(codebook_size=32, codebook_dim=12, hidden_size=20, latent_dim=16, max_position_embeddings=8000, rope_theta=100.0, num_attention_heads=2,
              num_key_value_heads=2, sliding_window=7, intermediate_size=28, rms_norm_eps=1e-5, num_hidden_layers=2, num_quantizers=4,
              upsample_rates=(3, 2), upsampling_ratios=(2, 2), decoder_dim=24)
HEAD_DIM = 10
LENGTHS = (1, 3, 30)


def reference(root):
    """The two modules that are needed, without the package around them, which wants sound files and models."""
    import transformers.masking_utils as masks
    import transformers.modeling_rope_utils as ropes
    import transformers.utils.generic as generic

    if int(importlib.import_module("transformers").__version__.split(".")[0]) >= 5:
        generic.check_model_inputs = lambda *a: (lambda f: f)
        ropes.ROPE_INIT_FUNCTIONS.setdefault("default", lambda config, device=None, **kw: (
            1.0 / (config.rope_theta ** (torch.arange(0, HEAD_DIM, 2, dtype=torch.int64).float() / HEAD_DIM)), 1.0))
        for name in ("create_causal_mask", "create_sliding_window_causal_mask"):
            real = getattr(masks, name)

            def renamed(real=real, **kw):
                kw["inputs_embeds"] = kw.pop("input_embeds")
                kw.pop("cache_position", None)
                return real(**kw)

            setattr(masks, name, renamed)
    for name in ("qwen_tts", "qwen_tts.core", "qwen_tts.core.tokenizer_12hz"):
        module = types.ModuleType(name)
        module.__path__ = [os.path.join(root, *name.split("."))]
        sys.modules[name] = module
    return importlib.import_module("qwen_tts.core.tokenizer_12hz.modeling_qwen3_tts_tokenizer_v2")


def randomise(model):
    """Values at which each part matters: by default scales and gamma would hide what they scale."""
    torch.manual_seed(3)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith(("alpha", "beta")):
                p.uniform_(-0.7, 0.7)
            elif name.endswith(("scale", "gamma")):
                p.uniform_(0.4, 1.2)
            elif name.endswith("cluster_usage"):
                p.uniform_(0.0, 3.0)
                p[0] = 0
            elif name.endswith("embedding_sum"):
                p.normal_(0, 1)
                p[0] = p[0] * 1e-5
            elif "norm" in name:
                p.uniform_(0.5, 1.5)
            elif name.endswith("bias"):
                p.uniform_(-0.2, 0.2)
            else:
                p.normal_(0, 1.2 / np.sqrt(p[0].numel()))
        model.decoder[-1].conv.weight.mul_(0.004)  # the clamp would hide errors
    return model.float().eval()


def main():
    module = reference(os.path.abspath(sys.argv[1]))
    config = module.Qwen3TTSTokenizerV2DecoderConfig(**CONFIG)
    config._attn_implementation = "eager"
    model = randomise(module.Qwen3TTSTokenizerV2Decoder(config))
    spec = importlib.util.spec_from_file_location("convert", os.path.join(HERE, "..", "..", "..", "samples", "convert", "qwen3_tts_codec.py"))
    convert = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(convert)
    from safetensors.torch import save_file
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "config.json"), "w") as f:
            json.dump({"output_sample_rate": 24000, "decoder_config": CONFIG}, f)
        save_file({"decoder." + k: v.contiguous() for k, v in model.state_dict().items()}, os.path.join(folder, "model.safetensors"))
        convert.write(os.path.join(HERE, "qwen3-tts.gguf"), *convert.load(folder))
    rng = np.random.default_rng(11)
    for n in LENGTHS:
        codes = rng.integers(0, CONFIG["codebook_size"], (n, CONFIG["num_quantizers"])).astype("<i4")
        with torch.inference_mode():
            wave = model(torch.from_numpy(codes.T[None].astype(np.int64)))[0, 0].numpy()
        print(f"{n} frames: {len(wave)} samples, rms {np.sqrt(np.mean(wave ** 2)):.3f}, largest {np.abs(wave).max():.3f}")
        codes.tofile(os.path.join(HERE, f"qwen3-tts-{n}.codes"))
        wave.astype("<f4").tofile(os.path.join(HERE, f"qwen3-tts-{n}.f32"))


if __name__ == "__main__":
    main()
