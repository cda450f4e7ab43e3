#!/usr/bin/env python3
"""Structured output against `jsonschema` (PyPI) as the judge: answers to random requests, every whole one valid.

  structured.py [--answers N] MODEL...      MODEL: a folder or GGUF file; one with random weights shows most

Each request asks for a schema of tests/api/made_up_schemas.py with temperatures up to 2, streaming or not, one choice or three. An answer with
finish_reason stop has to be JSON that the judge takes. One with length has to be the beginning of such: the same request is asked again with more
tokens, has to begin with the same bytes, and is judged if it ends then."""
import argparse
import collections
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "api"))
import harness
import made_up_schemas


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--answers", type=int, default=1000)
    p.add_argument("models", nargs="+")
    a = p.parse_args()
    bad = []
    for model in a.models:
        began, counts = time.time(), collections.Counter()
        with harness.Server("--max-num-seqs", "4", model=model) as server:
            bad += made_up_schemas.run(server, a.answers, 3, counts)
        print(f"{model}: {dict(counts)} in {time.time() - began:.0f} s")
    for why in bad:
        print(why)
    sys.exit(len(bad) > 0)


if __name__ == "__main__":
    main()
