"""What README.md copies from the program is what the program says."""

import re

from harness import REPO, run

README = (REPO / "README.md").read_text()


def test_the_options_are_those_of_help():
    block = README.split("```text\n$ sensorium serve --help\n")[1].split("```")[0]
    assert block == run("serve", "--help")[1]


def test_the_architectures_are_those_of_the_tables():
    block = README.split("<!-- sensorium architectures -->\n")[1].split("<!-- -->")[0]
    assert block == run("architectures")[1]


def test_the_metrics_are_those_that_are_served(server):
    section = README.split("\n## Metrics\n")[1].split("\n## ")[0]
    listed = {(kind, "sensorium_" + name) for kind, names in re.findall(r"\| (gauge|counter|histogram) \| (.*) \|", section)
              for name in re.findall(r"`(\w+)", names)}
    served = {(kind, name) for name, kind in re.findall(r"# TYPE (\w+) (\w+)", server.get("/metrics")[2].decode())}
    assert listed == served
