#!/usr/bin/env python3
"""Goldens of SNAC's decoder, by its own package. Needs numpy, torch, gguf and snac (PyPI).

  snac.gguf            a miniature with random weights, by way of a pickle and samples/convert/snac.py: so the converter is part of the proof
  snac-FRAMES.codes    i32 [frames][7], in the order of a frame's slots
  snac-FRAMES.f32      its sound, the noise being zero

The plugin is fed by chunks in any way; what it gives must be this sound within 1e-4 of full scale (tests/plugins/test_snac.c)."""
import json
import os
import sys
import tempfile

import numpy as np
import torch

HERE = os.path.dirname(os.path.abspath(__file__))

CONFIG = dict(sampling_rate=24000, encoder_dim=8, encoder_rates=[2, 3], latent_dim=20, decoder_dim=24, decoder_rates=[3, 2], attn_window_size=None,
              codebook_size=64, codebook_dim=4, vq_strides=[4, 2, 1], noise=True, depthwise=True)
LENGTHS = (1, 2, 9, 40)


def converter():
    """By its path: its name is the package's."""
    import importlib.util
    spec = importlib.util.spec_from_file_location("convert_snac", os.path.join(HERE, "..", "..", "..", "samples", "convert", "snac.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def randomise(model):
    """Values at which each part of the network matters: snakes turn, convolutions neither vanish nor swamp their residual."""
    torch.manual_seed(5)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith("alpha"):
                p.uniform_(0.5, 3.0)
            elif name.endswith("original0"):  # the norm of an output's weights
                p.uniform_(0.5, 1.2)
                if p.numel() == 1:  # the last one's: tanh would hide errors
                    p.fill_(0.06)
            elif name.endswith("codebook.weight"):
                p.normal_(0, 1.0)
            elif name.endswith("bias"):
                p.uniform_(-0.2, 0.2)
            else:
                p.normal_(0, 1.0)
    return model.eval()


def levels(codes):
    """[frames][7] -> codes of the three levels, a frame being coarse, (middle, (fine, fine)), (middle, (fine, fine))."""
    return [torch.from_numpy(codes[:, slots].reshape(1, -1).astype(np.int64)) for slots in ([0], [1, 4], [2, 3, 5, 6])]


def main():
    sys.path = [p for p in sys.path if os.path.abspath(p or ".") != os.path.abspath(HERE)]  # this file is not the package
    import snac

    torch.randn = lambda *a, **k: torch.zeros(*a, **{n: v for n, v in k.items() if n in ("device", "dtype")})  # the noise blocks
    model = randomise(snac.SNAC(**CONFIG))
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "config.json"), "w") as f:
            json.dump(CONFIG, f)
        torch.save(model.state_dict(), os.path.join(folder, "pytorch_model.bin"))
        convert = converter()
        config, state = convert.load(folder)
        convert.write(os.path.join(HERE, "snac.gguf"), config, convert.fold(state))
    rng = np.random.default_rng(7)
    for n in LENGTHS:
        codes = rng.integers(0, CONFIG["codebook_size"], (n, 7)).astype("<i4")
        with torch.inference_mode():
            wave = model.decode(levels(codes))[0, 0].numpy()
        print(f"{n} frames: {len(wave)} samples, rms {np.sqrt(np.mean(wave ** 2)):.3f}, largest {np.abs(wave).max():.3f}")
        codes.tofile(os.path.join(HERE, f"snac-{n}.codes"))
        wave.astype("<f4").tofile(os.path.join(HERE, f"snac-{n}.f32"))


if __name__ == "__main__":
    main()
