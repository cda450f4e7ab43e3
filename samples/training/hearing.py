"""The sample model's ears: Ultravox in miniature.

16 kHz sound -> Whisper's log-mel spectrogram, 100 frames a second -> Whisper encoder, 50 -> eight frames stacked,
a gated projector -> 6.25 rows a second for the decoder.

Only the frames of the sound itself are encoded, as Ultravox does: there is no silence up to 30 seconds.  Within a batch, whatever
lies behind a shorter sound is hidden, so that every sound gets the rows that it would get alone.  Parameter names are Ultravox's;
positions are Whisper's fixed sines.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from model import Config, RMSNorm, linear

RATE = 16000
FFT, HOP = 400, 160
ALPHABET = " abcdefghijklmnopqrstuvwxyz"            # class 0 of the CTC head is "nothing"
LETTER = {c: i + 1 for i, c in enumerate(ALPHABET)}


@dataclass
class HearingConfig:
    mels: int = 80
    hidden: int = 192
    layers: int = 4
    heads: int = 3
    mlp: int = 768
    positions: int = 1500                           # 30 seconds
    eps: float = 1e-5
    stack: int = 8
    projector: int = 1024                           # half of it is the gate
    projector_eps: float = 1e-6
    text_hidden: int = Config.hidden


# ------------------------------------------------------------------ front end

@lru_cache(maxsize=None)
def mel_filters(n):
    """Slaney's triangles, each of area one: [n, 201]."""
    to_mel = lambda f: np.where(f < 1000, f * 3 / 200, 15 + np.log(np.maximum(f, 1) / 1000) * 27 / np.log(6.4))
    to_hz = lambda m: np.where(m < 15, m * 200 / 3, 1000 * np.exp((m - 15) * np.log(6.4) / 27))
    points = to_hz(np.linspace(to_mel(np.float64(0)), to_mel(np.float64(RATE / 2)), n + 2))
    f = np.linspace(0, RATE / 2, FFT // 2 + 1)
    low, middle, high = points[:-2, None], points[1:-1, None], points[2:, None]
    triangles = np.maximum(0, np.minimum((f - low) / (middle - low), (high - f) / (high - middle)))
    return torch.from_numpy((triangles * 2 / (high - low)).astype(np.float32))


def log_mel(waves, mels=HearingConfig.mels):
    """Whisper's spectrogram of each wave (float, at least FFT samples): [B, mels, T] and the number of frames of each.

    Frames behind the end of a shorter wave are zero.
    """
    frames = torch.tensor([len(w) // HOP for w in waves])
    size = max(map(len, waves)) + FFT
    padded = np.zeros((len(waves), size), np.float32)
    for row, w in zip(padded, waves):
        row[:len(w) + FFT] = np.pad(w, FFT // 2, mode="reflect")
    with torch.autocast("cpu", enabled=False):
        spectrum = torch.stft(torch.from_numpy(padded), FFT, HOP, FFT, torch.hann_window(FFT), center=False, return_complex=True)
        power = torch.view_as_real(spectrum).pow(2).sum(-1)[..., :int(frames.max())]
        x = (mel_filters(mels) @ power).clamp(min=1e-10).log10()
        inside = (torch.arange(x.shape[2]) < frames[:, None])[:, None]
        top = x.masked_fill(~inside, -10).amax((1, 2), keepdim=True)
        return (torch.maximum(x, top - 8) + 4) / 4 * inside, frames


# -------------------------------------------------------------------- encoder

def convolve(x, conv, stride):
    """A kernel of three over time, x [B,T,C], as one product: BF16 convolutions are slow on a CPU."""
    windows = F.pad(x, (0, 0, 1, 1)).unfold(1, 3, stride).flatten(2)
    return F.gelu(F.linear(windows, conv.weight.flatten(1), conv.bias).float())


class EncoderAttention(nn.Module):
    def __init__(self, c):
        super().__init__()
        d = c.hidden
        self.heads = c.heads
        self.q_proj, self.k_proj, self.v_proj = linear(d, d, True), linear(d, d), linear(d, d, True)
        self.out_proj = linear(d, d, True, (2 * c.layers * d) ** -0.5)

    def forward(self, x, hidden):
        b, t, d = x.shape
        q, k, v = (p(x).view(b, t, self.heads, -1).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj))
        scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        y = scores.masked_fill(hidden, -1e4).softmax(-1).to(v.dtype) @ v
        return self.out_proj(y.transpose(1, 2).reshape(b, t, d))


class EncoderLayer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.self_attn_layer_norm = nn.LayerNorm(c.hidden, c.eps)
        self.self_attn = EncoderAttention(c)
        self.final_layer_norm = nn.LayerNorm(c.hidden, c.eps)
        self.fc1 = linear(c.hidden, c.mlp, True)
        self.fc2 = linear(c.mlp, c.hidden, True, (2 * c.layers * c.mlp) ** -0.5)

    def forward(self, x, hidden):
        x = x + self.self_attn(self.self_attn_layer_norm(x), hidden)
        return x + self.fc2(F.gelu(self.fc1(self.final_layer_norm(x))))


def sines(c):
    """Whisper's positions: [positions, hidden], fixed."""
    half = c.hidden // 2
    scale = torch.exp(-math.log(10000) / (half - 1) * torch.arange(half).float())
    angle = torch.arange(c.positions).float()[:, None] * scale
    return torch.cat([angle.sin(), angle.cos()], 1)


class AudioTower(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.conv1 = nn.Conv1d(c.mels, c.hidden, 3, padding=1)
        self.conv2 = nn.Conv1d(c.hidden, c.hidden, 3, stride=2, padding=1)
        self.layers = nn.ModuleList(EncoderLayer(c) for _ in range(c.layers))
        self.layer_norm = nn.LayerNorm(c.hidden, c.eps)
        self.register_buffer("positions", sines(c), persistent=False)

    def forward(self, mel, frames, first=0):
        """[B, mels, T] -> [B, T', d] and the number T' of each; first: the position of the first frame."""
        lengths = (frames + 1) // 2
        x = convolve(mel.transpose(1, 2), self.conv1, 1)
        x = x * (torch.arange(x.shape[1]) < frames[:, None])[..., None]     # alone, a sound is followed by zeros
        x = convolve(x, self.conv2, 2)
        x = x + self.positions[first:first + x.shape[1]]
        beyond = torch.arange(x.shape[1]) >= lengths[:, None]
        for layer in self.layers:
            x = layer(x, beyond[:, None, None])
        return self.layer_norm(x) * ~beyond[..., None], lengths


class Projector(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.stack = c.stack
        self.ln_pre = RMSNorm(c.hidden * c.stack, c.projector_eps)
        self.linear_1 = linear(c.hidden * c.stack, c.projector)
        self.ln_mid = RMSNorm(c.projector // 2, c.projector_eps)
        self.linear_2 = linear(c.projector // 2, c.text_hidden)

    def forward(self, features, lengths):
        """[B, T', d] (zero behind each end) -> rows [B, R, text] and how many of each count."""
        b, t, d = features.shape
        x = F.pad(features, (0, 0, 0, -t % self.stack)).reshape(b, -1, d * self.stack)
        x, gate = self.linear_1(self.ln_pre(x)).chunk(2, -1)
        x = self.ln_mid((x * F.silu(gate)).float())
        return self.linear_2(x).float(), -(-lengths // self.stack)


class Hearing(nn.Module):
    def __init__(self, c=None):
        super().__init__()
        self.c = c or HearingConfig()
        self.audio_tower = AudioTower(self.c)
        self.multi_modal_projector = Projector(self.c)

    @torch.no_grad()
    def hear(self, waves, batch=32):
        """The decoder's rows of each wave."""
        out = []
        for i in range(0, len(waves), batch):
            rows, counts = self.multi_modal_projector(*self.audio_tower(*log_mel(waves[i:i + batch], self.c.mels)))
            out += [r[:n] for r, n in zip(rows, counts)]
        return out


# ------------------------------------------------------------- letters (CTC)

class Speller(nn.Module):
    """Training only: which letter is heard in each frame of the tower."""

    def __init__(self, c=None):
        super().__init__()
        self.ctc = linear((c or HearingConfig()).hidden, 1 + len(ALPHABET), True)

    def forward(self, features):
        return self.ctc(features).float().log_softmax(-1)

    def loss(self, log_probs, lengths, texts):
        targets = [LETTER[c] for t in texts for c in t]
        return F.ctc_loss(log_probs.transpose(0, 1), torch.tensor(targets), lengths, torch.tensor([len(t) for t in texts]),
                          zero_infinity=True)

    @torch.no_grad()
    def spell(self, hearing, waves, batch=32):
        """What the tower alone makes of each wave: the likeliest letter of each frame."""
        out = []
        for i in range(0, len(waves), batch):
            features, lengths = hearing.audio_tower(*log_mel(waves[i:i + batch], hearing.c.mels))
            for best, n in zip(self(features).argmax(-1), lengths):
                classes = torch.unique_consecutive(best[:n]).tolist()
                out.append(" ".join("".join(ALPHABET[k - 1] for k in classes if k).split()))
        return out


@torch.no_grad()
def align(log_probs, lengths, texts):
    """The frame in which each character of each text is heard, by the likeliest CTC path (Viterbi): a list of lists."""
    scores = log_probs.numpy()
    b, most = len(texts), 2 * max(map(len, texts)) + 1
    states = np.zeros((b, most), np.int64)              # nothing, letter, nothing, letter, ... nothing
    for i, t in enumerate(texts):
        states[i, 1:2 * len(t):2] = [LETTER[c] for c in t]
    skip = np.zeros((b, most), bool)                    # a letter may follow another one directly if they differ
    skip[:, 3::2] = states[:, 3::2] != states[:, 1:-2:2]
    rows = np.arange(b)[:, None]
    best = np.full((b, most + 2), -1e30, np.float32)    # two sentinels in front
    best[:, 2] = scores[:, 0, 0]
    best[:, 3] = scores[np.arange(b), 0, states[:, 1]]
    back = np.zeros((scores.shape[1], b, most), np.int8)
    for t in range(1, scores.shape[1]):
        ways = np.stack([best[:, 2:], best[:, 1:-1], np.where(skip, best[:, :-2], -1e30)])
        back[t] = ways.argmax(0)
        step = ways.max(0) + scores[rows, t, states]
        best[:, 2:] = np.where(t < lengths.numpy()[:, None], step, best[:, 2:])
    out = []
    for i, text in enumerate(texts):
        s = 2 * len(text)
        if best[i, 2 + s - 1] > best[i, 2 + s]:
            s -= 1
        frames = [0] * len(text)
        for t in range(int(lengths[i]) - 1, -1, -1):
            if s % 2:
                frames[s // 2] = t                      # walking back: ends at the letter's first frame
            s = max(0, s - int(back[t, i, s]))
        out.append(frames)
    return out
