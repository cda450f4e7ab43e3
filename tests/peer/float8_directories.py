"""The directories of tests/golden/hf with 8-bit floats, read by transformers, with compressed-tensors or as fp8: is what make.py wrote what that
library reads, and are the goldens its logits?

    python float8_directories.py

Needs torch, transformers, compressed-tensors. The library multiplies weights and scales in the scales' type: those of two bytes are
widened first, since a weight here is the product itself; what the library's rounding does to the logits is printed.
"""
import json
import os
import shutil
import tempfile

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, CompressedTensorsConfig, FineGrainedFP8Config

import common

GOLDEN = common.REPO / "tests" / "golden" / "hf"
LIMIT = 1e-4  # of a row's largest logit, as in test_hf_golden.c


def logits(folder, ids):
    with open(os.path.join(folder, "config.json")) as f:
        q = json.load(f)["quantization_config"]
    how = (FineGrainedFP8Config(weight_block_size=q["weight_block_size"], dequantize=True) if q["quant_method"] == "fp8"
           else CompressedTensorsConfig(dequantize=True))
    model = AutoModelForCausalLM.from_pretrained(folder, quantization_config=how, dtype=torch.float32,
                                                 attn_implementation="eager").float().eval()
    with torch.no_grad():
        every = model(input_ids=torch.tensor([ids.tolist()])).logits[0].float().numpy()
    return every[sorted(set(range(7, len(ids), 8)) | {len(ids) - 1})]


def worst(got, want):
    return float((np.abs(got - want).max(-1) / np.abs(want).max(-1)).max())


def main():
    verdict = common.Verdict()
    for name in ("llama-f8", "qwen2-f8", "phi3-f8", "qwen3-fp8"):
        ids, want = np.fromfile(GOLDEN / (name + ".ids"), "<i4"), np.fromfile(GOLDEN / (name + ".logits"), "<f4")
        with tempfile.TemporaryDirectory() as folder:
            wide = shutil.copytree(GOLDEN / name, os.path.join(folder, name))
            path = os.path.join(wide, "model.safetensors")
            save_file({k: v.float() if k.endswith(("_scale", "_scale_inv")) else v for k, v in load_file(path).items()}, path, {"format": "pt"})
            as_stored, got = logits(GOLDEN / name, ids), logits(wide, ids)
        want = want.reshape(got.shape)
        verdict(worst(got, want) <= LIMIT, name, "worst %.1e of a row's largest (as the library rounds weights: %.1e)" % (worst(got, want), worst(as_stored, want)))
    verdict.end()


if __name__ == "__main__":
    main()
