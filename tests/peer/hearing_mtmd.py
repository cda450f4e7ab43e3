"""Second opinion on audio chat models: llama.cpp's mtmd, through llama-cpp-python, on the GGUF files of hearing_families.py.

llama.cpp takes the text around the sounds as the reference has it, makes rows of each sound, and is fed the tokens that we sampled, with K
and V in float32. It pads every clip to whole windows of 30 s and encodes all of them, without a mask; from 29.99 s on it makes two
windows. transformers does the same only where a clip of Qwen2-Audio's lacks one or two frames of a window: that is judged. Of Ultravox's
the last frame is another one; of Qwen2.5-Omni llama.cpp knows no blocks of 2 s: these, and a clip of 7 s, are shown. The libmtmd of
llama-cpp-python 0.3.36 aborts on Voxtral (it takes the mean of two rows before it stacks four, makes 188, and expects 187), and on
Ultravox where a stack does not divide 1500 rows.
"""
import ctypes

import llama_cpp
import numpy as np
from llama_cpp import mtmd_cpp as mtmd

from hearing_families import WINDOW
from peer_llama_cpp import feed_rows, load, log_softmax, open_tower

BOUND = 5e-3  # of any log-probability among our top 20; llama.cpp convolves in F16


@llama_cpp.llama_log_callback
def silent(level, text, data):
    pass


def chunks_of(tower, samples):
    samples = np.ascontiguousarray(samples, np.float32)
    bitmap = mtmd.mtmd_bitmap_init_from_audio(len(samples), samples.ctypes.data_as(ctypes.POINTER(ctypes.c_float)))
    raw, chunks, given = mtmd.mtmd_default_marker(), mtmd.mtmd_input_chunks_init(), mtmd.mtmd_input_text()
    given.text, given.text_len, given.add_special, given.parse_special = raw, len(raw), False, True
    failed = mtmd.mtmd_tokenize(tower, chunks, ctypes.byref(given), (mtmd.mtmd_bitmap_p_ctypes * 1)(bitmap), 1)
    assert failed == 0, failed
    return chunks


def rows_of(tower, samples, width):
    """[rows][width] of a sound: all of its windows"""
    chunks, rows = chunks_of(tower, samples), []
    for i in range(mtmd.mtmd_input_chunks_size(chunks)):
        chunk = mtmd.mtmd_input_chunks_get(chunks, i)
        if mtmd.mtmd_input_chunk_get_type(chunk) != 0:  # no text
            n = mtmd.mtmd_input_chunk_get_n_tokens(chunk)
            assert mtmd.mtmd_encode_chunk(tower, chunk) == 0
            rows.append(np.array(np.ctypeslib.as_array(mtmd.mtmd_get_output_embd(tower), (n, width))))
    mtmd.mtmd_input_chunks_free(chunks)
    return np.concatenate(rows)


def spans(ids, counts, row_id):
    """Where the reference's prompt has the rows of each sound: [(first, end)]"""
    at, out = 0, []
    for n in counts:
        at = next(i for i in range(at, len(ids)) if ids[i:i + n] == [row_id] * n)
        out.append((at, at + n))
        at += n
    return out


def logits_after(llm, ids, places, rows, answer):
    llm.reset()
    llm._ctx.kv_cache_clear()
    at = 0
    for (first, end), r in zip(places, rows):
        if first > at:
            llm.eval(ids[at:first])
        for i in range(0, len(r), llm.n_batch):
            feed_rows(llm, r[i:i + llm.n_batch])
        at = end
    llm.eval(ids[at:])
    start = llm.n_tokens - 1
    llm.eval(answer[:-1])
    return np.array(llm.scores[start:start + len(answer)])


def compare(name, family, model, mmproj, answers, verdict):
    if name == "voxtral" or (name == "ultravox" and 1500 % family.d["stack"]):
        return print("       %s: llama.cpp aborts on these files" % name)
    llm = load(model, 4096)
    mtmd.mtmd_helper_log_set(silent, None)
    tower = open_tower(llm, mmproj)
    if not verdict(bool(tower) and mtmd.mtmd_support_audio(tower), "%s, llama.cpp loads the files" % name):
        return
    for what, (parts, a, reference) in answers.items():
        sounds = [p for p in parts if not isinstance(p, str)]
        if what != "7 s" and any(not 160 < WINDOW - len(x) < 320 for x in sounds):
            continue
        ids = family.inputs(parts)["input_ids"][0].tolist()
        rows = [rows_of(tower, x, llm.n_embd()) for x in sounds]
        counts = [family.count(x) for x in sounds]
        same = all(len(r) == n for r, n in zip(rows, counts))
        at = log_softmax(logits_after(llm, ids, spans(ids, counts, family.row_id), rows, a.ids))
        worst = max(abs(float(at[i][t]) - lp) for i, top in enumerate(a.top) for t, lp in top.items())
        said = "rows %s, ours %s; worst %.1e" % (", ".join("%d" % len(r) for r in rows), ", ".join("%d" % n for n in counts), worst)
        if name == "qwen2-audio" and what != "7 s":
            verdict(same and worst <= BOUND, "%s, %s: llama.cpp's opinion" % (name, what), said)
        else:
            print("       %s, %s: llama.cpp does other work: %s" % (name, what, said))
