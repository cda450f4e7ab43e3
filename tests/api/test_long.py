"""Long recordings are written down whole: ten minutes with their windows batched, an hour in bounded memory. The miniature's windows are
30 s, as Whisper's are."""

import pytest

from harness import PATIENCE, REPO, Server
from sounds import flac_rumble, hiss

EAR = REPO / "tests" / "golden" / "hear" / "whisper"
WINDOW, SEARCH, RATE = 30, 5, 16000  # seconds of a window, of its end in which it is cut; samples a second that the model hears
FIELDS = {"response_format": "verbose_json", "language": "en", "temperature": "0.2", "seed": 7}  # above 0: one attempt at each window


def write_down(server, sound):
    """-> (answer, what the metrics have grown by)"""
    before = server.metrics()
    status, _, answer = server.form({"file": sound, **FIELDS}, timeout=200 * PATIENCE)
    assert status == 200, answer
    after = server.metrics()
    return answer, {k: after[k] - before.get(k, 0) for k in after}


def check_whole(answer, grown, seconds):
    """Window on window, from the beginning to the end, and what is said in each lies in it."""
    assert answer["duration"] == pytest.approx(seconds, abs=0.01)
    begins = sorted({s["seek"] / 100 for s in answer["segments"]})
    assert begins[0] == 0 and seconds - begins[-1] <= WINDOW
    for a, b in zip(begins, begins[1:]):
        assert WINDOW - SEARCH <= b - a <= WINDOW, (a, b)
    ends = dict(zip(begins, [*begins[1:], seconds]))
    for s in answer["segments"]:
        begin = s["seek"] / 100
        assert begin - 0.02 <= s["start"] <= s["end"] <= ends[begin] + 0.02, s
    assert grown["sensorium_encoder_runs_total"] == len(begins)
    return len(begins)


def test_ten_minutes_are_written_down_whole_and_windows_share_steps():
    sound = hiss(600, 1)
    with Server(model=str(EAR)) as s:
        answer, grown = write_down(s, sound)
        assert s.metrics()["sensorium_step_sequences_max"] >= 3
        s.wait_idle()
    with Server("--max-num-seqs", "1", model=str(EAR)) as s:  # one window after the other
        alone, one_by_one = write_down(s, sound)
        s.wait_idle()
    assert check_whole(answer, grown, 600) >= 600 / WINDOW
    assert answer == alone
    assert grown["sensorium_generation_tokens_total"] == one_by_one["sensorium_generation_tokens_total"] < one_by_one["sensorium_steps_total"]
    assert grown["sensorium_steps_total"] < one_by_one["sensorium_steps_total"] * 0.9  # slices of the encoder are steps, too


def test_an_hour_is_written_down_whole_in_bounded_memory():
    sound = flac_rumble(3600, 2)
    with Server(model=str(EAR)) as s:
        write_down(s, flac_rumble(60, 3))
        before = s.memory_peak()
        answer, grown = write_down(s, sound)
        used, samples = s.memory_peak() - before, 3600 * RATE * 4
        s.wait_idle()
    assert check_whole(answer, grown, 3600) >= 3600 / WINDOW
    assert used < (samples + 3 * len(sound) + (32 << 20)) * PATIENCE  # nothing grows with the number of windows
