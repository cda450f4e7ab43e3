"""The sample model: SmolVLM in miniature, written for training on a CPU.

Vision tower (SigLIP layout, tanh GELU) -> pixel shuffle 2 -> one linear layer
-> Llama decoder.  Parameter names are those of transformers' Idefics3 model, so
that export.py only has to copy tensors.

Patches are kept in "group order": the four patches that pixel shuffle merges
into one row lie side by side.  Pixel shuffle is then a plain reshape, and training
can leave out groups that show nothing, which is where most of its time goes.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from data import CHARS, COLOURS, GRID, MAX_CHARS, SHAPES

# ------------------------------------------------------------------ tokens

BYTES = 256
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<end_of_utterance>",
           "<fake_token_around_image>", "<image>", "<global-img>"]
TOKEN = {name: BYTES + i for i, name in enumerate(SPECIAL)}
RESERVED = 9                                    # pads the vocabulary to 272
VOCAB = BYTES + len(SPECIAL) + RESERVED
BOS, END = TOKEN["<|im_start|>"], TOKEN["<end_of_utterance>"]
FAKE, IMAGE, GLOBAL = (TOKEN["<fake_token_around_image>"], TOKEN["<image>"],
                       TOKEN["<global-img>"])
# The first reserved token stands for the list of merges (export.py); this is the second.
AUDIO = BYTES + len(SPECIAL) + 1
ROWS = GRID * GRID                              # rows of the decoder per picture
CLASSES = len(CHARS) + 1


def encode(text):
    """Token ids of plain text: its UTF-8 bytes (the order of ids is byte order)."""
    return list(text.encode("utf-8"))


def decode(ids):
    return bytes(i for i in ids if i < BYTES).decode("utf-8", "replace")


def prompt_ids(question, image, system=None, history=(), sound=0, sound_last=False):
    """SmolVLM's layout.  `history` holds earlier (question, answer) pairs.

    A picture and the `sound` rows of a sound belong to the first turn; the sound comes before the words or after them.
    """
    ids = [BOS]
    if system:
        ids += encode("System: " + system) + [END] + encode("\n")
    for i, turn in enumerate(list(history) + [(question, None)]):
        said = encode(turn[0])
        ids += encode("User:")
        if i == 0 and sound and sound_last:
            said = said + [AUDIO] * sound
        elif i == 0 and sound:
            said = [AUDIO] * sound + said
        if i == 0 and image:
            ids += [FAKE, GLOBAL] + [IMAGE] * ROWS + [FAKE]
        elif said[:1] != [AUDIO]:
            ids += encode(" ")
        ids += said + [END] + encode("\nAssistant:")
        if turn[1] is not None:
            ids += encode(" " + turn[1]) + [END] + encode("\n")
    return ids


# ------------------------------------------------------------------ modules

@dataclass
class Config:
    # vision
    image_size: int = 192
    patch_size: int = 16
    v_hidden: int = 192
    v_layers: int = 6
    v_heads: int = 3
    v_mlp: int = 768
    v_eps: float = 1e-6
    scale_factor: int = 2
    # text
    hidden: int = 256
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 64
    mlp: int = 704
    rope_theta: float = 10000.0
    eps: float = 1e-5
    positions: int = 2048
    vocab: int = VOCAB


def linear(i, o, bias=False, std=None):
    layer = nn.Linear(i, o, bias=bias)
    nn.init.normal_(layer.weight, std=std or i ** -0.5)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def attend(q, k, v, hidden=None):
    """Plain attention; on a CPU, at these lengths, quicker than the fused kernel."""
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    if hidden is not None:
        scores = scores.masked_fill(hidden, -1e4)
    return scores.softmax(-1).to(v.dtype) @ v


class VisionAttention(nn.Module):
    def __init__(self, c):
        super().__init__()
        d = c.v_hidden
        self.heads = c.v_heads
        self.q_proj, self.k_proj, self.v_proj = (linear(d, d, True) for _ in range(3))
        self.out_proj = linear(d, d, True, (2 * c.v_layers * d) ** -0.5)

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = (p(x).view(b, t, self.heads, -1).transpose(1, 2)
                   for p in (self.q_proj, self.k_proj, self.v_proj))
        y = attend(q, k, v)
        return self.out_proj(y.transpose(1, 2).reshape(b, t, d))


class VisionMLP(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.fc1 = linear(c.v_hidden, c.v_mlp, True)
        self.fc2 = linear(c.v_mlp, c.v_hidden, True, (2 * c.v_layers * c.v_mlp) ** -0.5)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


class VisionLayer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(c.v_hidden, c.v_eps)
        self.self_attn = VisionAttention(c)
        self.layer_norm2 = nn.LayerNorm(c.v_hidden, c.v_eps)
        self.mlp = VisionMLP(c)

    def forward(self, x):
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class VisionEmbeddings(nn.Module):
    def __init__(self, c):
        super().__init__()
        d, p, side = c.v_hidden, c.patch_size, c.image_size // c.patch_size
        self.patch_embedding = nn.Conv2d(3, d, p, p)
        self.position_embedding = nn.Embedding(side * side, d)
        # Starting points that matter when training from nothing: smooth cosine
        # filters for the patches, sines and cosines for the positions.
        k = torch.arange(p).float()
        cos = torch.cos(math.pi * (k + 0.5) * k[:, None] / p)
        order = sorted((u + v, u, v) for u in range(p) for v in range(p))[:d]
        filters = torch.stack([torch.outer(cos[u], cos[v]) for _, u, v in order])
        filters /= filters.flatten(1).norm(dim=1)[:, None, None]
        filters[0] *= 0.3
        weight = torch.stack([filters * a for a in (0.3, 0.59, 0.11)], 1) * 1.5
        with torch.no_grad():
            # The finest filters also get the mean colour: red - green, blue - yellow.
            weight[-1] += torch.tensor([1.0, -1.0, 0.0])[:, None, None] * 2 / p ** 2
            weight[-2] += torch.tensor([-0.5, -0.5, 1.0])[:, None, None] * 2 / p ** 2
            self.patch_embedding.weight.copy_(weight)
            self.patch_embedding.bias.zero_()
            q = d // 4
            angle = torch.arange(side).float()[:, None] * 1.5 / 40 ** (torch.arange(q).float() / q)
            e = torch.cat([angle.sin(), angle.cos()], 1)
            grid = torch.cat([e[:, None].expand(side, side, -1), e[None].expand(side, side, -1)], 2)
            self.position_embedding.weight.copy_(grid.reshape(side * side, d) * 0.5)
        # The patch number of each of the four places of each group.
        g = torch.arange(ROWS)
        r = torch.arange(4)
        ids = ((g // GRID * 2)[:, None] + r // 2) * side + (g % GRID * 2)[:, None] + r % 2
        self.register_buffer("patch_ids", ids, persistent=False)

    def forward(self, pixels, groups=None):
        """pixels uint8 [B,192,192,3]; groups [B,K] to look at only those."""
        b = pixels.shape[0]
        x = pixels.view(b, GRID, 2, 16, GRID, 2, 16, 3).permute(0, 1, 4, 2, 5, 7, 3, 6)
        x = x.reshape(b, ROWS, 4, 768)
        pos = self.position_embedding.weight[self.patch_ids]            # [36,4,d]
        if groups is None:
            pos = pos.flatten(0, 1)
        else:
            x = x[torch.arange(b)[:, None], groups]
            pos = pos[groups].flatten(1, 2)
        x = x.flatten(1, 2).float() / 127.5 - 1
        w = self.patch_embedding.weight.flatten(1)
        return F.linear(x, w, self.patch_embedding.bias).float() + pos


class VisionModel(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.embeddings = VisionEmbeddings(c)
        self.encoder = nn.Module()
        self.encoder.layers = nn.ModuleList(VisionLayer(c) for _ in range(c.v_layers))
        self.post_layernorm = nn.LayerNorm(c.v_hidden, c.v_eps)

    def forward(self, pixels, groups=None):
        x = self.embeddings(pixels, groups)
        for layer in self.encoder.layers:
            x = layer(x)
        return self.post_layernorm(x)                                   # [B,4K,d]


class Connector(nn.Module):
    """Pixel shuffle (four patches become one row) and a linear layer."""

    def __init__(self, c):
        super().__init__()
        self.merge = c.scale_factor ** 2
        self.modality_projection = nn.Module()
        self.modality_projection.proj = linear(c.v_hidden * self.merge, c.hidden)

    def forward(self, x):
        b, n, d = x.shape
        return self.modality_projection.proj(x.reshape(b, n // self.merge, d * self.merge)).float()


class RMSNorm(nn.Module):
    def __init__(self, d, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d))
        self.eps = eps

    def forward(self, x):
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


def rotate(x, cos, sin):
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat([-b, a], -1) * sin


class TextAttention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.q_proj = linear(c.hidden, c.heads * c.head_dim)
        self.k_proj = linear(c.hidden, c.kv_heads * c.head_dim)
        self.v_proj = linear(c.hidden, c.kv_heads * c.head_dim)
        n = c.heads * c.head_dim
        self.o_proj = linear(n, c.hidden, std=(2 * c.layers * n) ** -0.5)

    def forward(self, x, rope, cache=None, watch=None, hidden=None):
        """`watch` [B,N]: places whose attention is returned, [B,N,heads,T] as log-probabilities; `hidden` [B,T,T]: what each place
        does not see, instead of all that is later."""
        c = self.c
        b, t, _ = x.shape
        cos, sin = rope
        split = lambda y, n: y.view(b, t, n, c.head_dim).transpose(1, 2)
        q = rotate(split(self.q_proj(x), c.heads), cos, sin)
        k = rotate(split(self.k_proj(x), c.kv_heads), cos, sin)
        v = split(self.v_proj(x), c.kv_heads)
        if cache is not None:
            if cache:
                k, v = torch.cat([cache["k"], k], 2), torch.cat([cache["v"], v], 2)
            cache["k"], cache["v"] = k, v
        seen = None
        if watch is not None:
            qw = q[torch.arange(b)[:, None], :, watch].float()          # [B,N,H,hd]
            keys = k.repeat_interleave(c.heads // c.kv_heads, 1).float()
            scores = torch.einsum("bnhd,bhtd->bnht", qw, keys) * c.head_dim ** -0.5
            if hidden is None:
                unseen = torch.arange(t) > watch[..., None, None]
            else:
                unseen = hidden[torch.arange(b)[:, None], watch][:, :, None]
            seen = scores.masked_fill(unseen, -1e9).log_softmax(-1)
        g = c.heads // c.kv_heads
        k, v = k.repeat_interleave(g, 1), v.repeat_interleave(g, 1)
        if hidden is not None:
            hidden = hidden[:, None]
        elif t > 1:
            hidden = torch.ones(t, t, dtype=torch.bool).triu(1)
        y = attend(q, k, v, hidden)
        return self.o_proj(y.transpose(1, 2).reshape(b, t, -1)), seen


class TextMLP(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.gate_proj = linear(c.hidden, c.mlp)
        self.up_proj = linear(c.hidden, c.mlp)
        self.down_proj = linear(c.mlp, c.hidden, std=(2 * c.layers * c.mlp) ** -0.5)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class TextLayer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.input_layernorm = RMSNorm(c.hidden, c.eps)
        self.self_attn = TextAttention(c)
        self.post_attention_layernorm = RMSNorm(c.hidden, c.eps)
        self.mlp = TextMLP(c)

    def forward(self, x, rope, cache=None, watch=None, hidden=None):
        y, seen = self.self_attn(self.input_layernorm(x), rope, cache, watch, hidden)
        x = x + y
        return x + self.mlp(self.post_attention_layernorm(x)), seen


class TextModel(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.embed_tokens = nn.Embedding(c.vocab, c.hidden)
        nn.init.normal_(self.embed_tokens.weight, std=c.hidden ** -0.5)
        self.layers = nn.ModuleList(TextLayer(c) for _ in range(c.layers))
        self.norm = RMSNorm(c.hidden, c.eps)
        inv = c.rope_theta ** (-torch.arange(0, c.head_dim, 2).float() / c.head_dim)
        angle = torch.arange(c.positions).float()[:, None] * inv
        angle = torch.cat([angle, angle], -1)
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)

    def forward(self, x, positions, caches=None, watch=None, watched_layers=(), hidden=None):
        """x [B,T,d]; positions [B,T] (or [1,T]).  Returns states, watched attention."""
        rope = (self.cos[positions][:, None], self.sin[positions][:, None])
        if torch.is_autocast_enabled("cpu"):
            rope = tuple(r.bfloat16() for r in rope)
        seen = []
        for i, layer in enumerate(self.layers):
            x, s = layer(x, rope, caches[i] if caches is not None else None,
                         watch if i in watched_layers else None, hidden)
            if s is not None:
                seen.append(s)
        return self.norm(x), seen

    def logits(self, x):
        return F.linear(x, self.embed_tokens.weight).float()


class SampleModel(nn.Module):
    """Named as transformers' Idefics3ForConditionalGeneration names its parts; `hearing` (hearing.py) is Ultravox's."""

    def __init__(self, c=None, hearing=None):
        super().__init__()
        self.hearing = hearing
        self.c = c = c or Config()
        self.model = nn.Module()
        self.model.vision_model = VisionModel(c)
        self.model.connector = Connector(c)
        self.model.text_model = TextModel(c)

    def look(self, pixels, groups=None):
        """Patch features and the rows for the decoder."""
        features = self.model.vision_model(pixels, groups)
        return features, self.model.connector(features)

    @torch.no_grad()
    def answer(self, prompts, pixels=None, waves=None, longest=120, media=None):
        """Greedy answers; prompts are lists of ids, with a picture and a sound each, or with none; or `media`, all rows of each prompt."""
        text = self.model.text_model
        rows = self.look(pixels)[1] if pixels is not None else None
        heard = self.hearing.hear(waves) if waves is not None else None
        out = [None] * len(prompts)
        by_length = {}
        for i, p in enumerate(prompts):
            by_length.setdefault(len(p), []).append(i)
        for n, which in by_length.items():
            ids = torch.tensor([prompts[i] for i in which])
            x = text.embed_tokens(ids)
            if rows is not None:
                x = x.masked_scatter((ids == IMAGE)[..., None], rows[which])
            if heard is not None:
                x = x.masked_scatter((ids == AUDIO)[..., None], torch.cat([heard[i] for i in which]))
            if media is not None:
                x = x.masked_scatter(((ids == IMAGE) | (ids == AUDIO))[..., None], torch.cat([media[i] for i in which]))
            caches = [{} for _ in text.layers]
            h, _ = text(x, torch.arange(n)[None], caches)
            answers, done = [[] for _ in which], [False] * len(which)
            for step in range(longest):
                token = text.logits(h[:, -1]).argmax(-1)
                for j, t in enumerate(token.tolist()):
                    done[j] = done[j] or t == END
                    if not done[j]:
                        answers[j].append(t)
                if all(done):
                    break
                h, _ = text(text.embed_tokens(token[:, None]),
                            torch.tensor([[n + step]]), caches)
            for j, i in enumerate(which):
                out[i] = decode(answers[j])
        return out


class AuxiliaryHeads(nn.Module):
    """Used in training only; they make letters readable from the features.

    cells: from each patch, the character at each of its 8 places.
    order: from each patch, the index in the text of the character at each place.
    paint: from each patch, the colour and the kind of the shape that lies there.
    slots: from each decoder row, "character i of the text is c", summed over
           the rows into one prediction per character of the text.
    """

    def __init__(self, c=None):
        super().__init__()
        c = c or Config()
        self.cells = linear(c.v_hidden, 8 * CLASSES, True)
        self.order = linear(c.v_hidden, 8 * MAX_CHARS, True, 0.02)
        self.paint = linear(c.v_hidden, len(COLOURS) + 1 + len(SHAPES) + 1, True, 0.02)
        self.slots = linear(c.hidden, MAX_CHARS * CLASSES, True, 0.02)

    def read_cells(self, features):
        b, n, _ = features.shape
        return self.cells(features).float().view(b, n, 8, CLASSES)

    def read_order(self, features):
        b, n, _ = features.shape
        return self.order(features).float().view(b, n, 8, MAX_CHARS)

    def read_paint(self, features):
        """Colour and shape classes; 0 is nothing."""
        return self.paint(features).float().split([len(COLOURS) + 1, len(SHAPES) + 1], -1)

    def read_slots(self, rows):
        pooled = F.linear(rows, self.slots.weight).float().sum(1) + self.slots.bias
        return pooled.view(len(rows), MAX_CHARS, CLASSES)
