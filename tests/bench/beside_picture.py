"""What a large picture costs somebody else's tokens: the time between two tokens of one stream, alone and beside it.

    python beside_picture.py [--rounds 5] [--hidden 768] [--layers 12] [--kind F16]

Needs numpy, gguf, pillow. A random tower with 4,096 patches (512 pixels, patches of 8; 256 rows) over a random little
llama. Each round times the stream alone and then, at once, beside a picture never seen before, so that both meet the
same load of the machine; gaps beside it count from the picture's request to its first token. Goal: the 99th percentile
beside it is at most that alone plus one slice of 20 ms. A machine that is busy with other things delays both, and a token
that waits for 20 ms of work meets such a delay more often than one that waits for 1 ms: so each round also times how
long 20 ms of one core's work take here. The engine's own view follows: how long its slices of encoder
work took, from sensorium_job_slice_seconds, and the tokens' distances, from sensorium_inter_token_latency_seconds.
"""
import argparse
import os
import tempfile
import threading
import time

import common
import random_models
from common import Server, ask, drawn, median, picture_part, quantile

SLICE_MS, ALONE_TOKENS, LONGEST = 20, 1500, 7000


def stream(server, max_tokens, stop=None):
    return ask(server, "go on %d" % time.monotonic_ns(), max_tokens, stop, ignore_eos=True, logprobs=True)


def beside(server, seed):
    """-> (gaps of the stream while the picture is in work, seconds to the picture's first token)"""
    stop, got = threading.Event(), []
    t = threading.Thread(target=lambda: got.append(stream(server, LONGEST, stop)))
    t.start()
    time.sleep(0.3)
    picture = ask(server, [picture_part(drawn(seed, (512, 512))), {"type": "text", "text": "What is it?"}], 1)
    stop.set()
    t.join()
    begin, end = picture.begin - got[0].begin, picture.begin - got[0].begin + picture.first_s
    times = [x for x in got[0].times if begin <= x <= end]
    return [(b - a) * 1e3 for a, b in zip(times, times[1:])], picture.first_s


def machine_takes(seconds=2):
    """Wall times in ms of pieces of work of SLICE_MS of CPU time, in this process."""
    taken, begin = [], time.monotonic()
    while time.monotonic() - begin < seconds:
        wall, cpu = time.monotonic(), time.thread_time()
        while time.thread_time() - cpu < SLICE_MS / 1e3:
            pass
        taken.append((time.monotonic() - wall) * 1e3)
    return taken


def show(what, before, after):
    counts = {b: after[b] - before.get(b, 0) for b in after}
    print("%s: " % what + ", ".join("<= %s ms: %d" % (b if b == "+Inf" else "%g" % (float(b) * 1e3), n) for b, n in counts.items() if n))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--hidden", type=int, default=768)
    p.add_argument("--layers", type=int, default=12)
    p.add_argument("--kind", default="F16", choices=("F32", "F16", "BF16"))
    p.add_argument("--threads", default="0")
    args = p.parse_args()
    print(common.machine())
    with tempfile.TemporaryDirectory() as folder:
        random_models.llama(os.path.join(folder, "model.gguf"), hidden=64, layers=3, heads=4, kv_heads=2, ffn=96)
        random_models.tower(os.path.join(folder, "mmproj.gguf"), image=512, patch=8, hidden=args.hidden, layers=args.layers,
                            heads=args.hidden // 64, ffn=4 * args.hidden, scale=4, width=64, kind=args.kind)
        with Server(folder, "--threads", args.threads) as s:
            stream(s, 50)
            rows, slices, tokens = [], {}, {}
            for i in range(args.rounds):
                alone = stream(s, ALONE_TOKENS).gaps_ms
                if i == 0:
                    slices, tokens = s.histogram("job_slice_seconds"), s.histogram("inter_token_latency_seconds")
                with_picture, seconds = beside(s, i)
                machine = machine_takes()
                rows.append((quantile(alone, .5), quantile(alone, .99), quantile(with_picture, .5), quantile(with_picture, .99),
                             max(with_picture), seconds, quantile(machine, .5), quantile(machine, .99)))
                print("alone p50 %.2f p99 %.2f ms | beside p50 %.2f p99 %.2f max %.2f ms, %d tokens | picture's first token %.1f s"
                      " | 20 ms of work take p50 %.0f p99 %.0f ms" % (*rows[-1][:5], len(with_picture), *rows[-1][5:]), flush=True)
            m = [median(column) for column in zip(*rows)]
            print("medians: alone p99 %.2f ms, beside p99 %.2f ms, goal %.2f ms: %s" % (
                m[1], m[3], m[1] + SLICE_MS, "met" if m[3] <= m[1] + SLICE_MS else "missed"))
            show("slices of encoder work", slices, s.histogram("job_slice_seconds"))
            show("tokens' distances after the first round alone", tokens, s.histogram("inter_token_latency_seconds"))
            print("the machine itself: 20 ms of one core's work take p50 %.0f, p99 %.0f ms" % (m[6], m[7]))


if __name__ == "__main__":
    main()
