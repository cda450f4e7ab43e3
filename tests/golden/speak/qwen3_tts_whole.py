#!/usr/bin/env python3
"""Goldens of Qwen3-TTS from end to end: two models as they are published, but very small and of random weights, and what the reference package
says with them, greedily. Needs what tests/peer/qwen3_tts_mini.py needs:

    qwen3_tts_whole.py DIRECTORY     # that holds the folder qwen_tts: of QwenLM/Qwen3-TTS or of the package

  qwen3-tts-custom/    given voices, one of them with a dialect; languages, instructions; a predictor narrower than the talker
  qwen3-tts-base/      speaks like a recording: NAME.wav, 24 kHz
  DIRECTORY/cases.json what is asked for, in the words of the API
  DIRECTORY/N.codes    u8 [frames][4] of case N
  DIRECTORY/N.f32      its sound

tests/api/test_qwen3_tts.py serves them."""
import importlib.util
import json
import os
import sys
import wave

import numpy as np
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
HELLO, CHINESE, HOW = "Hello there, how are you today", "你好，世界，今天天气很好", "speak slowly and with a warm voice"
CASES = {
    "custom": [dict(text=HELLO, language="Auto", speaker="vivian"), dict(text=CHINESE, language="Auto", speaker="eric"),
               dict(text=HELLO, language="english", speaker="eric"), dict(text=HELLO, language="german", speaker="vivian"),
               dict(text=HELLO, language="Auto", speaker="vivian", instruct=HOW)],
    "base": [dict(text=HELLO, language="Auto", recording="low"), dict(text=HELLO, language="Auto", recording="high"),
             dict(text=CHINESE, language="chinese", recording="low")],
}


def peer():
    spec = importlib.util.spec_from_file_location("qwen3_tts_mini", os.path.join(HERE, "..", "..", "peer", "qwen3_tts_mini.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tiny(mini):
    class Tiny(mini.Sizes):
        codes, groups, frames, bf16 = 16, 4, 32, True
        end = {"custom": 1.6, "base": 1.6}
        voices = {v: mini.SPEAKERS[v] for v in ("vivian", "eric")}
        languages = {v: mini.LANGUAGES[v] for v in ("chinese", "english", "german", "sichuan_dialect")}
        text_hidden = 12
        talker = dict(hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=8)
        mrope = [2, 1, 1]
        predictor = dict(hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=8)
        ear = dict(enc_channels=[8, 8, 8, 8, 24], enc_res2net_scale=4, enc_se_channels=3, enc_attention_channels=5)
        decoder = dict(codebook_dim=12, hidden_size=16, latent_dim=12, num_attention_heads=2, num_key_value_heads=2, head_dim=8, sliding_window=7,
                       intermediate_size=20, num_hidden_layers=2, upsample_rates=[3, 2], upsampling_ratios=[2, 2], decoder_dim=16)
        encoder = dict(hidden_size=4, num_filters=2, codebook_dim=4, vector_quantization_hidden_dimension=4, intermediate_size=4, num_attention_heads=1,
                       num_key_value_heads=1, head_dim=4, upsample_groups=4)

    return Tiny()


def recordings(mini):
    low = (mini.recording(0.4) * 32768).clip(-32768, 32767).astype("<i2")
    return {"low": low[:4800], "high": low[::2][:4800]}  # an octave higher, and twice as fast


def write_wav(path, samples):
    with wave.open(path, "wb") as f:
        f.setnchannels(1)
        f.setsampwidth(2)
        f.setframerate(24000)
        f.writeframes(samples.tobytes())


def asked(case):
    fields = {"input": case["text"], "language": case["language"], "voice": case.get("speaker"), "instructions": case.get("instruct")}
    return {**{k: v for k, v in fields.items() if v}, **({"recording": case["recording"] + ".wav"} if "recording" in case else {})}


def main():
    torch.set_num_threads(1)
    mini = peer()
    Model, models = mini.package(sys.argv[1])
    sizes, sounds = tiny(mini), recordings(mini)
    for variant, cases in CASES.items():
        out = os.path.join(HERE, "qwen3-tts-" + variant)
        mini.write_model(variant, out, models, 16, sizes)
        model = Model.from_pretrained(out, dtype=torch.float32, attn_implementation="eager")
        record = mini.Recorder(model)
        for i, case in enumerate(cases):
            print(f"{variant} {i}: ", end="")
            sound = sounds[case["recording"]].astype(np.float32) / 32768 if "recording" in case else None
            cases[i], said, margin = mini.settle(model, record, case, sound, sizes.frames)
            if margin < mini.MARGIN:
                sys.exit("a choice is close")
            record.codes.astype("u1").tofile(os.path.join(out, f"{i}.codes"))
            said.astype("<f4").tofile(os.path.join(out, f"{i}.f32"))
        with open(os.path.join(out, "cases.json"), "w", encoding="utf-8") as f:
            json.dump([asked(case) for case in cases], f, ensure_ascii=False, indent=1)
            f.write("\n")
    for name, sound in sounds.items():
        write_wav(os.path.join(HERE, "qwen3-tts-base", name + ".wav"), sound)


if __name__ == "__main__":
    main()
