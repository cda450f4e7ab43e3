"""`sensorium inspect`: the memory plan is the one that serve makes; and serve refuses what cannot fit by the header alone."""

import json
import re
import shutil
import time

import pytest

from harness import PATIENCE, REPO, Server, run, sample_that_sees
from headers import F16, Q8_0, hollow
from test_embeddings import EMBEDDINGS, error_of

HF, EMBED = REPO / "tests" / "golden" / "hf", REPO / "tests" / "golden" / "embed"
GB = 1 << 30


def inspect(path, *flags):
    code, out, log = run("inspect", str(path), "--json", *flags)
    assert code == 0, log
    return json.loads(out)


def refusal(path, *flags):
    """-> the one line in which serve says why it does not start, and how long that took"""
    start = time.monotonic()
    code, _, log = run("serve", str(path), "--port", "0", *flags)
    lines = [line for line in log.splitlines() if " error " in line]
    assert code == 3 and len(lines) == 1, log
    return lines[0], time.monotonic() - start


def same_as_served(server, plan):
    m = server.metrics()
    assert {k: m['sensorium_memory_bytes{part="%s"}' % k] for k in ("weights", "tables", "buffers", "plugins", "pool")} == {
        k: v for k, v in plan["memory"].items() if k != "sum"}
    assert m["sensorium_kv_pages_total"] == plan["pages"]


MODELS = [HF / "llama", HF / "gemma3", HF / "qwen3moe", HF / "mistral-window", HF / "phi3.gguf", HF / "whisper", EMBED / "last", EMBED / "mean"]


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
@pytest.mark.parametrize("flags", [[], ["--kv-cache-memory", "3M", "--max-num-batched-tokens", "256", "--max-num-seqs", "8", "--kv-cache-dtype", "f16"]],
                         ids=["plain", "flags"])
def test_the_plan_is_what_serve_makes(model, flags):
    (plan,) = inspect(model, *flags)
    assert plan["fits"] and plan["refused"] is None and sum(v for k, v in plan["memory"].items() if k != "sum") == plan["memory"]["sum"]
    assert sum(t["bytes"] for t in plan["types"].values()) == plan["memory"]["weights"]
    with Server(*flags, model=str(model)) as server:
        same_as_served(server, plan)
        (info,) = json.loads(server.get("/v1/models")[2])["data"]
        assert info["max_model_len"] == plan["context"] and info["architecture"] == plan["architecture"]


def test_a_model_that_sees_in_every_kv_type(tmp_path):
    model = sample_that_sees(tmp_path)
    token = {}
    for kind in ("f32", "f16", "bf16", "q8_0", "fp8"):
        (plan,) = inspect(model, "--kv-cache-dtype", kind)
        assert plan["media"][0] == "image" and plan["kv_type"] == kind
        token[kind] = plan["bytes_per_token"]
        with Server("--kv-cache-dtype", kind, model=model) as server:
            same_as_served(server, plan)
    assert token["f32"] >= 2 * token["f16"] - 1 and token["f16"] == token["bf16"] > token["q8_0"] > token["fp8"] - 1


@pytest.mark.parametrize("model, flags", [(HF / "llama", ["256K"]), (HF / "gemma3", ["1M"]), (HF / "mistral-window", ["256K"]), (EMBED / "mean", ["256K"]),
                                          (HF / "llama-4", ["512K"])], ids=lambda x: getattr(x, "name", ""))
def test_the_longest_sequence_is_the_longest_that_is_taken(model, flags):
    flags = ["--kv-cache-memory", *flags, "--kv-cache-dtype", "f32"]
    (plan,) = inspect(model, *flags)
    longest = plan["longest_sequence"]
    assert plan["least_sequence"] <= longest <= plan["context"]
    with Server(*flags, model=str(model)) as server:
        assert server.post(EMBEDDINGS, {"input": [5] * longest})[0] == 200
        status, _, answer = server.post(EMBEDDINGS, {"input": [5] * (longest + 1)})
        assert status == 400 and error_of(answer)["code"] == "context_length_exceeded"


def test_sizes_are_told():
    (gemma,) = inspect(HF / "gemma3")
    assert gemma["architecture"] == "gemma3" and gemma["window"] == 9 and gemma["windowed_layers"] == 2 and gemma["layers"] == 3
    assert [g["window"] for g in gemma["kv_groups"]] == [0, 9] and gemma["rope"] == "linear" and gemma["window_rope"] == "default"
    (moe,) = inspect(HF / "qwen3moe")
    assert (moe["experts"], moe["experts_used"]) == (5, 2)
    (whisper,) = inspect(HF / "whisper")
    assert whisper["medium_rows"] == 40 and whisper["pooling"] is None
    (last,) = inspect(EMBED / "last")
    assert last["embeds_only"] and last["pooling"] == "last" and last["types"]["BF16"]["bytes"] == last["memory"]["weights"]
    text = run("inspect", str(EMBED / "last.gguf"), "--tensors")[1]
    assert "blk.0.attn_q.weight" in text and "qwen3.pooling_type" in text and "embeddings: last, and nothing else" in text
    assert "blk.0.attn_q.weight" not in run("inspect", str(EMBED / "last.gguf"))[1]


def test_the_tokenizer_is_the_file_that_is_read(tmp_path):
    assert inspect(HF / "llama")[0]["tokenizer"] == "tokenizer.json"
    model = shutil.copytree(HF / "mistral", tmp_path / "model")
    (model / "tokenizer.json").unlink()
    shutil.copy(HF.parent / "text" / "hf" / "tekken-alone" / "tekken.json", model)
    (plan,) = inspect(model)  # another vocabulary than the weights have
    assert plan["tokenizer"] == "tekken.json" and re.search(r"the tokenizer has \d+ tokens, but the embedding has", plan["refused"])


# ---- what is only a header --------------------------------------------------------------------------------------------

def test_twenty_gigabytes_are_told_by_their_header(tmp_path):
    path = tmp_path / "big.gguf"
    weights = hollow(path, layers=40, width=5120, ffn=17408, heads=40, kv_heads=8, rows=151936, context=40960, type_=F16)
    assert weights > 20 * GB
    start = time.monotonic()
    (plan,) = inspect(path, "--kv-cache-memory", "1G")
    assert time.monotonic() - start < 1 * PATIENCE
    assert plan["memory"]["weights"] == weights and plan["types"]["F16"]["tensors"] == 2 + 40 * 7 and plan["vocabulary"] == 262
    # A page of 256 KiB has 64 K and V of a layer's 8 heads of 128 in f16: of 4 layers at a time, since blocks of 16 tokens waste least at an end.
    (group,) = plan["kv_groups"]
    assert (group["block_tokens"], group["layers_a_page"], group["pages_a_block"], group["unused"]) == (16, 4, 10, 0)
    assert plan["bytes_per_token"] == 40 * 8 * 128 * 2 * 2 and plan["longest_sequence"] == 4096 // 10 * 16
    assert path.stat().st_blocks * 512 < 16 << 20, "the hole was filled"  # in memory, as /tmp may be, a hole that is looked at is, by 2 MiB at a time


def test_what_no_machine_holds_is_refused_by_its_header(tmp_path):
    path = tmp_path / "huge.gguf"
    weights = hollow(path, layers=20, width=65536, ffn=262144, heads=512, kv_heads=8, type_=F16)  # 2 TB
    line, seconds = refusal(path)
    assert str(weights) in line and "for weights alone" in line and seconds < 2 * PATIENCE
    (plan,) = inspect(path)
    assert not plan["fits"] and str(plan["memory"]["weights"]) in plan["refused"] and plan["machine_memory"] < weights
    weights = hollow(path, layers=80, width=8192, ffn=65536, heads=64, kv_heads=8, type_=Q8_0)
    line, seconds = refusal(path, "--memory-limit", "100G")  # which counts all weights, mapped or not
    assert weights > 100 * GB and str(weights) in line and str(100 * GB) in line and seconds < 2 * PATIENCE


def test_a_limit_that_weights_alone_fit_is_still_a_limit(tmp_path):
    path = tmp_path / "small.gguf"
    weights = hollow(path, layers=4, width=512, ffn=1024, heads=8, kv_heads=8, rows=1000)
    (plan,) = inspect(path, "--memory-limit", "600M")
    need = plan["memory"]["sum"]
    assert plan["fits"] and weights < need < 600 << 20
    (tight,) = inspect(path, "--memory-limit", str(need - 1))
    assert not tight["fits"] and str(need) in tight["refused"] and str(need - 1) in tight["refused"]
    line, _ = refusal(path, "--memory-limit", str(need - 1))
    assert re.search(r"\b%d bytes are needed\b.*\b%d\b" % (need, need - 1), line)
    # All that is left under the limit as a pool fits, and a page more does not.
    (full,) = inspect(path, "--memory-limit", "600M", "--kv-cache-memory", str(plan["left_for_pool"]))
    assert full["fits"] and full["longest_sequence"] == plan["longest_sequence_with_all_left"]
    assert not inspect(path, "--memory-limit", "600M", "--kv-cache-memory", str(plan["left_for_pool"] + plan["page_bytes"]))[0]["fits"]


def test_a_pool_must_hold_a_sequence_of_what_is_asked_for(tmp_path):
    path = tmp_path / "small.gguf"
    hollow(path, layers=4, width=512, ffn=1024, heads=8, kv_heads=8, rows=1000)
    line, _ = refusal(path, "--kv-cache-memory", "16M", "--max-model-len", "4096")
    assert "4096 tokens" in line and "64 pages" in line and "--max-model-len" in line
    line, _ = refusal(path, "--kv-cache-memory", "256K")
    assert "128 tokens" in line and "1 pages" in line
    code, _, log = run("serve", str(path), "--port", "0", "--kv-cache-memory", "900000G")
    assert code == 2 and "machine's memory" in log
