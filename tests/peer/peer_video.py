"""video-codec beside PyAV (FFmpeg's libraries of another version, in one plain pass over the whole clip).

    python peer_video.py [BUILD] [FOLDER]      # default: build, and clips that the ffmpeg program makes in a temporary folder

Needs av, numpy, pillow, and the ffmpeg program. Checked, for each clip:
  count       as many frames as PyAV decodes
  times       each frame's, from the earliest beginning of the picture and sound tracks: within half a millisecond
  frames      some indices, alone and together, those that need much left out too: the planes that PyAV decodes, made RGB by the ffmpeg
              program with accurate rounding; no value differs by more than BOUND. (PyAV's own conversion is of another version of
              swscale, which places chroma otherwise; how far it is off on average is told.)
  steps       frames resized here and by Pillow, from the same pixels: equal
  sound       (not of fragmented MP4, whose priming samples FFmpeg 5 keeps and FFmpeg 8 does not) as long as PyAV's, within SLACK seconds; as many decibels above the difference as codecs that round apart may have
"""
import pathlib
import subprocess
import sys
import tempfile

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from PIL import Image

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

REPO = pathlib.Path(__file__).resolve().parents[2]
BOUND = 2  # of 255: MPEG-4 is not decoded to the bit; all else is equal so far
SLACK = 0.06
RATE = 16000
HEARD_DB = 30

CLIPS = {  # name: what the ffmpeg program is told
    "plain.mp4": "-c:v libx264 -bf 3 -g 30 -c:a aac",
    "plain.mov": "-c:v libx264 -bf 3 -g 30 -c:a aac",
    "plain.mkv": "-c:v libx264 -bf 3 -g 30 -c:a aac",
    "plain.ts": "-c:v libx264 -bf 3 -g 30 -c:a aac",
    "fragments.mp4": "-c:v libx264 -bf 3 -g 30 -an -movflags frag_keyframe+empty_moov+delay_moov",
    "open.mkv": "-c:v libx264 -x264-params open-gop=1:bframes=3:keyint=25 -an",
    "refresh.mp4": "-c:v libx264 -x264-params intra-refresh=1:bframes=2:keyint=25 -an",
    "fields.mp4": "-vf interlace -c:v libx264 -x264-params interlaced=1:bframes=2 -an",
    "hevc.mp4": "-c:v libx265 -preset ultrafast -x265-params log-level=0:keyint=25 -c:a aac",
    "hevc.ts": "-c:v libx265 -preset ultrafast -x265-params log-level=0:keyint=25:open-gop=1 -c:a mp2 -an",
    "vp8.webm": "-c:v libvpx -auto-alt-ref 1 -lag-in-frames 16 -b:v 300k -g 30 -c:a libvorbis",
    "vp9.webm": "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 30 -c:a libopus",
    "vp9.mkv": "-c:v libvpx-vp9 -auto-alt-ref 1 -lag-in-frames 16 -deadline good -cpu-used 8 -g 30 -an",
    "av1.mp4": "-t 1 -c:v libaom-av1 -cpu-used 8 -g 10 -an",
    "mpeg4.avi": "-c:v mpeg4 -bf 2 -g 12 -c:a mp3",
    "mpeg4.mp4": "-c:v mpeg4 -bf 2 -g 12 -c:a aac",
    "mjpeg.avi": "-c:v mjpeg -c:a pcm_s16le",
    "moving.gif": "-t 1 -vf scale=80:60",
    "moving.png": "-t 1 -vf scale=80:60 -f apng",
    "odd.mp4": "-vf setpts='PTS+0.01*random(0)/TB',scale=321:243 -vsync vfr -c:v libx264 -pix_fmt yuv444p -bf 2 -an",
    "odd.webm": "-vf scale=321:243 -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -an",
    "high.mp4": "-c:v libx264 -pix_fmt yuv420p10le -colorspace bt709 -an",
    "full.mp4": "-vf scale=out_range=full -c:v libx264 -pix_fmt yuvj420p -color_range pc -an",
    "one.mp4": "-frames:v 1 -c:v libx264 -an",
    "speech.m4a": "-vn -c:a aac",
    "speech.aac": "-vn -c:a aac",
    "speech.webm": "-vn -c:a libopus",
    "speech.mkv": "-vn -c:a flac",
}
DERIVED = {  # name: from which, and how
    "cut.mp4": ("plain.mp4", ["-ss", "1.3"], "-c copy"),
    "turned.mp4": ("plain.mp4", [], "-c copy -metadata:s:v rotate=90"),
    "late.mp4": ("plain.mp4", ["-itsoffset", "0.4"], "-i {plain.mp4} -map 0:v -map 1:a -c copy"),
}


class Verdict:
    def __init__(self):
        self.failed = 0

    def __call__(self, good, what, detail=""):
        self.failed += not good
        if not good:
            print("FAILED %s (%s)" % (what, detail), flush=True)
        return good


def make(folder):
    source = ["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=4", "-f", "lavfi", "-i",
              "aevalsrc='0.3*sin(2*PI*t*(200+100*t))':s=44100:d=4"]
    for name, options in CLIPS.items():
        subprocess.run(["ffmpeg", "-loglevel", "error", "-y", *source, *options.replace("'", "").split(), folder / name], check=True,
                       stderr=subprocess.DEVNULL)
    for name, (base, before, options) in DERIVED.items():
        options = options.replace("{plain.mp4}", str(folder / "plain.mp4"))
        subprocess.run(["ffmpeg", "-loglevel", "error", "-y", *before, "-i", folder / base, *options.split(), folder / name], check=True)
    recording = (folder / "plain.ts").read_bytes()
    (folder / "middle.ts").write_bytes(recording[188 * (len(recording) // 188 // 3):])
    frames = [Image.fromarray(np.roll(np.tile(np.arange(64, dtype=np.uint8), (48, 1))[..., None] * np.array([1, 2, 3], dtype=np.uint8), 5 * i, 1))
              for i in range(12)]
    frames[0].save(folder / "moving.webp", save_all=True, append_images=frames[1:], duration=[40 + 10 * i for i in range(12)], lossless=True)


def on_white(rgba):
    alpha = rgba[..., 3:].astype(np.uint32)
    value = rgba[..., :3].astype(np.uint32) * alpha + 255 * (255 - alpha) + 128
    return ((value + (value >> 8)) >> 8).astype(np.uint8)


def planes(frame):
    """A frame's planes without what pads their lines."""
    out = []
    for plane, component in zip(frame.planes, frame.format.components if len(frame.planes) > 1 else [None]):
        lines = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
        deep = 2 if "10" in frame.format.name else 1
        out.append(lines[:, :plane.width * deep].tobytes())
    return b"".join(out)


def to_rgb(frames):
    """All frames of a clip, of one format, by the system's libswscale."""
    first = frames[0]
    matrix = {1: "bt709", 4: "fcc", 7: "smpte240m", 9: "bt2020"}.get(int(first.colorspace), "bt601")
    full = int(first.color_range) == 2 or first.format.name.startswith("yuvj")
    done = subprocess.run(["ffmpeg", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", first.format.name.replace("yuvj", "yuv"), "-s",
                           "%dx%d" % (first.width, first.height), "-i", "-", "-vf",
                           "scale=in_color_matrix=%s:in_range=%s:flags=bilinear+accurate_rnd+full_chroma_int+bitexact" % (matrix, "full" if full else "limited"),
                           "-pix_fmt", "gbrp", "-f", "rawvideo", "-"], input=b"".join(map(planes, frames)), capture_output=True, check=True)
    gbr = np.frombuffer(done.stdout, np.uint8).reshape(len(frames), 3, first.height, first.width)
    return list(np.stack([gbr[:, 2], gbr[:, 0], gbr[:, 1]], axis=-1))


def decode_plain(path):
    """Frames, their times, and (sound, its beginning), all of the container's clock."""
    if path.suffix == ".webp":
        picture = Image.open(path)
        frames, times, now = [], [], 0.0
        for i in range(picture.n_frames):
            picture.seek(i)
            frames.append(on_white(np.asarray(picture.convert("RGBA"))))
            times.append(now / 1000)
            now += picture.info["duration"]
        return frames, times, None, None
    frames, times = [], []
    with av.open(str(path)) as container:
        if container.streams.video:
            stream = container.streams.video[0]
            stream.thread_count = 1
            raw = list(container.decode(stream))
            times = [float(frame.pts * frame.time_base) for frame in raw]
            if raw[0].format.name in ("rgb24", "bgra", "rgba", "pal8", "ya8"):
                frames = [on_white(VideoReformatter().reformat(f, format="rgba").to_ndarray()) for f in raw]
            else:
                frames = to_rgb(raw)
                own = np.abs(raw[0].to_ndarray(format="rgb24").astype(int) - frames[0]).mean()
                print("       %-14s PyAV's own RGB is %.2f away on average" % (path.name, own))
            if path.name.startswith("turned"):
                frames = [np.rot90(f) for f in frames]
    samples, begin, rate = [], None, 0
    with av.open(str(path)) as container:
        if container.streams.audio:
            for frame in container.decode(container.streams.audio[0]):
                begin = float(frame.pts * frame.time_base) if begin is None else begin
                rate = frame.sample_rate
                x = frame.to_ndarray().astype(np.float64)
                x = x / 32768 if frame.format.name.startswith("s16") else x / 2**31 if frame.format.name.startswith("s32") else x
                samples.append(x.mean(0) if frame.format.is_planar else x.reshape(-1, frame.layout.nb_channels).mean(1))
    return frames, times, begin, (np.concatenate(samples), rate) if samples else None


class Clip:
    def __init__(self, build):
        self.program, self.plugin = build / "peer_clip", build / "plugins/video-codec.so"

    def __call__(self, *args):
        done = subprocess.run([self.program, self.plugin, *map(str, args)], capture_output=True, text=True)
        return done.returncode, done.stdout.splitlines(), done.stderr

    def frames(self, path, indices, shape, steps="-"):
        with tempfile.NamedTemporaryFile() as out:
            status, lines, why = self("read", path, out.name, steps, *indices)
            if status:
                return None, why
            return np.frombuffer(pathlib.Path(out.name).read_bytes(), np.uint8).reshape(len(lines), *shape, 3), [float(s.split()[1]) for s in lines]


def compare_pictures(check, clip, path, frames, times, zero):
    name = path.name
    status, lines, why = clip("look", path)
    if not check(status == 0, name + " is read", why):
        return
    width, height, n, seconds, fps, has_sound = lines[0].split()
    if not check(int(n) == len(frames), name + " count", "%s, PyAV %d" % (n, len(frames))):
        return
    check((int(height), int(width)) == frames[0].shape[:2], name + " size", "%sx%s, %s" % (width, height, frames[0].shape))
    late = max(abs(float(a) - (t - zero)) for a, t in zip(lines[1:], times))
    check(late < (0.0406 if path.suffix == ".avi" else 6e-4), name + " times", late)  # AVI does not tell when frames are shown
    shape, n, worst = frames[0].shape[:2], int(n), 0
    for indices in (["0-%d" % (n - 1)], [n - 1], [n // 2], [0, n // 3, n // 3, n // 2, n - 1], ["3-%d/17" % (n - 1)], ["0-%d/30" % (n - 1)]):
        if n < 4 and indices[0] != "0-%d" % (n - 1):
            continue
        got, at = clip.frames(path, indices, shape)
        if not check(got is not None, "%s frames %s" % (name, indices), at):
            continue
        wanted = []
        for i in indices:
            if isinstance(i, str):
                span, every = (i.split("/") + ["1"])[:2]
                wanted += range(int(span.split("-")[0]), int(span.split("-")[1]) + 1, int(every))
            else:
                wanted.append(i)
        for g, w in zip(got, wanted):
            d = np.abs(g.astype(int) - frames[w].astype(int)).max()
            worst = max(worst, d)
            check(d <= BOUND, "%s frame %d of %s" % (name, w, indices), d)
    got, _ = clip.frames(path, [n // 2], shape)
    small, _ = clip.frames(path, [n // 2], (50, 70), "90x64x2,70x50x1")
    if got is not None and small is not None:
        want = Image.fromarray(got[0]).resize((90, 64), Image.Resampling.LANCZOS).resize((70, 50), Image.Resampling.BICUBIC)
        check(np.array_equal(np.asarray(want), small[0]), name + " steps")
    print("ok     %-14s %4d frames, %sx%s, %s s, %s fps, worst difference %d" % (name, n, width, height, seconds, fps, worst), flush=True)


def compare_sound(check, clip, path, sound, ahead):
    samples, rate = sound
    with tempfile.NamedTemporaryFile() as out:
        status, lines, why = clip("sound", path, out.name, rate if rate >= 8000 else 8000)
        if not check(status == 0, path.name + " is heard", why):
            return
        got = np.frombuffer(pathlib.Path(out.name).read_bytes(), np.float32)
    lead = round(ahead * rate)
    off = (len(got) - lead - len(samples)) / rate
    check(abs(off) < SLACK, path.name + " length", off)
    n = min(len(got) - lead, len(samples))
    noise = got[lead:lead + n] - samples[:n]
    db = 10 * np.log10((samples[:n] ** 2).mean() / max((noise ** 2).mean(), 1e-20))
    check(db > HEARD_DB and not got[:max(lead - 1, 0)].any(), path.name + " samples", "%.1f dB" % db)
    print("ok     %-14s %d samples at %d Hz, %+d, %.0f dB" % (path.name, len(got), rate, len(got) - lead - len(samples), db), flush=True)


def main():
    build = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else REPO / "build").resolve()
    check, clip = Verdict(), Clip(build)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else folder)
        if len(sys.argv) < 3:
            make(folder)
        for path in sorted(folder.iterdir()):
            frames, times, begin, sound = decode_plain(path)
            starts = ([min(times)] if times else []) + ([begin] if begin is not None else [])
            zero = min(starts)
            if frames:
                compare_pictures(check, clip, path, frames, times, zero)
            if sound is not None:
                compare_sound(check, clip, path, sound, begin - zero)
    print("%d failed" % check.failed if check.failed else "all as PyAV has it")
    return check.failed > 0


if __name__ == "__main__":
    sys.exit(main())
