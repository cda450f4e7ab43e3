"""Qwen3-TTS from its directory to its sound: two miniatures as they are published, and what the reference package says with them (made by
tests/golden/speak/qwen3_tts_whole.py). Speaker, predictor, codec and encoder of recordings are the real ones; larger miniatures, other kinds
and GGUF files are for tests/peer/qwen3_tts.py.

Sound is equal where all codes of all frames are: one that differs is heard. Then what is left is the rounding to 16 bits and f32 arithmetic in
another order, which is worth 2.4e-7 here."""

import base64
import concurrent.futures
import json
import shutil
import statistics
import struct

import pytest

from harness import JSON, PATIENCE, REPO, Server, error_of, run, sse_events

SPEECH = "/v1/audio/speech"
GOLDEN = REPO / "tests" / "golden" / "speak"
GROUPS, FRAME = 4, 24
BOUND = 0.5 / 32768 + 5e-7
CASES = [(kind, i) for kind, n in (("custom", 5), ("base", 3)) for i in range(n)]


def golden(kind, name):
    return (GOLDEN / ("qwen3-tts-" + kind) / name).read_bytes()


def case(kind, i):
    """-> what is asked for"""
    fields = json.loads(golden(kind, "cases.json"))[i]
    recording = fields.pop("recording", None)
    return {"model": kind, **fields, **({"ref_audio": {"data": base64.b64encode(golden(kind, recording)).decode(), "format": "wav"}} if recording else {})}


def sound_of(kind, i):
    data = golden(kind, f"{i}.f32")
    return struct.unpack("<%df" % (len(data) // 4), data)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Both, and what the small model of given voices differs in: it was not taught to follow instructions."""
    small = tmp_path_factory.mktemp("qwen3-tts") / "small"
    shutil.copytree(GOLDEN / "qwen3-tts-custom", small)
    config = json.loads((small / "config.json").read_text())
    (small / "config.json").write_text(json.dumps({**config, "tts_model_size": "0b6"}))
    folders = {"custom": GOLDEN / "qwen3-tts-custom", "base": GOLDEN / "qwen3-tts-base", "small": small}
    flags = [x for name, folder in folders.items() for x in ("--model", f"{name}={folder}")]
    with Server(*flags, "--kv-cache-dtype", "f32", "--kv-cache-memory", "64M", model=None) as s:
        yield s


def ask(server, fields):
    return server.request("POST", SPEECH, json.dumps({"response_format": "pcm", "temperature": 0, **fields}).encode(), JSON, timeout=60 * PATIENCE)


def say(server, fields, **more):
    status, _, sound = ask(server, {**fields, **more})
    assert status == 200, sound
    return sound


def refused(server, fields, **more):
    status, _, body = ask(server, {**fields, **more})
    return status, error_of(json.loads(body))


def assert_is(pcm, want, bound=BOUND):
    got = struct.unpack("<%dh" % (len(pcm) // 2), pcm)
    assert len(got) == len(want), f"{len(got) / FRAME} frames, not {len(want) / FRAME}"
    errors = [abs(g / 32768 - w) for g, w in zip(got, want)]
    assert max(errors) <= bound, f"differs by {max(errors):.2g} from frame {next(i for i, e in enumerate(errors) if e > bound) / FRAME:.2f} on"


@pytest.mark.parametrize("kind, i", CASES)
def test_it_says_what_the_package_says(server, kind, i):
    want = sound_of(kind, i)
    assert len(want) == FRAME * len(golden(kind, f"{i}.codes")) // GROUPS
    assert statistics.pstdev(want) > 0.1
    assert_is(say(server, case(kind, i)), want)


@pytest.mark.parametrize("kind, i", [("custom", 4), ("base", 1)])
def test_a_stream_is_the_whole(server, kind, i):
    told = sse_events(say(server, case(kind, i), stream_format="sse"))
    assert [e["type"] for e in told] == ["speech.audio.delta"] * (len(told) - 1) + ["speech.audio.done"] and len(told) >= 2 # fast sound may come in one piece
    assert b"".join(base64.b64decode(e["audio"]) for e in told[:-1]) == say(server, case(kind, i))
    # one token a frame: its other codes are none of the vocabulary
    frames = len(golden(kind, f"{i}.codes")) // GROUPS
    assert frames <= told[-1]["usage"]["output_tokens"] <= frames + 1
    assert say(server, case(kind, i), response_format="wav")[44:] == say(server, case(kind, i))


def test_company_changes_no_byte(server):
    """All cases at once, of models that share the steps, sampled too: each as alone."""
    asked = [case(*c) for c in CASES] + [dict(case(*c), temperature=0.9, seed=n) for n, c in enumerate(CASES)]
    alone = [say(server, a) for a in asked]
    with concurrent.futures.ThreadPoolExecutor(len(asked)) as pool:
        assert list(pool.map(lambda a: say(server, a), asked)) == alone
        assert list(pool.map(lambda a: say(server, a), asked[::-1])) == alone[::-1]
    server.wait_idle(5 * PATIENCE)
    assert server.metrics()["sensorium_step_sequences_max"] >= 2


def test_seeds(server):
    """The predictor's choices have the seed, too: of a greedy first code they are all that could differ."""
    hello = case("custom", 0)
    a = say(server, hello, temperature=0.9, seed=1)
    assert say(server, hello, temperature=0.9, seed=1) == a != say(server, hello, temperature=0.9, seed=2)
    assert say(server, hello, seed=1) == say(server, hello, seed=2)


def test_each_part_of_what_is_asked_arrives(server):
    """What the package says of each is above; here it is the part alone that changes the sound, from the first frame on or later."""
    how = case("custom", 4)["instructions"]
    plain, low = case("custom", 0), case("base", 0)
    asked = [plain, {**plain, "voice": "eric"}, {**plain, "language": "english"}, {**plain, "language": "german"}, {**plain, "instructions": how}]
    assert len({say(server, a) for a in asked}) == len(asked)
    assert say(server, plain, language="EN") == say(server, plain, language="english")
    assert say(server, plain, voice="eric", language="chinese") == say(server, plain, voice="eric")  # his dialect
    asked = [low, case("base", 1), {**low, "language": "english"}, {k: v for k, v in low.items() if k != "ref_audio"}]
    assert len({say(server, a) for a in asked}) == len(asked)
    assert_is(say(server, plain, model="small"), sound_of("custom", 0))


def test_utterances_follow_one_another(server):
    """A text of two is spoken as two, the recording being encoded once."""
    before = server.metrics()["sensorium_encoder_runs_total"]
    recording = bytearray(golden("base", "low.wav"))
    recording[-2:] = b"\1\1"  # one that was never heard
    fields = dict(case("base", 0), ref_audio={"data": base64.b64encode(recording).decode(), "format": "wav"})
    both = say(server, fields, input="One sentence. And one more.")
    assert both == say(server, fields, input="One sentence.") + say(server, fields, input="And one more.")
    assert server.metrics()["sensorium_encoder_runs_total"] == before + 1


def test_what_there_is(server):
    told = json.loads(server.get("/v1/audio/voices")[2])
    languages = [{"name": "chinese", "code": "zh"}, {"name": "english", "code": "en"}, {"name": "german", "code": "de"}]  # dialects are of voices
    skills = {"custom": (True, False), "base": (False, True), "small": (False, False)}
    assert told["models"] == [{"model": m, "languages": languages, "instructions": i, "ref_audio": r} for m, (i, r) in skills.items()]
    voices = [(m, v) for m in skills for v in (["default"] if m == "base" else ["default", "vivian", "eric"])]
    assert [(v["model"], v["name"]) for v in told["data"]] == voices
    models = {m["id"]: m for m in json.loads(server.get("/v1/models")[2])["data"]}
    assert all(models[m]["speaks"] and models[m]["output_modalities"] == ["audio"] for m in skills)


@pytest.mark.parametrize("kind, i, fields, param, words", [
    ("small", 0, {"instructions": "Slowly."}, "instructions", "does not follow instructions"),
    ("base", 0, {"instructions": "Slowly."}, "instructions", "does not follow instructions"),
    ("custom", 0, {"language": "klingon"}, "language", "custom does not speak this language"),
    ("custom", 0, {"language": "sichuan_dialect"}, "language", "does not speak"),
    ("custom", 0, {"voice": "serena"}, "voice", "custom has no voice of this name"),
    ("base", 0, {"voice": "vivian"}, "voice", "the voice is the recording's"),
    ("custom", 0, {"ref_audio": case("base", 0)["ref_audio"], "voice": None}, "ref_audio", "does not speak in the voice of a recording"),
])
def test_what_it_cannot_do_is_refused_by_name(server, kind, i, fields, param, words):
    status, error = refused(server, case("custom" if kind == "small" else kind, i), model=kind, **fields)
    assert (status, error["param"]) == (400, param) and words in error["message"], error


@pytest.mark.parametrize("kind", ["custom", "base"])
def test_a_talker_does_not_chat(server, kind):
    status, _, answer = server.chat({"model": kind, "messages": [{"role": "user", "content": "Hello"}]})
    assert (status, error_of(answer)["param"]) == (400, "model") and error_of(answer)["message"] == f"model {kind} speaks: it has speech, and no chat"


def test_a_directory_without_its_codec_is_refused_at_start(tmp_path):
    shutil.copytree(GOLDEN / "qwen3-tts-custom", tmp_path / "mute", ignore=shutil.ignore_patterns("speech_tokenizer"))
    code, _, err = run("serve", str(tmp_path / "mute"), "--port", "0")
    assert code not in (0, -6, -11), err
    assert "no plugin makes sound of its codes" in err and "Sanitizer" not in err
