"""Clips in a chat: video_url with how much of a clip is looked at, refused by name before anything is decoded (goals 6, 7, 18, 19)."""

import base64

import pytest
from PIL import Image

from clips import clip
from harness import ask, error_of, run

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
    """As far as the model itself: refused for that alone, or not at all."""
    plain = server.chat(watch(video_url(film)))
    for how in ({"fps": 1000, "max_frames": 65536, "start": 0, "end": 86400}, {"fps": 1e-300, "max_frames": 1}, {"fps": None, "max_frames": None, "start": None, "end": None}):
        status, _, answer = server.chat(watch(video_url(film, **how)))
        assert status == plain[0] and (status == 200 or error_of(answer)["param"] == error_of(plain[2])["param"] == "messages"), answer


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
