"""Fresh random models saved by transformers as Hugging Face directories: our log-probabilities against its own (float32).

    python transformers_dirs.py [--shapes N] [--seed N] [--only NAME] [--keep DIR]

Needs torch, transformers, tokenizers (samples/training/requirements.txt). The families, tokenizers and layouts are those of
tests/golden/hf/make.py with random sizes, RoPE, biases, types and numbers of files. Each directory is served as it is, with
--kv-cache-dtype f32, and asked at temperature 0; for the tokens that we sampled all our top 20 log-probabilities must be
transformers' own within 2e-3, each token its best within that, and the number of prompt tokens equal to its tokenizer's.
"""
import argparse
import os
import random
import sys
import tempfile

import torch

import common
from transformers_fresh import STEPS, TOLERANCE

sys.path.insert(0, str(common.REPO / "tests" / "golden" / "hf"))
import make as golden  # noqa: E402

TEXTS = [golden.PROMPT, "Hi", "They're 12345 apples,\n\n  na\u00efve \u6f22\u5b57 don't \U0001F600\tand\r\nso on... " * 8]


def rope_of(rng, family):
    theta = rng.choice([1e4, 5e5, 1e6])
    full = rng.choice([{"rope_type": "default", "rope_theta": theta}, {"rope_type": "linear", "rope_theta": theta, "factor": rng.choice([2.0, 8.0])},
                       {**golden.LLAMA3, "rope_theta": theta, "original_max_position_embeddings": rng.choice([32, 512])}])
    if family != "gemma3":
        return full
    if full["rope_type"] == "llama3":
        full = {"rope_type": "default", "rope_theta": theta}
    return {"full_attention": full, "sliding_attention": {"rope_type": "default", "rope_theta": rng.choice([1e4, 2e4])}}


def shape_of(rng, name):
    config_class, model_class, _, make_tokenizer, _, _, _ = golden.MINIATURES[name]
    family = name.split("-")[0]
    heads = rng.choice([1, 2, 4] if family == "gemma3" else [1, 2, 3, 4, 6])
    given = dict(num_attention_heads=heads, num_key_value_heads=rng.choice([n for n in range(1, heads + 1) if heads % n == 0]),
                 hidden_size=heads * rng.choice([8, 16, 24]), intermediate_size=8 * rng.randint(2, 20), num_hidden_layers=rng.randint(1, 5),
                 rms_norm_eps=rng.choice([1e-5, 1e-6]), max_position_embeddings=4096, tie_word_embeddings=rng.random() < 0.5,
                 rope_parameters=rope_of(rng, family))
    if family != "qwen2":
        given["head_dim"] = rng.choice([8, 12, 16, 32])
    if family == "mistral":
        given["sliding_window"] = rng.choice([None, 33, 4096])
    if family == "llama":
        given.update(attention_bias=rng.random() < 0.5, mlp_bias=rng.random() < 0.5)
    old = rng.random() < 0.5
    if family == "gemma3":
        given.update(sliding_window=rng.choice([5, 33, 512]), query_pre_attn_scalar=rng.choice([16, 24, 100]), tie_word_embeddings=True,
                     sliding_window_pattern=rng.choice([2, 3, 6]))
        given["hidden_size"] = rng.choice([16, 64])  # its root is exact in every type
        if not old and rng.random() < 0.5:
            given["layer_types"] = [rng.choice(["sliding_attention", "full_attention"]) for _ in range(given["num_hidden_layers"])]
    return (config_class, model_class, given, make_tokenizer, rng.choice(["float32", "bfloat16", "float16"]),
            rng.choice([None, "20KB", "60KB"]), old)


def one(name, shape, folder, seed, verdict):
    config_class, model_class, given, make_tokenizer, dtype, shards, old = shape
    fast = golden.tokenizer(make_tokenizer)
    model = golden.build(config_class, model_class, given, len(fast), dtype, seed)
    golden.save(name, model, fast, dtype, shards, old, folder)
    tokens = fast.convert_ids_to_tokens(range(len(fast)))
    bytes_of = common.ids_of_bytes(tokens) if make_tokenizer is not golden.sentencepiece else {
        **{bytes([int(t[3:5], 16)]): i for i, t in enumerate(tokens) if t.startswith("<0x")},
        **{t.replace("\u2581", " ").encode(): i for i, t in enumerate(tokens)}}
    # Special tokens, and byte tokens where a letter's token has the same bytes: their ids could not be told from the answer.
    banned = list(range(260 if make_tokenizer is golden.sentencepiece else 4))
    twins = {i for t, i in bytes_of.items() if len(t) == 1} if make_tokenizer is golden.sentencepiece else set()
    with common.Server(*common.EXACT, model=folder) as server:
        for text in TEXTS:
            ids = golden.prompt_ids(fast, text)
            answer = common.ask(server, bytes_of, [("user", [text])], STEPS, logit_bias={str(i): -100 for i in banned})
            for sampled, logprob, top in zip(answer.ids, answer.logprobs, answer.top):
                for i in twins & set(top):  # whether a byte token or a letter is meant is not told
                    del top[i]
                top[sampled] = logprob
            d = common.compare(answer, common.forced(model, {"input_ids": torch.tensor([ids])}, answer.ids), TOLERANCE, banned)
            good = len(ids) == answer.prompt_tokens and d.greedy and d.worst <= TOLERANCE and len(answer.ids) == STEPS
            verdict(good, "%s %s%s%s: %d prompt tokens" % (name, dtype, ", shards" if shards else "", ", transformers 4" if old else "", len(ids)),
                    "ours %d, worst %.1e, closest choice %.1e%s" % (answer.prompt_tokens, d.worst, d.closest, "" if d.greedy else ", NOT its best"))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--shapes", type=int, default=6, help="of each family")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--only", help="one family")
    p.add_argument("--keep", help="folder for the directories")
    args = p.parse_args()
    verdict = common.Verdict()
    with tempfile.TemporaryDirectory() as temporary:
        for name in [args.only] if args.only else ["llama", "mistral", "qwen2", "gemma3"]:
            for i in range(args.shapes):
                shape = shape_of(random.Random("%s %d" % (name, args.seed + i)), name)
                print(shape[2], flush=True)
                one(name, shape, os.path.join(args.keep or temporary, "%s-%d" % (name, i)), args.seed + i, verdict)
    verdict.end()


if __name__ == "__main__":
    main()
