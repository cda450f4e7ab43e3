"""Sound in containers that libsndfile does not know (m4a, aac, mp4, mov, webm, mkv, ts, avi), by every way in, through the one gate and its
limits (goals 6, 16 to 19, 22): what they are their bytes tell, and what they are declared as must agree. Nothing here is about words."""

import json
import os
import random
import socket

import pytest

import towers
from containers import BOMBS, M4A, WHOLE, adts, elsewhere
from harness import PATIENCE, REPO, TRANSCRIPTIONS, TRANSLATIONS, Baseline, Server, error_of, run
from sounds import REFUSED, wav
from test_hearing_parts import audio_url, hear, input_audio

EAR = REPO / "tests" / "golden" / "hear" / "whisper"
RUNS = "sensorium_encoder_runs_total"
PATHS = (TRANSCRIPTIONS, TRANSLATIONS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return towers.sees_and_hears(tmp_path_factory.mktemp("hears"))


@pytest.fixture(scope="module")
def server(folder):
    with Server("--model", "hears=%s" % folder, "--model", "ear=%s" % EAR, model=None) as s:
        s.baseline = Baseline(s)
        yield s


def heard(server, *parts):
    status, _, answer = server.chat(hear(*parts, seed=7))
    assert status == 200, answer
    return answer["choices"], answer["usage"]["prompt_tokens"]


# ---- whole ones ----------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", WHOLE)
def test_every_way_hears_the_same(server, name):
    data, formats, types, _ = WHOLE[name]
    deaf = heard(server)[1]
    ways = [heard(server, input_audio(data, f)) for f in formats] + [heard(server, audio_url(data, t)) for t in types]
    ways += [heard(server, {"type": "file", "file": {"file_data": audio_url(data, t)["audio_url"]["url"]}}) for t in types if t.startswith("audio")]
    assert all(w == ways[0] for w in ways) and ways[0][1] > deaf


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", WHOLE)
def test_a_form_takes_it(server, name, path):
    """Its part's name and type are those of a WAV: the bytes count."""
    data, _, _, seconds = WHOLE[name]
    status, _, answer = server.form({"file": data, "model": "ear", "response_format": "verbose_json", "seed": "7"}, path)
    assert status == 200 and abs(answer["duration"] - seconds) < 0.011, answer
    status, _, answer = server.form({"file": data, "model": "hears", "seed": "7"}, path)
    assert status == 200 and answer["usage"]["input_tokens"] > 4, answer


@pytest.mark.parametrize("one,other", [("mp4", "mov"), ("webm", "mkv"), ("opus in webm", "live webm")])
def test_the_container_is_not_heard(server, one, other):
    """The same samples, whatever holds them: they are encoded once."""
    first, runs = heard(server, input_audio(WHOLE[one][0], WHOLE[one][1][0])), server.metrics()[RUNS]
    assert heard(server, input_audio(WHOLE[other][0], WHOLE[other][1][0])) == first
    assert server.metrics()[RUNS] == runs


def test_a_program_run_takes_it(server, folder, tmp_path):
    (tmp_path / "a.m4a").write_bytes(WHOLE["m4a"][0])
    code, out, err = run("run", "--audio", str(tmp_path / "a.m4a"), "--max-tokens", "4", "--temperature", "0", folder, "What is said?")
    assert code == 0, err
    assert out.rstrip("\n") == heard(server, input_audio(WHOLE["m4a"][0], "m4a"))[0][0]["message"]["content"].rstrip("\n")


def test_it_is_told(server):
    assert {"audio/mp4", "audio/aac", "audio/webm", "audio/x-matroska", "audio/x-msvideo", "audio/mp2t"} <= server.media_types()


# ---- declared as something else ------------------------------------------------------------------------------------------------

WRONG = [("m4a", "aac"), ("m4a", "webm"), ("m4a", "wav"), ("m4a", "mp3"), ("aac", "m4a"), ("aac", "mp3"), ("webm", "mp4"), ("webm", "mkv"), ("mkv", "webm"),
         ("webm", "ogg"), ("ts", "mp4"), ("avi", "wav"), ("mov", "mkv"), ("m4a", "exe"), ("m4a", "gif")]


@pytest.mark.parametrize("name,fmt", WRONG)
def test_a_wrong_type_is_415(server, name, fmt):
    for part in (input_audio(WHOLE[name][0], fmt), audio_url(WHOLE[name][0], "audio/" + fmt)):
        status, _, answer = server.chat(hear(part))
        assert status == 415 and "does not agree" in error_of(answer)["message"], answer


@pytest.mark.parametrize("fmt", ["m4a", "mp4", "aac", "webm", "mov", "mkv", "ts", "avi"])
def test_a_wav_is_none_of_these(server, fmt):
    status, _, answer = server.chat(hear(input_audio(wav(0.1), fmt)))
    assert status == 415 and "audio/wav" in error_of(answer)["message"], answer


# ---- hostile ones (check 22), the same by all ways -----------------------------------------------------------------------------

def ways(data, fmt):
    yield "input_audio", lambda s: s.chat(hear(input_audio(data, fmt)))
    yield "audio_url", lambda s: s.chat(hear(audio_url(data, "audio/" + fmt)))
    for model in ("ear", "hears"):
        yield "transcriptions", lambda s: s.form({"file": data, "model": model}, TRANSCRIPTIONS)
        yield "translations", lambda s: s.form({"file": data, "model": model}, TRANSLATIONS)


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_cheap_on_every_path(server, name):
    data, fmt, allowed = BOMBS[name]()
    for way, call in ways(data, fmt):
        before, start = server.memory_peak(), server.cpu_seconds()
        status, _, answer = call(server)
        assert status in allowed, (way, answer)
        assert server.cpu_seconds() - start < 2 * PATIENCE, way
        assert server.memory_peak() - before < (100 << 20) * PATIENCE, way
        if status >= 400:
            assert "/etc" not in json.dumps(error_of(answer)) and "ffmpeg" not in json.dumps(answer).lower(), way
    server.wait_idle()
    server.baseline.check(server)


def test_length_is_what_is_limited(server):
    """The two bombs of AAC fail for their length alone: less of the same is heard."""
    status, _, answer = server.form({"file": adts(20), "model": "ear", "response_format": "verbose_json", "seed": "7"})
    assert status == 200 and abs(answer["duration"] - 20) < 0.1, answer
    for data in (adts(7201), adts(86400, 8000)):
        status, _, answer = server.form({"file": data, "model": "ear"})
        assert status == 413 and error_of(answer)["param"] == "file", answer


def test_no_other_file_and_no_host_is_reached(server, tmp_path):
    """Files that say their samples are elsewhere: nobody reads that file, nobody calls that port."""
    canary = tmp_path / "canary.m4a"
    canary.write_bytes(M4A)
    os.utime(canary, (1000, 1000))
    with socket.create_server(("127.0.0.1", 0)) as port:
        port.setblocking(False)
        there = "http://127.0.0.1:%d/" % port.getsockname()[1]
        for url in (str(canary), "file://%s" % canary, canary.name, there + "a.m4a", "subfile,,start,0,end,0,,:%s" % canary, "concat:%s" % canary):
            for _, call in ways(elsewhere(M4A, url), "m4a"):
                status, _, answer = call(server)
                assert status in REFUSED and canary.name not in json.dumps(error_of(answer)), answer
        within = elsewhere(M4A, "here").replace(b"url \0\0\0\0", b"url \0\0\0\1")  # the same file, but for the bit that says so
        assert server.form({"file": within, "model": "ear"})[0] == 200
        for text in ("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://%s\n#EXTINF:1,\n%s\n#EXT-X-ENDLIST\n", "ffconcat version 1.0\nfile '%s'\nfile '%s'\n"):
            for fmt in ("m4a", "aac", "ts"):
                for _, call in ways((text % (canary, there)).encode(), fmt):
                    assert call(server)[0] == 415
        with pytest.raises(BlockingIOError):
            port.accept()
    assert os.stat(canary).st_atime == 1000


def test_a_clip_without_sound_says_so(server):
    data, fmt, _ = BOMBS["a clip without sound"]()
    for _, call in ways(data, fmt):
        status, _, answer = call(server)
        assert status == 400 and "no sound" in error_of(answer)["message"], answer


@pytest.mark.parametrize("name", WHOLE)
def test_cut_anywhere_it_is_never_a_500(server, name):
    data, formats, _, _ = WHOLE[name]
    may_be_shorter = name in ("aac", "ts", "live webm")  # what is there tells no length
    for percent in range(0, 100, 4):
        part = data[:len(data) * percent // 100]
        for answer in (server.form({"file": part, "model": "ear", "seed": "7"}), server.chat(hear(input_audio(part, formats[0])))):
            assert answer[0] in (400, 413, 415) or may_be_shorter and answer[0] == 200, (percent, answer[2])
    server.baseline.check(server)


@pytest.mark.parametrize("name", WHOLE)
def test_damaged_it_is_never_a_500(server, name):
    data, formats, _, _ = WHOLE[name]
    rng = random.Random(name)
    for _ in range(30):
        broken = bytearray(data)
        for _ in range(rng.randrange(1, 8)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        for answer in (server.form({"file": bytes(broken), "model": "ear", "seed": "7"}), server.chat(hear(input_audio(bytes(broken), formats[0])))):
            assert answer[0] in (200, 400, 413, 415), answer[2]
    server.baseline.check(server)
