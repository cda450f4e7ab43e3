"""The miniature of make.py on clips, run by transformers in float32: what tests/unit/test_engine_watch.c compares with.

    python watch.py        # needs what make.py needs, torchvision, torchcodec and num2words; ../watch/files.py before it

Writes watch.png, an animated PNG (six frames, two a second, of the tower's size: nothing is lost, nothing resized), and of the prompt with
the clip sampled at two frames a second by SmolVLMVideoProcessor and told by SmolVLMProcessor:
  watch.ids     i32  prompt token ids
  watch.rows    f32  [frames * rows, hidden]
  watch.logits  f32  [vocab] of the last prompt row
  watch.greedy  i32  [16] greedy continuation, as far as the two best logits of a step are 1e-3 apart
and the same, as watch-NAME.ids and so on, of clips of ../watch, decoded by the processor itself.
"""
import os
import re
import sys

import numpy as np
import torch
from PIL import Image
from transformers.models.smolvlm.processing_smolvlm import SmolVLMProcessor
from transformers.models.smolvlm.video_processing_smolvlm import SmolVLMVideoProcessor
from transformers.video_utils import VideoMetadata

import make
from make import CONFIG, HERE, m

sys.path.insert(0, os.path.join(HERE, "..", "watch"))
from reference import Reference  # noqa: E402

FRAMES, FPS, STEPS, MARGIN = 6, 2, 16, 1e-3
QUESTION = "What happens?"
FILES = ["vfr.mp4", "turn90.mp4", "bframes.mp4", "odd.mp4"]


def frames():
    side = CONFIG.image_size
    y, x = np.mgrid[0:side, 0:side]
    return np.stack([np.stack([(x * 4 + 40 * k) % 256, (y * 3 + x * k) % 256, ((x // 8 + y // 8 + k) % 2) * 180 + y // 2], -1)
                     for k in range(FRAMES)]).astype(np.uint8)


def the_model():
    """make.py's, found again by what it said."""
    ids = np.fromfile(os.path.join(HERE, "text.ids"), "<i4")
    want = np.fromfile(os.path.join(HERE, "text.logits"), "<f4")
    for seed in range(1000):
        model = make.build(seed)
        with torch.no_grad():
            got = model(input_ids=torch.tensor([ids.tolist()])).logits[0].numpy().ravel()
        if np.abs(got - want).max() < 1e-3:
            print("seed", seed)
            return model
    raise SystemExit("the model of make.py is not found")


def to_ids(text):
    out = []
    for piece in re.split("(%s)" % "|".join(map(re.escape, m.TOKEN)), text):
        out += [m.TOKEN[piece]] if piece in m.TOKEN else list(piece.encode())
    return out


def of_png():
    """Prompt ids and pixel values of watch.png, which is written here."""
    side, rows = CONFIG.image_size, (CONFIG.image_size // CONFIG.patch_size // CONFIG.scale_factor) ** 2
    video = frames()
    pictures = [Image.fromarray(f) for f in video]
    pictures[0].save(os.path.join(HERE, "watch.png"), save_all=True, append_images=pictures[1:], duration=1000 // FPS, loop=0)
    processor = SmolVLMVideoProcessor(max_image_size={"longest_edge": side}, do_sample_frames=True, image_mean=[0.5] * 3, image_std=[0.5] * 3,
                                      video_sampling={"fps": FPS, "max_frames": 64, "video_size": {"longest_edge": side}})
    meta = VideoMetadata(total_num_frames=FRAMES, fps=FPS, duration=FRAMES / FPS, width=side, height=side)
    out = processor(torch.from_numpy(video).permute(0, 3, 1, 2), video_metadata=meta, return_tensors="pt", return_metadata=True)
    writer = object.__new__(SmolVLMProcessor)
    writer.fake_image_token, writer.image_token, writer.global_image_token = "<fake_token_around_image>", "<image>", "<global-img>"
    writer.image_seq_len = rows
    told = writer.replace_video_token({"pixel_values": out["pixel_values"], "video_metadata": out["video_metadata"]}, 0)
    # ": ", as the reference's chat template for videos has it where the first part is no picture
    return to_ids("<|im_start|>User: " + told + QUESTION + "<end_of_utterance>\nAssistant:"), out["pixel_values"].float()


def of_file(name):
    """Prompt ids and pixel values of a clip of ../watch, by the processor as it comes."""
    side, rows = CONFIG.image_size, (CONFIG.image_size // CONFIG.patch_size // CONFIG.scale_factor) ** 2
    _, _, ids, pixels = Reference(side, side, rows).ask(os.path.join(HERE, "..", "watch", name), QUESTION, FPS)
    return ids, pixels[None]


def main():
    model = the_model()
    cases = [("watch", of_png())] + [("watch-" + name.split(".")[0], of_file(name)) for name in FILES]
    for name, (ids, pixels) in cases:
        run(model, name, ids, pixels)


def run(model, name, ids, pixels):
    with torch.no_grad():
        features = model.model.get_image_features(pixels, torch.ones(*pixels.shape[:2], *pixels.shape[3:], dtype=torch.bool))
        features = getattr(features, "pooler_output", features)
        features = torch.cat(list(features)) if isinstance(features, (list, tuple)) else features
        said, first, margin = list(ids), None, 1e9
        for _ in range(STEPS):
            logits = model(input_ids=torch.tensor([said]), pixel_values=pixels).logits[0, -1]
            first = logits if first is None else first
            top = logits.topk(2).values
            if float(top[0] - top[1]) < MARGIN:
                break
            margin = min(margin, float(top[0] - top[1]))
            said.append(int(logits.argmax()))
    print("%s: %d frames, %d rows of prompt, %d steps, smallest margin %.4f" % (name, pixels.shape[1], len(ids), len(said) - len(ids), margin))
    assert len(said) - len(ids) >= 4
    for part, array, kind in [("ids", ids, "<i4"), ("rows", features.numpy().reshape(-1, CONFIG.hidden), "<f4"), ("logits", first.numpy(), "<f4"),
                              ("greedy", said[len(ids):], "<i4")]:
        np.asarray(array, kind).tofile(os.path.join(HERE, name + "." + part))


if __name__ == "__main__":
    main()
