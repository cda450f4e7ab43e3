"""Random-weight Idefics3 models of any shape, twice: as transformers' model with its processor, and as GGUF files."""
import json
import os
from dataclasses import dataclass, field

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFWriter, RopeScalingType, TokenType
from gguf.quants import dequantize, quantize
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (Idefics3Config, Idefics3ForConditionalGeneration, Idefics3ImageProcessorPil, Idefics3Processor,
                          PreTrainedTokenizerFast)

import common  # noqa: F401  (the path to export)
import export

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<end_of_utterance>", "<fake_token_around_image>", "<image>",
           "<global-img>"] + ["<row_%d_col_%d>" % (r + 1, c + 1) for r in range(6) for c in range(6)]
# SmolVLM's own, which wants content as a list.
TEMPLATE = ("<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}{% if message['content'][0]['type'] == 'image' %}"
            "{{':'}}{% else %}{{': '}}{% endif %}{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
            "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
            "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}")
# What the merges are learnt from.
CORPUS = ["the picture shows a red circle left of a blue square and the word river", "What is it? It's the 1st, we'll see; they're here.",
          "User: Assistant: Describe this picture.\n\nRead the image.\n\n\nthen count: 1, 2, 3, 10, 200", "Straße, naïve, 漢字 and русский текст",
          "def f(x):\n    return x + 1\n\nclass A:\n\tpass\n"] * 4


@dataclass
class Shape:
    hidden: int = 64
    layers: int = 3
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 16
    mlp: int = 96
    rope: dict = field(default_factory=lambda: {"rope_type": "default", "rope_theta": 10000.0})
    eps: float = 1e-5
    positions: int = 2048
    tied: bool = True
    bias: bool = False         # on q, k, v and the output
    vocab: int = 600
    image_size: int = 64
    longest: int = 64          # above image_size: pictures are split
    patch_size: int = 16
    scale_factor: int = 2
    v_hidden: int = 32
    v_layers: int = 2
    v_heads: int = 2
    v_mlp: int = 48
    v_eps: float = 1e-6
    mean: tuple = (0.5, 0.5, 0.5)
    std: tuple = (0.5, 0.5, 0.5)
    weights: str = "F32"       # of the matrices in the GGUF files

    @property
    def rows(self):
        return (self.image_size // self.patch_size // self.scale_factor) ** 2


def tokenizer(shape):
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                                 pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tok.decoder = decoders.ByteLevel()
    tok.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=shape.vocab - len(SPECIAL), show_progress=False,
                                                        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tok.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL])
    return tok


def build_model(shape, n_vocab, image_id, seed):
    config = Idefics3Config(
        image_token_id=image_id, scale_factor=shape.scale_factor, tie_word_embeddings=shape.tied,
        text_config=dict(model_type="llama", vocab_size=n_vocab, hidden_size=shape.hidden, intermediate_size=shape.mlp,
                         num_hidden_layers=shape.layers, num_attention_heads=shape.heads, num_key_value_heads=shape.kv_heads,
                         head_dim=shape.head_dim, rope_parameters=shape.rope, rms_norm_eps=shape.eps, attention_bias=shape.bias,
                         max_position_embeddings=shape.positions, tie_word_embeddings=shape.tied, pad_token_id=0),
        vision_config=dict(image_size=shape.image_size, patch_size=shape.patch_size, hidden_size=shape.v_hidden,
                           intermediate_size=shape.v_mlp, num_hidden_layers=shape.v_layers, num_attention_heads=shape.v_heads,
                           hidden_act="gelu_pytorch_tanh", layer_norm_eps=shape.v_eps))
    torch.manual_seed(seed)
    model = Idefics3ForConditionalGeneration._from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
    assert torch.allclose(model.model.text_model.rotary_emb.inv_freq[1], torch.tensor(
        shape.rope["rope_theta"] ** (-2 / shape.head_dim) / shape.rope.get("factor", 1)))  # the configuration was heard
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.ndim == 1:
                p.normal_(1.0 if "norm" in name and name.endswith("weight") else 0.0, 0.2)
            else:
                p.normal_(0, 0.25 if "embed" in name else 1.3 * p[0].numel() ** -0.5)
            if shape.weights != "F32" and is_matrix(name, p):  # both sides hold the same numbers
                kind = GGMLQuantizationType[shape.weights]
                p.copy_(torch.from_numpy(np.array(dequantize(quantize(p.numpy(), kind), kind))))
    return model


def is_matrix(name, p):
    return p.ndim == 2 and "position" not in name


def names(shape):
    found = export.tensor_names(shape)
    text = "model.text_model."
    for n in range(shape.layers if shape.bias else 0):
        found += [("%slayers.%d.self_attn.%s_proj.bias" % (text, n, x), "model", "blk.%d.attn_%s.bias" % (n, y), h) for x, y, h in (
            ("q", "q", shape.heads), ("k", "k", shape.kv_heads), ("v", "v", 0), ("o", "output", 0))]
    if not shape.tied:
        found.append(("lm_head.weight", "model", "output.weight", 0))
    return found


def put_tensors(writer, model, shape, file):
    state = model.state_dict()
    for source, where, target, heads in names(shape):
        if where != file:
            continue
        a = state[source].numpy()
        if heads:
            a = export.interleave(a.reshape(len(a), -1), heads).reshape(a.shape)
        a = np.ascontiguousarray(a)
        kind = GGMLQuantizationType[shape.weights]
        if kind != GGMLQuantizationType.F32 and is_matrix(source, state[source]):
            writer.add_tensor(target, quantize(a, kind), raw_dtype=kind)
        else:
            writer.add_tensor(target, a)


def put_text(w, shape, tok):
    n, merges = tok.get_vocab_size(), json.loads(tok.to_str())["model"]["merges"]
    w.add_block_count(shape.layers)
    w.add_context_length(shape.positions)
    w.add_embedding_length(shape.hidden)
    w.add_feed_forward_length(shape.mlp)
    w.add_head_count(shape.heads)
    w.add_head_count_kv(shape.kv_heads)
    w.add_key_length(shape.head_dim)
    w.add_value_length(shape.head_dim)
    w.add_rope_dimension_count(shape.head_dim)
    w.add_rope_freq_base(shape.rope["rope_theta"])
    if shape.rope["rope_type"] == "linear":
        w.add_rope_scaling_type(RopeScalingType.LINEAR)
        w.add_rope_scaling_factor(shape.rope["factor"])
    w.add_layer_norm_rms_eps(shape.eps)
    w.add_vocab_size(n)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("smollm")
    tokens = [tok.id_to_token(i) for i in range(n)]
    w.add_token_list(tokens)
    w.add_token_types([TokenType.CONTROL if t in SPECIAL else TokenType.NORMAL for t in tokens])
    w.add_token_merges([" ".join(m) if isinstance(m, list) else m for m in merges])
    w.add_bos_token_id(tok.token_to_id("<|im_start|>"))
    w.add_eos_token_id(tok.token_to_id("<end_of_utterance>"))
    w.add_add_bos_token(False)
    w.add_add_space_prefix(False)
    w.add_chat_template(TEMPLATE)
    return tokens


def put_tower(w, shape):
    w.add_clip_has_vision_encoder(True)
    w.add_clip_projector_type("idefics3")
    w.add_vision_projection_dim(shape.hidden)
    w.add_vision_image_size(shape.image_size)
    w.add_vision_preproc_image_size(shape.longest)
    w.add_vision_patch_size(shape.patch_size)
    w.add_vision_embedding_length(shape.v_hidden)
    w.add_vision_feed_forward_length(shape.v_mlp)
    w.add_vision_block_count(shape.v_layers)
    w.add_vision_head_count(shape.v_heads)
    w.add_vision_attention_layernorm_eps(shape.v_eps)
    w.add_vision_image_mean(list(shape.mean))
    w.add_vision_image_std(list(shape.std))
    w.add_vision_projector_scale_factor(shape.scale_factor)
    w.add_vision_use_gelu(True)


def make(shape, folder, seed=0):
    """Writes folder/model.gguf and folder/mmproj.gguf. -> (transformers' model, its processor, [token])"""
    os.makedirs(folder, exist_ok=True)
    tok = tokenizer(shape)
    model = build_model(shape, tok.get_vocab_size(), tok.token_to_id("<image>"), seed)
    path = os.path.join(folder, "model.gguf")
    w = GGUFWriter(path + ".tmp", "llama")
    tokens = put_text(w, shape, tok)
    put_tensors(w, model, shape, "model")
    export.finish(w, path)
    path = os.path.join(folder, "mmproj.gguf")
    w = GGUFWriter(path + ".tmp", "clip")
    put_tower(w, shape)
    put_tensors(w, model, shape, "mmproj")
    export.finish(w, path)

    fast = PreTrainedTokenizerFast(tokenizer_object=tok, bos_token="<|im_start|>", eos_token="<end_of_utterance>",
                                   pad_token="<|im_end|>", unk_token="<|endoftext|>", clean_up_tokenization_spaces=False)
    images = Idefics3ImageProcessorPil(
        size={"longest_edge": shape.longest}, max_image_size={"longest_edge": shape.image_size},
        do_image_splitting=shape.longest > shape.image_size, image_mean=list(shape.mean), image_std=list(shape.std))
    return model, Idefics3Processor(images, fast, image_seq_len=shape.rows, chat_template=TEMPLATE), tokens
