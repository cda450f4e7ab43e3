"""How many can be spoken to at once: 1, 2, 4 and 8 listeners of one server, and what a picture and a chat beside them cost.

    python speakers.py [--model FOLDER] [--seconds 8] [--rounds 3] [--threads 0]

Needs pillow. The model is samples/model, or a folder whose models.json has a model that speaks, and one that sees (its first). Each round
asks for one speech alone, then for 2, 4 and 8 different ones at once, then for the same with pictures being encoded, none seen before, one
after the other, and a chat that goes on meanwhile. A listener plays what has come from the first byte on:

  first     from the request to the first byte of sound, ms
  rtf       until the last byte, over the seconds of sound
  underrun  the longest time that he would have had to wait for the next byte by then, ms
  cost      until all have all, over that of one alone: less than their number is what a batch is worth

and the server says how many sequences a step and how many streams a run of the decoder had. A machine that is busy with other things
delays everybody: all of it is measured in one round, and the medians of the rounds are shown.
"""
import argparse
import http.client
import json
import re
import threading
import time
from dataclasses import dataclass

import common
from common import REPO, SAMPLE, Server, ask, drawn, median, picture_part

WORDS = (REPO / "samples" / "training" / "round_trip.txt").read_text().splitlines()
N = (1, 2, 4, 8)


@dataclass
class Heard:
    first_s: float
    whole_s: float
    sound_s: float
    underrun_s: float


def listen(server, text, seed):
    body = json.dumps({"input": text, "response_format": "pcm", "seed": seed}).encode()
    c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=600)
    begin = time.monotonic()
    c.request("POST", "/v1/audio/speech", body, {"Content-Type": "application/json"})
    r = c.getresponse()
    if r.status != 200:
        raise RuntimeError("%d %s" % (r.status, r.read()))
    rate, n, first, worst = 16000, 0, None, 0.0
    rate = int(re.search(r"rate=(\d+)", r.getheader("Content-Type") + " rate=16000").group(1))
    while True:
        piece = r.read1(65536)
        now = time.monotonic() - begin
        if not piece:
            break
        first = now if first is None else first
        worst = max(worst, now - first - n / 2 / rate)  # what was heard until then had this length
        n += len(piece)
    c.close()
    return Heard(first, time.monotonic() - begin, n / 2 / rate, worst)


def together(server, n, text_of, round_no):
    heard, threads = [None] * n, []
    begin = time.monotonic()

    def one(i):
        heard[i] = listen(server, text_of(i), 100 * round_no + i)

    for i in range(n):
        threads.append(threading.Thread(target=one, args=(i,)))
        threads[-1].start()
    for t in threads:
        t.join()
    return heard, time.monotonic() - begin


class Company:
    """Pictures, one after the other, and a chat, until it is told to stop."""

    def __init__(self, server, seed):
        self.stop, self.n_pictures, self.n_tokens = threading.Event(), 0, 0
        self.threads = [threading.Thread(target=self.look, args=(server, seed)), threading.Thread(target=self.chat, args=(server,))]
        for t in self.threads:
            t.start()

    def look(self, server, seed):
        while not self.stop.is_set():
            ask(server, [picture_part(drawn(seed * 1000 + self.n_pictures, (384, 288))), {"type": "text", "text": "What does it say?"}], 8)
            self.n_pictures += 1

    def chat(self, server):
        while not self.stop.is_set():
            self.n_tokens += len(ask(server, "Go on.", 400, self.stop, ignore_eos=True, logprobs=True).times)

    def leave(self):
        self.stop.set()
        for t in self.threads:
            t.join()


def metric(server, name):
    found = re.search(r"^sensorium_%s(?:\{[^}]*\})? ([0-9.e+]+)$" % name, server.get("/metrics")[1], re.M)
    return float(found.group(1)) if found else float("nan")


def row(what, rounds, alone):
    heard = [h for r in rounds for h in r[0]]
    print("%-26s first %6.0f  rtf %5.3f  underrun median %4.0f worst %4.0f  cost %5.2f" % (
        what, 1e3 * median([h.first_s for h in heard]), median([h.whole_s / h.sound_s for h in heard]), 1e3 * median([h.underrun_s for h in heard]),
        1e3 * max(h.underrun_s for h in heard), median([r[1] / a for r, a in zip(rounds, alone)])))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--model", default=str(SAMPLE))
    p.add_argument("--seconds", type=float, default=8, help="of sound, about, of each speech")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--threads", default="0")
    args = p.parse_args()
    print(common.machine())
    n_phrases = max(1, round(args.seconds / 1.5))

    def text_of(i):
        return " ".join(WORDS[(i * n_phrases + k) % len(WORDS)] + "." for k in range(n_phrases))

    with Server(args.model, "--threads", args.threads) as s:
        together(s, 2, text_of, 99)
        alone, beside = {n: [] for n in N}, {n: [] for n in N}
        pictures = tokens = 0
        for k in range(args.rounds):
            for n in N:
                alone[n].append(together(s, n, text_of, k))
                company = Company(s, 10 * k + n)
                time.sleep(0.3)
                beside[n].append(together(s, n, text_of, k))
                company.leave()
                pictures, tokens = pictures + company.n_pictures, tokens + company.n_tokens
        ones = [whole for _, whole in alone[1]]
        print("%.1f s of sound each; %d pictures and %d tokens of a chat beside" % (median([h.sound_s for h in alone[8][0][0]]), pictures, tokens))
        for n in N:
            row("%d speaking" % n, alone[n], ones)
        for n in N:
            row("%d, pictures and a chat" % n, beside[n], ones)
        jobs = metric(s, "synth_jobs_total")
        print("most sequences in a step %.0f, streams in a run of the decoder %.2f, at most %.0f" % (
            metric(s, "step_sequences_max"), metric(s, "synth_streams_total") / jobs, metric(s, "synth_streams_max")))


if __name__ == "__main__":
    main()
