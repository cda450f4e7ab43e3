"""The outsider's way, from end to end: install, build samples/hello_plugin elsewhere by CMake and by make, serve it, ask.

    hello.py BUILD            # the build tree; run by CTest as plugin_hello

Nothing of this repository but the installed files and a copy of the sample is seen by the two builds."""

import base64
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
REPO = HERE.parents[1]
SAMPLE = REPO / "samples" / "hello_plugin"
sys.path.insert(0, str(REPO / "tests" / "api"))


def call(*args, **kw):
    done = subprocess.run([str(a) for a in args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **kw)
    assert done.returncode == 0, "%s\n%s" % (" ".join(map(str, args)), done.stdout)
    return done.stdout


def build_both(build, work):
    """-> (prefix, hello.so by CMake, hello.so by make). The prefix is moved before it is used."""
    call("cmake", "--install", build, "--prefix", work / "staged")
    prefix = work / "moved" / "prefix"
    prefix.parent.mkdir()
    (work / "staged").rename(prefix)
    for name in ("by-cmake", "by-make"):
        shutil.copytree(SAMPLE, work / name)
    env = {"PATH": os.environ["PATH"]}
    call("cmake", "-S", work / "by-cmake", "-B", work / "b", "-DCMAKE_PREFIX_PATH=%s" % prefix, "-DCMAKE_C_FLAGS=-Werror", env=env)
    call("cmake", "--build", work / "b", env=env)
    call("cmake", "--install", work / "b", env=env)
    assert (prefix / "lib/sensorium/plugins/hello.so").is_file()
    call("make", "-C", work / "by-make", "PKG_CONFIG_PATH=%s/lib/pkgconfig" % prefix, "CFLAGS=-O2 -Werror", env=env)
    made = work / "by-make" / "hello.so"
    call("make", "-C", work / "by-make", "PKG_CONFIG_PATH=%s/lib/pkgconfig" % prefix, "DESTDIR=%s" % (work / "dest"), "install", env=env)
    assert list((work / "dest").rglob("hello.so"))
    return prefix, work / "b" / "hello.so", made


def check_tutorial():
    """Every block of C in the page is a run of lines of the sample, so that it has been compiled."""
    code = {p.name: [line.strip() for line in p.read_text().splitlines()] for p in SAMPLE.glob("*.[ch]")}
    blocks = re.findall(r"```c\n(.*?)```", (SAMPLE / "README.md").read_text(), re.S)
    assert len(blocks) >= 5
    for block in blocks:
        lines = [line.strip() for line in block.splitlines()]
        assert any(lines == file[i:i + len(lines)] for file in code.values() for i in range(len(file))), "not in the sample:\n" + block


def ask(client, model, part):
    answer = client.chat.completions.create(
        model=model, temperature=0, max_tokens=4, logprobs=True, top_logprobs=5,
        messages=[{"role": "user", "content": [part, {"type": "text", "text": "What is it?"}]}])
    choice = answer.choices[0]
    return [(t.bytes, t.logprob) for t in choice.logprobs.content[0].top_logprobs], answer.usage.prompt_tokens


def table(text, kind="table_url"):
    url = "data:text/csv;base64," + base64.b64encode(text.encode()).decode()
    if kind == "file":
        return {"type": "file", "file": {"file_data": url, "filename": "table.csv"}}
    return {"type": kind, kind: {"url": url}}


def serve(prefix, build):
    os.environ["SENSORIUM_BIN"] = str(prefix / "bin" / "sensorium")
    import openai
    from harness import Server
    with Server(model=str(REPO / "samples" / "model")) as server: # no --plugin-dir: it finds its own
        client = openai.OpenAI(base_url="http://127.0.0.1:%d/v1" % server.port, api_key="none", max_retries=0)
        listed = {p["id"]: p for p in json.loads(server.get("/v1/plugins")[2])["data"]}
        assert {"image-codec", "siglip", "table-codec", "table-encoder"} <= set(listed), listed
        assert listed["table-codec"]["media_types"] == "text/csv" and listed["table-codec"]["limits"]["decoded_bytes"] > 0
        assert listed["table-encoder"]["state"] == "ready" and listed["table-encoder"]["models"] == len(client.models.list().data)
        model = client.models.list().data[0]
        assert model.input_modalities[:2] == ["text", "image"] and model.input_modalities[-1] == "table"
        cities = (SAMPLE / "cities.csv").read_text()
        first, n = ask(client, model.id, table(cities))
        runs = server.metrics()["sensorium_encoder_runs_total"]
        assert ask(client, model.id, table(cities)) == (first, n)
        assert ask(client, model.id, table(cities, "file")) == (first, n)
        assert server.metrics()["sensorium_encoder_runs_total"] == runs == 1
        other, _ = ask(client, model.id, table(cities.replace("Danube", "Rhine")))
        assert other != first
        picture = base64.b64encode((REPO / "samples/pictures/word.png").read_bytes()).decode()
        both = client.chat.completions.create(model=model.id, temperature=0, max_tokens=8, messages=[{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64," + picture}}, table(cities),
            {"type": "text", "text": "Read the image."}]}]) # two kinds in one message
        assert both.usage.prompt_tokens > n
        try:
            ask(client, model.id, table("a,b\nc\n"))
            raise AssertionError("a ragged table was taken")
        except openai.BadRequestError as error:
            assert "same number of cells" in str(error)
        calls = {p["id"]: p for p in json.loads(server.get("/v1/plugins")[2])["data"]}["table-codec"]
        assert calls["calls"] == 6 and calls["failures"] == 0 and calls["media_bytes"] > 0, calls


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    check_tutorial()
    with tempfile.TemporaryDirectory(prefix="sensorium-hello-") as folder:
        prefix, by_cmake, by_make = build_both(build, pathlib.Path(folder))
        call(HERE / "exports.sh", by_cmake, by_make)
        for so in (by_cmake, by_make):
            print(call(build / "test_hello", so))
        print(call(prefix / "bin" / "sensorium", "plugins", "--check", by_cmake, "--sample", SAMPLE / "cities.csv"))
        serve(prefix, build)
    print("the hello plugin was built twice, checked, served and asked")


if __name__ == "__main__":
    main()
