#!/usr/bin/env python3
"""Goldens of hearing. Needs numpy, torch and transformers.

  logmel-SOUND.i16, logmel-SOUND-MELS.bin   samples, and WhisperFeatureExtractor's frames of them: [frames][mels] f32, the last 3 of silence
  logmel-end-128.bin                        the last 6 frames of the room's first 7990 samples, padded to whole hops
  tower-NAME-SAMPLES.bin                    rows of miniature towers of a wave: [rows][width] f32
"""
import os
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import sounds  # noqa: E402


def features(x, n_mels, **how):
    """[frames][mels]"""
    from transformers import WhisperFeatureExtractor

    return WhisperFeatureExtractor(feature_size=n_mels)(x, sampling_rate=sounds.RATE, return_tensors="np", **how)["input_features"][0].T


def save(name, values):
    np.ascontiguousarray(values).tofile(os.path.join(HERE, name))


def make_logmel():
    for name, samples in sounds.chain().items():
        save(f"logmel-{name}.i16", samples)
        x = samples.astype(np.float32) / np.float32(32768)
        for n_mels in (80, 128) if name in ("room", "quiet") else (128,):
            frames = features(x, n_mels)
            assert frames.shape == (3000, n_mels)
            t = -(-len(x) // 160) + 5
            assert np.ptp(frames[t - 3:]) == 0
            save(f"logmel-{name}-{n_mels}.bin", frames[:t].astype("<f4"))
    # A clip padded to whole hops only, which mirrors its own end; 7990 samples of it.
    x = np.fromfile(os.path.join(HERE, "logmel-room.i16"), "<i2")[:7990].astype(np.float32) / np.float32(32768)
    frames = features(x, 128, padding="longest", pad_to_multiple_of=160, truncation=False)
    assert frames.shape == (50, 128)
    save("logmel-end-128.bin", frames[-6:].astype("<f4"))


# ---- towers: weights are functions of their GGUF names (tests/plugins/fake_host.c makes them alike)

MELS, EMBD, FF, LAYERS, HEADS, CONTEXT, WIDTH = 16, 32, 48, 2, 4, 60, 20
WINDOW = 2 * CONTEXT * 160  # samples
STACKS = {"ultravox": 8, "voxtral": 4}
HIDDEN = {"ultravox": 44, "voxtral": WIDTH}
OMNI_WINDOW = 10
CLIPS = {"whisper": (1, 7777, WINDOW), "ultravox": (100, 7777, WINDOW, 2 * WINDOW + 3333), "voxtral": (7777, WINDOW + 9999),
         "qwen2a": (1, 7777, WINDOW, WINDOW + 9999), "qwen2.5o": (1, 7777, 60000)}


def fill(parameter, name, size=0.5, offset=0.0):
    import torch

    with torch.no_grad():
        parameter.copy_(torch.from_numpy(sounds.weights(name, parameter.numel(), size, offset)).view(parameter.shape))


def linear(module, name):
    fill(module.weight, name + ".weight")
    if module.bias is not None:
        fill(module.bias, name + ".bias", 0.25)


def norm(module, name):
    fill(module.weight, name + ".weight", 0.5, 1.0)
    fill(module.bias, name + ".bias", 0.25)


def fill_encoder(encoder, post, positions):
    linear(encoder.conv1, "a.conv1d.1")
    linear(encoder.conv2, "a.conv1d.2")
    fill(positions, "a.position_embd.weight", 1.0)
    for i, layer in enumerate(encoder.layers):
        blk = f"a.blk.{i}."
        norm(layer.self_attn_layer_norm, blk + "ln1")
        norm(layer.final_layer_norm, blk + "ln2")
        for theirs, ours in (("q_proj", "attn_q"), ("k_proj", "attn_k"), ("v_proj", "attn_v"), ("out_proj", "attn_out")):
            linear(getattr(layer.self_attn, theirs), blk + ours)
        linear(layer.fc1, blk + "ffn_up")
        linear(layer.fc2, blk + "ffn_down")
    norm(post, "a.post_ln")
    return encoder.float().eval()


SIZES = dict(num_mel_bins=MELS, d_model=EMBD, encoder_layers=LAYERS, encoder_attention_heads=HEADS, encoder_ffn_dim=FF,
             max_source_positions=CONTEXT)


def padded(x, n_mels=MELS):
    """[1, mels, 2 * CONTEXT] of one window, as the processors with padding="max_length" make it."""
    import torch

    return torch.from_numpy(features(x, n_mels, max_length=WINDOW, padding="max_length", truncation=True).T.copy())[None]


def whisper_encoder(kind="eager"):
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    config = WhisperConfig(**SIZES)
    config._attn_implementation = kind
    encoder = WhisperEncoder(config)
    return fill_encoder(encoder, encoder.layer_norm, encoder.embed_positions.weight)


def rows_whisper(x):
    return whisper_encoder()(padded(x)).last_hidden_state[0]


def rows_voxtral(x):
    import torch
    from transformers import VoxtralConfig, VoxtralForConditionalGeneration
    from transformers.models.voxtral.processing_voxtral import VoxtralProcessor

    # The projector takes intermediate_size columns: four rows of the encoder.
    audio = dict(num_mel_bins=MELS, hidden_size=EMBD, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
                 intermediate_size=EMBD * STACKS["voxtral"], max_source_positions=CONTEXT)
    text = dict(model_type="llama", vocab_size=32, hidden_size=WIDTH, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2,
                num_key_value_heads=2, head_dim=10)
    model = VoxtralForConditionalGeneration(VoxtralConfig(audio_config=audio, text_config=text, audio_token_id=24)).float().eval()
    tower, projector = model.model.audio_tower, model.model.multi_modal_projector
    fill_encoder(tower, tower.layer_norm, tower.embed_positions.weight)
    fill(projector.linear_1.weight, "mm.a.mlp.1.weight")
    fill(projector.linear_2.weight, "mm.a.mlp.2.weight")
    how = {k: v for k, v in VoxtralProcessor.audio_kwargs.items() if k in ("padding", "truncation")}
    frames = torch.from_numpy(features(x, MELS, pad_to_multiple_of=WINDOW, **how).T.copy())
    pieces = frames.reshape(MELS, -1, 2 * CONTEXT).transpose(0, 1)
    return model.model.get_audio_features(pieces, return_dict=True).pooler_output


def rows_qwen2a(x):
    """A clip longer than a window is several clips: the reference's processor would drop all but the first."""
    import torch
    from transformers import Qwen2AudioConfig, Qwen2AudioEncoderConfig
    from transformers.masking_utils import create_bidirectional_mask
    from transformers.models.qwen2_audio.modeling_qwen2_audio import Qwen2AudioEncoder, Qwen2AudioMultiModalProjector

    projector = Qwen2AudioMultiModalProjector(Qwen2AudioConfig(audio_config=SIZES, text_config=dict(model_type="qwen2", hidden_size=WIDTH)))
    audio = Qwen2AudioEncoderConfig(**SIZES)
    audio._attn_implementation = "eager"
    encoder = Qwen2AudioEncoder(audio)
    fill_encoder(encoder, encoder.layer_norm, encoder.embed_positions.weight)
    linear(projector.linear, "mm.a.fc")
    rows = []
    for at in range(0, len(x), WINDOW):
        piece = x[at:at + WINDOW]
        n = max(-(-len(piece) // 160), 3)
        seen, out = encoder._get_feat_extract_output_lengths(torch.tensor([n]))
        mask = (torch.arange(CONTEXT)[None] < seen[:, None]).long()
        mask = create_bidirectional_mask(config=audio, inputs_embeds=torch.zeros(1, CONTEXT, 1), attention_mask=mask)
        assert mask is not None or seen == CONTEXT
        rows.append(projector(encoder(padded(piece), attention_mask=mask).last_hidden_state)[0, :int(out)])
    return torch.cat(rows)


def omni_encoder(sizes, width, n_window):
    from transformers.models.qwen2_5_omni.configuration_qwen2_5_omni import Qwen2_5OmniAudioEncoderConfig
    from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import Qwen2_5OmniAudioEncoder

    config = Qwen2_5OmniAudioEncoderConfig(output_dim=width, n_window=n_window, **sizes)
    config._attn_implementation = "eager"
    return Qwen2_5OmniAudioEncoder(config)


def rows_omni(x):
    import torch
    from transformers import WhisperFeatureExtractor

    encoder = omni_encoder(SIZES, WIDTH, OMNI_WINDOW)
    fill_encoder(encoder, encoder.ln_post, encoder.positional_embedding.positional_embedding)
    linear(encoder.proj, "mm.a.fc")
    extractor = WhisperFeatureExtractor(feature_size=MELS, chunk_length=300)
    made = extractor(x, sampling_rate=sounds.RATE, return_tensors="np", return_attention_mask=True, padding="max_length")
    n = max(int(made["attention_mask"].sum()), 3)
    frames = torch.from_numpy(made["input_features"][0][:, :n].copy())
    return encoder(frames, feature_lens=torch.tensor([n])).last_hidden_state


def rows_ultravox(x):
    """As ultravox_processing.py and ultravox_model.py of fixie-ai do it: audio_context_size frames a chunk, chunks after the first
    padded with zero frames, padding masked in attention, StackAudioFrames, RMSNorm, linear, SwiGLU, RMSNorm, linear."""
    import torch
    import torch.nn.functional as F
    from transformers.masking_utils import create_bidirectional_mask

    stack, hidden = STACKS["ultravox"], HIDDEN["ultravox"]
    encoder = whisper_encoder()
    w = {}
    for name, shape, size, offset in (("norm_pre", (EMBD * stack,), 0.5, 1.0), ("mlp.1", (hidden, EMBD * stack), 0.5, 0.0),
                                      ("norm_mid", (hidden // 2,), 0.5, 1.0), ("mlp.2", (WIDTH, hidden // 2), 0.5, 0.0)):
        w[name] = torch.empty(shape)
        fill(w[name], f"mm.a.{name}.weight", size, offset)

    def rms(v, weight):
        return v * torch.rsqrt(v.pow(2).mean(-1, keepdim=True) + 1e-6) * weight

    x = np.pad(x, (0, max(0, 320 - len(x))))
    frames = torch.from_numpy(features(x, MELS, padding="longest", pad_to_multiple_of=160, truncation=False).T.copy())
    rows, total, size = [], frames.shape[-1], 2 * CONTEXT
    for at in range(0, total, size):
        chunk, valid = frames[:, at:at + size], min(total - at, size)
        if at:
            chunk = F.pad(chunk, (0, size - chunk.shape[-1]))
        h = F.gelu(encoder.conv2(F.gelu(encoder.conv1(chunk[None])))).transpose(1, 2)
        h = h + encoder.embed_positions.weight[:h.shape[1]]
        mask = (torch.arange(h.shape[1])[None] < (valid - 1) // 2 + 1).long()
        mask = create_bidirectional_mask(config=encoder.config, inputs_embeds=h, attention_mask=mask)
        assert mask is not None or valid == chunk.shape[-1]
        for layer in encoder.layers:
            h = layer(h, mask)
            h = h[0] if isinstance(h, tuple) else h
        h = encoder.layer_norm(h)[0]
        h = F.pad(h, (0, 0, 0, -len(h) % stack)).reshape(-1, EMBD * stack)
        h = rms(h, w["norm_pre"]) @ w["mlp.1"].T
        value, gate = h.chunk(2, dim=-1)
        rows.append((rms(F.silu(gate) * value, w["norm_mid"]) @ w["mlp.2"].T)[:-(-valid // (2 * stack))])
    return torch.cat(rows)


TOWERS = {"whisper": rows_whisper, "ultravox": rows_ultravox, "voxtral": rows_voxtral, "qwen2a": rows_qwen2a, "qwen2.5o": rows_omni}


def make_towers():
    import torch

    for name, clips in CLIPS.items():
        for n in clips:
            with torch.no_grad():
                rows = TOWERS[name](sounds.wave(n, n))
            save(f"tower-{name}-{n}.bin", rows.numpy().astype("<f4"))


PARTS = {"logmel": make_logmel, "towers": make_towers}

if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        PARTS[part]()
