"""RoPE's frequencies as transformers makes them of a configuration: what test_rope.c compares with.

    python make.py    # needs torch, transformers (samples/training/requirements.txt)

cases.txt: of each case four lines: the class's name, what its config.json says beside the sizes of tests/unit/hf_dir_kit.h, the longest
sequence with the factor of cos and sin and the number of frequencies, and the frequencies. Floats are hexadecimal.
"""
import json
import os

import torch
from transformers import LlamaConfig, Phi3Config
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding
from transformers.models.phi3.modeling_phi3 import Phi3RotaryEmbedding

HERE = os.path.dirname(os.path.abspath(__file__))
CONTEXT = 64  # the kit's


def llama(kind, theta, dim=128, longest=CONTEXT, **more):
    rope = {"rope_type": kind, "rope_theta": theta, **more}
    return "LlamaForCausalLM", LlamaConfig, LlamaRotaryEmbedding, {"head_dim": dim, "rope_parameters": rope}, longest


def phi(dim, partial, original, longest, **more):
    n = int(dim * partial) // 2
    rope = {"rope_type": "longrope", "rope_theta": 10000.0, "partial_rotary_factor": partial,
            "short_factor": [1 + round(0.013 * i, 3) for i in range(n)], "long_factor": [round(1.07 ** i, 3) for i in range(n)], **more}
    return "Phi3ForCausalLM", Phi3Config, Phi3RotaryEmbedding, {"head_dim": dim, "original_max_position_embeddings": original, "rope_parameters": rope}, longest


CASES = [
    llama("default", 1e4), llama("default", 5e5, 64), llama("default", 1e6, 96), llama("default", 5e6), llama("default", 1e8, 80),
    llama("linear", 1e4, factor=2.0), llama("linear", 1e6, 256, factor=8.0), llama("linear", 1e4, factor=2.7),
    llama("dynamic", 1e4, factor=4.0), llama("dynamic", 1e4, 64, 65, factor=2.0), llama("dynamic", 5e5, 128, 1000, factor=3.5),
    llama("llama3", 5e5, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8192),
    llama("llama3", 5e5, 64, factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8192),
    llama("llama3", 1e4, 16, factor=3.0, low_freq_factor=1.5, high_freq_factor=2.5, original_max_position_embeddings=64),
    llama("yarn", 1e6, factor=4.0, original_max_position_embeddings=32768), llama("yarn", 1e4, 64, factor=16.0, original_max_position_embeddings=4096),
    llama("yarn", 1.5e5, 64, factor=32.0, original_max_position_embeddings=4096, beta_fast=32.0, beta_slow=1.0, truncate=False),
    llama("yarn", 1e4, 64, factor=40.0, original_max_position_embeddings=4096, mscale=0.707, mscale_all_dim=1.0),
    llama("yarn", 1e6, factor=2.0, original_max_position_embeddings=16384, attention_factor=1.25, beta_fast=24.0, beta_slow=2.0),
    llama("yarn", 1e4, 8, factor=1.0, original_max_position_embeddings=8), llama("yarn", 1e4, 128, factor=4.0),
    phi(96, 1.0, 32, 64), phi(96, 1.0, 32, 32), phi(128, 0.75, 16, 64), phi(128, 0.75, 16, 16), phi(96, 1.0, 64, 64), phi(96, 1.0, 32, 64, factor=8.0),
    phi(96, 1.0, 32, 64, attention_factor=1.19),
]


def main():
    with open(os.path.join(HERE, "cases.txt"), "w") as f:
        for name, config_class, rotary, settings, longest in CASES:
            config = config_class(hidden_size=2 * settings["head_dim"], num_attention_heads=2, max_position_embeddings=CONTEXT, **json.loads(json.dumps(settings)))
            kind = settings["rope_parameters"]["rope_type"]
            if kind == "default":
                inv, attention = rotary.compute_default_rope_parameters(config)
            else:
                inv, attention = ROPE_INIT_FUNCTIONS[kind](config, None, seq_len=longest)
            text = json.dumps(settings)[1:-1]
            attention = float(torch.tensor(attention, dtype=torch.float32))
            f.write("%s\n%s\n%d %s %d\n%s\n" % (name, text, longest, attention.hex(), len(inv), " ".join(float(v).hex() for v in inv)))


if __name__ == "__main__":
    main()
