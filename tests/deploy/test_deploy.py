"""samples/deploy keeps its promises: no root, nothing writable, bounded, a stop that drains.

The Dockerfile and the unit are read and checked as text always; systemd's own tools, a container engine and a running systemd
are used where they are there, and a line says so where they are not.
"""
import os
import re
import shutil
import subprocess
import time
import urllib.request

import pytest


def run(*command, **more):
    return subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **more)


# ---- Dockerfile

def instructions(text):
    """(name, arguments) of each instruction, continued lines joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def dockerfile(root):
    return instructions((root / "samples/deploy/Dockerfile").read_text())


def stages(dockerfile):
    out = []
    for name, args in dockerfile:
        if name == "FROM":
            out.append([])
        out[-1].append((name, args))
    return out


def packages(stage):
    text = " ".join(args for name, args in stage if name == "RUN")
    found = re.search(r"apt-get install --yes --no-install-recommends ([^&]*)", text)
    return set(found.group(1).split())


def test_dockerfile_is_careful(dockerfile):
    known = {"FROM", "RUN", "COPY", "WORKDIR", "USER", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
    assert {name for name, _ in dockerfile} <= known
    for name, args in dockerfile:
        if name == "FROM":
            assert re.fullmatch(r"debian:12-slim( AS build)?", args), "a pinned release, never latest"
        if name in ("ENTRYPOINT", "CMD"):
            assert args.startswith("["), "exec form: signals reach the server"
        if "apt-get install" in args:
            assert "rm -rf /var/lib/apt/lists/*" in args


def test_container_runs_without_root(dockerfile):
    last = dict(stages(dockerfile)[-1])
    user = last["USER"].split(":")
    assert all(part.isdigit() and int(part) > 1000 for part in user)
    assert last["STOPSIGNAL"] == "SIGTERM"
    assert '"--api-key"' in last["CMD"] and "@" in last["CMD"], "beyond loopback there is a key, and it is read from a file"


def test_container_builds_with_what_the_quickstart_installs(dockerfile, root):
    listed = re.search(r"^BUILD_PACKAGES=\(([^)]*)\)", (root / "samples/quickstart").read_text(), re.M).group(1)
    assert packages(stages(dockerfile)[0]) == set(listed.split())


def needed_libraries(build):
    """Names of the shared libraries that the built files themselves ask for."""
    files = [build / "sensorium", *sorted((build / "plugins").glob("*.so")), *sorted((build / "lib").glob("*.so"))]
    out = set()
    for file in files:
        for line in run("objdump", "-p", str(file)).stdout.splitlines():
            if "NEEDED" in line:
                out.add(line.split()[1])
    return out


@pytest.mark.skipif(not shutil.which("dpkg-query"), reason="no dpkg-query: which package a library is from is not known")
def test_container_has_the_libraries_it_needs(dockerfile, build):
    if os.environ.get("LD_PRELOAD") or "asan" in " ".join(needed_libraries(build)) or "tsan" in " ".join(needed_libraries(build)):
        pytest.skip("a sanitizer build has libraries of its own")
    of = set()
    for name in needed_libraries(build):
        found = run("dpkg-query", "--search", f"*/{name}").stdout.splitlines()
        of |= {line.split(":")[0] for line in found}
    of -= {"libc6", "libc6-i386", "libc6-dev"}
    assert of, "the build links no library at all?"
    assert of <= packages(stages(dockerfile)[-1]) | {"libgcc-s1"}


@pytest.mark.skipif(not shutil.which("docker") or run("docker", "info").returncode != 0, reason="no container engine answers")
def test_container_builds_and_serves(root, tmp_path):
    assert run("docker", "build", "-f", str(root / "samples/deploy/Dockerfile"), "-t", "sensorium-test", str(root)).returncode == 0
    keys = tmp_path / "keys"
    keys.write_text("a-key-for-this-test-only\n")
    os.chown(keys, 65532, 65532)
    keys.chmod(0o600)
    name = run("docker", "run", "--detach", "--rm", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
               "--stop-timeout", "40", "-p", "127.0.0.1::8000", "-v", f"{root}/samples/model:/model:ro", "-v", f"{keys}:/run/keys:ro",
               "sensorium-test").stdout.strip()
    try:
        address = run("docker", "port", name, "8000").stdout.split()[-1]
        wait_ready(f"http://{address}")
    finally:
        assert run("docker", "stop", name).returncode == 0


def wait_ready(url, seconds=60):
    until = time.time() + seconds
    while time.time() < until:
        try:
            with urllib.request.urlopen(url + "/readyz", timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("not ready in time")


# ---- systemd unit

@pytest.fixture(scope="module")
def unit(root):
    text = (root / "samples/deploy/sensorium.service").read_text()
    text = re.sub(r"\\\n\s*", "", "\n".join(line for line in text.splitlines() if not line.startswith("#")))
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def test_unit_is_bounded_and_drains(unit):
    assert unit["DynamicUser"] == "yes" and unit["ProtectSystem"] == "strict" and unit["NoNewPrivileges"] == "yes"
    assert unit["CapabilityBoundingSet"] == ""
    for limit in ("MemoryMax", "TasksMax", "LimitNOFILE"):
        assert re.fullmatch(r"\d+[MG]?", unit[limit])
    drain = int(re.search(r"--shutdown-timeout (\d+)", unit["ExecStart"]).group(1))
    assert unit["KillSignal"] == "SIGTERM" and int(unit["TimeoutStopSec"]) > drain + 2


def test_unit_and_container_use_options_that_exist(unit, dockerfile, build):
    known = set(re.findall(r"--[a-z-]+", run(str(build / "sensorium"), "serve", "--help").stdout))
    used = set(re.findall(r"--[a-z-]+", unit["ExecStart"] + dict(stages(dockerfile)[-1])["CMD"]))
    assert used and used <= known


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze")
def test_unit_passes_systemds_own_check(root, build, tmp_path):
    text = (root / "samples/deploy/sensorium.service").read_text().replace("/usr/local/bin/sensorium", str(build / "sensorium"))
    copy = tmp_path / "sensorium.service"
    copy.write_text(text)
    found = run("systemd-analyze", "verify", "--man=no", str(copy))
    assert found.returncode == 0 and "sensorium.service" not in found.stdout, found.stdout
    found = run("systemd-analyze", "security", "--offline=true", "--threshold=20", str(copy))
    assert found.returncode == 0, found.stdout[-400:]


def systemd_runs():
    return os.geteuid() == 0 and shutil.which("systemctl") and run("systemctl", "is-system-running").stdout.strip() in ("running", "degraded")


@pytest.mark.skipif(not systemd_runs(), reason="no running systemd, or not root")
def test_unit_starts_and_drains(root, build, tmp_path):
    keys = tmp_path / "api-keys"
    keys.write_text("a-key-for-this-test-only\n")
    keys.chmod(0o600)
    text = (root / "samples/deploy/sensorium.service").read_text()
    text = text.replace("/usr/local/bin/sensorium", str(build / "sensorium")).replace("/srv/sensorium/model", str(root / "samples/model"))
    text = text.replace("/etc/sensorium/api-keys", str(keys)).replace("--port 8000", "--port 8917").replace("ProtectHome=yes", "ProtectHome=no")
    name = "sensorium-test.service"
    path = f"/run/systemd/system/{name}"
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace("PrivateTmp=yes", "PrivateTmp=no"))
    try:
        assert run("systemctl", "daemon-reload").returncode == 0
        started = run("systemctl", "start", name)
        assert started.returncode == 0, started.stdout
        wait_ready("http://127.0.0.1:8917")
        assert run("systemctl", "stop", name).returncode == 0
        assert "success" in run("systemctl", "show", "--property=Result", name).stdout
    finally:
        run("systemctl", "stop", name)
        os.remove(path)
        run("systemctl", "daemon-reload")
