"""Random-weight miniatures of models that embed texts, and what transformers makes of some texts, pooled as sentence-transformers does it.

    python make.py    # needs torch, transformers, tokenizers, gguf (samples/training/requirements.txt)

  last/       as Qwen3-Embedding is published: Qwen3ForCausalLM by its name, tensors without "model.", no head, a tokenizer that puts
              <|end|> behind a text; modules.json: the last token, length 1
  last.gguf   the same, as llama.cpp's converter writes it: qwen3.pooling_type 3, tokenizer.ggml.add_eos_token
  mean/       LlamaModel, a beginning-of-sequence token, F32: the mean, as long as it is; sizes that it may be cut to
  NAME.json   [{text, ids, vector}]: vector is of the last layer's normed rows in float32, pooled; the weights are the stored ones
"""
import json
import os
import shutil
import sys

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFWriter, TokenType
from tokenizers import processors
from transformers import LlamaConfig, LlamaModel, Qwen3Config, Qwen3Model

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "hf"))
import make as hf  # noqa: E402

TEXTS = ["Zeichne 12 Kreise, don't!", "a", "Instruct: find circles\nQuery:they're 3", "\u6f22\u5b57 \U0001F600", "circles " * 24, "</s> is a token, <|end|> too"]
ROPE = {"rope_type": "default", "rope_theta": 1e6}


def template(tok, first=None, last=None):
    single = ([first] if first else []) + ["$A"] + ([last] if last else [])
    tok.post_processor = processors.TemplateProcessing(single=single, special_tokens=[(t, tok.token_to_id(t)) for t in (first, last) if t])


def write(path, value):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f, ensure_ascii=False, separators=(",", ":"))
        f.write("\n")


def modules(folder, mode, normalise):
    kinds = ["Transformer", "Pooling"] + (["Normalize"] if normalise else [])
    write(os.path.join(folder, "modules.json"), [
        {"idx": i, "name": str(i), "path": "" if i == 0 else "%d_%s" % (i, kind), "type": "sentence_transformers.models." + kind}
        for i, kind in enumerate(kinds)])
    flags = ["cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken"]
    write(os.path.join(folder, "1_Pooling", "config.json"),
          {"word_embedding_dimension": 16, **{"pooling_mode_" + f: f == mode for f in flags}, "include_prompt": True})
    write(os.path.join(folder, "config_sentence_transformers.json"),
          {"prompts": {"query": "Instruct: find\nQuery:", "document": ""}, "default_prompt_name": None, "similarity_fn_name": "cosine"})


def vectors(model, fast, mode, normalise):
    out = []
    for text in TEXTS:
        ids = fast(text)["input_ids"]
        with torch.no_grad():
            rows = model(input_ids=torch.tensor([ids])).last_hidden_state[0].float()
        v = rows[-1] if mode == "lasttoken" else rows.mean(0)
        v = torch.nn.functional.normalize(v, dim=0) if normalise else v
        out.append({"text": text, "ids": ids, "vector": [float(x) for x in v]})
    return out


def gguf(path, model, fast):
    c = model.config
    w = GGUFWriter(path, "qwen3")
    w.add_block_count(c.num_hidden_layers)
    w.add_context_length(c.max_position_embeddings)
    w.add_embedding_length(c.hidden_size)
    w.add_feed_forward_length(c.intermediate_size)
    w.add_head_count(c.num_attention_heads)
    w.add_head_count_kv(c.num_key_value_heads)
    w.add_key_length(c.head_dim)
    w.add_value_length(c.head_dim)
    w.add_layer_norm_rms_eps(c.rms_norm_eps)
    w.add_rope_freq_base(ROPE["rope_theta"])
    w.add_uint32("qwen3.pooling_type", 3)
    special = set(fast.all_special_ids) | set(fast.added_tokens_decoder)
    tokens = [fast.convert_ids_to_tokens(i) for i in range(len(fast))]
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("qwen2")
    w.add_token_list(tokens)
    w.add_token_types([TokenType.CONTROL if i in special else TokenType.NORMAL for i in range(len(fast))])
    w.add_token_merges([" ".join(m) for m in json.loads(fast.backend_tokenizer.to_str())["model"]["merges"]])
    w.add_eos_token_id(fast.convert_tokens_to_ids("<|end|>"))
    w.add_add_eos_token(True)
    names = {"embed_tokens": "token_embd", "norm": "output_norm"}
    parts = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
             "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm", "input_layernorm": "attn_norm",
             "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
    for name, p in model.state_dict().items():
        stem = name[:-len(".weight")]
        if stem.startswith("layers."):
            _, layer, part = stem.split(".", 2)
            target = "blk.%s.%s" % (layer, parts[part])
        else:
            target = names[stem]
        w.add_tensor(target + ".weight", p.float().numpy(), raw_dtype=GGMLQuantizationType.F32)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def make(name, config_class, model_class, settings, dtype, mode, normalise, first, last):
    fast = hf.tokenizer(hf.qwen2 if name == "last" else hf.smollm)
    template(fast.backend_tokenizer, first, last)
    model = hf.build(config_class, model_class, settings, len(fast), dtype, 11)
    folder = os.path.join(HERE, name)
    hf.save(name, model, fast, dtype, None, False, folder)
    os.remove(os.path.join(folder, "generation_config.json")) if os.path.exists(os.path.join(folder, "generation_config.json")) else None
    modules(folder, mode, normalise)
    if name == "last":
        hf.edit(os.path.join(folder, "config.json"), lambda c: c.update(architectures=["Qwen3ForCausalLM"]))
        gguf(os.path.join(HERE, "last.gguf"), model, fast)
    else:
        hf.edit(os.path.join(folder, "config.json"), lambda c: c.update(matryoshka_dimensions=[4, 8, 16]))
    write(os.path.join(HERE, name + ".json"), vectors(model, fast, mode, normalise))


if __name__ == "__main__":
    make("last", Qwen3Config, Qwen3Model, dict(head_dim=12, tie_word_embeddings=False, rope_parameters=ROPE), "bfloat16", "lasttoken", True, None, "<|end|>")
    make("mean", LlamaConfig, LlamaModel, dict(head_dim=12), "float32", "mean_tokens", False, "<s>", None)
