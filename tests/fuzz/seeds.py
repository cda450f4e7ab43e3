#!/usr/bin/env python3
"""Writes the first inputs of every fuzz target into corpus/: small valid files, and a few that are almost valid.

    python seeds.py        # needs numpy, gguf, pillow, soundfile, and the ffmpeg program; run from anywhere

What libFuzzer found later lies beside them (tests/fuzz/run --keep), under names that are hashes.
"""
import base64
import io
import hashlib
import json
import os
import pathlib
import struct
import subprocess
import tempfile

import gguf
import numpy as np
import soundfile
from PIL import Image

HERE = pathlib.Path(__file__).resolve().parent
GOLDEN = HERE.parent / "golden"


def put(target, name, data):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())


def picture(fmt, mode="RGB", size=(5, 3), **options):
    image = Image.fromarray((np.arange(size[0] * size[1] * 4).reshape(size[1], size[0], 4) * 7 % 256).astype(np.uint8), "RGBA").convert(mode)
    out = io.BytesIO()
    image.save(out, fmt, **options)
    return out.getvalue()


def images():
    for name, data in {
        "rgb.png": picture("PNG"), "rgba.png": picture("PNG", "RGBA"), "grey.png": picture("PNG", "L"), "palette.png": picture("PNG", "P"),
        "one.png": picture("PNG", size=(1, 1)), "rgb.jpg": picture("JPEG"), "progressive.jpg": picture("JPEG", progressive=True),
        "grey.jpg": picture("JPEG", "L"), "cmyk.jpg": picture("JPEG", "CMYK"), "lossy.webp": picture("WEBP"),
        "lossless.webp": picture("WEBP", "RGBA", lossless=True), "still.gif": picture("GIF", "P"),
        "interlaced.gif": picture("GIF", "P", (9, 20), interlace=True),
    }.items():
        put("image", name, b"\0" + data)
        put("image", "poor-" + name, b"\3" + data)
    many = [Image.new("RGBA", (6, 4), (60 * i, 9, 200, 255 - 90 * i)) for i in range(3)]
    for fmt, options in {"GIF": {"disposal": 2, "transparency": 0}, "WEBP": {"lossless": True}}.items():
        out = io.BytesIO()
        many[0].save(out, fmt, save_all=True, append_images=many[1:], duration=40, **options)
        put("image", "moving." + fmt.lower(), b"\0" + out.getvalue())
    put("image", "large.webp", b"\0" + picture("WEBP", "RGBA", (70, 33), quality=40, alpha_quality=60))
    put("image", "local.gif", b"\0" + picture("GIF", "P", (33, 17), transparency=3))
    exif = Image.Exif()
    exif[0x0112] = 6
    put("image", "turned.jpg", b"\0" + picture("JPEG", exif=exif))


def sounds():
    """Each behind a byte that says which rate is wanted and how many allocations succeed, as the target reads it."""
    t = np.arange(1200) / 16000
    mono = 0.4 * np.sin(2 * np.pi * 440 * t) + 0.1 * np.sin(2 * np.pi * 3000 * t)
    stereo = np.stack([mono, mono[::-1]], 1)
    for name, fmt, subtype, data, rate in (
            ("pcm16.wav", "WAV", "PCM_16", mono, 16000), ("pcm8.wav", "WAV", "PCM_U8", mono, 8000), ("pcm24.wav", "WAV", "PCM_24", stereo, 48000),
            ("float.wav", "WAV", "FLOAT", mono, 16000), ("double.wav", "WAV", "DOUBLE", mono, 16000), ("mulaw.wav", "WAV", "ULAW", mono, 8000),
            ("alaw.wav", "WAV", "ALAW", mono, 8000), ("extensible.wav", "WAVEX", "PCM_16", stereo, 44100), ("large.wav", "RF64", "PCM_16", mono, 16000),
            ("16.flac", "FLAC", "PCM_16", mono, 16000), ("24.flac", "FLAC", "PCM_24", stereo, 48000), ("8.flac", "FLAC", "PCM_S8", mono, 8000),
            ("vorbis.ogg", "OGG", "VORBIS", mono, 16000), ("stereo.ogg", "OGG", "VORBIS", stereo, 44100), ("opus.ogg", "OGG", "OPUS", mono, 16000),
            ("opus-stereo.ogg", "OGG", "OPUS", stereo, 48000), ("44100.mp3", "MP3", "MPEG_LAYER_III", mono, 44100),
            ("stereo.mp3", "MP3", "MPEG_LAYER_III", stereo, 48000), ("8000.mp3", "MP3", "MPEG_LAYER_III", mono, 8000)):
        out = io.BytesIO()
        soundfile.write(out, data, rate, subtype, None, fmt)
        file = out.getvalue()
        put("audio", name, b"\0" + file)
        if name in ("pcm16.wav", "16.flac", "vorbis.ogg", "opus.ogg", "44100.mp3"):
            put("audio", "resampled-" + name, b"\x10" + file)
            put("audio", "poor-" + name, b"\x11" + file)
    frame = b"\xff\xf3\x14\xc0" + bytes(20)
    put("audio", "tagged.mp3", b"\0ID3\4\0\0\0\0\0\4abcd" + frame * 9 + b"TAG" + bytes(125))
    put("audio", "streamed.wav", b"\0RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\1\0\1\0\x80\x3e\0\0\0\x7d\0\0\2\0\x10\0data\xff\xff\xff\xff" + bytes(range(200)))


def clip(name, *options):
    """A tiny clip by the ffmpeg program."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / name
        subprocess.run(["ffmpeg", "-loglevel", "error", "-y", "-f", "lavfi", "-i", "testsrc=size=32x24:rate=10:duration=1", "-f", "lavfi", "-i",
                        "sine=frequency=440:duration=1:sample_rate=16000", "-fflags", "+bitexact", "-flags", "+bitexact", *options, str(path)], check=True)
        return path.read_bytes()


def clips():
    made = {
        "h264.mp4": ["-c:v", "libx264", "-bf", "2", "-g", "5", "-c:a", "aac", "-b:a", "16k"],
        "fragments.mp4": ["-c:v", "libx264", "-g", "5", "-movflags", "frag_keyframe+empty_moov", "-an"],
        "turned.mov": ["-c:v", "mpeg4", "-g", "5", "-metadata:s:v", "rotate=90", "-an"],
        "vp8.webm": ["-c:v", "libvpx", "-g", "5", "-c:a", "libvorbis", "-q:a", "0"],
        "vp9.webm": ["-c:v", "libvpx-vp9", "-g", "5", "-c:a", "libopus", "-b:a", "16k"],
        "hevc.mkv": ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=0:info=0", "-an"],
        "mpeg4.avi": ["-t", "0.4", "-c:v", "mpeg4", "-c:a", "mp3", "-b:a", "16k"],
        "mjpeg.avi": ["-t", "0.2", "-c:v", "mjpeg", "-q:v", "20", "-an"],
        "h264.ts": ["-t", "0.4", "-c:v", "libx264", "-c:a", "aac", "-b:a", "16k"],
        "moving.gif": ["-t", "0.5", "-an"], "moving.apng": ["-t", "0.3", "-an", "-f", "apng"],
        "speech.m4a": ["-vn", "-c:a", "aac", "-b:a", "16k"], "speech.aac": ["-vn", "-t", "0.4", "-c:a", "aac", "-b:a", "16k"],
    }
    for name, options in made.items():
        data = clip(name, *options)
        put("video", name, b"\x50" + data)
        if len(data) < 4096:
            put("video", "poor-" + name, b"\x55" + data)
    many = [Image.new("RGBA", (6, 4), (60 * i, 9, 200, 255 - 90 * i)) for i in range(3)]
    out = io.BytesIO()
    many[0].save(out, "WEBP", save_all=True, append_images=many[1:], duration=40, lossless=True)
    put("video", "moving.webp", b"\x50" + out.getvalue())


def bodies():
    url = "data:image/png;base64," + base64.b64encode(picture("PNG")).decode()
    user = {"role": "user", "content": "Hi"}
    for name, body in {
        "text": {"messages": [user]},
        "parts": {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": url}}]}]},
        "all": {"messages": [{"role": "system", "content": "s"}, user], "model": "m", "temperature": 0.5, "top_p": 0.9, "min_p": 0, "top_k": 5,
                "seed": 7, "max_tokens": 5, "min_tokens": 1, "stop": ["a", "b"], "logprobs": True, "top_logprobs": 3, "n": 1, "stream": True,
                "stream_options": {"include_usage": True}, "logit_bias": {"3": -100}, "presence_penalty": 1, "frequency_penalty": -1,
                "repetition_penalty": 1.1, "ignore_eos": False, "user": "u", "metadata": {"a": "b"}, "response_format": {"type": "text"},
                "tools": [], "tool_choice": "none"},
        "nulls": {"messages": [user], "temperature": None, "stop": None},
        "variables": {"messages": [user], "chat_template_kwargs": {"a": True, "b": 1.5, "c": "x"}, "stop_token_ids": [1, 2], "cache_salt": "s"},
        "prompt": {"prompt": "Hi", "echo": True, "best_of": 2, "n": 2, "suffix": "", "add_special_tokens": False},
        "prompts": {"prompt": ["Hi", "there"], "logprobs": 3, "stop_token_ids": [1]},
        "ids": {"prompt": [1, 2, 3], "max_tokens": 1},
        "lists_of_ids": {"prompt": [[1, 2], [3]], "skip_special_tokens": True, "bad_words": []},
    }.items():
        put("json", name, json.dumps(body))
    put("json", "deep", '{"messages":' + "[" * 70)
    put("json", "twice", '{"messages":[],"messages":[]}')
    put("json", "numbers", '{"messages":[{"role":"user","content":"a"}],"seed":-9223372036854775808,"temperature":1e308}')


def grammars():
    put("grammar", "json", b'root ::= "[" (v ("," v)*)? "]"\nv ::= root | [0-9]{1,3} | "\\"" [^"\\\\\\x00-\\x1F]* "\\""  # any\n\0[1,[],"a"]')
    put("grammar", "counts", b'root ::= ("a" | "bc"){2,5} .{3,} "x"? [\\u00e9-\\U0001F600]+\0aabc123\xc3\xa9')
    put("grammar", "left", b'root ::= a\na ::= b? a "x" | "y"\nb ::= "b"')
    put("grammar", "endless", b'root ::= "a" root')
    put("grammar", "ambiguous", b'root ::= s "!"\ns ::= "a" s "b" | "a" s "c" | "a" s s | "a"\0' + b"a" * 60)
    put("grammar", "deep", b"root ::= " + b"(" * 70)
    put("schema", "object", json.dumps({"type": "object", "properties": {"a": {"type": ["integer", "null"], "minimum": -12, "exclusiveMaximum": 345},
                                                                         "\u00e9\"": {"$ref": "#/$defs/d"}}, "required": ["a", "z"],
                                        "additionalProperties": {"type": "number", "minimum": 0}, "$defs": {"d": {"enum": [1, "x", None, [True]]}}}))
    put("schema", "array", json.dumps({"prefixItems": [{"const": 1}, {"type": "string", "minLength": 2, "maxLength": 9}],
                                       "items": {"anyOf": [{"$ref": "#"}, {"format": "date-time"}]}, "minItems": 1, "maxItems": 7}))
    put("schema", "pattern", json.dumps({"pattern": "^(?:a|[^b-d\\w])+?\\s.{2,3}$|x*"}))
    put("schema", "all", json.dumps({"allOf": [{"type": "integer", "minimum": 3}, {"type": "number", "maximum": 9}], "title": "t"}))
    put("schema", "one", json.dumps({"oneOf": [{"type": "object", "properties": {"t": {"const": c}}, "required": ["t"]} for c in "ab"]}))
    put("schema", "around", '{"$ref":"#/allOf/0","allOf":[{"$ref":"#"}]}')


def urls():
    for i, url in enumerate(["data:,x", "data:image/png;base64,AAAA", "data:image/png;charset=x;base64,QQ==", "data:;base64,QUI=",
                             "data:image/png;base64,QQ=", "data:image/png;base64,Q Q=", "DATA:Image/PNG;BASE64,QUJD", "data:base64,", "http://x/"]):
        put("data_url", "%d" % i, url)


def form(boundary, *parts, first="", last=""):
    """Parts: (headers, body). The first line is what the request's Content-Type would be."""
    body = "".join("--%s\r\n%s\r\n\r\n%s\r\n" % (boundary, head, text) for head, text in parts)
    return "multipart/form-data; boundary=%s\n%s%s--%s--\r\n%s" % (boundary, first, body, boundary, last)


def forms():
    named = 'Content-Disposition: form-data; name="%s"'
    file = named % "file" + '; filename="a \\" b.wav"; filename*=UTF-8\'\'a%20b.wav\r\nContent-Type: audio/wav\r\nContent-Transfer-Encoding: binary'
    put("multipart", "one", form("b", (named % "model", "x")))
    put("multipart", "all", form("------------------------abc", (file, "RIFF\0\0\r\n--"), (named % "timestamp_granularities[]", "word"),
                                 (named % "timestamp_granularities[]", "segment"), (named % "language", ""), first="before\r\n", last="behind"))
    put("multipart", "none", form("b"))
    put("multipart", "twice", form("b", (named % "a", "1"), (named % "a", "2")))
    put("multipart", "base64", form("b", (named % "a" + "\r\nContent-Transfer-Encoding: base64", "QQ==")))
    put("multipart", "mixed", form("b", (named % "a" + "\r\nContent-Type: multipart/mixed; boundary=c", "--c--")))
    put("multipart", "near", form("b", (named % "a", "x\r\n--bb\r\ny")))
    put("multipart", "quoted", form('"a b:c"', (named % "a", "x")).replace('--"a b:c"', "--a b:c"))
    put("multipart", "cut", form("b", (named % "a", "x"))[:-7])
    put("multipart", "many", form("b", *[(named % "a%d" % i, "") for i in range(40)]))


def words():
    """What a model may say, behind the numbers and the shape that the target reads."""
    said = {"plain": "Hello, world.", "quotes": 'a "b" \\ c/d', "lines": "a\n\ndata: [DONE]\n\n\r\nid: 1", "signs": "".join(map(chr, range(0x20))) + "\x7f\x85\u2028\u2029",
            "wide": "\u00e9\u4e2d\u6587\U0001F469\u200d\U0001F680\uffff", "cue": " 1\n00:00:00,000 --> 00:00:01,000\n---> <b>&amp;</b> ", "blank": " \t\r\n", "none": ""}
    numbers = {"plain": (0.5, 1.25, -3.0), "signs": (float("nan"), float("inf"), float("-inf")), "wide": (1e30, -1e30, 1e-40), "cue": (3599.9996, 360000.25, 0.0)}
    for shape in range(4):
        for name, text in said.items():
            put("writer", "%s-%d" % (name, shape), struct.pack("<BB3f", shape, (0, 1, 4, 0)[shape], *numbers.get(name, (0.0, 1.0, 2.0))) + text.encode())
    put("writer", "broken", struct.pack("<BB3f", 3, 2, 0, 1, 2) + b"\xff\xc3(\xe2\x82\xed\xa0\x80\xf0\x9f\x98\xc0\x80\xc1\x80")
    put("writer", "poor", struct.pack("<BB3f", 3, 50, 0, 1, 2) + b"some words that make buffers grow " * 15)


def model_file():
    path = HERE / "tiny.gguf"
    w = gguf.GGUFWriter(path, "llama")
    for key, value in {"block_count": 1, "embedding_length": 8, "feed_forward_length": 8, "attention.head_count": 2,
                       "attention.head_count_kv": 1, "context_length": 32}.items():
        w.add_uint32("llama." + key, value)
    w.add_float32("llama.attention.layer_norm_rms_epsilon", 1e-5)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("smollm")
    others = iter(range(256, 324))
    alphabet = [chr(b) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174 else chr(next(others)) for b in range(256)]
    w.add_token_list(alphabet + ["<|im_end|>"])
    w.add_token_types([1] * 256 + [3])
    w.add_token_merges(["a b"][:0])
    w.add_chat_template("{% for m in messages %}{{ m.content }}{% endfor %}")
    e = np.zeros((257, 8), np.float32)
    w.add_tensor("token_embd.weight", e)
    w.add_tensor("output_norm.weight", np.ones(8, np.float32))
    for name, shape in {"attn_norm": (8,), "ffn_norm": (8,), "attn_q": (8, 8), "attn_k": (4, 8), "attn_v": (4, 8), "attn_output": (8, 8),
                        "ffn_gate": (8, 8), "ffn_up": (8, 8), "ffn_down": (8, 8)}.items():
        w.add_tensor(f"blk.0.{name}.weight", np.zeros(shape, np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    data = path.read_bytes()
    os.unlink(path)
    put("gguf", "model", data)
    put("gguf", "header", data[:2000])
    put("gguf", "empty", b"GGUF\3\0\0\0" + bytes(16))
    put("gguf", "counts", b"GGUF\3\0\0\0" + b"\xff" * 16)


def safetensors_file():
    def file(header, data=b""):
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        return len(text).to_bytes(8, "little") + text + data
    one = {"a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}
    put("safetensors", "one", file(one, bytes(16)))
    put("safetensors", "two", file({"__metadata__": {"format": "pt"}, **one, "b": {"dtype": "BF16", "shape": [3], "data_offsets": [16, 22]}}, bytes(22)))
    put("safetensors", "scalar", file({"s": {"dtype": "F16", "shape": [], "data_offsets": [0, 2]}}, bytes(2)))
    put("safetensors", "empty", file({"e": {"dtype": "I64", "shape": [0, 5], "data_offsets": [0, 0]}}))
    put("safetensors", "wraps", file({"w": {"dtype": "U8", "shape": [2**32, 2**32], "data_offsets": [0, 0]}}))
    put("safetensors", "gap", file({"g": {"dtype": "U8", "shape": [1], "data_offsets": [1, 2]}}, bytes(2)))
    put("safetensors", "long", (1 << 40).to_bytes(8, "little") + b"{}")


def hf_folders():
    """The goldens' tokenizers with their settings; configurations, and one whole directory small enough to be kept."""
    for folder in sorted(p for p in (GOLDEN / "hf").iterdir() if p.is_dir()):
        put("hf_tokenizer", folder.name, (folder / "tokenizer.json").read_bytes() + b"\0" + (folder / "tokenizer_config.json").read_bytes())
        put("hf_dir", folder.name, (folder / "config.json").read_bytes() + b"\0" + (folder / "generation_config.json").read_bytes() + b"\0")
    older = GOLDEN / "text" / "hf"
    for name, which, file in (("gemma-pieces", b"\0", "tokenizer.model"), ("llama2-pieces", b"\0", "tokenizer.model"), ("tekken-alone", b"\1", "tekken.json"),
                              ("tekken-v1", b"\1", "tekken.json")):
        whole = (older / name / file).read_bytes()
        put("hf_older", name, which + whole)
        put("hf_older", name + "-cut", which + whole[:len(whole) // 3])
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4, "intermediate_size": 4, "num_hidden_layers": 1,
              "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 3, "max_position_embeddings": 32, "rms_norm_eps": 1e-5,
              "tie_word_embeddings": True, "hidden_act": "silu", "rope_theta": 10000.0}
    shapes = {"model.embed_tokens": (3, 4), "model.norm": (4,)}
    for name, shape in {"input_layernorm": (4,), "post_attention_layernorm": (4,), "self_attn.q_proj": (4, 4), "self_attn.k_proj": (2, 4),
                        "self_attn.v_proj": (2, 4), "self_attn.o_proj": (4, 4), "mlp.gate_proj": (4, 4), "mlp.up_proj": (4, 4),
                        "mlp.down_proj": (4, 4)}.items():
        shapes["model.layers.0." + name] = shape
    header, at = {}, 0
    for name, shape in shapes.items():
        end = at + 2 * int(np.prod(shape))
        header[name + ".weight"] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    put("hf_dir", "whole", json.dumps(config).encode() + b"\0" + b'{"eos_token_id": [1, 2]}' + b"\0" + len(text).to_bytes(8, "little") + text + bytes(at))
    encoder_decoder()


def tool_texts():
    call = lambda key, name="get_weather", args='{"city": "K\\"\\u00f6ln", "n": [1, {}]}': '{"name": "%s", "%s": %s}' % (name, key, args)
    texts = {
        "args": "Let me. [TOOL_CALLS]now[ARGS]{}[TOOL_CALLS]get_weather[CALL_ID]abcdefghi[ARGS]{\"a\": 1}",
        "list": "[TOOL_CALLS][%s, %s] x" % (call("arguments"), call("arguments", "now", "{}")),
        "hermes": "a\n<tool_call>\n%s\n</tool_call>\n<tool_call>%s</tool_call> b" % (call("arguments"), call("arguments", "now", "{}")),
        "llama": "<|python_tag|>" + call("parameters") + "; " + call("parameters", "now", "{}"),
        "none": "<tool_call>\n{\"name\": \"other\", \"arguments\": {}}\n</tool_call> [TOOL_CALLS] <tool_c",
        "thinks": "\n<think>\nhm <tool_call>\n</think>\n\n<tool_call>\n" + call("arguments"),
    }
    for name, text in texts.items():
        for which in range(6):
            put("tools", "%s-%d" % (name, which), bytes([which]) + text.encode())


def encoder_decoder():
    config = {"architectures": ["WhisperForConditionalGeneration"], "model_type": "whisper", "d_model": 2, "vocab_size": 6, "num_mel_bins": 1,
              "encoder_layers": 1, "encoder_attention_heads": 1, "encoder_ffn_dim": 1, "max_source_positions": 2, "decoder_layers": 1,
              "decoder_attention_heads": 1, "decoder_ffn_dim": 1, "max_target_positions": 3}
    generation = {"suppress_tokens": [1, 99], "begin_suppress_tokens": [2], "alignment_heads": [[0, 0]], "lang_to_id": {"<|en|>": 1},
                  "max_initial_timestamp_index": 1, "no_timestamps_token_id": 3, "eos_token_id": 0}
    attention = {"q_proj.weight": (2, 2), "q_proj.bias": (2,), "k_proj.weight": (2, 2), "v_proj.weight": (2, 2), "v_proj.bias": (2,),
                 "out_proj.weight": (2, 2), "out_proj.bias": (2,)}
    shapes = {"encoder.conv1.weight": (2, 1, 3), "encoder.conv1.bias": (2,), "encoder.conv2.weight": (2, 2, 3), "encoder.conv2.bias": (2,),
              "encoder.embed_positions.weight": (2, 2), "decoder.embed_positions.weight": (3, 2), "decoder.embed_tokens.weight": (6, 2)}
    for stack, parts in (("encoder", ("self_attn",)), ("decoder", ("self_attn", "encoder_attn"))):
        layer = {"fc1.weight": (1, 2), "fc1.bias": (1,), "fc2.weight": (2, 1), "fc2.bias": (2,)}
        for norm in ("final_layer_norm",) + tuple(p + "_layer_norm" for p in parts):
            layer.update({norm + ".weight": (2,), norm + ".bias": (2,)})
        layer.update({"%s.%s" % (p, name): shape for p in parts for name, shape in attention.items()})
        shapes.update({"%s.layers.0.%s" % (stack, name): shape for name, shape in layer.items()})
        shapes.update({stack + ".layer_norm.weight": (2,), stack + ".layer_norm.bias": (2,)})
    header, at = {}, 0
    for name, shape in shapes.items():
        end = at + 2 * int(np.prod(shape))
        header["model." + name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    put("hf_dir", "encoder-decoder", json.dumps(config).encode() + b"\0" + json.dumps(generation).encode() + b"\0" + len(text).to_bytes(8, "little") +
        text + bytes(at))


def templates():
    """Every template of the goldens, whatever their file's layout: all strings that hold a tag."""
    def strings(v):
        if isinstance(v, str) and ("{%" in v or "{{" in v):
            yield v
        for x in v.values() if isinstance(v, dict) else v if isinstance(v, list) else ():
            yield from strings(x)
    seen = sorted({t for f in sorted((GOLDEN / "text").glob("*.json")) for t in strings(json.loads(f.read_text()))}, key=lambda t: (len(t), t))
    for t in seen[:: max(1, len(seen) // 60)]:
        put("template", hashlib.sha256(t.encode()).hexdigest()[:12], t)


def texts():
    for which in range(8):
        for i, t in enumerate(["aba ab a 12 123", "  \n\n  x\t\r\n y", "don't I'LL", "<|im_end|><|im|>", "e\u0301 \u4e2d\u6587 \U0001F469\u200d\U0001F680", "\u3000\u00a0 a"]):
            put("tokenizer", "%d-%d" % (which, i), bytes([which, 5]) + t.encode())
    put("tokenizer", "broken", b"\0\3\xff\xc3\x28\xe2\x82\x00a\xf0\x9f")


if __name__ == "__main__":
    images(), sounds(), clips(), bodies(), grammars(), tool_texts(), urls(), forms(), words(), model_file(), safetensors_file(), hf_folders(), templates(), texts()
