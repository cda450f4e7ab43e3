"""siglip's way with clips beside transformers' SmolVLM2 processor as it comes, which decodes by torchcodec.

    python peer_watch.py [BUILD] [FOLDER]      # default: build, and the clips of peer_video.py in a temporary folder

Needs what peer_video.py needs, torch, torchvision, torchcodec, num2words. Checked, for each clip of FOLDER that both read, and several sizes
and options:
  clip      width and height upright, frames, and to the last bit frames a second and seconds
  chosen    the indices of the frames
  text      the whole prompt
  colours   of the frames that video-codec decoded the processor makes the very pixel values that siglip makes
Told: how far these are, on average, from what the processor makes of torchcodec's frames, whose YUV is converted otherwise.
"""
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "golden" / "watch"))
import peer_video  # noqa: E402
from reference import Reference, text_of  # noqa: E402

OPTIONS = [(64, 64, 4, 0, 0), (512, 512, 64, 2, 12), (384, 384, 81, 0.7, 0), (1000, 64, 4, 30, 7)]


def ours(build, path, out, options):
    run = subprocess.run([build / "peer_watch", path, out,
                          *map(str, options)], capture_output=True)
    if run.returncode:
        return None, (run.stderr + run.stdout).decode(errors="replace").strip()
    head, chosen, text = run.stdout.decode().split("\n", 2)
    width, height, n, fps, seconds = head.split()
    side = options[1]
    colours = np.fromfile(out, np.uint8).reshape(-1, side, side, 3)
    return (int(width), int(height), int(n), float.fromhex(fps), float.fromhex(seconds)), ([int(i) for i in chosen.split()], text, colours)


def native(build, path, out, size, chosen):
    subprocess.run([build / "peer_clip", build / "plugins" / "video-codec.so", "read", path, out, "-", *map(str, chosen)], check=True, capture_output=True)
    return np.fromfile(out, np.uint8).reshape(-1, size[1], size[0], 3)


def compare(check, build, path, out, options):
    longest, side, n_rows, fps, most = options
    r = Reference(longest, side, n_rows)
    try:
        meta, at, ids, pixels = r.ask(path, "Well?", fps, most)
    except Exception as e:  # noqa: BLE001
        print("-      %-14s torchcodec does not read it: %s" % (path.name, str(e).split("\n")[0][-90:]))
        return False
    info, rest = ours(build, path, out, options)
    if not check(info is not None, path.name, "refused: %s" % (rest,)):
        return False
    want = (meta.width, meta.height, meta.total_num_frames, float(meta.fps), float(meta.duration))
    check(info == want, "%s clip" % path.name, "%s, not %s" % (info, want))
    chosen, text, colours = rest
    if not check(chosen == [int(i) for i in at], "%s chosen" % path.name, "%s, not %s" % (chosen, list(at))):
        return True
    told = text_of(ids).decode()
    check(told == "<|im_start|>User: " + text + "Well?<end_of_utterance>\nAssistant:", "%s text" % path.name, text[:200])
    frames = torch.from_numpy(native(build, path, out, info, chosen).copy()).permute(0, 3, 1, 2).contiguous()
    made = r.video([frames], do_sample_frames=False, return_tensors="pt")["pixel_values"][0]
    check(np.array_equal(r.colours(made), colours), "%s colours" % path.name)
    mine = torch.from_numpy(colours.astype(np.int16))
    off = np.abs(mine.numpy() - r.colours(pixels).astype(np.int16))
    print("ok     %-14s %d x %d, %d of %d frames, %.6g a second; from torchcodec's colours %.2f on average, %d at most"
          % (path.name, *info[:2], len(chosen), info[2], info[3], off.mean(), off.max()), flush=True)
    return True


def main():
    build = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else peer_video.REPO / "build").resolve()
    check, n = peer_video.Verdict(), 0
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as made, tempfile.NamedTemporaryFile() as out:
        folder = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else made)
        if len(sys.argv) < 3:
            peer_video.make(folder)
        for path in sorted(folder.iterdir()):
            if path.name.split(".")[0] == "speech":
                continue
            for options in OPTIONS:
                if not compare(check, build, path, out.name, options):
                    break
                n += 1
    print("%d failed" % check.failed if check.failed else "all %d as transformers has it" % n)
    return check.failed > 0


if __name__ == "__main__":
    sys.exit(main())
