#!/usr/bin/env python3
"""The house rules, checked on the source tree, on the built objects and on the built plugins.

  check.py ROOT [--plugins DIR] [--objects DIR]    fails on a broken rule; reports (does not fail) what has grown past one idea
  check.py --self-test                             proves on small violating trees that every rule can fail

Rooms and arrows: each room lists what its files may include. A quoted include must resolve inside the room's own
folders; an angled one must be on the room's list, where it has one, and never on its forbidden list."""
import argparse
import os
import re
import subprocess
import sys
import tempfile

PURE = {"stdint.h", "stddef.h", "stdbool.h"}
MATHS = PURE | {"string.h", "math.h", "limits.h", "float.h"}
KERNEL = MATHS | {"stdlib.h", "immintrin.h", "cpuid.h", "arm_neon.h", "sys/auxv.h", "asm/hwcap.h"}
HTTP_AND_JSON = {"civetweb.h", "jansson.h", "microhttpd.h", "curl/curl.h"}
FETCH = PURE | {"arpa/inet.h", "curl/curl.h", "netinet/in.h", "stdio.h", "stdlib.h", "string.h", "sys/socket.h", "unistd.h"}
TLS = PURE | {"openssl/err.h", "openssl/pem.h", "openssl/ssl.h", "stdlib.h", "string.h", "sys/socket.h"}
LOADERS = ("core/plugin/", "api/module_load.c", "plugins/video-codec/backend.c") # the last: its own other half, that comes with FFmpeg
MAX_FILE, MAX_FUNCTION = 800, 80

# What ends a process, by the names that objects ask for; and the objects that may.
ENDINGS = {"abort", "exit", "_exit", "_Exit", "quick_exit", "__assert_fail", "__assert_perror_fail", "__assert", "raise", "kill", "tgkill",
           "err", "errx", "verr", "verrx", "pthread_exit", "pthread_kill"}
MAY_END = {
    ("api", "main.c.o", "_exit"): "main",
    ("api", "cmd_plugins.c.o", "kill"): "`plugins --check` ends the child in which a plugin hangs",
    ("core", "isolate_pool.c.o", "kill"): "ends the helper in which a codec hangs",
}

# Where a client's bytes go to a codec: the gate, and the process that does it for the gate.
GATE = ("core/engine/media_gate.c", "core/plugin/isolate_helper.c")

# Goals of reliability whose tests tests/reliability.txt names.
GOALS = {*range(1, 37), *range(38, 51), 52, 53, 55, *range(59, 63), *range(64, 70)}

FUZZ_ENTRY = "LLVMFuzzerTestOneInput"

# A plugin's name that is an architecture's as well, which core knows as data: where it may be written.
ARCHITECTURES = {"whisper": ("core/model/", "core/formats/")}

# Mutable globals that are there on purpose: (file, name): why.
GLOBALS = {
    ("core/base/json_memory.c", "memory"): "jansson's allocator takes no context; what it notes is the parsing thread's own",
    ("core/plugin/check_host.c", "running"): "malloc and signal handlers take no context; `plugins --check` gives each check a process",
    ("core/engine/submit.c", "lowered"): "niceness is the thread's own, and the thread is the caller's",
}


def rooms(root):
    """Room name, folder, folders that quoted includes may reach, allowed and forbidden angled ones, may use the contract."""
    yield "modalities/abi", "modalities/abi", [], PURE, set(), True
    for kind in ("image", "audio", "video"):
        # a transform and a resampler, which are pure as well; a CPU's own vectors
        also = {"audio": {"kiss_fftr.h", "soxr.h"}, "image": {"immintrin.h"}}.get(kind, set())
        yield f"modalities/{kind}", f"modalities/{kind}", [], MATHS | also, set(), True
    yield "modalities/kit", "modalities/kit", [], MATHS | {"stdarg.h", "stdio.h"}, set(), True  # for texts of faults and of the log
    yield "kernels", "kernels", [], KERNEL, set(), False
    yield "core", "core", ["core", "kernels/kernels.h"], None, HTTP_AND_JSON, True
    plugins = os.path.join(root, "plugins")
    for name in sorted(os.listdir(plugins)) if os.path.isdir(plugins) else []:
        if os.path.isdir(os.path.join(plugins, name)):
            yield (f"plugins/{name}", f"plugins/{name}", ["modalities/image", "modalities/audio", "modalities/video", "modalities/kit"], None,
                   HTTP_AND_JSON | {"core.h", "kernels.h"}, True)
    yield "api", "api", ["core/core.h"], None, {"kernels.h"}, False
    yield "api/fetch", "api/fetch", [], FETCH, set(), False
    yield "api/tls", "api/tls", [], TLS, set(), False


def sources(root, folder):
    for at, dirs, names in os.walk(os.path.join(root, folder)):
        dirs[:] = sorted(d for d in dirs if not d.startswith((".", "build")))
        for name in sorted(names):
            if name.endswith((".c", ".h", ".inc", ".cu", ".cuh")):
                yield os.path.relpath(os.path.join(at, name), root)


TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def strip(text, strings):
    """The text without comments and, unless they are wanted, without what stands in strings. Line numbers stay."""
    def blank(m):
        t = m.group(0)
        if t[0] in "\"'":
            return t if strings else t[0] + t[0]
        return " " + "\n" * t.count("\n")
    return TOKEN.sub(blank, text)


class Check:
    def __init__(self, root):
        self.root, self.broken, self.reports = root, [], []

    def text(self, path):
        with open(os.path.join(self.root, path), encoding="utf-8") as f:
            return f.read()

    def fail(self, path, line, why):
        self.broken.append(f"{path}:{line}: {why}")

    # ---- includes

    def reaches(self, path, name, folder, also):
        """Does a quoted include resolve to a file that the room may see?"""
        bases = [os.path.dirname(path), folder] + [a if not a.endswith(".h") else os.path.dirname(a) for a in also]
        for base in bases:
            target = os.path.normpath(os.path.join(base, name))
            if os.path.isfile(os.path.join(self.root, target)):
                inside = [folder + os.sep] + [a if a.endswith(".h") else a + os.sep for a in also]
                return any(target == i or target.startswith(i) for i in inside if i.endswith(os.sep) or target == i)
        return False

    def includes(self, room, folder, also, allowed, forbidden, contract):
        for path in sources(self.root, folder):
            cuda = path.startswith("kernels/cuda/")
            for no, line in enumerate(strip(self.text(path), True).split("\n"), 1):
                m = re.match(r'\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>|(\S+))', line)
                if not m:
                    continue
                quoted, angled, other = m.groups()
                if other:
                    self.fail(path, no, f"{room}: an include that cannot be checked: {other}")
                elif quoted:
                    if not self.reaches(path, quoted, folder, also):
                        self.fail(path, no, f'{room} may not include "{quoted}"')
                    if quoted == "base/json.h" and not path.startswith(("core/base/", "core/formats/")):
                        self.fail(path, no, "JSON is read in core/formats, nowhere else in core")
                elif angled.startswith("sensorium/"):
                    if not contract:
                        self.fail(path, no, f"{room} may not include the contract <{angled}>")
                elif angled == "jansson.h" and path == "core/base/json.h":
                    pass  # the one helper through which core's readers of JSON model files go
                elif angled in forbidden or (allowed is not None and angled not in allowed and not cuda):
                    self.fail(path, no, f"{room} may not include <{angled}>")
                elif re.match(r"(cuda|cublas|nccl|curand)", angled) and not cuda:
                    self.fail(path, no, f"{room}: CUDA stays in kernels/cuda: <{angled}>")
                if angled and angled.startswith("curl/") and not path.startswith("api/fetch/"):
                    self.fail(path, no, "one room sees libcurl: api/fetch")
                if quoted and re.search(r"(^|/)fetch/", quoted) and not quoted.endswith("fetch/fetch.h"):
                    self.fail(path, no, "of api/fetch others see fetch.h alone")
                if angled and angled.startswith("openssl/") and not path.startswith("api/tls/"):
                    self.fail(path, no, "one room sees OpenSSL: api/tls")
                if quoted and re.search(r"(^|/)tls/", quoted) and not quoted.endswith("tls/tls.h"):
                    self.fail(path, no, "of api/tls others see tls.h alone")
                if angled == "civetweb.h" and path != "api/http.c":
                    self.fail(path, no, "one file sees civetweb: api/http.c")

    # ---- names and calls

    def plugin_names(self):
        """core and api know the contract, never a plugin's name."""
        folder = os.path.join(self.root, "plugins")
        names = [n for n in sorted(os.listdir(folder)) if os.path.isdir(os.path.join(folder, n))] if os.path.isdir(folder) else []
        for room in ("core", "api"):
            for path in sources(self.root, room):
                for no, line in enumerate(strip(self.text(path), True).split("\n"), 1):
                    for name in names:
                        if path.startswith(ARCHITECTURES.get(name, ())):
                            continue
                        if re.search(rf"(?<![A-Za-z0-9]){re.escape(name).replace('-', '[-_]')}(?![A-Za-z0-9])", line, re.I):
                            self.fail(path, no, f"{room} names the plugin {name}")

    def modality_switches(self):
        """core treats every modality alike: no switch on its kind, no comparison with its name."""
        for path in sources(self.root, "core"):
            code = strip(self.text(path), True)
            for m in re.finditer(r"\bcase\s+SN_MEDIA_\w+|\bstrn?casecmp\s*\([^;]*\"(image|audio|video)\"|\bstrn?cmp\s*\([^;]*\"(image|audio|video)\"", code):
                self.fail(path, code.count("\n", 0, m.start()) + 1, f"core decides by modality: {m.group(0).strip()[:60]}")

    def one_gate(self):
        """A client's bytes reach a decoder through core/engine/media_gate.c, by way of core/plugin/codec.c, and nowhere else. The gate itself
        only asks whose file it is (sniff): that may not leave the process, all else may have to."""
        for room in ("core", "api"):
            for path in sources(self.root, room):
                for no, line in enumerate(strip(self.text(path), False).split("\n"), 1):
                    checks_plugins = path.startswith("core/plugin/check")  # its files are the operator's, in a process of their own
                    if path not in GATE and not path.startswith("core/plugin/codec.") and re.search(r"\bcodec_(begin|measure|decode|look|times|read)\s*\(", line):
                        self.fail(path, no, "a codec is called outside the media gate")
                    asked = re.search(r"(?:decode|codec|clip)\s*->\s*(sniff|measure|decode|look|times|read)\s*\(", line)
                    may_ask = {"core/engine/media_gate.c": asked and asked.group(1) == "sniff", "core/plugin/codec.c": True}.get(path, checks_plugins)
                    if asked and not may_ask:
                        self.fail(path, no, "a decoder is called outside the media gate")

    def endings(self):
        """Only main ends the process."""
        for room in ("modalities", "kernels", "core", "plugins", "api"):
            for path in sources(self.root, room):
                if path == "api/main.c":
                    continue
                code = strip(self.text(path), False)
                for m in re.finditer(r"(?<![\w.>])(abort|exit|_exit|_Exit|quick_exit|assert|__builtin_trap|__builtin_unreachable)\s*\(", code):
                    self.fail(path, code.count("\n", 0, m.start()) + 1, f"{m.group(1)}() outside main.c")

    def loading(self):
        """Shared objects are loaded in two places, and never unloaded."""
        for room in ("modalities", "kernels", "core", "plugins", "api"):
            for path in sources(self.root, room):
                code = strip(self.text(path), False)
                for m in re.finditer(r"\b(dlm?open|dlclose)\s*\(", code):
                    if m.group(1) == "dlclose" or not path.startswith(LOADERS):
                        self.fail(path, code.count("\n", 0, m.start()) + 1, f"{m.group(1)}() here")

    def globals(self):
        """Everything hangs from an engine, a model or a request. A heuristic: declarations at file scope and static locals."""
        for room in ("modalities", "kernels", "core", "plugins", "api"):
            for path in sources(self.root, room):
                for no, decl in declarations(strip(self.text(path), False)):
                    if is_mutable_global(decl) and (path, re.findall(r"\w+", decl.split("=")[0])[-1]) not in GLOBALS:
                        self.fail(path, no, f"mutable global: {decl[:70]}")

    # ---- sizes: reported only

    def sizes(self):
        for room in ("modalities", "kernels", "core", "plugins", "api"):
            for path in sources(self.root, room):
                text = self.text(path)
                n = text.count("\n")
                if n > MAX_FILE:
                    self.reports.append(f"{path}: {n} lines: more than one idea?")
                for no, name, length in functions(strip(text, False)):
                    if length > MAX_FUNCTION:
                        self.reports.append(f"{path}:{no}: {name}() has {length} lines")

    # ---- plugins as built

    def exports(self, folder):
        built = sorted(n for n in os.listdir(folder) if n.endswith(".so")) if os.path.isdir(folder) else []
        if not built:
            self.broken.append("no plugin was built to be checked in the folder given by --plugins")
        for name in built:
            out = subprocess.run(["nm", "-D", "--defined-only", os.path.join(folder, name)], capture_output=True, text=True)
            symbols = [line.split()[-1].split("@")[0] for line in out.stdout.splitlines() if len(line.split()) >= 3]
            if out.returncode or symbols != ["sn_plugin_entry_1"]:
                self.broken.append(f"{name}: exports {symbols}, expected sn_plugin_entry_1 alone")

    # ---- objects as built

    def objects(self, folder):
        """The same as endings, asked of what the compiler made: macros and inline functions hide nothing. Rooms other than main's."""
        found = 0
        for room in ("modalities", "kernels", "core", "plugins", "api"):
            objects = [os.path.join(at, n) for at, _, names in os.walk(os.path.join(folder, room)) for n in sorted(names) if n.endswith(".o")]
            found += len(objects)
            out = subprocess.run(["nm", "-A", "-u", *objects], capture_output=True, text=True) if objects else None
            if out and out.returncode:
                self.broken.append(f"{room}: its objects cannot be read by nm")
            for line in sorted(set(out.stdout.splitlines())) if out else ():
                name, symbol = os.path.basename(line.split(":")[0]), line.split()[-1].split("@")[0]
                if symbol in ENDINGS and (room, name, symbol) not in MAY_END:
                    self.broken.append(f"{room}: {name} can reach {symbol}()")
        if not found:
            self.broken.append("no object was built to be checked in the folder given by --objects")

    # ---- the goals of reliability and their tests

    def has_test(self, file, name):
        """A function that pytest collects, a test that cmocka is given, a fuzz target with its kept corpus, or a rule of this file."""
        if not os.path.isfile(os.path.join(self.root, file)):
            return False
        text, word = self.text(file), re.escape(name)
        if file.startswith("tests/fuzz/"):
            target, corpus = os.path.basename(file)[:-2], os.path.join(self.root, "tests/fuzz/corpus", os.path.basename(file)[:-2])
            built = re.search(rf"\b{target}\b", self.text("tests/fuzz/CMakeLists.txt"))
            return name == FUZZ_ENTRY and re.search(rf"^int {name}\(", text, re.M) is not None and built and os.path.isdir(corpus) and bool(os.listdir(corpus))
        if file.endswith(".c"):
            return re.search(rf"\bcmocka_unit_test(_setup|_teardown|_setup_teardown)?\(\s*{word}\s*[,)]", text) is not None
        if os.path.basename(file) == "check.py":
            return re.search(rf"^    def {word}\(self", text, re.M) is not None and f"self.{name}(" in text
        return name.startswith("test_") and os.path.basename(file).startswith("test_") and re.search(rf"^def {word}\(", text, re.M) is not None

    def reliability(self):
        path, seen = "tests/reliability.txt", set()
        if not os.path.isfile(os.path.join(self.root, path)):
            self.broken.append(f"{path} is missing")
            return
        for no, line in enumerate(self.text(path).split("\n"), 1):
            if not line.strip() or line.startswith("#"):
                continue
            fields = [f.strip() for f in line.split("|")]
            number = int(fields[0]) if fields[0].isdigit() else 0
            tests = fields[2].split() if len(fields) > 2 else []
            if number not in GOALS or number in seen or len(fields) not in (3, 4) or not fields[1] or not tests:
                self.fail(path, no, "not `number | what | file::test ... [| what is lacking]`, or the number is unknown or there twice")
                continue
            seen.add(number)
            for test in tests:
                file, _, name = test.partition("::")
                if not name or not self.has_test(file, name):
                    self.fail(path, no, f"goal {number}: there is no test {test}")
        for number in sorted(GOALS - seen):
            self.broken.append(f"{path}: no test is named for goal {number}")

    def run(self, plugins=None, objects=None):
        for room in rooms(self.root):
            self.includes(*room)
        self.plugin_names()
        self.modality_switches()
        self.one_gate()
        self.endings()
        self.loading()
        self.globals()
        self.reliability()
        self.sizes()
        if plugins:
            self.exports(plugins)
        if objects:
            self.objects(objects)


def declarations(code):
    """(line, text) of what is declared at file scope, and of static locals; initialisers are cut off."""
    code = re.sub(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", lambda m: "\n" * m.group(0).count("\n"), code, flags=re.M)
    depth, start, kind = 0, 0, []
    for i, c in enumerate(code):
        if c == "{":
            head = code[start:i]
            data = "=" in head or re.search(r"\b(struct|union|enum)\b[^()]*$", head)
            kind.append("data" if depth == 0 and data and not head.rstrip().endswith(")") else "body")
            depth += 1
        elif c == "}":
            depth = max(0, depth - 1)
            if depth == 0 and kind and kind.pop() == "body":
                start = i + 1
            elif depth and kind:
                kind.pop()
        elif c == ";" and depth == 0:
            text = code[start:i]
            yield code.count("\n", 0, start + len(text) - len(text.lstrip())) + 1, " ".join(text.split())
            start = i + 1
    for m in re.finditer(r"^[ \t]+static\s[^;{]*?[;={]", code, re.M):
        yield code.count("\n", 0, m.start()) + 1, " ".join(m.group(0)[:-1].split())


def is_mutable_global(decl):
    head = re.sub(r"__attribute__\s*\(\(.*?\)\)", "", decl.split("=")[0]).strip()
    head = re.sub(r"\[[^]]*\]", "[]", re.sub(r"\{.*\}", " ", head, flags=re.S))
    if not head or re.match(r"(typedef|extern|_Static_assert|static_assert)\b", head) or "(" in head:
        return False
    if re.fullmatch(r"(struct|union|enum)(\s+\w+)?\s*", head):
        return False
    if head.startswith("}") or not re.search(r"\w[\s*]+\w+\s*(\[[^]]*\]\s*)*(,.*)?$", head):
        return False
    last = head.rsplit("*", 1)[-1] if "*" in head else head
    return not re.search(r"\bconst\b", last)


def functions(code):
    lines, name, begin = code.split("\n"), None, 0
    for no, line in enumerate(lines, 1):
        m = re.match(r"[A-Za-z_][\w\s*]*?(\w+)\s*\(", line)
        if m and not line.rstrip().endswith(";"):
            name, begin = m.group(1), no
        if line.startswith("}") and name:
            yield begin, name, no - begin + 1
            name = None


# ---- the rules can fail

CLEAN = {
    "modalities/abi/plugin.h": '#include <stdint.h>\n#include <sensorium/media.h>\n#include "media.h"\n',
    "modalities/abi/media.h": "#include <stddef.h>\n",
    "modalities/image/resize.c": '#include "resize.h"\n#include <math.h>\nstatic const int t[2] = {1, 2};\n',
    "modalities/image/resize.h": "#include <stdbool.h>\n",
    "modalities/audio/resample.c": "#include <soxr.h>\n#include <string.h>\n",
    "modalities/kit/kit.c": '#include <stdarg.h>\n#include <stdio.h>\n#include "kit.h"\n',
    "modalities/kit/kit.h": "#include <sensorium/host/log.h>\n",
    "kernels/kernels.h": "#include <stdint.h>\n",
    "kernels/cpu/norm_avx2.c": '#include <immintrin.h>\n#include "../kernels.h"\n',
    "core/core.h": "#include <stdio.h>\ntypedef struct sn_engine sn_engine;\nenum { A, B };\nint f(int x);\n",
    "core/base/log.c": '#include "core.h"\n#include <pthread.h>\n/* siglip, exit() and #include "api.h" in a comment */\n'
                       'static const char *const names[] = {"a;b", "c"};\nstatic int f2(void)\n{\n\tstatic const int k = 1;\n\treturn k;\n}\n',
    "core/base/json.h": "#include <jansson.h>\n",
    "core/formats/hf.c": '#include "base/json.h"\n',
    "core/model/ops.c": '#include "kernels.h"\n#include "base/x.h"\n#include <sensorium/plugin.h>\n',
    "core/base/x.h": "typedef struct x { int a; struct { int b; } c; } x;\nstruct y;\n_Static_assert(sizeof(int) == 4, \"\");\n",
    "plugins/siglip/plugin.c": '#include <sensorium/plugin.h>\n#include <png.h>\n#include "resize.h"\n#include "kit.h"\n#include "siglip.h"\n',
    "plugins/siglip/siglip.h": "",
    "plugins/whisper/plugin.c": "",
    "core/model/arch.c": 'const char *const arch = "whisper";\n',
    "modalities/audio/logmel.c": "#include <kiss_fftr.h>\n",
    "api/http.c": '#include <civetweb.h>\n#include "core.h"\n#include "api.h"\n',
    "api/api.h": "#include <jansson.h>\n",
    "api/main.c": "int main(void) { exit(1); }\n",
    "api/fetch/fetch.h": "#include <stdint.h>\n",
    "api/fetch/fetch.c": '#include <curl/curl.h>\n#include "fetch.h"\n',
    "api/fetch/allow.h": "",
    "api/tls/tls.h": "#include <stdint.h>\n",
    "api/tls/tls.c": '#include <openssl/ssl.h>\n#include "tls.h"\n',
    "api/tls/inside.h": "",
    "api/module_load.c": '#include "fetch/fetch.h"\n#include "tls/tls.h"\nvoid *f(void) { return dlopen("x", 2); }\n',
    "core/engine/media_gate.c": "void f(struct p *p) { p->decode->sniff(p); }\n",
    "core/plugin/registry.c": 'void *f(void) { return dlopen("x", 2); }\n',
    "tests/unit/t.c": "static void one(void **state) {}\n\t    cmocka_unit_test(one),\nstatic void unused(void **state) {}\n",
    "tests/api/test_t.py": "def test_two(server):\n    pass\n\n\ndef helper():\n    pass\n",
    "tests/reliability.txt": "# goals\n\n" + "".join(f"{n} | words | tests/unit/t.c::one tests/api/test_t.py::test_two tests/fuzz/f.c::{FUZZ_ENTRY} | more\n" for n in sorted(GOALS)),
    "tests/fuzz/f.c": f"int {FUZZ_ENTRY}(const uint8_t *data, size_t size)\n{{\n\treturn 0;\n}}\n",
    "tests/fuzz/CMakeLists.txt": "sn_fuzz_target(f)\n",
    "tests/fuzz/corpus/f/one": "x",
}

VIOLATIONS = [
    ("tests/reliability.txt", "99 | of nobody | tests/unit/t.c::one\n", "number is unknown"),
    ("tests/reliability.txt", "1 | again | tests/unit/t.c::one\n", "there twice"),
    ("tests/reliability.txt", "x\n", "not `number"),
    ("modalities/abi/media.h", "#include <string.h>\n", "may not include <string.h>"),
    ("modalities/abi/media.h", '#include "../image/resize.h"\n', "may not include"),
    ("modalities/image/resize.c", "#include <stdio.h>\n", "may not include <stdio.h>"),
    ("modalities/image/resize.c", "#include <pthread.h>\n", "may not include <pthread.h>"),
    ("modalities/image/resize.c", "#include <soxr.h>\n", "may not include <soxr.h>"),
    ("modalities/audio/resample.c", "#include <stdio.h>\n", "may not include <stdio.h>"),
    ("modalities/image/resize.c", '#include "kit.h"\n', "may not include"),
    ("modalities/kit/kit.c", '#include "resize.h"\n', "may not include"),
    ("modalities/kit/kit.c", "#include <pthread.h>\n", "may not include <pthread.h>"),
    ("modalities/kit/kit.h", "extern int a;\nint calls;\n", "mutable global"),
    ("core/base/log.c", '#include "kit.h"\n', "may not include"),
    ("modalities/image/resize.c", "static int calls;\n", "mutable global"),
    ("modalities/image/resize.c", '#include "kernels.h"\n', "may not include"),
    ("kernels/cpu/norm_avx2.c", "#include <sensorium/tensor.h>\n", "may not include the contract"),
    ("kernels/cpu/norm_avx2.c", '#include "core.h"\n', "may not include"),
    ("kernels/cpu/norm_avx2.c", '#include "../../core/core.h"\n', "may not include"),
    ("kernels/cpu/norm_avx2.c", "#include <cuda_runtime.h>\n", "may not include"),
    ("core/base/log.c", "#include <civetweb.h>\n", "may not include <civetweb.h>"),
    ("core/base/log.c", "#include <jansson.h>\n", "may not include <jansson.h>"),
    ("core/formats/hf.c", "#include <jansson.h>\n", "may not include <jansson.h>"),
    ("core/model/ops.c", '#include "base/json.h"\n', "JSON is read in core/formats"),
    ("core/base/log.c", '#include "../../api/api.h"\n', "may not include"),
    ("core/base/log.c", '#include "siglip.h"\n', "may not include"),
    ("core/base/log.c", "#include <cuda.h>\n", "CUDA"),
    ("core/base/log.c", "#include HEADER\n", "cannot be checked"),
    ("core/base/log.c", 'const char *const p = "siglip.so";\n', "names the plugin siglip"),
    ("core/base/log.c", 'const char *const p = "whisper";\n', "names the plugin whisper"),
    ("modalities/image/resize.c", "#include <kiss_fftr.h>\n", "may not include <kiss_fftr.h>"),
    ("core/base/log.c", "int sn_siglip_load(void);\nint Siglip_x(void);\n", "names the plugin siglip"),
    ("api/api.h", 'const char *const p = "siglip";\n', "names the plugin siglip"),
    ("core/base/log.c", "void f(int k) { switch (k) { case SN_MEDIA_IMAGE: break; } }\n", "by modality"),
    ("core/base/log.c", 'int f(const char *k) { return strcmp(k, "image"); }\n', "by modality"),
    ("core/base/log.c", "void f(struct p *p) { p->decode->measure(p); }\n", "outside the media gate"),
    ("core/base/log.c", "void f(struct p *p) { p->codec->sniff(p); }\n", "outside the media gate"),
    ("core/base/log.c", "void f(struct p *p) { p->clip->look(p); }\n", "outside the media gate"),
    ("core/engine/media_gate.c", "void f(struct p *p) { p->clip->read(p); }\n", "outside the media gate"),
    ("core/base/log.c", "void f(struct p *p) { codec_measure(p, 0, 0, 0); }\n", "outside the media gate"),
    ("core/base/log.c", "void f(void)\n{\n\tabort();\n}\n", "abort() outside main.c"),
    ("core/base/log.c", "void f(void)\n{\n\tassert(1);\n}\n", "assert() outside main.c"),
    ("plugins/siglip/plugin.c", "void f(void)\n{\n\texit(3);\n}\n", "exit() outside main.c"),
    ("api/http.c", "void f(void) { _exit(3); }\n", "_exit() outside main.c"),
    ("core/base/log.c", "int counter = 3;\n", "mutable global"),
    ("core/base/log.c", "static struct state { int a; } state;\n", "mutable global"),
    ("core/base/log.c", "static const char *last;\n", "mutable global"),
    ("core/base/log.c", "static int table[4] = {1, 2, 3, 4};\n", "mutable global"),
    ("core/base/log.c", "_Thread_local int depth;\n", "mutable global"),
    ("core/base/log.c", "int f(void)\n{\n\tstatic int calls;\n\treturn calls++;\n}\n", "mutable global"),
    ("plugins/siglip/plugin.c", '#include "core.h"\n', "may not include"),
    ("plugins/siglip/plugin.c", '#include "../other/other.h"\n', "may not include"),
    ("plugins/siglip/plugin.c", "#include <jansson.h>\n", "may not include <jansson.h>"),
    ("api/api.h", "#include <sensorium/plugin.h>\n", "may not include the contract"),
    ("api/api.h", '#include "base/x.h"\n', "may not include"),
    ("api/api.h", "#include <civetweb.h>\n", "one file sees civetweb"),
    ("api/api.h", "#include <curl/curl.h>\n", "one room sees libcurl"),
    ("api/api.h", '#include "fetch/allow.h"\n', "others see fetch.h alone"),
    ("core/base/log.c", "#include <curl/urlapi.h>\n", "one room sees libcurl"),
    ("api/fetch/fetch.c", '#include "core.h"\n', "may not include"),
    ("api/fetch/fetch.c", '#include "../api.h"\n', "may not include"),
    ("api/fetch/fetch.c", "#include <jansson.h>\n", "may not include <jansson.h>"),
    ("api/http.c", 'void *f(void) { return dlopen("x", 2); }\n', "dlopen() here"),
    ("core/base/log.c", 'void *f(void) { return dlopen("x", 2); }\n', "dlopen() here"),
    ("api/http.c", "#include <openssl/ssl.h>\n", "one room sees OpenSSL"),
    ("api/fetch/fetch.c", "#include <openssl/ssl.h>\n", "one room sees OpenSSL"),
    ("api/api.h", '#include "tls/inside.h"\n', "others see tls.h alone"),
    ("api/tls/tls.c", '#include "../api.h"\n', "may not include"),
    ("api/tls/tls.c", "#include <civetweb.h>\n", "may not include <civetweb.h>"),
    ("api/module_load.c", "void g(void *p) { dlclose(p); }\n", "dlclose() here"),
]


def tree_of(folder, files):
    for path, text in files.items():
        full = os.path.join(folder, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as f:
            f.write(text)


def result_of(files, plugins=None):
    with tempfile.TemporaryDirectory() as folder:
        tree_of(folder, files)
        check = Check(folder)
        check.run(os.path.join(folder, plugins) if plugins else None)
        return check


def objects_self_test():
    """Objects that end the process are found, also through a macro; main's own and empty folders are told apart."""
    failures = []
    cases = (("core/x.c.o", "#include <assert.h>\nint f(int a) { assert(a); return a; }", "core: x.c.o can reach __assert_fail()"),
             ("plugins/p/y.c.o", "#include <stdlib.h>\nvoid f(void) { abort(); }", "plugins: y.c.o can reach abort()"),
             ("api/z.c.o", "void _exit(int) __attribute__((noreturn));\nvoid f(void) { _exit(1); }", "api: z.c.o can reach _exit()"),
             ("api/main.c.o", "void _exit(int) __attribute__((noreturn));\nvoid f(void) { _exit(1); }", None),
             ("kernels/k.c.o", "#include <string.h>\nvoid f(void *p) { memset(p, 0, 9); }", None))
    for path, code, expected in cases:
        with tempfile.TemporaryDirectory() as folder:
            tree_of(folder, {"source.c": code, path: ""})
            if subprocess.run([os.environ.get("CC", "cc"), "-c", "-o", os.path.join(folder, path), os.path.join(folder, "source.c")]).returncode:
                return ["no C compiler to build test objects with"]
            check = Check(folder)
            check.objects(folder)
            if check.broken != ([expected] if expected else []):
                failures.append(f"objects: {path}: {check.broken}, expected {expected}")
    with tempfile.TemporaryDirectory() as folder:
        check = Check(folder)
        check.objects(folder)
        if not check.broken:
            failures.append("an empty build tree passes")
    return failures


def self_test():
    failures = []
    clean = result_of(CLEAN)
    if clean.broken:
        failures.append(f"a clean tree is refused: {clean.broken}")
    for path, text, expected in VIOLATIONS:
        files = dict(CLEAN)
        files[path] += text
        files.setdefault("plugins/other/other.h", "")
        if not any(expected in b for b in result_of(files).broken):
            failures.append(f"not noticed in {path}: {text!r}")
    long_file = {**CLEAN, "core/base/long.c": "void f(void)\n{\n" + "\tg();\n" * (MAX_FILE + 1) + "}\n"}
    reported = result_of(long_file)
    if reported.broken or len(reported.reports) != 2:
        failures.append(f"a long file and function should be reported, not refused: {reported.broken} {reported.reports}")
    if not result_of(CLEAN, "plugins").broken:
        failures.append("an empty plugin folder passes")
    table = CLEAN["tests/reliability.txt"]
    for text, expected in ((table.replace("5 | words |", "5 |  |"), "there twice"), (table.replace("\n44 |", "\n# 44 |"), "for goal 44"),
                           (table.replace("t.c::one", "t.c::unused"), "no test tests/unit/t.c::unused"),
                           (table.replace("t.c::one", "none.c::one"), "no test tests/unit/none.c::one"), (table.replace("::one", ""), "no test"),
                           (table.replace("::test_two", "::helper"), "no test"), (table.replace("test_t.py::test_two", "test_t.py::test_tw"), "no test")):
        if not any(expected in b for b in result_of({**CLEAN, "tests/reliability.txt": text}).broken):
            failures.append(f"not noticed in the table of goals: {expected}")
    for file, text in (("tests/fuzz/f.c", ""), ("tests/fuzz/CMakeLists.txt", "sn_fuzz_target(g)\n"), ("tests/fuzz/corpus/f/one", None)):
        files = {k: v if k != file else text for k, v in CLEAN.items() if k != file or text is not None}
        if not any("no test tests/fuzz/f.c" in b for b in result_of(files).broken):
            failures.append(f"a fuzz target without {file} passes")
    if not any("is missing" in b for b in result_of({k: v for k, v in CLEAN.items() if k != "tests/reliability.txt"}).broken):
        failures.append("a missing table of goals passes")
    failures += objects_self_test()
    with tempfile.TemporaryDirectory() as folder:
        for name, code, good in (("one", "int sn_plugin_entry_1;", True), ("two", "int sn_plugin_entry_1, helper;", False), ("none", "static int x;", False)):
            source = os.path.join(folder, name + ".c")
            with open(source, "w", encoding="utf-8") as f:
                f.write(code)
            plugin = os.path.join(folder, name)
            os.mkdir(plugin)
            if subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-o", os.path.join(plugin, name + ".so"), source],
                              stderr=subprocess.DEVNULL).returncode:
                failures.append("no C compiler to build test plugins with")
                break
            check = Check(folder)
            check.exports(plugin)
            if bool(check.broken) == good:
                failures.append(f"exports of {code!r}: {check.broken}")
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", nargs="?")
    parser.add_argument("--plugins", help="folder of built plugins")
    parser.add_argument("--objects", help="the build tree")
    parser.add_argument("--self-test", action="store_true")
    args = parser.parse_args()
    if args.self_test:
        broken = self_test()
    else:
        if not args.root:
            parser.error("which tree?")
        check = Check(args.root)
        check.run(args.plugins, args.objects)
        broken = check.broken
        for line in check.reports:
            print("report:", line)
    for line in broken:
        print("BROKEN:", line)
    print(f"{len(broken)} broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
