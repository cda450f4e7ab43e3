"""The sample speaker's voice: a neural codec between 16 kHz sound and 50 codes a second.

    sound -> log-mel -> encoder -> the nearest of 1,024 vectors      training only, and to make codes of clips
    codes -> decoder (ConvNeXt) -> magnitudes and phases -> inverse short-time Fourier transform -> sound

The decoder is Vocos' (WavTokenizer's) with convolutions that see nothing of what is to come, so that a runtime can decode a
stream as it grows and get, sample for sample, what the whole would give.  Its encoder does look ahead: what the decoder must know early, the
code says.

    x [T][256] = conv of 7 (code vectors [T][64]), LayerNorm
    6 blocks:  x += gamma * linear(gelu(linear(LayerNorm(depthwise conv of 7 (x)))))
    y [T][1282] = linear(LayerNorm(x)): 641 log-magnitudes, 641 phases
    frame t of 1,280 samples (Hann) is added where samples 320 t - 480 to 320 t + 800 are
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from model import linear

RATE = 16000


@dataclass
class VoiceConfig:
    codes: int = 1024
    code_width: int = 64
    hidden: int = 256
    mlp: int = 768
    blocks: int = 6
    kernel: int = 7
    fft: int = 1280
    hop: int = 320
    eps: float = 1e-6
    max_magnitude: float = 100.0
    # encoder
    mels: int = 80
    mel_fft: int = 1024
    mel_hop: int = 160
    e_hidden: int = 192
    e_mlp: int = 576
    e_blocks: int = 3
    e_kernel: int = 5


# ------------------------------------------------------------------ spectra

@lru_cache(maxsize=None)
def hann(n):
    return torch.hann_window(n)


def magnitudes(x, n, hop):
    """[B, samples] -> [B, n / 2 + 1, frames]"""
    s = torch.view_as_real(torch.stft(x, n, hop, n, hann(n), center=True, pad_mode="reflect", return_complex=True))
    return (s.pow(2).sum(-1) + 1e-9).sqrt()


@lru_cache(maxsize=None)
def mel_filters(c):
    """Triangles of height one, evenly spaced in mels (HTK's): [mels, bins]."""
    mels, fft = c
    points = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + RATE / 2 / 700), mels + 2) / 2595) - 1)
    f = np.linspace(0, RATE / 2, fft // 2 + 1)
    low, middle, high = points[:-2, None], points[1:-1, None], points[2:, None]
    return torch.from_numpy(np.maximum(0, np.minimum((f - low) / (middle - low), (high - f) / (high - middle))).astype(np.float32))


def to_mel(magnitude, c):
    return (mel_filters((c.mels, c.mel_fft)) @ magnitude).clamp(min=1e-4).log()


def log_mel(x, c):
    return to_mel(magnitudes(x, c.mel_fft, c.mel_hop), c)


# ------------------------------------------------------------------ modules

class Convolution(nn.Module):
    """Over time, x [B,T,C], as one product over windows: BF16 convolutions are slow on a CPU."""

    def __init__(self, i, o, kernel, stride=1, causal=False):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(o, i, kernel) * (i * kernel) ** -0.5)
        self.bias = nn.Parameter(torch.zeros(o))
        self.stride = stride
        self.pad = (kernel - 1, 0) if causal else ((kernel - 1) // 2, kernel // 2)

    def forward(self, x):
        windows = F.pad(x, (0, 0) + self.pad).unfold(1, self.weight.shape[2], self.stride).flatten(2)
        return F.linear(windows, self.weight.flatten(1), self.bias).float()


class Block(nn.Module):
    """ConvNeXt"""

    def __init__(self, d, mlp, kernel, blocks, eps, causal):
        super().__init__()
        self.dw = nn.Parameter(torch.randn(kernel, d) * kernel ** -0.5)
        self.dw_bias = nn.Parameter(torch.zeros(d))
        self.norm = nn.LayerNorm(d, eps)
        self.pw1 = linear(d, mlp, True)
        self.pw2 = linear(mlp, d, True, mlp ** -0.5 * blocks ** -0.5)
        self.gamma = nn.Parameter(torch.full((d,), blocks ** -0.5))
        self.pad = (kernel - 1, 0) if causal else (kernel // 2, kernel // 2)

    def forward(self, x):
        t = x.shape[1]
        padded = F.pad(x, (0, 0) + self.pad)
        y = self.dw_bias
        for i, w in enumerate(self.dw):
            y = y + padded[:, i:i + t] * w
        return x + self.gamma * self.pw2(F.gelu(self.pw1(self.norm(y))))


class Encoder(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.conv = Convolution(c.mels, c.e_hidden, 4, 2)
        self.blocks = nn.ModuleList(Block(c.e_hidden, c.e_mlp, c.e_kernel, c.e_blocks, c.eps, False) for _ in range(c.e_blocks))
        self.norm = nn.LayerNorm(c.e_hidden, c.eps)
        self.embed_out = linear(c.e_hidden, c.code_width, True)

    def forward(self, wave):
        """[B, samples] (whole hops) -> [B, samples / hop, code_width]"""
        with torch.autocast("cpu", enabled=False):
            mel = (log_mel(wave, self.c) + 4) / 4
        x = self.conv(mel[..., :wave.shape[1] // self.c.mel_hop].transpose(1, 2))
        for block in self.blocks:
            x = block(x)
        return self.embed_out(self.norm(x)).float()


class Codebook(nn.Module):
    """Vectors that follow the mean of what is given their code; those that nobody uses start again at somebody's place."""

    KEEP, UNUSED = 0.98, 0.03

    def __init__(self, c):
        super().__init__()
        self.register_buffer("vectors", torch.randn(c.codes, c.code_width))
        self.register_buffer("sums", self.vectors.clone())
        self.register_buffer("counts", torch.zeros(c.codes))        # all zero: nothing has been seen

    def nearest(self, z):
        flat = z.reshape(-1, z.shape[-1])
        distance = self.vectors.pow(2).sum(1) - 2 * flat @ self.vectors.T
        return distance.argmin(1).view(z.shape[:-1])

    @torch.no_grad()
    def follow(self, z):
        n = len(self.vectors)
        flat = z.reshape(-1, z.shape[-1])
        if not self.counts.any():
            self.vectors.copy_(flat[torch.randint(len(flat), (n,))] + 0.01 * torch.randn_like(self.vectors))
            self.sums.copy_(self.vectors)
            self.counts.fill_(1)
        codes = self.nearest(flat)
        self.counts.mul_(self.KEEP).add_(torch.bincount(codes, minlength=n), alpha=1 - self.KEEP)
        self.sums.mul_(self.KEEP).add_(torch.zeros_like(self.sums).index_add_(0, codes, flat), alpha=1 - self.KEEP)
        self.vectors.copy_(self.sums / (self.counts[:, None] + 1e-5))
        unused = (self.counts < self.UNUSED).nonzero()[:, 0]
        if len(unused):
            fresh = flat[torch.randint(len(flat), (len(unused),))]
            self.vectors[unused], self.sums[unused], self.counts[unused] = fresh, fresh, 1.0
        return codes.view(z.shape[:-1])


class Decoder(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.conv = Convolution(c.code_width, c.hidden, c.kernel, causal=True)
        self.norm = nn.LayerNorm(c.hidden, c.eps)
        self.blocks = nn.ModuleList(Block(c.hidden, c.mlp, c.kernel, c.blocks, c.eps, True) for _ in range(c.blocks))
        self.norm_out = nn.LayerNorm(c.hidden, c.eps)
        self.embed_out = linear(c.hidden, c.fft + 2, True)          # the name keeps it out of Muon's hands

    def forward(self, vectors):
        """[B, T, code_width] -> [B, T * hop]"""
        x = self.norm(self.conv(vectors))
        for block in self.blocks:
            x = block(x)
        y = self.embed_out(self.norm_out(x)).float()
        with torch.autocast("cpu", enabled=False):
            return self.sound(*y.transpose(1, 2).chunk(2, 1))

    def sound(self, log_magnitude, phase):
        n, hop = self.c.fft, self.c.hop
        magnitude = log_magnitude.exp().clamp(max=self.c.max_magnitude)
        spectrum = torch.complex(magnitude * phase.cos(), magnitude * phase.sin())
        frames = torch.fft.irfft(spectrum, n, dim=1) * hann(n)[:, None]             # [B, n, T]
        t = frames.shape[2]
        size, cut = (t - 1) * hop + n, (n - hop) // 2
        add = lambda f: F.fold(f, (1, size), (1, n), stride=(1, hop))[:, 0, 0, cut:size - cut]
        return add(frames) / add(hann(n).square()[None, :, None].expand(1, n, t).contiguous())


class Voice(nn.Module):
    def __init__(self, c=None):
        super().__init__()
        self.c = c or VoiceConfig()
        self.encoder, self.codebook, self.decoder = Encoder(self.c), Codebook(self.c), Decoder(self.c)

    def forward(self, wave, quantised=True):
        """The sound again, and how far the encoder is from the vectors that it was given."""
        z = self.encoder(wave)
        if not quantised:
            return self.decoder(z), z.new_zeros(())
        vectors = self.codebook.vectors[self.codebook.follow(z.detach()) if self.training else self.codebook.nearest(z)]
        return self.decoder(z + (vectors - z).detach()), F.mse_loss(z, vectors)

    @torch.no_grad()
    def encode(self, waves, batch=64):
        """Codes of each wave, one for each hop begun: a list of lists."""
        order = sorted(range(len(waves)), key=lambda i: len(waves[i]))
        out = [None] * len(waves)
        for k in range(0, len(order), batch):
            part = order[k:k + batch]
            frames = [-(-len(waves[i]) // self.c.hop) for i in part]
            x = np.zeros((len(part), max(max(frames), 4) * self.c.hop), np.float32)
            for row, i in zip(x, part):
                row[:len(waves[i])] = waves[i]
            for i, n, codes in zip(part, frames, self.codebook.nearest(self.encoder(torch.from_numpy(x)))):
                out[i] = codes[:n].tolist()
        return out

    @torch.no_grad()
    def decode(self, codes):
        """The sound of one list of codes."""
        return self.decoder(self.codebook.vectors[torch.tensor([codes])])[0].numpy()


# ------------------------------------------------------------------ losses

MEL_RESOLUTION, OTHERS = (1024, 160), ((256, 64), (512, 128), (2048, 320))


def spectral_losses(y, x, c, others=OTHERS):
    """(log-magnitudes and their energies at several resolutions, mean distance of log-mels in nats)."""
    loss = mel = 0
    for n, hop in (MEL_RESOLUTION,) + tuple(others):
        a, b = magnitudes(y, n, hop), magnitudes(x, n, hop)
        away = (a - b).pow(2).sum((1, 2)).sqrt() / (b.pow(2).sum((1, 2)).sqrt() + 1)
        loss = loss + ((a + 2e-3).log() - (b + 2e-3).log()).abs().mean() + away.mean()
        if (n, hop) == MEL_RESOLUTION:
            mel = (to_mel(a, c) - to_mel(b, c)).abs().mean()
    return loss / (1 + len(others)), mel


def perplexity(codes):
    p = torch.bincount(codes.flatten()).float()
    p = p[p > 0] / p.sum()
    return math.exp(-(p * p.log()).sum())
