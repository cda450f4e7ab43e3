"""Clips beside the ffmpeg program, and the memory that they take.

    python clips.py [--build DIR] [--rounds 5] [--seconds 600]

Needs the ffmpeg program (with libx264) and core 0. Made with it: ten seconds of 1920x1080 at 30 frames a second, and for the memory another
ten of fewer bits, and these over and over for --seconds. Each round reads, on one core, through video-codec and with ffmpeg -threads 1:

  every   all frames, resized to 512 pixels of width with Lanczos
  some    one frame a second, so resized
  decode  all frames, as they are decoded: what the libraries take of it (ffmpeg only)

"direct" is ffmpeg's way, scale=512:-2 on YUV and then RGB; "same" does what video-codec does for the model's sake: RGB first, chroma interpolated, exactly
rounded, then Lanczos. Told: processor time a frame, and medians of ffmpeg's time over ours in each round (over 1: ours is faster). Then the
peak memory of a server (VmHWM) that has answered about the short clip, and of one that has about the long one; --isolate-codecs off and on (its
helpers' peaks are added). More than MOST_MORE between them, beside the file's own bytes, is an error.
"""
import argparse
import http.client
import json
import os
import pathlib
import re
import resource
import statistics
import subprocess
import tempfile

from common import SAMPLE, Server

MOST_MORE = 4  # MB beside its own bytes that a clip may take for being long
EXACT = "flags=bilinear+accurate_rnd+full_chroma_int+bitexact"
WAYS = {
    "direct": "scale=512:288:flags=lanczos,format=rgb24",
    "same": "scale=in_w:in_h:%s,format=gbrp,scale=512:288:flags=lanczos+accurate_rnd,format=gbrp" % EXACT,
}


def cpu(command):
    """Processor seconds of a command on core 0."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(["taskset", "-c", "0", *map(str, command)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ffmpeg(clip, way):
    return cpu(["ffmpeg", "-v", "error", "-threads", "1", "-filter_threads", "1", "-i", clip, *(["-vf", way] if way else []), "-f", "null", "-"])


def ours(build, clip, frames):
    return cpu([build / "peer_clip", build / "plugins" / "video-codec.so", "read", clip, "-", "512x288x3", frames])


def speed(build, clip, rounds):
    n, some, empty = 300, "0-299/30", cpu([build / "peer_clip", build / "plugins" / "video-codec.so", "look", clip])
    rows = []
    for _ in range(rounds):
        rows.append({"every": ours(build, clip, "0-299/1") - empty, "some": ours(build, clip, some) - empty, "decode": ffmpeg(clip, None),
                     **{w: ffmpeg(clip, f) for w, f in WAYS.items()},
                     "some direct": ffmpeg(clip, "fps=1," + WAYS["direct"])})
    middle = {k: statistics.median(r[k] for r in rows) for k in rows[0]}
    print("a frame, ms: ours %.1f; ffmpeg: decoding %.1f, direct %.1f, same %.1f" % tuple(1e3 * middle[k] / n for k in ("every", "decode", "direct", "same")))
    print("frames a second and core: ours %.0f, direct %.0f, same %.0f" % tuple(n / middle[k] for k in ("every", "direct", "same")))
    for us, them in (("every", "direct"), ("every", "same"), ("some", "some direct")):
        ratios = [r[them] / r[us] for r in rows]
        print("%-11s over %-5s %.2f (%.2f to %.2f)" % (them, us, statistics.median(ratios), min(ratios), max(ratios)))


def peak(pid):
    return int(re.search(r"VmHWM:\s+(\d+) kB", pathlib.Path("/proc/%d/status" % pid).read_text()).group(1)) / 1024


def family(pid):
    return [pid, *(c for t in os.listdir("/proc/%d/task" % pid) for c in map(int, pathlib.Path("/proc/%d/task/%s/children" % (pid, t)).read_text().split()))]


def memory(clips, folder):
    for isolate in ("off", "on"):
        found = {}
        for name, clip in clips.items():
            with Server(SAMPLE, "--isolate-codecs", isolate, "--allowed-local-media-path", str(folder)) as s:
                at_rest = sum(map(peak, family(s.process.pid)))
                c = http.client.HTTPConnection("127.0.0.1", s.port, timeout=600)
                parts = [{"type": "video_url", "video_url": {"url": clip.as_uri(), "max_frames": 8}}, {"type": "text", "text": "What does it say?"}]
                c.request("POST", "/v1/chat/completions", json.dumps({"messages": [{"role": "user", "content": parts}], "max_tokens": 4}),
                          {"Content-Type": "application/json"})
                r = c.getresponse()
                said = r.read()
                if r.status != 200:
                    raise RuntimeError(said.decode())
                found[name] = sum(map(peak, family(s.process.pid)))
                print("isolation %-3s %-5s %.1f MB, at rest %.1f" % (isolate, name, found[name], at_rest))
        more, bytes_more = found["long"] - found["short"], (clips["long"].stat().st_size - clips["short"].stat().st_size) / 2**20
        print("isolation %-3s the long clip takes %.1f MB more; its file has %.1f MB more" % (isolate, more, bytes_more))
        if more - bytes_more > MOST_MORE:
            raise SystemExit("that is more than %d MB beside the file" % MOST_MORE)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2] / "build")
    p.add_argument("--rounds", type=int, default=5, help="0: memory only")
    p.add_argument("--seconds", type=int, default=600)
    args = p.parse_args()
    with tempfile.TemporaryDirectory(prefix="sensorium-") as folder:
        folder = pathlib.Path(folder)
        clip, short, long = folder / "clip.mp4", folder / "short.mp4", folder / "long.mp4"
        picture = "testsrc2=size=1920x1080:rate=30:duration=10"
        encode = ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p"]
        make = ["ffmpeg", "-v", "error", "-y"]
        subprocess.run([*make, "-f", "lavfi", "-i", picture, *encode, "-crf", "23", clip], check=True)
        subprocess.run([*make, "-f", "lavfi", "-i", picture, *encode, "-b:v", "150k", short], check=True)
        subprocess.run([*make, "-stream_loop", str(args.seconds // 10 - 1), "-i", short, "-c", "copy", long], check=True)
        if args.rounds:
            speed(args.build, clip, args.rounds)
        memory({"short": short, "long": long}, folder)


if __name__ == "__main__":
    main()
