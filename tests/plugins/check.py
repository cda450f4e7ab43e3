"""`sensorium plugins --check`: what we ship passes, and each bad habit of the zoo is caught by the check that is for it.

    check.py BUILD     # run by CTest as plugin_check"""

import base64
import json
import pathlib
import platform
import struct
import subprocess
import sys
import tempfile

import ears

REPO = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(sys.argv[1]).resolve()

ACCESS = ("reads through", "writes through") if platform.machine() == "x86_64" else ("follows", "follows")

# habit: (checks that must fail, a word that one of their texts must have)
CAUGHT = {
    "leaks": ({"lifecycle", "orders", "memory"}, "left behind"),
    "crashes_at_second_load": ({"orders"}, "it crashes|without a result"),
    "crashes_without_memory": ({"memory"}, "it follows NULL after request"),
    "crashes_without_malloc": ({"memory"}, "it follows NULL after request"),
    "leaks_without_malloc": ({"memory"}, "malloc's blocks are left behind"),
    "blames_input_without_malloc": ({"memory"}, "when memory ran out, not SN_RC_NOMEM"),
    "mallocs_in_step": ({"threads"}, "malloc was called in step"),
    "allocates_in_step": ({"threads"}, "memory.alloc was called in step"),
    "reads_handles": ({"rows", "orders", "threads", "memory"}, "it %s a tensor's handle in step" % ACCESS[0]),
    "writes_handles": ({"rows", "orders", "threads", "memory"}, "it %s a tensor's handle in step" % ACCESS[1]),
    "reaches_outside": ({"rows"}, "shapes of its tensors do not fit"),
    "uses_stale_tensors": ({"rows"}, "shapes of its tensors do not fit"),
    "reads_past": ({"garbage"}, "it crashes|without a result"),
    "writes_past": ({"samples", "garbage"}, "it crashes|without a result"),
    "short_samples": ({"samples"}, "left some of them unfilled"),
    "no_limits": ({"limits"}, "not held by measure"),
    "file_bound_too_low": ({"writes"}, "in the room that bound had asked for"),
    "file_beside_room": ({"writes"}, "it crashes|without a result"),
    "file_before_room": ({"writes", "memory", "threads"}, "write wrote before its room"),
    "file_of_its_time": ({"writes", "threads"}, "the same media gave another file"),
    "file_of_any_type": ({"writes"}, "a type that is not written gives 0"),
    "file_of_any_media": ({"writes"}, "media of another kind gives"),
    "file_of_other_rows": ({"writes"}, "holds something else"),
    "file_never_too_large": ({"writes"}, "a file that does not fit gives 0"),
    "file_unreadable": ({"writes"}, "its own sniff does not know a file"),
    "file_spoils_media": ({"writes"}, "it crashes|without a result"),
    "file_needs_its_bound": ({"writes"}, "is not written into"),
    "counts_calls": ({"rows"}, "gives other rows"),
    "init_fails": ({"lifecycle"}, "init fails"),
    "no_marker": (set(), ""),
    "stamp_major": ({"file", "descriptors", "lifecycle"}, "another major version"),
    "no_entry": ({"file"}, "does not export"),
    "same_id": ({"descriptors"}, "have the id"),
}


SPEAKERS = {  # habit: a word of what the check of sound says; of others where it does not come so far
    "of_chunks": "one chunk over the whole gives another sound",
    "of_company": "company in a job gives another sound",
    "too_little": "samples after",
    "too_much": "samples after|not finite",
    "unfilled": "not finite, or was not filled",
    "beside": "before its samples",
    "over_codes": "it crashes|without a result",
    "without_limits": "which it had excluded",
    "of_nobody": "a voice's name",
    "no_words": "no place, or several, for the text",
    "not_of_itself": "describes nothing",
    "without_sound": "comes with",
}


WATCHERS = {  # habit: a check that must fail, a word of what it says
    "without_fault": ("clips", "its fault says 0"),
    "read_past": ("clips", "it crashes|without a result"),
    "without_limits": ("clips", "not held by look|over a limit"),
    "frameless": ("clips", "without frames"),
    "of_no_rate": ("clips", "without frames or size, or of no length"),
    "backwards": ("clips", "behind one at"),
    "of_any_wish": ("clips", "a wish for a frame behind the last one is granted"),
    "of_any_filter": ("clips", "a wish for a filter that there is not is granted"),
    "of_any_number": ("clips", "max_frames below the wish gives 0"),
    "in_company": ("clips", "read alone is another"),
    "of_other_times": ("clips", "as times has it"),
    "without_end": ("clips", "ms are needed|are needed, gives 0"),
    "of_their_time": ("clips", "reading twice gave other frames"),
    "unfilled": ("clips", "left some of them unfilled"),
    "beside": ("clips", "before its samples"),
    "past": ("clips", "it crashes|without a result"),
    "reshaped": ("clips", "changed the shape"),
    "more_than_allowed": ("watches", "where 1 were allowed|where 3 were allowed"),
    "over_cap": ("watches", "it crashes|without a result|no room for its frames"),
    "half_a_group": ("watches", "in groups of 2"),
    "flat": ("watches", "wants frames of 16 x 0"),
    "chosen_back": ("watches", "not there, or not in order"),
    "chosen_behind": ("watches", "not there, or not in order"),
    "whimsical": ("watches", "chose otherwise"),
    "holes_back": ("watches", "behind one at"),
    "hole_outside": ("watches", "hole 3 of 3 is at byte"),
    "text_unfilled": ("watches", "holds a NUL"),
    "text_longer": ("watches", "of the"),
    "text_beside": ("watches", "wrote beside its text"),
    "unplanned": ("watches", "is not planned"),
    "group_text": ("watches", "has text"),
}


SMALL = {  # one pixel each
    "gif": bytes.fromhex("47494638396101000100800000000000ffffff2c00000000010001000002024401003b"),
    "webp": base64.b64decode("UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA=="),
}


SOUNDS = ("pcm16.wav", "24.flac", "vorbis.ogg", "opus.ogg", "44100.mp3")


CLIPS = ("h264.mp4", "speech.aac", "vp9.webm")  # likewise; and one that is silent


def check(so, *args):
    done = subprocess.run([BUILD / "sensorium", "plugins", "--check", so, "--json", *map(str, args)], capture_output=True, text=True, timeout=280)
    assert done.stdout, done.stderr
    result = json.loads(done.stdout)
    assert (done.returncode == 0) == result["passed"], result
    return result["passed"], {c["name"]: (c["verdict"], c["text"]) for c in result["checks"]}


def rows_file(path, first):
    values = [first] + [0.25 * (i % 9 - 4) for i in range(5 * 64 - 1)]
    path.write_bytes(b"SNROWS1\n" + struct.pack("<III", 5, 64, 8) + b"5 rows: " + struct.pack("<%df" % len(values), *values))
    return path


def clip_file(path):
    width, height, frames = 20, 12, 24
    path.write_bytes(b"SNCLIP1\n" + struct.pack("<III", width, height, frames) +
                     bytes((x * 7 + y * 11 + 3 * k) % 251 for k in range(frames) for y in range(height) for x in range(3 * width)))
    return path


def main():
    pictures = REPO / "samples" / "pictures"
    files = [p for p in (pictures / "word.png", *sorted(pictures.glob("*.jpg"))[:1])]
    shipped = {"image-codec": [a for f in files for a in ("--sample", f)],
               "siglip": ["--model", REPO / "tests/golden/engine/mmproj.gguf"],
               "snac": ["--model", REPO / "tests/golden/speak/snac.gguf"],
               "vocos": ["--model", REPO / "tests/golden/speak/vocos.gguf"],
               "qwen3-tts": ["--model", REPO / "tests/golden/speak/qwen3-tts.gguf"]}
    for name, args in shipped.items():
        passed, checks = check(BUILD / "plugins" / (name + ".so"), *args)
        assert passed, (name, checks)
    with tempfile.TemporaryDirectory() as folder:
        for family in ears.FAMILIES:
            passed, checks = check(BUILD / "plugins" / "whisper.so", "--model", ears.write(pathlib.Path(folder) / "ear.gguf", family))
            assert passed, (family, checks)
        for name, data in SMALL.items():
            (pathlib.Path(folder) / name).write_bytes(data)
            passed, checks = check(BUILD / "plugins" / "image-codec.so", "--sample", pathlib.Path(folder) / name)
            assert passed, (name, checks)
        for name in SOUNDS:  # without the byte that the fuzz target reads first
            (pathlib.Path(folder) / name).write_bytes((REPO / "tests/fuzz/corpus/audio" / name).read_bytes()[1:])
        sounds = [a for name in SOUNDS for a in ("--sample", pathlib.Path(folder) / name)]
        passed, checks = check(BUILD / "plugins" / "audio-codec.so", *sounds)
        assert passed, checks
        for name in CLIPS:
            (pathlib.Path(folder) / name).write_bytes((REPO / "tests/fuzz/corpus/video" / name).read_bytes()[1:])
        clips = [a for name in CLIPS for a in ("--sample", pathlib.Path(folder) / name)]
        passed, checks = check(BUILD / "plugins" / "video-codec.so", *clips, "--sample", REPO / "tests/golden/watch/turn90.mp4")
        assert passed and checks["clips"] == ("pass", "3 clips"), checks
        good = rows_file(pathlib.Path(folder) / "good", 1.0)
        passed, checks = check(BUILD / "zoo" / "zoo_good.so", "--sample", good)
        assert passed, checks
        assert [n for n, (v, _) in checks.items() if v != "pass"] == ["clips", "watches", "sound"], checks  # it does not watch or speak
        requests = [int(checks["memory"][1].split()[2])]
        passed, checks = check(BUILD / "zoo" / "zoo_allocates_every_way.so", "--sample", good)
        assert passed, checks
        requests.append(int(checks["memory"][1].split()[2]))
        assert requests[1] == requests[0] + 2 * 9 + 1, requests  # nine in each of two loads, one in a probe
        passed, checks = check(BUILD / "zoo" / "zoo_good.so")  # nothing to decode: said, and not called good
        assert not passed and checks["samples"][0] == "not_done" and "--sample" in checks["samples"][1], checks
        passed, checks = check(BUILD / "plugins" / "siglip.so")
        assert not passed and checks["rows"][0] == "not_done" and "--model" in checks["rows"][1], checks
        for habit, (expected, word) in CAUGHT.items():
            passed, checks = check(BUILD / "zoo" / ("zoo_%s.so" % habit), "--sample", good)
            failed = {n for n, (v, _) in checks.items() if v == "fail"}
            assert expected <= failed, (habit, checks)
            assert passed == (not failed)
            texts = " ".join(checks[n][1] for n in expected)
            assert any(w in texts for w in word.split("|")), (habit, checks)
        passed, checks = check(BUILD / "zoo" / "zoo_speaks.so")
        assert passed and checks["sound"] == ("pass", "10 frames"), checks
        for habit, word in SPEAKERS.items():
            passed, checks = check(BUILD / "zoo" / f"zoo_speaks_{habit}.so")
            text = checks["file" if habit == "without_sound" else "sound"][1]
            assert not passed and any(w in text for w in word.split("|")), (habit, checks)
        passed, checks = check(BUILD / "zoo" / "zoo_axes.so", "--sample", good)
        assert passed, checks
        for habit, word in {"axes_far": "at most 2^20", "axes_unfilled": "not all filled", "axes_fail": "positions failed"}.items():
            passed, checks = check(BUILD / "zoo" / f"zoo_{habit}.so", "--sample", good)
            assert not passed and any(word in text for verdict, text in checks.values() if verdict == "fail"), (habit, checks)
        clip = clip_file(pathlib.Path(folder) / "clip")
        passed, checks = check(BUILD / "zoo" / "zoo_clips.so", "--sample", clip)
        assert passed and checks["clips"] == ("pass", "1 clip") and checks["watches"][0] == "pass", checks
        for habit, (name, word) in WATCHERS.items():
            passed, checks = check(BUILD / "zoo" / f"zoo_clips_{habit}.so", *(["--sample", clip] if name == "clips" else []))
            assert not passed and checks[name][0] == "fail" and any(w in checks[name][1] for w in word.split("|")), (habit, checks)
        passed, checks = check(BUILD / "zoo" / "zoo_clips.so")
        assert not passed and checks["clips"][0] == "not_done" and "--sample" in checks["clips"][1], checks
        passed, checks = check(BUILD / "zoo" / "zoo_sound.so", "--sample", good)
        assert checks["samples"][0] == checks["garbage"][0] == "pass", checks
        passed, checks = check(BUILD / "zoo" / "zoo_sound_of_its_rate.so", "--sample", good)
        assert checks["samples"] == ("fail", "measure gave 8000 Hz where 16000 were wanted"), checks
        trigger = rows_file(pathlib.Path(folder) / "trigger", 666.0)
        passed, checks = check(BUILD / "zoo" / "zoo_hangs.so", "--sample", trigger, "--time-limit", "1")
        assert not passed and "hangs" in checks["rows"][1], checks
        for habit, word in {"nan_rows": "not finite", "short_rows": "not filled", "holes_do_not_add_up": "do not add up", "hole_outside": "outside",
                            "no_progress": "units", "never_ends": "units", "wrong_kind": "another kind", "decode_reshapes": "changed",
                            "decode_odd_code": "no code of a failure", "step_odd_code": "no code of a failure"}.items():
            passed, checks = check(BUILD / "zoo" / ("zoo_%s.so" % habit), "--sample", trigger)
            assert not passed and any(word in text for verdict, text in checks.values() if verdict == "fail"), (habit, checks)
    not_elf = subprocess.run([BUILD / "sensorium", "plugins", "--check", __file__], capture_output=True, text=True, timeout=60)
    assert not_elf.returncode == 1 and "not an ELF file" in not_elf.stdout, not_elf
    print("what is shipped passes, what is bad is caught")


if __name__ == "__main__":
    main()
