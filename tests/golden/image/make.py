#!/usr/bin/env python3
"""Makes the goldens beside it with Pillow and Hugging Face transformers (Pillow backend): python make.py [part ...]

  resize.txt       filter in_w in_h out_w out_h seed hash           Image.resize, hash of the u8 result
  idefics3.txt     w h seed longest side splitting rows cols n hash SmolVLMImageProcessorPil, hash of pixel_values as patches
  positions.txt    side ids[side]                                   the buckets of SmolVLMVisionEmbeddings
  decode.txt       file w h hash: what Pillow makes of the files in decode/, upright, on white; .rgb beside JPEG files: the pixels
  prompts.txt      w h longest side n_rows rows cols bytes hash: the text that SmolVLMProcessor puts for one picture
  siglip-*.bin     rows of miniature vision towers, f32

Hashes: FNV-1a over 8-byte words. Pictures and weights are formulas (common.py), made again in C.
"""
import os
import sys

import numpy as np
import PIL
from PIL import Image

from common import fnv64, picture, weights

HERE = os.path.dirname(os.path.abspath(__file__))

FILTERS = {0: Image.Resampling.BILINEAR, 1: Image.Resampling.BICUBIC, 2: Image.Resampling.LANCZOS}


def make_resize():
    sizes = [(1, 1, 1, 1), (1, 1, 7, 5), (7, 5, 1, 1), (13, 9, 13, 9), (13, 9, 13, 4), (13, 9, 5, 9), (13, 9, 27, 9),
             (13, 9, 13, 30), (64, 48, 63, 47), (64, 48, 65, 49), (100, 37, 33, 91), (400, 800, 192, 384), (800, 400, 384, 192),
             (333, 222, 512, 512), (640, 480, 37, 21), (1, 500, 3, 64), (500, 1, 64, 3), (2048, 3, 512, 512), (3, 2, 301, 203),
             (1000, 1000, 7, 999), (255, 257, 256, 256), (4001, 11, 97, 13), (65535, 1, 512, 2), (1, 65535, 2, 512)]
    with open(os.path.join(HERE, "resize.txt"), "w") as out:
        out.write(f"# Pillow {PIL.__version__}: filter in_w in_h out_w out_h seed hash\n")
        for kind, resample in FILTERS.items():
            for k, (iw, ih, ow, oh) in enumerate(sizes):
                got = np.asarray(Image.fromarray(picture(iw, ih, k)).resize((ow, oh), resample))
                out.write(f"{kind} {iw} {ih} {ow} {oh} {k} {fnv64(got.tobytes()):016x}\n")


def patches(pixel_values, patch):
    """[n, 3, H, W] -> [n, H/p * W/p, 3 * p * p] in the order of a flattened convolution weight."""
    n, c, h, w = pixel_values.shape
    x = pixel_values.reshape(n, c, h // patch, patch, w // patch, patch)
    return np.ascontiguousarray(x.transpose(0, 2, 4, 1, 3, 5).astype(np.float32))


def make_idefics3():
    import transformers
    from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

    sizes = [(1, 1), (1, 2), (2, 1), (3, 3), (1, 65535), (65535, 1), (1, 97), (97, 1), (400, 800), (800, 400), (640, 480), (479, 641),
             (192, 192), (191, 193), (1000, 3), (3, 1000), (512, 512), (513, 511), (777, 333), (1921, 1081), (30, 29), (5000, 40),
             (101, 100), (100, 101), (1366, 768), (257, 4097)]
    settings = [(192, 192, 16, 0), (192, 192, 16, 1), (384, 96, 8, 1), (100, 64, 16, 1), (384, 128, 16, 0), (5000, 1024, 16, 1)]
    with open(os.path.join(HERE, "idefics3.txt"), "w") as out:
        out.write(f"# transformers {transformers.__version__}, Pillow {PIL.__version__}: w h seed longest side patch splitting rows cols n hash\n")
        for longest, side, patch, splitting in settings:
            processor = SmolVLMImageProcessorPil(size={"longest_edge": longest}, max_image_size={"longest_edge": side},
                                                 do_image_splitting=bool(splitting), return_row_col_info=True)
            for k, (w, h) in enumerate(sizes if longest < 4096 else sizes[:1] + sizes[8:11]):
                got = processor(Image.fromarray(picture(w, h, k)), return_tensors="np")
                values = got["pixel_values"][0]
                assert got["pixel_attention_mask"].all()
                out.write(f"{w} {h} {k} {longest} {side} {patch} {splitting} {got['rows'][0][0]} {got['cols'][0][0]} {len(values)} "
                          f"{fnv64(patches(values, patch).tobytes()):016x}\n")


def bucket_ids(side):
    """The position buckets of one full axis, by the reference's own embedding module."""
    import torch
    from transformers import SmolVLMVisionConfig
    from transformers.models.smolvlm.modeling_smolvlm import SmolVLMVisionEmbeddings

    module = SmolVLMVisionEmbeddings(SmolVLMVisionConfig(image_size=side, patch_size=1, hidden_size=1))
    with torch.no_grad():
        module.patch_embedding.weight.zero_()
        module.patch_embedding.bias.zero_()
        module.position_embedding.weight.copy_(torch.arange(side * side).float()[:, None])
        ids = module(torch.zeros(1, 3, side, side), torch.ones(1, side, side, dtype=torch.bool))[0, :, 0].long().view(side, side)
    row = ids[0]
    assert (ids == row[:, None] * side + row[None]).all()
    return row.tolist()


def make_positions():
    with open(os.path.join(HERE, "positions.txt"), "w") as out:
        out.write("# side ids[side]\n")
        for side in list(range(1, 65)) + [72, 84, 96, 97, 112, 121, 126, 127, 128, 137, 254, 255, 256]:
            out.write(" ".join(map(str, [side] + bucket_ids(side))) + "\n")


# name: image patch E ff layers heads scale H longest, picture w h. Side 25 has merged position buckets, side 27 has
# not; 55 pixels leave one over.
TOWERS = {
    "one": (64, 16, 48, 96, 2, 3, 2, 40, 64, 100, 70),
    "split": (32, 8, 24, 48, 2, 3, 2, 20, 96, 90, 61),
    "side27": (55, 2, 16, 32, 1, 2, 3, 12, 55, 60, 47),
    "side25": (50, 2, 16, 32, 1, 2, 5, 12, 50, 31, 200),
}


def tower(image, patch, embd, ff, layers, heads, scale, row_dim):
    """The reference vision tower and connector, with weights that are functions of their GGUF names."""
    import torch
    from transformers import SmolVLMConfig
    from transformers.models.smolvlm.modeling_smolvlm import SmolVLMConnector, SmolVLMVisionTransformer

    config = SmolVLMConfig(
        vision_config=dict(image_size=image, patch_size=patch, hidden_size=embd, intermediate_size=ff, num_hidden_layers=layers,
                           num_attention_heads=heads, hidden_act="gelu_pytorch_tanh", layer_norm_eps=1e-6),
        text_config=dict(model_type="llama", hidden_size=row_dim, num_attention_heads=2, num_key_value_heads=2), scale_factor=scale)
    config.vision_config._attn_implementation = "eager"
    vision, connector = SmolVLMVisionTransformer(config.vision_config).float().eval(), SmolVLMConnector(config).float().eval()

    def fill(parameter, name, size, offset=0.0):
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(weights(name, parameter.numel(), size, offset)).view(parameter.shape))

    def linear(module, name, size=0.5):
        fill(module.weight, name + ".weight", size)
        if module.bias is not None:
            fill(module.bias, name + ".bias", 0.25)

    def norm(module, name):
        fill(module.weight, name + ".weight", 0.5, 1.0)
        fill(module.bias, name + ".bias", 0.25)

    linear(vision.embeddings.patch_embedding, "v.patch_embd", 0.125)
    fill(vision.embeddings.position_embedding.weight, "v.position_embd.weight", 1.0)
    for i, layer in enumerate(vision.encoder.layers):
        blk = f"v.blk.{i}."
        norm(layer.layer_norm1, blk + "ln1")
        norm(layer.layer_norm2, blk + "ln2")
        for theirs, ours in (("q_proj", "attn_q"), ("k_proj", "attn_k"), ("v_proj", "attn_v"), ("out_proj", "attn_out")):
            linear(getattr(layer.self_attn, theirs), blk + ours)
        linear(layer.mlp.fc1, blk + "ffn_up")
        linear(layer.mlp.fc2, blk + "ffn_down")
    norm(vision.post_layernorm, "v.post_ln")
    linear(connector.modality_projection.proj, "mm.model.fc")
    return vision, connector


def make_siglip():
    import torch
    from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

    for name, (image, patch, embd, ff, layers, heads, scale, row_dim, longest, w, h) in TOWERS.items():
        processor = SmolVLMImageProcessorPil(size={"longest_edge": longest}, max_image_size={"longest_edge": image},
                                             image_mean=[0.5] * 3, image_std=[0.5] * 3)
        pixels = processor(Image.fromarray(picture(w, h, 77)), return_tensors="pt")["pixel_values"][0]
        vision, connector = tower(image, patch, embd, ff, layers, heads, scale, row_dim)
        with torch.no_grad():
            rows = connector(vision(pixel_values=pixels, patch_attention_mask=None).last_hidden_state)
        rows.reshape(-1, row_dim).numpy().astype("<f4").tofile(os.path.join(HERE, f"siglip-{name}.bin"))


def make_prompts():
    from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil
    from transformers.models.smolvlm.processing_smolvlm import get_image_prompt_string

    with open(os.path.join(HERE, "prompts.txt"), "w") as out:
        out.write("# w h longest side n_rows rows cols bytes hash\n")
        for longest, side, n_rows in ((2048, 512, 64), (1536, 384, 81), (192, 192, 36), (5000, 512, 64)):
            processor = SmolVLMImageProcessorPil(size={"longest_edge": longest}, max_image_size={"longest_edge": side})
            for w, h in ((1, 1), (640, 480), (480, 640), (512, 512), (3000, 7), (7, 3000), (333, 334), (1920, 1080)):
                _, rows, cols = processor.get_number_of_image_patches(h, w)
                text = get_image_prompt_string(rows, cols, n_rows, "<fake_token_around_image>", "<image>", "<global-img>").encode()
                out.write(f"{w} {h} {longest} {side} {n_rows} {rows} {cols} {len(text)} {fnv64(text):016x}\n")


def make_decode():
    import pictures

    pictures.make(HERE)


PARTS = {"resize": make_resize, "idefics3": make_idefics3, "positions": make_positions, "siglip": make_siglip,
         "prompts": make_prompts, "decode": make_decode}

if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        PARTS[part]()
