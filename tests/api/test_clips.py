"""Clips in a chat: video_url with how much of a clip is looked at, refused by name before anything is decoded; its frames and its sound as
the model's media (goals 6, 7, 17, 18, 19, 21). The ear's weights are random (towers.py): nothing here is about words."""

import base64
import io
import json
import math
import random
import re
import shutil
import struct

import pytest
from PIL import Image

import towers
from clips import clip
from containers import BOMBS, M4A, corpus
from harness import REPO, Baseline, Server, ask, error_of, run, sample_that_sees
from test_hearing_parts import input_audio

PLACE = "messages[0].content[0].video_url"


@pytest.fixture(scope="module")
def film():
    return clip([Image.new("RGB", (64, 48), (20 * i, 40, 90)) for i in range(10)])


def data_url(data, mime="video/mp4"):
    return "data:%s;base64,%s" % (mime, base64.b64encode(data).decode())


def video_url(data, mime="video/mp4", **how):
    return {"type": "video_url", "video_url": {"url": data_url(data, mime), **how}}


def watch(*parts, role="user", **fields):
    return {**ask(**{"max_tokens": 2, **fields}), "messages": [{"role": role, "content": [*parts, {"type": "text", "text": "What is seen?"}]}]}


# ---- how much of it ------------------------------------------------------------------------------------------------------------

WRONG = [("fps", v) for v in (0, -1, 1000.5, 1e308, "2", True, [], {}, "")] + [("max_frames", v) for v in (0, -1, 65537, 2**63 - 1, 1.5, 1e3, "8", False, [])]
WRONG += [("start", v) for v in (-0.001, 86401, "0", True, {})] + [("end", v) for v in (0, -1, 86401, "1", False, [])]


@pytest.mark.parametrize("name,value", WRONG)
def test_what_is_out_of_range_is_refused_by_name(server, film, name, value):
    status, _, answer = server.chat(watch(video_url(film, **{name: value})))
    assert status == 400 and error_of(answer)["param"] == PLACE + "." + name, answer


@pytest.mark.parametrize("start,end", [(1, 1), (1, 0.5), (0.5, 0.5), (86400, 86400), (0, 0)])
def test_an_end_before_its_start_is_refused(server, film, start, end):
    status, _, answer = server.chat(watch(video_url(film, start=start, end=end)))
    assert status == 400 and error_of(answer)["param"] == PLACE + ".end" and "above" in error_of(answer)["message"], answer


def test_ends_of_the_ranges_are_right(server, film):
    """As many as there are, where more are asked for."""
    for how in ({"fps": 1000, "max_frames": 65536, "start": 0, "end": 86400}, {"fps": 1000, "max_frames": 1}, {"fps": 1e-300},
                {"fps": None, "max_frames": None, "start": None, "end": None}):
        got, _, answer = server.chat(watch(video_url(film, **how)))
        assert got == 200, answer


@pytest.mark.parametrize("name", ["detail", "frames", "fps ", "max_pixels", "url2", "start_time"])
def test_other_fields_are_refused(server, film, name):
    status, _, answer = server.chat(watch(video_url(film, **{name: 1})))
    assert status == 400 and error_of(answer)["param"] == PLACE and "not supported" in error_of(answer)["message"], answer


@pytest.mark.parametrize("name", ["fps", "max_frames", "start", "end"])
def test_a_picture_has_none_of_it(server, name):
    part = {"type": "image_url", "image_url": {"url": data_url(b"x", "image/png"), name: 1}}
    status, _, answer = server.chat(watch(part))
    assert status == 400 and error_of(answer)["param"] == "messages[0].content[0].image_url" and "not supported" in error_of(answer)["message"], answer


# ---- as any medium -------------------------------------------------------------------------------------------------------------

def test_clips_have_their_own_limit(server, film):
    status, _, answer = server.chat(watch(*[video_url(film)] * 5))
    assert status == 400 and "more than 4 media of kind video" in error_of(answer)["message"] and "--limit-mm-per-prompt" in error_of(answer)["message"], answer


def test_a_clip_belongs_to_the_user(server, film):
    for role in ("system", "assistant"):
        status, _, answer = server.chat(watch(video_url(film), role=role))
        assert status == 400 and "messages of the user" in error_of(answer)["message"]


def test_a_clip_above_the_cap_is_413_undecoded(hostile):
    status, _, answer = hostile.chat(watch({"type": "video_url", "video_url": {"url": "data:video/mp4;base64," + "!" * (28 << 20)}}))
    assert status == 413 and error_of(answer)["param"] == PLACE


@pytest.mark.parametrize("url", ["data:video/mp4,x", "data:video/mp4;base64,!!!!", "http://127.0.0.1:9/x.mp4", "file:///etc/hostname", "rtsp://127.0.0.1/x", "concat:/etc/hostname", ""])
def test_its_url_is_read_as_every_url(hostile, url):
    for part in (url, {"url": url, "fps": 2}):
        status, _, answer = hostile.chat(watch({"type": "video_url", "video_url": part}))
        assert status == 400 and error_of(answer)["param"] == PLACE, answer


def test_run_says_what_it_cannot_open(tmp_path):
    code, _, err = run("run", "--video", str(tmp_path / "none.mp4"), "What is seen?")
    assert code != 0 and "--video: No such file" in err, err


# ---- frames and sound ----------------------------------------------------------------------------------------------------------

RUNS = "sensorium_encoder_runs_total"
TONE = [0.3 * math.sin(i / 6) for i in range(16000)]


def pictures(n, first=0):
    """No two alike."""
    return [Image.linear_gradient("L").resize((64, 48)).rotate(7 * (first + i)).convert("RGB") for i in range(n)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return towers.sees_and_hears(tmp_path_factory.mktemp("hears"))


@pytest.fixture(scope="module")
def hearer(folder):
    with Server(model=folder) as s:
        s.baseline = Baseline(s)
        yield s


def watched(server, *parts, **fields):
    """-> (the answer's choices, its usage)"""
    status, _, answer = server.chat(watch(*parts, seed=7, **fields))
    assert status == 200, answer
    return answer["choices"], answer["usage"]


def test_it_is_listed_as_one_that_watches(server):
    assert "video" in json.loads(server.get("/v1/models")[2])["data"][0]["input_modalities"]
    assert {"video/mp4", "video/webm"} <= server.media_types()


@pytest.mark.parametrize("kind", ["mp4", "webm"])
def test_frames_are_counted(server, kind):
    data = clip(pictures(8), 2.0, kind)
    rows = {n: watched(server, video_url(data, "video/" + kind, max_frames=n))[1]["prompt_tokens"] for n in (1, 2, 3)}
    assert 0 < rows[2] - rows[1] <= rows[3] - rows[2] + 2
    whole, half = (watched(server, video_url(data, "video/" + kind, **how))[1]["prompt_tokens"] for how in ({}, {"end": 2}))
    assert half < whole


def test_a_clip_seen_before_costs_no_run(server):
    data = clip(pictures(6, 20), 1.0)
    first = watched(server, video_url(data))
    runs = server.metrics()[RUNS]
    again = watched(server, video_url(data))
    assert again[0] == first[0] and server.metrics()[RUNS] == runs
    as_file = {"type": "file", "file": {"file_data": data_url(data), "filename": "a.mp4"}}
    assert watched(server, as_file)[0] == first[0] and server.metrics()[RUNS] == runs
    part, _ = watched(server, video_url(data, end=3)), server.metrics()[RUNS]
    assert part[1]["prompt_tokens"] < first[1]["prompt_tokens"]


KEPT = ("sensorium_media_decodes_total", "sensorium_clip_cache_hits_total", RUNS, "sensorium_prefix_cache_hits_total")


def test_a_clip_seen_before_is_not_read_again(server):
    """Nor encoded, and of its prompt what fills pages is there; at another rate it is read, and its frames are known."""
    data = clip(pictures(6, 300), 2.0)

    def grown(*parts, **fields):
        before = server.metrics()
        answer, usage = watched(server, *parts, **fields)
        after = server.metrics()
        return answer, usage, [after[k] - before[k] for k in KEPT]

    first, again = grown(video_url(data, fps=2)), grown(video_url(data, fps=2))
    assert again[0] == first[0] and first[2][:3] == [1, 0, 6] and again[2][:3] == [0, 1, 0], (first[2], again[2])
    assert again[2][3] == again[1]["prompt_tokens_details"]["cached_tokens"] > again[1]["prompt_tokens"] - 129
    assert grown(video_url(data, fps=2.0, max_frames=None))[2][:3] == [0, 1, 0]
    assert grown(video_url(data, fps=1))[2][:3] == [1, 0, 0]
    assert grown(video_url(data, fps=2), cache_salt="mine")[2][:3] == [1, 0, 6]
    assert grown(video_url(data, fps=2), cache_salt="mine")[2][:3] == [0, 1, 0]
    assert server.chat(watch(video_url(data, "video/webm", fps=2)))[0] == 415
    broken = data[:-1] + bytes([data[-1] ^ 1])
    assert grown(video_url(broken, fps=2))[2][:2] == [1, 0]


def test_a_sounding_clip_heard_before_is_not_read_again(hearer):
    data = clip(pictures(3, 320), 3.0, sound=TONE)
    first, before = watched(hearer, video_url(data)), hearer.metrics()
    again, after = watched(hearer, video_url(data)), hearer.metrics()
    assert again[0] == first[0] and [after[k] - before[k] for k in KEPT[:3]] == [0, 1, 0]
    assert again[1]["prompt_tokens"] == first[1]["prompt_tokens"]


GOLDEN = REPO / "tests" / "golden"


def numbers_of(path, letter):
    data = path.read_bytes()
    return struct.unpack("<%d%s" % (len(data) // 4, letter), data)


def id_of(token):
    """Of the miniature: a byte is its own id, the reserved ones are the vocabulary's last."""
    reserved = re.fullmatch(r"<\|reserved_(\d)\|>", token["token"])
    return 272 - 9 + int(reserved.group(1)) if reserved else token["bytes"][0]


@pytest.mark.parametrize("helpers", ["off", "on"])
def test_clips_are_watched_as_transformers_does(tmp_path, helpers):
    """Unequal, turned, reordered and odd frames through the whole server: as many rows, and the very answer (tests/golden/engine/watch.py)."""
    for name in ("model.gguf", "mmproj.gguf"):
        shutil.copy(GOLDEN / "engine" / name, tmp_path / name)
    with Server("--isolate-codecs", helpers, model=str(tmp_path)) as server:
        for file in ("vfr.mp4", "turn90.mp4", "bframes.mp4", "odd.mp4"):
            want = GOLDEN / "engine" / ("watch-" + file)
            ids, greedy, logits = (numbers_of(want.with_suffix("." + part), letter) for part, letter in (("ids", "i"), ("greedy", "i"), ("logits", "f")))
            body = {"messages": [{"role": "user", "content": [video_url((GOLDEN / "watch" / file).read_bytes(), fps=2), {"type": "text", "text": "What happens?"}]}],
                    "max_tokens": len(greedy), "temperature": 0, "logprobs": True, "top_logprobs": 5}
            status, _, answer = server.chat(body)
            assert status == 200, answer
            said = answer["choices"][0]["logprobs"]["content"]
            assert answer["usage"]["prompt_tokens"] == len(ids)
            assert tuple(map(id_of, said)) == greedy
            all_ = math.log(sum(math.exp(v - max(logits)) for v in logits)) + max(logits)
            for t in said[0]["top_logprobs"]:
                assert abs(t["logprob"] - (logits[id_of(t)] - all_)) < 1e-3, (file, t)


def test_sound_that_is_not_heard_is_told(tmp_path):
    sounding, silent = clip(pictures(3, 40), 3.0, sound=TONE), clip(pictures(3, 40), 3.0)
    with Server(model=sample_that_sees(tmp_path)) as server:
        heard, deaf = watched(server, video_url(sounding)), watched(server, video_url(silent))
        assert watched(server, video_url(sounding))[1]["prompt_tokens_details"]["video_sound_ignored"] is True  # as it was told the first time
    assert heard[1]["prompt_tokens_details"]["video_sound_ignored"] is True and "video_sound_ignored" not in deaf[1]["prompt_tokens_details"]
    assert heard[1]["prompt_tokens"] == deaf[1]["prompt_tokens"]


def test_sound_is_heard_by_who_hears(hearer):
    sounding, silent = clip(pictures(3, 60), 3.0, sound=TONE), clip(pictures(3, 60), 3.0)
    both, frames = watched(hearer, video_url(sounding)), watched(hearer, video_url(silent))
    assert "video_sound_ignored" not in both[1]["prompt_tokens_details"] and both[1]["prompt_tokens"] > frames[1]["prompt_tokens"]
    runs = hearer.metrics()[RUNS]
    assert watched(hearer, video_url(sounding))[0] == both[0] and hearer.metrics()[RUNS] == runs
    rows = [watched(hearer, video_url(sounding, **how))[1]["prompt_tokens"] - watched(hearer, video_url(silent, **how))[1]["prompt_tokens"] for how in ({}, {"end": 0.4}, {"start": 0.5})]
    assert 0 < rows[1] < rows[0] and 0 < rows[2] < rows[0]
    runs = hearer.metrics()[RUNS]
    watched(hearer, input_audio(sounding, "mp4"))  # the track by itself is the same sound
    assert hearer.metrics()[RUNS] == runs


def test_a_program_run_watches_the_same(hearer, folder, tmp_path):
    data = clip(pictures(3, 80), 3.0, sound=TONE)
    (tmp_path / "a.mp4").write_bytes(data)
    code, out, err = run("run", "--video", str(tmp_path / "a.mp4"), "--max-tokens", "4", "--temperature", "0", folder, "What is seen?")
    assert code == 0, err
    assert out.rstrip("\n") == watched(hearer, video_url(data), max_tokens=4)[0][0]["message"]["content"].rstrip("\n")


# ---- what is none, and hostile ones --------------------------------------------------------------------------------------------

def still():
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("data,mime", [(lambda: clip(pictures(2)), "video/webm"), (lambda: clip(pictures(2)), "image/png"), (lambda: clip(pictures(2), 10, "webm"), "video/mp4"),
                                       (still, "image/png"), (still, "video/mp4"), (lambda: b"hello", "video/mp4"), (lambda: corpus("speech.aac"), "audio/aac")])
def test_a_wrong_type_is_415(server, data, mime):
    status, _, answer = server.chat(watch(video_url(data(), mime)))
    assert status == 415, answer
    error_of(answer)


def test_sound_alone_is_no_clip(server):
    status, _, answer = server.chat(watch(video_url(M4A, "video/mp4")))
    assert status == 400 and "no moving pictures" in error_of(answer)["message"], answer


@pytest.mark.parametrize("name", [n for n in BOMBS if BOMBS[n]()[1] in ("m4a", "webm")])
def test_a_bomb_of_sound_is_none_of_pictures(hearer, name):
    data, fmt, _ = BOMBS[name]()
    status, _, answer = hearer.chat(watch(video_url(data, {"m4a": "video/mp4"}.get(fmt, "video/" + fmt))))
    assert status in (200, 400, 413, 415), answer
    hearer.baseline.check(hearer)


@pytest.mark.parametrize("kind", ["mp4", "webm"])
def test_cut_or_damaged_it_is_never_a_500(hearer, kind):
    rng, data = random.Random(kind), clip(pictures(4), 4.0, kind, TONE)
    for percent in range(0, 100, 7):
        status, _, answer = hearer.chat(watch(video_url(data[:len(data) * percent // 100], "video/" + kind)))
        assert status in (400, 413, 415), (percent, answer)
    for _ in range(25):
        broken = bytearray(data)
        for _ in range(rng.randrange(1, 8)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        status, _, answer = hearer.chat(watch(video_url(bytes(broken), "video/" + kind)))
        assert status in (200, 400, 413, 415), answer
    hearer.baseline.check(hearer)
