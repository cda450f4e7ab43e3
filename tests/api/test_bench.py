"""`sensorium bench`: every asked combination is measured, as a table and as JSON."""
import json

import pytest

from harness import MODEL, REPO, run

QUICK = ("--rounds", "1", "--output-len", "4", "--log-level", "warn")


def test_json_holds_every_combination():
    code, out, err = run("bench", MODEL, *QUICK, "--json", "--batch-sizes", "1,3", "--prompt-lengths", "8,20",
                         "--image", str(REPO / "samples/pictures/word.png"))
    assert code == 0, err
    report = json.loads(out)
    texts = [r for r in report["results"] if r["kind"] == "text"]
    assert [(r["batch"], r["prompt"], r["output"]) for r in texts] == [(1, 8, 4), (3, 8, 4), (1, 20, 4), (3, 20, 4)]
    assert all(r["prompt_tokens_per_second"] > 0 and r["generation_tokens_per_second"] >= 0 for r in texts)
    picture, = [r for r in report["results"] if r["kind"] == "picture"]
    assert picture["file"] == "word.png" and picture["rows"] == 36
    assert 0 < picture["encoder_ms"] < picture["first_token_ms"]
    assert report["threads"] > 0 and report["rounds"] == 1


def test_the_table_has_a_line_each():
    code, out, err = run("bench", MODEL, *QUICK, "--batch-sizes", "2", "--prompt-lengths", "8,9")
    assert code == 0, err
    assert len(out.splitlines()) == 4


@pytest.mark.parametrize("flag", ["--batch-sizes=", "--batch-sizes=0", "--batch-sizes=1,,2", "--batch-sizes=1,", "--batch-sizes=65",
                                  "--prompt-lengths=x", "--prompt-lengths=-1", "--rounds=0", "--rounds=100", "--output-len=0"])
def test_bad_numbers_exit_2(flag):
    assert run("bench", MODEL, flag)[0] == 2


def test_what_does_not_fit_is_told():
    code, out, err = run("bench", MODEL, *QUICK, "--prompt-lengths", "100000", "--batch-sizes", "1")
    assert code == 1 and "context" in err
