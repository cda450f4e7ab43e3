#!/usr/bin/env python3
"""Makes the goldens beside it with Hugging Face transformers' SmolVLM2 video processor and processor: python make.py

  clips.txt    frames fps seconds width height option_fps option_max longest side n_rows  n fit_w fit_h indices_hash bytes text_hash
               which frames SmolVLMVideoProcessor samples, how large their first resize makes them, and the text that SmolVLMProcessor puts
               for <video>. An option of 0: the checkpoint's own (1 frame a second, 64 at most). fps 0: one frame, whose rate is not known;
               the reference then wants one, and is told 24
  resize.txt   in_w in_h out_w out_h seed hash: torch's antialiased Lanczos of u8, by way of torchvision, on the pictures of ../image
  normal.bin   f32, [2][3][256]: the pixel values that the video processor makes of each colour, for MEANS and STDS
  frames.bin   u8, [4][side][side][3]: what the video processor's resizes make of u8 frames (SIZES below, pictures of ../image/common.py)

fps and seconds are hexadecimal floats. Needs torch, torchvision and num2words.
"""
import os
import sys

import numpy as np
import torch
import torchvision
import torchvision.transforms.v2.functional as tvF
import transformers
from transformers.image_utils import SizeDict
from transformers.models.smolvlm.processing_smolvlm import SmolVLMProcessor
from transformers.models.smolvlm.video_processing_smolvlm import SmolVLMVideoProcessor, get_resize_output_image_size
from transformers.video_utils import VideoMetadata

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "image"))
from common import fnv64, picture  # noqa: E402

SIZES = [(160, 90), (45, 61), (1, 1), (301, 200)]
SIDE = 64
MEANS, STDS = [(0.5,) * 3, (0.48145466, 0.4578275, 0.40821073)], [(0.5,) * 3, (0.26862954, 0.26130258, 0.27577711)]


def video_processor(longest, side, fps=1, most=64):
    return SmolVLMVideoProcessor(max_image_size={"longest_edge": side},
                                 video_sampling={"fps": fps, "max_frames": most, "video_size": {"longest_edge": longest}})


def processor(n_rows):
    """The part that writes text; a tokenizer is not asked."""
    p = object.__new__(SmolVLMProcessor)
    p.fake_image_token, p.image_token, p.global_image_token = "<fake_token_around_image>", "<image>", "<global-img>"
    p.image_seq_len = n_rows
    return p


def make_resize():
    rng = np.random.default_rng(9)
    fixed = [(1, 1, 1, 1), (1, 1, 7, 5), (7, 5, 1, 1), (13, 9, 13, 9), (13, 9, 13, 4), (13, 9, 5, 9), (13, 9, 27, 30), (64, 48, 63, 47), (64, 48, 65, 49),
             (321, 177, 512, 282), (640, 360, 64, 36), (64, 36, 64, 64), (3, 999, 2, 64), (999, 3, 64, 2), (200, 100, 101, 99), (20, 600, 19, 30)]
    sizes = fixed + [tuple(map(int, rng.integers(1, 200, 4))) for _ in range(20)]
    with open(os.path.join(HERE, "resize.txt"), "w") as out:
        out.write(f"# torch {torch.__version__.split('+')[0]}, torchvision {torchvision.__version__.split('+')[0]}: in_w in_h out_w out_h seed hash\n")
        for k, (iw, ih, ow, oh) in enumerate(sizes):
            got = tvF.resize(torch.from_numpy(picture(iw, ih, k)).permute(2, 0, 1), [oh, ow], interpolation=tvF.InterpolationMode.LANCZOS)
            out.write(f"{iw} {ih} {ow} {oh} {k} {fnv64(got.permute(1, 2, 0).contiguous().numpy().tobytes()):016x}\n")


def make_normal():
    colours = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 1, 256).repeat(1, 3, 1, 1)
    p = SmolVLMVideoProcessor()
    values = [p.rescale_and_normalize(colours, True, 1 / 255, True, mean, std)[0, :, 0] for mean, std in zip(MEANS, STDS)]
    torch.stack(values).numpy().astype("<f4").tofile(os.path.join(HERE, "normal.bin"))


def clips():
    rng = np.random.default_rng(6)
    fixed = [(1, 0.0, 0.0), (1, 25.0, 0.04), (2, 25.0, 0.08), (12, 4.0, 3.0), (30, 29.97, 1.001), (75, 30.0, 2.5), (105, 30.0, 3.5),
             (10000, 24.0, 10000 / 24), (10000, 29.97002997002997, 333.6667), (1980, 30.0, 66.0), (1990, 30.0, 66.3334), (1650, 25.0, 66.0),
             (1651, 25.0, 66.04), (3, 0.5, 6.0), (100, 1.0, 100.0), (7, 0.1, 70.0), (86400, 24.0, 3600.0), (216000, 60.0, 3600.0), (172800, 25.0, 6912.0)]
    for n, fps, seconds in fixed:
        yield n, fps, seconds
    for _ in range(60):
        fps = float(rng.choice([10, 12.5, 15, 23.976023976023978, 24, 25, 29.97, 30, 50, 59.94, 60, rng.uniform(1, 120)]))
        n = int(rng.integers(1, int(rng.choice([50, 500, 5000, 20000]))))
        yield n, fps, n / fps * float(rng.choice([1, 1, 1.01, 0.97]))


def main():
    make_resize()
    make_normal()
    rng = np.random.default_rng(7)
    with open(os.path.join(HERE, "clips.txt"), "w") as out:
        out.write(f"# transformers {transformers.__version__}: see make.py\n")
        for i, (n, fps, seconds) in enumerate(clips()):
            options = [(0, 0), (2, 0), (0.5, 8), (30, 200), (float(rng.uniform(0.05, 5)), int(rng.integers(1, 130)))]
            for opt_fps, most in options[:2 if i % 2 else 5]:
                longest, side, n_rows = [(512, 512, 64), (384, 384, 81), (1000, 512, 64)][i % 3]
                w, h = [(1920, 1080), (1080, 1920), (640, 479), (1, 1), (333, 1), (500, 500), (2, 999)][i % 7]
                p = video_processor(longest, side)
                meta = VideoMetadata(total_num_frames=n, fps=fps or 24, duration=seconds, width=w, height=h)
                at = p.sample_frames(meta, num_frames=most or None, fps=opt_fps or None)
                meta.frames_indices = at
                fit_h, fit_w = get_resize_output_image_size(torch.empty(1, 3, h, w), longest)
                text = processor(n_rows).replace_video_token({"pixel_values": np.empty((1, len(at))), "video_metadata": [meta]}, 0)
                out.write(" ".join(map(str, (n, float(fps).hex(), float(seconds).hex(), w, h, float(opt_fps).hex(), most, longest, side, n_rows,
                                             len(at), fit_w, fit_h))))
                out.write(f" {fnv64(np.asarray(at, '<u4').tobytes()):016x} {len(text)} {fnv64(text.encode()):016x}\n")
    p = video_processor(SIDE, SIDE)
    frames = [p.resize(torch.from_numpy(picture(w, h, k)).permute(2, 0, 1)[None], SizeDict(longest_edge=SIDE), resample=p.resample)[0]
              for k, (w, h) in enumerate(SIZES)]
    assert all(f.dtype == torch.uint8 for f in frames)
    np.stack([f.permute(1, 2, 0).numpy() for f in frames]).tofile(os.path.join(HERE, "frames.bin"))


if __name__ == "__main__":
    main()
