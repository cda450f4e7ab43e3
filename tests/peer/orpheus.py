"""Orpheus end to end, in miniature: transformers' greedy codes and SNAC's own sound, against what the server says.

    python orpheus.py [--llama-cpp DIR] [--keep DIR] [--real-snac]

Needs torch, transformers, tokenizers, gguf, snac (PyPI) and a built server. The language model is a Llama 3 with random weights whose
tokenizer has Orpheus' custom tokens, saved by transformers; SNAC has random weights too (--real-snac: in the published size), and comes
by way of samples/convert/snac.py, its noise off. The reference is transformers' generate() under the published prompt, a repetition
penalty of 1.3 and the slots' ranges, then SNAC.decode() of all the frames in double precision. The server streams pcm; before its 16 bits
are rounded it must be no further from that than the package itself is in single precision (some 8e-6 of full scale with these weights),
which also shows that every code is the same. With --llama-cpp, a source tree of
llama.cpp, the model is also served as the GGUF file that its converter makes.
"""
import argparse
import copy
import json
import os
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM, LogitsProcessor, LogitsProcessorList

import common
import hf_directories as hf
from harness import JSON

SLOTS = 7
REAL = dict(sampling_rate=24000, encoder_dim=48, encoder_rates=[2, 4, 8, 8], latent_dim=768, decoder_dim=1024, decoder_rates=[8, 8, 4, 2],
            attn_window_size=None, codebook_size=4096, codebook_dim=8, vq_strides=[4, 2, 1], noise=True, depthwise=True)
SMALL = {**REAL, "latent_dim": 32, "decoder_dim": 64, "codebook_size": 64}
VOICES = ["tara", "leah", "jess", "leo", "dan", "mia", "zac", "zoe"]
# As the server cuts them: each is one utterance.
TEXTS = [["Hello."], ["The picture shows a red circle left of a blue square <laugh> and the word river, twice, isn't it?"],
         ["It costs $3.99 \u2014 na\u00efve, \u6f22\u5b57!"], ["First one sentence.", "Then another, which is longer than the first.", "And an end!"],
         ["What is it?"], ["Count: 1, 2, 3, 10, 2000."], ["They're here, we'll see."], ["A river, a stone, a yellow violin."]]


def golden():
    """The script beside SNAC's goldens, which knows how its weights are drawn and how its levels are read."""
    import importlib.util
    spec = importlib.util.spec_from_file_location("golden_snac", common.REPO / "tests" / "golden" / "speak" / "snac.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_snac(config, path):
    import snac
    by = golden()
    torch.randn = lambda *a, **k: torch.zeros(*a, **{n: v for n, v in k.items() if n in ("device", "dtype")})  # the noise blocks
    model = by.randomise(snac.SNAC(**config))
    convert = by.converter()
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "config.json"), "w") as f:
            json.dump(config, f)
        torch.save(model.state_dict(), os.path.join(folder, "pytorch_model.bin"))
        config, state = convert.load(folder)
        convert.write(path, config, convert.fold(state))
    exact = copy.deepcopy(model).double()

    def decode(codes):
        """-> sound in double precision, how far off the package is in single precision"""
        with torch.inference_mode():
            want, single = (m.decode(by.levels(codes))[0, 0].double().numpy() for m in (exact, model))
        return want, float(np.abs(single - want).max())

    return decode


def write_lm(folder, codebook, seed):
    tok, _ = hf.llama3_tokenizer()
    tok.add_tokens(["<custom_token_%d>" % i for i in range(10 + SLOTS * codebook)])
    config = LlamaConfig(vocab_size=len(tok), hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
                         max_position_embeddings=1024, rope_parameters=hf.LLAMA3_ROPE, tie_word_embeddings=True, bos_token_id=tok.bos_token_id,
                         eos_token_id=tok.convert_tokens_to_ids("<custom_token_2>"))
    model = LlamaForCausalLM._from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
    hf.fill(model, torch.float32, seed)
    model.save_pretrained(folder)
    tok.save_pretrained(folder)
    return model, tok


class Slots(LogitsProcessor):
    """The i-th token is a code of slot i mod 7, or, where a frame begins, the end."""

    def __init__(self, tok, codebook, n_prompt):
        self.first, self.end = tok.convert_tokens_to_ids("<custom_token_10>"), tok.convert_tokens_to_ids("<custom_token_2>")
        self.codebook, self.n_prompt = codebook, n_prompt
        self.closest = np.inf  # margin between the two best, on the whole way

    def __call__(self, ids, scores):
        slot = (ids.shape[1] - self.n_prompt) % SLOTS
        begin = self.first + slot * self.codebook
        out = torch.full_like(scores, -torch.inf)
        out[:, begin:begin + self.codebook] = scores[:, begin:begin + self.codebook]
        if slot == 0:
            out[:, self.end] = scores[:, self.end]
        best = out[0].topk(2).values
        self.closest = min(self.closest, float(best[0] - best[1]))
        return out


def say(model, tok, codebook, voice, text):
    """-> (codes [frames][7], did it end by itself, the closest choice), by transformers"""
    one = tok.convert_tokens_to_ids
    inside = tok(f"{voice}: {text}").input_ids
    assert inside[0] == tok.bos_token_id
    prompt = [one("<custom_token_3>"), *inside, one("<|eot_id|>"), one("<custom_token_4>"), one("<custom_token_5>"), one("<custom_token_1>")]
    slots = Slots(tok, codebook, len(prompt))
    ids, frames = torch.tensor([prompt]), min(256, (model.config.max_position_embeddings - len(prompt)) // SLOTS)
    with torch.inference_mode():
        said = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, repetition_penalty=1.3, max_new_tokens=SLOTS * frames,
                              eos_token_id=slots.end, pad_token_id=slots.end, logits_processor=LogitsProcessorList([slots]))[0, len(prompt):].tolist()
    ended = said[-1] == slots.end
    codes = np.array(said[:-1] if ended else said).reshape(-1, SLOTS)
    return codes - slots.first - codebook * np.arange(SLOTS), ended, slots.closest, len(prompt)


def check(name, path, vocoder, references, verdict):
    with common.Server(*common.EXACT, "--served-model-name", name, "--model-vocoder", vocoder, model=path) as server:
        for voice, sentences, want, n_codes, n_prompt, closest, bound in references:
            body = {"model": name, "input": " ".join(sentences), "voice": voice, "temperature": 0, "response_format": "pcm"}
            status, _, pcm = server.request("POST", "/v1/audio/speech", json.dumps(body).encode(), JSON, timeout=600)
            status2, _, events = server.request("POST", "/v1/audio/speech", json.dumps({**body, "stream_format": "sse"}).encode(), JSON, timeout=600)
            usage = json.loads(events.split(b"\n\n")[-3][6:]).get("usage") if status2 == 200 else None
            got = np.frombuffer(pcm, "<i2").astype(np.float64) if status == 200 else np.zeros(0)
            same = len(got) == len(want)
            # How far behind the rounding it must have been: none of it is clipped, the last layer's weights see to that.
            off = max(0.0, float(np.abs(got / 32768 - want).max()) - 0.5 / 32768) if same else np.inf
            verdict(same and off <= bound and usage == dict(input_tokens=n_prompt, output_tokens=n_codes, total_tokens=n_prompt + n_codes),
                    "%s, %s: %s" % (name, voice, " ".join(sentences)[:40]),
                    "%d tokens, %.2f s, off by %.1e where the package is by %.1e, least margin %.1e" % (n_codes, len(want) / 24000, off, bound, closest))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--llama-cpp", help="source tree of llama.cpp")
    p.add_argument("--keep", help="folder for the files")
    p.add_argument("--real-snac", action="store_true")
    args = p.parse_args()
    torch.set_num_threads(1)
    verdict, config = common.Verdict(), REAL if args.real_snac else SMALL
    with tempfile.TemporaryDirectory() as temporary:
        home = args.keep or temporary
        folder, vocoder = os.path.join(home, "orpheus"), os.path.join(home, "snac.gguf")
        os.makedirs(home, exist_ok=True)
        decode = write_snac(config, vocoder)
        model, tok = write_lm(folder, config["codebook_size"], 3)
        references, ends = [], 0
        for i, sentences in enumerate(TEXTS):
            voice = VOICES[i % len(VOICES)]
            said = [say(model, tok, config["codebook_size"], voice, s) for s in sentences]
            sounds = [decode(codes) for codes, *_ in said if len(codes)]
            ends += sum(ended for _, ended, *_ in said)
            references.append((voice, sentences, np.concatenate([w for w, _ in sounds]), sum(codes.size + ended for codes, ended, *_ in said), sum(n for *_, n in said),
                               min(c for _, _, c, _ in said), max(o for _, o in sounds)))
        print("%d of %d utterances ended by themselves" % (ends, sum(len(t) for t in TEXTS)))
        check("orpheus", folder, vocoder, references, verdict)
        if args.llama_cpp:
            check("orpheus.gguf", hf.convert(args.llama_cpp, folder, tok), vocoder, references, verdict)
    verdict.end()


if __name__ == "__main__":
    main()
