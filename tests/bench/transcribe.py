"""Ten minutes of sound written down here and by whisper.cpp: the same weights, windows, steps and threads, taking turns in one run.

    python transcribe.py --converter WHISPER_CPP/models/convert-h5-to-ggml.py --cli BUILD/bin/whisper-cli
                         [--size base] [--rounds 3] [--threads N] [--minutes 10] [--words 80] [--json FILE]

Without --cli only ours is timed. Needs numpy, torch, transformers, tokenizers. For one core: taskset -c 0 python transcribe.py --threads 1.

The model is random, in the shape of openai/whisper-SIZE and F16. Its decoder's position embeddings outweigh all else and are made
of token embeddings, so that position p says the script's token p whatever is heard: <|0.00|>, --words words, <|30.00|>, the end.
So the work is the same on both sides: for each window one pass of the encoder over 1,500 rows, K and V of its rows for every
decoder layer, and one step of the decoder for each of the script's tokens, greedy, English, with timestamps. The sound is noise, louder
and softer like speech, and silent for 0.2 s around each multiple of 29.9 s: there ours cuts; whisper.cpp goes on where the last stamp says,
every 30 s. So a recording of a second less than N x 29.9 s is N windows on both sides; what both answer is compared with the script.

Ours: POST /v1/audio/transcriptions (verbose_json, language en) to a server that is warm; windows are on their way four at once, so that
their steps share the weights' way from memory. Theirs: whisper-cli -bs 1 -bo 1 -nf -mc 0, one window after the other, its time of
loading taken off; built with -DGGML_NATIVE=ON -DGGML_LLAMAFILE=ON it is much faster than by default: say which one was measured.
Weights, K and V are F16 on both sides; activations are f32 here, whisper.cpp rounds them to f16 where it meets weights.

Figures are medians. Real-time factor: seconds of sound a second, of the processes' CPU time and of the clock. On a machine that is busy with
other things the former is the one to read. An encoder pass and a token: what each side counts itself by the clock, times the share
of the clock that its process ran. Ours, a pass: the slices of its job; a token: what the engine's steps took beside slices, cross K and V and
prompts included, over all tokens. Theirs: its "encode", which includes cross K and V; decode and sample. Floors: the encoder's operations
(cross K and V included) over those that numpy's matrix product does a second; the decoder's bytes over the bandwidth that numpy reads
memory with, where no step is shared: its weights, and a window's cross K and V.
"""
import argparse
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import wave

import numpy as np

import common
from common import Server, median

SIZES = {"tiny": (384, 4, 6), "base": (512, 6, 8), "small": (768, 12, 12)}  # width, layers, heads
RATE, CUT, N_BASE, POSITIONS, ROWS, MELS = 16000, 29.9, 50257, 448, 1500, 80
LOUDER, SPREAD = 30, 0.1  # positions than tokens; of the token embeddings


# ---- the model ----

def write_tokenizer(folder):
    """Whisper's ids; the words are made up. Returns the tokenizer."""
    from tokenizers import AddedToken
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import WhisperTokenizer
    from transformers.models.whisper.tokenization_whisper import LANGUAGES
    texts = sorted(ByteLevel.alphabet())
    made_up = np.random.default_rng(1).permutation(26 ** 4)
    texts += ["\u0120" + "".join(chr(97 + int(n) // 26 ** i % 26) for i in range(4)) for n in made_up[:N_BASE - len(texts)]]
    vocab = {t: i for i, t in enumerate(texts)}
    fast = WhisperTokenizer(vocab={**vocab, "<|endoftext|>": N_BASE}, merges=[])
    names = ["startoftranscript", *list(LANGUAGES)[:99], "translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps"]
    fast.add_tokens([AddedToken("<|%s|>" % n, special=True, normalized=False) for n in names], special_tokens=True)
    fast.add_tokens([AddedToken("<|%.2f|>" % (i * 0.02), special=False, normalized=False) for i in range(1501)])
    fast.set_prefix_tokens()
    fast.save_pretrained(folder)
    with open(os.path.join(folder, "vocab.json"), "w", encoding="utf-8") as f:  # what whisper.cpp's converter reads
        json.dump(vocab, f)
    with open(os.path.join(folder, "added_tokens.json"), "w", encoding="utf-8") as f:
        json.dump({}, f)
    return fast


def write_model(folder, size, n_words):
    """Returns the words that every window says."""
    import torch
    from transformers import GenerationConfig, WhisperConfig, WhisperForConditionalGeneration
    fast = write_tokenizer(folder)
    at, (width, layers, heads) = fast.convert_tokens_to_ids, SIZES[size]
    assert len(fast) == 51865 and at("<|startoftranscript|>") == 50258 and at("<|0.00|>") == 50364
    config = WhisperConfig(vocab_size=len(fast), d_model=width, encoder_layers=layers, decoder_layers=layers, encoder_attention_heads=heads,
                           decoder_attention_heads=heads, encoder_ffn_dim=4 * width, decoder_ffn_dim=4 * width, num_mel_bins=MELS,
                           max_source_positions=ROWS, max_target_positions=POSITIONS, pad_token_id=N_BASE, bos_token_id=N_BASE,
                           eos_token_id=N_BASE, decoder_start_token_id=at("<|startoftranscript|>"), suppress_tokens=None, begin_suppress_tokens=None)
    torch.manual_seed(0)
    model = WhisperForConditionalGeneration(config).eval()
    words = [int(i) for i in np.random.default_rng(2).permutation(np.arange(256, N_BASE))[:n_words]]
    script = [at("<|en|>"), at("<|transcribe|>"), at("<|0.00|>"), *words, at("<|30.00|>")]
    assert len(script) < POSITIONS - 1
    with torch.no_grad():
        table = model.model.decoder.embed_tokens.weight
        table.normal_(0, SPREAD)
        ids = torch.tensor(script + [N_BASE] * (POSITIONS - len(script)))
        model.model.decoder.embed_positions.weight.copy_(LOUDER * table[ids])
        for name, p in model.model.decoder.named_parameters():
            if p.ndim == 2 and ("out_proj" in name or "fc2" in name):
                p *= 0.2
    g = GenerationConfig(
        suppress_tokens=[], begin_suppress_tokens=[220, N_BASE], max_initial_timestamp_index=50, no_timestamps_token_id=at("<|notimestamps|>"),
        is_multilingual=True, max_length=POSITIONS, bos_token_id=N_BASE, eos_token_id=N_BASE, pad_token_id=N_BASE,
        decoder_start_token_id=at("<|startoftranscript|>"), prev_sot_token_id=at("<|startofprev|>"), lang_to_id={"<|en|>": at("<|en|>")},
        task_to_id={"transcribe": at("<|transcribe|>"), "translate": at("<|translate|>")})
    model.generation_config = g
    model.half().save_pretrained(folder)
    g.save_pretrained(folder)
    return fast.decode(words).split()


def convert(folder, converter):
    """The file for whisper.cpp, by its own script."""
    from transformers import WhisperFeatureExtractor
    assets = os.path.join(folder, "mel", "whisper", "assets")
    os.makedirs(assets)
    filters = np.asarray(WhisperFeatureExtractor(feature_size=MELS).mel_filters, np.float32)
    np.savez(os.path.join(assets, "mel_filters.npz"), **{"mel_%d" % MELS: filters.T})
    done = subprocess.run([sys.executable, converter, folder, os.path.join(folder, "mel"), folder], capture_output=True, text=True, check=False)
    path = os.path.join(folder, "ggml-model.bin")
    if done.returncode or not os.path.exists(path):
        raise RuntimeError("the converter failed:\n" + done.stdout[-1000:] + done.stderr[-3000:])
    return path


# ---- the sound ----

def write_sound(path, seconds, seed):
    n = int(RATE * seconds)
    rng, at = np.random.default_rng(seed), np.arange(n) / RATE
    loud = 0.2 + np.abs(np.sin(at * 9)) * np.abs(np.sin(at * 1.3))
    sound = rng.standard_normal(n) * loud * 2000
    sound[np.abs(at - np.rint(at / CUT) * CUT) <= 0.1] = 0
    with wave.open(path, "wb") as f:
        f.setnchannels(1)
        f.setsampwidth(2)
        f.setframerate(RATE)
        f.writeframes(sound.clip(-32000, 32000).astype("<i2").tobytes())


# ---- both sides ----

def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid, encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def metrics(server):
    return {k: float(v) for k, v in re.findall(r"^sensorium_(\w+) ([\d.e+-]+)$", server.get("/metrics")[1], re.M)}


def ours(server, path):
    edge = "x" * 32
    with open(path, "rb") as f:
        sound = f.read()
    fields = {"response_format": "verbose_json", "language": "en"}
    body = b"".join(b'--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (edge.encode(), k.encode(), v.encode()) for k, v in fields.items())
    body += b'--%s\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' % edge.encode() + sound + b"\r\n--%s--\r\n" % edge.encode()
    c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=3600)
    was, cpu, begin = metrics(server), cpu_seconds(server.process.pid), time.monotonic()
    c.request("POST", "/v1/audio/transcriptions", body, {"Content-Type": "multipart/form-data; boundary=" + edge})
    r = c.getresponse()
    answer = json.loads(r.read())
    wall = time.monotonic() - begin
    cpu, now = cpu_seconds(server.process.pid) - cpu, metrics(server)
    if r.status != 200:
        raise RuntimeError(str(answer))
    d = {k: now[k] - was.get(k, 0) for k in now}
    slices, tokens = d["job_slice_seconds_sum"], d["generation_tokens_total"]
    return {"wall": wall, "cpu": cpu, "windows": d["encoder_runs_total"], "tokens": tokens, "encode_ms": slices / d["encoder_runs_total"] * 1e3 * cpu / wall,
            "token_ms": (d["step_seconds_sum"] - slices) / tokens * 1e3 * cpu / wall, "at_once": now["step_sequences_max"], "text": answer["text"].split()}


def theirs(args, model, path):
    cmd = [args.cli, "-m", model, "-f", path, "-l", "en", "-t", str(args.threads), "-bs", "1", "-bo", "1", "-nf", "-mc", "0", "-ng"]
    begin = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        p = subprocess.Popen(cmd, stdout=out, stderr=err)
        _, status, used = os.wait4(p.pid, 0)
        p.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - begin
        out.seek(0)
        err.seek(0)
        said, log = out.read().decode(), err.read().decode()
    if status:
        raise RuntimeError("whisper-cli:\n" + log[-3000:])
    took = {name: (float(ms), int(runs or 0)) for name, ms, runs in re.findall(r"(\w+) time =\s+([\d.]+) ms(?: /\s+(\d+) runs)?", log)}
    load, tokens = took["load"][0] / 1e3, took["decode"][1] + took["batchd"][1] + took["encode"][1]
    decode = sum(took[k][0] for k in ("decode", "batchd", "prompt", "sample"))
    text = re.sub(r"^\[[^\]]*\]", "", said, flags=re.M).split()
    share = (used.ru_utime + used.ru_stime) / wall
    return {"wall": wall - load, "cpu": (wall - load) * share, "windows": took["encode"][1], "tokens": tokens,
            "encode_ms": took["encode"][0] / took["encode"][1] * share, "token_ms": decode / tokens * share, "at_once": 1, "text": text}


# ---- floors ----

def multiplies_at():
    """Operations a second of numpy's matrix product."""
    a, b = np.ones((1500, 1024), np.float32), np.ones((1024, 1024), np.float32)
    best = 0
    for _ in range(8):
        begin = time.monotonic()
        a @ b
        best = max(best, 2 * 1500 * 1024 * 1024 / (time.monotonic() - begin))
    return best


def encoder_operations(width, layers):
    a_layer = 2 * ROWS * 12 * width ** 2 + 4 * ROWS * ROWS * width
    return layers * a_layer + 2 * 3 * width * (2 * ROWS * MELS + ROWS * width) + layers * 4 * ROWS * width ** 2


def decoder_bytes(width, layers):
    """Of one step's weights, of one window's cross K and V."""
    return 2 * (layers * 14 * width ** 2 + 51865 * width), 2 * 2 * layers * ROWS * width


def show(what, rows, seconds):
    m = {k: median([r[k] for r in rows]) for k in rows[0] if k != "text"}
    print("%-12s %6.1f x CPU  %6.1f x wall   %7.1f ms an encoder pass  %6.2f ms a token   %d windows, %d tokens, %d at once" % (
        what, seconds / m["cpu"], seconds / m["wall"], m["encode_ms"], m["token_ms"], m["windows"], m["tokens"], m["at_once"]), flush=True)
    return m


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--cli", help="whisper.cpp's whisper-cli")
    p.add_argument("--converter", help="whisper.cpp's convert-h5-to-ggml.py")
    p.add_argument("--size", default="base", choices=SIZES)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    p.add_argument("--minutes", type=float, default=10)
    p.add_argument("--words", type=int, default=80)
    p.add_argument("--json", help="where the figures go as well")
    args = p.parse_args()
    if bool(args.cli) != bool(args.converter):
        p.error("--cli and --converter belong together")
    windows, (width, layers, _) = round(args.minutes * 2), SIZES[args.size]
    flops, read = multiplies_at(), common.bandwidth(args.threads)
    weights, cross = decoder_bytes(width, layers)
    floor_encode, floor_token = encoder_operations(width, layers) / flops * 1e3, (weights + cross) / read * 1e3
    print("%s; %d threads; whisper-%s F16; %.1f GFLOP/s, %.1f GB/s" % (common.machine(), args.threads, args.size, flops / 1e9, read / 1e9))
    with tempfile.TemporaryDirectory() as folder:
        script = write_model(folder, args.size, args.words)
        sound, warm = os.path.join(folder, "sound.wav"), os.path.join(folder, "warm.wav")
        a, b, seconds = [], [], windows * CUT - 1
        write_sound(sound, seconds, 1)
        write_sound(warm, 5, 2)
        model = convert(folder, args.converter) if args.cli else None
        for i in range(args.rounds):
            for side in (0, 1) if i % 2 == 0 else (1, 0):
                if side == 0:
                    with Server(folder, "--threads", str(args.threads)) as server:  # a new one: no window is known to its cache
                        ours(server, warm)
                        a.append(ours(server, sound))
                elif args.cli:
                    b.append(theirs(args, model, sound))
        for row in a + b:
            if row["text"] != script * windows:
                raise RuntimeError("an answer is not the script: %d words, %d expected" % (len(row["text"]), len(script) * windows))
        print("%.1f s of sound, medians of %d rounds" % (seconds, args.rounds))
        result = {"ours": show("ours", a, seconds)}
        if args.cli:
            result["whisper.cpp"] = show("whisper.cpp", b, seconds)
            ratio = {k: median([y[k] / x[k] for x, y in zip(a, b)]) for k in ("cpu", "wall", "encode_ms", "token_ms")}
            result["ratio"] = ratio
            print("%-12s %6.2f         %6.2f          %7.2f                       %6.2f" % ("ratio", ratio["cpu"], ratio["wall"], ratio["encode_ms"], ratio["token_ms"]))
        print("%-12s %40.1f %25.2f" % ("floor", floor_encode, floor_token))
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            json.dump({"machine": common.machine(), "threads": args.threads, "size": args.size, "seconds": seconds, **result}, f, indent=1)


if __name__ == "__main__":
    main()
