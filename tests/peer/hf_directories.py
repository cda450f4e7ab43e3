"""Hugging Face directories of many makes, saved by transformers with random weights: our prompts and log-probabilities against its own.

    python hf_directories.py [--only TEXT] [--keep DIR] [--llama-cpp DIR]

Needs torch, transformers, tokenizers, openai (samples/training/requirements.txt, tests/api). Each directory is what save_pretrained
of a model, of its family's tokenizer class and of its generation_config writes; the server is asked over HTTP by the OpenAI SDK at
temperature 0. The prompt's ids, as /tokenize tells them, must be those of apply_chat_template; for the tokens that we sampled all our top 20
log-probabilities must be transformers' own (float32, eager) within 2e-3, and each token its best within that. A directory in
REFUSED must not load, and the refusal must hold the words beside it. With --llama-cpp, a source tree of llama.cpp, each directory is
also converted by its convert_hf_to_gguf.py to F32, and the GGUF file must answer the same; its table of tokenizer hashes, which
knows no synthetic vocabulary, is passed over.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import openai
import torch
import transformers
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (AutoModelForCausalLM, AutoTokenizer, Gemma3ForCausalLM, Gemma3TextConfig, GemmaTokenizer,
                          GPT2Tokenizer, LlamaConfig, LlamaForCausalLM, LlamaTokenizer, MistralConfig,
                          MistralForCausalLM, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM, Qwen2Tokenizer)

import common
import export
import harness

TOLERANCE, STEPS = 2e-3, 12
CORPUS = ["the picture shows a red circle left of a blue square and the word river", "What is it? It's the 1st, we'll see; they're here.",
          "user\nassistant\nsystem\nDescribe this.\n\n\nthen count: 1, 2, 3, 10, 2000", "Stra\u00dfe, na\u00efve, \u6f22\u5b57 \u0440\u0443\u0441\u0441\u043a\u0438\u0439",
          "def f(x):\n    return x + 1\n\nclass A:\n\tpass\n"] * 4
LLAMA3_SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")

# ---- the families' chat templates, in the wording in which they are published ----

LLAMA3_CHAT = ("{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + "
               "'<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}"
               "{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}")
QWEN2_CHAT = ("{%- if tools %}\n    {{- '<|im_start|>system\\n' }}\n    {%- if messages[0]['role'] == 'system' %}\n"
              "        {{- messages[0]['content'] }}\n    {%- else %}\n"
              "        {{- 'You are Qwen, created by Alibaba Cloud. You are a helpful assistant.' }}\n    {%- endif %}\n"
              "    {%- for tool in tools %}\n        {{- \"\\n\" }}\n        {{- tool | tojson }}\n    {%- endfor %}\n"
              "{%- else %}\n    {%- if messages[0]['role'] == 'system' %}\n"
              "        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}\n    {%- else %}\n"
              "        {{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\\n' }}\n"
              "    {%- endif %}\n{%- endif %}\n{%- for message in messages %}\n"
              "    {%- if (message.role == \"user\") or (message.role == \"system\" and not loop.first) or (message.role == \"assistant\" "
              "and not message.tool_calls) %}\n"
              "        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}\n"
              "    {%- endif %}\n{%- endfor %}\n{%- if add_generation_prompt %}\n    {{- '<|im_start|>assistant\\n' }}\n{%- endif %}\n")
GEMMA3_CHAT = ("{{ bos_token }}\n{%- if messages[0]['role'] == 'system' -%}\n    {%- if messages[0]['content'] is string -%}\n"
               "        {%- set first_user_prefix = messages[0]['content'] + '\n\n' -%}\n    {%- else -%}\n"
               "        {%- set first_user_prefix = messages[0]['content'][0]['text'] + '\n\n' -%}\n    {%- endif -%}\n"
               "    {%- set loop_messages = messages[1:] -%}\n{%- else -%}\n    {%- set first_user_prefix = \"\" -%}\n"
               "    {%- set loop_messages = messages -%}\n{%- endif -%}\n{%- for message in loop_messages -%}\n"
               "    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}\n"
               "        {{ raise_exception(\"Conversation roles must alternate user/assistant/user/assistant/...\") }}\n    {%- endif -%}\n"
               "    {%- if (message['role'] == 'assistant') -%}\n        {%- set role = \"model\" -%}\n    {%- else -%}\n"
               "        {%- set role = message['role'] -%}\n    {%- endif -%}\n"
               "    {{ '<start_of_turn>' + role + '\n' + (first_user_prefix if loop.first else \"\") }}\n"
               "    {%- if message['content'] is string -%}\n        {{ message['content'] | trim }}\n"
               "    {%- elif message['content'] is iterable -%}\n        {%- for item in message['content'] -%}\n"
               "            {%- if item['type'] == 'image' -%}\n                {{ '<start_of_image>' }}\n"
               "            {%- elif item['type'] == 'text' -%}\n                {{ item['text'] | trim }}\n            {%- endif -%}\n"
               "        {%- endfor -%}\n    {%- else -%}\n        {{ raise_exception(\"Invalid content type\") }}\n    {%- endif -%}\n"
               "    {{ '<end_of_turn>\n' }}\n{%- endfor -%}\n{%- if add_generation_prompt -%}\n    {{'<start_of_turn>model\n'}}\n{%- endif -%}\n")
MISTRAL_CHAT = ("{%- if messages[0]['role'] == 'system' %}\n    {%- set system_message = messages[0]['content'] %}\n    {%- set loop_messages = messages[1:] %}\n"
                "{%- else %}\n    {%- set loop_messages = messages %}\n{%- endif %}\n\n{{- bos_token }}\n{%- for message in loop_messages %}\n"
                "    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}\n"
                "        {{- raise_exception('After the optional system message, conversation roles must alternate user/assistant/user/assistant/...') }}\n"
                "    {%- endif %}\n    {%- if message['role'] == 'user' %}\n        {%- if loop.first and system_message is defined %}\n"
                "            {{- ' [INST] ' + system_message + '\\n\\n' + message['content'] + ' [/INST]' }}\n        {%- else %}\n"
                "            {{- ' [INST] ' + message['content'] + ' [/INST]' }}\n        {%- endif %}\n"
                "    {%- elif message['role'] == 'assistant' %}\n        {{- ' ' + message['content'] + eos_token}}\n    {%- else %}\n"
                "        {{- raise_exception('Only user and assistant roles are supported, with the exception of an initial optional system message!') }}\n"
                "    {%- endif %}\n{%- endfor %}\n")
LLAMA2_CHAT = ("{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}"
               "{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}"
               "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
               "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
               "{% if loop.index0 == 0 and system_message != false %}"
               "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}"
               "{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}"
               "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
               "{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}")
SMOLLM_CHAT = ("{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
               "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}"
               "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
               "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")


# ---- tokenizers ----

def learn(pre, size, normalizer=None):
    """(vocabulary, merges) of a byte-level BPE."""
    tok = Tokenizer(models.BPE())
    tok.normalizer, tok.pre_tokenizer = normalizer, pre
    tok.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=size, show_progress=False,
                                                        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    model = json.loads(tok.to_str())["model"]
    return model["vocab"], [tuple(m) for m in model["merges"]]


def spm(special, with_blocks):
    """(vocabulary, merges) as transformers makes them from a SentencePiece file: special, bytes, pieces by rank."""
    tok = Tokenizer(models.BPE())
    tok.normalizer = normalizers.Replace(" ", "\u2581")
    tok.pre_tokenizer = pre_tokenizers.Split("\u2581", "merged_with_next")
    tok.train_from_iterator([" " + c for c in CORPUS], trainers.BpeTrainer(vocab_size=300, show_progress=False))
    learnt = json.loads(tok.to_str())["model"]
    pieces = list(special)
    if with_blocks:  # Gemma's runs of newlines and blanks
        pieces += ["\n" * n for n in range(1, 6)] + ["\u2581" * n for n in range(2, 6)]
    pieces += ["<0x%02X>" % b for b in range(256)]
    pieces += [t for t in sorted(learnt["vocab"], key=learnt["vocab"].get) if t not in pieces]
    vocab = {t: i for i, t in enumerate(pieces)}
    # As transformers takes merges from SentencePiece's scores: every way to make a piece, pieces by rank.
    merges = [(t[:i], t[i:]) for t in pieces[len(special):] for i in range(1, len(t)) if t[0] != "<" and t[:i] in vocab and t[i:] in vocab]
    return vocab, merges


def byte_level(pre, special, template, split=None, bos=None, ignore_merges=False, normalizer=None):
    vocab, merges = learn(pre, 380, normalizer)
    tok = Tokenizer(models.BPE(vocab=vocab, merges=merges, ignore_merges=ignore_merges))
    tok.normalizer, tok.pre_tokenizer, tok.decoder = normalizer, pre, decoders.ByteLevel()
    tok.add_special_tokens(special)
    if bos:
        tok.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(
            single=bos + " $A", pair=bos + " $A " + bos + ":1 $B:1", special_tokens=[(bos, tok.token_to_id(bos))])])
    return tok


def llama3_tokenizer():
    pre = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3_SPLIT), "isolated"),
                                   pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    special = ["<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    return PreTrainedTokenizerFast(tokenizer_object=byte_level(pre, special, LLAMA3_CHAT, bos="<|begin_of_text|>", ignore_merges=True),
                                   bos_token="<|begin_of_text|>", eos_token="<|eot_id|>", chat_template=LLAMA3_CHAT), ["<|eot_id|>", "<|end_of_text|>"]


def smollm_tokenizer():
    pre = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    return PreTrainedTokenizerFast(tokenizer_object=byte_level(pre, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], SMOLLM_CHAT),
                                   bos_token="<|im_start|>", eos_token="<|im_end|>", unk_token="<|endoftext|>", pad_token="<|im_end|>",
                                   chat_template=SMOLLM_CHAT), ["<|im_end|>"]


def gpt2_tokenizer():
    vocab, merges = learn(pre_tokenizers.ByteLevel(add_prefix_space=False), 380)
    vocab["<|endoftext|>"] = len(vocab)
    tok = GPT2Tokenizer(vocab=vocab, merges=merges, chat_template=SMOLLM_CHAT)
    tok.add_tokens(["<|im_start|>", "<|im_end|>"], special_tokens=True)
    return tok, ["<|im_end|>", "<|endoftext|>"]


def qwen2_tokenizer():
    pre = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3_SPLIT.replace("{1,3}", "")), "isolated"),
                                   pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    vocab, merges = learn(pre, 380, normalizers.NFC())
    vocab["<|endoftext|>"] = len(vocab)
    tok = Qwen2Tokenizer(vocab=vocab, merges=merges, chat_template=QWEN2_CHAT)
    tok.add_tokens(["<|im_start|>", "<|im_end|>", "<|object_ref_start|>"], special_tokens=True)
    tok.add_tokens(["<tool_call>", "</tool_call>"])  # added, but not special
    tok.eos_token = "<|im_end|>"
    return tok, ["<|im_end|>", "<|endoftext|>"]


def gemma_tokenizer():
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>", "<end_of_turn>", "<start_of_image>"]
    vocab, merges = spm(special, True)
    tok = GemmaTokenizer(vocab=vocab, merges=merges, chat_template=GEMMA3_CHAT)
    tok.add_tokens(["<start_of_turn>", "<end_of_turn>", "<start_of_image>"], special_tokens=True)
    return tok, ["<eos>", "<end_of_turn>"]


def llama2_tokenizer(template=LLAMA2_CHAT, **fields):
    vocab, merges = spm(["<unk>", "<s>", "</s>"], False)
    return LlamaTokenizer(vocab=vocab, merges=merges, chat_template=template, **fields), ["</s>"]


def mistral_tokenizer():
    """Mistral v0.3: control tokens of the template, text as Llama 2's."""
    tok, ends = llama2_tokenizer(MISTRAL_CHAT, legacy=False)
    tok.add_tokens(["[INST]", "[/INST]"], special_tokens=True)
    return tok, ends


def llama2_old_tokenizer():
    """The tokenizer.json that transformers 4 made: a normalizer that prepends."""
    tok, ends = llama2_tokenizer()
    inner = tok._tokenizer
    inner.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    inner.pre_tokenizer = None
    return tok, ends


# ---- models ----

LLAMA3_ROPE = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 64}
L, M = (LlamaConfig, LlamaForCausalLM), (MistralConfig, MistralForCausalLM)
Q, G = (Qwen2Config, Qwen2ForCausalLM), (Gemma3TextConfig, Gemma3ForCausalLM)
G2 = {"full_attention": {"rope_type": "default", "rope_theta": 1e6}, "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}
G8 = {**G2, "full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0}}


def kinds(text):
    return [{"f": "full_attention", "s": "sliding_attention"}[c] for c in text]


# name: (classes, settings, tokenizer, dtype, shard size, padding of the vocabulary, change of the directory)
CASES = {
    "llama-gqa": (L, dict(), llama3_tokenizer, "float32", None, 0, None),
    "llama-mha-bf16": (L, dict(num_key_value_heads=4), llama3_tokenizer, "bfloat16", None, 3, None),
    "llama-mqa-f16-tied": (L, dict(num_key_value_heads=1, tie_word_embeddings=True), smollm_tokenizer, "float16", "20KB", 0, None),
    "llama-head-dim": (L, dict(head_dim=24, num_key_value_heads=2), smollm_tokenizer, "bfloat16", None, 61, None),
    "llama-odd": (L, dict(hidden_size=36, head_dim=10, num_attention_heads=6, num_key_value_heads=3, intermediate_size=46),
                  gpt2_tokenizer, "float32", None, 1, None),
    "llama-attention-bias": (L, dict(attention_bias=True), gpt2_tokenizer, "float32", None, 0, None),
    "llama-mlp-bias": (L, dict(mlp_bias=True), smollm_tokenizer, "bfloat16", None, 0, None),
    "llama-rope-llama3": (L, dict(rope_parameters=LLAMA3_ROPE), llama3_tokenizer, "float32", None, 0, None),
    "llama-rope-linear": (L, dict(rope_parameters={"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0}),
                          smollm_tokenizer, "float32", None, 0, None),
    "llama-yarn": (L, dict(rope_parameters={"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 32}),
                   smollm_tokenizer, "float32", None, 0, None),
    "llama-dynamic": (L, dict(rope_parameters={"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0}), smollm_tokenizer, "float32", None, 0, None),
    "llama-theta": (L, dict(rope_parameters={"rope_type": "default", "rope_theta": 1e8}), llama3_tokenizer, "float16", None, 0, None),
    "llama-one-layer": (L, dict(num_hidden_layers=1), llama2_tokenizer, "float32", None, 0, None),
    "llama-2": (L, dict(num_key_value_heads=4), llama2_tokenizer, "float16", "20KB", 0, None),
    "llama-2-legacy": (L, dict(), lambda: llama2_tokenizer(legacy=True), "float32", None, 0, None),
    "llama-2-old": (L, dict(), llama2_old_tokenizer, "float32", None, 0, None),
    "llama-3-as-4": (L, dict(rope_parameters=LLAMA3_ROPE), llama3_tokenizer, "bfloat16", "20KB", 0, "4"),
    "mistral": (M, dict(sliding_window=None), mistral_tokenizer, "bfloat16", None, 0, None),
    "mistral-head-dim": (M, dict(sliding_window=None, head_dim=24), llama3_tokenizer, "float32", None, 0, None),
    "mistral-window": (M, dict(sliding_window=20), mistral_tokenizer, "float32", None, 0, None),
    "mistral-window-wide": (M, dict(sliding_window=4096), mistral_tokenizer, "float32", None, 0, None),
    "qwen2-tied": (Q, dict(tie_word_embeddings=True), qwen2_tokenizer, "bfloat16", None, 271, None),
    "qwen2-untied": (Q, dict(tie_word_embeddings=False, rope_parameters={"rope_type": "default", "rope_theta": 1e6}),
                     qwen2_tokenizer, "float32", "20KB", 0, None),
    "qwen2-as-4": (Q, dict(tie_word_embeddings=True, max_window_layers=1, sliding_window=64, rope_parameters={"rope_type": "default",
                   "rope_theta": 1e6}),
                   
                   qwen2_tokenizer, "bfloat16", None, 0, "4"),
    "gemma3-default": (G, dict(num_hidden_layers=7, sliding_window=16, query_pre_attn_scalar=16),
                       gemma_tokenizer, "float32", None, 0, None),
    "gemma3-order": (G, dict(num_hidden_layers=5, layer_types=kinds("fssfs"), sliding_window=20),
                     gemma_tokenizer, "bfloat16", None, 64, None),
    "gemma3-all-full": (G, dict(num_hidden_layers=2, layer_types=kinds("ff"), sliding_window=20),
                        gemma_tokenizer, "float32", None, 0, None),
    "gemma3-all-sliding": (G, dict(num_hidden_layers=2, layer_types=kinds("ss"), sliding_window=20, query_pre_attn_scalar=16),
                           gemma_tokenizer, "float32", None, 0, None),
    "gemma3-window-1": (G, dict(num_hidden_layers=3, layer_types=kinds("sfs"), sliding_window=1),
                        gemma_tokenizer, "float32", None, 0, None),
    "gemma3-window-wide": (G, dict(num_hidden_layers=3, layer_types=kinds("sfs"), sliding_window=512),
                           gemma_tokenizer, "float32", None, 0, None),
    "gemma3-window-all": (G, dict(num_hidden_layers=3, layer_types=kinds("sfs"), sliding_window=4096),
                          gemma_tokenizer, "float32", None, 0, None),
    "gemma3-pattern": (G, dict(num_hidden_layers=4, sliding_window_pattern=2, sliding_window=20),
                       gemma_tokenizer, "float16", "20KB", 0, None),
    "gemma3-scalar-256": (G, dict(num_hidden_layers=3, head_dim=256, query_pre_attn_scalar=168, sliding_window=30, sliding_window_pattern=3,
                                  num_attention_heads=2, num_key_value_heads=1), gemma_tokenizer, "bfloat16", None, 0, None),
    "gemma3-linear": (G, dict(num_hidden_layers=4, sliding_window_pattern=2, sliding_window=20, rope_parameters=G8),
                      gemma_tokenizer, "float32", None, 0, None),
    "gemma3-as-4": (G, dict(num_hidden_layers=7, sliding_window_pattern=6, sliding_window=20, query_pre_attn_scalar=16, rope_parameters=G8),
                    gemma_tokenizer, "bfloat16", "20KB", 0, "4"),
    "gemma3-untied": (G, dict(num_hidden_layers=2, query_pre_attn_scalar=16, tie_word_embeddings=False),
                      gemma_tokenizer, "float32", None, 0, None),
}
REFUSED = {  # the same, and what the refusal must name
    "qwen2-window": (Q, dict(use_sliding_window=True, sliding_window=64, max_window_layers=1),
                     qwen2_tokenizer, "float32", None, 0, None, "use_sliding_window"),
    "llama-gelu": (L, dict(hidden_act="gelu"), smollm_tokenizer, "float32", None, 0, None, "hidden_act"),
    "gemma3-softcap": (G, dict(final_logit_softcapping=30.0), gemma_tokenizer, "float32", None, 0, None, "final_logit_softcapping"),
    "gemma3-both-ways": (G, dict(use_bidirectional_attention=True),
                         gemma_tokenizer, "float32", None, 0, None, "use_bidirectional_attention"),
    "gemma3-nested": (G, dict(), gemma_tokenizer, "float32", None, 0, "nested", "Gemma3ForConditionalGeneration"),
}


# What GGUF can say: it knows no scale of gemma's scores, no order of its layers but each sixth, no normalisation of qwen2's text, and puts
# Llama 2's blank after every control token.
CONVERTED = {"llama-gqa", "llama-mqa-f16-tied", "llama-attention-bias", "llama-mlp-bias", "llama-rope-llama3", "llama-rope-linear", "llama-theta",
             "llama-3-as-4", "mistral-head-dim", "qwen2-untied", "qwen2-as-4", "gemma3-default", "gemma3-all-sliding", "gemma3-untied", "gemma3-as-4"}


def fill(model, dtype, seed):
    torch.manual_seed(seed)
    gemma = "Gemma" in type(model).__name__
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.ndim == 1:
                p.normal_(1.0 if "norm" in name and not gemma else 0.0, 0.2)
            else:
                p.normal_(0, 0.25 if "embed" in name else 1.3 * p[0].numel() ** -0.5)
            p.copy_(p.to(dtype))


def edit(path, change):
    with open(path, encoding="utf-8") as f:
        data = json.load(f)
    change(data)
    with open(path, "w", encoding="utf-8") as f:
        json.dump(data, f, ensure_ascii=False, indent=2)


def as_4(folder, tok):
    """What transformers 5 saved, in the words and with the files of transformers 4."""
    def config(c):
        c["torch_dtype"] = c.pop("dtype")
        c["transformers_version"] = "4.46.0"
        rope = c.pop("rope_parameters")
        full = rope.get("full_attention", rope)
        c["rope_theta"] = full.pop("rope_theta")
        full["type"] = full["rope_type"]
        c["rope_scaling"] = full if full["rope_type"] != "default" else None
        if "sliding_attention" in rope:
            c["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
            c["sliding_window_pattern"] = c.pop("_sliding_window_pattern")
            c["cache_implementation"] = "hybrid"
        c.pop("layer_types", None)
    edit(os.path.join(folder, "config.json"), config)
    edit(os.path.join(folder, "tokenizer.json"), lambda t: t["model"].update(merges=[" ".join(m) for m in t["model"]["merges"]])
         if all(" " not in x for m in t["model"]["merges"] for x in m) else None)
    os.remove(os.path.join(folder, "chat_template.jinja"))
    edit(os.path.join(folder, "tokenizer_config.json"), lambda c: c.update(
        chat_template=tok.chat_template, added_tokens_decoder={str(i): {"content": t.content, "lstrip": t.lstrip, "normalized": t.normalized,
        "rstrip": t.rstrip, "single_word": t.single_word, "special": t.special} for i, t in tok.added_tokens_decoder.items()}))
    vocab = json.load(open(os.path.join(folder, "tokenizer.json"), encoding="utf-8"))["model"]
    files = {"special_tokens_map.json": tok.special_tokens_map, "added_tokens.json": tok.get_added_vocab(), "vocab.json": vocab["vocab"],
             "preprocessor_config.json": {"do_resize": True}}
    for name, data in files.items():
        json.dump(data, open(os.path.join(folder, name), "w"))
    with open(os.path.join(folder, "merges.txt"), "w", encoding="utf-8") as f:
        f.write("#version: 0.2\n" + "\n".join(m if isinstance(m, str) else " ".join(m) for m in vocab["merges"]) + "\n")


def write(folder, case, seed):
    (config_class, model_class), settings, make_tok, dtype, shard, pad, layout = case[:7]
    tok, ends = make_tok()
    ends = [tok.convert_tokens_to_ids(t) for t in ends]
    given = dict(vocab_size=len(tok) + pad, hidden_size=48, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                 max_position_embeddings=1024, bos_token_id=tok.bos_token_id, eos_token_id=ends[0], pad_token_id=tok.pad_token_id)
    if model_class is Gemma3ForCausalLM:
        given["head_dim"] = 16
    model = model_class._from_config(config_class(**{**given, **settings}), attn_implementation="eager", dtype=torch.float32).eval()
    fill(model, getattr(torch, dtype), seed)
    model.generation_config.eos_token_id = ends
    model.to(getattr(torch, dtype)).save_pretrained(folder, max_shard_size=shard or "5GB")
    tok.save_pretrained(folder)
    if layout == "4":
        as_4(folder, tok)
    if layout == "nested":  # as the models that see pictures are written
        edit(os.path.join(folder, "config.json"), lambda c: c.update(text_config=dict(c), model_type="gemma3",
                                                                     architectures=["Gemma3ForConditionalGeneration"]))
    return ends


CONVERSATIONS = [
    [("user", "Hello")],
    [("system", "You are terse."), ("user", "  What is it?\n\n\nIt's the 1st,\t we'll see;   they're 12345 here. "
                                          "\u00e9 e\u0301 \u6f22\u5b57 \U0001F600\U0001F468\u200d\U0001F469\u200d\U0001F467  ")],
    [("user", "Say <|im_end|><|eot_id|><end_of_turn></s><bos> [INST] and <|im_start|>system"), ("assistant", "No, I won't.\n"), ("user", "\n\u00a0\u3000why? ")],
    [("user", "the picture shows a red circle left of a blue square and the word river " * 9)],
]


def prompt_ids(tok, folder, messages):
    """tokenizer.json's ids of the rendered text. AutoTokenizer builds some families' pipeline anew, whatever the file says."""
    text = tok.apply_chat_template([{"role": r, "content": c} for r, c in messages], add_generation_prompt=True, tokenize=False)
    return Tokenizer.from_file(os.path.join(folder, "tokenizer.json")).encode(text, add_special_tokens=False).ids


def spellings(tok):
    return [t.content for t in tok.added_tokens_decoder.values() if t.special]


def bytes_of(tok, i, byte_level_decoder):
    t = tok.convert_ids_to_tokens(i)
    if t is None or i in tok.added_tokens_decoder:
        return t.encode() if t else b""
    if byte_level_decoder:
        return bytes(byte_level_decoder[c] for c in t) if all(c in byte_level_decoder for c in t) else t.encode()
    m = re.fullmatch("<0x([0-9A-F]{2})>", t)
    return bytes([int(m[1], 16)]) if m else t.replace("\u2581", " ").encode()


def forced(model, ids, n_tokens):
    """Rows beyond the tokenizer's have no text, and are never sampled."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0].double()
    logits[:, n_tokens:] = -np.inf
    return logits.log_softmax(-1).numpy()


def check_answer(model, tok, prompt, steps, candidates, ends):
    """-> (worst difference, greedy, ids). A token is told by its bytes, and by the reference where several have the same."""
    ids, worst, greedy = list(prompt), 0, True
    for s in steps:
        at = forced(model, ids, len(tok))[-1]
        for t in s.top_logprobs:
            choices = candidates.get(bytes(t.bytes), [])
            worst = max(worst, min((abs(at[i] - t.logprob) for i in choices), default=9e9))
        mine = candidates.get(bytes(s.bytes), [])
        best = max(mine, key=lambda i: at[i])
        greedy &= bool(at[best] >= at.max() - TOLERANCE)
        ids.append(best)
    return worst, greedy, ids[len(prompt):]


def one_case(name, case, folder, seed, verdict, llama_cpp):
    ends = write(folder, case, seed)
    tok = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    raw = {c: b for b, c in enumerate(export.byte_alphabet())} if "ByteLevel" in str(tok._tokenizer.decoder) else None
    candidates = {}
    for i in range(len(tok)):
        candidates.setdefault(bytes_of(tok, i, raw), []).append(i)
    containers = [(name, folder)] + ([(name + ".gguf", convert(llama_cpp, folder, tok))] if llama_cpp and name in CONVERTED else [])
    for name, path in containers:
        if "Gemma" in type(model).__name__:  # a model of the stored type rounds its scale to that type, as the one that was trained
            dtype = torch.float32 if path != folder else getattr(torch, case[3])
            model.model.embed_tokens.embed_scale.copy_(torch.tensor(model.config.hidden_size ** 0.5).to(dtype))
        ask_all(name, path, folder, tok, model, candidates, ends, verdict)


CONVERT = """
import sys
tree, pre, folder, out = sys.argv[1:]
sys.path[:0] = [tree, tree + "/gguf-py"]
import conversion.base
conversion.base.TextModel.get_vocab_base_pre = lambda self, tokenizer: pre
import convert_hf_to_gguf
sys.argv = ["convert", "--outtype", "f32", "--outfile", out, folder]
convert_hf_to_gguf.main()
"""


def write_sentencepiece(tok, path):
    from sentencepiece import sentencepiece_model_pb2 as pb
    m = pb.ModelProto()
    m.trainer_spec.model_type, m.trainer_spec.byte_fallback = 2, True
    m.normalizer_spec.name, m.normalizer_spec.remove_extra_whitespaces = "identity", False
    m.normalizer_spec.add_dummy_prefix = "Gemma" not in type(tok).__name__
    vocab = tok.get_vocab()
    for t in sorted(vocab, key=vocab.get):
        special, byte = t in tok.added_tokens_encoder, re.fullmatch("<0x[0-9A-F]{2}>", t)
        kind = 2 if t == tok.unk_token else 3 if special else 6 if byte else 1
        m.pieces.add(piece=t, score=0 if special or byte else -vocab[t], type=kind)
    with open(path, "wb") as f:
        f.write(m.SerializeToString())


def convert(tree, folder, tok):
    """-> path of the GGUF file"""
    spm_like = "ByteLevel" not in str(tok._tokenizer.decoder)
    pre = "gpt-2" if "GPT2" in type(tok).__name__ else {LLAMA3_CHAT: "llama-bpe", QWEN2_CHAT: "qwen2"}.get(tok.chat_template, "smollm")
    if spm_like:
        write_sentencepiece(tok, os.path.join(folder, "tokenizer.model"))
    out = folder + ".gguf"
    r = subprocess.run([sys.executable, "-c", CONVERT, tree, pre, folder, out], capture_output=True, text=True)
    if r.returncode:
        raise RuntimeError("converter: " + r.stderr[-500:])
    return out


def ask_all(name, path, folder, tok, model, candidates, ends, verdict):
    with common.Server(*common.EXACT, "--served-model-name", name, "--max-num-batched-tokens", "64", model=path) as server:
        client = openai.OpenAI(base_url="http://127.0.0.1:%d/v1" % server.port, api_key="none", max_retries=0)
        for n, messages in enumerate(CONVERSATIONS):
            if messages[0][0] == "system" and "system" not in tok.chat_template:
                continue
            if name.endswith(".gguf") and name.startswith("qwen2") and any("\u0301" in c for _, c in messages):
                continue
            asked = [{"role": r, "content": c} for r, c in messages]
            has_special = any(s in c for _, c in messages for s in spellings(tok))
            prompt = prompt_ids(tok, folder, messages)
            a = client.chat.completions.create(model=name, messages=asked, temperature=0, max_tokens=STEPS, logprobs=True,
                                               top_logprobs=20)
            steps = a.choices[0].logprobs.content
            if has_special:  # the reference would make control tokens of them
                verdict(a.usage.prompt_tokens > len(prompt), "%s: spellings stay text" % name,
                        "%d tokens, as control tokens %d" % (a.usage.prompt_tokens, len(prompt)))
                continue
            ours = client.post("/../tokenize", cast_to=object, body={"model": name, "messages": asked})["tokens"]
            worst, greedy, ids = check_answer(model, tok, prompt, steps, candidates, ends)
            stops = len(ids) == STEPS or a.choices[0].finish_reason == "stop"
            verdict(ours == list(prompt) and a.usage.prompt_tokens == len(prompt) and greedy and worst <= TOLERANCE and stops, "%s: conversation %d" % (name, n),
                    "%d prompt tokens%s; %d steps, worst %.1e%s" % (len(prompt), "" if ours == list(prompt) else ", OURS DIFFER: %s" % ours,
                                                                  len(ids), worst, "" if greedy else ", NOT its best"))


def refused(folder):
    r = subprocess.run([harness.BIN, "serve", folder, "--port", "0"], capture_output=True, text=True, timeout=60)
    return r.returncode, r.stderr


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--only", default="", help="cases whose names hold this")
    p.add_argument("--keep", help="folder for the directories")
    p.add_argument("--llama-cpp", help="source tree of llama.cpp")
    args = p.parse_args()
    verdict = common.Verdict()
    transformers.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as temporary:
        for i, (name, case) in enumerate({**CASES, **REFUSED}.items()):
            if args.only not in name:
                continue
            folder = os.path.join(args.keep or temporary, name)
            shutil.rmtree(folder, ignore_errors=True)
            try:
                if name in CASES:
                    one_case(name, case, folder, i, verdict, args.llama_cpp)
                else:
                    write(folder, case, i)
                    code, text = refused(folder)
                    verdict(code > 0 and case[7] in text, "%s is refused" % name, text.strip().splitlines()[-1] if text else "")
            except Exception as e:  # the others still run
                verdict(False, name, "%s: %s" % (type(e).__name__, str(e)[-600:]))
    verdict.end()


if __name__ == "__main__":
    main()
