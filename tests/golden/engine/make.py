"""Random-weight miniature of SmolVLM, run by transformers in float32: what tests/unit/test_engine.c compares with.

    python make.py        # needs torch, transformers, gguf, pillow (samples/training/requirements.txt)

Writes model.gguf and mmproj.gguf (F32), picture.png, and raw little-endian arrays:
  text.ids, picture.ids   i32  prompt token ids (the picture's rows as <image> ids)
  text.logits             f32  [n, vocab] of every prompt row
  picture.rows            f32  [n_rows, hidden] what the tower and the projector make of the picture
  picture.logits          f32  [vocab] of the last prompt row
  text.greedy, picture.greedy  i32 [64] greedy continuation
The seed is the first one with which the two best logits of all greedy steps lie more than 1e-2 apart, so that rounding
cannot change an id, and with which no special token comes up.
"""
import os
import sys

import numpy as np
import torch
from PIL import Image
from transformers import Idefics3Config, Idefics3ForConditionalGeneration, Idefics3ImageProcessorPil

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "..", "samples", "training"))
import export  # noqa: E402
import model as m  # noqa: E402

STEPS, MARGIN = 64, 1e-2
CONFIG = m.Config(image_size=64, patch_size=16, v_hidden=32, v_layers=2, v_heads=2, v_mlp=48, scale_factor=2, hidden=64,
                  layers=3, heads=4, kv_heads=2, head_dim=16, mlp=96, positions=512)
END = set(m.TOKEN.values())  # no special token: ends stop, and an <image> would want pixels


def picture():
    """100 x 80, edges and slopes in every channel."""
    y, x = np.mgrid[0:80, 0:100]
    rgb = np.stack([(x * 5 + y) % 256, (x * y // 7) % 256, ((x // 9 + y // 11) % 2) * 200 + x // 4], -1)
    return Image.fromarray(rgb.astype(np.uint8))


def build(seed):
    c = CONFIG
    torch.manual_seed(seed)
    config = Idefics3Config(
        image_token_id=m.IMAGE, scale_factor=c.scale_factor, tie_word_embeddings=True,
        text_config=dict(model_type="llama", vocab_size=c.vocab, hidden_size=c.hidden, intermediate_size=c.mlp,
                         num_hidden_layers=c.layers, num_attention_heads=c.heads, num_key_value_heads=c.kv_heads,
                         head_dim=c.head_dim, rope_theta=c.rope_theta, rms_norm_eps=c.eps,
                         max_position_embeddings=c.positions, tie_word_embeddings=True, pad_token_id=0),
        vision_config=dict(image_size=c.image_size, patch_size=c.patch_size, hidden_size=c.v_hidden,
                           intermediate_size=c.v_mlp, num_hidden_layers=c.v_layers, num_attention_heads=c.v_heads,
                           hidden_act="gelu_pytorch_tanh", layer_norm_eps=c.v_eps))
    model = Idefics3ForConditionalGeneration._from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.ndim == 1:
                p.normal_(1.0 if "norm" in name and name.endswith("weight") else 0.0, 0.2)
            else:
                p.normal_(0, 0.25 if "embed" in name else 1.3 * p[0].numel() ** -0.5)
    return model


def pixels(image):
    """By the reference processor, the one that resizes as Pillow does."""
    side = {"longest_edge": CONFIG.image_size}
    processor = Idefics3ImageProcessorPil(size=side, max_image_size=side, do_image_splitting=False)
    return torch.as_tensor(np.asarray(processor([image])["pixel_values"]), dtype=torch.float32)


def greedy(model, ids, pix):
    """Logits of the prompt, ids of the continuation, the smallest margin met."""
    out, first, margin = list(ids), None, 1e9
    with torch.no_grad():
        for _ in range(STEPS):
            logits = model(input_ids=torch.tensor([out]), pixel_values=pix).logits[0]
            first = logits if first is None else first
            top = logits[-1].topk(2).values
            margin = min(margin, float(top[0] - top[1]))
            out.append(int(logits[-1].argmax()))
            if margin < MARGIN or out[-1] in END:
                return first, None, margin
    return first, out[len(ids):], margin


def tokens(text):
    return list(text.encode())


def write_f32(writer, state, names, file):
    for source, where, target, heads in names:
        if where == file:
            a = state[source].float().numpy()
            writer.add_tensor(target, np.ascontiguousarray(export.interleave(a, heads) if heads else a))


def main():
    image = picture()
    rows = (CONFIG.image_size // CONFIG.patch_size // CONFIG.scale_factor) ** 2
    t = m.TOKEN
    start, end = t["<|im_start|>"], t["<end_of_utterance>"]
    text_ids = [start] + tokens("User: Count to 10 in \u00e9nglish!") + [end] + tokens("\nAssistant:")
    picture_ids = ([start] + tokens("User:") + [t["<fake_token_around_image>"], t["<global-img>"]] + [m.IMAGE] * rows
                   + [t["<fake_token_around_image>"]] + tokens("What is it?") + [end] + tokens("\nAssistant:"))
    for seed in range(1000):
        model = build(seed)
        text_logits, text_out, a = greedy(model, text_ids, None)
        if text_out is None:
            continue
        picture_logits, picture_out, b = greedy(model, picture_ids, pixels(image))
        if picture_out is not None:
            break
    print("seed %d, smallest margins %.4f and %.4f" % (seed, a, b))
    with torch.no_grad():
        features = model.model.get_image_features(pixels(image), torch.ones(1, 1, *(CONFIG.image_size,) * 2, dtype=torch.bool))
        features = getattr(features, "pooler_output", features)

    def put(name, array, kind):
        np.asarray(array, kind).tofile(os.path.join(HERE, name))

    put("text.ids", text_ids, "<i4")
    put("text.logits", text_logits.numpy(), "<f4")
    put("text.greedy", text_out, "<i4")
    put("picture.ids", picture_ids, "<i4")
    put("picture.rows", torch.cat(list(features)).numpy() if isinstance(features, (list, tuple)) else features.numpy(), "<f4")
    put("picture.logits", picture_logits[-1].numpy(), "<f4")
    put("picture.greedy", picture_out, "<i4")
    image.save(os.path.join(HERE, "picture.png"))
    export.write_tensors = write_f32
    state = {k: v for k, v in model.state_dict().items()}
    export.write_model(state, CONFIG, os.path.join(HERE, "model.gguf"))
    export.write_mmproj(state, CONFIG, os.path.join(HERE, "mmproj.gguf"))


if __name__ == "__main__":
    main()
