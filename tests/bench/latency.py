"""How long the sample model makes one wait, through HTTP.

    python latency.py [--runs 9] [--threads N]

Needs pillow. SENSORIUM_BIN names the program (default build/sensorium). Prints medians, and the best and the worst run:
exec to the first 200 of /readyz; first token and whole answer to a new 320x240 picture; to the same picture again
(no encoder run); generation speed of text; the sizes of what is installed. Goals on 2 free cores: ready in 1 s, first
token of a picture in 200 ms, the answer in 1 s.
"""
import argparse

import common
from common import SAMPLE, Server, ask, drawn, median, picture_part


def line(what, values, unit, goal=None):
    met = "" if goal is None else "  goal %g %s: %s" % (goal, unit, "met" if median(values) <= goal else "missed")
    print("%-44s %8.1f %s  (%.1f to %.1f)%s" % (what, median(values), unit, min(values), max(values), met), flush=True)


def sizes():
    files = [common.BIN] + sorted(common.BIN.parent.glob("plugins/*.so"))
    for f in files:
        print("%-44s %8.0f KB" % (f.name, f.stat().st_size / 1024))
    print("%-44s %8.0f KB" % ("together", sum(f.stat().st_size for f in files) / 1024))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--runs", type=int, default=9)
    p.add_argument("--threads", default="0")
    args = p.parse_args()
    flags = ("--threads", args.threads)
    print(common.machine())
    started = []
    for _ in range(args.runs):
        with Server(SAMPLE, *flags) as s:
            started.append(s.started_s * 1e3)
    line("exec to /readyz 200", started, "ms", 1000)
    with Server(SAMPLE, *flags) as s:
        question = {"type": "text", "text": "Read the image."}
        ask(s, [picture_part(drawn(999)), question], 32)
        new, again = [], []
        for i in range(args.runs):
            part = picture_part(drawn(i))
            new.append(ask(s, [part, question], 32))
            again.append(ask(s, [part, question], 32))
        line("new picture: first token", [a.first_s * 1e3 for a in new], "ms", 200)
        line("new picture: whole answer", [a.whole_s * 1e3 for a in new], "ms", 1000)
        line("same picture again: first token", [a.first_s * 1e3 for a in again], "ms")
        line("same picture again: whole answer", [a.whole_s * 1e3 for a in again], "ms")
        text = [ask(s, "Hello %d" % i, 256, ignore_eos=True, logprobs=True) for i in range(args.runs)]
        line("text: first token", [a.first_s * 1e3 for a in text], "ms")
        print("%-44s %8.0f /s" % ("text: tokens after the first, one stream", median([1e3 / median(a.gaps_ms) for a in text])))
        print("%-44s %8.0f MB" % ("most memory resident", s.peak_bytes() / 2**20))
    sizes()


if __name__ == "__main__":
    main()
