"""Second opinion: llama.cpp reads the same GGUF files.

    python peer_llama_cpp.py

Needs llama-cpp-python (with libmtmd), torch, transformers, tokenizers, gguf, jinja2, pillow. Everything runs with K and V
in f32 and without flash attention. Checked:
  golden     tests/golden/engine: logits of the prompt, 64 greedy tokens, tokens of the prompt's text
  pictures   its mmproj.gguf through libmtmd: rows of picture.png, 64 greedy tokens after it; samples/model loads too.
             llama.cpp shows even a picture of one tile twice, as tile and overview, where the reference has the
             overview alone: its rows are taken, and the reference's tokens around them.
  sample     samples/model: our greedy answers and log-probabilities through HTTP; from the BF16 file, where llama.cpp
             rounds the activations to BF16, and from an F32 copy, where it does not
  types      the miniature in F32, F16, BF16 and Q8_0: both against transformers with the same (dequantised) weights
"""
import argparse
import ctypes
import os
import tempfile

import jinja2
import llama_cpp
import numpy as np
from llama_cpp import mtmd_cpp as mtmd
from PIL import Image

import common
import export
import mini

F32, STEPS = 0, 48  # GGML_TYPE_F32
# Largest difference of one of our top 20 log-probabilities. Types where activations are rounded differ by that rounding.
LIMITS = {"F32": 2e-3, "F16": 2e-2, "BF16": 0.2, "Q8_0": 0.6}


def load(path, n_ctx=1024):
    return llama_cpp.Llama(str(path), n_ctx=n_ctx, n_batch=512, n_threads=2, n_threads_batch=2, logits_all=True, type_k=F32, type_v=F32,
                           flash_attn=False, verbose=False)


def logits_of(llm, ids):
    llm.reset()
    llm.eval(list(ids))
    return np.array(llm.scores[:len(ids)])


def greedy(llm, ids, n):
    out = []
    at = logits_of(llm, ids)[-1]
    for _ in range(n):
        out.append(int(at.argmax()))
        llm.eval(out[-1:])
        at = llm.scores[llm.n_tokens - 1]
    return out


def log_softmax(x):
    x = x.astype(np.float64)
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def golden_array(name, kind):
    return np.fromfile(common.GOLDEN / name, kind)


def worst_of(a, b):
    return float(np.abs(a - b).max() / np.abs(b).max())


# ---- golden, pictures ----

def golden(verdict, llm):
    ids = golden_array("text.ids", "<i4")
    want = golden_array("text.logits", "<f4").reshape(len(ids), -1)
    worst = worst_of(logits_of(llm, ids), want)
    verdict(worst <= 1e-4, "golden: logits of the prompt", "max |a-b| = %.1e max |b|" % worst)
    got = greedy(llm, ids, 64)
    verdict(got == golden_array("text.greedy", "<i4").tolist(), "golden: 64 greedy tokens")
    text = "<|im_start|>User: Count to 10 in \u00e9nglish!<end_of_utterance>\nAssistant:"
    verdict(llm.tokenize(text.encode(), add_bos=False, special=True) == ids.tolist(), "golden: tokens of the text")


def open_tower(llm, path):
    params = mtmd.mtmd_context_params_default()
    params.use_gpu, params.n_threads, params.warmup, params.flash_attn_type = False, 2, False, llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
    return mtmd.mtmd_init_from_file(str(path).encode(), llm.model, params)


def chunks_of(tower, text, image):
    pixels = np.ascontiguousarray(np.asarray(image.convert("RGB"), np.uint8))
    bitmap = mtmd.mtmd_bitmap_init(image.width, image.height, pixels.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8)))
    chunks = mtmd.mtmd_input_chunks_init()
    raw = text.encode()
    given = mtmd.mtmd_input_text()
    given.text, given.text_len, given.add_special, given.parse_special = raw, len(raw), False, True
    failed = mtmd.mtmd_tokenize(tower, chunks, ctypes.byref(given), (mtmd.mtmd_bitmap_p_ctypes * 1)(bitmap), 1)
    assert failed == 0, failed
    return chunks


def encoded(tower, image, n_embd):
    """[rows] of each image that llama.cpp makes of a picture."""
    chunks = chunks_of(tower, mtmd.mtmd_default_marker().decode(), image)
    rows = []
    for i in range(mtmd.mtmd_input_chunks_size(chunks)):
        chunk = mtmd.mtmd_input_chunks_get(chunks, i)
        if mtmd.mtmd_input_chunk_get_type(chunk) != 0:  # no text
            n = mtmd.mtmd_input_chunk_get_n_tokens(chunk)
            assert mtmd.mtmd_encode_chunk(tower, chunk) == 0
            rows.append(np.array(np.ctypeslib.as_array(mtmd.mtmd_get_output_embd(tower), (n, n_embd))))
    mtmd.mtmd_input_chunks_free(chunks)
    return rows


def feed_rows(llm, rows):
    n, width = rows.shape
    batch = llama_cpp.llama_batch_init(n, width, 1)
    batch.n_tokens = n
    ctypes.memmove(batch.embd, np.ascontiguousarray(rows, np.float32).ctypes.data, rows.size * 4)
    for i in range(n):
        batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = llm.n_tokens + i, 1, 0, False
    assert llama_cpp.llama_decode(llm.ctx, batch) == 0
    llama_cpp.llama_batch_free(batch)
    llm.n_tokens += n


def pictures(verdict, llm):
    import model as m
    tower = open_tower(llm, common.GOLDEN / "mmproj.gguf")
    if not verdict(bool(tower), "pictures: llama.cpp loads the golden mmproj.gguf"):
        return
    original = Image.open(common.GOLDEN / "picture.png").convert("RGB")
    want = golden_array("picture.rows", "<f4").reshape(-1, llm.n_embd())
    images = encoded(tower, original, llm.n_embd())
    worst = worst_of(images[-1], want)
    verdict(worst <= 1e-3, "pictures: rows of the golden picture", "max |a-b| = %.1e max |b|, overview of %d images" % (worst, len(images)))
    ids = golden_array("picture.ids", "<i4").tolist()
    first, after = ids.index(m.IMAGE), len(ids) - ids[::-1].index(m.IMAGE)
    llm.reset()
    llm._ctx.kv_cache_clear()
    llm.eval(ids[:first])
    feed_rows(llm, images[-1])
    llm.eval(ids[after:])
    out, at = [], llm.scores[llm.n_tokens - 1]
    worst = worst_of(at, golden_array("picture.logits", "<f4"))
    verdict(worst <= 1e-3, "pictures: logits after picture and question", "max |a-b| = %.1e max |b|" % worst)
    while len(out) < 64:
        out.append(int(at.argmax()))
        llm.eval(out[-1:])
        at = llm.scores[llm.n_tokens - 1]
    verdict(out == golden_array("picture.greedy", "<i4").tolist(), "pictures: 64 greedy tokens after it")
    sample_llm = load(common.SAMPLE / "model.gguf")
    tower = open_tower(sample_llm, common.SAMPLE / "mmproj.gguf")
    if verdict(bool(tower), "pictures: llama.cpp loads samples/model/mmproj.gguf"):
        rows = encoded(tower, common.draw(0, (192, 192)), sample_llm.n_embd())
        verdict(len(rows[-1]) == m.ROWS, "pictures: rows of its overview", "%d" % len(rows[-1]))


# ---- sample, types ----

def against(verdict, what, llm, prompt_ids, a, limit):
    """llama.cpp is given our tokens. A choice may differ only where its two best lie within the limit."""
    at = log_softmax(logits_of(llm, prompt_ids + a.ids)[len(prompt_ids) - 1:-1] if a.ids else np.zeros((0, 1)))
    d = common.compare(a, at.copy(), limit)
    same = sum(int(x.argmax()) == i for x, i in zip(at, a.ids))
    verdict(d.worst <= limit and d.greedy and len(prompt_ids) == a.prompt_tokens, what,
            "%d + %d tokens, worst %.1e, closest choice %.1e, same best token %d of %d" % (len(prompt_ids), len(a.ids), d.worst, d.closest, same, len(a.ids)))


def as_f32(source, target):
    """The same file with F32 matrices."""
    import model as m
    c = m.Config()
    state = export.read_export(os.path.dirname(source), c)

    def put(writer, tensors, names, file):
        for name, where, to, heads in names:
            if where == file:
                a = tensors[name].float().numpy()
                writer.add_tensor(to, np.ascontiguousarray(export.interleave(a, heads) if heads else a))

    kept, export.write_tensors = export.write_tensors, put
    export.write_model(state, c, target)
    export.write_mmproj(state, c, os.path.join(os.path.dirname(target), "mmproj.gguf"))
    export.write_tensors = kept


def rendered(template, messages):
    env = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    chat = [{"role": r, "content": [{"type": "text", "text": p} for p in parts]} for r, parts in messages]
    return env.from_string(template).render(messages=chat, add_generation_prompt=True)


def sample(verdict, folder):
    table = common.token_table(common.SAMPLE / "model.gguf")
    copy = os.path.join(folder, "sample-f32", "model.gguf")
    os.makedirs(os.path.dirname(copy))
    as_f32(str(common.SAMPLE / "model.gguf"), copy)
    bf16, f32 = load(common.SAMPLE / "model.gguf"), load(copy)
    with common.Server(*common.EXACT) as server:
        for text in ("Hello", "What can you do?", "What is 3 + 4?", "Spell: naïve 漢字 😀", "Repeat: copper river 12:45"):
            messages = [("user", [text])]
            ids = bf16.tokenize(rendered(export.CHAT_TEMPLATE, messages).encode(), add_bos=False, special=True)
            a = common.ask(server, table, messages, STEPS)
            against(verdict, "sample, BF16 file: %r" % text, bf16, ids, a, LIMITS["BF16"])
            against(verdict, "sample, F32 copy: %r" % text, f32, ids, a, LIMITS["F32"])


def types(verdict, folder):
    prompts = ["What is it? It's 2026, naïve 漢字 😀 \n\n\n  end ", "Describe this picture. They're 12345 apples. " * 12]
    for kind, limit in LIMITS.items():
        where = os.path.join(folder, kind)
        model, processor, tokens = mini.make(mini.Shape(hidden=128, heads=4, head_dim=32, mlp=192, weights=kind, v_mlp=64), where, 7)
        table, llm = common.ids_of_bytes(tokens), load(os.path.join(where, "model.gguf"))
        with common.Server(*common.EXACT, model=where) as server:
            for i, text in enumerate(prompts):
                messages = [("user", [text])]
                inputs = common.reference_inputs(processor, messages)
                prompt_ids = inputs["input_ids"][0].tolist()
                ids = llm.tokenize(rendered(mini.TEMPLATE, messages).encode(), add_bos=False, special=True)
                verdict(ids == prompt_ids, "%s: tokens of text %d" % (kind, i))
                a = common.ask(server, table, messages, STEPS, logit_bias={str(tokens.index("<image>")): -100})
                reference = common.forced(model, inputs, a.ids)
                theirs = log_softmax(logits_of(llm, prompt_ids + a.ids)[len(prompt_ids) - 1:-1])
                ours = common.compare(a, reference.copy(), limit, tokens.index("<image>"))
                top = [max(abs(float(theirs[s][t] - reference[s][t])) for t in a.top[s]) for s in range(len(a.ids))]
                verdict(ours.worst <= limit and ours.worst <= max(2 * max(top), 2e-3) and ours.greedy, "%s: text %d, ours against transformers" % (kind, i),
                        "worst %.1e; llama.cpp's worst %.1e" % (ours.worst, max(top)))
                between = max(abs(float(theirs[s][t]) - lp) for s in range(len(a.ids)) for t, lp in a.top[s].items())
                verdict(between <= limit, "%s: text %d, ours against llama.cpp" % (kind, i), "worst %.1e" % between)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.parse_args()
    verdict = common.Verdict()
    print("llama-cpp-python %s" % llama_cpp.__version__)
    llm = load(common.GOLDEN / "model.gguf", 512)
    golden(verdict, llm)
    pictures(verdict, llm)
    with tempfile.TemporaryDirectory() as folder:
        sample(verdict, folder)
        types(verdict, folder)
    verdict.end()


if __name__ == "__main__":
    main()
